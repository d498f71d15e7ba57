package control

import "encoding/json"

// World is what the worker knows of itself.
type World interface {
	// Hostname is the node name.
	Hostname() string
	// Clock is the logical clock; Forward moves it on.
	Clock() int64
	Forward() int64
	// Active, Reserved and Scheduled are the tasks in our hands.
	Active() []Task
	Reserved() []Task
	Scheduled() []Task
	// Revoked lists revoked ids, oldest first.
	Revoked() []string
	// Queues are those that are consumed, as Celery's Queue.as_dict has them.
	Queues() []json.RawMessage
	Stats() Stats
	// Known tells whether a task of this name is registered.
	Known(task string) bool
	// Custom tells whether the app has registered a command of this name itself.
	Custom(method string) bool
	// Signal is the number of a signal's name ("SIGTERM").
	Signal(name string) (int, bool)
	// EventsOn tells whether events of tasks are sent already, and whether that can
	// be undone.
	EventsOn() (on, undoable bool)
	// Autoscaler gives its bounds; ok is false when there is none.
	Autoscaler() (maximum, minimum int, ok bool)
	// Slots is the size of the pool; Restarts is worker_pool_restarts.
	Slots() int
	Restarts() bool
}

// Task is one task in our hands (celery/worker/request.py, Request.info).
type Task struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Args and Kwargs are JSON; of bodies that are not, their reprs.
	Args         json.RawMessage `json:"args"`
	Kwargs       json.RawMessage `json:"kwargs"`
	Type         string          `json:"type"`
	Hostname     string          `json:"hostname"`
	TimeStart    *float64        `json:"time_start"`
	Acknowledged bool            `json:"acknowledged"`
	DeliveryInfo DeliveryInfo    `json:"delivery_info"`
	WorkerPID    *int            `json:"worker_pid"`

	// ArgsRepr and KwargsRepr are what the sender says of them.
	ArgsRepr   string `json:"-"`
	KwargsRepr string `json:"-"`
	// ETA is ISO 8601, for scheduled ones.
	ETA string `json:"-"`
	// Stamps are its values by stamp, as text (consumer.Stamps).
	Stamps map[string][]string `json:"-"`
	// Handle finds it again.
	Handle uint64 `json:"-"`
}

// DeliveryInfo is how a task came to us.
type DeliveryInfo struct {
	Exchange    string `json:"exchange"`
	RoutingKey  string `json:"routing_key"`
	Priority    *int   `json:"priority"`
	Redelivered bool   `json:"redelivered"`
}

// Stats is the reply to stats.
type Stats struct {
	Total         map[string]int64 `json:"total"`
	PID           int              `json:"pid"`
	Clock         string           `json:"clock"`
	Uptime        int64            `json:"uptime"`
	Autoscaler    *Autoscaler      `json:"autoscaler,omitempty"`
	Pool          Pool             `json:"pool"`
	Broker        json.RawMessage  `json:"broker"`
	PrefetchCount int              `json:"prefetch_count"`
	Rusage        map[string]any   `json:"rusage,omitempty"`
}

// Autoscaler is Autoscaler.info.
type Autoscaler struct {
	Max     int `json:"max"`
	Min     int `json:"min"`
	Current int `json:"current"`
	Qty     int `json:"qty"`
}

// Pool is TaskPool.info of the prefork pool.
type Pool struct {
	Implementation string `json:"implementation"`
	MaxConcurrency int    `json:"max-concurrency"`
	Processes      []int  `json:"processes"`
	MaxTasks       any    `json:"max-tasks-per-child"`
	Guarded        bool   `json:"put-guarded-by-semaphore"`
	Timeouts       [2]any `json:"timeouts"`
	Writes         Writes `json:"writes"`
}

// Writes says how tasks were spread over the children.
type Writes struct {
	Total    int64    `json:"total"`
	Avg      string   `json:"avg"`
	All      string   `json:"all"`
	Raw      string   `json:"raw"`
	Strategy string   `json:"strategy"`
	Inqueues Inqueues `json:"inqueues"`
}

// Inqueues counts the children's sockets.
type Inqueues struct {
	Total  int `json:"total"`
	Active int `json:"active"`
}
