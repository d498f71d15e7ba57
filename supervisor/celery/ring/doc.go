// Package ring is memory shared with one Celery worker, in which the agent writes what
// happens to deliveries and tasks.
//
// # What it is
//
// A file without a name that both sides map: a page of header and Size bytes of data.
//
//	0      head    bytes that were ever written; the agent's
//	64     tail    bytes that were ever read; the supervisor's
//	4096   data    the byte at position p is at 4096 + p mod Size
//
// Words are eight bytes, little endian as the machines that we run on are. What is
// written are records (package held knows them); a head is always the end of one.
// Writing is no call of the kernel, and the worker's death, of whatever kind, takes
// nothing back: what was written before Redis was told can be read when it is gone.
//
// # What may be read
//
//	Upto    a position that the agent named on the socket: having sent it is the barrier
//	Glance  where the head was at the last Glance, a quarter of a second or more ago: for
//	        a worker whose loop stands still, and which therefore names nothing
//	Rest    everything; the writer is gone
//
// Never the head as it is now: on machines that reorder stores (arm64) it may be seen
// before what it speaks of.
//
// # Authority
//
// What is here are somebody else's bytes, and may change while they are looked at. So
// they are copied before they are understood, never more than Size of them, and our own
// tail is the one that we remember, not the one that is written here. A position that
// cannot be is an error, after which nothing more is read. The file cannot be made
// shorter, which would end us with SIGBUS (sealed, on Linux).
//
// # What it deliberately does not do
//
// It wakes nobody, and waits for nobody: an agent that has no room keeps what it has to
// tell, up to a bound, and is off after it.
package ring
