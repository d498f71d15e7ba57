package celery

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"crisper/supervisor/agent"
	"crisper/supervisor/celery/hang"
	"crisper/supervisor/celery/ring"
	"crisper/supervisor/pool"
)

// said is one line of the agent. Facts about single deliveries and tasks are in the ring.
type said struct {
	Said   string      `json:"said"` // hello, ready, broker, anew, counts, told, leaving, off
	Upto   uint64      `json:"upto"` // the ring may be read to here
	Why    string      `json:"why"`
	Node   string      `json:"node"`
	Python string      `json:"python"`
	Celery string      `json:"celery"`
	Pool   string      `json:"pool"` // prefork, solo, …
	Start  agent.Start `json:"start"`
	Broker BrokerInfo  `json:"broker"`
	counts
}

// counts is what a worker has in hand, and how many tasks it has accepted.
type counts struct {
	Accepted int         `json:"accepted"`
	Active   int         `json:"active"`
	Reserved int         `json:"reserved"` // active ones included
	Tasks    [][2]string `json:"tasks"`    // id, name
	Room     *bool       `json:"room"`     // null: the transport does not say
	Queues   []string    `json:"queues"`   // that it is to consume
}

// BrokerInfo is how an app reaches its broker. URLs hold passwords: never log them.
type BrokerInfo struct {
	URLs             []string                   `json:"urls"`
	FailoverStrategy string                     `json:"failover_strategy"`
	TransportOptions map[string]json.RawMessage `json:"transport_options"`
	UseSSL           json.RawMessage            `json:"use_ssl"`
	ConnectTimeout   float64                    `json:"connect_timeout"` // seconds; 0: not given
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

// connect makes what a child and its agent speak through. theirs are the extra files of
// its process, in the order of injected; they are to be closed when it is there.
func (c *child) connect() (theirs []*os.File, err error) {
	shared, err := ring.New()
	if err != nil {
		return nil, err
	}
	ours, link, err := socketpair()
	if err != nil {
		shared.Close()
		return nil, err
	}
	c.link, c.ring = ours, shared
	return []*os.File{link, shared.File()}, nil
}

// disconnect ends listen, also when a grandchild holds the other end.
func (c *child) disconnect() {
	c.link.Close()
	c.ring.Close()
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// hangUp makes the reader of our end find the end after all that was ever said, though
// other processes than the one that is gone may still hold the agent's end.
func hangUp(link *os.File) {
	raw, err := link.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RD) })
	}
	if err != nil {
		link.Close() // never seen; and better than to wait for ever
	}
}

// longestLine bounds what an agent may say at once; more is nonsense.
const longestLine = 1 << 20

// listen reads until the end of the link. What comes at once goes to the loop at once.
func (w *warden) listen(id pool.ChildID, link *os.File) {
	var pending []byte
	buffer := make([]byte, 64<<10)
	for {
		n, err := link.Read(buffer)
		pending = append(pending, buffer[:n]...)
		at := bytes.LastIndexByte(pending, '\n') + 1
		whole := bytes.Clone(pending[:at])
		pending = append(pending[:0], pending[at:]...)
		if len(whole) > 0 {
			w.post(func() { w.onLines(id, whole) })
		}
		if len(pending) > longestLine {
			w.post(func() { w.onSaid(id, said{Said: "off", Why: "it speaks nonsense: a line without an end"}) })
			pending = nil
		}
		if err != nil {
			w.post(func() { w.onHungUp(id) })
			return
		}
	}
}

// onHungUp: the agent will not say anything more. Its process has died, or runs another
// program now (Celery does so for HUP).
func (w *warden) onHungUp(id pool.ChildID) {
	if c := w.children[id]; c != nil {
		records, err := c.ring.Rest()
		w.take(c, records, err)
		c.hungUp = time.Now()
		w.watch.Left(uint64(id))
	}
}

func (w *warden) onLines(id pool.ChildID, text []byte) {
	c := w.children[id]
	if c == nil {
		return
	}
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		if len(line) == 0 || c.off {
			continue
		}
		if err := w.onLine(c, line); err != nil {
			w.onSaid(id, said{Said: "off", Why: "it speaks nonsense: " + err.Error()})
		}
	}
}

func (w *warden) onLine(c *child, line []byte) error {
	var s said
	if err := json.Unmarshal(line, &s); err != nil {
		if c.gone { // it died within a line
			return nil
		}
		return err
	}
	records, err := c.ring.Upto(s.Upto)
	w.take(c, records, err)
	if s.Said != "" && !c.off {
		w.onSaid(c.id, s)
	}
	return nil
}

// glance reads what workers have written whose loops stand still, and which therefore do
// not say so.
func (w *warden) glance() {
	for _, c := range w.children {
		every := tickEvery
		if c.keeper != nil {
			every = min(every, w.round(c.keeper))
		}
		if time.Since(c.glanced) >= every {
			c.glanced = time.Now()
			records, err := c.ring.Glance()
			w.take(c, records, err)
		}
	}
}

// take takes in what was read from the ring.
func (w *warden) take(c *child, records []byte, err error) {
	if c.off {
		return
	}
	took := false
	if err == nil {
		took, err = c.hand.Read(records)
	}
	if took {
		w.watch.Took(time.Now(), uint64(c.id))
	}
	if err != nil {
		w.onSaid(c.id, said{Said: "off", Why: "it writes nonsense: " + err.Error()})
	}
}

func (w *warden) onSaid(id pool.ChildID, s said) {
	c := w.children[id]
	if c == nil {
		return
	}
	c.heard = true
	switch s.Said {
	case "hello":
		w.python = s.Python
	case "ready":
		w.celery, c.start, c.node = s.Celery, s.Start, cmp.Or(s.Node, c.node)
		w.watch.Ready(time.Now(), uint64(id), s.Pool)
		w.ready(c)
	case "broker":
		c.keeper = w.keeperFor(s.Broker)
	case "anew":
		w.anew(c)
	case "counts":
		w.watch.Said(time.Now(), uint64(id), reportOf(s.counts))
		w.counted(c, s.counts)
	case "leaving":
		w.leaves(c) // told by whomever: what follows a TERM is QUIT
	case "off":
		c.off = true
		w.watch.Left(uint64(id))
		w.log.Warn("the agent of a worker is off", zap.String("node", c.node), zap.String("why", s.Why))
	}
}

func reportOf(now counts) hang.Report {
	r := hang.Report{Active: now.Active, Queues: now.Queues}
	if now.Room != nil {
		r.Room = hang.Full
		if *now.Room {
			r.Room = hang.Free
		}
	}
	return r
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
