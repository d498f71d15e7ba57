package ops

import "time"

// State is what /state serves and `crisper beat status` prints.
type State struct {
	Version   string    `json:"version"`
	Hostname  string    `json:"hostname"`
	Runtime   string    `json:"runtime"` // beat
	PID       int       `json:"pid"`
	StartedAt time.Time `json:"started_at"`
	Now       time.Time `json:"now"`
	// Phase is starting, following, leading, ending, releasing or stopping.
	Phase string `json:"phase"`

	Leader bool   `json:"leader"`          // this replica leads
	Term   uint64 `json:"term"`            // its token; 0 when it does not lead
	LedBy  string `json:"led_by"`          // who does, as last seen
	Holder string `json:"holder"`          // this replica's name in the election
	Lease  string `json:"lease,omitempty"` // where the election is held
	// ElectionError is why the Lease cannot be read or written; "" when it can.
	ElectionError string `json:"election_error,omitempty"`

	App    string `json:"app"`
	Python string `json:"python,omitempty"`
	Celery string `json:"celery,omitempty"`
	// AppError is why the app could not be loaded again; the entries are the old ones.
	AppError string `json:"app_error,omitempty"`
	// Schedule names it on the broker.
	Schedule string `json:"schedule,omitempty"`
	// CelerySchedule says why the leader runs `celery beat`; "" when it does not.
	CelerySchedule string `json:"celery_beat,omitempty"`
	Broker         Broker `json:"broker"`
	// ClockAheadSeconds is by how much this host's clock is ahead of the store's.
	ClockAheadSeconds float64 `json:"clock_ahead_seconds"`

	Entries Entries   `json:"entries"`
	Invalid []Invalid `json:"invalid,omitempty"`
	Next    []Coming  `json:"next,omitempty"` // known to the leader, soonest first
	Last    []Sent    `json:"last,omitempty"` // by this replica, newest first
	Counts  Counts    `json:"counts"`
}

// Broker is the connection of the leader; Server has no password.
type Broker struct {
	Server    string `json:"server,omitempty"`
	Connected bool   `json:"connected"`
	Error     string `json:"error,omitempty"`
}

// Entries counts them.
type Entries struct {
	Total   int `json:"total"`
	Asked   int `json:"made_by_the_app"` // their messages, one by one
	Invalid int `json:"invalid"`
}

// Invalid is an entry that does not run.
type Invalid struct {
	Entry string `json:"entry"`
	Task  string `json:"task,omitempty"`
	Error string `json:"error"`
}

// Coming is a tick to come.
type Coming struct {
	Entry string    `json:"entry"`
	Task  string    `json:"task"`
	Due   time.Time `json:"due"`
}

// Sent is a tick that was settled.
type Sent struct {
	Entry       string    `json:"entry"`
	Task        string    `json:"task"`
	Due         time.Time `json:"due"`
	SentAt      time.Time `json:"sent_at"`
	LateSeconds float64   `json:"late_seconds"`
	TaskID      string    `json:"task_id"`
	Outcome     string    `json:"outcome"` // published, already, unroutable
	Count       int64     `json:"total_run_count"`
}

// Counts are those of this process.
type Counts struct {
	Ticks         map[string]int64 `json:"ticks"`   // by outcome
	Skipped       map[string]int64 `json:"skipped"` // by reason
	CaughtUp      int64            `json:"caught_up"`
	Unmade        int64            `json:"messages_not_made"`
	PublishErrors int64            `json:"publish_errors"`
	Terms         int64            `json:"terms"`
}
