package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"crisper/cmd/crisper/internal/options"
	"crisper/supervisor"
)

// prepare does to our own process what was asked for, in Celery's order:
// directory, mask, user, pid file. release undoes what must not stay behind.
func prepare(plan options.Plan) (release func(), err error) {
	if plan.Workdir != "" {
		if err := os.Chdir(plan.Workdir); err != nil {
			return nil, usageError("cannot change to --workdir: %w", err)
		}
	}
	if plan.Umask >= 0 {
		syscall.Umask(plan.Umask)
	}
	if err := become(plan.UID, plan.GID); err != nil {
		return nil, err
	}
	if plan.Pidfile == "" {
		return func() {}, nil
	}
	path := expandNode(plan.Pidfile, plan.Config.Agent.Hostname)
	if err := writePidfile(path); err != nil {
		return nil, err
	}
	return func() { _ = os.Remove(path) }, nil
}

// writePidfile refuses, in Celery's words and with its exit code, while the process of
// an older file lives. Celery: platforms.py, Pidfile (5.7), which takes a process of
// another user for one that has ended; here it lives.
func writePidfile(path string) error {
	for {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err == nil {
			_, err = fmt.Fprintf(file, "%d\n", os.Getpid())
			err = errors.Join(err, file.Close())
		}
		if err == nil {
			return nil
		}
		if !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("cannot write the pid file: %w", err)
		}
		if pid, alive := pidfileOwner(path); alive {
			return exitError{supervisor.ExitPidfile, fmt.Errorf("ERROR: Pidfile (%s) already exists.\nSeems we're already running? (pid: %d)", path, pid)}
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("cannot replace the stale pid file: %w", err)
		}
	}
}

// pidfileOwner: our own pid in the file is a leftover too (in a restarted
// container every process has the pid that it had before).
func pidfileOwner(path string) (pid int, alive bool) {
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	pid, err = strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil || pid <= 0 || pid == os.Getpid() {
		return pid, false
	}
	err = syscall.Kill(pid, 0)
	return pid, err == nil || errors.Is(err, syscall.EPERM)
}

// expandNode is node_format of Celery's main process (utils/nodenames.py, 5.7): %h is
// the host of the node's name, whatever machine it runs on, %i is 0 and %I is nothing.
func expandNode(text, node string) string {
	local, err := os.Hostname()
	if err != nil {
		local = "localhost"
	}
	return nodeFormat(text, nodeName(node, local))
}

func nodeFormat(text, node string) string {
	name, host, _ := strings.Cut(node, "@")
	return strings.ReplaceAll(expand(text, name, host), "%p", node)
}

// nodeName completes what -n gives: name, name@ and nothing are allowed. In it %h is
// this machine, and %n its name without the domain (host_format).
func nodeName(given, local string) string {
	name, host, found := strings.Cut(given, "@")
	if !found {
		name, host = "", given
	}
	if name == "" {
		name = "celery"
	}
	if host == "" {
		host = local
	}
	short, _, _ := strings.Cut(local, ".")
	return expand(name+"@"+host, short, local)
}

func expand(text, name, host string) string {
	_, domain, _ := strings.Cut(host, ".")
	return strings.NewReplacer("%%", "%", "%h", host, "%n", name, "%d", domain, "%i", "0", "%I", "").Replace(text)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func join(dir, path string) string {
	if dir == "" {
		return path
	}
	return filepath.Join(dir, path)
}
