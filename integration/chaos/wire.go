package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"crisper/integration/harness"
)

// wire is what a redis-server was told, in the order in which it did it (MONITOR, or its
// append-only file). It holds the evidence by which a task that was lost or doubled is Celery's own: what
// kombu, the client inside Celery's worker, asked for and what it never said.
type wire struct {
	mu     sync.Mutex
	told   []command
	echoed string
	err    error
}

// longOnTheWay is longer than any message that was popped needs to be booked.
const longOnTheWay = 30 * time.Second

// evidence is that of the row's wire, where it has one.
func (t *trial) evidence(ctx context.Context) (evidence, error) {
	w, server := t.lane.wire, t.lane.broker
	switch {
	case t.lane.written:
		var err error
		if w, err = written(server.Dir()); err != nil {
			return evidence{}, err
		}
	case w == nil:
		return evidence{}, nil
	default:
		if err := w.upToDate(ctx, server); err != nil {
			return evidence{}, err
		}
	}
	waiting, err := server.Client.LRange(ctx, queue, 0, -1).Result()
	if err != nil {
		return evidence{}, fmt.Errorf("cannot ask the broker what waits: %w", err)
	}
	text := strings.Join(waiting, "\n")
	known := evidence{lost: func(id string) bool { return w.lost(id, text) }}
	if !t.lane.written {
		known.doubled = w.doubled
	}
	return known, nil
}

// allLostByCelery: nobody needs to be waited for.
func (t *trial) allLostByCelery(ctx context.Context, ids []string) bool {
	known, err := t.evidence(ctx)
	for _, id := range ids {
		if err != nil || !known.excusesLoss(id) {
			return false
		}
	}
	return true
}

// command is one that was carried out. from is the client's address, or lua for what a
// script does: kombu has none that touches messages, we have nothing else.
type command struct {
	from  string
	words []string
}

const lua = "lua"

// tap listens to a server until the bed is closed.
func tap(bed *harness.Bed, server *harness.Redis) (*wire, error) {
	conn, err := net.Dial("tcp", server.Addr())
	if err != nil {
		return nil, fmt.Errorf("cannot listen to redis: %w", err)
	}
	bed.OnClose(func() { conn.Close() })
	if _, err := conn.Write([]byte("MONITOR\r\n")); err != nil {
		return nil, fmt.Errorf("cannot listen to redis: %w", err)
	}
	kept, err := os.Create(bed.Path("monitor.log"))
	if err != nil {
		return nil, fmt.Errorf("cannot keep what redis is told: %w", err)
	}
	w := &wire{}
	go func() {
		defer kept.Close()
		lines := bufio.NewScanner(conn)
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			fmt.Fprintln(kept, lines.Text())
			w.add(lines.Text())
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.err = fmt.Errorf("redis is not listened to any more: %w", lines.Err())
	}()
	return w, nil
}

// add takes a line in, if it says anything about messages.
func (w *wire) add(line string) {
	c, ok := parseCommand(line)
	if !ok {
		return
	}
	w.take(c)
}

func (w *wire) take(c command) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch c.words[0] {
	case "ECHO":
		w.echoed = c.words[1]
	case "PING", "INFO", "PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE", "HGET", "HVALS", "HLEN", "LLEN", "LRANGE", "ZADD", "ZREM", "WATCH":
	default:
		w.told = append(w.told, c)
	}
}

// parseCommand reads a line: +1716.25 [0 127.0.0.1:4711] "LPUSH" "default" "…"
func parseCommand(line string) (c command, ok bool) {
	_, rest, found := strings.Cut(line, " [")
	from, rest, ended := strings.Cut(rest, "] ")
	if !found || !ended {
		return c, false
	}
	_, c.from, _ = strings.Cut(from, " ")
	for rest = strings.TrimSpace(rest); rest != ""; rest = strings.TrimSpace(rest) {
		quoted, err := strconv.QuotedPrefix(rest)
		word, again := strconv.Unquote(quoted)
		if err != nil || again != nil {
			return c, false
		}
		c.words, rest = append(c.words, word), rest[len(quoted):]
	}
	if len(c.words) == 0 {
		return c, false
	}
	c.words[0] = strings.ToUpper(c.words[0])
	return c, true
}

// upToDate waits until everything has been heard that was said before.
func (w *wire) upToDate(ctx context.Context, server *harness.Redis) error {
	w.mu.Lock()
	mark := fmt.Sprint("heard ", len(w.told), w.echoed)
	w.mu.Unlock()
	if err := server.Client.Echo(ctx, mark).Err(); err != nil {
		return fmt.Errorf("cannot ask redis: %w", err)
	}
	var failed error
	err := harness.Until(ctx, "all that redis was told", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		failed = w.err
		return failed != nil || w.echoed == mark
	})
	if failed != nil {
		return failed
	}
	return err
}

// lost: kombu popped this message and never wrote down that it has it. It asks for a
// message by BRPOP, and books what it got in the hash unacked afterwards: in between it
// is nowhere but in a connection. Nobody else took it away, and it does not wait.
func (w *wire) lost(id string, waiting string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	pushed, asked := 0, false
	for _, c := range w.told {
		switch {
		case c.pushes(id):
			pushed++
		case c.books(id):
			return false
		case c.is("BRPOP", queue):
			asked = true
		case pushed > 0 && c.takesAway():
			return false
		}
	}
	return pushed == 1 && asked && !strings.Contains(waiting, id)
}

// doubled: each time that this message was taken anew, kombu itself had put it back
// before, and its acknowledgment had not arrived.
func (w *wire) doubled(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	var s passage
	for _, c := range w.told {
		switch {
		case c.books(id):
			if s.taken > 0 && (s.settled || s.restorer == "" || s.restorer == lua) {
				return false
			}
			s = passage{taken: s.taken + 1, tag: c.words[2]}
		case s.taken == 0:
		case c.is("HDEL", unacked) && c.words[2] == s.tag:
			s.before, s.open, s.acked = s.acked, c.from, true
		case c.pushes(id):
			if s.open == c.from { // it was let go of in order to be put back
				s.acked = s.before
			}
			s.restorer, s.settled = c.from, s.settled || s.acked
		case c.words[0] == "EXEC" && c.from == s.open:
			s.open = ""
		}
	}
	return s.taken > 1
}

// passage is what is known of a message between two takings.
type passage struct {
	taken    int
	tag      string
	acked    bool   // an acknowledgment has arrived
	restorer string // who put it back
	settled  bool   // acked, when it was put back
	open     string // in whose transaction it was let go of
	before   bool   // acked, before that transaction
}

// unacked is kombu's hash of what is in somebody's hands.
const unacked = "unacked"

func (c command) is(name, key string) bool {
	return c.words[0] == name && len(c.words) > 2 && c.words[1] == key
}

func (c command) pushes(id string) bool {
	return (c.is("LPUSH", queue) || c.is("RPUSH", queue)) && c.mentions(id)
}

func (c command) books(id string) bool {
	return len(c.words) > 3 && (c.is("HSET", unacked) || c.is("HSETNX", unacked) || c.is("HMSET", unacked)) && c.mentions(id)
}

func (c command) mentions(id string) bool {
	for _, word := range c.words[2:] {
		if strings.Contains(word, id) {
			return true
		}
	}
	return false
}

// takesAway: other ways than BRPOP by which a message may leave its queue. What a
// script does is listed as well.
func (c command) takesAway() bool {
	switch c.words[0] {
	case "LPOP", "RPOP", "BLPOP", "LREM", "LTRIM", "DEL", "UNLINK", "LMOVE", "BLMOVE", "RPOPLPUSH", "BRPOPLPUSH", "LMPOP", "BLMPOP", "RENAME", "FLUSHDB", "FLUSHALL":
		return strings.Contains(strings.Join(c.words[1:], " "), queue) || strings.HasPrefix(c.words[0], "FLUSH")
	}
	return false
}
