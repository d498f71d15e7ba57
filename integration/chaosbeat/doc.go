// Command chaosbeat breaks three replicas of `crisper beat`, and what they stand on, again
// and again, and counts the ticks that were missed and those that were sent twice.
//
//	make chaos-beat TRIALS=100
//	go run ./integration/chaosbeat -trials 5 -rows kill,term
//	go run ./integration/chaosbeat -broker rabbitmq -election kubernetes
//
// Interrupted, it shows, and writes where it was told to, what it has found so far.
//
// # What it is
//
//	ground   what all rows share: a control plane with one API server, RabbitMQ. A row that
//	         breaks the API server for everybody has one of its own
//	set      the ground of one row: a broker, a Lease, three replicas of one app. A
//	         row's trials follow one another on it, so faults meet terms of any age
//	book     what the broker has been seen to hold, with the moment of its arrival
//	grid     every tick that was due, by the id that its message must have
//
// # Authority
//
// The messages in the broker are right, and no replica is asked what it has sent. A
// message says by the id of its task for which entry and due moment it is: package beat makes
// the id of these. One thing is asked of a leader, once for each set: a due moment of each
// entry. From it the grid follows; a leader that lied there, or later changed
// its mind, would send messages that are not in the grid: strays, which fail the row.
//
// From Redis nothing is taken out: the queue is read as it grows, and read anew as a whole
// after the server was killed. From RabbitMQ messages are consumed, which is the only way to look.
//
// # Verdicts
//
//	missed    a tick of the grid without a message, between the first and the last
//	doubled   a tick with more than one message
//	          With RabbitMQ, which cannot be asked, a tick of a leader that was cut off between
//	          sending and recording: as many as its successor's log names as in doubt, and no
//	          more. Where the broker itself was away its own leader repeats what it had no answer to
//	stray     a message that is no tick of the grid
//	take-over from the fault to the first message of another process. That is
//	          told by the header "origin", which names the process that made the message. Where
//	          the leader may stay, or cannot be replaced: from the end of the fault to the first message
//
// A trial ends when the set is whole again (one leads, two follow it) and each entry has
// been seen with a tick later than that. Doubled ones that come later are found in the next trial.
//
// Between the trials there is no sleep but a random part of a second, so that the
// fault does not always strike at the same phase.
//
// # The machine
//
// A bound of a take-over is promised for a machine that lets the replicas run. One that is
// busy with other things keeps them, and us, from running for a while. How long is measured
// beside: a goroutine that wants to run every 5 ms notes by how much that is late. A take-over
// that is later than its bound by more than what was noted in its time fails the row; one
// that is later by less is shown with both numbers, in the log and in the table.
//
// # Clocks
//
// A process cannot be given a wrong clock from outside: time namespaces do not shift
// CLOCK_REALTIME, and Go asks the kernel past any library that could be preloaded. So the
// row "clock" runs a binary of the same sources that was built with another standard
// library: one file of package time is replaced by `go build -overlay`, and its Now adds what
// an environment variable says. The monotonic clock, the timers, and the Python
// process beside it are left alone.
//
// # What it deliberately does not do
//
// It does not lose the broker's own data: redis-server is append-only with fsync always.
package main
