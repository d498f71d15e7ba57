package celery

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"

	"crisper/supervisor/pool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEveryChildHasANodeNameOfItsOwn(t *testing.T) {
	for given, want := range map[string]string{
		"celery@%h": "celery-1.7@%h", "mail@pod": "mail-1.7@pod", "mail@": "mail-1.7@%h", "@pod": "celery-1.7@pod", "pod": "celery-1.7@pod", "": "celery-1.7@%h",
	} {
		if got := nodeName(given, pool.StartChild{Slot: 1, Child: 7}); got != want {
			t.Errorf("%q: got %q, want %q", given, got, want)
		}
	}
}

func TestTheEnvironmentIsTheAppsWithTheAgentInFront(t *testing.T) {
	for _, c := range []struct{ env, want []string }{
		{[]string{"A=1"}, []string{"A=1", "PYTHONUNBUFFERED=1", "PYTHONPATH=/dir", "CRISPER_INJECT_FDS=3,4"}},
		{[]string{"PYTHONPATH=/app:/lib", "A=1"}, []string{"A=1", "PYTHONUNBUFFERED=1", "PYTHONPATH=/dir:/app:/lib", "CRISPER_INJECT_FDS=3,4"}},
		{[]string{"PYTHONPATH=", "PYTHONUNBUFFERED="}, []string{"PYTHONUNBUFFERED=", "PYTHONPATH=/dir", "CRISPER_INJECT_FDS=3,4"}},
	} {
		if diff := cmp.Diff(c.want, injected(c.env, "/dir")); diff != "" {
			t.Errorf("%q:\n%s", c.env, diff)
		}
	}
}

func TestExactlyTheAgentsFilesAreUnpackedAndGoAway(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir, cleanup, err := unpack()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	_ = filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			got = append(got, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	want := []string{"crisper_inject/__init__.py", "crisper_inject/agent.py", "crisper_inject/follow.py", "crisper_inject/look.py", "crisper_inject/mail.py", "crisper_inject/quick.py", "crisper_inject/ring.py", "crisper_inject/telling.py", "sitecustomize.py"}
	if !slices.Equal(got, want) {
		t.Errorf("unpacked %q, want %q", got, want)
	}
	cleanup()
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Error("cleanup left the directory")
	}
}

// seated is a loop with one ready child and no process.
func seated(t *testing.T, cfg pool.Config) (*loop, *child) {
	t.Helper()
	seats, err := pool.New(cfg, func() float64 { return 0 })
	if err != nil {
		t.Fatal(err)
	}
	l := newLoop(Config{Pool: cfg}, Deps{Log: zaptest.NewLogger(t), Version: "v"}, seats, "")
	now := time.Now()
	seats.Step(now, pool.Opened{}, nil)
	seats.Step(now, pool.GenerationReady{Generation: 1}, nil)
	seats.Step(now, pool.ChildForked{Child: 1, PID: 1 << 22}, nil)
	c := &child{id: 1, pid: 1 << 22}
	l.children[1] = c
	l.becomesReady(c)
	c.ended = now.Add(-time.Second)
	return l, c
}

func TestTasksAreToldToThePoolAsTheyEnd(t *testing.T) {
	l, c := seated(t, pool.Defaults(1))
	l.onSaid(1, said{Said: "counts", counts: counts{Accepted: 5, Active: 2, Reserved: 4}})
	if done := l.pool.Snapshot(time.Now())[0].TasksDone; done != 3 {
		t.Errorf("3 of 5 have ended, the pool knows of %d", done)
	}
	l.onSaid(1, said{Said: "counts", counts: counts{Accepted: 5, Active: 0, Reserved: 0}})
	l.onSaid(1, said{Said: "counts", counts: counts{Accepted: 5, Active: 0, Reserved: 0}})
	if done := l.pool.Snapshot(time.Now())[0].TasksDone; done != 5 || c.counted != 5 {
		t.Errorf("all have ended, the pool knows of %d", done)
	}
	if n, last := l.pool.Impossible(); n > 0 {
		t.Errorf("the pool met what cannot be: %s", last)
	}
}

func TestAChildThatHasItsNumberIsTermedAndNotCountedFurther(t *testing.T) {
	cfg := pool.Defaults(1)
	cfg.MaxTasks, cfg.Surge = 3, 0
	l, c := seated(t, cfg)
	l.onSaid(1, said{Said: "counts", counts: counts{Accepted: 10}})
	if v := l.pool.Snapshot(time.Now())[0]; v.State != pool.Draining || v.Reason != pool.ReasonMaxTasks || v.TasksDone != 3 || !c.told {
		t.Errorf("got %+v, told %t", v, c.told)
	}
	if n, last := l.pool.Impossible(); n > 0 {
		t.Errorf("the pool met what cannot be: %s", last)
	}
}

// Of what a solo worker runs nothing but the ring tells, and the pool has to know: one that
// dies of its first task is no sign that none can be started (pool/testdata/poison.txt).
func TestThePoolIsToldOfATaskThatRanWhenItsWorkerDied(t *testing.T) {
	began := begins(1, "tag", "id", "proj.hog", 0)
	for _, c := range []struct {
		name     string
		facts    []byte
		maxTasks int
		want     pool.State
	}{
		{"at work", began, 0, pool.Busy},
		{"idle", nil, 0, pool.Ready},
		{"after its task", append(slices.Clone(began), fact('e', 2, "id")...), 0, pool.Ready},
		{"when it had its number", began, 1, pool.Draining},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := pool.Defaults(1)
			cfg.MaxTasks, cfg.Surge = c.maxTasks, 0
			l, worker := seated(t, cfg)
			l.onSaid(1, said{Said: "counts", counts: counts{Accepted: c.maxTasks}})
			if _, err := worker.hand.Read(c.facts); err != nil {
				t.Fatal(err)
			}
			l.diesAtWork(worker)
			if got := l.pool.Snapshot(time.Now())[0].State; got != c.want {
				t.Errorf("the pool takes it for %s, want %s", got, c.want)
			}
			if n, last := l.pool.Impossible(); n > 0 {
				t.Errorf("the pool met what cannot be: %s", last)
			}
		})
	}
}

func TestAnAgentThatIsOffMakesTheWorkerCountAsReadyLater(t *testing.T) {
	l, c := seated(t, pool.Defaults(1))
	c.ready, c.begun = false, time.Now()
	l.silent()
	if c.ready {
		t.Error("at once")
	}
	l.onSaid(1, said{Said: "hello"})
	c.begun = time.Now().Add(-silentReady)
	l.silent()
	if c.ready {
		t.Error("although its agent works")
	}
	l.onSaid(1, said{Said: "off", Why: "a reason"})
	l.silent()
	if !c.ready {
		t.Error("never")
	}
}

func TestWhatAnUnknownChildSaysIsNoNews(t *testing.T) {
	l, _ := seated(t, pool.Defaults(1))
	l.onSaid(9, said{Said: "ready"})
	l.onSaid(9, said{Said: "counts", counts: counts{Accepted: 3}})
}

func TestLinesOfAnAgentArriveAndNonsenseSwitchesItOff(t *testing.T) {
	l, c := seated(t, pool.Defaults(1))
	ours, theirs, err := socketpair()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	ended := make(chan struct{})
	go func() { l.listen(1, ours); close(ended) }()
	if _, err := theirs.WriteString("{\"said\":\"counts\",\"accepted\":2,\"active\":1,\"tasks\":[[\"i\",\"n\"]]}\nnonsense\n"); err != nil {
		t.Fatal(err)
	}
	for !c.off { // what comes at once is one event
		(<-l.events)()
	}
	if c.counts.Accepted != 2 || c.counts.Tasks[0] != [2]string{"i", "n"} || !c.off {
		t.Errorf("got %+v, off %t", c.counts, c.off)
	}
	// A grandchild may hold the other end: closing ours ends the reading.
	ours.Close()
	<-ended
}

func TestTheFirstTermAfterARequestToDrainHurriesNobody(t *testing.T) {
	l, _ := seated(t, pool.Defaults(1))
	l.drain() // a preStop hook, and then what the kubelet sends
	l.onSignal(syscall.SIGTERM)
	if !l.draining || !l.cutAt.IsZero() {
		t.Errorf("draining %t, cut off at %s", l.draining, l.cutAt)
	}
	l.onSignal(syscall.SIGTERM)
	if l.cutAt.IsZero() {
		t.Error("the second TERM hurries nobody")
	}
}
