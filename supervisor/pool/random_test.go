package pool_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"crisper/supervisor/pool"
	"crisper/supervisor/pool/script"

	"github.com/google/go-cmp/cmp"
)

var (
	seed  = flag.Uint64("seed", 0, "run only the random scenario of this seed")
	seeds = flag.Uint64("seeds", 25, "how many random scenarios to run")
)

// newWorld makes a pool and a world by seed.
func newWorld(tb testing.TB, seed uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 1))
	pick := func(of ...int) int { return of[rng.IntN(len(of))] }
	line := fmt.Sprintf("config slots=%d surge=%d max_tasks=%d max_memory=%dMB memory_kill=%dMB max_age=%ds"+
		" start_timeout=%ds stop_timeout=%ds kill_grace=%ds give_up_after=%ds jitter=0.1 draws=0,0.9,0.5",
		1+rng.IntN(6), pick(0, 1, 1, 2, 3), pick(0, 1, 3, 20), pick(0, 100), pick(0, 150, 200), pick(0, 5),
		1+rng.IntN(3), 1+rng.IntN(3), 1+rng.IntN(3), pick(0, 10, 60))
	cfg, draw, err := script.Config(line)
	if err != nil {
		tb.Fatal(err)
	}
	p, err := pool.New(cfg, draw)
	if err != nil {
		tb.Fatal(err)
	}
	start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	return &world{
		rng: rng, cfg: cfg, pool: p, watch: newWatch(cfg, p), start: start, now: start, lastLine: start,
		procs: map[pool.ChildID]*proc{}, lines: []string{line}, feeding: true,
	}
}

// live is the story of a world: a rough time, a quiet one, and the end.
func (w *world) live() error {
	w.tell(pool.Opened{})
	w.gen, w.alive = 1, 1
	w.tell(pool.GenerationReady{Generation: 1})
	w.later(0, w.feed)
	w.later(0, w.measure)
	w.later(w.soon(0, time.Second), w.disturb)
	if err := w.run(w.soon(20*time.Second, 60*time.Second)); err != nil {
		return err
	}
	part := []func() error{w.calm, w.calm, w.doom, func() error { return nil }}[w.rng.IntN(4)]
	if err := part(); err != nil {
		return err
	}
	return w.end()
}

// doom lets no child live any more; then the pool must give up.
func (w *world) doom() error {
	w.benign, w.doomed = true, true
	w.tell(pool.Resized{Slots: 1 + w.rng.IntN(4)})
	if w.alive == 0 {
		w.preload(1)
	}
	for id := pool.ChildID(1); id <= pool.ChildID(w.order); id++ {
		if c := w.procs[id]; c != nil {
			c.stubborn = false
			w.later(w.soon(0, time.Second)+1, func() { w.exit(c, "exit status 1") })
		}
	}
	// Time to reach the full pause, and one more of it, beyond GiveUpAfter.
	if err := w.run(w.cfg.GiveUpAfter + 4*w.cfg.BackoffMax); err != nil {
		return err
	}
	if gave := w.watch.seen["pool.GiveUp"]; w.cfg.GiveUpAfter > 0 && gave != 1 {
		return fmt.Errorf("no child lives, and the pool gave up %d times", gave)
	}
	return nil
}

// calm stops all faults; then every slot must come to work.
func (w *world) calm() error {
	w.benign = true
	w.tell(pool.Resized{Slots: 1 + w.rng.IntN(4)})
	if w.alive == 0 {
		w.preload(1)
	}
	for _, c := range w.procs {
		c.stubborn = false
		c.memory = 20 << 20
	}
	if err := w.run(60 * time.Second); err != nil {
		return err
	}
	able := map[pool.SlotID]bool{}
	for range 50 { // some are between two children at any moment
		if err := w.run(200 * time.Millisecond); err != nil {
			return err
		}
		for _, v := range w.pool.Snapshot(w.now) {
			able[v.Slot] = able[v.Slot] || w.pool.MayTake(v.Child)
		}
	}
	if len(able) != w.pool.Size() || slices.Contains(slices.Collect(maps.Values(able)), false) {
		if !w.watch.closed { // given up
			return fmt.Errorf("after a quiet minute not all of %d slots work: %+v", w.pool.Size(), w.pool.Snapshot(w.now))
		}
	}
	return nil
}

// end drains; that ends in time.
func (w *world) end() error {
	grace := w.soon(time.Millisecond, 10*time.Second)
	began := w.now
	w.tell(pool.DrainBegan{Deadline: w.now.Add(grace)})
	if w.rng.IntN(3) == 0 {
		w.later(w.soon(1, grace+time.Second), func() { w.tell(pool.DrainHurried{}) })
	}
	if err := w.run(time.Hour); err != nil {
		return err
	}
	// A SIGKILL takes up to 5 ms in this world.
	if took, most := w.now.Sub(began), grace+w.cfg.CutoffGrace+10*time.Millisecond; !w.watch.drained || took > most {
		return fmt.Errorf("the drain took %s, at most %s were right (drained: %t)", took, most, w.watch.drained)
	}
	return nil
}

func TestNoInvariantBreaksInARandomWorld(t *testing.T) {
	first, last := uint64(1), *seeds
	if *seed != 0 {
		first, last = *seed, *seed
	}
	seen := map[string]int{}
	for s := first; s <= last; s++ {
		w := newWorld(t, s)
		err := w.live()
		if err == nil {
			err = w.replay()
		}
		if err != nil {
			t.Fatalf("seed %d, at %s: %v\nrun it again with -seed %d\n%s", s, w.now.Sub(w.start), err, s, w.story(t, s, err))
		}
		for what, n := range w.watch.seen {
			seen[what] += n
		}
	}
	if *seed == 0 && *seeds >= 25 {
		worldIsRich(t, seen)
	}
}

// worldIsRich fails if the worlds were too kind to try what they are there for.
func worldIsRich(t *testing.T, seen map[string]int) {
	for _, what := range []string{
		"pool.Drained", "pool.GiveUp", "pool.Interrupt", "pool.PausePrefetch", "pool.StartGeneration", "backoff crashed",
		"draining max_tasks", "draining max_memory", "draining max_age", "draining reload", "draining resize", "draining drain", "draining oom",
		"killing hung", "killing hard_limit", "killing oom", "killing cutoff", "killing broken", "killing terminate",
		"empty crashed", "empty exited", "empty fork_failed", "ready max_tasks", "ready crashed",
	} {
		if seen[what] == 0 {
			t.Errorf("no world had %q", what)
		}
	}
	t.Logf("seen: %v", seen)
}

// replay runs the script of a world: it must come to the same actions.
func (w *world) replay() error {
	var out bytes.Buffer
	if err := script.Run(strings.NewReader(w.text()), &out); err != nil {
		return err
	}
	var replayed []string
	_, result, _ := strings.Cut(out.String(), "----\n")
	for line := range strings.Lines(result) {
		_, said, _ := strings.Cut(strings.TrimSpace(line), " ")
		replayed = append(replayed, strings.TrimSpace(said))
	}
	if d := cmp.Diff(w.said, replayed); d != "" {
		return fmt.Errorf("the script of the world does something else (-world +script):\n%s", d)
	}
	return nil
}

func (w *world) text() string { return strings.Join(w.lines, "\n") + "\n" }

// story leaves the script that shows a failure, and tells its end.
func (w *world) story(t *testing.T, seed uint64, cause error) string {
	file := filepath.Join(os.TempDir(), fmt.Sprintf("pool-seed-%d.txt", seed))
	text := fmt.Sprintf("# Seed %d: %s\n%s", seed, strings.ReplaceAll(cause.Error(), "\n", "\n# "), w.text())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Log(err)
	}
	last := w.lines[max(0, len(w.lines)-40):]
	return fmt.Sprintf("the script is in %s; it ends\n%s", file, strings.Join(last, "\n"))
}
