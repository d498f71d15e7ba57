package options

import "strings"

// Global are the options that Celery's parser knows before the subcommand; we
// take them on either side of it. Celery: bin/celery.py (5.7), with
// auto_envvar_prefix "CELERY".
func Global() []Option {
	return []Option{
		{Name: "app", Short: "A", Metavar: "APP", Group: groupGlobal, Who: Python, Env: []string{"APP", "CELERY_APP"},
			Help: "The Celery application: module, module:attribute or package."},
		{Name: "broker", Short: "b", Metavar: "URL", Group: groupGlobal, Who: Both, Env: []string{"BROKER_URL", "CELERY_BROKER"},
			Help: "URL of the broker; wins over the app's configuration."},
		{Name: "result-backend", Metavar: "URL", Group: groupGlobal, Who: Python, Env: []string{"RESULT_BACKEND", "CELERY_RESULT_BACKEND"},
			Help: "URL of the result backend; wins over the app's configuration."},
		{Name: "loader", Metavar: "CLASS", Group: groupGlobal, Who: Python, Env: []string{"LOADER", "CELERY_LOADER"},
			Help: "Loader class of the app."},
		{Name: "config", Metavar: "MODULE", Group: groupGlobal, Who: Python, Env: []string{"CONFIG_MODULE", "CELERY_CONFIG"},
			Help: "Configuration module of the app."},
		{Name: "workdir", Metavar: "DIR", Group: groupGlobal, Who: Both, Env: []string{"CELERY_WORKDIR"},
			Help: "Change to this directory first."},
		{Name: "no-color", Short: "C", Kind: Flag, Group: groupGlobal, Who: Both, Env: []string{"NO_COLOR", "CELERY_NO_COLOR"},
			Help: "No colour in logs and tables.",
			Note: "NO_COLOR counts whatever it is set to; Celery takes only words that mean yes."},
		{Name: "quiet", Short: "q", Kind: Flag, Group: groupGlobal, Who: Both, Env: []string{"CELERY_QUIET"},
			Help: "No line about what is started."},
		{Name: "skip-checks", Kind: Flag, Group: groupGlobal, Who: Python, Env: []string{"SKIP_CHECKS", "CELERY_SKIP_CHECKS"},
			Help: "Skip Django's system checks."},
	}
}

// Worker are the options of `celery worker`. Celery: bin/worker.py and
// bin/base.py (5.7).
func Worker() []Option {
	rows := append(workerRows(), poolRows()...)
	rows = append(rows, featureRows()...)
	rows = append(rows, daemonRows()...)
	for i := range rows {
		rows[i].Env = []string{"CELERY_WORKER_" + strings.ToUpper(strings.ReplaceAll(rows[i].Name, "-", "_"))}
	}
	return rows
}

func workerRows() []Option {
	return []Option{
		{Name: "hostname", Short: "n", Metavar: "NAME", Group: groupWorker, Who: Both,
			Help: "Node name; expands %h (host), %n (name), %d (domain).", Default: "celery@%h"},
		{Name: "loglevel", Short: "l", Kind: Level, Metavar: "LEVEL", Group: groupWorker, Who: Both, Default: "WARNING", Key: "loglevel",
			Help: "DEBUG, INFO, WARNING, ERROR, CRITICAL or FATAL."},
		{Name: "statedb", Short: "S", Metavar: "PATH", Group: groupWorker, Who: Both, Key: "statedb",
			Help: "Keep revoked task ids over restarts; expands %h, %n, %d.",
			Note: "In PATH.crisper.json, written whole and within a second; what Celery kept in PATH is taken over once."},
		{Name: "optimization", Short: "O", Kind: Choice, Choices: []string{"default", "fair"}, Metavar: "PROFILE", Group: groupWorker, Who: Harmless, Default: "default",
			Help: "default or fair.",
			Note: "Both are fair here: a task goes to a free slot, and what lies ready in a slow child's socket is given back."},
		{Name: "prefetch-multiplier", Kind: Count, Metavar: "N", Group: groupWorker, Who: Both, Key: "prefetch_multiplier",
			Help: "Reserve up to N messages per slot.",
			Note: "0 means the app's setting, as in Celery."},
		{Name: "disable-prefetch", Kind: Flag, Group: groupWorker, Who: Both, Key: "disable_prefetch",
			Help: "Take a message only when a slot is free."},
	}
}

func poolRows() []Option {
	return []Option{
		{Name: "concurrency", Short: "c", Kind: Concurrency, Metavar: "N|auto", Group: groupPool, Who: Both, Key: "concurrency",
			Help: "Number of children; auto: by the cgroup's CPU quota.",
			Note: "0 means the app's setting, as in Celery; without one it is the number of CPUs. auto works with every Celery version here."},
		{Name: "pool", Short: "P", Kind: Choice, Choices: []string{"prefork", "processes", "solo", "eventlet", "gevent", "threads", "custom"}, Metavar: "POOL", Group: groupPool, Who: Both, Key: "pool",
			Help: "prefork (processes) or solo; others run in Celery's own worker.",
			Note: "solo is one child process; time limits work in it. eventlet, gevent, threads and custom take --runtime=celery, and are refused with --runtime=native."},
		{Name: "task-events", Aliases: []string{"events"}, Short: "E", Kind: Flag, Group: groupPool, Who: Both, Key: "task_events",
			Help: "Send task events for monitors."},
		{Name: "time-limit", Kind: Seconds, Metavar: "SECONDS", Group: groupPool, Who: Both, Key: "time_limit",
			Help: "End a task's child after so long (hard limit)."},
		{Name: "soft-time-limit", Kind: Seconds, Metavar: "SECONDS", Group: groupPool, Who: Both, Key: "soft_time_limit",
			Help: "Raise SoftTimeLimitExceeded in a task after so long."},
		{Name: "max-tasks-per-child", Kind: Count, Metavar: "N", Group: groupPool, Who: Both, Key: "max_tasks_per_child",
			Help: "Replace a child after N tasks; the next one is ready first."},
		{Name: "max-memory-per-child", Kind: Memory, Metavar: "KIB", Group: groupPool, Who: Both, Key: "max_memory_per_child",
			Help: "Replace a child whose memory is above this after a task.",
			Note: "Current private memory, in KiB or with a unit (300Mi). Celery measures the peak resident size, which counts pages shared with the parent and never falls."},
		{Name: "pool-start-method", Kind: Choice, Choices: []string{"fork", "spawn"}, Metavar: "METHOD", Group: groupPool, Who: Crisper, Default: "fork",
			Help: "fork; spawn runs in Celery's own worker.",
			Note: "spawn takes --runtime=celery, and is refused with --runtime=native: children are forked from a zygote with a single thread, which is safe where Celery's fork is not; what the app starts at import is named in the log (--preload-threads)."},
		{Name: "purge", Aliases: []string{"discard"}, Kind: Flag, Group: groupQueues, Who: Crisper,
			Help: "Throw away all waiting messages of the consumed queues first."},
		{Name: "queues", Short: "Q", Kind: List, Metavar: "A,B", Group: groupQueues, Who: Both, Key: "queues",
			Help: "Consume these queues."},
		{Name: "exclude-queues", Short: "X", Kind: List, Metavar: "A,B", Group: groupQueues, Who: Both, Key: "exclude_queues",
			Help: "Consume all of the app's queues but these."},
		{Name: "include", Short: "I", Kind: List, Metavar: "M,N", Group: groupQueues, Who: Python, Key: "include",
			Help: "Import these modules too."},
	}
}

func featureRows() []Option {
	const beatNote = "run `crisper beat` beside the workers: an embedded Beat ticks once per worker, so every replica would send every task again"
	return []Option{
		{Name: "autoscale", Kind: Autoscale, Metavar: "MAX,MIN", Group: groupFeatures, Who: Crisper, Key: "autoscale",
			Help: "Between MIN and MAX slots, by what is reserved."},
		{Name: "without-gossip", Kind: Flag, Group: groupFeatures, Who: Harmless, Help: "No gossip between workers.",
			Note: "Workers never gossip here: it has no effect on tasks."},
		{Name: "without-mingle", Kind: Flag, Group: groupFeatures, Who: Both, Key: "without_mingle",
			Help: "Do not ask the other workers at start which tasks are revoked."},
		{Name: "without-heartbeat", Kind: Flag, Group: groupFeatures, Who: Both, Key: "without_heartbeat",
			Help: "No event heartbeats: monitors will take this worker for offline."},
		{Name: "heartbeat-interval", Kind: Count, Metavar: "SECONDS", Group: groupFeatures, Who: Both, Key: "heartbeat_interval",
			Help: "Interval of event heartbeats.", Default: "2"},
		{Name: "beat", Short: "B", Kind: Flag, Group: groupBeat, Who: Refused, Help: "Embedded Beat.", Note: beatNote},
		{Name: "schedule-filename", Aliases: []string{"schedule"}, Short: "s", Metavar: "PATH", Group: groupBeat, Who: Refused,
			Help: "Schedule file of the embedded Beat.", Note: "it belongs to -B; " + beatNote},
		{Name: "scheduler", Metavar: "CLASS", Group: groupBeat, Who: Refused,
			Help: "Scheduler of the embedded Beat.", Note: "it belongs to -B; " + beatNote},
	}
}

func daemonRows() []Option {
	return []Option{
		{Name: "detach", Short: "D", Kind: Flag, Group: groupDaemon, Who: Refused, Help: "Run in the background.",
			Note: "the container runtime, systemd or `&` keeps it running; a process that leaves its parent cannot be stopped or restarted by them"},
		{Name: "logfile", Short: "f", Metavar: "PATH", Group: groupDaemon, Who: Both, Key: "logfile",
			Help: "Log to this file instead of stderr; expands %h, %n, %d, and %i and %I as Celery's main process does."},
		{Name: "pidfile", Metavar: "PATH", Group: groupDaemon, Who: Crisper,
			Help: "Write the pid here and refuse to start twice; expands %h, %n, %d."},
		{Name: "uid", Metavar: "USER", Group: groupDaemon, Who: Crisper, Help: "Become this user, by name or number (as root only)."},
		{Name: "gid", Metavar: "GROUP", Group: groupDaemon, Who: Crisper, Help: "Become this group, by name or number (as root only)."},
		{Name: "umask", Kind: Octal, Metavar: "OCTAL", Group: groupDaemon, Who: Crisper, Help: "Create files with this umask.",
			Note: "Celery applies it with -D only."},
		{Name: "executable", Metavar: "PATH", Group: groupDaemon, Who: Crisper, Help: "The Python interpreter; the same as --python.",
			Note: "Celery uses it with -D only."},
	}
}
