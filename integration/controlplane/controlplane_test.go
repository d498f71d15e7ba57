//go:build integration

package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	authorization "k8s.io/api/authorization/v1"
	coordination "k8s.io/api/coordination/v1"
	rbac "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"crisper/integration/harness"
)

// One control plane serves all rows; those that break it come last.
func TestTheControlPlane(t *testing.T) {
	began := time.Now()
	c := Start(t)
	t.Logf("ready after %s", time.Since(began).Round(time.Millisecond))

	t.Run("a ServiceAccount may do what its rules say and nothing else", func(t *testing.T) { testAccount(t, c) })
	t.Run("a kubeconfig is good for programs, through a proxy too", func(t *testing.T) { testKubeconfig(t, c) })
	t.Run("a user without a Role may do nothing", func(t *testing.T) { testUser(t, c) })
	t.Run("a frozen API server answers nothing, and goes on when thawed", func(t *testing.T) { testFreeze(t, c) })
	t.Run("what was stored is there after a kill and a restart, at the same address", func(t *testing.T) { testRestart(t, c) })
	t.Run("nothing is left after the end", func(t *testing.T) { testEnd(t, c) })
}

func testAccount(t *testing.T, c *ControlPlane) {
	ctx := harness.Deadline(t, time.Minute)
	ns := harness.Got(c.Namespace(ctx, "account"))(t)
	u := harness.Got(c.ServiceAccount(ctx, ns, "beat",
		rbac.PolicyRule{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"create"}},
		rbac.PolicyRule{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, ResourceNames: []string{"beat"}, Verbs: []string{"get", "update"}},
	))(t)
	leases := client(t, u.Config()).CoordinationV1().Leases(ns)
	lease := harness.Got(leases.Create(ctx, &coordination.Lease{ObjectMeta: meta.ObjectMeta{Name: "beat"}}, meta.CreateOptions{}))(t)
	harness.Got(leases.Update(ctx, lease, meta.UpdateOptions{}))(t)
	if _, err := leases.Get(ctx, "other", meta.GetOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("another Lease: %v", err)
	}
	if err := leases.Delete(ctx, "beat", meta.DeleteOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("delete: %v", err)
	}
	if yes := harness.Got(c.Allowed(ctx, u, authorization.ResourceAttributes{Namespace: ns, Verb: "list", Resource: "pods"}))(t); yes {
		t.Error("it may list pods")
	}
}

func testKubeconfig(t *testing.T, c *ControlPlane) {
	admin := harness.Got(c.User("somebody", "system:masters"))(t)
	proxy := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "api", "127.0.0.1:0", c.Addr())
	harness.Must(t, proxy.Start())
	defer proxy.Stop()
	for _, path := range []string{harness.Got(admin.Kubeconfig())(t), harness.Got(admin.KubeconfigVia(proxy.Listen))(t)} {
		config := harness.Got(clientcmd.BuildConfigFromFlags("", path))(t)
		harness.Got(client(t, config).Discovery().ServerVersion())(t)
	}
}

func testUser(t *testing.T, c *ControlPlane) {
	u := harness.Got(c.User("nobody"))(t)
	_, err := client(t, u.Config()).CoordinationV1().Leases("default").List(harness.Deadline(t, time.Minute), meta.ListOptions{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("got %v", err)
	}
}

func testFreeze(t *testing.T, c *ControlPlane) {
	harness.Must(t, c.Freeze())
	short, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if _, err := c.Client().CoreV1().Namespaces().List(short, meta.ListOptions{}); err == nil {
		t.Error("it answered")
	}
	harness.Must(t, c.Thaw())
	harness.Got(c.Client().CoreV1().Namespaces().List(harness.Deadline(t, time.Minute), meta.ListOptions{}))(t)
}

func testRestart(t *testing.T, c *ControlPlane) {
	ctx := harness.Deadline(t, 3*time.Minute)
	ns := harness.Got(c.Namespace(ctx, "restart"))(t)
	url := c.URL
	c.Kill()
	if _, err := c.Client().CoreV1().Namespaces().Get(ctx, ns, meta.GetOptions{}); err == nil {
		t.Error("it answered after it was killed")
	}
	began := time.Now()
	harness.Must(t, c.Restart(ctx))
	t.Logf("ready again after %s", time.Since(began).Round(time.Millisecond))
	harness.Got(c.Client().CoreV1().Namespaces().Get(ctx, ns, meta.GetOptions{}))(t)
	if c.URL != url {
		t.Errorf("the address was %s and is %s", url, c.URL)
	}
}

func testEnd(t *testing.T, c *ControlPlane) {
	pids := []int{c.etcd.cmd.Process.Pid, c.api.cmd.Process.Pid}
	began := time.Now()
	c.Remove()
	t.Logf("gone after %s", time.Since(began).Round(time.Millisecond))
	for _, pid := range pids {
		if _, err := os.Stat("/proc/" + strconv.Itoa(pid)); err == nil {
			t.Errorf("process %d is left", pid)
		}
	}
	for _, path := range []string{c.Dir, filepath.Dir(c.socket)} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is left", path)
		}
	}
}

// pidFile tells the test binary, started a second time, to be the program that dies.
const pidFile = "CRISPER_TEST_PID_FILE"

func TestTheServersEndWithTheProgramThatStartedThem(t *testing.T) {
	if path := os.Getenv(pidFile); path != "" {
		c := Start(t)
		text := fmt.Sprintln(c.etcd.cmd.Process.Pid, c.api.cmd.Process.Pid, c.Dir, filepath.Dir(c.socket))
		harness.Must(t, os.WriteFile(path+".new", []byte(text), 0o644))
		harness.Must(t, os.Rename(path+".new", path))
		select {} // until we are killed
	}
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: only Linux has a parent-death signal")
	}
	path := filepath.Join(t.TempDir(), "pids")
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), pidFile+"="+path)
	harness.Must(t, cmd.Start())
	ctx := harness.Deadline(t, startTimeout)
	err := harness.Until(ctx, "the control plane of the other program", func() bool {
		_, err := os.Stat(path)
		return err == nil
	})
	cmd.Process.Kill()
	cmd.Wait()
	harness.Must(t, err)
	words := strings.Fields(string(harness.Got(os.ReadFile(path))(t)))
	for _, pid := range words[:2] {
		harness.Must(t, harness.Until(ctx, "process "+pid+" to end", func() bool { return !running(pid) }))
	}
	// What a killed program cannot clear up.
	harness.Must(t, errors.Join(os.RemoveAll(words[2]), os.RemoveAll(words[3])))
}

// running: the process is there and not merely waiting to be collected by its new parent.
func running(pid string) bool {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	_, state, _ := strings.Cut(string(text), ") ")
	return err == nil && !strings.HasPrefix(state, "Z")
}

func TestMissingProgramsAreNamedWithTheCommandThatBuildsThem(t *testing.T) {
	_, err := Make(context.Background(), Options{Bin: t.TempDir()})
	for _, word := range []string{"no etcd in", "no kube-apiserver in", "run integration/tools/cluster.sh"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%q is not in: %v", word, err)
		}
	}
}

func TestAServerThatEndsAtItsStartIsQuoted(t *testing.T) {
	_, err := Make(context.Background(), Options{Dir: t.TempDir(), Args: []string{"--no-such-option"}})
	if err == nil || !strings.Contains(err.Error(), "unknown flag: --no-such-option") {
		t.Errorf("got: %v", err)
	}
}

func client(t *testing.T, config *rest.Config) *kubernetes.Clientset {
	t.Helper()
	return harness.Got(kubernetes.NewForConfig(config))(t)
}
