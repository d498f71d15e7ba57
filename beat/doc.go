// Package beat publishes an app's periodic tasks: any number of replicas run, one
// leads, no tick is missed and none doubled.
//
// # What it is
//
//	schedule   when entries are due: crontab, interval, relative, solar; pure
//	planner    which ticks are due now, which come next; pure
//	message    what Celery would publish for a tick, with gaps where each run differs
//	app        the Python side: reads the entries, makes the messages, asks what only Python knows
//	lease      who leads: a term with a context and a fencing token (Kubernetes Lease, file, Redis)
//	redisbeat  publishing with Redis: token check, record of the tick and message in one script
//	amqpbeat   publishing with RabbitMQ: claim, publish with a confirm, record
//
// # Authority
//
// The Store (behind Publisher) is right about which ticks have been sent; the
// memory of a leader is a copy of it. The lease only says who should try. A leader
// that has lost its term without noticing is refused by the Store, because its
// token is smaller than one that the Store has seen.
//
// # A tick
//
// Tick = (entry, due moment). It is sent when the record of its entry is older
// than its due moment, and the record is moved in the same step. So two leaders, a
// repeated request, a clock that jumps back: none of them can send it twice.
//
// A gap in the service (hand-over, broker away) up to the catch-up window is made
// up tick by tick: fail-over does not show in the counts. A longer one is made up
// once for each entry, as Celery does, within beat_cron_starting_deadline.
package beat
