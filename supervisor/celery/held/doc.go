// Package held knows what one Celery worker has in hand, from what its agent tells.
//
// # What it is
//
// A plain value for one goroutine: Read takes facts in, the rest are questions. A fact
// is a record, numbers little endian:
//
//	length  uint16   of what follows
//	kind    byte
//	time    float64  Unix, on the worker's clock
//	…                the fields
//
//	t   tag                        about to be booked as in hand
//	k   tag                        booked; told where that took longer than a fifth of a second
//	s   tag                        settled: acknowledged, rejected or put back
//	a   late, m, n, tag, id, name  its task begins; late (a byte): acknowledged late;
//	                               m and n (uint16): bytes of the tag and of the id
//	m   more, n, id, part          its message, where nobody will deliver it again; more (a
//	                               byte): another part follows; n (uint16): bytes of the id
//	e   id                         and has ended
//
// A last field ends with its record. Tags, ids and names come from messages, so that
// none of them can be mistaken for anything else, and the agent cuts each to 512 bytes:
// the delivery of a tag that is longer is looked for in vain. testdata/records.json has
// records that this side reads and the agent writes.
//
// # Authority
//
// The broker is right about whose a delivery is. A tag is the message's and not the
// taking's: it comes back when somebody restores the message, in the hands of another.
// So each delivery carries the span in which its score must lie to be this worker's:
// from "t" to "k" or a fifth of a second, or exactly what was written last when it was renewed. What is told
// too late, or not any more because the worker died in between, therefore costs a
// question and never a delivery: "t" comes before the booking, "s" after the settling.
//
// A delivery that was to be acknowledged when its task began, and is still in hand when
// that has ended, is done: the acknowledgment was lost with a connection. It is not given
// back but acknowledged, by whoever gives back the others.
//
// The bytes are believed to be nobody's: what is no record is an error, and its reader
// does not read on.
//
// # Invariants
//
//   - Deliveries are in the order of taking
//   - a delivery that was taken anew is not touched by what is said of the taking before
//   - a message is whole or is not there, and all together are no more than mostKept
package held
