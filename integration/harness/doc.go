// Package harness sets up real things for tests, benchmarks and fault injection:
// a real redis-server, the real Celery client, real workers of both kinds, and a
// proxy that breaks connections.
//
// What it is: a Bed is one directory with everything that one scenario starts. It
// is made by New (in a test) or Make (in a program), and Close ends all of it, by
// process id.
//
// Authority: whether a task ran is told by the task itself, in the Journal, a file
// outside the broker. Neither the broker's keys nor a worker's log are believed
// for that.
//
// Waiting: for events (a line in a log, a probe, a line in the journal), each with
// a deadline; never for time.
//
// Failure: a test that fails keeps its directory, prints the ends of all logs and
// the command that runs it again.
//
// What it does not do: build. It takes bin/crisper (or CRISPER_BIN), and the
// interpreters that CRISPER_TEST_PYTHON and CRISPER_TEST_PYTHON_OLD name; the
// Makefile prepares them.
package harness
