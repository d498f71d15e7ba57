// Package redisbroker implements broker over Redis the way kombu does; this page
// lists every key it touches.
//
// # What it is
//
// A Consumer on kombu's own layout (kombu/transport/redis.py), so that stock
// workers and Crisper may serve the same queues at the same time. All that must
// be atomic is one Lua script; the scripts are in lua/, one per file.
//
// Keys of kombu, all behind global_keyprefix:
//
//	{queue}, {queue}\x06\x16{step}   LIST  messages, one list per priority step
//	unacked                          HASH  tag -> [payload, exchange, routing key]
//	unacked_index                    ZSET  tag -> Unix time of taking or renewal
//	unacked_mutex                    STRING held while old deliveries are restored
//	_kombu.binding.{exchange}        SET   bindings of the consumed queues
//	_kombu.binding_permanent.{exchange}    the same, for those without x-expires
//	/{db}.{control_exchange}.pidbox        CHANNEL  questions of remote control
//	/{db}.celeryev/{type}                  CHANNEL  events
//	{oid}.reply.{control_exchange}.pidbox  LIST  replies to one who asked
//
// Keys of ours:
//
//	crisper.owners       HASH  tag -> worker id and how far it has come
//	crisper.presence     ZSET  worker id -> when it is dead (server time, ms)
//	crisper.dead_letter  LIST  parked messages as JSON, the newest first
//
// An owner value is the worker id, followed by nothing (reserved), + (a task
// acknowledged late has begun), ! (one acknowledged early has begun) or = (the same,
// recorded by the take itself: to peers like !, but a take of our own whose answer
// was lost is given back as never begun).
//
// The presence is shown while something is in hand. A worker with empty hands has
// nothing to restore, shows none, and looks for the dead with one plain read a beat:
// the lowest expiry moves unless its worker does not.
//
// # Authority
//
// Redis is right about who holds a delivery, and there crisper.owners together
// with unacked_index: a delivery is ours while its owner is our id and it is in
// the index. Stock workers know no owners, but what they restore leaves the
// index. Deliveries marked ! are out of the index on purpose: stock sweeps walk
// it, so none of them can run again what may not run twice. Messages without a
// delivery tag are out of it too (tag crisper-garbage:...), because stock workers
// fail on payloads that are no JSON.
//
// Time is the server's (TIME), for the pods' clocks differ.
//
// # Life of a delivery
//
//	                 take                       Begin            Accept
//	list ──────────────────────────> reserved ────────> begun + ───┐
//	  ^                                 │  └───────────────────────┴──> begun !
//	  │  Requeue (LPUSH), Restore (RPUSH), peer's sweep (RPUSH, + counts a death)│
//	  └─────────────────────────────────┴───────────────────┘                  │
//	                   Ack, Reject, Park: gone      peer's sweep: owned by the peer, Orphaned
//
// # Invariants
//
//   - A message is in a list or in unacked at every moment: taking, settling and
//     restoring are single scripts.
//   - A script does nothing to a delivery that is not its worker's. Several peers
//     that sweep at once restore each delivery once.
//   - A payload is never decoded and written again; marks are cut into its bytes.
//   - A unacked value is [payload, "", "queue"]: kombu restores it to exactly the
//     queue it came from.
//   - A password is in no error, no log and no event.
//
// # Order
//
// Priority by priority, within it the queues in cycle order, and the queue that
// served goes to the end (queue_order_strategy). A take of many simulates that
// message by message on the lengths of the lists, so that it gives what as many
// single takes of kombu would have given at that instant; a test compares them.
// Deliveries of one take have scores a microsecond apart, which renewal keeps:
// whoever restores them finds their order. Restore puts one batch back in the
// order of taking; of two batches the later one is taken first.
//
// # Waiting
//
// BLMOVE list list RIGHT RIGHT changes nothing and returns when there is a
// message. Each list has a connection for it, used only after a Take that came
// back short: a busy worker sends none, an idle one four in a minute for each queue.
// A Ready that no Take answers within 100 ms is said once more, as the caller may
// have read it before the answer of the Take that asked for it.
//
// # Connections
//
// Requests read and write their sockets by themselves (swift), without entering Go's
// scheduler: that wakes its monitor thread each time. Not with TLS, and not for BLMOVE.
//
// # Failure handling
//
//   - Any request without an answer ends the session: all connections are closed,
//     the next URL is tried. No request is sent twice by itself.
//   - A take whose answer was lost: on return, what is booked on us and not in our
//     hands is restored; looked for again twice, five seconds apart, because the
//     request may have been delayed rather than lost.
//   - A settlement whose answer was lost: the caller repeats it; what is then found
//     gone was settled by it and is not reported as gone.
//   - Half-open connections: the presence is shown every third of its period (looked at every half, with empty hands) with a
//     deadline of at most 2.5 s.
//   - Our presence ran out (paused, cut off): on return everything in hand is asked
//     for, before Connected; what others restored is reported as Gone. After more than
//     the visibility timeout also what carries a score that we did not write, since a
//     stock worker may then hold the same tag.
//   - A peer sweeps after it has been connected for a whole presence period: after an
//     outage everybody's presence has run out. Owners that are not listed at all (the
//     key was lost in a failover) are listed for one last period.
//   - Replies of a wrong password, a missing permission, an unknown command or a
//     version below 6.2 are final (ErrRefused) once every URL gave one; LOADING,
//     READONLY, MASTERDOWN and all else are waited out.
//
// # Keeper
//
// Looks after what a stock worker beside us has in hand, of which the caller knows the
// tags: renews it, and gives it back when the worker is dead. Stock workers book no
// owners, and a tag comes back with its message: that a delivery is still the worker's
// is known by its score, which lies between the two times at which the worker was about
// to write it and had written it, or is the one that we wrote last.
//
// # Backlog
//
// Ready is LLEN over all steps. Unacked and Scheduled of this worker are known;
// if others hold anything, unacked is scanned, up to 5000 values, beyond which the
// counts are scaled up. kombu writes no time into a message, so the age of the
// oldest is how long it has been seen at the end of its list, or the time in its
// sentry-task-enqueued-time header; a first look without that header says 0.
//
// # What it deliberately does not do
//
// Publish tasks; x-expires of queues (its
// bindings get no deadline, the lists keep theirs); fanout queues, which on Redis
// are pub/sub; Redis Cluster, which kombu has no transport for.
//
// It does not send a take behind the BLMOVE on the same connection, to be carried out
// by the server when that one ends, though it would save an idle worker a round trip.
// A take is sent by a worker that is alive, and what it records as begun, begins within
// that round trip. One that lies ready at the server outlives its worker for as long as the server
// believes in the connection: a worker that is frozen, or whose node is gone, would go on
// taking, and as its peers cannot tell "recorded, never begun" from "begun", they would record
// as failed what nobody has seen. Were it taken as reserved only, an early-acknowledged
// start would need a request of its own and nothing would be saved.
package redisbroker
