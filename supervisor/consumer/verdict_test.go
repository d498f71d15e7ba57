package consumer

import (
	"testing"

	"crisper/supervisor/agent"
	"crisper/supervisor/wire"
)

var (
	early    = Task{AcksOnFailure: true, AcksOnTimeout: true}
	late     = Task{AcksLate: true, AcksOnFailure: true, AcksOnTimeout: true}
	careful  = Task{AcksLate: true}
	rejects  = Task{AcksLate: true, AcksOnFailure: true, RejectOnWorkerLost: true}
	retries  = Task{AcksLate: true, AcksOnFailure: true, RetryOnWorkerLost: true}
	allTasks = []Task{early, late, careful, rejects, retries}
)

// Lines are of celery/worker/request.py, Celery 5.7.
func TestVerdictOnWhatAnExecutorReports(t *testing.T) {
	tests := []struct {
		name    string
		task    Task
		outcome wire.Outcome
		want    Verdict
		asks    string
	}{
		{"success (:628)", late, wire.Success, Ack, ""},
		{"failure, acks_on_failure (:763)", late, wire.Failure, Ack, ""},
		{"failure, not acks_on_failure: off the queue all the same (:768)", careful, wire.Failure, Reject, ""},
		{"retry: the new message has been sent (:635)", careful, wire.Retry, Ack, ""},
		{"ignore (:704)", careful, wire.Ignored, Ack, ""},
		{"reject: the parent records FAILURE (:686)", late, wire.Rejected, Reject, "reject"},
		{"reject and requeue (:703)", late, wire.RejectedAgain, Requeue, ""},
		{"a body that cannot be decoded (consumer.py:565)", careful, wire.Undecodable, Ack, ""},
		{"a body that is not accepted (consumer.py:785)", late, wire.Invalid, Reject, "invalid"},
		{"SystemExit: as a lost worker (:667)", late, wire.Exited, Ack, "failure"},
		{"SystemExit, reject_on_worker_lost", rejects, wire.Exited, Requeue, "failure"},
		{"MemoryError: nothing was stored (:679)", careful, wire.OutOfMemory, Reject, "failure"},
		{"early: acknowledged when it started, whatever it says", early, wire.RejectedAgain, Ack, ""},
		{"early and failed", early, wire.Failure, Ack, ""},
	}
	for _, tt := range tests {
		if got, asks := Settle(tt.task, tt.outcome), Asks(tt.outcome); got != tt.want || asks != tt.asks {
			t.Errorf("%s: %v and %q, want %v and %q", tt.name, got, asks, tt.want, tt.asks)
		}
	}
}

func TestWhatBecomesOfATaskWhoseChildDied(t *testing.T) {
	tests := []struct {
		name string
		task Task
		how  How
		want Loss
	}{
		{"early: failed (:778)", early, Died, Loss{agent.OpFailure, Ack}},
		{"late, acks_on_failure (:763)", late, Died, Loss{agent.OpFailure, Ack}},
		{"late, not acks_on_failure (:768)", careful, Died, Loss{agent.OpFailure, Reject}},
		{"reject_on_worker_lost (:755)", rejects, Died, Loss{agent.OpFailure, Requeue}},
		{"retry_on_worker_lost, and nobody to send the retry (:739)", retries, Died, Loss{agent.OpFailure, Requeue}},
		{"hard limit, acks_on_timeout (:611)", late, TimedOut, Loss{agent.OpTimeout, Ack}},
		{"hard limit, not acks_on_timeout (:614)", careful, TimedOut, Loss{agent.OpTimeout, Requeue}},
		{"hard limit, early", early, TimedOut, Loss{agent.OpTimeout, Ack}},
		{"terminated by remote control (:665)", careful, Terminated, Loss{agent.OpRevoked, Ack}},
		{"cut off, late: it runs again", careful, CutOff, Loss{"", Requeue}},
		{"cut off, early: recorded as failed", early, CutOff, Loss{agent.OpFail, Ack}},
	}
	for _, tt := range tests {
		if got := Lost(tt.task, tt.how); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestEveryOutcomeOfTheWireHasAVerdict(t *testing.T) {
	same := map[wire.Outcome]Outcome{
		wire.Success: Success, wire.Failure: Failure, wire.Retry: Retry, wire.Ignored: Ignored, wire.Rejected: Rejected,
		wire.RejectedAgain: RejectedAgain, wire.Undecodable: BodyUndecodable, wire.Invalid: BodyInvalid,
		wire.Exited: Exited, wire.OutOfMemory: OutOfMemory,
	}
	for w, o := range same {
		if byte(w) != byte(o) {
			t.Errorf("%d here is %d on the wire", o, w)
		}
		for _, task := range allTasks {
			if v := Settle(task, w); v < Ack || v > Requeue {
				t.Errorf("outcome %d of %+v has no verdict", w, task)
			}
		}
	}
}
