// Command conformance runs Celery's own integration tests against a worker outside
// their process: once with Celery's own worker, once with Crisper, on the same
// machine and at the same time, and compares test by test.
//
// What it is: the tests are t/integration of Celery's source distribution, which
// integration/tools/conformance.sh fetches; none of it is in this tree. They expect
// a worker in a thread of their own process. app/external_worker.py, a pytest plugin,
// puts a process in its place, app/external_app.py is the app that this process
// loads. Each side has a redis-server of its own.
//
// Authority: stock Celery, in the same run, says what a test is worth against a worker
// outside. The rule is that Crisper passes every test that stock passes; over several
// rounds (-repeat): all of them where stock passes all, at least one where stock
// passes some. not_applicable.txt lists the tests that need the worker in their own
// process, each with its reason: they are run on neither side. unsteady.txt lists those
// that stock fails now and then as well: Crisper has to pass them in one round of three.
//
// Failure: a test that does not end is cut off after -timeout. A worker that ended, or
// whose test failed, is replaced by a new one on an empty Redis before the next test,
// on both sides alike, so that no test pays for another; a worker's end by itself is
// part of the report. When Crisper breaks the rule the logs of the run are kept.
//
// Interruption: INT and TERM end a run; pytest and the workers die with the program
// that started them, even if that is killed (app/owned.py).
//
// Quick: -quick runs what seconds.json, written by -record after a whole run, says to
// be the cheapest tests that need a worker, up to a budget of seconds of both sides.
//
// A few tests that Crisper fails are run in two more rounds then; what passes in one
// of them is named as unsteady, here and at the end of make test.
//
// What it does not do without -quick: run a failed test again. -repeat repeats all of them.
package main
