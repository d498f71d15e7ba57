// Package amqpbroker speaks with RabbitMQ the way kombu does; so far it publishes.
//
// # What it is
//
// A Publisher over amqp091-go: a list of URLs in kombu's forms (amqp, amqps, pyamqp,
// librabbitmq; ;-lists; failover in turn or shuffled), broker_use_ssl as py-amqp
// reads it, login methods PLAIN, AMQPLAIN and EXTERNAL. Exchanges, queues and
// bindings are declared as kombu's Queue.declare does, once per connection, and
// before each message for queues that are auto_delete or expire. What was declared
// and has been deleted since is declared once more. A batch is written
// at once, with the mandatory flag, and waited for once: each message is confirmed
// by the broker, returned because no queue takes it, refused, or in doubt.
//
// Consuming will stand on the same session: settings, URLs, TLS, dialling,
// declarations and the classes of errors are its, and are not the publisher's.
// What is to come beside them: a Consumer (broker.Consumer) with a channel per
// queue, prefetch by queue type, acknowledgements, delayed delivery.
//
// # Authority
//
// The broker is right: a message is sent when it is confirmed and was not returned.
// Everything that is remembered (declarations, exchanges that exist) is remembered
// for one connection.
//
// # Life of a message
//
//	            channel exception, alone on its channel        Refused
//	            nack (queue full, overflow=reject-publish)     Nacked
//	written ─── ack, after a return                            Returned
//	            ack                                            Confirmed
//	            connection lost, no answer in ConfirmTimeout   Unknown
//
// # Invariants
//
//   - Messages of one exchange are written in order on one channel; each exchange has
//     its own, declarations have another. A channel exception (precondition_failed,
//     not_found, access_refused) costs the messages of one exchange at most, that of a
//     declaration those that need it.
//   - After a channel exception the messages that were waiting for their confirm are
//     sent again one by one, so that the one to blame is found. Those before it may have
//     arrived already and arrive twice; this needs a message that the broker accepts the
//     exchange of but not the message (too large).
//   - Nothing that is Unknown is sent again by this package.
//   - A password is in no error and no log.
//
// # Failure handling
//
//   - The connection is made on the first call and on the first after it was lost: one
//     URL is tried per call, the next one by the next. Waiting in between is the
//     caller's: Retry says how long.
//   - No confirm within ConfirmTimeout: the connection is closed, what is not
//     confirmed is Unknown. A long time is better than a short one: RabbitMQ goes on
//     with what it has read from a connection that we have given up.
//   - connection.blocked (memory or disk alarm): nothing is written, ErrUnavailable at
//     once. What was written just before stays in the broker's buffers, and may be
//     carried out after the alarm even if we have closed the connection.
//   - Half-open connections: noticed by the system after about ten seconds of silence, by
//     a call after ConfirmTimeout, and by AMQP's heartbeat.
//   - A wrong password, no access to the vhost, an unknown login method:
//     broker.ErrRefused, once every URL gave one.
//
// # What it deliberately does not do
//
// GSSAPI; broker_use_ssl's "context"; transactions.
package amqpbroker
