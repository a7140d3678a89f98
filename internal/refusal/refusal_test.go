package refusal

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestExplain reads the same answers about a pod of the namespace prod, and about an object that the user sent.
func TestExplain(t *testing.T) {
	for _, c := range []struct {
		said        string
		pod, object Refusal
	}{
		{`pods "x" is forbidden: exceeded quota: q, requested: cpu=2,pods=1, used: cpu=1,pods=1, limited: cpu=1,pods=9`,
			Refusal{true, `ResourceQuota "q" allows cpu=1,pods=9, cpu=1,pods=1 is used and the pod asks for cpu=2,pods=1`, "The pod alone is more than the quota allows: lower its requests or raise the quota (kubectl -n prod describe resourcequota q).", false},
			Refusal{true, `ResourceQuota "q" allows cpu=1,pods=9, cpu=1,pods=1 is used and it asks for cpu=2,pods=1`, "It alone is more than the quota allows: raise the quota (kubectl describe resourcequota q).", false}},
		{`jobs.batch "x" is forbidden: exceeded quota: q, requested: count/jobs.batch=1, used: count/jobs.batch=4, limited: count/jobs.batch=4`,
			Refusal{true, `ResourceQuota "q" allows count/jobs.batch=4, count/jobs.batch=4 is used and the pod asks for count/jobs.batch=1`, "It is created when others free the quota: kubectl -n prod describe resourcequota q", true},
			Refusal{true, `ResourceQuota "q" allows count/jobs.batch=4, count/jobs.batch=4 is used and it asks for count/jobs.batch=1`, "Run again when others have freed the quota, or raise it: kubectl describe resourcequota q", true}},
		{`pods "x" is forbidden: failed quota: q: must specify limits.cpu for: main`,
			Refusal{true, `ResourceQuota "q" demands that every pod specifies limits.cpu for: main`, "Set these requests and limits in resources of the containers.", false},
			Refusal{true, `ResourceQuota "q" demands that every pod specifies limits.cpu for: main`, "Set these requests and limits in resources of the containers.", false}},
		{`pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true`,
			Refusal{true, `namespace prod enforces Pod Security "restricted:latest": runAsNonRoot != true`, "Set these securityContext fields, or run the Job in a namespace with a lower level.", false},
			Refusal{true, `the namespace enforces Pod Security "restricted:latest": runAsNonRoot != true`, "Set these securityContext fields, or run the Job in a namespace with a lower level.", false}},
		{`pods "x" is forbidden: error looking up service account prod/runner: serviceaccount "runner" not found`,
			Refusal{true, `ServiceAccount "runner" does not exist in namespace prod`, "Create it (kubectl -n prod create serviceaccount runner) or correct serviceAccountName.", false},
			Refusal{true, `ServiceAccount "runner" does not exist`, "Create it (kubectl create serviceaccount runner) or correct serviceAccountName.", false}},
		{`pods "x" is forbidden: error looking up service account prod/default: serviceaccount "default" not found`,
			Refusal{true, `ServiceAccount "default" does not exist in namespace prod`, "Kubernetes itself makes it, a moment after the namespace; if it stays away, kube-controller-manager is in trouble.", true},
			Refusal{true, `ServiceAccount "default" does not exist`, "Kubernetes itself makes it, a moment after the namespace; if it stays away, kube-controller-manager is in trouble.", true}},
		{`pods "x" is forbidden: no PriorityClass with name high was found`,
			Refusal{true, `PriorityClass "high" does not exist`, "Correct priorityClassName: kubectl get priorityclasses", false},
			Refusal{true, `PriorityClass "high" does not exist`, "Correct priorityClassName: kubectl get priorityclasses", false}},
		{`pods "x" is forbidden: pod rejected: RuntimeClass "gvisor" not found`,
			Refusal{true, `RuntimeClass "gvisor" does not exist`, "Correct runtimeClassName: kubectl get runtimeclasses", false},
			Refusal{true, `RuntimeClass "gvisor" does not exist`, "Correct runtimeClassName: kubectl get runtimeclasses", false}},
		{`pods "x" is forbidden: maximum cpu usage per Container is 1, but limit is 2`,
			Refusal{true, "a LimitRange forbids it: maximum cpu usage per Container is 1, but limit is 2", "Change resources of the container to what it allows: kubectl -n prod describe limitrange", false},
			Refusal{true, "a LimitRange forbids it: maximum cpu usage per Container is 1, but limit is 2", "Change resources of the container to what it allows: kubectl describe limitrange", false}},
		{`pods "x" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no.`,
			Refusal{true, `ValidatingAdmissionPolicy "p" denies it: no`, "Change the Job to what the policy allows: kubectl get validatingadmissionpolicy p -o yaml", false},
			Refusal{true, `ValidatingAdmissionPolicy "p" denies it: no`, "Change it to what the policy allows: kubectl get validatingadmissionpolicy p -o yaml", false}},
		{"admission webhook \"w\" denied the request:\n\n  first\n  second\n",
			Refusal{true, `admission webhook "w" denies it: first second`, "Change the Job to what the webhook allows, or ask those who run it.", false},
			Refusal{true, `admission webhook "w" denies it: first second`, "Change it to what the webhook allows, or ask those who run it.", false}},
		{`Internal error occurred: failed calling webhook "w": connection refused`,
			Refusal{true, `admission webhook "w" cannot be called: connection refused`, "The webhook's own service is in trouble; Kubernetes tries again.", true},
			Refusal{true, `admission webhook "w" cannot be called: connection refused`, "The webhook's own service is in trouble: kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations", true}},
		{`jobs.batch "x" is forbidden: unable to create new content in namespace ns because it is being terminated`,
			Refusal{true, "the namespace is being deleted: unable to create new content in namespace ns because it is being terminated", "Wait until it is gone, and run again.", false},
			Refusal{true, "the namespace is being deleted: unable to create new content in namespace ns because it is being terminated", "Wait until it is gone, and run again.", false}},
		{`pods "x" is forbidden: a plugin of the company's`, Refusal{false, "a plugin of the company's", "", false}, Refusal{false, "a plugin of the company's", "", false}},
		{`Pod "x" is invalid: spec: Required value`, Refusal{false, `Pod "x" is invalid: spec: Required value`, "", false}, Refusal{false, `Pod "x" is invalid: spec: Required value`, "", false}},
		{"etcdserver: request timed out", Refusal{false, "etcdserver: request timed out", "", true}, Refusal{false, "etcdserver: request timed out", "", true}},
	} {
		if diff := cmp.Diff(c.pod, Pod(c.said, "prod")); diff != "" {
			t.Errorf("%s, about a pod (-want +got):\n%s", c.said, diff)
		}
		if diff := cmp.Diff(c.object, Object(c.said, "")); diff != "" {
			t.Errorf("%s, about an object (-want +got):\n%s", c.said, diff)
		}
	}
}

// TestLong: an answer of any length gives a sentence.
func TestLong(t *testing.T) {
	for _, said := range []string{`admission webhook "w" denied the request: `, `pods "x" is forbidden: violates PodSecurity "restricted": `, "Error: "} {
		if r := Pod(said+strings.Repeat("x", 100_000), "prod"); len(r.Message) > 1000 {
			t.Errorf("%s: %d bytes", said, len(r.Message))
		}
	}
}
