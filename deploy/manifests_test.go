package deploy

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	policy "k8s.io/api/policy/v1"
	rbac "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
)

func TestTheGracePeriodIsToldToTheWorker(t *testing.T) {
	spec := deployment(t, "proj-worker").Spec.Template.Spec
	if got, want := variable(t, spec, "CRISPER_GRACE"), strconv.FormatInt(*spec.TerminationGracePeriodSeconds, 10); got != want {
		t.Errorf("CRISPER_GRACE is %s, terminationGracePeriodSeconds is %s", got, want)
	}
}

func TestTheRoleIsForTheLeaseThatTheBeatHolds(t *testing.T) {
	spec := deployment(t, "proj-beat").Spec.Template.Spec
	name := option(t, spec, "--lease-name")
	role := find[*rbac.Role](t, "proj-beat")
	want := []rbac.PolicyRule{
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, ResourceNames: []string{name}, Verbs: []string{"get", "update"}},
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"create"}},
	}
	if diff := cmp.Diff(want, role.Rules); diff != "" {
		t.Error(diff)
	}
	bound(t, role.Name)
}

func TestTheRoleForRabbitMQIsForTheRecordsOfTheSchedule(t *testing.T) {
	name := option(t, deployment(t, "proj-beat").Spec.Template.Spec, "--lease-name") + "-records"
	role := find[*rbac.Role](t, "proj-beat-records")
	want := []rbac.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{name}, Verbs: []string{"get", "update"}},
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"create"}},
	}
	if diff := cmp.Diff(want, role.Rules); diff != "" {
		t.Error(diff)
	}
	bound(t, role.Name)
}

// bound: the binding of a Role's name gives it to the beat.
func bound(t *testing.T, role string) {
	t.Helper()
	binding := find[*rbac.RoleBinding](t, role)
	account := find[*core.ServiceAccount](t, deployment(t, "proj-beat").Spec.Template.Spec.ServiceAccountName)
	if binding.RoleRef.Name != role || binding.Subjects[0].Name != account.Name {
		t.Errorf("the binding gives %s to %s", binding.RoleRef.Name, binding.Subjects[0].Name)
	}
}

func TestTheBudgetIsForTheBeat(t *testing.T) {
	budget, d := find[*policy.PodDisruptionBudget](t, "proj-beat"), deployment(t, "proj-beat")
	if diff := cmp.Diff(d.Spec.Selector, budget.Spec.Selector); diff != "" {
		t.Error(diff)
	}
}

func TestAllObjectsCarryTheCommonLabels(t *testing.T) {
	for _, o := range objects(t) {
		labels := o.(interface{ GetLabels() map[string]string }).GetLabels()
		for _, key := range []string{"name", "instance", "component", "part-of"} {
			if labels["app.kubernetes.io/"+key] == "" {
				t.Errorf("%T %s has no label app.kubernetes.io/%s", o, objectName(o), key)
			}
		}
	}
}

// What both kinds of pod have in common, and what each row would cost if it were lost.
func TestPodsAreClosedAndSpread(t *testing.T) {
	for _, name := range []string{"proj-worker", "proj-beat"} {
		d := deployment(t, name)
		pod := d.Spec.Template.Spec
		c := pod.Containers[0]
		spread := pod.TopologySpreadConstraints[0].LabelSelector
		for what, holds := range map[string]bool{
			"the user is a number, as in the image": *pod.SecurityContext.RunAsNonRoot && *pod.SecurityContext.RunAsUser == imageUser(t),
			"the root is read-only":                 *c.SecurityContext.ReadOnlyRootFilesystem,
			"/tmp can be written":                   c.VolumeMounts[0].MountPath == "/tmp" && pod.Volumes[0].EmptyDir != nil,
			"all capabilities are dropped":          slices.Equal(c.SecurityContext.Capabilities.Drop, []core.Capability{"ALL"}),
			"seccomp is on":                         pod.SecurityContext.SeccompProfile.Type == core.SeccompProfileTypeRuntimeDefault,
			"there is no PORT variable of Services": !*pod.EnableServiceLinks,
			"only the beat has a token":             (pod.AutomountServiceAccountToken == nil) == (name == "proj-beat"),
			"the limit leaves headroom":             c.Resources.Limits.Memory().Value() >= c.Resources.Requests.Memory().Value()*3/2,
			"there is no CPU limit":                 c.Resources.Limits.Cpu().IsZero(),
			"the selector selects the pods":         selects(d.Spec.Selector.MatchLabels, d.Spec.Template.Labels),
			"the spread is over its own pods":       cmp.Equal(spread, d.Spec.Selector),
			"the port has a name":                   c.Ports[0].Name == "http",
		} {
			if !holds {
				t.Errorf("%s: not so: %s", name, what)
			}
		}
		for _, probe := range []*core.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
			if probe != nil && probe.HTTPGet.Port.String() != "http" {
				t.Errorf("%s: a probe asks port %s", name, probe.HTTPGet.Port.String())
			}
		}
	}
}

func TestKustomizationNamesEveryManifest(t *testing.T) {
	text, err := os.ReadFile("kustomization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var k struct{ Resources []string }
	if err := yaml.Unmarshal(text, &k); err != nil {
		t.Fatal(err)
	}
	k.Resources = append(k.Resources, "beat-rbac-rabbitmq.yaml") // with Redis nobody needs that right
	slices.Sort(k.Resources)
	if diff := cmp.Diff(manifests(t), k.Resources); diff != "" {
		t.Error(diff)
	}
}

// manifests are the files that are applied.
func manifests(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob("*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(name string) bool { return name == "kustomization.yaml" })
}

// objects reads them, refusing fields that the types do not have.
func objects(t *testing.T) []runtime.Object {
	t.Helper()
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	var found []runtime.Object
	for _, name := range manifests(t) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		documents := yaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(text)))
		defer documents.Close()
		buffer := make([]byte, len(text)+1)
		for {
			n, err := documents.Read(buffer)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			object, _, err := decoder.Decode(buffer[:n], nil, nil)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			found = append(found, object)
		}
	}
	return found
}

// find returns the object of a type with this name.
func find[T runtime.Object](t *testing.T, name string) T {
	t.Helper()
	for _, o := range objects(t) {
		if o, ok := o.(T); ok && objectName(o) == name {
			return o
		}
	}
	var none T
	t.Fatalf("there is no %T called %s", none, name)
	return none
}

func deployment(t *testing.T, name string) *apps.Deployment {
	t.Helper()
	return find[*apps.Deployment](t, name)
}

func objectName(o runtime.Object) string { return o.(interface{ GetName() string }).GetName() }

// variable is the value of an environment variable of the first container.
func variable(t *testing.T, pod core.PodSpec, name string) string {
	t.Helper()
	for _, v := range pod.Containers[0].Env {
		if v.Name == name {
			return v.Value
		}
	}
	t.Fatalf("%s is not set", name)
	return ""
}

// option is the value of --name=value in the command of the first container.
func option(t *testing.T, pod core.PodSpec, name string) string {
	t.Helper()
	for _, word := range pod.Containers[0].Command {
		if value, ok := strings.CutPrefix(word, name+"="); ok {
			return value
		}
	}
	t.Fatalf("%s is not given", name)
	return ""
}

func selects(selector, labels map[string]string) bool {
	for key, value := range selector {
		if labels[key] != value {
			return false
		}
	}
	return len(selector) > 0
}
