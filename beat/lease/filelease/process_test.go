package filelease_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"crisper/beat/lease"
	"crisper/beat/lease/filelease"
)

// patient: these tests are about processes that stand still on purpose, not because the
// machine has much to do.
var patient = lease.Options{LeaseDuration: 5 * time.Second, RenewDeadline: 4 * time.Second, RetryPeriod: 500 * time.Millisecond}

const childPath = "CRISPER_TEST_LEASE_PATH"

// TestMain lets the test binary be a candidate of its own: it says what it does on its
// standard output.
func TestMain(m *testing.M) {
	if path := os.Getenv(childPath); path != "" {
		candidate(path)
		return
	}
	os.Exit(m.Run())
}

func candidate(path string) {
	b, err := filelease.Open(path)
	if err != nil {
		panic(err)
	}
	_ = lease.New(b, patient).Run(context.Background(), func(ctx context.Context, term lease.Term) {
		began := time.Now() // before anybody can know that it is time to stop us
		fmt.Println("leads", term.Token)
		work(ctx, term, began)
		fmt.Println("ended", term.Token)
	})
}

// work acts every millisecond, and asks before: what it does in an ended term would be
// seen by the test as "acts" after "leads" of another.
func work(ctx context.Context, term lease.Term, last time.Time) {
	for ctx.Err() == nil {
		now := time.Now()
		if now.Sub(last) > time.Second { // we were stopped
			fmt.Println("woke, valid:", term.Valid())
		}
		last = now
		time.Sleep(time.Millisecond) // the work
	}
	if time.Since(last) > time.Second {
		fmt.Println("woke, valid:", term.Valid())
	}
}

// process is a candidate that runs.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string
}

func start(t *testing.T, path string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(os.Args[0]), lines: make(chan string, 100)} // more than it says
	p.cmd.Env = append(os.Environ(), childPath+"="+path)
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.lines <- lines.Text()
		}
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	})
	return p
}

func (p *process) says(want string, within time.Duration) {
	p.t.Helper()
	select {
	case got := <-p.lines:
		if got != want {
			p.t.Fatalf("it says %q, not %q", got, want)
		}
	case <-time.After(within):
		p.t.Fatalf("it does not say %q within %v", want, within)
	}
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

func TestALeaderThatIsKilledIsReplacedAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lease")
	a := start(t, path)
	a.says("leads 1", 10*time.Second)
	a.signal(syscall.SIGKILL)
	_ = a.cmd.Wait()
	begun := time.Now()
	start(t, path).says("leads 2", 10*time.Second)
	// Without the lock it would be the whole duration.
	if d := time.Since(begun); d >= patient.LeaseDuration {
		t.Errorf("only after %v", d)
	}
}

func TestALeaderThatWasStoppedFindsItsTermEnded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lease")
	a := start(t, path)
	a.says("leads 1", 10*time.Second)
	b := start(t, path)
	a.signal(syscall.SIGSTOP)
	b.says("leads 2", patient.LeaseDuration+5*time.Second)
	a.signal(syscall.SIGCONT)
	a.says("woke, valid: false", 10*time.Second)
	a.says("ended 1", 10*time.Second)
	awaitLocked(t, path) // the lock that a has given up is b's now
	b.signal(syscall.SIGKILL)
	_ = b.cmd.Wait()
	a.says("leads 3", patient.LeaseDuration)
}

// awaitLocked waits until the holder has got the lock of its predecessor.
func awaitLocked(t *testing.T, path string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		text, err := os.ReadFile(path)
		var record struct{ Locked bool }
		if err == nil && json.Unmarshal(text, &record) == nil && record.Locked {
			return
		}
		time.Sleep(10 * time.Millisecond) // a file tells nobody that it has changed
	}
	t.Fatal("the holder never got the lock")
}

func TestNothingIsLeftBesideTheRecordButTheLocks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lease")
	b := open(t, path)
	r, err := b.Write(t.Context(), lease.Record{}, lease.Record{Holder: "a", Token: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Write(t.Context(), r, lease.Record{Token: 1}); err != nil {
		t.Fatal(err)
	}
	names, _ := filepath.Glob(path + "*")
	if got := strings.ReplaceAll(strings.Join(names, " "), path, "*"); got != "* *.alive *.lock" {
		t.Error(got)
	}
}

func TestAFileThatMayNotBeWrittenIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lease")
	if err := os.WriteFile(path, []byte("{broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, path).Read(t.Context()); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a broken record: %v", err)
	}
	if _, err := filelease.Open("/proc/no/such/place"); err == nil {
		t.Error("a directory that cannot be made is made")
	}
}
