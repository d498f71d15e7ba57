package native

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"crisper/broker/celerymsg"
	"crisper/supervisor/agent"
	"crisper/supervisor/consumer"
	"crisper/supervisor/control"
	"crisper/supervisor/events"
	"crisper/supervisor/ledger"
	"crisper/supervisor/pool"
)

// view shows the worker to remote control (control.World).
type view struct{ l *loop }

var _ control.World = view{}

func (v view) Hostname() string          { return v.l.info.Hostname }
func (v view) Clock() int64              { return v.l.remote.clock.Value() }
func (v view) Forward() int64            { return v.l.remote.clock.Forward() }
func (v view) Revoked() []string         { return v.l.consumer.Revoked().IDs() }
func (v view) Slots() int                { return v.l.slots }
func (v view) Restarts() bool            { return v.l.cfg.Remote.Restarts }
func (v view) Custom(method string) bool { return slices.Contains(v.l.info.Remote.Commands, method) }
func (v view) Queues() []json.RawMessage { return v.l.remote.shown() }
func (v view) Known(task string) bool    { _, ok := v.l.info.Tasks[task]; return ok }
func (v view) EventsOn() (on, undo bool) {
	s := v.l.remote.sender
	return s.Wants(), !v.l.cfg.Remote.Events
}
func (v view) Autoscaler() (int, int, bool) { return v.l.scale.max, v.l.scale.min, v.l.scale.max > 0 }

func (v view) Signal(name string) (int, bool) {
	n := unix.SignalNum(name)
	return int(n), n != 0
}

func (v view) Active() []control.Task { return v.tasks(ledger.Active) }

func (v view) Reserved() []control.Task {
	return append(append(v.tasks(ledger.Queued), v.tasks(ledger.Accepting)...), v.tasks(ledger.Reserved)...)
}

func (v view) Scheduled() []control.Task {
	entries := v.l.book.InPlace(ledger.Scheduled)
	slices.SortStableFunc(entries, func(a, b *entry) int { return a.Due.Compare(b.Due) })
	return v.infos(entries)
}

func (v view) tasks(place ledger.Place) []control.Task { return v.infos(v.l.book.InPlace(place)) }

func (v view) infos(entries []*entry) (tasks []control.Task) {
	for _, e := range entries {
		tasks = append(tasks, v.info(e))
	}
	return tasks
}

// info is Request.info (celery/worker/request.py).
func (v view) info(e *entry) control.Task {
	m := &e.Delivery.Message
	t := control.Task{
		ID: m.ID, Name: events.Name(m), Type: m.Task, Hostname: v.l.info.Hostname,
		ArgsRepr: m.ArgsRepr, KwargsRepr: m.KwargsRepr, Stamps: consumer.Stamps(m), Handle: uint64(e.Seq),
		DeliveryInfo: control.DeliveryInfo{Exchange: m.Exchange, RoutingKey: m.RoutingKey, Priority: &m.Priority, Redelivered: m.Redelivered},
	}
	if eta, err := celerymsg.ParseTime(m.ETA, time.UTC); err == nil {
		t.ETA = events.ISOFormat(eta)
	}
	t.Args, t.Kwargs = arguments(m)
	if c := v.l.children[pool.ChildID(e.Child)]; c != nil && e.Place == ledger.Active {
		began := float64(e.Data.begun.UnixMicro()) / 1e6
		t.TimeStart, t.WorkerPID, t.Acknowledged = &began, &c.pid, e.Early
	}
	return t
}

// arguments are those of the body where it is JSON, else what the sender says of them.
func arguments(m *celerymsg.Message) (args, kwargs json.RawMessage) {
	var parts []json.RawMessage
	if m.ContentType == "application/json" && json.Unmarshal(m.Body, &parts) == nil && len(parts) > 1 {
		return parts[0], parts[1]
	}
	args, _ = json.Marshal(m.ArgsRepr) // strings always have a JSON form
	kwargs, _ = json.Marshal(m.KwargsRepr)
	return args, kwargs
}

func (v view) Stats() control.Stats {
	l := v.l
	s := control.Stats{
		Total: map[string]int64{}, PID: os.Getpid(), Clock: fmt.Sprint(l.remote.clock.Value()),
		Uptime: int64(l.now.Sub(l.startedAt).Round(time.Second).Seconds()),
		Pool:   v.pool(), Broker: l.info.Remote.Broker, PrefetchCount: v.prefetch(), Rusage: rusage(),
	}
	for name, k := range l.kinds {
		if k.begun > 0 {
			s.Total[name] = k.begun
		}
	}
	if maximum, minimum, ok := v.Autoscaler(); ok {
		work := l.book.Count(ledger.Active) + l.book.Count(ledger.Reserved) + l.book.Count(ledger.Queued)
		s.Autoscaler = &control.Autoscaler{Max: maximum, Min: minimum, Current: l.slots, Qty: work}
	}
	return s
}

// prefetch is the limit that Celery's consumer would have: scheduled tasks raise it.
func (v view) prefetch() int {
	if v.l.cfg.PrefetchMultiplier == 0 {
		return 0
	}
	waiting := v.l.book.Count(ledger.Scheduled)
	count := v.l.cfg.PrefetchMultiplier*v.l.maxSlots() + waiting
	if limit := v.l.cfg.ETALimit; limit > 0 && waiting > 0 {
		return min(count, limit)
	}
	return count
}

func (v view) pool() control.Pool {
	l := v.l
	p := control.Pool{
		Implementation: "celery.concurrency.prefork:TaskPool", MaxConcurrency: l.slots, Processes: []int{},
		MaxTasks: "N/A", Timeouts: [2]any{number(l.cfg.SoftLimit), number(l.cfg.HardLimit)},
		Writes: control.Writes{Strategy: "fair", Avg: "0.00"},
	}
	if l.cfg.Pool.MaxTasks > 0 {
		p.MaxTasks = l.cfg.Pool.MaxTasks
	}
	var counts []int64
	for _, slot := range l.pool.Snapshot(l.now) {
		if slot.PID == 0 {
			continue
		}
		p.Processes = append(p.Processes, slot.PID)
		written := int64(slot.TasksDone)
		p.Writes.Inqueues.Total++
		if c := l.children[slot.Child]; c != nil {
			written += int64(len(l.book.Sent(ledger.Child(c.id))))
			if c.waiting > 0 {
				p.Writes.Inqueues.Active++
			}
		}
		counts = append(counts, written)
		p.Writes.Total += written
	}
	p.Writes.All, p.Writes.Raw, p.Writes.Avg = shares(counts, p.Writes.Total)
	return p
}

// shares are the parts of the children as AsynPool.human_write_stats prints them.
func shares(counts []int64, total int64) (all, raw, avg string) {
	part := func(n float64) string {
		if n == 0 {
			return "0.00"
		}
		return fmt.Sprintf("%.2f", n/float64(total))
	}
	var alls, raws []string
	for _, n := range counts {
		alls, raws = append(alls, part(float64(n))), append(raws, fmt.Sprint(n))
	}
	return strings.Join(alls, ", "), strings.Join(raws, ", "), part(float64(total) / float64(max(1, len(counts))))
}

// number is a limit as Python has it: 0 for none, a whole number where it is one.
func number(d time.Duration) any {
	if d%time.Second == 0 {
		return int64(d / time.Second)
	}
	return d.Seconds()
}

// rusage is what getrusage says of this process, by Python's names.
func rusage() map[string]any {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return nil
	}
	seconds := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return map[string]any{
		"utime": seconds(r.Utime), "stime": seconds(r.Stime), "maxrss": r.Maxrss, "ixrss": r.Ixrss, "idrss": r.Idrss,
		"isrss": r.Isrss, "minflt": r.Minflt, "majflt": r.Majflt, "nswap": r.Nswap, "inblock": r.Inblock,
		"oublock": r.Oublock, "msgsnd": r.Msgsnd, "msgrcv": r.Msgrcv, "nsignals": r.Nsignals, "nvcsw": r.Nvcsw, "nivcsw": r.Nivcsw,
	}
}

// queue is one that is consumed, with what active_queues shows of it.
type queue struct {
	name  string
	shown json.RawMessage
}

func (r *remote) shown() (all []json.RawMessage) {
	for _, q := range r.queues {
		all = append(all, q.shown)
	}
	return all
}

func (r *remote) addQueue(q agent.NewQueue) {
	r.cancelQueue(q.Queue.Name)
	r.queues = append(r.queues, queue{q.Queue.Name, q.Shown})
}

func (r *remote) cancelQueue(name string) {
	r.queues = slices.DeleteFunc(r.queues, func(q queue) bool { return q.name == name })
}
