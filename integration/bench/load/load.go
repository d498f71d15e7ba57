// Package load makes many real Celery messages quickly: Celery makes one, and Go
// pushes copies of it that differ in their ids and arguments only.
//
// A Python publisher reaches a few thousand messages a second, which is slower than
// what is to be measured; this reaches some hundred thousand.
package load

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Placeholders that capture.py leaves in a template.
const (
	idMark   = "@ID@"
	tagMark  = "@TAG@"
	bodyMark = "@BODY@"
)

// pipeline is how many messages go to Redis in one write.
const pipeline = 1000

// Template is one message as Celery publishes it, without id and arguments.
type Template struct {
	Task, Queue string
	parts       string
}

// Message is one copy: its id, and its arguments.
type Message struct {
	ID   string
	Args []any
}

// App says where the application is and how Python finds it.
type App struct {
	Python string
	Module string
	Env    []string
}

// Capture asks the application's own Celery for one message of every task.
func Capture(ctx context.Context, app App, script string, tasks ...string) (map[string]Template, error) {
	cmd := exec.CommandContext(ctx, app.Python, append([]string{script, app.Module}, tasks...)...)
	cmd.Env = append(os.Environ(), app.Env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("cannot have Celery make a message: %w", err)
	}
	var made map[string]struct{ Queue, Message string }
	if err := json.Unmarshal(out, &made); err != nil {
		return nil, fmt.Errorf("cannot read the messages that Celery made: %w", err)
	}
	templates := make(map[string]Template, len(made))
	for task, m := range made {
		templates[task] = Template{Task: task, Queue: m.Queue, parts: m.Message}
	}
	return templates, nil
}

// To is the same message for another queue.
func (t Template) To(queue string) Template {
	t.parts = strings.Replace(t.parts, `"routing_key": "`+t.Queue+`"`, `"routing_key": "`+queue+`"`, 1)
	t.Queue = queue
	return t
}

// Render is the envelope of one copy.
func (t Template) Render(m Message) (string, error) {
	args := m.Args
	if args == nil {
		args = []any{}
	}
	embed := map[string]any{"callbacks": nil, "errbacks": nil, "chain": nil, "chord": nil}
	body, err := json.Marshal([]any{args, map[string]any{}, embed})
	if err != nil {
		return "", fmt.Errorf("cannot write the arguments of %s: %w", t.Task, err)
	}
	return strings.NewReplacer(
		idMark, m.ID, tagMark, newID(),
		bodyMark, base64.StdEncoding.EncodeToString(body),
	).Replace(t.parts), nil
}

// Publish pushes messages, the first to be consumed first, as kombu does (LPUSH).
func (t Template) Publish(ctx context.Context, r redis.Cmdable, messages []Message) error {
	for start := 0; start < len(messages); start += pipeline {
		pipe := r.Pipeline()
		for _, m := range messages[start:min(start+pipeline, len(messages))] {
			text, err := t.Render(m)
			if err != nil {
				return err
			}
			pipe.LPush(ctx, t.Queue, text)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("cannot publish to %s: %w", t.Queue, err)
		}
	}
	return nil
}

// Request is the request, in Redis' protocol, that pushes one message.
func (t Template) Request(m Message) ([]byte, error) {
	text, err := t.Render(m)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "*3\r\n$5\r\nLPUSH\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(t.Queue), t.Queue, len(text), text), nil
}

// Messages makes n messages with fresh ids and the same arguments.
func Messages(n int, args ...any) []Message {
	all := make([]Message, n)
	for i := range all {
		all[i] = Message{ID: newID(), Args: args}
	}
	return all
}

// newID is a random UUID (version 4), as Celery makes them.
func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
