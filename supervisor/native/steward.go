package native

import (
	"encoding/json"
	"fmt"

	"go.uber.org/zap"

	"crisper/broker"
	"crisper/broker/celerymsg"
	"crisper/supervisor/agent"
	"crisper/supervisor/pool"
	"crisper/supervisor/reaper"
	"crisper/supervisor/wire"
)

// The operations, under the names used here.
const (
	opRevoked = agent.OpRevoked
	opUnknown = agent.OpUnknown
	opReject  = agent.OpReject
	opFail    = agent.OpFail
	opInvalid = agent.OpInvalid
	opSignal  = agent.OpSignal
)

// maxAsks is how often one question is put to stewards before the default
// verdict is taken and the failure is said aloud.
const maxAsks = 5

// ask is one question for the steward.
type ask struct {
	op      string
	message string             // of the exception
	args    map[string]any     // further arguments
	entry   *entry             // nil for most of opSignal
	tasks   []byte             // in place of an entry: Task payloads, one behind the other
	then    broker.Verb        // the verdict when no steward can answer
	died    bool               // a child died: a requeue counts a death
	answer  func(agent.Answer) // no verdict follows, and it is asked once
	parked  int                // deaths, when it is to be parked afterwards
	seq     uint64
	tries   int
}

// steward is the Python process that does what only Celery's parent can.
// Questions are put one after the other; those that are open when it dies are
// put to the next one.
type steward struct {
	id         pool.ChildID
	generation pool.Generation
	pid        int
	link       *wire.Conn
	page       *wire.Page
	ready      bool
}

// report asks the steward about a delivery.
func (l *loop) report(e *entry, a ask) {
	if e.Lost {
		l.drop(e)
		return
	}
	// It may come from the line or the schedule: take it out of there.
	if err := l.book.Withdraw(e); err != nil {
		l.bug("cannot withdraw a delivery", err)
		return
	}
	if err := l.book.Report(e); err != nil {
		l.bug("cannot report a delivery", err)
		return
	}
	a.entry = e
	l.put(&a)
}

// put queues a question.
func (l *loop) put(a *ask) {
	l.askSeq++
	a.seq = l.askSeq
	l.asks = append(l.asks, a)
	l.askNext()
}

// askNext puts the oldest question if the steward is free.
func (l *loop) askNext() {
	if l.asking != nil || len(l.asks) == 0 || l.steward == nil || !l.steward.ready {
		return
	}
	a := l.asks[0]
	frame, err := l.requestOf(a)
	if err != nil {
		l.bug("cannot encode a request", err)
		return
	}
	ok, err := l.steward.link.TrySend(frame)
	if err != nil || !ok {
		return // its death will be reported, and the next one is asked
	}
	l.asks = l.asks[1:]
	l.asking = a
	a.tries++
}

func (l *loop) requestOf(a *ask) ([]byte, error) {
	head := map[string]any{"op": a.op}
	for k, v := range a.args {
		head[k] = v
	}
	if a.message != "" {
		head["exc"] = map[string]string{"type": "WorkerLostError", "message": a.message}
	}
	js, err := json.Marshal(head)
	if err != nil {
		return nil, fmt.Errorf("cannot encode a steward request: %w", err)
	}
	var msg *celerymsg.Message
	if a.entry != nil {
		msg = &a.entry.Delivery.Message
	}
	frame := wire.AppendRequest(nil, a.seq, js, msg, l.info.Hostname)
	if a.tasks != nil {
		payload := wire.AppendRequest(nil, 0, js, nil, "")[wire.HeaderSize:]
		frame = wire.AppendFrame(nil, wire.Request, a.seq, append(payload, a.tasks...))
	}
	if len(frame) <= wire.MaxInline {
		return frame, nil
	}
	if l.spill != nil {
		l.spill.Close()
	}
	if l.spill, err = wire.Spill(frame[wire.HeaderSize:]); err != nil {
		return nil, err
	}
	return wire.AppendLarge(nil, a.seq, wire.Request, l.spill.Path()), nil
}

// forkSteward starts the next steward from the newest loaded zygote.
func (l *loop) forkSteward() {
	z := l.zygotes[l.generation]
	if l.steward != nil || z == nil || !z.loaded {
		return
	}
	link, theirs, err := wire.Pair()
	if err != nil {
		l.log.Error("cannot make a socket for the steward", zap.Error(err))
		return
	}
	defer theirs.Close()
	page, err := wire.NewPage()
	if err != nil {
		link.Close()
		l.log.Error("cannot make a page for the steward", zap.Error(err))
		return
	}
	l.stewards++
	s := &steward{id: stewardID(l.stewards), generation: l.generation, link: link, page: page}
	err = z.proc.Fork(agent.ForkRequest{
		Child: uint64(s.id), Role: "steward", Generation: int(l.generation), OOMScoreAdj: l.cfg.OOMScoreAdj,
	}, theirs, page.File())
	if err != nil {
		link.Close()
		page.Close()
		l.log.Error("cannot fork the steward", zap.Error(err))
		return
	}
	l.steward = s
	l.goes(func() { l.listen(s.id, link) })
}

// stewardID keeps stewards apart from the pool's children.
func stewardID(n int) pool.ChildID { return pool.ChildID(1<<62 + uint64(n)) }

func isSteward(id pool.ChildID) bool { return id >= 1<<62 }

func (l *loop) stewardForked(id pool.ChildID, pid int) {
	l.deps.Reaper.Watch(pid, func(st reaper.Status) { l.post(childExited{child: id, status: st}) })
	if l.steward != nil && l.steward.id == id {
		l.steward.pid = pid
	}
}

func (l *loop) stewardSpoke(ev childSpoke) {
	s := l.steward
	if s == nil || s.id != ev.child {
		return
	}
	for rest := ev.frames; len(rest) > 0; {
		f, more, err := wire.Parse(rest)
		if err != nil {
			l.log.Error("steward broke the protocol", zap.Error(err))
			l.stewardGone("broke the protocol")
			return
		}
		rest = more
		switch f.Kind {
		case wire.Hello:
			s.ready = true
		case wire.Answer:
			l.onAnswer(f)
		}
	}
	if s.generation < l.generation {
		l.retireSteward() // it answered for an app that has been reloaded since
		l.forkSteward()
	}
	l.askNext()
}

func (l *loop) onAnswer(f wire.Frame) {
	a := l.asking
	if a == nil || a.seq != f.Seq {
		return
	}
	l.asking = nil
	var ans agent.Answer
	if err := json.Unmarshal(f.Payload, &ans); err != nil {
		ans.Error = "unreadable answer: " + err.Error()
	}
	if a.answer != nil {
		a.answer(ans)
		return
	}
	if ans.Error != "" {
		l.log.Error("the steward could not record what became of a task", zap.String("op", a.op), zap.String("error", ans.Error), zap.Int("tries", a.tries))
		l.askAgain(a)
		return
	}
	l.tellRecorded(a, ans.Events)
	if a.parked > 0 {
		l.settle(a.entry, broker.Park, a.parked, a.message)
		return
	}
	switch a.op {
	case opFail, opRevoked, opInvalid, opUnknown, opSignal:
		l.settleThen(a)
	default:
		l.answered(a, ans.Verb)
	}
}

// settleThen takes the verdict that does not depend on the answer.
func (l *loop) settleThen(a *ask) {
	if a.entry == nil {
		return
	}
	l.settle(a.entry, a.then, a.parked, a.message)
}

// askAgain puts a question that was not answered to the same or the next steward, and
// at last takes the default verdict, aloud.
func (l *loop) askAgain(a *ask) {
	if a.answer != nil {
		a.answer(agent.Answer{Error: "the steward died while it was asked"})
		return
	}
	if a.tries < maxAsks {
		l.asks = append([]*ask{a}, l.asks...)
		return
	}
	if a.entry != nil {
		l.log.Error("nothing could be recorded about a task; settling it all the same",
			zap.String("task", a.entry.Data.kind.name), zap.String("task_id", a.entry.Delivery.Message.ID),
			zap.String("op", a.op), zap.String("verb", verbName(a.then)))
	}
	l.settleThen(a)
}

// stewardGone is called when its socket ends or it exits.
func (l *loop) stewardGone(why string) {
	s := l.steward
	if s == nil {
		return
	}
	l.steward = nil
	s.link.Close()
	s.page.Close()
	if a := l.asking; a != nil {
		l.asking = nil
		l.askAgain(a)
	}
	if l.leaving {
		return
	}
	l.log.Warn("the steward is gone; starting another", zap.String("why", why), zap.Int("pid", s.pid))
	l.stewardAt = l.now.Add(l.stewardWait.next(l.now))
}
