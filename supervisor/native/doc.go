// Package native runs tasks itself: the loop in which deliveries, executors and
// settlements meet.
//
// # What it is
//
// One goroutine, loop.run, owns the pool, the ledger, the consumer and every
// table below. Everything that happens reaches it as an event in one bounded
// channel; it applies what is there, performs the actions that the pure
// packages answer with, and then takes one turn: dispatch, take, settle, set
// the timer. It never blocks: whatever may block runs in a goroutine of its own
// and comes back as an event.
//
//	broker ──taken, settled, gone──┐                    ┌──► Take, Settle   (one goroutine each)
//	executors ──frames─────────────┤   ┌────────────┐   ├──► frames to executors (never blocking)
//	kernel ──exit statuses─────────┼──►│    loop    │───┼──► signals to processes
//	zygotes, steward ──answers─────┤   └────────────┘   ├──► fork requests, steward requests
//	signals, admin, measurements ──┘    pool, ledger,   └──► log, metrics, state page
//	timer (the earliest wish of all)    consumer: pure
//
// # The way of a delivery
//
//	early acknowledgment: take → reserve → tell the broker that it starts (Accept)
//	   → confirmed → into the executor's socket → begun → done → Ack
//	late acknowledgment:  take → reserve → into the executor's socket → begun (Begin,
//	   so that a death counts) → done → verdict by Celery's matrix
//
// An early-acknowledged task is therefore never started before the broker knows
// that nobody may start it again, and if we die while it runs the broker still
// has it, marked as begun: a peer records it as failed. Nothing is lost in silence.
//
// Where the app has handlers of task_received, what was taken waits until the steward
// has told them (herald.go); elsewhere nobody is asked.
//
// Short early-acknowledged tasks are accepted by the Take itself, as many as there is
// room for below (ahead.go): one step of the broker instead of two.
//
// For tasks that take milliseconds several deliveries lie ready in an
// executor's socket (lookahead), so that neither side waits for the other. They are
// taken back, by reading them out of the socket again, when the task before
// them grows slow, when the executor is retired and when it dies: the kernel
// gives each packet either to the executor or to us.
//
// # Authority
//
// The kernel is right about who lives: only the exit status empties a seat, and only
// after everything that the child had said has been read. The broker is right
// about what is ours: a delivery that it says is gone is never settled.
//
// # Failure handling
//
//   - broker away: what is running goes on; settlements wait and are sent again
//     when it is back; nothing early-acknowledged starts meanwhile
//   - executor dies: its unbegun deliveries go back to the front of the line, the
//     begun one is settled by Celery's matrix through the steward
//   - steward dies: what it was asked is asked again of the next one
//   - zygote dies: executors go on, the next generation is loaded
//
// # What it deliberately does not do
//
// It does not decide (pool, consumer and ledger do), decode bodies, or import
// the app.
package native
