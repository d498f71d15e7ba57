// Command bench compares Crisper with Celery's own worker, and with other task
// queues, on this machine.
//
//	make bench                                   # everything; a quarter of an hour on an idle machine
//	go run ./integration/bench -rows noop -rounds 3
//	go run ./integration/bench -json out.json -write   # and rewrite docs/benchmarks.md
//
// # What it promises
//
// Both sides run the same application, the same messages and the same options, one
// after the other in each round, and who goes first changes. Only ratios within a round
// are reported as results: an absolute time says more about the machine. The program
// never fails because something was slow; it fails when a number of tasks is wrong.
//
// # Authority
//
// What ran is counted by the tasks themselves, in shared memory (app/benchcount.py).
// What is still owed is read from redis. No worker is asked about itself.
//
// # What it deliberately does not do
//
// It keeps no history and draws no curves. What limits a figure is found by profiling, and
// stands in docs/benchmarks.md beside the table.
package main
