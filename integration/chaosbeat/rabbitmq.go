package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"crisper/integration/harness"
)

// startServer starts RabbitMQ with a node name, ports and data of its own, and returns
// its address. It ends with the bed.
func startServer(ctx context.Context, bed *harness.Bed) (string, error) {
	program, err := serverProgram()
	if err != nil {
		return "", err
	}
	var ports [3]int
	for i := range ports {
		if ports[i], err = harness.FreePort(); err != nil {
			return "", err
		}
	}
	port, dist, epmd := strconv.Itoa(ports[0]), strconv.Itoa(ports[1]), strconv.Itoa(ports[2])
	dir := bed.Path("rabbitmq")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("cannot create the folder of RabbitMQ: %w", err)
	}
	config := filepath.Join(dir, "rabbitmq.conf")
	text := "listeners.tcp.1 = 127.0.0.1:" + port + "\nloopback_users.guest = true\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("cannot write the configuration of RabbitMQ: %w", err)
	}
	// Its own port mapper, in the foreground, so that it ends with the broker.
	_, err = bed.Start(harness.Command{Name: "rabbitmq", Args: []string{"sh", "-c", "epmd -port " + epmd + " -address 127.0.0.1 & exec " + program},
		Env: []string{
			"HOME=" + dir, "RABBITMQ_NODENAME=chaos" + port + "@localhost", "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1", "RABBITMQ_NODE_PORT=" + port,
			"RABBITMQ_DIST_PORT=" + dist, "RABBITMQ_MNESIA_BASE=" + dir, "RABBITMQ_LOG_BASE=" + dir, "RABBITMQ_CONFIG_FILE=" + config,
			"RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(dir, "none"), "RABBITMQ_PID_FILE=" + filepath.Join(dir, "pid"),
			"ERL_EPMD_ADDRESS=127.0.0.1", "ERL_EPMD_PORT=" + epmd,
			"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1} +S 1:1",
		}})
	if err != nil {
		return "", err
	}
	addr := "127.0.0.1:" + port
	return addr, untilItAnswers(ctx, addr)
}

// serverProgram: the script that packages put on the PATH changes to a user of its
// own, who may not write to our folders.
func serverProgram() (string, error) {
	for _, name := range []string{"/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server", "/usr/sbin/rabbitmq-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("rabbitmq-server is missing; install it (Debian: apt-get install rabbitmq-server)")
}

func untilItAnswers(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	return until(ctx, "RabbitMQ to answer", func() bool {
		conn, err := amqp.Dial("amqp://" + addr)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
}

// rabbit is one set's queue on the server that all share, which the replicas reach by
// a way of their own.
type rabbit struct {
	addr, name string
	way        *proxy

	conn    *amqp.Connection
	arrived <-chan amqp.Delivery // nil: not yet
}

func newRabbit(bed *harness.Bed, addr, name string) (broker, error) {
	way, err := newProxy(bed, addr)
	r := &rabbit{addr: addr, name: name, way: way}
	bed.OnClose(func() {
		if r.conn != nil {
			r.conn.Close()
		}
	})
	return r, err
}

func (r *rabbit) url() string   { return "amqp://guest:guest@" + r.way.way.Listen + "//" }
func (r *rabbit) queue() string { return queue + "-" + r.name }

// read takes what has arrived out of the queue, once a replica has declared it.
func (r *rabbit) read(context.Context, bool) ([]message, error) {
	if r.arrived == nil {
		if err := r.consume(); err != nil {
			return nil, err
		}
	}
	var all []message
	for {
		select {
		case m, open := <-r.arrived:
			if !open {
				return all, errors.New("RabbitMQ closed the connection that nothing should break")
			}
			id, _ := m.Headers["id"].(string)
			origin, _ := m.Headers["origin"].(string)
			all = append(all, message{id, origin})
		default:
			return all, nil
		}
	}
}

func (r *rabbit) consume() (err error) {
	if r.conn == nil || r.conn.IsClosed() {
		if r.conn, err = amqp.Dial("amqp://" + r.addr); err != nil {
			return fmt.Errorf("cannot connect to RabbitMQ: %w", err)
		}
	}
	channel, err := r.conn.Channel()
	if err != nil {
		return fmt.Errorf("cannot open a channel: %w", err)
	}
	if _, err := channel.QueueDeclarePassive(r.queue(), true, false, false, false, nil); err != nil {
		return fmt.Errorf("cannot find the queue: %w", err)
	}
	// Acknowledged by being sent: this connection stands, and what came twice shall be seen twice.
	r.arrived, err = channel.Consume(r.queue(), "", true, false, false, false, nil)
	if err != nil {
		return fmt.Errorf("cannot consume: %w", err)
	}
	return nil
}

// breakIt loses all connections of the replicas, and lets no new ones come about for a while.
func (r *rabbit) breakIt(ctx context.Context, _ *book) error {
	r.way.cut()
	pause(ctx, 200*time.Millisecond, 3*time.Second)
	return r.way.heal(ctx)
}

// env names the queue: sets share the server.
func (r *rabbit) env() []string { return []string{"TICKS_QUEUE=" + r.queue()} }
