package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"

	"crisper/beat"
	"crisper/beat/message"
	"crisper/supervisor/wire"
)

// LoadError is returned when the app does not load. Its traceback has been printed
// to stderr already.
type LoadError struct{ Reason, Traceback string }

func (e *LoadError) Error() string { return e.Reason }

// ErrGone is wrapped by every call to a timekeeper that has ended.
var ErrGone = errors.New("the timekeeper has ended")

// App is a running timekeeper. Its methods may be called from any goroutine; it
// answers one call at a time.
type App struct {
	control *wire.Control
	cmd     *exec.Cmd
	cleanup func()
	opened  chan error    // the first word: nil when the app is loaded
	ended   chan struct{} // the process has been waited for
	reading reading       // owned by the goroutine that reads

	mu      sync.Mutex // guards what follows
	info    Info
	entries []Entry
	calls   map[uint64]chan<- answer
	seq     uint64
	gone    error // set once: why there are no answers any more
}

// answer is what came back for a call.
type answer struct {
	head json.RawMessage
	text string // a blueprint without gaps
	err  error
}

// Info is what the app said when it was loaded.
func (a *App) Info() Info {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.info
}

// Entries are the entries as last read: after Start, or after Announce. Those with
// an Error are among them. Read only.
func (a *App) Entries() []Entry {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.entries
}

// PID is the process id of the timekeeper.
func (a *App) PID() int { return a.cmd.Process.Pid }

// Done is closed when the process has ended.
func (a *App) Done() <-chan struct{} { return a.ended }

// Render makes the message of one tick through the app's own apply_entry. due is
// when it was due; task_id, unless the app sets one itself, is what is given.
func (a *App) Render(ctx context.Context, entry, taskID string, due time.Time) (message.Message, error) {
	var head struct {
		TaskID string `json:"task_id"`
	}
	text, err := a.call(ctx, map[string]any{"op": "render", "entry": entry, "task_id": taskID, "due": micro(due)}, &head)
	if err != nil {
		return message.Message{}, fmt.Errorf("cannot make the message of %q: %w", entry, err)
	}
	b, err := message.Parse(text)
	if err != nil {
		return message.Message{}, fmt.Errorf("cannot make the message of %q: %w", entry, err)
	}
	return b.Fill(message.Values{TaskID: head.TaskID}), nil
}

// Ask asks the schedule of an entry whether it is due, last having been its last run.
func (a *App) Ask(ctx context.Context, entry string, last time.Time) (Verdict, error) {
	var head struct {
		Due  bool   `json:"due"`
		Next *int64 `json:"next"` // microseconds since 1970
	}
	if _, err := a.call(ctx, map[string]any{"op": "ask", "entry": entry, "last": micro(last)}, &head); err != nil {
		return Verdict{}, fmt.Errorf("cannot ask the schedule of %q: %w", entry, err)
	}
	v := Verdict{Due: head.Due}
	if head.Next != nil {
		v.Next = time.UnixMicro(*head.Next).UTC()
	}
	return v, nil
}

// Import reads the state that Celery's own scheduler left in a file, as it would
// read it itself; an empty name is Info's. The file is not touched. Entries that it
// does not know are not in the result; a file that is not there is an empty result.
func (a *App) Import(ctx context.Context, filename string) (map[string]beat.Record, error) {
	var head struct {
		Records map[string]struct {
			Last  int64 `json:"last"`
			Count int64 `json:"count"`
		} `json:"records"`
	}
	if _, err := a.call(ctx, map[string]any{"op": "import", "filename": filename}, &head); err != nil {
		return nil, fmt.Errorf("cannot import the schedule file: %w", err)
	}
	records := make(map[string]beat.Record, len(head.Records))
	for name, r := range head.Records {
		records[name] = beat.Record{Last: time.UnixMicro(r.Last).UTC(), Count: r.Count}
	}
	return records, nil
}

// Announce sends beat_init: we lead. It is sent once in the life of the timekeeper;
// later calls do nothing. When it, or anything since the start, has changed how
// messages are made or which entries there are, Entries has been read anew and
// changed is true.
func (a *App) Announce(ctx context.Context) (changed bool, err error) {
	var head struct {
		Changed bool `json:"changed"`
	}
	if _, err := a.call(ctx, map[string]any{"op": "announce"}, &head); err != nil {
		return false, fmt.Errorf("cannot announce that we lead: %w", err)
	}
	return head.Changed, nil
}

// graceful is how long the timekeeper may take to leave before it is killed.
const graceful = 3 * time.Second

// Close ends the timekeeper and waits until it has gone.
func (a *App) Close() error {
	if err := a.control.Send(wire.AppendFrame(nil, wire.Exit, 0, nil)); err != nil {
		a.kill()
	}
	timer := time.AfterFunc(graceful, a.kill)
	defer timer.Stop()
	<-a.ended
	return nil
}

// kill ends the process, and reading with it. It has ended already when that fails.
func (a *App) kill() { _ = a.cmd.Process.Kill() }

// call sends a request and waits for its answer. When ctx ends first, the answer is
// dropped when it comes.
func (a *App) call(ctx context.Context, request map[string]any, head any) (text string, err error) {
	payload, err := json.Marshal(request)
	if err != nil {
		return "", fmt.Errorf("cannot encode the request: %w", err)
	}
	answers := make(chan answer, 1) // the reader never waits for a caller
	seq, err := a.expect(answers)
	if err != nil {
		return "", err
	}
	defer a.forget(seq)
	if err := a.control.Send(wire.AppendFrame(nil, wire.Request, seq, payload)); err != nil {
		return "", fmt.Errorf("%w: %v", ErrGone, err)
	}
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case got := <-answers:
		if got.err != nil {
			return "", got.err
		}
		if err := json.Unmarshal(got.head, head); err != nil {
			return "", fmt.Errorf("cannot understand the timekeeper: %v", err)
		}
		return got.text, nil
	}
}

func (a *App) expect(answers chan<- answer) (uint64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.gone != nil {
		return 0, a.gone
	}
	a.seq++
	a.calls[a.seq] = answers
	return a.seq, nil
}

func (a *App) forget(seq uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.calls, seq)
}

// end answers all who wait: there is nobody left to answer.
func (a *App) end(why error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.gone == nil {
		a.gone = fmt.Errorf("%w: %v", ErrGone, why)
	}
	for seq, answers := range a.calls {
		answers <- answer{err: a.gone}
		delete(a.calls, seq)
	}
}

// micro is a moment as Python gets it.
func micro(t time.Time) int64 { return t.UnixMicro() }

// environment is env, or ours.
func environment(env []string) []string {
	if env == nil {
		return os.Environ()
	}
	return env
}
