//go:build integration

package integration

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"crisper/integration/harness"
)

func TestTheAdminSocketIsGoneWithItsProcess(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	for _, row := range []struct {
		name string
		args []string
		code int
		wait bool // it is told to leave when it listens, else it ends by itself
	}{
		{"a worker", []string{"worker", "-A", "sample", "-c", "1", "--python", s.Python}, 0, true},
		{"whole workers", []string{"worker", "-A", "sample", "-c", "1", "--python", s.Python, "--runtime=celery"}, 0, true},
		{"a command", []string{"exec", "--", "sleep", "60"}, 128 + int(syscall.SIGTERM), true},
		{"a command that ends", []string{"exec", "--", "true"}, 0, false},
		{"a beat", []string{"beat", "-A", "sample", "--python", s.Python, "--election", "redis"}, 0, true},
		{"an app that does not load", []string{"worker", "-A", "nowhere", "--python", s.Python}, 4, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := harness.Got(os.MkdirTemp("", "crisper-socket-"))(t) // short enough for a socket
			t.Cleanup(func() { os.RemoveAll(dir) })
			socket := filepath.Join(dir, "admin.sock")
			there := func() bool { _, err := os.Lstat(socket); return err == nil }
			line := append([]string{s.Binary, row.args[0], "--http", "off", "--socket", socket}, row.args[1:]...)
			p := harness.Got(s.Start(harness.Command{Name: "crisper", Args: line, Env: s.Env(s.App)}))(t)
			if row.wait {
				harness.Must(t, harness.Until(harness.Deadline(t, 20*time.Second), "the admin socket", there))
				harness.Must(t, p.Signal(syscall.SIGTERM))
			}
			code, _, err := p.Wait(harness.Deadline(t, 40*time.Second))
			harness.Must(t, err)
			if there() {
				t.Error("the socket is left behind")
			}
			if code != row.code {
				t.Errorf("exit code %d, want %d:\n%s", code, row.code, p.LogText())
			}
		})
	}
}

func TestTheSocketOfAKilledWorkerIsNotInTheWay(t *testing.T) {
	t.Parallel()
	s := harness.NewStage(t, harness.Options{})
	w := s.Crisper(t, "-c", "1")
	harness.Must(t, w.KillGroup())
	<-w.Done()
	harness.Got(os.Lstat(w.Socket))(t)
	line := []string{s.Binary, "worker", "-A", "sample", "-c", "1", "--python", s.Python, "--http", "off", "--socket", w.Socket}
	next := harness.Got(s.Start(harness.Command{Name: "crisper", Args: line, Env: s.Env(s.App)}))(t)
	ask := func() bool {
		_, code, err := s.Run(harness.Deadline(t, 10*time.Second), harness.Command{Name: "state", Args: []string{s.Binary, "state", "--socket", w.Socket}})
		return err == nil && code == 0
	}
	harness.Must(t, harness.Until(harness.Deadline(t, 20*time.Second), "an answer from the admin socket", ask))
	harness.Must(t, next.Signal(syscall.SIGTERM))
}
