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
//	start              python -m celery … worker … -n name, or a command as somebody wrote it
//	                   with a node name behind worker; in a process group of its own
//	stop               TERM to the worker: Celery's warm shutdown
//	kill SIGTERM       QUIT if it was told TERM before (Celery's cold shutdown), else TERM
//	kill SIGKILL       KILL for every process of its group, then of its tree
//	interrupt          never asked for: the limits of tasks are Celery's
//
// # The agent
//
// py/ is put on PYTHONPATH of the worker and nothing else is changed. It has two ways to
// tell, both of them extra files of the process that no other has:
//
//	socketpair  a line of JSON when the worker is ready, when it leaves, once a second
//	            and after a change (four times a second at most) what it has in hand and
//	            whether its transport would take one more
//	ring        shared memory (package ring), a record for each delivery that is taken
//	            or let go of and each task that begins or has ended, with its message
//	            where nobody will deliver it again (package held)
//
// That a delivery is taken is written before Redis is told, which costs no call of the
// kernel and which no death of the worker takes back. That it is settled is written after
// Redis was told; with the next record or the next line where tasks run in processes of
// their own, for what is told too late costs a question (package held). Each line says up
// to where the ring may be read; one more is sent when half of it is full. A worker whose
// loop stands still says nothing: the ring is also looked into each second, so that what a
// solo worker took before its long task is known after two at the latest, and renewed.
// What is left when the worker is gone is read then, before anything is given back.
//
// For this the agent connects to Celery's signals and wraps nine functions that no signal
// stands for: append, ack, reject and restore_by_tag of the Redis transport's QoS, and the
// dumps that it calls, whose text has the message; ack of kombu's Message (for transports
// that deliver again what was not acknowledged); task_accepted and task_ready of
// celery.worker.state, _announce_cancelled of Request. What this takes of the worker's time
// is half given back where kombu's JSON is as known (quick.py). Several threads may call these:
// one of them writes, and the others leave it what they have to tell and wait for
// nothing; should the worker be killed in that very moment, what was left is not
// known. The pool's processes are silent from their fork on and have neither file. When
// the agent cannot work, or writes what cannot be, that is said once and it is off; a
// worker of which nothing is heard counts as ready after silentReady, and its tasks are
// not counted.
//
// # What is done with it
//
// The warden does it, for the pool's loop and, as an Attendant, for the one worker of
// `crisper exec -- celery`:
//
//	renewal    every third of the visibility timeout, or minute, the scores of all that
//	           is in hand: a sweep never finds a long task too old
//	judgement  what waits at the broker against what workers take (package hang): who
//	           hangs is replaced; under exec it is ended, and the pod with it
//	giving     when a worker is gone, however it went, and the last of its processes is
//	back       too: what it still held goes back, in order. Not while another worker
//	           dies, which would take it with its last breath, nor for half a second after
//	           a death that was not our doing: a kernel short of memory goes on
//	           anew: a worker that begins to consume again after it has lost its connection
//	           remembers nothing but the tasks that run; the rest goes back
//	           done: what was to be acknowledged when its task began, and is still in hand
//	           after that has ended, is acknowledged instead: the connection had taken the
//	           acknowledgment along, and nobody would send it again
//	recording  tasks acknowledged early that ran in it are named in the log, counted as
//	           lost, and recorded as failed
//	parking    a message whose task ran in PoisonLimit workers that died goes to the
//	           dead-letter list instead
//
// A request that fails is repeated: renewal in the next round, giving back every second
// until it is done or we leave. An answer that was lost costs nothing, since a delivery
// that went back is not found again.
//
// # What went with a worker
//
// A task that was acknowledged when it began, and whose worker is gone, is delivered to
// nobody any more, whichever the broker is. It is recorded as Celery's parent process
// records the loss of a pool process: WorkerLostError in the app's own backend, its
// errbacks, its chord, the signal task_failure. Only Python can do that, with the app
// loaded, so it is done by a process for this purpose (agent.Recorder; "clerk" here). It
// is given the worker's own command line, which the agent has told, and gives it to
// Celery's own command; only where a worker would start, it does not.
//
//	gone       ran, and is in nobody's hands: its delivery did not go back, by us or by the
//	           broker. Under the solo pool the broker hears of an early acknowledgment when
//	           the task has ended: there such a task goes back, too, unless the transport
//	           forgets what it has given away (files, SQL)
//	known      the backend has SUCCESS, FAILURE or REVOKED of it: it stays. RETRY and
//	           STARTED are what Celery's cold shutdown leaves of what it cut off, and
//	           nothing will come of them
//	recorded   one after the other; what the backend does not take is tried again each
//	           second, for recordFor. A clerk that dies is replaced twice
//	not        the message is unknown (larger than 256 KiB, or 16 MiB are kept of this
//	           worker already, or the ring was full), the app does not load, the time is
//	           over: an error in the log names each task
//
// A clerk is started when there is something to record, and leaves ten seconds after the
// last of it. When we leave with tasks that will be cut off, it is started up to ten
// seconds before that, since it takes as long as the app takes to load. It is the first
// that the kernel takes when memory gets short. An agent that was off has not told what
// ended, and nothing is recorded then.
//
// # How tasks are counted
//
// The pool counts the tasks of a child one after the other. A worker runs many at
// a time, so that what is told to the pool is a sequence of as many tasks, each as
// long as the time since the one before ended: the rate is true, and so is the
// pool's estimate of when a replacement has to be started. The number is exact to
// what is accepted within one report; max_tasks is not exceeded by the pool's
// doing but by what the worker had prefetched, which it finishes. Of a worker that dies
// at work one more is told as begun: its death is that task's, and no failed start.
//
// # Authority
//
// The kernel says who lives. The agent is believed about what a worker does, and
// is not asked whether it lives. The broker is right about whose a delivery is.
//
// # Leaving
//
//	0        TERM: every worker gets TERM and finishes what it runs
//	grace−m  QUIT: Celery's cold shutdown, which on Redis puts back what it holds
//	…        KILL for whole groups, CutoffGrace later; what the workers held goes back,
//	         and what went with them is recorded
//	grace    gone
//
// What a worker leaves behind (a pool process whose parent was killed) is killed
// before its seat is given to another: a task that still runs there is one that
// the broker will deliver again.
//
// # What it deliberately does not do
//
// It takes no message, and settles none that a worker that lives would settle. With brokers other than
// Redis it gives nothing back: RabbitMQ gives back by itself and at once, and what
// waits there is not counted, so that nobody is judged; what went with a worker is recorded
// all the same. It sends no events for that: who watches events sees a worker that is gone.
// A worker that runs its program anew (HUP to the worker itself) has no agent any more.
// When we die with the worker (the node is gone) what it held comes back after the
// visibility timeout, counted from the last renewal, and what went with it is recorded by
// nobody.
package celery
