package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"crisper/supervisor/process"
	"crisper/supervisor/wire"
)

// OpRecord asks a recorder to record a task as failed that went with its worker:
// {"exc": …, "hostname": …, "again": bool} and the message as the agent in the worker
// packed it. Reply is {"state": …} when Celery has recorded what became of it already.
const OpRecord = "record"

// Start is how a Celery worker came to its app: a recorder does the same.
type Start struct {
	Executable string   `json:"executable"`
	Argv       []string `json:"argv"`
	Path       []string `json:"path"` // sys.path
}

// RecorderConfig says what to launch. The environment and the directory must be those
// that the worker was started in.
type RecorderConfig struct {
	Start          Start
	Dir            string // from Unpack
	Env            []string
	Stdout, Stderr io.Writer // an *os.File is handed over as it is
	Starter        Starter   // nil: os/exec by itself
}

// LostTask is a task that went with its worker.
type LostTask struct {
	Message  []byte // packed by the agent in the worker
	Hostname string // the worker's node name
	Reason   string // of the WorkerLostError
	// Again: a recorder may have recorded it, and died.
	Again bool
}

// Recorder is a process that has loaded an app as a worker of it had. Its methods are
// called by one goroutine.
type Recorder struct {
	pid     int
	link    *wire.Conn
	answers chan wire.Frame // closed when nothing more will come
	ended   chan struct{}   // closed when the process is collected
	ready   bool
	seq     uint64
}

// LaunchRecorder starts one, and does not wait until it is ready.
func LaunchRecorder(cfg RecorderConfig) (*Recorder, error) {
	start, err := json.Marshal(cfg.Start)
	if err != nil {
		return nil, fmt.Errorf("cannot encode the start of a recorder: %w", err)
	}
	link, theirs, err := wire.Pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd := exec.Command(cfg.Start.Executable, filepath.Join(cfg.Dir, mainFile), strconv.Itoa(protocol), "recorder")
	cmd.Env, cmd.ExtraFiles = cfg.Env, []*os.File{theirs} // descriptor 3
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as the zygote's
	wait, err := startWith(cmd, cfg.Stdout, cfg.Stderr, cfg.Starter)
	if err != nil {
		link.Close()
		return nil, fmt.Errorf("cannot start %s: %w", cfg.Start.Executable, err)
	}
	r := &Recorder{pid: cmd.Process.Pid, link: link, answers: make(chan wire.Frame, 1), ended: make(chan struct{})}
	// When memory gets short it is the first to go: it can be started again.
	_ = process.SetOOMScoreAdj(r.pid, 1000) // it has ended, or /proc is read-only
	go func() {
		_ = wait() // a status other than 0 is an error to it; the end of the answers says all
		close(r.ended)
		link.Finish()
	}()
	go r.listen()
	_ = link.Send(wire.AppendFrame(nil, wire.Options, 0, start)) // one that died at once is told by its end
	return r, nil
}

// listen reads until its end. What it says that is no answer is what it said last.
func (r *Recorder) listen() {
	defer close(r.answers)
	for {
		batch, err := r.link.Receive(nil)
		for len(batch) > 0 {
			f, rest, broken := wire.Parse(batch)
			if broken != nil {
				return
			}
			r.answers <- f
			batch = rest
		}
		if err != nil {
			return
		}
	}
}

// ErrRecorderGone: the process ended while something was expected of it.
var ErrRecorderGone = errors.New("the recorder is gone")

// next is what it says next.
func (r *Recorder) next(ctx context.Context) (wire.Frame, error) {
	select {
	case f, ok := <-r.answers:
		if !ok {
			return f, ErrRecorderGone
		}
		return f, nil
	case <-ctx.Done():
		return wire.Frame{}, ctx.Err()
	}
}

// Ready waits until the app is loaded. An error other than ctx's says why it is not.
func (r *Recorder) Ready(ctx context.Context) error {
	if r.ready {
		return nil
	}
	f, err := r.next(ctx)
	if err != nil {
		return err
	}
	if f.Kind != wire.Hello {
		var why struct{ Error string }
		_ = json.Unmarshal(f.Payload, &why) // what is no JSON says nothing
		return fmt.Errorf("the app does not load: %s", why.Error)
	}
	r.ready = true
	return nil
}

// Record asks for one task to be recorded. An Answer with an Error may be asked for
// again; after an error the recorder is of no use any more.
func (r *Recorder) Record(ctx context.Context, t LostTask) (a Answer, err error) {
	head, err := json.Marshal(map[string]any{"op": OpRecord, "hostname": t.Hostname, "again": t.Again,
		"exc": map[string]string{"type": "WorkerLostError", "message": t.Reason}})
	if err != nil {
		return a, fmt.Errorf("cannot encode a request to the recorder: %w", err)
	}
	r.seq++
	frame := wire.AppendRequest(nil, r.seq, head, nil, "")
	frame = wire.AppendFrame(nil, wire.Request, r.seq, append(frame[wire.HeaderSize:], t.Message...))
	if len(frame) > wire.MaxInline {
		spill, err := wire.Spill(frame[wire.HeaderSize:])
		if err != nil {
			return a, err
		}
		defer spill.Close() // it has been read when there is an answer
		frame = wire.AppendLarge(nil, r.seq, wire.Request, spill.Path())
	}
	if err := r.link.Send(frame); err != nil {
		return a, err
	}
	for {
		f, err := r.next(ctx)
		switch {
		case err != nil:
			return a, err
		case f.Kind == wire.Answer && f.Seq == r.seq:
			if err := json.Unmarshal(f.Payload, &a); err != nil {
				return a, fmt.Errorf("cannot understand the recorder: %w", err)
			}
			return a, nil
		}
	}
}

// Leave tells it to go, which it does when what the app does in the background is done
// (monitoring sends what it was told), and ends it when ctx does.
func (r *Recorder) Leave(ctx context.Context) {
	_ = r.link.Send(wire.AppendFrame(nil, wire.Exit, 0, nil)) // it may have gone already
	select {
	case <-r.ended:
	case <-ctx.Done():
		_ = syscall.Kill(-r.pid, syscall.SIGKILL)
		<-r.ended
	}
	for range r.answers { // until its end
	}
	r.link.Close()
}
