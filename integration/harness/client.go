package harness

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// Client is the real Celery client in a process of its own; see driver.py. It may
// be used from several goroutines: requests are answered one after the other.
type Client struct {
	mu  sync.Mutex
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	log string
}

// StartClient starts the client of an app.
func (b *Bed) StartClient(a App) (*Client, error) {
	log, err := os.Create(b.Path("client.log"))
	if err != nil {
		return nil, fmt.Errorf("cannot create the log of the client: %w", err)
	}
	defer log.Close()
	b.addLog(log.Name())
	cmd := exec.Command(b.Python, filepath.Join(b.Root, "integration", "harness", "driver.py"))
	cmd.Env = append(append(os.Environ(), b.Env(a)...), "DRIVER_APP="+a.module())
	cmd.Dir, cmd.Stderr = b.Dir, log
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("cannot connect to the client: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("cannot connect to the client: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start the client: %w", err)
	}
	c := &Client{cmd: cmd, in: in, out: bufio.NewReaderSize(out, 1<<20), log: log.Name()}
	b.OnClose(c.close)
	_, err = c.answer()
	return c, err
}

func (c *Client) close() {
	c.in.Close()
	c.cmd.Process.Kill()
	c.cmd.Wait() // killed: its status says nothing
}

// Task is one message to send. Options are those of apply_async.
type Task struct {
	Name    string         `json:"task"`
	Args    []any          `json:"args"`
	Kwargs  map[string]any `json:"kwargs,omitempty"`
	Options map[string]any `json:"options,omitempty"`
}

// T is a task of the sample app, without options.
func T(name string, args ...any) Task {
	if args == nil {
		args = []any{}
	}
	return Task{Name: "sample." + name, Args: args}
}

// With returns the task with one more option.
func (t Task) With(option string, value any) Task {
	options := map[string]any{option: value}
	for k, v := range t.Options {
		options[k] = v
	}
	t.Options = options
	return t
}

// Send publishes one task and returns its id.
func (c *Client) Send(t Task) (id string, err error) {
	return id, c.ask(request{Op: "send", Task: t}, &id)
}

// Bulk publishes the same task n times, in pipelines, and returns the ids.
func (c *Client) Bulk(t Task, n int) (ids []string, err error) {
	return ids, c.ask(request{Op: "bulk", Task: t, Count: n}, &ids)
}

// Result is what the backend holds of a task.
type Result struct {
	State     string          `json:"state"`
	Result    json.RawMessage `json:"result"`
	Traceback string          `json:"traceback"`
}

// Text is the result as Go prints its JSON value; strings without quotes.
func (r Result) Text() string {
	var s string
	if json.Unmarshal(r.Result, &s) == nil {
		return s
	}
	return string(r.Result)
}

// Results waits until all tasks have ended, or for the timeout; those that have
// not ended by then come back in the state in which they are.
func (c *Client) Results(timeout time.Duration, ids ...string) (map[string]Result, error) {
	found := map[string]Result{}
	err := c.ask(request{Op: "results", IDs: ids, Timeout: timeout.Seconds()}, &found)
	return found, err
}

// Eval evaluates a Python expression with the app's tasks and canvas in reach, and
// stores its JSON value in out.
func (c *Client) Eval(code string, out any) error {
	return c.ask(request{Op: "eval", Code: code}, out)
}

type request struct {
	Op string `json:"op"`
	Task
	Count   int      `json:"count,omitempty"`
	IDs     []string `json:"ids,omitempty"`
	Timeout float64  `json:"timeout"` // of results: 0 does not wait
	Code    string   `json:"code,omitempty"`
}

func (c *Client) ask(r request, out any) error {
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("cannot write a request for the client: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.in.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("the client is gone, see %s: %w", c.log, err)
	}
	value, err := c.answer()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(value, out); err != nil {
		return fmt.Errorf("cannot read the client's answer %s: %w", value, err)
	}
	return nil
}

func (c *Client) answer() (json.RawMessage, error) {
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("the client is gone, see %s: %w", c.log, err)
	}
	var a struct {
		OK        json.RawMessage `json:"ok"`
		Error     string          `json:"error"`
		Traceback string          `json:"traceback"`
	}
	if err := json.Unmarshal(line, &a); err != nil {
		return nil, fmt.Errorf("cannot read the client's answer %q: %w", line, err)
	}
	if a.Error != "" {
		return nil, fmt.Errorf("the client could not: %s\n%s", a.Error, a.Traceback)
	}
	return a.OK, nil
}
