package app

import (
	"encoding/json"
	"io"
	"time"

	"crisper/beat/message"
	"crisper/supervisor/agent"
)

// Options say which app to load and how. They travel over the control socket and
// never through argv or the environment: Broker may hold a password.
type Options struct {
	Python string `json:"-"` // --python; empty: as agent.FindPython finds it
	App    string `json:"app"`
	// The global options of `celery`.
	Workdir       string `json:"workdir,omitempty"`
	Config        string `json:"config,omitempty"`
	Loader        string `json:"loader,omitempty"`
	Broker        string `json:"broker,omitempty"`
	ResultBackend string `json:"result_backend,omitempty"`
	SkipChecks    bool   `json:"skip_checks,omitempty"`
	// Beat holds the options of `celery beat` that were given, by Celery's names:
	// scheduler, schedule, max_interval, loglevel, logfile, hostname, no_color, ….
	Beat map[string]any `json:"beat,omitempty"`
	// Extra are trailing key=value arguments and user options, as typed.
	Extra []string `json:"extra,omitempty"`

	Env            []string      `json:"-"` // nil: ours
	Stdout, Stderr io.Writer     `json:"-"` // an *os.File is handed over as it is; nil: nowhere
	Starter        agent.Starter `json:"-"` // nil: os/exec by itself
}

// Info is what the loaded app says about itself.
type Info struct {
	Python  string `json:"python"`
	Celery  string `json:"celery"`
	Kombu   string `json:"kombu"`
	AppName string `json:"app_name"`
	Pid     int    `json:"pid"`
	// Conf has every setting of celery.app.defaults with a JSON value; values that
	// have none are {"__opaque__": "repr"}.
	Conf map[string]json.RawMessage `json:"conf"`
	// Broker is the one to publish to (broker_write_url).
	Broker agent.Broker `json:"broker"`
	// Transport is "redis" (Sentinel too), "amqp", or the path of another class.
	Transport string `json:"transport"`
	// Scheduler is the class that -S or beat_scheduler name, resolved
	// ("celery.beat:PersistentScheduler"); Native says that it is Celery's own.
	Scheduler string `json:"scheduler"`
	Native    bool   `json:"native"`
	// ScheduleFilename is where Celery's own scheduler would keep its state.
	ScheduleFilename string `json:"schedule_filename"`
	// MaxInterval is what the scheduler settled on (beat_max_loop_interval, --max-interval).
	MaxInterval float64 `json:"max_interval"`
	// SyncEvery is beat_sync_every; CronStartingDeadline is nil when there is none, in seconds.
	SyncEvery            int      `json:"sync_every"`
	CronStartingDeadline *float64 `json:"cron_starting_deadline"`
	// Timezone is the app's, "" when it has no IANA name; EnableUTC is the setting.
	Timezone  string `json:"timezone"`
	EnableUTC bool   `json:"enable_utc"`
	// RemoteControl is beat_enable_remote_control, or the option (5.7).
	RemoteControl bool `json:"remote_control"`
	// Receivers counts the live receivers of each signal.
	Receivers map[string]int `json:"receivers"`
	// Needs names what only `celery beat` does, one sentence each; empty: this will do.
	Needs          []string `json:"needs"`
	PreloadSeconds float64  `json:"preload_seconds"`
	EntriesSeconds float64  `json:"entries_seconds"`
	RSSBytes       int64    `json:"rss_bytes"`
}

// Entry is one entry of the schedule.
type Entry struct {
	Name string `json:"name"`
	Task string `json:"task"`
	// Schedule is read by schedule.Parse; Text is Celery's repr of it.
	Schedule json.RawMessage `json:"schedule"`
	Text     string          `json:"text"`
	// Options are those of the entry, for people.
	Options json.RawMessage `json:"options"`
	// Error says why the entry cannot run; then it has no schedule or no message.
	Error string `json:"error"`
	// Ask says why its messages are rendered one by one; then Blueprint is zero.
	Ask       string            `json:"ask"`
	Blueprint message.Blueprint `json:"-"`
}

// Verdict is what a schedule says about a moment.
type Verdict struct {
	Due  bool
	Next time.Time // when to ask again; zero: never
}
