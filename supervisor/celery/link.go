package celery

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"crisper/supervisor/pool"
)

// said is one line of the agent.
type said struct {
	Said string `json:"said"` // hello, ready, counts, leaving, off
	Why  string `json:"why"`
	Node string `json:"node"`
	counts
}

// counts is what a worker has in hand, and how many tasks it has accepted.
type counts struct {
	Accepted int         `json:"accepted"`
	Active   int         `json:"active"`
	Reserved int         `json:"reserved"` // active ones included
	Tasks    [][2]string `json:"tasks"`    // id, name
}

// socketpair makes a link to a child. Our end is watched by Go's poller.
func socketpair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a socketpair: %w", err)
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, nil, fmt.Errorf("cannot make a socketpair: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "agent"), os.NewFile(uintptr(fds[1]), "supervisor"), nil
}

// longestLine bounds what an agent may say at once; more is nonsense.
const longestLine = 1 << 20

func (l *loop) listen(id pool.ChildID, link *os.File) {
	lines := bufio.NewScanner(link)
	lines.Buffer(nil, longestLine)
	for lines.Scan() {
		var s said
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			s = said{Said: "off", Why: "it speaks nonsense: " + err.Error()}
		}
		l.post(func() { l.onSaid(id, s) })
	}
}

func (l *loop) onSaid(id pool.ChildID, s said) {
	c := l.children[id]
	if c == nil {
		return
	}
	c.heard = true
	switch s.Said {
	case "ready":
		l.becomesReady(c)
	case "counts":
		l.onCounts(c, s.counts)
	case "leaving":
		c.told = true // by whomever: what follows a TERM is QUIT
	case "off":
		c.off = true
		l.log.Warn("the agent of a worker is off", zap.String("node", c.node), zap.String("why", s.Why))
	}
}

// onCounts tells the pool of the tasks that ended since the last report, one after
// the other, spread over the time that they took.
func (l *loop) onCounts(c *child, now counts) {
	c.counts = now
	ended := now.Accepted - now.Active - c.counted
	if ended <= 0 || !c.ready {
		return
	}
	at, from := time.Now(), c.ended
	each := at.Sub(from) / time.Duration(ended)
	for range ended {
		if !l.pool.MayTake(c.id) {
			break // it has its number; what it still finishes is not to be counted
		}
		c.counted++
		task := pool.TaskID(c.counted)
		l.stepAt(from, pool.TaskBegan{Child: c.id, Task: task})
		from = from.Add(each)
		l.stepAt(from, pool.TaskEnded{Child: c.id, Task: task})
	}
	c.ended = at
}
