package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// Redis is a real redis-server. It survives in name and port what happens to its
// process: Kill and Start again.
type Redis struct {
	Port   int
	Client *redis.Client

	bed      *Bed
	dir      string
	args     []string
	password string
	process  *Process
}

// RedisOptions: Durable keeps every write on disk (append-only, fsync always), so
// that nothing acknowledged is lost by a kill -9.
type RedisOptions struct {
	Durable  bool
	Password string
	Args     []string
}

// StartRedis starts a redis-server on a free port.
func (b *Bed) StartRedis(ctx context.Context, o RedisOptions) (*Redis, error) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return nil, errors.New("redis-server is missing; install it (Debian: apt-get install redis-server), or use `bash .ci/run`")
	}
	var err error
	for range 5 { // somebody else may take the free port before we do
		var r *Redis
		if r, err = b.startRedis(ctx, o); err == nil || ctx.Err() != nil {
			return r, err
		}
	}
	return nil, err
}

func (b *Bed) startRedis(ctx context.Context, o RedisOptions) (*Redis, error) {
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	r := &Redis{Port: port, bed: b, dir: b.Path("redis"), password: o.Password}
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return nil, fmt.Errorf("cannot create the folder of redis-server: %w", err)
	}
	r.args = []string{"redis-server", "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", r.dir, "--save", ""}
	if o.Durable {
		r.args = append(r.args, "--appendonly", "yes", "--appendfsync", "always")
	}
	if o.Password != "" {
		r.args = append(r.args, "--requirepass", o.Password)
	}
	r.args = append(r.args, o.Args...)
	r.Client = redis.NewClient(&redis.Options{Addr: r.Addr(), Password: o.Password, MaxRetries: -1})
	b.OnClose(func() { r.Client.Close() })
	return r, r.Start(ctx)
}

// Dir is where the server keeps its files.
func (r *Redis) Dir() string { return r.dir }

// Start starts the server, again after Kill or Stop, with the same data.
func (r *Redis) Start(ctx context.Context) error {
	p, err := r.bed.Start(Command{Name: "redis", Args: r.args})
	if err != nil {
		return err
	}
	r.process = p
	var over bool
	err = Until(ctx, "redis-server to answer", func() bool {
		select {
		case <-p.Done():
			over = true
		default:
		}
		return over || r.answers(ctx)
	})
	if over {
		return fmt.Errorf("redis-server did not start:\n%s", tail(p.LogText(), 5))
	}
	return err
}

// answers: ours does, and not another server that has taken the port.
func (r *Redis) answers(ctx context.Context) bool {
	if r.Client.Ping(ctx).Err() != nil {
		return false // not there, or still loading
	}
	info, err := r.Client.InfoMap(ctx, "server").Result()
	return err == nil && info["Server"]["process_id"] == strconv.Itoa(r.process.PID())
}

// Kill is kill -9.
func (r *Redis) Kill() { r.process.End() }

// Stop lets it write what it has, then exit.
func (r *Redis) Stop(ctx context.Context) error {
	if err := r.process.Signal(15); err != nil {
		return fmt.Errorf("cannot stop redis-server: %w", err)
	}
	_, _, err := r.process.Wait(ctx)
	return err
}

// PID of the server.
func (r *Redis) PID() int { return r.process.PID() }

// Addr is host:port.
func (r *Redis) Addr() string { return "127.0.0.1:" + strconv.Itoa(r.Port) }

// URL of a database, as Celery takes it.
func (r *Redis) URL(db int) string { return redisURL(r.Addr(), r.password, db) }

func redisURL(addr, password string, db int) string {
	if password != "" {
		addr = ":" + password + "@" + addr
	}
	return fmt.Sprintf("redis://%s/%d", addr, db)
}

// Queued is the number of messages that wait in a queue, all priorities.
func (r *Redis) Queued(ctx context.Context, queue string) (int, error) {
	sum := 0
	for _, suffix := range []string{"", "\x06\x163", "\x06\x166", "\x06\x169"} {
		n, err := r.Client.LLen(ctx, queue+suffix).Result()
		if err != nil {
			return 0, fmt.Errorf("cannot count the messages of %s: %w", queue, err)
		}
		sum += int(n)
	}
	return sum, nil
}

// Unacked is the number of messages in the hands of workers.
func (r *Redis) Unacked(ctx context.Context) (int, error) {
	n, err := r.Client.HLen(ctx, "unacked").Result()
	if err != nil {
		return 0, fmt.Errorf("cannot count unacked messages: %w", err)
	}
	return int(n), nil
}

// UntilEmpty waits until nothing is queued and nothing unacked.
func (r *Redis) UntilEmpty(ctx context.Context, queues ...string) error {
	return Until(ctx, "the queues to be empty", func() bool {
		for _, q := range queues {
			if n, err := r.Queued(ctx, q); err != nil || n > 0 {
				return false
			}
		}
		n, err := r.Unacked(ctx)
		return err == nil && n == 0
	})
}

// IDs lists the ids of the tasks that wait in a queue (highest priority step),
// the next to be consumed first.
func (r *Redis) IDs(ctx context.Context, queue string) ([]string, error) {
	raw, err := r.Client.LRange(ctx, queue, 0, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("cannot list the messages of %s: %w", queue, err)
	}
	ids := make([]string, 0, len(raw))
	for i := len(raw) - 1; i >= 0; i-- {
		var m struct {
			Headers struct {
				ID string `json:"id"`
			} `json:"headers"`
		}
		if err := json.Unmarshal([]byte(raw[i]), &m); err != nil {
			return nil, fmt.Errorf("cannot read message %d of %s: %w", i, queue, err)
		}
		ids = append(ids, m.Headers.ID)
	}
	return ids, nil
}

// Commands is the number of commands that the server has processed.
func (r *Redis) Commands(ctx context.Context) (int64, error) {
	info, err := r.Client.InfoMap(ctx, "stats").Result()
	if err != nil {
		return 0, fmt.Errorf("cannot read the statistics of redis-server: %w", err)
	}
	return strconv.ParseInt(info["Stats"]["total_commands_processed"], 10, 64)
}
