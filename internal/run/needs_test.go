package run

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/planton/kubernetes-job-action/internal/cluster"
)

// right is one verb on the objects of a resource, or on the one with the name.
type right struct{ group, resource, name, verb string }

// granted are the rights of some rules.
func granted(rules []rbacv1.PolicyRule) map[right]bool {
	all := map[right]bool{}
	for _, r := range rules {
		names := r.ResourceNames
		if names == nil {
			names = []string{""}
		}
		for _, resource := range r.Resources {
			for _, name := range names {
				for _, verb := range r.Verbs {
					all[right{r.APIGroups[0], resource, name, verb}] = true
				}
			}
		}
	}
	return all
}

// neededRights are the rights that a run of the Job data-migration asks for.
func neededRights(t *testing.T, change func(*loop)) map[right]bool {
	t.Helper()
	r, _ := play(t)
	r.objects.Job.Name = "data-migration"
	change(r)
	needs, err := r.needs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := map[right]bool{}
	for _, a := range needs {
		for _, verb := range a.Verbs {
			all[right{a.Group, a.Resource, a.Name, verb}] = true
		}
	}
	return all
}

// yamlBlock is the first block of YAML behind a heading.
func yamlBlock(t *testing.T, file, heading string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), heading+"\n")
	_, after, _ = strings.Cut(after, "```yaml\n")
	block, _, ok := strings.Cut(after, "```")
	if !ok {
		t.Fatalf("%s has no YAML behind %q", file, heading)
	}
	return block
}

func secret(name string) runtime.Object {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func configMap(name string) runtime.Object {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

// TestRoleInREADME: the Role that README.md proposes for all Jobs of a namespace is what their runs ask for, names apart.
func TestRoleInREADME(t *testing.T) {
	var role rbacv1.Role
	if err := yaml.UnmarshalStrict([]byte(yamlBlock(t, "../../README.md", "## Permissions")), &role); err != nil {
		t.Fatal(err)
	}
	got := map[right]bool{}
	for need := range neededRights(t, func(l *loop) {
		l.options.Wait, l.options.Logs = true, LogsStream
		l.objects.Owned = []runtime.Object{secret("a"), configMap("b"), configMap("c")}
	}) {
		need.name = ""
		got[need] = true
	}
	if diff := cmp.Diff(granted(role.Rules), got, cmp.AllowUnexported(right{})); diff != "" {
		t.Error("(-README.md +needs)\n" + diff)
	}
}

// TestMinimalRole: each part of the Role in docs/security.md is what its feature adds to a run, no more and no less.
func TestMinimalRole(t *testing.T) {
	parts := strings.Split(yamlBlock(t, "../../docs/security.md", "## The minimal Role"), "  # ")[1:]
	features := []struct {
		comment string
		enable  func(*loop)
	}{
		{"every run", func(l *loop) { l.options.Wait = false; l.options.IfExists = IfExistsFail }},
		{"wait, as by default; without the events, less is explained", func(l *loop) { l.options.Wait, l.options.Logs = true, LogsNone }},
		{"logs, as by default", func(l *loop) { l.options.Logs = LogsStream }},
		{"secret-env, and secret values of a KubernetesJob", func(l *loop) { l.objects.Owned = append(l.objects.Owned, secret("data-migration-env-secrets")) }},
		{"registry-credentials", func(l *loop) {
			l.objects.Owned = append(l.objects.Owned, secret("data-migration-image-pull-secret"))
		}},
		{"the configMaps of a KubernetesJob: their names", func(l *loop) { l.objects.Owned = append(l.objects.Owned, configMap("0001-create-customers")) }},
	}
	if len(parts) != len(features) {
		t.Fatalf("%d parts, want %d", len(parts), len(features))
	}
	had := map[right]bool{}
	for i, f := range features {
		comment, text, _ := strings.Cut(parts[i], "\n")
		var rules []rbacv1.PolicyRule
		if err := yaml.UnmarshalStrict([]byte(text), &rules); err != nil || comment != f.comment {
			t.Fatalf("part %q, want %q: %v", comment, f.comment, err)
		}
		has := neededRights(t, func(l *loop) {
			for _, f := range features[:i+1] {
				f.enable(l)
			}
		})
		documented := granted(rules)
		for r := range had { // what an earlier part grants may stand here again, for who has this feature alone
			if documented[r] {
				delete(had, r)
			}
		}
		added := map[right]bool{}
		for r := range has {
			if !had[r] {
				added[r] = true
			}
		}
		if diff := cmp.Diff(documented, added, cmp.AllowUnexported(right{})); diff != "" {
			t.Errorf("%s (-docs/security.md +needs)\n%s", comment, diff)
		}
		had = has
	}
}

// TestNeedsOfOneTimeNames: a Secret whose name is new each time cannot be there, so nobody needs to read or change Secrets.
func TestNeedsOfOneTimeNames(t *testing.T) {
	r, _ := play(t)
	r.objects.OneTime = true
	r.objects.Owned = []runtime.Object{secret("j-env-secrets"), configMap("note")}
	r.options.Wait, r.options.Logs = true, LogsNone
	needs, err := r.needs(t.Context())
	want := []cluster.Access{
		{Group: "batch", Resource: "jobs", Verbs: []string{"create"}},
		{Group: "batch", Resource: "jobs", Verbs: []string{"get", "delete", "list", "watch"}, Name: "j", OneTime: true},
		{Resource: "pods", Verbs: []string{"list", "watch"}},
		{Resource: "events", Verbs: []string{"list", "watch"}, Optional: true},
		{Resource: "secrets", Verbs: []string{"create"}},
		{Resource: "configmaps", Verbs: []string{"create"}},
		{Resource: "configmaps", Verbs: []string{"get", "patch"}, Name: "note"},
	}
	if diff := cmp.Diff(want, needs); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}

// TestNeedsOfLock: a lock takes one Lease, and the look at the Job of the run before, whose name may be another.
func TestNeedsOfLock(t *testing.T) {
	r, _ := play(t)
	r.options.IfExists, r.options.Lock.Name = IfExistsFail, "deploy"
	got, err := r.needs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const group = "coordination.k8s.io"
	if diff := cmp.Diff([]cluster.Access{{Group: "batch", Resource: "jobs", Verbs: []string{"create"}},
		{Group: "batch", Resource: "jobs", Verbs: []string{"get", "delete"}, Name: "j"},
		{Resource: "pods", Verbs: []string{"list"}},
		{Group: group, Resource: "leases", Verbs: []string{"create"}}, {Group: group, Resource: "leases", Verbs: []string{"get", "update"}, Name: "deploy"},
		{Group: "batch", Resource: "jobs", Verbs: []string{"get"}}}, got); diff != "" {
		t.Error("(-want +got)\n" + diff)
	}
}

// TestNeedsOfNamespace: only a namespace that is missing takes the right to create namespaces.
func TestNeedsOfNamespace(t *testing.T) {
	const get = "GET /api/v1/namespaces/ns"
	resource := schema.GroupResource{Resource: "namespaces"}
	for _, test := range []struct {
		name   string
		answer exchange
		asked  bool
	}{
		{"there", exchange{get, 200, &corev1.Namespace{TypeMeta: metav1.TypeMeta{Kind: "Namespace", APIVersion: "v1"}}}, false},
		{"missing", exchange{get, 404, apierrors.NewNotFound(resource, "ns").Status()}, true},
		{"not to be seen", exchange{get, 403, apierrors.NewForbidden(resource, "ns", errors.New("no")).Status()}, false},
	} {
		r, _ := play(t, test.answer)
		r.objects.CreateNamespace = true
		needs, err := r.needs(t.Context())
		asked := slices.ContainsFunc(needs, func(a cluster.Access) bool { return a.Resource == "namespaces" && a.ClusterWide })
		if err != nil || asked != test.asked {
			t.Errorf("%s: %v, %v", test.name, needs, err)
		}
	}
}

// TestNeedsOfWhatFollows: what is applied after the Job's success is asked for before the Job is made.
func TestNeedsOfWhatFollows(t *testing.T) {
	r, _ := play(t, kinds)
	r.objects.After = []*unstructured.Unstructured{account()}
	needs, err := r.needs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := cluster.Access{Resource: "serviceaccounts", Verbs: []string{"create", "patch"}, Name: "a", Namespace: "ns", Manifest: true}
	if diff := cmp.Diff(want, needs[len(needs)-1]); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
