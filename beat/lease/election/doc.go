// Package election decides when a candidate looks at the Lease, claims it, renews it,
// stops leading and gives it back. It does none of it: Step takes what happened and
// returns what to do, and reads no clock.
//
// # Authority
//
// The record is right about who holds the Lease; a write that is not based on its
// newest version is not carried out. Each candidate's own clock is right about how
// long ago something happened to itself, and about nothing else: the only times that
// are compared were read from the same clock. The record's own time is for people.
//
// # States
//
//	Following ── claimed ──────────────────► Leading
//	          ── claimed, but stopping ────► Releasing
//	          ── stopped, or cannot go on ─► Finished
//	Leading   ── deadline, lost, stopped ──► Ending
//	          ── the work has returned ────► Releasing
//	          ── after a long stall ───────► Following
//	Ending    ── the work has returned ────► Releasing
//	          ── and the Lease is lost ────► Following
//	          ── and we are stopping ──────► Finished
//	Releasing ── given back, or too late ──► Following
//	          ── and we are stopping ──────► Finished
//
// # The two deadlines of a term
//
//	start of the renewal                    deadline        expiry
//	──┬──────────┬──────────┬───────────────────┬──────────────┬──────────►
//	  │ 0        │ written  │ 2 s: next one     │ 4 s: the     │ 6 s: the first moment at
//	  │          │          │ is due            │ context ends │ which another can claim,
//	  │          └ others see a change at the   │              │ if he saw the change at
//	  │            earliest here                │              │ the moment of the start
//
// Both are measured from the start of the last attempt that was carried out, the
// others' patience from when they saw its effect, which is later. What is left between
// the two belongs to the work for coming to its end.
//
// # Invariants
//
//   - At any moment at most one candidate is Leading with its deadline ahead, as long as the
//     record is not lost, and clocks run at the same rate within a sixth.
//   - The token of a term is greater than that of every term before it, with the same proviso.
//   - At most one call is under way; every call is bounded, and none outlives the term it is for.
//   - A renewal that is answered after the deadline extends nothing: the end of a term is the first
//     thing that any step looks for. So a process that was stopped ends its term before anything else.
//   - Between two terms of one candidate, the work of the first has returned.
//
// # When things fail
//
// Every answer may be lost and every write may arrive late. A write that arrives late is
// a conflict, unless the record has not moved at all; then it names a candidate who does
// not lead, and who finds his own name there (a name is never used by two processes) and
// claims anew, with another token. A renewal that was carried out without our knowing
// shows as a conflict with our own token in the record: the term goes on.
//
// A record that is deleted while somebody leads leaves room for a second leader until the
// first one's next renewal. Candidates that saw him leave him his time all the same; one that has
// just started knows nothing of him. Then the token decides: candidates remember the greatest that
// they have seen, and Raise tells what a store has seen.
//
// A refusal is not believed until it has lasted for a whole duration, for an API server that has
// just started refuses everybody; for ten, where the same was allowed before. A refused write
// counts only while looks are allowed, that is while the server knows our role. A leader that is refused leads to the end of its term.
package election
