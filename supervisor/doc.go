// Package supervisor is PID 1 of a worker pod.
//
// It holds the shell only: what is started in which order, which signal means
// what, when the process leaves and with which exit code. What is decided while
// it runs is decided in the pure packages (pool, consumer, ledger); what is done
// is done by a runtime (native; later wrapped).
//
// # Start
//
//	probes and admin socket up (not ready) → interpreter found → agent unpacked →
//	zygote loads the app → its configuration decides the rest (queues, limits,
//	concurrency, broker) → broker connected → executors forked → "ready."
//
// An app that does not load ends the process at once with ExitApp and the app's
// own traceback: a crash loop that says why, instead of a pod that waits.
//
// # Signals
//
//	TERM   warm shutdown: take nothing more, give back what has not begun, let the
//	       rest end within --grace; a second TERM hurries: the rest is cut off now.
//	       One after a request to drain is the first
//	INT    warm shutdown; a second INT is a cold one
//	QUIT   cold shutdown: what runs is cut off now; exit code 1
//	HUP    load the app again and replace the children one by one; no task is cut
//	USR1   write the state of everything to stderr
//
// The same of the first three within 0.1 s is one, delivered twice (cmd/crisper/signals.go).
//
// # Drain
//
//	0        TERM: no Take any more; readiness is false; everything unbegun goes back
//	         to its queue, in order; idle children leave
//	…        busy children leave as their tasks end; the process leaves within 100 ms
//	         of the last one
//	grace−m  what still runs is cut off (TERM, then KILL): late-acknowledged tasks go
//	         back to their queue, early ones are recorded as failed (--on-cutoff)
//	grace    gone, whatever is open; peers restore what could not be settled
//
// # Invariants
//
//   - live children ≤ slots + surge
//   - every delivery is in exactly one place; it is settled at most once
//   - KILL only after TERM and its grace, or for a hang, a hard limit or memory
//   - after drain begins no delivery is taken
//   - drain ends within its grace
//   - a slot that crashes on start never spins; the pod exits with ExitChildren
package supervisor
