// Package held knows what one Celery worker has in hand, from what its agent tells.
//
// # What it is
//
// A plain value for one goroutine: Line takes one fact in, the rest are questions.
//
//	["t", time, tag]                       about to be booked as in hand
//	["k", time, tag]                       booked
//	["s", time, tag]                       settled: acknowledged, rejected or put back
//	["a", time, tag, id, name, late]       its task begins (late: acknowledged late)
//	["e", time, id]                        and has ended
//
// # Authority
//
// The broker is right about whose a delivery is. A tag is the message's and not the
// taking's: it comes back when somebody restores the message, in the hands of another.
// So each delivery carries the span in which its score must lie to be this worker's:
// from "t" to "k", or exactly what was written last when it was renewed. What is told
// too late, or not any more because the worker died in between, therefore costs a
// question and never a delivery: "t" comes before the booking, "s" after the settling.
//
// # Invariants
//
//   - Deliveries are in the order of taking
//   - a delivery that was taken anew is not touched by what is said of the taking before
package held
