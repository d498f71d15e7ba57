// Package child runs `celery beat`, with whatever scheduler class, as the leader's
// child: for django-celery-beat, RedBeat and classes of the app's own.
//
// # What it is
//
//	warm     a Python process that has imported the app and waits       (every replica)
//	leading  the same process, having been told to go: Celery's own beat (the leader's)
//
// Told to go, it runs the celery command in itself: the import is done, so the first
// look at the schedule comes in milliseconds. Options go through the socket, not argv:
// a broker's password may be among them.
//
// # Authority
//
// The term decides. Such a beat knows no fencing token; what keeps two from ticking at
// once is time. With the word to go, and every half second after, the child is told
// until when it may run, by the clock that only grows (CLOCK_MONOTONIC, which all
// processes of a host share). A thread in it ends the process at that moment, whatever
// becomes of us:
//
//	we end the term        TERM, and KILL when it takes too long
//	we are killed          the socket ends: it TERMs itself, and is gone within a second
//	we are frozen          nobody extends: gone when the time is up
//	it is frozen, or hangs we KILL it before the time is up; if both are frozen, the thread
//	                       sees that it is too late when it wakes
//
// Between the last two lies the one gap: all of the pod is frozen for longer than the
// Lease, and what the main thread was just about to send leaves before the other thread
// runs. Celery's own scheduler in Go has no such gap: the store refuses it.
//
// # What is promised
//
// One beat at a time, a successor that is ready to go. Which ticks are made up after a
// change of leaders is what the scheduler class knows: those that keep their state in a
// database or in Redis (django-celery-beat, RedBeat) send what is overdue once.
// RedBeat's lock stays what it is: a child waits for the one before to let it go, which
// it does when it is TERMed; after a KILL for as long as redbeat_lock_timeout. Set that
// to a few seconds with --max-interval.
package child
