// Package script replays stories about a pool: what happens to it, when, and
// what it makes of it.
//
// # The format
//
// A script is a text of blocks. A block is one or more commands, a line of four
// dashes, and what the pool did; a blank line ends it. Lines before the first
// command that begin with # tell the story. Run ignores what a script says the
// pool did and writes what it does: the tests of package pool compare the two,
// and `crisper simulate` shows it.
//
//	# An idle child leaves when the drain begins.
//	config slots=1
//	opened
//	generation 1 ready
//	+20ms up 1
//	----
//	0s      slot 0 child 1 gen 1: empty -> starting (start)
//	0s      start child 1 in slot 0 from generation 1
//	20ms    slot 0 child 1 gen 1: starting -> ready (start)
//
// A command may begin with the time that has passed since the one before:
// +20ms. The pool's timer runs during that time as it would in life; with
// +20ms! it is late and does not run.
//
// # Commands
//
// First of all, and again to begin anew:
//
//	config slots=2 surge=1 max_tasks=100 max_memory=300MB memory_kill=500MB
//	       max_age=1h jitter=0.1 draws=0,0.5 start_timeout=60s stop_timeout=10s
//	       kill_grace=5s hard_limit_grace=100ms cutoff_grace=500ms
//	       backoff_min=100ms backoff_max=10s give_up_after=60s
//	       guard_soft=0.85 guard_hard=0.95 guard_pause=1s
//
// on one line. What is not named has the value of pool.Defaults, except jitter,
// which is 0. draws are what the source of jitter returns, in turn.
//
// One command for each event; CHILD and TASK are numbers:
//
//	opened
//	generation N ready | generation N lost
//	forked CHILD [pid=N]
//	fork_failed CHILD REASON…
//	ready CHILD
//	exited CHILD STATUS…              exit status 0 is a good one
//	began CHILD task=TASK [soft=2s] [hard=3s]
//	ended CHILD task=TASK
//	memory CHILD=SIZE…                bytes, or with KB, MB, GB
//	cgroup SIZE of SIZE
//	resized N
//	drain_began [deadline=26s]        from now on
//	drain_hurried
//	broken CHILD REASON…
//	hung CHILD DETAIL… | deaf CHILD DETAIL…
//	terminate CHILD task=TASK signal=SIGTERM
//
// For short:
//
//	up CHILD…                         forked and ready
//	tasks CHILD count=N [each=10ms]   begins and ends so many, one after the other
//	wait                              nothing: +5s wait
//	room CHILD…                       shows MayTake and Room
//	snapshot                          shows every slot
package script
