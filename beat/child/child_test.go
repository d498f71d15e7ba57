package child

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"

	"crisper/beat/lease"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stand is a package celery that notes what is done with it, for the real warm.py in
// a real Python without Celery.
const stand = `
import os, signal, sys, time
NOTES = os.environ['NOTES']
def note(text):
    with open(NOTES, 'a') as notes:
        notes.write(f'{os.getpid()} {text}\n')
def main():
    note('leads ' + ' '.join(sys.argv))
    if 'deaf' in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if 'dies' in sys.argv:
        sys.exit(3)
    signal.sigtimedwait([signal.SIGUSR2], 60) if 'deaf' in sys.argv else time.sleep(60)
`

type bed struct {
	t     *testing.T
	notes string
	out   *lockedBuffer
	cfg   Config
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func newBed(t *testing.T, args ...string) *bed {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"celery/__init__.py": "", "celery/__main__.py": stand, "celery/beat.py": "", "celery/bin/__init__.py": "", "celery/bin/beat.py": "",
		"celery/bin/celery.py": "import celery.__main__ as m\nm.note('imported')\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b := &bed{t: t, notes: filepath.Join(dir, "notes"), out: &lockedBuffer{}}
	b.cfg = Config{
		Python: python, Args: append([]string{"beat"}, args...), Stdout: b.out, Stderr: b.out, Log: zaptest.NewLogger(t),
		Env: append(os.Environ(), "PYTHONPATH="+dir, "NOTES="+b.notes, "PYTHONDONTWRITEBYTECODE=1"), Set: map[string]string{"GIVEN": "yes"},
	}
	return b
}

func (b *bed) start() *Beat {
	b.t.Helper()
	beat, err := New(b.cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { beat.Close(); b.until("all to be gone", func() bool { return len(b.alive()) == 0 }) })
	return beat
}

// lines are the notes that have a word.
func (b *bed) lines(word string) (found []string) {
	text, _ := os.ReadFile(b.notes) // none yet
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, word) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

func (b *bed) until(what string, yes func() bool) {
	b.t.Helper()
	for end := time.Now().Add(20 * time.Second); !yes(); {
		if time.Now().After(end) {
			b.t.Fatalf("waited in vain for %s:\n%v\n%s", what, b.lines(""), b.out.buf.String())
		}
		time.Sleep(5 * time.Millisecond) // a file is being written by another process
	}
}

// alive are the processes of the notes that are still there.
func (b *bed) alive() (pids []string) {
	seen := map[string]bool{}
	for _, line := range b.lines("") {
		pid, _, _ := strings.Cut(line, " ")
		if _, err := os.Stat("/proc/" + pid); err == nil && !seen[pid] {
			seen[pid] = true
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestAChildImportsAheadAndLeadsWhenItIsTold(t *testing.T) {
	b := newBed(t, "-S", "proj.Sched")
	beat := b.start()
	b.until("the import", func() bool { return len(b.lines("imported")) == 1 && beat.Ready() })
	if lead := b.lines("leads"); len(lead) > 0 {
		t.Fatalf("it leads untold: %v", lead)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- beat.Lead(ctx, lease.Term{Token: 1}) }()
	b.until("the lead", func() bool { return len(b.lines("leads celery beat -S proj.Sched")) == 1 })
	if len(b.lines("imported")) != 1 {
		t.Error("another process leads than the one that was ready")
	}
	began := time.Now()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > killAfter+2*time.Second {
		t.Errorf("it took %s to end", took)
	}
	b.until("the next to be ready", func() bool { return len(b.lines("imported")) == 2 && len(b.alive()) == 1 })
}

func TestAChildThatDoesNotHeedTERMIsKilled(t *testing.T) {
	b := newBed(t, "deaf")
	beat := b.start()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- beat.Lead(ctx, lease.Term{Token: 1}) }()
	b.until("the lead", func() bool { return len(b.lines("leads")) == 1 })
	pid, _, _ := strings.Cut(b.lines("leads")[0], " ")
	cancel()
	<-ended
	if _, err := os.Stat("/proc/" + pid); err == nil {
		t.Error("it is still there when Lead has returned")
	}
}

func TestAChildThatDiesIsStartedAgain(t *testing.T) {
	b := newBed(t, "dies")
	beat := b.start()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- beat.Lead(ctx, lease.Term{Token: 1}) }()
	b.until("three of them", func() bool { return len(b.lines("leads")) >= 3 })
	cancel()
	<-ended
}

func TestAReloadReplacesTheLeadingChildAndTheReadyOne(t *testing.T) {
	b := newBed(t)
	beat := b.start()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- beat.Lead(ctx, lease.Term{Token: 1}) }()
	b.until("the lead", func() bool { return len(b.lines("leads")) == 1 })
	beat.Reload()
	b.until("the next", func() bool { return len(b.lines("leads")) == 2 })
	cancel()
	<-ended
}

// Nobody extends it: our process is frozen, or the word does not arrive.
func TestAChildEndsByItselfWhenItsTimeIsUp(t *testing.T) {
	b := newBed(t, "deaf")
	beat := b.start()
	p, err := beat.take()
	if err != nil {
		t.Fatal(err)
	}
	defer p.end()
	const left = 2 * time.Second
	began := time.Now()
	p.extend(left)
	b.until("the lead", func() bool { return len(b.lines("leads")) == 1 || p.gone() })
	<-p.ended
	if took := time.Since(began); took > left+time.Second {
		t.Errorf("it ended after %s, and might run for %s", took, left)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 75 {
		t.Errorf("exit code %d", code)
	}
}

func TestAChildWhoseParentIsGoneEndsByTERMAtOnce(t *testing.T) {
	b := newBed(t)
	beat := b.start()
	p, err := beat.take()
	if err != nil {
		t.Fatal(err)
	}
	p.extend(time.Minute)
	b.until("the lead", func() bool { return len(b.lines("leads")) == 1 })
	began := time.Now()
	p.end()
	<-p.ended
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it ended after %s", took)
	}
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGTERM {
		t.Errorf("it ended with %s", p.status())
	}
}
