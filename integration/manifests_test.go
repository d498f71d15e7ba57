//go:build integration

package integration

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apps "k8s.io/api/apps/v1"
	authorization "k8s.io/api/authorization/v1"
	coordination "k8s.io/api/coordination/v1"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/restmapper"

	"crisper/integration/controlplane"
	"crisper/integration/harness"
)

// manifestStage is a control plane with a namespace that enforces the restricted Pod
// Security Standard.
type manifestStage struct {
	*controlplane.ControlPlane
	namespace string
	dynamic   dynamic.Interface
	mapper    meta.RESTMapper
}

func TestManifests(t *testing.T) {
	t.Parallel()
	c := controlplane.Start(t)
	ctx := harness.Deadline(t, 15*time.Minute)
	s := &manifestStage{ControlPlane: c, namespace: harness.Got(c.Namespace(ctx, "deploy"))(t)}
	s.dynamic = harness.Got(dynamic.NewForConfig(c.Admin()))(t)
	s.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(c.Client().Discovery()))
	s.enforceRestricted(t, ctx)

	t.Run("every file passes a server-side dry-run", func(t *testing.T) { s.applyAll(t, ctx, manifests(t), true) })
	t.Run("kubectl takes the folder as it is", func(t *testing.T) { s.testKubectl(t, ctx) })
	t.Run("a mistake does not pass", func(t *testing.T) { s.testMistakes(t, ctx) })
	t.Run("every file can be applied, and applying it again changes nothing", func(t *testing.T) { s.testApply(t, ctx) })
	t.Run("the pods pass the restricted Pod Security Standard", func(t *testing.T) { s.testPods(t, ctx) })
	t.Run("the beat's account may hold its Lease and nothing else", func(t *testing.T) { s.testRequests(t, ctx) })
	t.Run("no other right at all came with the Role", func(t *testing.T) { s.testRights(t, ctx) })
	t.Run("the beat runs as its manifest says", func(t *testing.T) { s.testBeat(t, ctx) })
	t.Run("with RabbitMQ it may keep its records as well, and nothing else", func(t *testing.T) { s.testRecords(t, ctx) })
	t.Run("the beat on RabbitMQ runs as its manifests say", func(t *testing.T) { s.testBeatOnRabbitMQ(t, ctx) })
}

func (s *manifestStage) enforceRestricted(t *testing.T, ctx context.Context) {
	t.Helper()
	label := []byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`)
	harness.Got(s.Client().CoreV1().Namespaces().Patch(ctx, s.namespace, types.MergePatchType, label, metav1.PatchOptions{}))(t)
	// A controller makes it in a whole cluster.
	harness.Got(s.Client().CoreV1().ServiceAccounts(s.namespace).Create(ctx, &core.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, metav1.CreateOptions{}))(t)
}

// apply is `kubectl apply --server-side`, strict about unknown and doubled fields.
func (s *manifestStage) apply(ctx context.Context, o *unstructured.Unstructured, dry bool) (*unstructured.Unstructured, error) {
	kind := o.GroupVersionKind()
	mapping, err := s.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return nil, fmt.Errorf("the server does not know %s: %w", kind, err)
	}
	if mapping.Scope.Name() != meta.RESTScopeNameNamespace {
		return nil, fmt.Errorf("%s is not namespaced: an operator would need more rights", kind)
	}
	text, err := o.MarshalJSON()
	if err != nil {
		return nil, err
	}
	force := true
	options := metav1.PatchOptions{FieldManager: "deploy", FieldValidation: metav1.FieldValidationStrict, Force: &force}
	if dry {
		options.DryRun = []string{metav1.DryRunAll}
	}
	return s.dynamic.Resource(mapping.Resource).Namespace(s.namespace).Patch(ctx, o.GetName(), types.ApplyPatchType, text, options)
}

func (s *manifestStage) applyAll(t *testing.T, ctx context.Context, files map[string][]*unstructured.Unstructured, dry bool) map[string]string {
	t.Helper()
	versions := map[string]string{}
	for name, objects := range files {
		for _, o := range objects {
			stored, err := s.apply(ctx, o, dry)
			if err != nil {
				t.Errorf("%s: %s %s: %v", name, o.GetKind(), o.GetName(), err)
				continue
			}
			versions[o.GetKind()+" "+o.GetName()] = stored.GetResourceVersion()
		}
	}
	return versions
}

// Operators use kubectl; nothing else here needs it.
func (s *manifestStage) testKubectl(t *testing.T, ctx context.Context) {
	if _, err := exec.LookPath("kubectl"); err != nil {
		t.Skip("SKIPPED: there is no kubectl on this machine; the kustomization has not been tried")
	}
	admin := harness.Got(s.User("operator", "system:masters"))(t)
	out, err := exec.CommandContext(ctx, "kubectl", "--kubeconfig", harness.Got(admin.Kubeconfig())(t), "--namespace", s.namespace,
		"apply", "--server-side", "--dry-run=server", "-k", "../deploy").CombinedOutput()
	if n := strings.Count(string(out), "serverside-applied"); err != nil || n != 6 {
		t.Errorf("%d of 6 objects: %v\n%s", n, err, out)
	}
}

func (s *manifestStage) testApply(t *testing.T, ctx context.Context) {
	usual := manifests(t)
	delete(usual, forRabbitMQ) // as in kustomization.yaml
	first, second := s.applyAll(t, ctx, usual, false), s.applyAll(t, ctx, usual, false)
	if diff := cmp.Diff(first, second); diff != "" {
		t.Error(diff)
	}
	if len(first) != 6 {
		t.Errorf("%d objects were applied: %v", len(first), first)
	}
}

// Without these rows nobody would know that the dry-run looks.
func (s *manifestStage) testMistakes(t *testing.T, ctx context.Context) {
	for _, row := range []struct {
		file, kind string
		path       []string
		value      any
		want       string
	}{
		{"worker.yaml", "Deployment", []string{"spec", "strategy", "rollingUpdate", "maxSurgeX"}, int64(1), "maxSurgeX"},
		{"worker.yaml", "Deployment", []string{"spec", "replicas"}, int64(-1), "spec.replicas"},
		{"beat.yaml", "Deployment", []string{"spec", "selector", "matchLabels", "other"}, "label", "does not match template"},
		{"beat.yaml", "PodDisruptionBudget", []string{"spec", "minAvailable"}, int64(1), "cannot be both set"},
		{"beat-rbac.yaml", "Role", []string{"rule"}, "none", "rule"},
		{"beat-rbac.yaml", "RoleBinding", []string{"roleRef", "kind"}, "Rule", "roleRef.kind"},
	} {
		for _, o := range manifests(t)[row.file] {
			if o.GetKind() != row.kind {
				continue
			}
			harness.Must(t, unstructured.SetNestedField(o.Object, row.value, row.path...))
			if _, err := s.apply(ctx, o, true); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%s with %s: got %v", row.kind, strings.Join(row.path, "."), err)
			}
		}
	}
}

// The standard is enforced for pods, not for Deployments: so make the pods.
func (s *manifestStage) testPods(t *testing.T, ctx context.Context) {
	for _, d := range s.deployments(t, ctx) {
		pod := &core.Pod{ObjectMeta: d.Spec.Template.ObjectMeta, Spec: d.Spec.Template.Spec}
		pod.Name = d.Name
		pods := s.Client().CoreV1().Pods(s.namespace)
		made, err := pods.Create(ctx, pod, metav1.CreateOptions{})
		if err != nil {
			t.Errorf("the pod of %s: %v", d.Name, err)
			continue
		}
		tokens := slices.ContainsFunc(made.Spec.Volumes, func(v core.Volume) bool { return v.Projected != nil })
		if tokens != (d.Name == "proj-beat") {
			t.Errorf("the pod of %s gets a token: %t", d.Name, tokens)
		}
		pod.Name, pod.Spec.Containers[0].SecurityContext = "open", nil
		if _, err := pods.Create(ctx, pod, metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("a pod that keeps its capabilities: %v", err)
		}
	}
}

// forRabbitMQ is the file that is applied with RabbitMQ only.
const forRabbitMQ = "beat-rbac-rabbitmq.yaml"

func (s *manifestStage) deployments(t *testing.T, ctx context.Context) []apps.Deployment {
	t.Helper()
	list := harness.Got(s.Client().AppsV1().Deployments(s.namespace).List(ctx, metav1.ListOptions{}))(t)
	if len(list.Items) != 2 {
		t.Fatalf("there are %d Deployments", len(list.Items))
	}
	return list.Items
}

// testRequests sends real requests as the account, as a pod would.
func (s *manifestStage) testRequests(t *testing.T, ctx context.Context) {
	beat := s.account(t, ctx)
	client := harness.Got(kubernetes.NewForConfig(beat.Config()))(t)
	other := harness.Got(s.Namespace(ctx, "other"))(t)
	leases, elsewhere := client.CoordinationV1().Leases(s.namespace), client.CoordinationV1().Leases(other)
	named := func(name string) *coordination.Lease {
		return &coordination.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}}
	}
	var held *coordination.Lease
	for _, row := range []struct {
		name    string
		allowed bool
		do      func() error
	}{
		{"create its Lease", true, func() (err error) { held, err = leases.Create(ctx, named("proj-beat"), metav1.CreateOptions{}); return }},
		{"get its Lease", true, func() (err error) { held, err = leases.Get(ctx, "proj-beat", metav1.GetOptions{}); return }},
		{"update its Lease", true, func() error { _, err := leases.Update(ctx, held, metav1.UpdateOptions{}); return err }},
		{"get another Lease", false, func() error { _, err := leases.Get(ctx, "other", metav1.GetOptions{}); return err }},
		{"update another Lease", false, func() error { _, err := leases.Update(ctx, named("other"), metav1.UpdateOptions{}); return err }},
		{"list Leases", false, func() error { _, err := leases.List(ctx, metav1.ListOptions{}); return err }},
		{"watch Leases", false, func() error { _, err := leases.Watch(ctx, metav1.ListOptions{}); return err }},
		{"patch its Lease", false, func() error {
			_, err := leases.Patch(ctx, "proj-beat", types.MergePatchType, []byte(`{}`), metav1.PatchOptions{})
			return err
		}},
		{"delete its Lease", false, func() error { return leases.Delete(ctx, "proj-beat", metav1.DeleteOptions{}) }},
		{"delete all Leases", false, func() error { return leases.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}) }},
		{"create a Lease elsewhere", false, func() error { _, err := elsewhere.Create(ctx, named("proj-beat"), metav1.CreateOptions{}); return err }},
		{"get a Lease elsewhere", false, func() error { _, err := elsewhere.Get(ctx, "proj-beat", metav1.GetOptions{}); return err }},
		{"update a Lease elsewhere", false, func() error { _, err := elsewhere.Update(ctx, named("proj-beat"), metav1.UpdateOptions{}); return err }},
		{"read the broker's Secret", false, func() error {
			_, err := client.CoreV1().Secrets(s.namespace).Get(ctx, "proj-broker", metav1.GetOptions{})
			return err
		}},
		{"list pods", false, func() error { _, err := client.CoreV1().Pods(s.namespace).List(ctx, metav1.ListOptions{}); return err }},
	} {
		err := row.do()
		if row.allowed && err != nil || !row.allowed && !apierrors.IsForbidden(err) {
			t.Errorf("%s: allowed should be %t, got: %v", row.name, row.allowed, err)
		}
	}
}

// account is the beat's, once its Role holds.
func (s *manifestStage) account(t *testing.T, ctx context.Context) *controlplane.User {
	t.Helper()
	beat := harness.Got(s.Account(ctx, s.namespace, "proj-beat"))(t)
	for _, ask := range []authorization.ResourceAttributes{
		{Verb: "create"}, {Verb: "get", Name: "proj-beat"}, {Verb: "update", Name: "proj-beat"},
	} {
		ask.Namespace, ask.Group, ask.Resource = s.namespace, "coordination.k8s.io", "leases"
		harness.Must(t, s.UntilAllowed(ctx, beat, ask))
	}
	return beat
}

// testRights asks about every verb of every resource that the server has, and compares
// with an account that nobody gave anything.
func (s *manifestStage) testRights(t *testing.T, ctx context.Context) {
	s.compareRights(t, ctx, "proj-beat", []string{
		"create leases.coordination.k8s.io", "create leases.coordination.k8s.io proj-beat",
		"get leases.coordination.k8s.io proj-beat", "update leases.coordination.k8s.io proj-beat",
	})
}

// compareRights asks what the beat's account may do with any object and with one of this name,
// and takes away what everybody may.
func (s *manifestStage) compareRights(t *testing.T, ctx context.Context, object string, want []string) {
	t.Helper()
	beat := s.account(t, ctx)
	nobody := harness.Got(s.Account(ctx, s.namespace, "default"))(t)
	more, given := s.rights(t, ctx, beat, object), s.rights(t, ctx, nobody, object)
	maps.DeleteFunc(more, func(right string, _ bool) bool { return given[right] })
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(more))); diff != "" {
		t.Error(diff)
	}
}

// rights are what a user may do in the namespace, with any object and with one of this name.
func (s *manifestStage) rights(t *testing.T, ctx context.Context, u *controlplane.User, named string) map[string]bool {
	t.Helper()
	client := harness.Got(kubernetes.NewForConfig(u.Config()))(t)
	found, asked := map[string]bool{}, 0
	_, lists, err := s.Client().Discovery().ServerGroupsAndResources()
	harness.Must(t, err)
	for _, list := range lists {
		group, _, isGroup := strings.Cut(list.GroupVersion, "/")
		if !isGroup {
			group = ""
		}
		for _, resource := range list.APIResources {
			name, sub, _ := strings.Cut(resource.Name, "/")
			for _, verb := range resource.Verbs {
				for _, object := range []string{"", named} {
					ask := authorization.ResourceAttributes{Namespace: s.namespace, Verb: verb, Group: group, Resource: name, Subresource: sub, Name: object}
					review := &authorization.SelfSubjectAccessReview{Spec: authorization.SelfSubjectAccessReviewSpec{ResourceAttributes: &ask}}
					answer := harness.Got(client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{}))(t)
					asked++
					if answer.Status.Allowed {
						found[strings.TrimSpace(verb+" "+strings.TrimSuffix(resource.Name+"."+group, ".")+" "+object)] = true
					}
				}
			}
		}
	}
	t.Logf("asked %d times what %s may do: %d rights", asked, u.Name, len(found))
	return found
}

func TestTheWorkerManifestGivesOptionsThatTheWorkerTakes(t *testing.T) {
	t.Parallel()
	var d apps.Deployment
	for _, o := range manifests(t)["worker.yaml"] {
		harness.Must(t, runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &d))
	}
	b, c := harness.New(t), d.Spec.Template.Spec.Containers[0]
	if !slices.Equal(c.Command[:2], []string{"crisper", "worker"}) {
		t.Fatalf("the command is %q", c.Command)
	}
	env := []string{"PYTHONDONTWRITEBYTECODE=1"}
	for _, v := range c.Env {
		if v.ValueFrom != nil {
			v.Value = "redis://localhost/0" // from the Secret
		}
		env = append(env, v.Name+"="+v.Value)
	}
	args := append([]string{b.Binary, "config", "check", "--python", b.Python}, c.Command[2:]...)
	out, code, err := b.Run(harness.Deadline(t, time.Minute), harness.Command{Name: "check", Args: args, Env: env, Dir: filepath.Join(b.Root, "deploy", "example")})
	harness.Must(t, err)
	if code != 0 || !regexp.MustCompile(`--grace +60 +environment CRISPER_GRACE`).MatchString(out) {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}

// manifests reads the files that operators apply.
func manifests(t *testing.T) map[string][]*unstructured.Unstructured {
	t.Helper()
	paths := harness.Got(filepath.Glob("../deploy/*.yaml"))(t)
	found := map[string][]*unstructured.Unstructured{}
	for _, path := range paths {
		name := filepath.Base(path)
		if name == "kustomization.yaml" { // for kubectl, not for the server
			continue
		}
		decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(harness.Got(os.ReadFile(path))(t)), 4096)
		for {
			o := &unstructured.Unstructured{}
			err := decoder.Decode(&o.Object)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			found[name] = append(found[name], o)
		}
	}
	return found
}
