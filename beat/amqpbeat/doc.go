// Package amqpbeat publishes ticks with RabbitMQ: each is claimed, published with a
// confirm, and recorded.
//
// # What it is
//
// A beat.Publisher over amqpbroker.Publisher. RabbitMQ cannot keep records, so they
// are one text in a Store with compare-and-swap: a ConfigMap (KubeStore) in a
// cluster, a file (FileStore) elsewhere. It serves every broker whose publisher
// confirms; Redis keeps its records itself (package redisbeat).
//
// # What is promised
//
//   - No tick is missed. One that was claimed and not recorded is published again by
//     whoever leads next, or by the same leader when it repeats the request.
//   - A tick is doubled only if its confirm was lost: the leader, or its connection to
//     the broker, ended between sending the message and recording it; or another took
//     over just there, because the leader was frozen or the lease was broken. Then both
//     messages have the same task id, provided that the caller makes it with TaskID.
//   - A leader that has been replaced publishes nothing: its claim fails. Frozen
//     between its claim and the sending it publishes what it had claimed when it wakes,
//     if its context says that it still leads: the lease is to end it before that.
//
// AMQP gives no more: nobody can ask a queue whether it has a message. Workers that
// drop a task id which they have just run (or a deduplicating exchange) make it exactly
// once.
//
// # A batch
//
//	claim ────────> publish, wait for confirms ────────> record
//	 │ conflict: somebody else wrote; read again          │ conflict: read again, and write the
//	 │ larger token: *beat.Fenced, nothing was sent       │ records into what is there: that a tick
//	 │                                                    │ was sent is true whoever leads
//
// The claim is both the fence (a swap that fails when anyone else has written since)
// and the note for the next leader of which ticks are in doubt. The record step is
// not given up when the term ends: it has RecordTimeout of its own, as everything
// that is recorded is not doubled.
//
// # Authority
//
// The Store is right about what has been sent; what the publisher remembers is a copy,
// read again after any doubt. In memory only: which ticks of an unanswered request were
// confirmed, so that its repetition does not send them again.
//
// # Cost and limits
//
// Each batch writes the whole text twice. Two batches begin at least Pace apart (a
// ConfigMap: 1 s; a file: 0.1 s), counted from begin to begin: a tick that falls due
// meanwhile is late by at most that, and goes with all others that do. A schedule with
// fewer ticks is not delayed. The text is a compressed snapshot of all records and the
// records changed since, folded together when those outgrow it. Names of 44 characters
// and moments to the microsecond make 23 bytes an entry: 10 000 entries are 0.23 MB in
// each write, 0.35 MB with the longest list of changes; at one batch a second that is
// half a megabyte a second for etcd, and Redis as broker is the better choice. A ConfigMap
// holds 1 MiB, about 40 000 entries; more are refused at Register with the numbers.
// Moments are rounded down to the microsecond.
//
// # Failure handling
//
//   - Store or broker does not answer: beat.ErrUnavailable; the request is repeated as
//     it is. Ticks of it that were confirmed before are not sent again.
//   - The broker refuses a message (inequivalent queue, missing exchange, no permission)
//     or returns it: Unroutable, recorded, with a warning that names what is wrong. Celery
//     logs the error and goes on, too.
//   - The broker nacks a message (a full queue that rejects): tried twice more, then as
//     above.
//   - Not allowed to read or write the ConfigMap, text too large: an error that wraps
//     broker.ErrRefused. What an API server does not allow counts only when it has
//     lasted: one that has just started refuses everybody until it has read the roles.
//   - Somebody deletes the ConfigMap or the file: the records are gone, and with them the
//     fence. The next Register gives every entry its first record again.
//
// # What the ConfigMap needs
//
// A Role with get and update on configmaps of that name, and create on configmaps
// (Kubernetes cannot restrict create to a name).
//
// # What it deliberately does not do
//
// Keep records in the Lease's annotations: the elector writes there every few seconds,
// and each of its writes would be a conflict.
package amqpbeat
