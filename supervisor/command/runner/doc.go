// Package runner runs one command, whatever it is, as PID 1 of a container runs
// its only child. What happens to it is decided in package command; here it is
// done.
//
// # What it is
//
//	signals ───────┐                                   ┌─► the command (its pid alone)
//	its end ───────┤  one goroutine  ┌──────────────┐  ├─► every descendant (sweep)
//	sweeps ────────┼───────────────► │ command.Step │ ─┤
//	measurements ──┤                 └──────────────┘  ├─► log, metrics, /state
//	timer ─────────┘                                   └─► exit code, termination message
//
// The command inherits our stdin, stdout and stderr themselves: nothing is copied
// or buffered, and what it wrote is written even when everybody is killed. Its
// environment is ours, with PYTHONUNBUFFERED=1 unless that is set. It is the
// leader of a process group of its own and, if we are in the foreground of a
// terminal, its group is put there: Ctrl-C reaches it and not us.
//
// # Orphans
//
// As PID 1, or else as a subreaper, we adopt what its parent left, reap it
// (package reaper), and end it when the command has ended. Every living process
// below us counts, found in /proc; zombies do not. A signal is sent through a
// pidfd that is opened before the process is looked at a second time, so that it
// cannot reach a stranger that was given the same number.
//
// # Failures
//
// If we are killed, the kernel sends the command SIGTERM (parent-death signal).
// If /proc cannot be read, only the process group is swept. Without a cgroup or
// outside Linux no memory is guarded, and the log says so.
//
// # What it deliberately does not do
//
// It injects nothing. It does not stop and continue with a shell's job control
// (Ctrl-Z): in a container there is no shell. It does not pass on SIGCHLD, SIGPIPE,
// SIGURG, SIGTTIN and SIGTTOU, which concern our own process.
package runner
