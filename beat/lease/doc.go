// Package lease turns a Kubernetes Lease into a term: a context that ends before the
// Lease can be taken, and a fencing token. A file or a key in Redis can stand in for it.
//
// # What it does not guarantee
//
// That nothing is done by a leader whose term has ended. Between the moment at which
// the work asks Valid and the moment at which its write arrives, the process can be
// stopped, the machine be suspended, the packet be held up: for longer than the Lease.
// No lock with a time limit can rule that out. Only the store that is written to can:
// each term has a token, greater than that of every term before; each write brings it
// along, and a store that has seen a greater one refuses the write. The Lease says who
// should try; the store says whose word counts.
//
// Not even one leader by the clock when
//   - the record is lost: the Lease deleted, Redis flushed or failed over to a replica that
//     lags, the file removed. Its leader finds out with his next renewal. Who saw him lead leaves him his
//     time; a process that has just started does not know of him. The token may begin anew then:
//     the store refuses it, the work says so by Raise and returns, and the next term has a token
//     that the store takes;
//   - a machine is suspended: the monotonic clock stands still meanwhile, here and in every program.
//     (It does not for a process that was only stopped: its term has ended when it wakes.);
//   - clocks run at rates that differ by more than a sixth. What they show does not matter.
//
// # A term
//
//	e := lease.New(backend, lease.Options{})
//	err := e.Run(ctx, func(ctx context.Context, term lease.Term) {
//		// leads until ctx ends, then ends its work and returns
//	})
//
// The work has two deadlines. At Deadline the context ends, unless the term was renewed; from
// Expiry on another may lead. By Expiry everything must have ended that no token holds back, such as a
// child process. There are two seconds between them with the defaults. When Run is to stop, or the
// work returns by itself, the Lease is given back after the work has returned and not before.
//
// A process that was stopped may run its work before its timers: ctx.Err and Valid
// look at the clock and not at whether the loop has noticed.
//
// # Authority
//
// The record in the backend says who holds the Lease. When the holder is to be left alone is
// each candidate's own judgement: until he has himself seen no change for the holder's whole
// duration, by his own monotonic clock. The leader stops earlier than anybody can judge so, for he measures from the
// start of his last renewal. See package election, which makes these decisions and does nothing else.
//
// # Who holds it
//
// A process, by a name with a part made by chance. A leader's container that was killed
// and is started again in the same pod is another candidate: it finds its former self in the
// record and waits like everybody else.
//
// # When things fail
//
//	leader killed               another leads within LeaseDuration + RetryPeriod and a round trip; with a file at once
//	leader stopped by TERM      its work returns, the Lease is given back, another leads within RetryPeriod
//	leader cut off              its context ends at Deadline; another leads as after a kill
//	leader frozen, then woken   the term is over; what it still sends is refused by the store
//	backend away                the leader's term ends at Deadline; everybody goes on asking, and says so at
//	                            once, after ten seconds, twenty, …, five minutes; GiveUpAfter makes a follower end
//	permission missing          named; ends Run when it lasts for a whole LeaseDuration, as an API server that has
//	                            just started refuses everybody
//	the work returns at once    others get their chance; the pause doubles up to LeaseDuration
//
// # Backends
//
//	kubelease   a Lease; get and update on the one name, create
//	filelease   a file and two locks, for one machine; the kernel tells when a leader is dead
//	redislease  a key that does not expire
//
// All keep one record that is replaced by compare-and-swap, so all get the same election
// and pass the same suite (leasetest.Exercise).
//
// # What it deliberately does not do
//
// It does not watch the Lease (that would take another permission), prefer one candidate
// to another, or move a Lease away from a healthy leader.
package lease
