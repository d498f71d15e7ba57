// Package redisbeat publishes ticks with Redis: the check of the token, the record
// of the tick and the message are one script.
//
// # What it is
//
// A beat.Publisher on the broker's own Redis. It pushes envelopes exactly as
// kombu's virtual channel does (kombu/transport/virtual, kombu/transport/redis.py):
// the anonymous exchange to the queue that the routing key names, direct and topic
// exchanges by their bindings, fanout exchanges by PUBLISH; on the list of the
// message's priority step; renewing the lifetime of queues with x-expires. What
// kombu declares before it publishes (bindings) is written once per connection, and
// before each message for queues that are auto_delete or expire.
//
// Keys, all behind global_keyprefix; NAME is the schedule's, so that several apps
// may share a broker:
//
//	crisper.beat.token.NAME    STRING  the largest fencing token seen
//	crisper.beat.records.NAME  HASH    entry -> "last count token task", where last is
//	                           the due moment of the last tick in us of Unix time, token
//	                           that of the term that sent it, task the id of its task;
//	                           token 0 and no task: none has been sent yet
//
// They have no lifetime. A server that evicts keys without one loses them, as it
// loses messages: maxmemory-policy must be noeviction or volatile-*, which kombu
// asks for as well.
//
// # Authority
//
// Redis is right about what has been sent. A tick is sent when its entry's record
// is older than its due moment, or when there is no record at all; the record is
// moved in the same script. Moments are kept to the microsecond, rounded down.
//
// # Invariants
//
//   - Of all publishers of a schedule, only those with the largest token seen write.
//   - A tick is sent at most once, whoever asks and however often.
//   - Message and record are written together: what survives of one survives of the
//     other, on disk and on replicas, since a script's writes are one transaction.
//   - A password is in no error and no log.
//
// # Failure handling
//
//   - No answer within CallTimeout, a closed connection, a server that is loading, a
//     replica, full: beat.ErrUnavailable. The connection is closed, the next call
//     uses the next URL. Waiting in between is the caller's.
//   - The answer was lost but the request carried out: the caller repeats it as it
//     is. Ticks of the unanswered request that are found recorded by this term with
//     the same task are reported as Published.
//   - The context ends during a call: the connection is closed, so that the call
//     returns at once; whether it was carried out is unknown.
//   - A half-open connection: noticed by the system after ten seconds of silence, by a
//     call after CallTimeout.
//   - Wrong password, missing permission, server too old for the commands: an error
//     that wraps broker.ErrRefused, once every URL gave one.
//   - A place that takes no message (a queue's key is no list): the tick is recorded and
//     reported as Unroutable, with a warning that names it. The others are sent.
//
// A failover to a replica that had not received the last writes loses messages
// together with their records. Nobody but the leader's memory knows of those ticks
// then; Register after such an outage returns the older records, and they are sent
// again.
//
// # Limits
//
// Batches are cut into scripts of 256 ticks, registrations of 500 entries; each
// part is complete in itself.
//
// # What it deliberately does not do
//
// Reconnect by itself or wait between tries; send to headers exchanges (kombu
// cannot either: Unroutable); keep the records of entries that are not registered.
package redisbeat
