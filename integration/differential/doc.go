// Command differential plays the same few hundred cases under Celery's own worker
// and under Crisper and compares what can be seen of them from outside, field by
// field.
//
// What it is: app/diffapp.py has one task for each outcome, acknowledgement mode and
// result setting; app/play.py sends the cases, waits until the broker is empty, and
// records, by case: each run of the body and what it saw of its request; each signal,
// with the kind of process it was fired in, what its handlers were given, and in which
// order; the JSON of the result backend; the log lines that name the task; the events.
// What is left in the broker is counted. It is done four times: with and without
// receivers of signals, with and without -E.
//
// Authority: Celery's own worker. A difference is an error unless wanted.txt has it,
// with the reason; what stands there and does not occur any more is an error too.
//
// Quick: -quick plays them once, with receivers and with -E. When there are a few
// differences it plays them again; what differs in one of the two runs only is named as
// unsteady, here and at the end of make test.
//
// Failure: the run's directory is kept, with both sides' records.
//
// What it does not compare: times, pids, node names, the ids that a worker makes up,
// and the order of what different processes do.
package main
