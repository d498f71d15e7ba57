package ops

import "time"

// State is what /state serves, `crisper state` prints and SIGUSR1 dumps.
type State struct {
	Version   string    `json:"version"`
	Hostname  string    `json:"hostname"` // node name
	Runtime   string    `json:"runtime"`  // native, celery, exec
	PID       int       `json:"pid"`
	StartedAt time.Time `json:"started_at"`
	Now       time.Time `json:"now"`
	// Phase is starting, ready, draining or stopped.
	Phase   string        `json:"phase"`
	App     string        `json:"app"`
	Python  string        `json:"python"`
	Celery  string        `json:"celery"`
	Broker  BrokerState   `json:"broker"`
	Slots   []SlotState   `json:"slots"`
	Zygotes []ZygoteState `json:"zygotes"`
	// ReloadError is why the app was not replaced when it was last loaded again.
	ReloadError string           `json:"reload_error,omitempty"`
	Deliveries  DeliveryCounts   `json:"deliveries"`
	Queues      map[string]Queue `json:"queues"`
	Tasks       TaskCounts       `json:"tasks"`
	Cgroup      CgroupState      `json:"cgroup"`
	// Recent are the last transitions and the last finished tasks, newest first.
	Recent []RecentTask      `json:"recent"`
	Log    []TransitionState `json:"transitions"`
	// Orphans is how many processes of others' making were reaped (exec).
	Orphans int64 `json:"orphans_reaped,omitempty"`
	// Beat is the state of `crisper beat`, as its own /state shows it (beat/ops).
	Beat any `json:"beat,omitempty"`
}

// BrokerState is the connection; Server has no password.
type BrokerState struct {
	Server    string    `json:"server"`
	Connected bool      `json:"connected"`
	Since     time.Time `json:"since"`
	Error     string    `json:"error,omitempty"`
}

// SlotState is one seat with its child. Memory is private bytes.
type SlotState struct {
	Slot        int     `json:"slot"`
	State       string  `json:"state"`
	Reason      string  `json:"reason,omitempty"`
	Child       uint64  `json:"child"`
	PID         int     `json:"pid"`
	Generation  int     `json:"generation"`
	TasksDone   int     `json:"tasks_done"`
	AgeSeconds  float64 `json:"age_seconds"`
	MemoryBytes int64   `json:"memory_bytes"`
	Queued      int     `json:"queued"` // lying ready in its socket
	// Processes is how many the child consists of, where it is a tree (exec, celery).
	Processes int        `json:"processes,omitempty"`
	Task      *TaskState `json:"task,omitempty"`
}

// TaskState is a task in hand.
type TaskState struct {
	ID             string  `json:"id"`
	Name           string  `json:"name"`
	Queue          string  `json:"queue"`
	RunningSeconds float64 `json:"running_seconds"`
}

// ZygoteState is one generation.
type ZygoteState struct {
	Generation     int     `json:"generation"`
	PID            int     `json:"pid"`
	State          string  `json:"state"` // loading, ready, leaving
	PreloadSeconds float64 `json:"preload_seconds"`
}

// DeliveryCounts says where the deliveries in hand are.
type DeliveryCounts struct {
	Reserved  int `json:"reserved"`  // waiting for a slot
	Scheduled int `json:"scheduled"` // waiting for their ETA
	Queued    int `json:"queued"`    // in a child's socket, not begun
	Active    int `json:"active"`
	Settling  int `json:"settling"`
}

// Queue is a backlog (broker.Backlog in JSON).
type Queue struct {
	Ready            int64   `json:"ready"`
	Unacked          int64   `json:"unacked"`
	Scheduled        int64   `json:"scheduled"`
	OldestAgeSeconds float64 `json:"oldest_age_seconds"`
}

// TaskCounts are totals since start.
type TaskCounts struct {
	Received  int64 `json:"received"`
	Succeeded int64 `json:"succeeded"`
	Failed    int64 `json:"failed"`
	Retried   int64 `json:"retried"`
	Rejected  int64 `json:"rejected"`
	Revoked   int64 `json:"revoked"`
	Lost      int64 `json:"lost"`
	Parked    int64 `json:"parked"`
	Restored  int64 `json:"restored"`
}

// CgroupState is the pod's memory, in bytes; Limit 0: none.
type CgroupState struct {
	Version      int   `json:"version"`
	CurrentBytes int64 `json:"current_bytes"`
	LimitBytes   int64 `json:"limit_bytes"`
}

// RecentTask is a finished task.
type RecentTask struct {
	ID             string    `json:"id"`
	Name           string    `json:"name"`
	Outcome        string    `json:"outcome"`
	RuntimeSeconds float64   `json:"runtime_seconds"`
	FinishedAt     time.Time `json:"finished_at"`
	Exception      string    `json:"exception,omitempty"`
	Traceback      string    `json:"traceback,omitempty"`
}

// TransitionState is one line of the pool's history.
type TransitionState struct {
	At     time.Time `json:"at"`
	Slot   int       `json:"slot"`
	Child  uint64    `json:"child"`
	From   string    `json:"from"`
	To     string    `json:"to"`
	Reason string    `json:"reason"`
	Detail string    `json:"detail,omitempty"`
}

// Health is what the probes are answered from. It is a snapshot that the loop
// publishes (an atomic pointer): a probe never waits for the loop.
type Health struct {
	Started  bool      // the pool was ready once
	Draining bool      // going down: not ready, but alive
	Broker   bool      // connected: for readiness, never for liveness
	LoopAt   time.Time // when the loop last turned; it turns at least once in 5 s
	// StuckSince is not zero when there is work, room and a connection, and yet
	// nothing has been started since then.
	StuckSince time.Time
	// ReadyText is what /readyz says when all is well; empty: that it takes tasks.
	ReadyText string
}
