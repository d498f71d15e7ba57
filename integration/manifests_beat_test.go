//go:build integration

package integration

import (
	"context"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	authorization "k8s.io/api/authorization/v1"
	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"crisper/broker/amqpbroker/servertest"
	"crisper/integration/controlplane"
	"crisper/integration/harness"
)

// beatOf starts the container of beat.yaml with the example's app, as the account that the
// manifests make: its command, its environment, its probes.
func (s *manifestStage) beatOf(t *testing.T, ctx context.Context, bed *harness.Bed, broker string) (*replica, core.Container) {
	t.Helper()
	d := harness.Got(s.Client().AppsV1().Deployments(s.namespace).Get(ctx, "proj-beat", metav1.GetOptions{}))(t)
	c := d.Spec.Template.Spec.Containers[0]
	if !slices.Equal(c.Command[:2], []string{"crisper", "beat"}) {
		t.Fatalf("the command is %q", c.Command)
	}
	env := []string{"PYTHONDONTWRITEBYTECODE=1"}
	for _, v := range c.Env {
		switch {
		case v.ValueFrom != nil && v.ValueFrom.SecretKeyRef != nil:
			v.Value = broker
		case v.ValueFrom != nil && v.ValueFrom.FieldRef.FieldPath == "metadata.namespace":
			v.Value = s.namespace
		}
		env = append(env, v.Name+"="+v.Value)
	}
	address := "127.0.0.1:" + strconv.Itoa(harness.Got(harness.FreePort())(t))
	account := harness.Got(s.account(t, ctx).Kubeconfig())(t)
	args := append([]string{bed.Binary, "beat", "--python", bed.Python}, c.Command[2:]...)
	// What a pod has of its own: a port that is free, the token, a socket of its own.
	args = append(args, "--http", address, "--kubeconfig", account, "--socket", "off")
	r := &replica{Worker: &harness.Worker{HTTP: address}}
	r.Process = harness.Got(bed.Start(harness.Command{Name: "beat", Args: args, Env: env, Dir: filepath.Join(bed.Root, "deploy", "example")}))(t)
	return r, c
}

// leads waits until the beat does, asks what the kubelet would, and ends it.
func (s *manifestStage) leads(t *testing.T, ctx context.Context, r *replica, c core.Container) {
	t.Helper()
	harness.Must(t, harness.Until(ctx, "the beat to lead", func() bool {
		state := r.state(ctx)
		return state.Leader && state.Broker.Connected
	}))
	for _, probe := range []*core.Probe{c.LivenessProbe, c.ReadinessProbe} {
		if status, body, err := r.Get(ctx, probe.HTTPGet.Path); err != nil || status != http.StatusOK {
			t.Errorf("%s: %d %s %v", probe.HTTPGet.Path, status, body, err)
		}
	}
	lease := harness.Got(s.Client().CoordinationV1().Leases(s.namespace).Get(ctx, "proj-beat", metav1.GetOptions{}))(t)
	if holder := r.state(ctx).Holder; lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity != holder {
		t.Errorf("%s leads, the Lease is held by %v", holder, lease.Spec.HolderIdentity)
	}
	harness.Must(t, r.Signal(15))
	if code, _, err := r.Wait(ctx); err != nil || code != 0 {
		t.Errorf("exit code %d, %v", code, err)
	}
}

func (s *manifestStage) testBeat(t *testing.T, ctx context.Context) {
	bed := harness.New(t)
	r, c := s.beatOf(t, ctx, bed, beatRedis(t, bed).URL(0))
	s.leads(t, ctx, r, c)
}

func (s *manifestStage) testRecords(t *testing.T, ctx context.Context) {
	s.applyAll(t, ctx, map[string][]*unstructured.Unstructured{forRabbitMQ: manifests(t)[forRabbitMQ]}, false)
	beat := s.account(t, ctx)
	for _, ask := range []authorization.ResourceAttributes{
		{Verb: "create"}, {Verb: "get", Name: "proj-beat-records"}, {Verb: "update", Name: "proj-beat-records"},
	} {
		ask.Namespace, ask.Resource = s.namespace, "configmaps"
		harness.Must(t, s.UntilAllowed(ctx, beat, ask))
	}
	s.compareRights(t, ctx, "proj-beat-records", []string{
		"create configmaps", "create configmaps proj-beat-records",
		"create leases.coordination.k8s.io", "create leases.coordination.k8s.io proj-beat-records",
		"get configmaps proj-beat-records", "update configmaps proj-beat-records",
	})
}

func (s *manifestStage) testBeatOnRabbitMQ(t *testing.T, ctx context.Context) {
	server := servertest.RabbitMQ(t)
	r, c := s.beatOf(t, ctx, harness.New(t), "amqp://guest:guest@"+server.Addr()+"//")
	s.leads(t, ctx, r, c)
	records := harness.Got(s.Client().CoreV1().ConfigMaps(s.namespace).Get(ctx, "proj-beat-records", metav1.GetOptions{}))(t)
	if len(records.BinaryData["records"]) == 0 {
		t.Errorf("the ConfigMap has no records: %+v", records)
	}
}

// Each account lacks one verb that the RabbitMQ beat needs; what it says is all that an
// operator has to go by.
func TestABeatOnRabbitMQNamesTheVerbThatItLacks(t *testing.T) {
	t.Parallel()
	plane, server := controlplane.Start(t), servertest.RabbitMQ(t)
	for _, lacks := range []string{"get", "create", "update"} {
		t.Run(lacks, func(t *testing.T) {
			t.Parallel()
			ctx := harness.Deadline(t, 10*time.Minute)
			ns := harness.Got(plane.Namespace(ctx, "lacks"))(t)
			verbs := slices.DeleteFunc([]string{"get", "create", "update"}, func(verb string) bool { return verb == lacks })
			rules := append(beatRules("fleet"), rbac.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: verbs})
			account := harness.Got(plane.ServiceAccount(ctx, ns, "beat", rules...))(t)
			bed := harness.New(t)
			f := makeFleet(t, bed, beatRedis(t, bed), "--election", "kubernetes", "--lease-namespace", ns,
				"--kubeconfig", harness.Got(account.Kubeconfig())(t))
			f.broker = "amqp://guest:guest@" + server.Addr() + "//"
			r := f.start()
			code, _, err := r.Wait(ctx)
			harness.Must(t, err)
			if log := r.LogText(); code != 5 || !strings.Contains(log, lacks+` ConfigMap \"fleet-records\"`) || !contains(log, "forbidden", "configmaps") {
				t.Errorf("exit code %d:\n%s", code, log)
			}
		})
	}
}
