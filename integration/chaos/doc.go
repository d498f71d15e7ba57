// Command chaos breaks things under load, again and again, and counts what was lost
// and what ran twice.
//
//	make chaos TRIALS=100
//	go run ./integration/chaos -trials 10 -rows child-late,peer
//	go run ./integration/chaos -trials 10 -stock      # the same faults, Celery's own worker
//	go run ./integration/chaos -runtime celery        # whole Celery workers as children; with -stock plain ones under the same faults
//
// # Authority
//
// Every task writes its own start and end to a journal outside the broker. The result
// backend, a redis-server of its own that no fault touches, says what was recorded. No
// worker is asked what became of a task.
//
// # Verdicts
//
//	early acknowledgment   fine: started once, and ended or recorded as failed with a reason
//	                       lost: neither ended nor recorded
//	                       doubled: started twice
//	late acknowledgment    fine: ended once; it may have been started before and cut off
//	                       lost: never ended, and not recorded as failed
//	                       doubled: ended twice
//	                       again: ended twice, and the fault struck after the first end before the
//	                       broker had heard of it: the result was not stored yet, or only for a
//	                       moment, or the broker still held the message. At-least-once means this; it is counted apart so that "doubled"
//	                       can be promised to be 0
//
// Celery's own: in the rows of half-open connections and of a killed redis-server, what the
// client inside whole Celery workers (kombu) lost or doubled is counted apart, if what
// redis-server was told shows it (wire.go), and only then. Where that is killed, its
// append-only file shows what was lost (appendonly.go), and all that is doubled is ours.
//
//	lost      it was popped by BRPOP and never written into unacked; nobody else took it
//	          away, and it does not wait
//	doubled   before each further taking kombu itself had put it back, no script of ours,
//	          and no HDEL of its tag had arrived by then
//
// Lost is judged when everything has been decided, or at the end of the patience that the
// fault's row states.
//
// A trial that on a busy machine comes too late to strike (its tasks are over) says
// nothing, and is made once more. With -busy more is taken for the machine's doing: the
// way of a settlement may take half a second, a worker may be seen to leave some
// seconds after its grace, and what a whole Celery worker was cut off from at the end of it
// may not be recorded in time. Lost and doubled stay what they are.
//
// # What it deliberately does not do
//
// It does not lose the broker's own data: redis-server is durable (append-only, fsync
// always) where it is killed. What a broker forgets no worker can restore.
package main
