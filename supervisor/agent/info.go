package agent

import (
	"encoding/json"

	"crisper/broker"
)

// Options is what the zygote needs to know to load the app. It travels over the
// control socket and never through argv or the environment, because Broker may
// hold a password.
type Options struct {
	App           string `json:"app"`
	Workdir       string `json:"workdir,omitempty"`
	Config        string `json:"config,omitempty"`
	Loader        string `json:"loader,omitempty"`
	Broker        string `json:"broker,omitempty"`
	ResultBackend string `json:"result_backend,omitempty"`
	SkipChecks    bool   `json:"skip_checks,omitempty"`
	// Hostname is the node name as typed (-n), before expansion; empty for the default.
	Hostname string `json:"hostname,omitempty"`
	// Worker holds the options of `celery worker` that were given, by the names
	// that Celery's WorkController takes (concurrency, pool, loglevel, logfile,
	// queues, exclude_queues, include, time_limit, soft_time_limit, autoscale, …).
	Worker map[string]any `json:"worker,omitempty"`
	// Extra are trailing key=value arguments and user options, as typed.
	Extra []string `json:"extra,omitempty"`
	// Threads is the policy for a zygote that finds threads or sockets when it is
	// about to freeze: "warn" (default) or "refuse".
	Threads string `json:"threads,omitempty"`
	// Only is "" for a worker, "info" to load, report and exit (hints, explain).
	Only string `json:"only,omitempty"`
}

// Info is what the loaded app says about itself: the finalized configuration,
// after celeryd_init and celeryd_after_setup have had their say.
type Info struct {
	Python   string `json:"python"` // 3.11.7
	Celery   string `json:"celery"`
	Kombu    string `json:"kombu"`
	AppName  string `json:"app_name"` // app.main
	Hostname string `json:"hostname"` // the node name, expanded
	Pid      int    `json:"pid"`      // of the zygote
	// Conf has every setting of celery.app.defaults with a JSON value; values that
	// have none are {"__opaque__": "repr"}.
	Conf map[string]json.RawMessage `json:"conf"`
	// Changed are the settings that differ from Celery's defaults, by name. Misspelt
	// are those that Celery does not know, each with the one that was meant.
	Changed  []string          `json:"changed"`
	Misspelt map[string]string `json:"misspelt"`
	// Worker has the values that the WorkController resolved: concurrency,
	// pool_cls ("celery.concurrency.prefork:TaskPool"), loglevel (number),
	// logfile, max_tasks_per_child, max_memory_per_child, time_limit,
	// soft_time_limit, autoscale, prefetch_multiplier, task_events, statedb, …
	Worker map[string]json.RawMessage `json:"worker"`
	Broker Broker                     `json:"broker"`
	Queues []broker.Queue             `json:"queues"`
	Tasks  map[string]Task            `json:"tasks"`
	// Accept is accept_content resolved to MIME types.
	Accept []string `json:"accept"`
	// Receivers counts the live receivers of each signal in the zygote.
	Receivers map[string]int `json:"receivers"`
	// Needs names what only Celery's own worker has (custom bootsteps, consumer,
	// pool, request classes, transports), one sentence each; empty: native will do.
	Needs []string `json:"needs"`
	// Remote is what remote control must know.
	Remote Remote `json:"remote"`
	// Threads and Sockets are what was found at freeze time, by name.
	Threads []string `json:"threads"`
	Sockets []string `json:"sockets"`
	// PreloadSeconds is how long loading took; RSSBytes what it weighs.
	PreloadSeconds float64 `json:"preload_seconds"`
	RSSBytes       int64   `json:"rss_bytes"`
}

// Broker is how to reach the broker. URLs hold passwords: never log them.
type Broker struct {
	URLs             []string                   `json:"urls"` // in failover order
	FailoverStrategy string                     `json:"failover_strategy"`
	TransportOptions map[string]json.RawMessage `json:"transport_options"`
	// UseSSL is false, true, or a map with ssl_* / keyfile, certfile, ca_certs,
	// cert_reqs (number or name).
	UseSSL json.RawMessage `json:"use_ssl"`
}

// Task is what the supervisor must know of a registered task: its attributes as
// Celery resolved them (task attribute over configuration). Limits in seconds.
type Task struct {
	AcksLate           bool            `json:"acks_late"`
	AcksOnFailure      bool            `json:"acks_on_failure"`
	AcksOnTimeout      bool            `json:"acks_on_timeout"`
	RejectOnWorkerLost bool            `json:"reject_on_worker_lost"`
	RetryOnWorkerLost  bool            `json:"retry_on_worker_lost"`
	TrackStarted       bool            `json:"track_started"`
	IgnoreResult       bool            `json:"ignore_result"`
	StoreErrors        bool            `json:"store_errors_even_if_ignored"`
	SendEvents         bool            `json:"send_events"`
	TimeLimit          float64         `json:"time_limit"`
	SoftTimeLimit      float64         `json:"soft_time_limit"`
	RateLimit          json.RawMessage `json:"rate_limit"`
	MaxRetries         *int            `json:"max_retries"`
}

// ForkRequest asks the zygote for a child.
type ForkRequest struct {
	Child      uint64 `json:"child"` // unique in this supervisor's life
	Role       string `json:"role"`  // "executor" or "steward"
	Slot       int    `json:"slot"`
	Generation int    `json:"generation"`
	Index      int    `json:"index"` // N of ForkPoolWorker-N, from 1
	// Results asks for result reprs, exceptions and tracebacks in Done frames even
	// of successful tasks (they are needed for events only).
	Results bool `json:"results"`
	// OOMScoreAdj is written to /proc/self/oom_score_adj when larger than 0.
	OOMScoreAdj int `json:"oom_score_adj"`
}

// Hello is a child's first frame.
type Hello struct {
	Child uint64 `json:"child"`
	Pid   int    `json:"pid"`
}

// Request operations understood by the steward. Every one but signal (most of
// the time) comes with a Task payload. The steward builds Celery's own worker Request object from it
// and calls its own methods (on_failure, on_timeout, revoked, …) with callbacks
// that record instead of act, so that each Celery version behaves as itself.
const (
	OpFailure = "failure" // {"exc": {"type": "WorkerLostError", "message": "…"}}: child died
	OpTimeout = "timeout" // {"limit": seconds}: hard time limit
	OpRevoked = "revoked" // {"reason": "revoked|expired|terminated", "signum": …}
	OpUnknown = "unknown" // task not registered
	OpReject  = "reject"  // {"requeue": bool, "reason": "…"}: the task raised Reject
	OpFail    = "fail"    // {"exc": …}: record as failed whatever the ack mode (cut off, parked)
	OpInvalid = "invalid" // ContentDisallowed, InvalidTaskError, bad ETA (5.7: FAILURE for a bad ETA)
	OpSignal  = "signal"  // {"name": "worker_ready", …}: a payload only for signals of a message
	// OpReceived fires task_received: {"sizes": [n, …]}, as many Task payloads one behind the other.
	OpReceived = "received"
)

// Answer is the steward's reply.
type Answer struct {
	// Error is set when the operation could not be carried out (backend down);
	// nothing has been recorded and the caller may ask again.
	Error string `json:"error,omitempty"`
	// Verb is what Celery's Request decided: "ack", "reject", "requeue" or "".
	Verb string `json:"verb,omitempty"`
	// Events are Celery events that would have been sent, in order.
	Events []map[string]any `json:"events,omitempty"`
	// Reply is the value of operations that return one.
	Reply json.RawMessage `json:"reply,omitempty"`
}
