// Package kubelease keeps the record of an election in a Kubernetes Lease.
//
// # What it reads and writes
//
//	spec.holderIdentity, renewTime, acquireTime   as client-go's own election does, for kubectl to show
//	spec.leaseDurationSeconds                     the record's Duration; candidates honour the holder's, not their own
//	metadata.annotations[crisper.dev/token]       the token of the last term
//	spec.leaseTransitions                         the same number as far as it fits
//	metadata.resourceVersion                      the record's Version
//
// The token has a place of its own because leaseTransitions has 32 bits, which a token
// that was raised (Elector.Raise) may not fit into, and because other programs think
// they own it. The greater of the two is believed, so that a Lease which a client-go
// elector has led before goes on from there.
//
// # What it needs
//
//	get, create, update on leases.coordination.k8s.io, the one name (create cannot be
//	limited to a name by RBAC: the verb then stands in a rule of its own)
//
// No list and no watch. A follower polls: with the default period of 0.5 s, 2 to 2.5
// GETs of half a kilobyte a second; the leader makes one PUT every 2 s. A watch on one
// name would need the verb watch, and still a poll for when the watch is silently dead.
//
// # Connections
//
// HTTP/1.1, one connection, no retries of its own: a call that ends by its timeout
// closes its connection, so that the next one begins with a new one. With HTTP/2 a
// connection into a black hole would be used again for up to 45 s.
package kubelease
