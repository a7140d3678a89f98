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
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/planton/kubernetes-job-action/internal/cluster"
)

// TestRoleInREADME: the Role that README.md proposes is what a run asks for, no more and no less.
func TestRoleInREADME(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "## Permissions")
	_, after, _ = strings.Cut(after, "```yaml\n")
	block, _, _ := strings.Cut(after, "```")
	var role rbacv1.Role
	if err := yaml.UnmarshalStrict([]byte(block), &role); err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{}
	for _, rule := range role.Rules {
		for _, resource := range rule.Resources {
			want[rule.APIGroups[0]+"/"+resource] = slices.Sorted(slices.Values(rule.Verbs))
		}
	}
	r, _ := play(t)
	r.options.Wait, r.options.Logs = true, LogsStream
	r.objects.Owned = []runtime.Object{&corev1.Secret{}, &corev1.ConfigMap{}, &corev1.ConfigMap{}}
	needs, err := r.needs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, a := range needs {
		got[a.Group+"/"+a.Resource] = slices.Sorted(slices.Values(a.Verbs))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("(-README.md +needs)\n" + diff)
	}
}

// TestNeedsOfLock: a lock takes one Lease, and the look at what the run before has left, also for a run that does not wait.
func TestNeedsOfLock(t *testing.T) {
	r, _ := play(t)
	r.options.IfExists, r.options.Lock.Name = IfExistsFail, "deploy"
	got, err := r.needs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const group = "coordination.k8s.io"
	if diff := cmp.Diff([]cluster.Access{{Group: "batch", Resource: "jobs", Verbs: []string{"create", "get", "delete"}},
		{Group: group, Resource: "leases", Verbs: []string{"create"}}, {Group: group, Resource: "leases", Verbs: []string{"get", "update"}, Name: "deploy"},
		{Group: "batch", Resource: "jobs", Verbs: []string{"get"}}, {Resource: "pods", Verbs: []string{"list"}}}, got); diff != "" {
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
