package render

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// chart is what helm template prints of a chart with a migration: what it needs, what serves, its tests.
const chart = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: shop-migrate, annotations: {helm.sh/hook: "pre-install,pre-upgrade"}}
---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {selector: {app: shop}}
---
apiVersion: v1
kind: Service
metadata: {name: shop-migrate}
spec: {clusterIP: None, selector: {job-name: shop-migrate}}
---
apiVersion: v1
kind: Service
metadata: {name: database}
spec: {type: ExternalName, externalName: db.example.com}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec: {replicas: 1}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: shop-test, annotations: {helm.sh/hook: test}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: shop-test, annotations: {helm.sh/hook: test-success}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: shop-done, annotations: {helm.sh/hook: "post-install, post-upgrade"}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
---
apiVersion: batch.volcano.sh/v1alpha1
kind: Job
metadata: {name: train}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: shop}
---
apiVersion: batch/v1
kind: Job
metadata: {name: shop-migrate, annotations: {helm.sh/hook: "pre-install,pre-upgrade"}}
spec:
  activeDeadlineSeconds: 60
  template:
    spec:
      restartPolicy: Never
      containers: [{name: migrate, image: "busybox:1.36", resources: {limits: {cpu: 1}}}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: shop-index, annotations: {helm.sh/hook: post-upgrade}}
`

func names(objects []*unstructured.Unstructured) string {
	var all []string
	for _, o := range objects {
		all = append(all, o.GetKind()+" "+o.GetName())
	}
	return strings.Join(all, ", ")
}

// TestOthersAreLeftOut: nothing that serves or runs is applied before the Job has succeeded, and no hook of another time.
func TestOthersAreLeftOut(t *testing.T) {
	p, findings := Render(loadText(t, chart), Options{Namespace: "ns"})
	if p == nil {
		t.Fatal(text(findings))
	}
	if diff := cmp.Diff("ServiceAccount shop-migrate, Service shop-migrate, Service database, ExternalSecret shop", names(p.Apply)); diff != "" {
		t.Errorf("applied (-want +got):\n%s", diff)
	}
	want := []string{"manifest-content:7:7: kind: left out, since it serves or runs beside the Job, or is a hook of another time: Service shop, Deployment shop, " +
		"HorizontalPodAutoscaler shop, Pod shop-test, ConfigMap shop-test, ConfigMap shop-done, CronJob nightly, Job train, Job shop-index " +
		"(others: after-success applies it once the Job has succeeded, except for hooks of tests, deletions and rollbacks; others: fail refuses such a file)"}
	if diff := cmp.Diff(want, levels(findings, event.Info)); diff != "" {
		t.Errorf("said (-want +got):\n%s", diff)
	}
}

// TestOthers: the option decides what becomes of them.
func TestOthers(t *testing.T) {
	p, findings := Render(loadText(t, chart), Options{Namespace: "ns", Others: OthersAfterSuccess})
	if p == nil {
		t.Fatal(text(findings))
	}
	if diff := cmp.Diff("Service shop, Deployment shop, HorizontalPodAutoscaler shop, CronJob nightly, Job train, ConfigMap shop-done, Job shop-index", names(p.After)); diff != "" {
		t.Errorf("after success (-want +got):\n%s", diff)
	}
	for _, o := range p.After {
		if o.GetNamespace() != "ns" {
			t.Errorf("%s %s goes into %q", o.GetKind(), o.GetName(), o.GetNamespace())
		}
	}
	want := []string{
		"manifest-content:7:7: kind: applied once the Job has succeeded: Service shop, Deployment shop, HorizontalPodAutoscaler shop, ConfigMap shop-done, CronJob nightly, Job train, Job shop-index",
		"manifest-content:7:7: kind: left out, as a hook of another time: Pod shop-test, ConfigMap shop-test",
	}
	if diff := cmp.Diff(want, levels(findings, event.Info)); diff != "" {
		t.Errorf("said (-want +got):\n%s", diff)
	}
	if f := p.Finding(p.After[1], "spec.replicas", "no"); f.Line != 24 {
		t.Errorf("the API server's answer about one of them: %s", f)
	}
	out, err := p.YAML(nil)
	if err != nil || !strings.Contains(string(out), "# applied once the Job has succeeded; stays\napiVersion: apps/v1\nkind: Deployment\n") {
		t.Errorf("%v\n%s", err, out)
	}

	if p, findings := Render(loadText(t, chart), Options{Others: OthersFail}); p != nil || !strings.Contains(text(findings), "error: manifest-content:7:7: kind: the file holds what serves or runs beside the Job") {
		t.Errorf("fail: %s", text(findings))
	}
}

// TestHooksOfArgoCD: what Argo CD syncs later, or never, is not applied before the Job; what it syncs before is, whatever it is.
func TestHooksOfArgoCD(t *testing.T) {
	object := func(kind, name, hook string) string {
		return fmt.Sprintf("---\napiVersion: v1\nkind: %s\nmetadata: {name: %s, annotations: {argocd.argoproj.io/hook: %q}}\n", kind, name, hook)
	}
	job := strings.Replace(placeholders, "namespace: shop", "annotations: {argocd.argoproj.io/hook: PreSync}", 1)
	p, findings := Render(loadText(t, job+object("ConfigMap", "sync", "Sync")+object("ConfigMap", "before", "PreSync")+object("ConfigMap", "after", "PostSync")+
		object("Secret", "skip", "Skip")+object("ServiceAccount", "failed", "SyncFail")+object("Pod", "early", "PreSync")), Options{Others: OthersAfterSuccess})
	if p == nil {
		t.Fatal(text(findings))
	}
	if before, after := names(p.Apply), names(p.After); before != "ConfigMap sync, ConfigMap before, Pod early" || after != "ConfigMap after" {
		t.Errorf("before: %s; after: %s", before, after)
	}
	if said := text(findings); !strings.Contains(said, "left out, as a hook of another time: Secret skip, ServiceAccount failed") {
		t.Error(said)
	}
}

// TestServingKinds: kinds of others that run or serve, and those that hold up requests of the whole cluster until something serves, are not
// applied before the Job; a kind that Jobs need is.
func TestServingKinds(t *testing.T) {
	for kind, early := range map[string]bool{
		"HTTPRoute": false, "VirtualService": false, "IngressRoute": false, "Route": false, "EndpointSlice": false, "Endpoints": false, "APIService": false,
		"MutatingWebhookConfiguration": false, "ValidatingWebhookConfiguration": false, "ScaledObject": false, "ScaledJob": false, "Workflow": false, "CronWorkflow": false,
		"PipelineRun": false, "TaskRun": false, "HelmRelease": false, "Application": false, "JobSet": false, "RayJob": false, "DaemonSet": false, "ReplicationController": false,
		"ExternalSecret": true, "NetworkPolicy": true, "PersistentVolumeClaim": true, "RoleBinding": true, "Certificate": true, "PodMonitor": true,
	} {
		p, findings := Render(loadText(t, placeholders+"---\napiVersion: example.com/v1\nkind: "+kind+"\nmetadata: {name: x}\n"), Options{})
		if p == nil {
			t.Fatal(text(findings))
		}
		if got := len(p.Apply) == 1; got != early {
			t.Errorf("%s is applied before the Job: %t", kind, got)
		}
	}
}

// TestOneOfSeveralHooks: of several Jobs that Helm runs before the release, the one that is named runs. Another one is left out, and never
// applied beside or after it.
func TestOneOfSeveralHooks(t *testing.T) {
	two := chart + "---\n" + strings.NewReplacer("migrate", "create").Replace(chart[strings.LastIndex(chart, "apiVersion: batch/v1\nkind: Job\nmetadata: {name: shop-migrate"):strings.LastIndex(chart, "---")])
	if p, findings := Render(loadText(t, two), Options{}); p != nil || !strings.Contains(text(findings), "exactly one can run (choose one by its name, such as name: shop-migrate; others says what becomes of the rest)") {
		t.Errorf("without a name: %s", text(findings))
	}
	const other = "manifest-content:69:7: kind: left out, since it is to run before the release as well: Job shop-create (it takes a run of its own, with name: shop-create)"
	for _, others := range []Others{OthersSkip, OthersAfterSuccess} {
		set := loadText(t, two)
		p, findings := Render(set, Options{Name: "shop-migrate", Others: others})
		if p == nil {
			t.Fatal(text(findings))
		}
		if p.Job.Name != "shop-migrate" || p.Job.Spec.Template.Spec.Containers[0].Name != "migrate" || strings.Contains(names(p.Apply)+names(p.After), "create") {
			t.Errorf("%s: Job %s, before: %s, after: %s", others, p.Job.Name, names(p.Apply), names(p.After))
		}
		if said := levels(findings, event.Info); len(said) < 2 || said[len(said)-1] != other {
			t.Errorf("%s: said %q, want %q at the end", others, said, other)
		}
		p.Job.Name = "shop-migrate-1"
		again, findings := p.Renamed(set, Options{Name: "shop-migrate", NameSuffix: "1", Others: others}, "2")
		if again == nil || again.Job.Name != "shop-migrate-1-2" || again.Job.Spec.Template.Spec.Containers[0].Name != "migrate" {
			t.Errorf("%s, renamed: %s", others, text(findings))
		}
	}
	if p, findings := Render(loadText(t, two), Options{Name: "shop-migrate", Others: OthersFail}); p != nil || !strings.Contains(text(findings), "Job shop-index, Job shop-create (take it out") {
		t.Errorf("fail: %s", text(findings))
	}
}

// TestOneOfSeveralJobs: the others of a file with several plain Jobs are what others is for.
func TestOneOfSeveralJobs(t *testing.T) {
	two := placeholders + "---" + strings.Replace(placeholders, "name: migrate", "name: seed", 1)
	p, findings := Render(loadText(t, two), Options{Name: "seed", Others: OthersAfterSuccess})
	if p == nil {
		t.Fatal(text(findings))
	}
	if after := names(p.After); p.Job.Name != "seed" || after != "Job migrate" {
		t.Errorf("Job %s, after: %s", p.Job.Name, after)
	}
	// A name that no Job has is a new name for the one that would run anyway.
	if p, findings := Render(loadText(t, placeholders), Options{Name: "seed"}); p == nil || p.Job.Name != "seed" {
		t.Error(text(findings))
	}
}
