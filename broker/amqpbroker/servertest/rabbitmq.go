package servertest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// RabbitMQ starts a broker of its own: a node name, ports and data that nobody
// else has. More are further lines of its configuration.
func RabbitMQ(t testing.TB, more ...string) *Server {
	t.Helper()
	program := rabbitmqServer(t)
	dir, port, dist, epmd := t.TempDir(), FreePort(t), FreePort(t), FreePort(t)
	s := &Server{Port: port, t: t, name: "sh", log: filepath.Join(dir, "log")}
	// Its own port mapper, in the foreground, so that it ends with the broker.
	s.args = []string{"-c", fmt.Sprintf("epmd -port %d -address 127.0.0.1 & exec %s", epmd, program)}
	config := fmt.Sprintf("listeners.tcp.1 = 127.0.0.1:%d\nloopback_users.guest = true\n%s\n", port, strings.Join(more, "\n"))
	for name, text := range map[string]string{"rabbitmq.conf": config, "enabled_plugins": "[].\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.env = []string{
		"HOME=" + dir, "RABBITMQ_NODENAME=crisper" + strconv.Itoa(port) + "@localhost", "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
		"RABBITMQ_NODE_PORT=" + strconv.Itoa(port), "RABBITMQ_DIST_PORT=" + strconv.Itoa(dist),
		"RABBITMQ_MNESIA_BASE=" + dir, "RABBITMQ_LOG_BASE=" + dir, "RABBITMQ_CONFIG_FILE=" + filepath.Join(dir, "rabbitmq.conf"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(dir, "enabled_plugins"), "RABBITMQ_PID_FILE=" + filepath.Join(dir, "pid"),
		"ERL_EPMD_ADDRESS=127.0.0.1", "ERL_EPMD_PORT=" + strconv.Itoa(epmd), "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1} +S 1:1",
	}
	s.ready = func(ctx context.Context) error { return greet(ctx, s.Addr()) }
	t.Cleanup(s.Kill)
	s.Start()
	return s
}

// rabbitmqServer: the script that packages put on the PATH changes to a user of its
// own, who may not write to our folders.
func rabbitmqServer(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server", "/usr/sbin/rabbitmq-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("rabbitmq-server is not installed")
	return ""
}

// greet waits for AMQP's answer to its header.
func greet(ctx context.Context, addr string) error {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("AMQP\x00\x00\x09\x01")); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1))
	return err
}
