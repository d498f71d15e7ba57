package kubelease_test

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"crisper/beat/lease"
	"crisper/beat/lease/kubelease"
	"crisper/beat/lease/leasetest"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	coordination "k8s.io/api/coordination/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

func TestAKubernetesLeaseKeepsALease(t *testing.T) {
	leasetest.ExerciseInBubbles(t, func(t *testing.T) leasetest.Bed {
		server, config := pipedServer(t)
		return leasetest.Bed{
			Open:   func(t testing.TB) lease.Backend { return open(t, config) },
			Delete: func(testing.TB) { server.with(func() { clear(server.leases) }) },
		}
	})
}

func open(t testing.TB, config *rest.Config) *kubelease.Backend {
	t.Helper()
	b, err := kubelease.New(config, "prod", "beat")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestMissingPermissionsAreNamed(t *testing.T) {
	for verb, act := range map[string]func(*kubelease.Backend) error{
		"get": func(b *kubelease.Backend) error {
			_, err := b.Read(context.Background())
			return err
		},
		"create": func(b *kubelease.Backend) error {
			_, err := b.Write(context.Background(), lease.Record{}, lease.Record{Holder: "a", Token: 1})
			return err
		},
		"update": func(b *kubelease.Backend) error {
			first, err := b.Write(context.Background(), lease.Record{}, lease.Record{Holder: "a", Token: 1})
			if err != nil {
				return err
			}
			_, err = b.Write(context.Background(), first, lease.Record{Holder: "a", Token: 1})
			return err
		},
	} {
		t.Run(verb, func(t *testing.T) {
			server, config := newServer(t)
			server.deny[verb] = true
			err := act(open(t, config))
			var refusal *lease.Refusal
			if !errors.As(err, &refusal) || !strings.HasPrefix(refusal.Reason, "missing permission: "+verb+" leases.coordination.k8s.io/beat in namespace prod (") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestWhatCannotBeIsRefusedAndWhatMayPassIsNot(t *testing.T) {
	for status, final := range map[int]bool{400: true, 401: true, 500: false, 503: false, 429: false} {
		server, config := newServer(t)
		server.status = status
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		_, err := open(t, config).Read(ctx)
		cancel()
		var refusal *lease.Refusal
		if err == nil || errors.As(err, &refusal) != final {
			t.Errorf("%d: %v", status, err)
		}
	}
	_, config := newServer(t)
	elsewhere, _ := kubelease.New(config, "no-such-namespace", "beat")
	var refusal *lease.Refusal
	if _, err := elsewhere.Write(t.Context(), lease.Record{}, lease.Record{Holder: "a"}); !errors.As(err, &refusal) {
		t.Errorf("a namespace that is not there: %v", err)
	}
}

func TestAMissingPermissionIsSaidOnceAndEndsTheCampaign(t *testing.T) {
	server, config := newServer(t)
	server.deny["create"] = true
	opts := leasetest.Quick()
	core, logs := observer.New(zap.InfoLevel)
	opts.Log = zap.New(core)
	err := lease.New(open(t, config), opts).Run(t.Context(), func(context.Context, lease.Term) { t.Error("it leads") })
	if err == nil || !strings.Contains(err.Error(), "missing permission: create leases.coordination.k8s.io/beat in namespace prod") {
		t.Errorf("Run returned %v", err)
	}
	if n := logs.FilterMessage("election in trouble").Len(); n != 1 {
		t.Errorf("it was said %d times", n)
	}
}

func TestTheLeaseReadsAsPeopleExpect(t *testing.T) {
	server, config := newServer(t)
	b := open(t, config)
	first, err := b.Write(t.Context(), lease.Record{}, lease.Record{Holder: "pod-1_ab", Token: 4, Duration: 6 * time.Second, Renewed: time.Unix(100, 0)})
	if err != nil {
		t.Fatal(err)
	}
	second, err := b.Write(t.Context(), first, lease.Record{Holder: "pod-1_ab", Token: 4, Duration: 6 * time.Second, Renewed: time.Unix(102, 0)})
	if err != nil {
		t.Fatal(err)
	}
	l := server.leases["beat"]
	if *l.Spec.HolderIdentity != "pod-1_ab" || *l.Spec.LeaseDurationSeconds != 6 || *l.Spec.LeaseTransitions != 4 ||
		l.Spec.RenewTime.Unix() != 102 || l.Spec.AcquireTime.Unix() != 100 || l.Annotations["crisper.dev/token"] != "4" {
		t.Errorf("%+v %v", l.Spec, l.Annotations)
	}
	if _, err = b.Write(t.Context(), second, lease.Record{Token: math.MaxInt32 + 5}); err != nil {
		t.Fatal(err)
	}
	l = server.leases["beat"]
	if l.Spec.HolderIdentity != nil || *l.Spec.LeaseTransitions != math.MaxInt32 || l.Annotations["crisper.dev/token"] != "2147483652" {
		t.Errorf("%+v %v", l.Spec, l.Annotations)
	}
}

func TestWhatOthersPutOnTheLeaseStays(t *testing.T) {
	server, config := newServer(t)
	who, transitions, seconds := "old-elector", int32(12), int32(15)
	server.put(&coordination.Lease{
		ObjectMeta: meta.ObjectMeta{Name: "beat", Namespace: "prod", Labels: map[string]string{"app": "shop"}, Annotations: map[string]string{"note": "x", "crisper.dev/token": "not a number"}},
		Spec:       coordination.LeaseSpec{HolderIdentity: &who, LeaseTransitions: &transitions, LeaseDurationSeconds: &seconds},
	})
	b := open(t, config)
	r, err := b.Read(t.Context())
	if err != nil || r.Token != 12 || r.Holder != who || r.Duration != 15*time.Second {
		t.Fatalf("%+v %v", r, err)
	}
	if _, err := b.Write(t.Context(), r, lease.Record{Holder: "a", Token: 13, Duration: time.Second}); err != nil {
		t.Fatal(err)
	}
	if l := server.leases["beat"]; l.Labels["app"] != "shop" || l.Annotations["note"] != "x" || l.Annotations["crisper.dev/token"] != "13" {
		t.Errorf("%+v", l.ObjectMeta)
	}
}

func TestAWriteThatChangesNothingIsNoRenewal(t *testing.T) {
	_, config := newServer(t)
	b := open(t, config)
	same := lease.Record{Holder: "a", Token: 1, Duration: time.Second, Renewed: time.Unix(100, 0)}
	first, err := b.Write(t.Context(), lease.Record{}, same)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Write(t.Context(), first, same); err == nil || errors.Is(err, lease.ErrConflict) {
		t.Errorf("got %v", err)
	}
}

func TestNothingButGetCreateAndUpdateIsAsked(t *testing.T) {
	server, config := newServer(t)
	f := leasetest.NewField(t)
	a := f.Start("a", open(t, config), leasetest.Quick())
	f.Next(5 * time.Second)
	f.None(leasetest.Quick().LeaseDuration)
	if err := a.Stop(); err != nil {
		t.Error(err)
	}
	server.with(func() {
		for _, verb := range server.seen {
			if verb != "get" && verb != "create" && verb != "update" {
				t.Errorf("it asked for %q", verb)
			}
		}
	})
}

func TestTheNamespaceIsThatOfTheKubeconfigUnlessItIsGiven(t *testing.T) {
	_, config := newServer(t)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := `{apiVersion: v1, kind: Config, current-context: c, clusters: [{name: c, cluster: {server: "` + config.Host + `"}}],
 contexts: [{name: c, context: {cluster: c, namespace: of-the-context}}]}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]string{"": "Lease of-the-context/beat", "given": "Lease given/beat"} {
		b, err := kubelease.Open(file, given, "beat")
		if err != nil || b.String() != want {
			t.Errorf("%v, %v; want %s", b, err, want)
		}
	}
	if _, err := kubelease.Open(file+".missing", "", "beat"); err == nil {
		t.Error("a kubeconfig that is not there is read")
	}
}
