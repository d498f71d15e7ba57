//go:build integration

package lifecycle

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"crisper/broker/amqpbroker/servertest"
	"crisper/integration/harness"
)

// ground is where one cell of the matrix is played: a broker, the sample app on it
// with results in files, and a publisher.
type ground struct {
	*harness.Bed
	t      *testing.T
	app    harness.App
	client *harness.Client
	redis  *harness.Redis // where that is the broker
	// held is the text of everything that lies at the broker when all workers are
	// gone. Messages on RabbitMQ are taken out by it.
	held func() string
}

// rabbit is one server for all cells; each has a queue of its own.
type rabbit struct {
	t    *testing.T
	once sync.Once
	it   *servertest.Server
}

func (r *rabbit) addr() string {
	r.once.Do(func() { r.it = servertest.RabbitMQ(r.t) })
	return r.it.Addr()
}

func newGround(t *testing.T, c cell, r *rabbit) *ground {
	t.Helper()
	o := harness.Options{}
	if c.pool() == "gevent" {
		o = harness.Gevent(t)
	}
	g := &ground{Bed: harness.NewWith(t, o), t: t}
	results := g.Path("results")
	harness.Must(t, os.Mkdir(results, 0o755))
	g.app = harness.App{Name: "lifeapp", Backend: "file://" + results, Env: []string{"PYTHONPATH=" + g.path()}}
	switch c.transport() {
	case "redis":
		g.onRedis()
	case "rabbitmq":
		g.onRabbitMQ(r.addr())
	default:
		g.onFiles()
	}
	g.client = harness.Got(g.StartClient(g.app))(t)
	return g
}

func (g *ground) onRedis() {
	server := harness.Got(g.StartRedis(harness.Deadline(g.t, 30*time.Second), harness.RedisOptions{}))(g.t)
	g.redis, g.app.Broker = server, server.URL(0)
	g.held = func() string {
		var text strings.Builder
		ctx := harness.Deadline(g.t, 20*time.Second)
		for _, key := range harness.Got(server.Client.Keys(ctx, "*").Result())(g.t) {
			if key == "unacked" {
				fmt.Fprintln(&text, harness.Got(server.Client.HVals(ctx, key).Result())(g.t))
			} else if server.Client.Type(ctx, key).Val() == "list" {
				fmt.Fprintln(&text, harness.Got(server.Client.LRange(ctx, key, 0, -1).Result())(g.t))
			}
		}
		return text.String()
	}
}

func (g *ground) onRabbitMQ(addr string) {
	queue := filepath.Base(g.Dir)
	g.app.Broker = "amqp://guest:guest@" + addr + "//"
	g.app.Conf = map[string]any{"task_default_queue": queue, "task_queues": map[string]any{queue: map[string]any{"exchange": queue}}}
	var text strings.Builder
	g.held = func() string {
		conn := harness.Got(amqp.Dial("amqp://guest:guest@" + addr + "/"))(g.t)
		defer conn.Close()
		channel := harness.Got(conn.Channel())(g.t)
		for {
			m, more, err := channel.Get(queue, true)
			if err != nil || !more {
				return text.String() // err: nobody has ever declared the queue
			}
			fmt.Fprintln(&text, m.CorrelationId)
		}
	}
}

func (g *ground) onFiles() {
	g.app.Broker = "filesystem://"
	g.app.Transport = map[string]any{"store_processed": true}
	dirs := map[string]string{}
	for _, name := range []string{"queue", "control", "processed"} {
		dirs[name] = g.Path(name)
		harness.Must(g.t, os.Mkdir(dirs[name], 0o755))
	}
	for option, name := range map[string]string{"data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "control", "processed_folder": "processed"} {
		g.app.Transport[option] = dirs[name]
	}
	g.held = func() string {
		var text strings.Builder
		for _, name := range harness.Got(filepath.Glob(dirs["queue"] + "/*.msg"))(g.t) {
			line, _ := os.ReadFile(name)
			fmt.Fprintf(&text, "%s\n", line)
		}
		return text.String()
	}
}

// blackHole is a broker that takes connections and says nothing.
func (g *ground) blackHole(scheme string) string {
	l := harness.Got(net.Listen("tcp", "127.0.0.1:0"))(g.t)
	g.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			if _, err := l.Accept(); err != nil {
				return // closed by the cleanup; what was accepted ends with the test
			}
		}
	}()
	return scheme + "://" + l.Addr().String() + "//"
}

// module puts an app of its own beside the sample.
func (g *ground) module(name, text string) {
	dir := g.Path("modules")
	harness.Must(g.t, os.Mkdir(dir, 0o755))
	harness.Must(g.t, os.WriteFile(filepath.Join(dir, name+".py"), []byte(text), 0o644))
	g.app.Name = name
	g.app.Env = append(g.app.Env, "PYTHONPATH="+dir+":"+g.path())
}

// path is where the app and the sample are.
func (g *ground) path() string {
	return filepath.Join(g.Root, "integration", "lifecycle", "app") + ":" + filepath.Join(g.Root, "integration", "sample")
}
