package supervisor

import (
	"io"
	"os"

	"go.uber.org/zap"

	"crisper/broker"
	"crisper/supervisor/agent"
)

// Deps is what the outside gives to Run: everything that a test replaces.
type Deps struct {
	Log    *zap.Logger
	Stderr io.Writer // of the Python processes
	// Signals are those of the process; see the table in doc.go.
	Signals <-chan os.Signal
	// OpenBroker chooses the client once the app has said which broker it uses.
	OpenBroker func(info agent.Info, workerID string, log *zap.Logger) (broker.Consumer, error)
	Version    string
}

// Exit codes of the process; docs/reference/exit-codes.md explains them.
const (
	ExitOK       = 0
	ExitFailure  = 1 // cold shutdown, unrecoverable error (Celery's EX_FAILURE)
	ExitUsage    = 2 // bad command line or refused setting
	ExitChildren = 3 // children cannot be started
	ExitApp      = 4 // the app does not load
	ExitBroker   = 5 // the broker refuses us or cannot be reached within Celery's retries
)
