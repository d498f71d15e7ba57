// Package integration runs real things against each other: Celery's own client,
// Celery's own worker, Crisper, a real redis-server.
//
// What a worker must do is written once, as a table, and played against the stock
// worker as well as against Crisper: a row that the stock worker does not pass says
// something wrong about Celery.
//
// The tests carry the build tag integration. `make test-integration` prepares what
// they need; `make test-integration RUN='^TestDropIn' V=1` runs some of them. A
// test that fails keeps its directory under integration/.runs and prints the
// command that runs it again.
package integration
