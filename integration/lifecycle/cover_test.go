//go:build integration

package lifecycle

import (
	"fmt"
	"strings"
	"testing"
)

// The dimensions of the lifecycle matrix: what happens to a worker, what it has in
// hand then, and what kind of worker it is.
var dimensions = [5][]string{
	{"TERM", "TERM-twice", "INT", "QUIT", "HUP", "KILL-child", "KILL-grandchild", "OOM", "hang", "exit-1-at-start", "never-ready"},
	{"idle", "active", "reserved"},
	{"redis", "rabbitmq", "filesystem"},
	{"prefork", "solo", "threads", "gevent"},
	{"worker", "exec"}, // crisper worker --runtime=celery --children 2, crisper exec -- celery
}

// cell is one row of the matrix: a value of each dimension.
type cell [len(dimensions)]string

func (c cell) event() string     { return c[0] }
func (c cell) load() string      { return c[1] }
func (c cell) transport() string { return c[2] }
func (c cell) pool() string      { return c[3] }
func (c cell) exec() bool        { return c[4] == "exec" }
func (c cell) String() string    { return strings.Join(c[:], ",") }

// allCells is the whole cross product, in the order of the dimensions.
func allCells() []cell {
	cells := []cell{{}}
	for d, values := range dimensions {
		var next []cell
		for _, c := range cells {
			for _, v := range values {
				c[d] = v
				next = append(next, c)
			}
		}
		cells = next
	}
	return cells
}

// pair is two values of two dimensions.
type pair struct{ first, second string }

func (c cell) pairs() (all []pair) {
	for i := range c {
		for j := i + 1; j < len(c); j++ {
			all = append(all, pair{fmt.Sprint(i, c[i]), fmt.Sprint(j, c[j])})
		}
	}
	return all
}

// covering chooses cells in which every two values of two dimensions meet: again and
// again a cell that brings the most new pairs, of these one whose values were chosen
// least, of these the first. The same input gives the same choice.
func covering(from []cell) (chosen []cell) {
	open := map[pair]bool{}
	for _, c := range from {
		for _, p := range c.pairs() {
			open[p] = true
		}
	}
	used := map[string]int{}
	for len(open) > 0 {
		var best cell
		most, least := 0, 0
		for _, c := range from {
			n, uses := fresh(c, open), 0
			for _, value := range c {
				uses += used[value]
			}
			if n > most || n == most && uses < least {
				best, most, least = c, n, uses
			}
		}
		for _, p := range best.pairs() {
			delete(open, p)
		}
		for _, value := range best {
			used[value]++
		}
		chosen = append(chosen, best)
	}
	return chosen
}

func fresh(c cell, open map[pair]bool) (n int) {
	for _, p := range c.pairs() {
		if open[p] {
			n++
		}
	}
	return n
}

func TestEveryTwoValuesOfTheLifecycleMatrixMeetInTheChoice(t *testing.T) {
	all, chosen := allCells(), covering(allCells())
	missing := map[pair]bool{}
	for _, c := range all {
		for _, p := range c.pairs() {
			missing[p] = true
		}
	}
	for _, c := range chosen {
		for _, p := range c.pairs() {
			delete(missing, p)
		}
	}
	if len(missing) > 0 {
		t.Errorf("these never meet: %v", missing)
	}
	// 11 events with 4 pools are 44 pairs, and a cell has one of them.
	t.Logf("%v", chosen)
	if n := len(chosen); n < 44 || n > 60 {
		t.Errorf("%d of %d cells are chosen", n, len(all))
	}
	if fmt.Sprint(chosen) != fmt.Sprint(covering(all)) {
		t.Error("the choice is not the same twice")
	}
}
