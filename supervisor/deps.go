package supervisor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

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
	// Judge looks at the loaded app before anything is opened or taken. Its error ends
	// Run with ExitUsage; ErrElsewhere says that another runtime of this process takes
	// over, so that no last words are written and no port is held when Run returns. Nil:
	// what the app needs and this runtime has not is an error.
	Judge func(info agent.Info) error
	// JudgeAgain is Judge for an app that is loaded again while the worker runs; with an
	// error the app that runs goes on.
	JudgeAgain func(info agent.Info) error
	Version    string
}

// ErrElsewhere is Judge's answer when this runtime is not the one for the app.
var ErrElsewhere = errors.New("another runtime takes this app")

// Exit codes of the process; docs/reference/exit-codes.md explains them.
const (
	ExitOK       = 0
	ExitFailure  = 1  // cold shutdown, unrecoverable error (Celery's EX_FAILURE)
	ExitUsage    = 2  // bad command line or refused setting
	ExitChildren = 3  // children cannot be started
	ExitApp      = 4  // the app does not load
	ExitBroker   = 5  // the broker refuses us or cannot be reached within Celery's retries
	ExitPidfile  = 73 // the pid file names a process that runs (Celery's EX_CANTCREAT)
)

// Natively is the Judge of those who insist on this runtime.
func Natively(info agent.Info) error {
	if len(info.Needs) == 0 {
		return nil
	}
	return fmt.Errorf("cannot run this app natively: %s (run it with --runtime=celery)", strings.Join(info.Needs, "; "))
}
