// Package lease turns a Kubernetes Lease into a term: a context that ends before the
// Lease can be taken, and a fencing token. A file or a Redis key can stand in for it.
package lease
