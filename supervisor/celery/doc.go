// Package celery runs unmodified `celery worker` processes as the children of a
// pool: the runtime for apps that the native one cannot take (other transports,
// gevent, bootsteps of their own), and for those who change nothing at first.
//
// # What it is
//
// Each slot of a supervisor/pool seats one whole worker: a process with its own
// connection, its own pool of processes or threads, and a node name of its own
// (celery-SLOT.CHILD@host). The pool decides, as it does for executors, when one is
// started, is ready, has done enough, is too big or too old, is drained or killed;
// here it is done.
//
//	pool says          here
//	start              python -m celery … worker … -n name, in a process group of its own
//	stop               TERM to the worker: Celery's warm shutdown
//	kill SIGTERM       QUIT if it was told TERM before (Celery's cold shutdown), else TERM
//	kill SIGKILL       KILL for every process of its group, then of its tree
//	interrupt          never asked for: the limits of tasks are Celery's
//
// # The agent
//
// py/ is put on PYTHONPATH of the worker and nothing else is changed. It connects
// to Celery's signals and tells, through a socketpair, when the worker is ready,
// and four times a second what it has in hand and how many tasks it has accepted.
// When it cannot work it says so once and is off; a worker of which nothing is
// heard counts as ready after silentReady, and its tasks are not counted.
//
// # How tasks are counted
//
// The pool counts the tasks of a child one after the other. A worker runs many at
// a time, so that what is told to the pool is a sequence of as many tasks, each as
// long as the time since the one before ended: the rate is true, and so is the
// pool's estimate of when a replacement has to be started. The number is exact to
// what is accepted within one report; max_tasks is not exceeded by the pool's
// doing but by what the worker had prefetched, which it finishes.
//
// # Authority
//
// The kernel says who lives. The agent is believed about what a worker does, and
// is not asked whether it lives.
//
// # Leaving
//
//	0        TERM: every worker gets TERM and finishes what it runs
//	grace−m  QUIT: Celery's cold shutdown, which on Redis puts back what it holds
//	…        KILL for whole groups, CutoffGrace later
//	grace    gone
//
// What a worker leaves behind (a pool process whose parent was killed) is killed
// before its seat is given to another: a task that still runs there is one that
// the broker will deliver again.
//
// # What it deliberately does not do
//
// It speaks to no broker. What a worker held when it was killed comes back as
// Celery has it: on Redis after the visibility timeout, on RabbitMQ at once. It
// does not judge whether a worker that is ready takes tasks (no hang detection).
package celery
