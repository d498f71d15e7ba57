// Package election decides when a candidate looks at the Lease, claims it, renews it,
// stops leading and gives it back. It does none of it.
package election
