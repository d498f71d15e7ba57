package leader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"go.uber.org/zap"

	"crisper/beat"
	"crisper/beat/app"
	"crisper/beat/lease"
)

// Config is everything that this replica was told.
type Config struct {
	// App is how the app is loaded, again at each reload.
	App app.Options
	// Lease are the candidate's options.
	Lease lease.Options
	// CatchUp is the length of a gap that is made up tick by tick.
	CatchUp time.Duration
	// Watch are files and folders; the app is loaded again when one has changed.
	Watch []string
	// HTTP, Socket and TerminationLog are as for a worker; "": none.
	HTTP, Socket, TerminationLog string
}

// Defaults are those of the command.
func Defaults() Config { return Config{CatchUp: time.Minute, HTTP: ":9811"} }

// Validate reports everything that is wrong.
func (c Config) Validate() error {
	var errs []error
	if c.CatchUp < 0 {
		errs = append(errs, fmt.Errorf("the catch-up window (%s) must not be negative", c.CatchUp))
	}
	return errors.Join(append(errs, c.Lease.Validate())...)
}

// Site is where the loaded app's beat is kept: it depends on what the app says.
type Site struct {
	// Schedule names the schedule among all on the broker; task ids are made of it.
	Schedule string
	// Backend is where the Lease is.
	Backend lease.Backend
	// Publisher is nil when Child is what leads.
	Publisher beat.Publisher
	// Clock tells the time that all replicas share, and how exactly; nil: our own.
	Clock func(ctx context.Context) (now time.Time, precision time.Duration, err error)
	// Close ends what Backend and Publisher stand on.
	Close func()
}

// Child publishes in our place: `celery beat` with a scheduler of its own.
type Child interface {
	// Lead runs it until ctx ends, and returns when it is gone, by expiry at the latest.
	Lead(ctx context.Context, term lease.Term) error
	// Reload has it load the app again.
	Reload()
	// Ready says that it leads, or could at once.
	Ready() bool
	// Close ends what is kept ready.
	Close()
}

// Deps is what the outside gives to Run.
type Deps struct {
	Log     *zap.Logger
	Signals <-chan os.Signal
	// Open chooses where things are kept; called once, when the app is loaded.
	Open func(app.Info) (Site, error)
	// NewChild is for apps that need Celery's own beat; why says what for.
	NewChild func(info app.Info, why string) (Child, error)
	Stdout   io.Writer
	Version  string
	// Now is time.Now unless a test has another clock.
	Now func() time.Time
}
