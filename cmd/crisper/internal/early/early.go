// Package early catches signals for `crisper exec` before anything else of this
// program is ready. Go initializes packages in the order of their paths as soon as
// what they import is ready, so that this one, which imports next to nothing, comes
// long before the libraries. As PID 1 a signal that nobody handles is not even
// fatal: the kernel throws it away, and a TERM would be lost for the whole grace.
package early

import (
	"os"
	"os/signal"
	"syscall"
)

// signals has room for every signal there is, and for many again: until the
// command runs, nobody may read them. More than that are dropped.
var signals = make(chan os.Signal, 128)

func init() {
	if len(os.Args) > 1 && os.Args[1] == "exec" {
		catch()
	}
}

// Signals are those that the program was sent, from its first moment if exec is
// its first argument, else from now on.
func Signals() <-chan os.Signal {
	catch()
	return signals
}

// Stop ends the catching.
func Stop() { signal.Stop(signals) }

// ours are signals about our own process or from Go's runtime (URG), and those
// that a failing instruction causes.
var ours = map[syscall.Signal]bool{
	syscall.SIGCHLD: true, syscall.SIGPIPE: true, syscall.SIGURG: true, syscall.SIGTTIN: true, syscall.SIGTTOU: true,
	syscall.SIGSEGV: true, syscall.SIGBUS: true, syscall.SIGFPE: true, syscall.SIGILL: true, syscall.SIGTRAP: true, syscall.SIGSYS: true,
	syscall.SIGPROF: true, syscall.SIGKILL: true, syscall.SIGSTOP: true, syscall.SIGTSTP: true,
}

// last is the number of the last classic signal; those of the real-time kind are
// the C libraries' business.
const last = 31

func catch() {
	var wanted []os.Signal
	for number := syscall.Signal(1); number <= last; number++ {
		// What is ignored was ignored for us (nohup), and so it is for the command.
		if !ours[number] && !signal.Ignored(number) {
			wanted = append(wanted, number)
		}
	}
	signal.Notify(signals, wanted...)
	// Caught and dropped: its default ends a Go process when a log's reader has left.
	// Not ignored: that would be inherited by the command.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
}
