package native

import (
	"os"
	"time"

	"crisper/broker"
	"crisper/supervisor/agent"
	"crisper/supervisor/pool"
	"crisper/supervisor/process"
	"crisper/supervisor/reaper"
)

// event is something that happened, for the loop.
type event interface{ event() }

type (
	// taken: a Take came back.
	taken struct {
		deliveries []broker.Delivery
		asked      int
		took       time.Duration
		err        error
	}
	// settled: a batch was confirmed, or failed as a whole.
	settled struct {
		batch []settlement
		gone  []broker.Tag
		err   error
	}
	// brokerSaid: the broker client reports.
	brokerSaid struct{ said broker.Event }
	// brokerEnded: the broker client gave up.
	brokerEnded struct{ err error }
	// childSpoke: whole frames from a child.
	childSpoke struct {
		child  pool.ChildID
		frames []byte
	}
	// childSilent: nothing more will come from this child. err is nil for the end
	// of its socket.
	childSilent struct {
		child pool.ChildID
		err   error
	}
	// childExited: the kernel's word.
	childExited struct {
		child  pool.ChildID
		status reaper.Status
	}
	// zygoteSaid: a preloaded process reports.
	zygoteSaid struct {
		generation pool.Generation
		said       agent.ZygoteEvent
	}
	// measured: memory of children and of the pod.
	measured struct {
		children []pool.ChildMemory
		pod      process.Memory
	}
	// signalled: a signal for us.
	signalled struct{ signal os.Signal }
	// asked: somebody wants to look at (or do) something in the loop.
	asked struct{ do func(*loop) }
)

func (taken) event()       {}
func (settled) event()     {}
func (brokerSaid) event()  {}
func (brokerEnded) event() {}
func (childSpoke) event()  {}
func (childSilent) event() {}
func (childExited) event() {}
func (zygoteSaid) event()  {}
func (measured) event()    {}
func (signalled) event()   {}
func (asked) event()       {}
