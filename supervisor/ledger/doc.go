// Package ledger knows where every delivery is: at the broker, held by one
// child, or settled.
//
// # What it is
//
// A plain value owned by one goroutine. Every delivery that the broker handed
// to us has one Entry from Take until Settled or Drop; the entry is in exactly
// one Place. The ledger moves entries and refuses moves that would break the
// promises; it decides nothing and does nothing.
//
//	         ┌──────────────► Scheduled ──┐ (its time has come)
//	Take ────┤                            ▼
//	         └──────────────► Reserved ◄──┴───────────── (taken back)
//	                           │     │                        ▲
//	    (early acknowledgment) ▼     │ (late, or accepted)    │
//	                       Accepting─┴─► Queued ──► Active ───┤
//	                                                 │        │
//	                         (child died, steward) Reporting  │
//	                                                 │        │
//	                     any place ──► Settling ◄────┘        │
//	                                      │                   │
//	                            Settled, Drop: no entry any more
//
// # Authority
//
// The broker is right about what is owed: when it says that a tag is gone,
// Lose marks the entry, and an entry that is lost is never settled. The ledger
// is right about what is being done: a delivery whose child has begun it is
// Active until the child reports its end or the kernel reports the child's.
//
// # Invariants (Check)
//
//   - an entry is in exactly one place, and in that place's list
//   - a delivery is settled at most once
//   - a child has at most one active entry, and it is the oldest of those sent
//   - an early-acknowledged entry is Queued or Active only when Accepted
//   - an entry that was lost is never Settling
//
// # What it deliberately does not do
//
// It knows nothing of tasks, time limits, policies or the broker's commands,
// and it reads no clock.
package ledger
