// Package consumer decides the fate of a delivery: run now, wait for its ETA,
// revoke, expire, reject. It is Celery's strategy and Request
// (celery/worker/strategy.py, celery/worker/request.py) without the doing.
//
// # The order of the questions
//
//	Receive                                          first yes wins
//	   can the envelope and the body be decoded?  ── no ──► Undecodable   acked
//	   does anything name a task?                 ── no ──► Unroutable    rejected
//	   is the task registered?                    ── no ──► Unknown       rejected, failed
//	   is its content type accepted?              ── no ──► Invalid       rejected
//	   are id, limits, eta and expires readable?  ── no ──► Invalid       rejected
//	   is it past its expiry?                     ── yes ─► Expired       acked, revoked
//	   is it revoked, by id or by stamp?          ── yes ─► Revoked       acked, revoked
//	   did it kill too many children?             ── yes ─► Poisoned      parked
//	   is its ETA ahead?                          ── yes ─► Wait
//	   otherwise                                           Run
//	AtStart, right before a child gets it: expiry and revocation again
//	Settle, when a child said how it ended; Lost, when the child died: Celery's
//	   matrix (request.py, on_success, on_failure, on_timeout)
//
// # Authority
//
// The app is right about its tasks (Config), the message about itself: its
// limits come before the task's, which come before the worker's. Whether a
// delivery is late-acknowledged is the task's attribute alone.
//
// # Invariants
//
//   - a message gets exactly one fate, and the same one for the same now
//   - revoking is remembered for the id, not for the delivery: what expired once
//     stays expired when it is delivered again
//   - every fate but Run and Wait ends the delivery without running it
//
// # Differences from Celery
//
// Celery's parent decodes every body before it looks at the ETA; here a body is
// opaque and the executor says Undecodable or Invalid when it comes to run it. Stamps
// are looked at on receipt, too, not only when the message expires.
//
// # What it deliberately does not do
//
// It keeps no deliveries (the ledger does), has no clock and no timer, and
// records nothing in the result backend (the steward does).
package consumer
