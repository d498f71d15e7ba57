// Package leader is the running beat: one replica of several, which has the app
// loaded, campaigns, and publishes the ticks while it leads.
//
// # What it is
//
//	Run ──> service    signals, reloads, probes: alive from start to end
//	  ├──── apps       the timekeeper (beat/app): loaded, replaced, started again when it dies
//	  ├──── elector    beat/lease; calls lead for each term
//	  └──── term       one goroutine that owns two lanes and what is known of the entries
//	          ├─ lane "own"    entries whose messages are blueprints: Go alone
//	          ├─ lane "asked"  entries whose schedule or message Python is asked for
//	          └─ hand          the goroutine that uses the Publisher, one request at a time
//
// A lane is a planner. There are two so that an app whose code hangs while it makes
// one message delays no entry that does not need it. When the timekeeper has died the
// own lane goes on from its blueprints, and the asked one waits for the next.
//
// # A term
//
//	announce ──> register ──> plan, publish, plan, … ──> end
//	beat_init    records, fence
//
// beat_init comes first, as in Celery, but is not waited for longer than a few seconds:
// what its receivers change is read when they are done. Register is repeated until it
// succeeds; it is what shuts out the leader before us. From then on every request
// carries the token. Before each the term is asked whether it is still ours, so that a
// replica that was frozen sends nothing when it wakes; what slips through between the
// question and the request the store refuses.
//
// # Authority
//
// The store is right about what was sent. The clock of the store, where it has one, is
// right about now: replicas with wrong clocks agree. Celery is right about entries and
// messages (beat/app).
//
// # The end of a term
//
//	TERM, INT         what is on its way gets a moment to arrive, then the Lease is released
//	Lease lost        the same, as long as nobody else can have it yet
//	Fenced            nothing more is sent; if the Lease is ours all the same, its token is raised
//	frozen, woken     the clock says that it is over; what is on its way is cut
//
// # When things fail
//
//   - Broker or store away: the same ticks are tried again, quickly at first. What was
//     missed meanwhile is made up by the rules of the planner (catch-up window, deadline).
//   - They refuse us (password, permission): Run ends with the error.
//   - An entry that Celery refuses is named in the log and in /state; the others run.
//   - A message that cannot be made: logged as Celery does, and the tick is over.
//   - The app cannot be loaded at start: Run ends with it. Later: the old one stays.
//   - The timekeeper does not answer: it is replaced.
//
// # What it does not do
//
// It does not run schedulers other than Celery's own: Child in Deps does, in a term.
package leader
