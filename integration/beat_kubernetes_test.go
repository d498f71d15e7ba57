//go:build integration

package integration

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	rbac "k8s.io/api/rbac/v1"

	"crisper/integration/controlplane"
	"crisper/integration/harness"
)

// apiWay is one replica's way to the API server.
type apiWay struct{ proxy *toxiproxy.Proxy }

// cut closes connections and refuses new ones.
func (w *apiWay) cut() { w.proxy.Stop() }

func (w *apiWay) heal() error { return w.proxy.Start() }

// beatRules let an account hold one Lease and nothing else, as deploy/beat-rbac.yaml.
func beatRules(name string) []rbac.PolicyRule {
	return []rbac.PolicyRule{
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, ResourceNames: []string{name}, Verbs: []string{"get", "update"}},
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"create"}},
	}
}

// kubernetesFleet is a fleet whose replicas are one ServiceAccount, each with its own
// way to the API server.
func kubernetesFleet(t *testing.T, plane *controlplane.ControlPlane, bed *harness.Bed, options ...string) *fleet {
	t.Helper()
	ctx := harness.Deadline(t, 2*time.Minute)
	ns := harness.Got(plane.Namespace(ctx, "beat"))(t)
	account := harness.Got(plane.ServiceAccount(ctx, ns, "beat", beatRules("fleet")...))(t)
	f := makeFleet(t, bed, beatRedis(t, bed), append([]string{"--election", "kubernetes", "--lease-namespace", ns}, options...)...)
	f.more = func(r *replica) []string {
		server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
		r.api = &apiWay{toxiproxy.NewProxy(server, "api", "127.0.0.1:0", plane.Addr())}
		harness.Must(t, r.api.proxy.Start())
		bed.OnClose(r.api.proxy.Stop)
		return []string{"--kubeconfig", harness.Got(account.KubeconfigVia(r.api.proxy.Listen))(t)}
	}
	return f
}

func TestBeatMissesAndDoublesNoTickWithALeaseInKubernetes(t *testing.T) {
	t.Parallel()
	plane := controlplane.Start(t)
	bed := harness.New(t)
	began := time.Now()
	f := kubernetesFleet(t, plane, bed)
	f.grow(3)
	f.faults(rounds(t))
	for range rounds(t) {
		f.cutLeader()
		f.killAPI(plane)
	}
	f.stop()
	f.exact(began)
}

// cutLeader takes the API server away from the leader alone.
func (f *fleet) cutLeader() {
	f.t.Helper()
	old := f.leader(time.Minute)
	old.api.cut()
	f.within("API server unreachable for the leader", afterKill, old)
	f.ticks(2)
	harness.Must(f.t, old.api.heal())
	f.ticks(1)
}

// killAPI takes it away from everybody for longer than the Lease: nobody leads then,
// and what was missed is made up.
func (f *fleet) killAPI(plane *controlplane.ControlPlane) {
	f.t.Helper()
	f.leader(time.Minute)
	plane.Kill()
	time.Sleep(leaseFor + time.Second) // the Lease has to run out: that is the case
	harness.Must(f.t, plane.Restart(harness.Deadline(f.t, 2*time.Minute)))
	f.leader(time.Minute)
	f.ticks(2)
}

func TestABeatThatMayNotHaveItsLeaseSaysWhatItLacks(t *testing.T) {
	t.Parallel()
	plane := controlplane.Start(t)
	bed := harness.New(t)
	ctx := harness.Deadline(t, 2*time.Minute)
	ns := harness.Got(plane.Namespace(ctx, "beat"))(t)
	account := harness.Got(plane.ServiceAccount(ctx, ns, "beat", beatRules("another")...))(t)
	f := makeFleet(t, bed, beatRedis(t, bed))
	r := f.start("--election", "kubernetes", "--lease-namespace", ns, "--kubeconfig", harness.Got(account.Kubeconfig())(t))
	code, _, err := r.Wait(harness.Deadline(t, 60*time.Second))
	harness.Must(t, err)
	if log := r.LogText(); code != 5 || !contains(log, "get", "leases", "fleet") {
		t.Errorf("exit code %d:\n%s", code, log)
	}
}

func TestABeatWaitsForAnAPIServerThatIsAwayOrLeavesWhenAsked(t *testing.T) {
	t.Parallel()
	bed := harness.New(t)
	nowhere := filepath.Join(bed.Dir, "kubeconfig")
	const config = `{"apiVersion":"v1","kind":"Config","clusters":[{"name":"c","cluster":{"server":"https://127.0.0.1:1"}}],"users":[{"name":"u","user":{"token":"t"}}],"contexts":[{"name":"x","context":{"cluster":"c","user":"u"}}],"current-context":"x"}`
	harness.Must(t, os.WriteFile(nowhere, []byte(config), 0o600))
	f := makeFleet(t, bed, beatRedis(t, bed), "--election", "kubernetes", "--lease-namespace", "ns", "--kubeconfig", nowhere)
	waits := f.start()
	leaves := f.start("--election-timeout", "3s")
	code, _, err := leaves.Wait(harness.Deadline(t, 60*time.Second))
	harness.Must(t, err)
	if code != 5 || !strings.Contains(leaves.LogText(), "127.0.0.1:1") {
		t.Errorf("exit code %d:\n%s", code, leaves.LogText())
	}
	harness.Must(t, waits.WaitReady(harness.Deadline(t, 60*time.Second)))
	if s := waits.state(context.Background()); s.ElectionError == "" || s.Leader {
		t.Errorf("%+v", s)
	}
	f.replicas = []*replica{waits}
	f.stop()
}
