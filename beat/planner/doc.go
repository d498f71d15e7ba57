// Package planner decides which ticks are due now and when to look again. It sends
// none of them.
//
// # What it is
//
// A plain value owned by one goroutine. Events go in, actions come out:
//
//	acts = p.Step(now, event, acts[:0])
//
// It holds every entry with its record, in a heap by the moment at which there is
// something to do about it. It reads no clock and starts nothing; the scripts in
// testdata tell what it does.
//
// # Authority
//
// The store is right about what has been sent; records here are a copy that moves
// only with its answers. So any number of planners may offer the same ticks: the
// due moments follow from the records alone, and the store sends each once.
// Python is right about the schedules that only it knows. The caller's clock is right
// about now, and should be the one that all replicas share (the store's): a
// record that a wrong clock moved into the future holds its entry up until then.
//
// # An entry's states
//
//	waiting ─┬─ its time has come ──────────────► offered
//	         ├─ its time has come, Python's ────► asked
//	         └─ older than the deadline ────────► waiting   Skipped; the record stays
//	asked   ─┬─ due ────────────────────────────► offered
//	         ├─ not due, after its pause ───────► asked
//	         └─ it raised, after MaxInterval ───► asked
//	offered ─┬─ Published ──────────────────────► waiting   the record moves
//	         └─ Failed, after Retry ────────────► offered
//
// # Batches
//
// All that is due at once goes into one Publish, up to Batch ticks; entries in the order
// of their first due moments. The rest follows in the next. One Publish is open at a
// time. After Failed nobody knows what of it was carried out, so what is due is looked
// for again from the same records: the same ticks are found, in the same order, and
// those that have come due meanwhile. The rules for gaps and deadlines apply to them
// anew. If the failure outlasted the window, ticks that were offered may be counted
// as skipped although the store has sent them; none is sent twice, as the one that
// stands for the gap is the latest.
//
// # Gaps
//
// schedule.Due decides what of a gap is made up. Skipped tells what is not, once it is
// settled: with the outcome of the tick that stands for the gap, or at once when
// nothing is sent.
//
// # Python's schedules
//
// As in Celery, is_due is asked with the last run; if it says that the entry is due,
// the tick is offered, and is_due is asked again when it said to. Its tick gets the due
// moment that Python tells, if it tells one that is over, or else now. A gap
// gets one tick. Nothing is asked while a Publish is open or a failed one waits.
//
// # Reloading
//
// Entries that stay keep their record, also under a new schedule: it counts from the
// last run, as in Celery, and may be due at once. New ones count from now. An answer
// to a question about an earlier schedule is ignored.
//
// # The clock
//
// When it is set back, nothing is sent twice: a tick is due only after its record.
// What was dropped for a deadline, and what Python said, is decided again. When it is
// set forward, that is a gap. No alarm is further away than MaxInterval.
//
// # Invariants
//
//   - the ticks of an entry are offered in the order of their due moments, each after
//     the entry's record, none in the future
//   - between Publish and its answer there is no other Publish
//   - a tick is offered until the store has answered, or a rule drops it
//   - the alarm is never later than the next due moment, or than MaxInterval from now
//
// # What the caller owes
//
//   - Loaded first, while no Publish is open; Woke when the alarm's time has come
//     (early is harmless); to every Publish one Published or Failed, to every Ask an
//     Answered of its ID.
//   - When the store says Fenced the term is over, and the planner with it.
package planner
