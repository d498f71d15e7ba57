package options

import "strings"

// Own are the options that Celery does not have. Each is also read from
// CRISPER_<NAME>.
func Own() []Option {
	rows := append(childRows(), drainRows()...)
	return own(append(rows, opsRows()...))
}

func own(rows []Option) []Option {
	for i := range rows {
		rows[i].Own = true
		rows[i].Env = []string{"CRISPER_" + strings.ToUpper(strings.ReplaceAll(rows[i].Name, "-", "_"))}
	}
	return rows
}

func childRows() []Option {
	return []Option{
		{Name: "runtime", Kind: Choice, Choices: []string{"auto", "native", "celery"}, Metavar: "RUNTIME", Group: groupChildren, Who: Crisper, Default: "auto",
			Help: "native (Crisper runs the tasks) or celery (whole `celery worker` processes as children); auto takes native unless the app needs what only Celery's own worker has.",
			Note: "That is another transport than Redis, another pool than prefork and solo, bootsteps, or classes of its own for consumer, autoscaler, timer, requests or strategies. The log says which it is and why; `--explain` says it without starting. Limits per child count for a whole worker with all its processes under celery."},
		{Name: "children", Kind: Count, Metavar: "N", Group: groupChildren, Who: Crisper, Default: "1",
			Help: "How many workers --runtime=celery runs.",
			Note: "With native it is refused: the number of executors is --concurrency."},
		{Name: "python", Metavar: "PATH", Group: groupChildren, Who: Crisper,
			Help: "The Python interpreter of the app.",
			Note: "Without it: the active virtual environment, else the interpreter of the `celery` script on PATH, else python3."},
		{Name: "max-age-per-child", Kind: Duration, Metavar: "DURATION", Group: groupChildren, Who: Crisper, Default: "0",
			Help: "Replace a child that is older, when it is idle; 0: never."},
		{Name: "memory-kill-per-child", Kind: Memory, Metavar: "KIB", Group: groupChildren, Who: Crisper, Default: "0",
			Help: "End a child whose private memory is above this, also during a task; 0: never.",
			Note: "In KiB or with a unit (800Mi). The task is settled as if the kernel had killed the child. It must be above --max-memory-per-child."},
		{Name: "jitter", Kind: Fraction, Metavar: "PART", Group: groupChildren, Who: Crisper, Default: "0.1",
			Help: "Spread the limits on tasks, memory and age per child by up to this part downwards."},
		{Name: "surge", Kind: Count, Metavar: "N", Group: groupChildren, Who: Crisper, Default: "1",
			Help: "How many children more than slots may live while one is replaced.",
			Note: "0 saves their memory and leaves the slot empty for as long as a child takes to start."},
		{Name: "start-timeout", Kind: Duration, Metavar: "DURATION", Group: groupChildren, Who: Crisper, Default: "60s",
			Help: "How long a child may take from fork to ready."},
		{Name: "hang-timeout", Kind: Duration, Metavar: "DURATION", Group: groupChildren, Who: Crisper, Default: "60s",
			Help: "Replace a worker of --runtime=celery that takes nothing for so long although messages wait and it has room; 0: never.",
			Note: "Only where the broker is Redis. One whose loop still turns may finish what it runs; one whose loop stands still is killed, and what it held goes back at once."},
		{Name: "guard-soft", Kind: Fraction, Metavar: "PART", Group: groupChildren, Who: Crisper, Default: "0.85",
			Help: "Above this part of the pod's memory limit: no prefetch, the fattest idle child is replaced; 0: off."},
		{Name: "guard-hard", Kind: Fraction, Metavar: "PART", Group: groupChildren, Who: Crisper, Default: "0.95",
			Help: "Above this part: the fattest busy child is ended before the kernel takes the pod; 0: off."},
		{Name: "oom-score-adj", Kind: Count, Metavar: "N", Group: groupChildren, Who: Crisper, Default: "200",
			Help: "Children's oom_score_adj is the supervisor's own plus this, so that the kernel takes a child first; 0: the same."},
		{Name: "preload-threads", Kind: Choice, Choices: []string{"warn", "refuse"}, Metavar: "POLICY", Group: groupChildren, Who: Crisper, Default: "warn",
			Help: "What to do when importing the app left threads or sockets open: warn or refuse.",
			Note: "They do not survive a fork. Celery forks with them in silence."},
	}
}

func drainRows() []Option {
	return []Option{
		{Name: "grace", Kind: Duration, Metavar: "DURATION", Group: groupDrain, Who: Crisper, Default: "0",
			Help: "How long after TERM everything has to be settled; 0: wait for ever, as Celery does.",
			Note: "In a pod, set CRISPER_GRACE to the same value as terminationGracePeriodSeconds (Kubernetes does not tell it to the container). The last tenth, between 0.5 s and 3 s, is kept for settling."},
		{Name: "on-cutoff", Kind: Choice, Choices: []string{"fail", "requeue"}, Metavar: "POLICY", Group: groupDrain, Who: Crisper, Default: "fail",
			Help: "What becomes of an early-acknowledged task that still runs when the grace ends: fail or requeue.",
			Note: "Late-acknowledged ones always go back to their queue. requeue runs it a second time from its beginning."},
		{Name: "poison-limit", Kind: Count, Metavar: "N", Group: groupDrain, Who: Crisper, Default: "3",
			Help: "Put a message aside after it killed N children; 0: never.",
			Note: "The task is recorded as failed with the reason, and the message is kept in the dead-letter list."},
		{Name: "depth", Kind: Count, Metavar: "N", Group: groupDrain, Who: Crisper, Default: "64",
			Help: "How many short tasks may lie ready in one child's socket; 1: none but the one it runs.",
			Note: "They are given back unharmed when the child dies or grows slow, and count as reserved."},
	}
}

func opsRows() []Option {
	return []Option{
		{Name: "http", Kind: Address, Metavar: "ADDRESS", Group: groupOps, Who: Crisper, Default: ":9810",
			Help: "Serve /livez, /readyz, /startupz, /metrics and /state here, read-only; off: not at all."},
		{Name: "socket", Metavar: "PATH", Group: groupOps, Who: Crisper,
			Help: "Admin socket for `crisper state` and `crisper drain`; off: none.",
			Note: "Without it: $XDG_RUNTIME_DIR/crisper/<pid>.sock, else /tmp/crisper-<uid>/<pid>.sock. Mode 0600; only the same user and root are served."},
		{Name: "stuck-after", Kind: Duration, Metavar: "DURATION", Group: groupOps, Who: Crisper, Default: "60s",
			Help: "/livez fails when there is work, room and a connection and nothing was started for so long."},
		{Name: "log-format", Kind: Choice, Choices: []string{"auto", "console", "json"}, Metavar: "FORMAT", Group: groupOps, Who: Crisper, Default: "auto",
			Help: "auto (console on a terminal, JSON otherwise), console or json.",
			Note: "console lines look like Celery's. The app's own loggers keep the format that the app gives them."},
		{Name: "termination-log", Metavar: "PATH", Group: groupOps, Who: Crisper, Default: "/dev/termination-log",
			Help: "Where the last words go, if the file exists; off: nowhere."},
	}
}
