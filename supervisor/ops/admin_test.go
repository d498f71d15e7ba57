package ops

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startAdmin runs an Admin on path until the test ends.
func startAdmin(t *testing.T, path string, opts AdminOptions) {
	t.Helper()
	if opts.State == nil {
		opts.State = func(context.Context) (State, error) { return sampleState(), nil }
	}
	if opts.Drain == nil {
		opts.Drain = func() {}
	}
	listening := make(chan string, 1)
	opts.Listening = func(path string) { listening <- path }
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- NewAdmin(opts).Run(ctx, path) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is left behind", path)
		}
	})
	select {
	case <-listening:
	case err := <-ended:
		ended <- nil
		t.Fatalf("Run: %v", err)
	}
}

// shortDir is a directory whose path is short enough for a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "ops")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestTheSocketTellsTheStateAndTakesOrders(t *testing.T) {
	orders := make(chan string, 2)
	path := filepath.Join(shortDir(t), "crisper", "7.sock")
	startAdmin(t, path, AdminOptions{Drain: func() { orders <- "drain" }, Reload: func() { orders <- "reload" }})
	client := NewClient(path)

	state, err := client.State(t.Context())
	if err != nil || state.Hostname != "celery@pod" {
		t.Errorf("state %+v, %v", state, err)
	}
	if err := client.Drain(t.Context()); err != nil || <-orders != "drain" {
		t.Errorf("drain: %v", err)
	}
	if err := client.Reload(t.Context()); err != nil || <-orders != "reload" {
		t.Errorf("reload: %v", err)
	}
}

func TestTheSocketIsGoneWhenItsProcessLeaves(t *testing.T) {
	path := filepath.Join(shortDir(t), "7.sock")
	listening := make(chan string, 1)
	opts := AdminOptions{Listening: func(path string) { listening <- path }}
	admin, ended := NewAdmin(opts), make(chan error, 1)
	go func() { ended <- admin.Run(t.Context(), path) }()
	<-listening
	admin.Leave()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is left behind: %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}

	early := NewAdmin(opts)
	early.Leave() // before Run came to open it
	early.Leave()
	if err := early.Run(t.Context(), path); err != nil || len(listening) > 0 {
		t.Errorf("Run after the end: %v", err)
	}
	var none *Admin
	none.Leave()
}

func TestAnOrderThatIsNotOfferedIsRefused(t *testing.T) {
	path := filepath.Join(shortDir(t), "7.sock")
	startAdmin(t, path, AdminOptions{})
	if err := NewClient(path).Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot reload") {
		t.Errorf("%v", err)
	}
	if _, err := NewClient(path).do(t.Context(), "GET", "/drain"); err == nil {
		t.Error("GET /drain was taken as an order")
	}
}

func TestTheSocketAndItsDirectoryArePrivate(t *testing.T) {
	dir := filepath.Join(shortDir(t), "crisper")
	path := filepath.Join(dir, "7.sock")
	startAdmin(t, path, AdminOptions{})
	for name, want := range map[string]os.FileMode{dir: 0o700, path: 0o600} {
		info, err := os.Lstat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
}

func TestADirectoryThatWasOpenIsClosed(t *testing.T) {
	dir := filepath.Join(shortDir(t), "crisper")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	startAdmin(t, filepath.Join(dir, "7.sock"), AdminOptions{})
	if info, err := os.Lstat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

func TestOnlyTheSameUserAndRootAreTrusted(t *testing.T) {
	for _, test := range []struct {
		peer, own int
		ok        bool
	}{{1000, 1000, true}, {0, 1000, true}, {0, 0, true}, {1001, 1000, false}, {1000, 0, false}, {-1, 1000, false}} {
		if err := trusted(test.peer, test.own); (err == nil) != test.ok {
			t.Errorf("peer %d of %d: %v", test.peer, test.own, err)
		}
	}
}

// strangerVar makes the test binary a client that another user runs.
const strangerVar = "CRISPER_OPS_STRANGER"

func TestAStrangerIsRefusedByTheKernelsWord(t *testing.T) {
	if path := os.Getenv(strangerVar); path != "" {
		_, err := NewClient(path).State(context.Background())
		fmt.Printf("stranger: %v\n", err)
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can run a client as somebody else")
	}
	dir := shortDir(t)
	path := filepath.Join(dir, "7.sock")
	startAdmin(t, path, AdminOptions{})
	// Open what normally keeps others out, to see the last line of defence.
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	out, err := stranger(t, dir, path)
	if err != nil || !strings.Contains(out, "uid 65534 may not control a worker of uid 0") {
		t.Errorf("%s, %v", out, err)
	}
}

// stranger runs this test binary as nobody, from a copy that nobody may read.
func stranger(t *testing.T, dir, path string) (string, error) {
	t.Helper()
	binary, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "stranger")
	if err := os.WriteFile(program, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-test.run=TestAStrangerIsRefusedByTheKernelsWord", "-test.v")
	cmd.Dir = "/"
	cmd.Env = []string{strangerVar + "=" + path}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestASocketNobodyAnswersOnIsReplaced(t *testing.T) {
	path := filepath.Join(shortDir(t), "7.sock")
	leaveSocket(t, path)
	startAdmin(t, path, AdminOptions{})
	if _, err := NewClient(path).State(t.Context()); err != nil {
		t.Error(err)
	}
}

// leaveSocket makes what a killed process leaves behind.
func leaveSocket(t *testing.T, path string) {
	t.Helper()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	_ = listener.Close()
}

func TestWhatIsNotOursIsNotReplaced(t *testing.T) {
	dir := shortDir(t)
	live := filepath.Join(dir, "live.sock")
	startAdmin(t, live, AdminOptions{})
	file := filepath.Join(dir, "file.sock")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		live:                           "is in use by another process",
		file:                           "is not a socket",
		filepath.Join(file, "x"):       "not a directory",
		"/" + strings.Repeat("x", 200): "longer than",
	} {
		err := NewAdmin(AdminOptions{}).Run(t.Context(), path)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

func TestADirectoryOfSomebodyElseIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a directory away")
	}
	dir := filepath.Join(shortDir(t), "crisper")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	err := NewAdmin(AdminOptions{}).Run(t.Context(), filepath.Join(dir, "7.sock"))
	if err == nil || !strings.Contains(err.Error(), "belongs to uid 65534") {
		t.Errorf("%v", err)
	}
}

func TestTheWorkersThatAnswerAreFoundNewestFirst(t *testing.T) {
	runtime := shortDir(t)
	getenv := func(string) string { return runtime }
	if _, err := FindSockets(getenv); err == nil || !strings.Contains(err.Error(), "no running worker found") {
		t.Skipf("another worker of this user runs here: %v", err)
	}
	older := DefaultSocket(getenv, 41)
	newer := DefaultSocket(getenv, 42)
	startAdmin(t, older, AdminOptions{})
	startAdmin(t, newer, AdminOptions{})
	dead := DefaultSocket(getenv, 43)
	leaveSocket(t, dead)
	for i, path := range []string{older, newer, dead} {
		when := noon.Add(time.Duration(i) * time.Minute)
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	if found, err := FindSockets(getenv); err != nil || !slices.Equal(found, []string{newer, older}) {
		t.Errorf("found %s, %v; want %s, then %s", found, err, newer, older)
	}
}

func TestDefaultSocketFollowsTheRuntimeDirectory(t *testing.T) {
	for _, test := range []struct{ runtime, want string }{
		{"/run/user/7", "/run/user/7/crisper/9.sock"},
		{"", fmt.Sprintf("/tmp/crisper-%d/9.sock", os.Geteuid())},
		{"relative", fmt.Sprintf("/tmp/crisper-%d/9.sock", os.Geteuid())},
	} {
		if got := DefaultSocket(func(string) string { return test.runtime }, 9); got != test.want {
			t.Errorf("XDG_RUNTIME_DIR=%q: %s, want %s", test.runtime, got, test.want)
		}
	}
}
