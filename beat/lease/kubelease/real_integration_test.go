//go:build integration

package kubelease_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"crisper/beat/lease"
	"crisper/beat/lease/kubelease"
	"crisper/beat/lease/leasetest"

	authentication "k8s.io/api/authentication/v1"
	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// CRISPER_TEST_KUBECONFIG is an administrator's, of an API server that is there for
// tests. Each test has a namespace of its own; what acts in it is a ServiceAccount that
// may get and update the one Lease and create Leases.

func TestARealAPIServerKeepsALease(t *testing.T) {
	admin := administrator(t)
	leasetest.Exercise(t, func(t *testing.T) leasetest.Bed {
		account := newAccount(t, admin, "get", "create", "update")
		return leasetest.Bed{
			Open: func(t testing.TB) lease.Backend { return account.open(t) },
			Delete: func(t testing.TB) {
				if err := account.client.CoordinationV1().Leases(account.namespace).Delete(t.Context(), "beat", meta.DeleteOptions{}); err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}

func TestARealAPIServersRefusalNamesVerbAndResource(t *testing.T) {
	admin := administrator(t)
	for _, missing := range []string{"get", "create", "update"} {
		var verbs []string
		for _, v := range []string{"get", "create", "update"} {
			if v != missing {
				verbs = append(verbs, v)
			}
		}
		account := newAccount(t, admin, verbs...)
		b := account.open(t)
		_, err := b.Read(t.Context())
		if missing != "get" {
			var first lease.Record
			first, err = b.Write(t.Context(), lease.Record{}, lease.Record{Holder: "a", Token: 1, Duration: time.Second, Renewed: time.Now()})
			if missing == "update" {
				_, err = b.Write(t.Context(), first, lease.Record{Holder: "a", Token: 1, Duration: time.Second, Renewed: time.Now()})
			}
		}
		var refusal *lease.Refusal
		want := fmt.Sprintf("missing permission: %s leases.coordination.k8s.io/beat in namespace %s", missing, account.namespace)
		if !errors.As(err, &refusal) || !strings.HasPrefix(refusal.Reason, want) {
			t.Errorf("without %s: %v", missing, err)
		}
	}
}

// What one follower and one leader cost the API server, and how long it takes to answer.
func TestWhatAnElectionCostsARealAPIServer(t *testing.T) {
	account := newAccount(t, administrator(t), "get", "create", "update")
	f := leasetest.NewField(t)
	var backends [2]*counted
	for i := range backends {
		backends[i] = &counted{Backend: account.open(t)}
		f.Start(fmt.Sprint(i), backends[i], lease.Options{})
	}
	f.Next(10 * time.Second)
	f.None(12 * time.Second)
	for _, b := range backends {
		n := b.reads.Load() + b.writes.Load()
		t.Logf("%d reads, %d writes in 12 s, %v each", b.reads.Load(), b.writes.Load(), time.Duration(b.took.Load()/n))
	}
}

type counted struct {
	lease.Backend
	reads, writes, took atomic.Int64
}

func (c *counted) Read(ctx context.Context) (lease.Record, error) {
	defer c.since(time.Now())
	c.reads.Add(1)
	return c.Backend.Read(ctx)
}

func (c *counted) Write(ctx context.Context, prev, next lease.Record) (lease.Record, error) {
	defer c.since(time.Now())
	c.writes.Add(1)
	return c.Backend.Write(ctx, prev, next)
}

func (c *counted) since(t time.Time) { c.took.Add(int64(time.Since(t))) }

func administrator(t *testing.T) *rest.Config {
	t.Helper()
	file := os.Getenv("CRISPER_TEST_KUBECONFIG")
	if file == "" {
		t.Skip("CRISPER_TEST_KUBECONFIG is not set")
	}
	config, err := clientcmd.BuildConfigFromFlags("", file)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// account is a ServiceAccount in a namespace of its own.
type account struct {
	client    *kubernetes.Clientset // the administrator's
	config    *rest.Config          // its own
	namespace string
}

func (a account) open(t testing.TB) *kubelease.Backend {
	t.Helper()
	b, err := kubelease.New(a.config, a.namespace, "beat")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newAccount(t *testing.T, admin *rest.Config, verbs ...string) account {
	t.Helper()
	client, err := kubernetes.NewForConfig(admin)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	ns, err := client.CoreV1().Namespaces().Create(ctx, &core.Namespace{ObjectMeta: meta.ObjectMeta{GenerateName: "lease-"}}, meta.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = client.CoreV1().Namespaces().Delete(context.Background(), ns.Name, meta.DeleteOptions{})
	})
	a := account{client: client, namespace: ns.Name}
	must(t)(client.CoreV1().ServiceAccounts(ns.Name).Create(ctx, &core.ServiceAccount{ObjectMeta: meta.ObjectMeta{Name: "beat"}}, meta.CreateOptions{}))
	must(t)(client.RbacV1().Roles(ns.Name).Create(ctx, role(verbs), meta.CreateOptions{}))
	must(t)(client.RbacV1().RoleBindings(ns.Name).Create(ctx, &rbac.RoleBinding{
		ObjectMeta: meta.ObjectMeta{Name: "beat"},
		Subjects:   []rbac.Subject{{Kind: "ServiceAccount", Name: "beat", Namespace: ns.Name}},
		RoleRef:    rbac.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "Role", Name: "beat"},
	}, meta.CreateOptions{}))
	token, err := client.CoreV1().ServiceAccounts(ns.Name).CreateToken(ctx, "beat", &authentication.TokenRequest{}, meta.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	a.config = rest.AnonymousClientConfig(admin)
	a.config.BearerToken = token.Status.Token
	a.awaitRole(t, verbs)
	return a
}

func must(t *testing.T) func(any, error) {
	t.Helper()
	return func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
}

// role: RBAC knows no name when an object is created, so create has a rule without one.
func role(verbs []string) *rbac.Role {
	r := &rbac.Role{ObjectMeta: meta.ObjectMeta{Name: "beat"}}
	for _, verb := range verbs {
		rule := rbac.PolicyRule{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{verb}}
		if verb != "create" {
			rule.ResourceNames = []string{"beat"}
		}
		r.Rules = append(r.Rules, rule)
	}
	return r
}

// awaitRole: the API server reads new roles a moment later.
func (a account) awaitRole(t *testing.T, verbs []string) {
	t.Helper()
	its, err := kubernetes.NewForConfig(a.config)
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		allowed := true
		for _, verb := range verbs {
			if verb == "get" {
				_, err := its.CoordinationV1().Leases(a.namespace).Get(t.Context(), "beat", meta.GetOptions{})
				allowed = apierrors.IsNotFound(err)
			}
		}
		if len(verbs) < 3 && verbs[0] != "get" {
			time.Sleep(time.Second) // without get there is nothing to ask that changes nothing
		}
		if allowed {
			return
		}
		time.Sleep(20 * time.Millisecond) // nothing tells when a role has been read
	}
	t.Fatal("the role does not come into force")
}
