package render

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// levels are the findings of one level, in words.
func levels(findings []event.Finding, level event.Level) (all []string) {
	for _, f := range findings {
		if f.Level == level {
			all = append(all, f.String())
		}
	}
	return all
}

const exported = `
apiVersion: batch/v1
kind: Job
metadata:
  name: migrate
  namespace: shop
  uid: 6f1c5c7e-0000-4000-8000-000000000000
  resourceVersion: "7"
  generation: 1
  creationTimestamp: "2026-01-01T00:00:00Z"
  finalizers: [example.com/stuck]
  ownerReferences: [{apiVersion: batch/v1, kind: CronJob, name: nightly, uid: c, controller: true}]
  labels: {team: a}
spec:
  activeDeadlineSeconds: 60
  template:
    metadata: {finalizers: [example.com/stuck], labels: {team: b}}
    spec:
      restartPolicy: Never
      containers: [{name: main, image: "app:1.0", resources: {limits: {cpu: 1}}}]
status: {active: 1}
`

// TestLeftOut: nobody else has a say in how long the Job lives, whoever wrote it into the manifest or the patch, and one finding says so.
func TestLeftOut(t *testing.T) {
	stuck := strings.Replace(cronJob, "      template:\n", "      template:\n        metadata: {finalizers: [example.com/stuck]}\n", 1)
	for _, test := range []struct {
		name, manifest, patch, want string
	}{
		{"a manifest", exported, "", "manifest-content:11:3: metadata.finalizers: left out, as the Job of a run has none of these: metadata.finalizers, metadata.ownerReferences, metadata.uid, " +
			"metadata.resourceVersion, metadata.generation, metadata.creationTimestamp, spec.template.metadata.finalizers, status"},
		{"a patch", plainJob, `{"metadata": {"finalizers": ["example.com/stuck"]}, "spec": {"template": {"metadata": {"finalizers": ["example.com/stuck"]}}}}`,
			"patch: left out, as the Job of a run has none of these: metadata.finalizers, spec.template.metadata.finalizers"},
		{"the template of a CronJob", stuck, "", "manifest-content:11:20: spec.jobTemplate.spec.template.metadata.finalizers: left out, as the Job of a run has none of these: spec.template.metadata.finalizers"},
		{"what an empty manifest has", plainJob + "status: {}\n", `{"metadata": {"creationTimestamp": null}}`, ""},
	} {
		p, findings := Render(loadText(t, test.manifest), Options{Patch: test.patch})
		if p == nil {
			t.Fatalf("%s: %s", test.name, text(findings))
		}
		m, template := p.Job.ObjectMeta, p.Job.Spec.Template.ObjectMeta
		if m.Finalizers != nil || m.OwnerReferences != nil || m.UID != "" || m.ResourceVersion != "" || !m.CreationTimestamp.IsZero() || template.Finalizers != nil || p.Job.Status.Active != 0 {
			t.Errorf("%s: the Job has them: %+v, %+v", test.name, m, template)
		}
		var want []string
		if test.want != "" {
			want = []string{test.want}
		}
		if diff := cmp.Diff(want, levels(findings, event.Info)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// TestOtherManager: our label takes the place of another manager's, which is said where that was written.
func TestOtherManager(t *testing.T) {
	const said = `: "Helm" becomes "kubernetes-job-action", by which a run knows its Jobs; the pods keep what their template says`
	labelled := strings.Replace(plainJob, "namespace: shop", "namespace: shop, labels: {app.kubernetes.io/managed-by: Helm}", 1)
	for name, test := range map[string]struct {
		manifest string
		options  Options
		want     []string
	}{
		"in the manifest": {labelled, Options{}, []string{"manifest-content:4:83: metadata.labels[app.kubernetes.io/managed-by]" + said}},
		"in the patch":    {plainJob, Options{Patch: `{"metadata":{"labels":{"app.kubernetes.io/managed-by":"Helm"}}}`}, []string{"patch: metadata.labels[app.kubernetes.io/managed-by]" + said}},
		"in the option":   {plainJob, Options{Labels: []string{"app.kubernetes.io/managed-by=Helm"}}, []string{"labels" + said}},
		"ours":            {strings.Replace(labelled, "Helm", "kubernetes-job-action", 1), Options{}, nil},
		"nobody":          {plainJob, Options{}, nil},
	} {
		p, findings := Render(loadText(t, test.manifest), test.options)
		if p == nil || p.Job.Labels["app.kubernetes.io/managed-by"] != "kubernetes-job-action" {
			t.Fatalf("%s: %s", name, text(findings))
		}
		if diff := cmp.Diff(test.want, levels(findings, event.Info)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestCronJobAtWork: a CronJob that wants its Jobs to be alone, and is at work.
func TestCronJobAtWork(t *testing.T) {
	for policy, want := range map[batchv1.ConcurrencyPolicy]bool{batchv1.ForbidConcurrent: true, batchv1.ReplaceConcurrent: true, batchv1.AllowConcurrent: false, "": false} {
		for _, active := range []bool{true, false} {
			cron := clusterCronJob(t)
			cron.Spec.ConcurrencyPolicy = policy
			if active {
				cron.Status.Active = []corev1.ObjectReference{{Name: "nightly-1"}, {Name: "nightly-2"}}
			}
			p, findings := Render(nil, Options{FromCronJob: cron})
			if p == nil {
				t.Fatal(text(findings))
			}
			said := fmt.Sprintf("has concurrencyPolicy: %s, and is at work (Job nightly-1, nightly-2): the two run side by side (wait for its end, or cancel this run)", policy)
			if strings.Contains(text(findings), said) != (want && active) {
				t.Errorf("%s, active %v: %s", policy, active, text(findings))
			}
		}
	}
}

// TestNeverRuns: what keeps a Job from running anything is legal, and mostly left from something else.
func TestNeverRuns(t *testing.T) {
	const suspended = "spec.suspend: the Job waits until somebody resumes it, and has no queue that would (leave suspend out, or give the Job the label kueue.x-k8s.io/queue-name)"
	for name, test := range map[string]struct{ patch, want string }{
		"suspended":             {`{"spec":{"suspend":true}}`, suspended},
		"suspended for a queue": {`{"metadata":{"labels":{"kueue.x-k8s.io/queue-name":"team"}},"spec":{"suspend":true}}`, ""},
		"another controller's":  {`{"spec":{"suspend":true,"managedBy":"example.com/x"}}`, ""},
		"not suspended":         {`{"spec":{"suspend":false}}`, ""},
		"no parallelism":        {`{"spec":{"parallelism":0}}`, "spec.parallelism: with 0, the Job has no pods until somebody raises it"},
		"no completions":        {`{"spec":{"completions":0}}`, "spec.completions: with 0, the Job succeeds without running anything"},
		"one of each":           {`{"spec":{"parallelism":1,"completions":1}}`, ""},
	} {
		_, findings := Render(loadText(t, plainJob), Options{Patch: test.patch, Timeout: time.Hour})
		var got []string
		for _, f := range findings {
			if strings.Contains(f.Message, "suspend") || strings.Contains(f.Message, "with 0") {
				got = append(got, strings.TrimPrefix(f.String(), "patch: "))
			}
		}
		if strings.Join(got, "\n") != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// TestLeftOutOfCronJob: the CronJob of the cluster is no other.
func TestLeftOutOfCronJob(t *testing.T) {
	cron := clusterCronJob(t)
	cron.Spec.JobTemplate.Spec.Template.Finalizers = []string{"example.com/stuck"}
	p, findings := Render(nil, Options{FromCronJob: cron})
	want := []string{"from-cronjob: spec.template.metadata.finalizers: left out, as the Job of a run has none of these: spec.template.metadata.finalizers"}
	if diff := cmp.Diff(want, levels(findings, event.Info)); diff != "" || p.Job.Spec.Template.Finalizers != nil {
		t.Errorf("%v (-want +got):\n%s", p.Job.Spec.Template.Finalizers, diff)
	}
}

// TestExportRunsAgain: what kubectl get -o yaml prints of a Job, and of what stands beside it, holds the server's own fields, and none of
// them reaches the cluster. A selector that the user has chosen is no such field.
func TestExportRunsAgain(t *testing.T) {
	const uid = "6a1c7c3e-0000-4000-8000-000000000002"
	export := strings.NewReplacer("labels: {team: a}", "labels: {team: a, controller-uid: "+uid+", job-name: old}",
		"  activeDeadlineSeconds: 60\n", "  activeDeadlineSeconds: 60\n  manualSelector: false\n  selector: {matchLabels: {batch.kubernetes.io/controller-uid: "+uid+"}}\n",
		"labels: {team: b}", "labels: {team: b, batch.kubernetes.io/controller-uid: "+uid+", batch.kubernetes.io/job-name: old, controller-uid: "+uid+", job-name: old}").Replace(exported) + `
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  uid: u
  resourceVersion: "8"
  creationTimestamp: "2026-01-01T00:00:00Z"
  managedFields: [{manager: kubectl}]
  ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: gone, uid: g}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, finalizers: [kubernetes.io/pvc-protection], creationTimestamp: null}
status: {phase: Bound}
---
apiVersion: v1
kind: Secret
metadata: {name: plain, creationTimestamp: null}
`
	p, findings := Render(loadText(t, export), Options{})
	if p == nil {
		t.Fatal(text(findings))
	}
	want := []string{
		"manifest-content:11:3: metadata.finalizers: left out, as the Job of a run has none of these: metadata.finalizers, metadata.ownerReferences, metadata.uid, " +
			"metadata.resourceVersion, metadata.generation, metadata.creationTimestamp, spec.template.metadata.finalizers, status, spec.selector, " +
			"metadata.labels[controller-uid], metadata.labels[job-name], spec.template.metadata.labels[batch.kubernetes.io/controller-uid], " +
			"spec.template.metadata.labels[batch.kubernetes.io/job-name], spec.template.metadata.labels[controller-uid], spec.template.metadata.labels[job-name]",
		"manifest-content:28:1: metadata: left out, as a server or another owner wrote it: metadata.managedFields, metadata.resourceVersion, metadata.uid, " +
			"metadata.creationTimestamp, metadata.ownerReferences of ConfigMap settings; metadata.finalizers, status of PersistentVolumeClaim data",
	}
	if diff := cmp.Diff(want, levels(findings, event.Info)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	out, err := p.YAML(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, objects, _ := strings.Cut(string(out), "---\n")
	for _, field := range []string{"uid", "resourceVersion", "ownerReferences", "finalizers", "selector", "job-name", "status", "managedFields"} {
		if strings.Contains(objects, field) {
			t.Errorf("%s is still there:\n%s", field, objects)
		}
	}
	chosen := strings.Replace(plainJob, "spec:\n", "spec:\n  selector: {matchLabels: {app: x}}\n", 1)
	if p, findings := Render(loadText(t, chosen), Options{}); p != nil {
		t.Errorf("a selector of the user's: %s", text(findings))
	}
}

// TestManualSelector warns of a Job that adopts the pods of others.
func TestManualSelector(t *testing.T) {
	manual := strings.Replace(plainJob, "spec:\n", "spec:\n  manualSelector: true\n  selector: {matchLabels: {app: x}}\n", 1)
	manual = strings.Replace(manual, "  template:\n", "  template:\n    metadata: {labels: {app: x}}\n", 1)
	want := []string{"manifest-content:6:19: spec.manualSelector: the Job adopts whatever pods its selector matches: their output is shown, and they are deleted with the Job (remove it, with the selector)"}
	p, findings := Render(loadText(t, manual), Options{})
	if diff := cmp.Diff(want, levels(findings, event.Warning)); diff != "" || p == nil {
		t.Errorf("%s (-want +got):\n%s", text(findings), diff)
	}
}

// TestAnotherNamespace warns of what goes beyond the Job's namespace, once that is known, and only then.
func TestAnotherNamespace(t *testing.T) {
	const beside = `
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: here, namespace: shop}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: there, namespace: default}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: other}}
`
	const warning = "metadata.namespace: ConfigMap there goes into the namespace default, and the Job into "
	_, findings := Render(loadText(t, plainJob+beside), Options{})
	if diff := cmp.Diff([]string{"manifest-content:19:70: " + warning + "shop"}, levels(findings, event.Warning)); diff != "" {
		t.Errorf("in the manifest (-want +got):\n%s", diff)
	}
	_, findings = Render(loadText(t, plainJob+beside), Options{Namespace: "moved"}) // here moves with the Job
	if diff := cmp.Diff([]string{"manifest-content:19:70: " + warning + "moved"}, levels(findings, event.Warning)); diff != "" {
		t.Errorf("by the option (-want +got):\n%s", diff)
	}
	p, findings := Render(loadText(t, strings.Replace(plainJob, ", namespace: shop", "", 1)+beside), Options{})
	if got := levels(findings, event.Warning); got != nil {
		t.Errorf("before it is known: %q", got)
	}
	if diff := cmp.Diff([]string{"manifest-content:19:70: " + warning + "shop"}, levels(p.InNamespace("shop"), event.Warning)); diff != "" {
		t.Errorf("by the kubeconfig (-want +got):\n%s", diff)
	}
}

// TestOneTimeNames: a name with a suffix, or with a generated end, is that of one run.
func TestOneTimeNames(t *testing.T) {
	generated := strings.Replace(plainJob, "name: migrate", "generateName: migrate-", 1)
	for _, test := range []struct {
		name, manifest string
		options        Options
		want           bool
	}{
		{"a name", plainJob, Options{}, false},
		{"an option", generated, Options{Name: "x"}, false},
		{"a suffix", plainJob, Options{NameSuffix: "7"}, true},
		{"a KubernetesJob with a suffix", kubernetesJob, Options{NameSuffix: "7"}, true},
		{"a generated name", generated, Options{}, true},
		{"a CronJob", cronJob, Options{}, true},
		{"a CronJob with a name", cronJob, Options{Name: "x"}, false},
	} {
		if p := plan(t, loadText(t, test.manifest), test.options); p.OneTime != test.want {
			t.Errorf("%s: %v", test.name, p.OneTime)
		}
	}
}

// TestManualSelectorKeepsTheName: a later run finds the pods of a Job by the label with its name, which the API server sets for generated
// selectors alone (pkg/registry/batch/job/strategy.go, generateSelector). A label that the selector asks for is the user's.
func TestManualSelectorKeepsTheName(t *testing.T) {
	for _, c := range []struct{ name, spec, want string }{
		{"generated", "", ""},
		{"manual", "  manualSelector: true\n  selector: {matchLabels: {app: x}}\n", "migrate-b"},
		{"manual, by that label", "  manualSelector: true\n  selector: {matchLabels: {batch.kubernetes.io/job-name: mine}}\n", ""},
		{"manual, by an expression", "  manualSelector: true\n  selector: {matchExpressions: [{key: batch.kubernetes.io/job-name, operator: In, values: [mine]}]}\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := plan(t, loadText(t, strings.Replace(plainJob, "spec:\n", "spec:\n"+c.spec, 1)), Options{NameSuffix: "b"})
			if got := p.Job.Spec.Template.Labels[batchv1.JobNameLabel]; got != c.want {
				t.Errorf("the label is %q, want %q", got, c.want)
			}
		})
	}
}
