package consumer

// Outcome is how a task ended, as its executor reports it: the numbers of
// wire.Outcome (a test keeps the two equal; this package imports no sockets).
type Outcome byte

// The outcomes.
const (
	Success         Outcome = 1
	Failure         Outcome = 2
	Retry           Outcome = 3
	Ignored         Outcome = 4
	Rejected        Outcome = 5
	RejectedAgain   Outcome = 6
	BodyUndecodable Outcome = 7
	BodyInvalid     Outcome = 8
	Exited          Outcome = 9
	OutOfMemory     Outcome = 10
)

// Verdict is how a delivery is settled.
type Verdict uint8

// The verdicts.
const (
	Ack Verdict = iota + 1
	Reject
	Requeue
)

func (v Verdict) String() string {
	switch v {
	case Ack:
		return "ack"
	case Reject:
		return "reject"
	case Requeue:
		return "requeue"
	}
	return "none"
}

// Settle is the verdict on a delivery whose task ended as reported
// (celery/worker/request.py, on_success and on_failure). What an early-acknowledged task says can
// change nothing any more: Celery has acknowledged it when it started, we drop our
// hold now. Where Asks says so, the steward is asked first, and this is the
// verdict if it cannot answer.
func Settle[O ~byte](task Task, outcome O) Verdict {
	if !task.AcksLate {
		return Ack
	}
	switch Outcome(outcome) {
	case Success, Retry, Ignored, BodyUndecodable:
		return Ack
	case Failure:
		return byFlag(task.AcksOnFailure)
	case Rejected, BodyInvalid:
		return Reject
	case RejectedAgain:
		return Requeue
	case Exited, OutOfMemory:
		return Lost(task, Died).Otherwise
	}
	return Reject
}

// byFlag: a failed late task is acked, or taken off the queue all the same.
func byFlag(acks bool) Verdict {
	if acks {
		return Ack
	}
	return Reject
}

// Asks names the operation that the steward is to be asked for after this
// outcome; empty: none, everything has been recorded by the executor.
func Asks[O ~byte](outcome O) string {
	switch Outcome(outcome) {
	case Rejected:
		return opReject
	case Exited, OutOfMemory:
		return opFailure
	case BodyInvalid:
		return opInvalid
	}
	return ""
}

// The operations of the steward (agent.OpFailure and so on).
const (
	opFailure = "failure"
	opTimeout = "timeout"
	opRevoked = "revoked"
	opReject  = "reject"
	opFail    = "fail"
	opInvalid = "invalid"
)

// How says what ended a child that was running a task.
type How uint8

// The ways.
const (
	// Died: by itself, by the kernel, or because it ate too much memory.
	Died How = iota + 1
	// TimedOut: killed for the task's hard time limit.
	TimedOut
	// Terminated: killed because remote control said so.
	Terminated
	// CutOff: killed because our grace period ended.
	CutOff
)

// Loss is what becomes of the delivery of a task whose child died.
type Loss struct {
	// Op is what the steward is to be asked for; its answer is the verdict. Empty:
	// nobody is asked.
	Op string
	// Otherwise is the verdict when the steward cannot answer, or is not asked. It
	// gives up nothing that was promised to run again.
	Otherwise Verdict
}

// Lost is what becomes of a task whose child ended before it did (request.py,
// on_failure with WorkerLostError, on_timeout, _announce_revoked).
func Lost(task Task, how How) Loss {
	switch how {
	case TimedOut:
		if task.AcksLate && !task.AcksOnTimeout {
			return Loss{Op: opTimeout, Otherwise: Requeue}
		}
		return Loss{Op: opTimeout, Otherwise: Ack}
	case Terminated:
		return Loss{Op: opRevoked, Otherwise: Ack}
	case CutOff:
		if task.AcksLate {
			return Loss{Otherwise: Requeue} // nothing was promised yet: it runs again
		}
		return Loss{Op: opFail, Otherwise: Ack}
	}
	switch {
	case !task.AcksLate:
		return Loss{Op: opFailure, Otherwise: Ack}
	case task.RejectOnWorkerLost || task.RetryOnWorkerLost:
		return Loss{Op: opFailure, Otherwise: Requeue}
	}
	return Loss{Op: opFailure, Otherwise: byFlag(task.AcksOnFailure)}
}
