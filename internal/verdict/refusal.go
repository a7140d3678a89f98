package verdict

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// What RealPodControl.createPods in pkg/controller/controller_utils.go writes, and what the event recorder makes of many of
// them (EventAggregator in client-go/tools/record/events_cache.go).
var createError = regexp.MustCompile(`^(?:\(combined from similar events\): )?Error creating: (.*)$`)

// The answers of the admission plugins, each with the file that writes it.
var (
	forbidden    = regexp.MustCompile(`^pods "[^"]*" is forbidden: (.*)$`)
	exceeded     = regexp.MustCompile(`^exceeded quota: ([^,]+), requested: (\S+), used: (\S+), limited: (\S+)$`)              // apiserver/pkg/admission/plugin/resourcequota
	unstated     = regexp.MustCompile(`^failed quota: ([^:]+): must specify (.*)$`)                                            // pkg/quota/v1/evaluator/core/pods.go
	podSecurity  = regexp.MustCompile(`^violates PodSecurity "([^"]+)": (.*)$`)                                                // pod-security-admission/admission
	noAccount    = regexp.MustCompile(`serviceaccount "([^"]+)" not found`)                                                    // plugin/pkg/admission/serviceaccount
	noPriority   = regexp.MustCompile(`no PriorityClass with name (\S+) was found`)                                            // plugin/pkg/admission/priority
	limitRange   = regexp.MustCompile(`(?:maximum|minimum) \S+ usage per (?:Pod|Container) is|max limit to request ratio per`) // plugin/pkg/admission/limitranger
	policyDenied = regexp.MustCompile(`ValidatingAdmissionPolicy '([^']+)'(?: with binding '[^']+')? denied request: (.*)$`)   // apiserver/pkg/admission/plugin/policy/validating
	hookDenied   = regexp.MustCompile(`admission webhook "([^"]+)" denied the request:? ?(.*)$`)                               // apiserver/pkg/admission/plugin/webhook/errors
	hookFailed   = regexp.MustCompile(`failed calling webhook "([^"]+)": (.*)$`)                                               // apiserver/pkg/util/webhook/error.go
)

// refusal is what the API server has against new pods of the Job: the newest FailedCreate event, when no pod came after it.
func (w *view) refusal() *problem {
	if len(w.living) >= w.parallel() {
		return nil
	}
	var born time.Time
	for _, p := range w.Pods {
		if p.CreationTimestamp.After(born) {
			born = p.CreationTimestamp.Time
		}
	}
	var began, newest time.Time
	said := ""
	for _, e := range w.Events {
		if e.Reason != "FailedCreate" || e.InvolvedObject.Kind != "Job" {
			continue
		}
		m := createError.FindStringSubmatch(clean(e.Message, 2*maxMessage))
		first, last, _ := seen(e)
		if m == nil || !last.After(born) && !born.IsZero() {
			continue
		}
		if began.IsZero() || first.Before(began) {
			began = first
		}
		if !last.Before(newest) {
			newest, said = last, m[1]
		}
	}
	if said == "" {
		return nil
	}
	if began.Before(born) {
		began = born
	}
	p := w.refusedBy(said)
	p.Reason, p.Object = event.PodCreateRejected, w.ref
	p.Message = "no pod of the Job can be created: " + p.Message
	if len(w.living) > 0 {
		p.Message = strings.Replace(p.Message, "no pod", "no further pod", 1)
	}
	if !p.heals {
		p.due = w.after(began, CreateGrace)
	}
	return p
}

// refusedBy puts one refusal into words. What a person must change does not heal; a quota that others use up, a webhook that
// does not answer, the account that Kubernetes makes and errors of the server may.
func (w *view) refusedBy(said string) *problem {
	ns := w.ref.Namespace
	p := &problem{Cause: event.Cause{Hint: w.describe("job", w.ref.Name)}}
	text, isForbidden := said, false
	if m := forbidden.FindStringSubmatch(said); m != nil {
		text, isForbidden = m[1], true
	}
	p.Message = quote(text)
	if m := exceeded.FindStringSubmatch(text); m != nil {
		p.Message = fmt.Sprintf("ResourceQuota %q allows %s, %s is used and the pod asks for %s", m[1], m[4], m[3], m[2])
		p.Hint = fmt.Sprintf("The pod alone is more than the quota allows: lower its requests or raise the quota (kubectl -n %s describe resourcequota %s).", ns, m[1])
		if fits(m[2], m[4]) {
			p.heals = true
			p.Hint = fmt.Sprintf("It is created when others free the quota: kubectl -n %s describe resourcequota %s", ns, m[1])
		}
	} else if m := unstated.FindStringSubmatch(text); m != nil {
		p.Message = fmt.Sprintf("ResourceQuota %q demands that every pod specifies %s", m[1], quote(m[2]))
		p.Hint = "Set these requests and limits in resources of the containers."
	} else if m := podSecurity.FindStringSubmatch(text); m != nil {
		p.Message = fmt.Sprintf("namespace %s enforces Pod Security %q: %s", ns, m[1], clean(m[2], 700))
		p.Hint = "Set these securityContext fields, or run the Job in a namespace with a lower level."
	} else if m := noAccount.FindStringSubmatch(text); m != nil {
		p.Message = fmt.Sprintf("ServiceAccount %q does not exist in namespace %s", m[1], ns)
		p.Hint = fmt.Sprintf("Create it (kubectl -n %s create serviceaccount %s) or correct serviceAccountName.", ns, m[1])
		if m[1] == "default" { // pkg/controller/serviceaccount makes it in every namespace
			p.heals = true
			p.Hint = "Kubernetes itself makes it, a moment after the namespace; if it stays away, kube-controller-manager is in trouble."
		}
	} else if m := noPriority.FindStringSubmatch(text); m != nil {
		p.Message = fmt.Sprintf("PriorityClass %q does not exist", m[1])
		p.Hint = "Correct priorityClassName: kubectl get priorityclasses"
	} else if limitRange.MatchString(text) {
		p.Message = "a LimitRange forbids it: " + quote(text)
		p.Hint = fmt.Sprintf("Change resources of the container to what it allows: kubectl -n %s describe limitrange", ns)
	} else if m := policyDenied.FindStringSubmatch(text); m != nil {
		p.Message = fmt.Sprintf("ValidatingAdmissionPolicy %q denies it: %s", m[1], quote(m[2]))
		p.Hint = "Change the Job to what the policy allows: kubectl get validatingadmissionpolicy " + m[1] + " -o yaml"
	} else if m := hookDenied.FindStringSubmatch(text); m != nil {
		p.Message = fmt.Sprintf("admission webhook %q denies it: %s", m[1], quote(m[2]))
		p.Hint = "Change the Job to what the webhook allows, or ask those who run it."
	} else if m := hookFailed.FindStringSubmatch(text); m != nil {
		p.heals = true
		p.Message = fmt.Sprintf("admission webhook %q cannot be called: %s", m[1], quote(m[2]))
		p.Hint = "The webhook's own service is in trouble; Kubernetes tries again."
	} else {
		p.heals = !isForbidden && !strings.Contains(text, " is invalid: ")
	}
	return p
}

// fits tells whether a request ("cpu=2,pods=1") is within the limits ("cpu=4,pods=10") when nobody else uses anything.
func fits(requested, limited string) bool {
	limits := quantities(limited)
	for name, q := range quantities(requested) {
		if l, ok := limits[name]; ok && q.Cmp(l) > 0 {
			return false
		}
	}
	return true
}

func quantities(s string) map[string]resource.Quantity {
	all := map[string]resource.Quantity{}
	for part := range strings.SplitSeq(s, ",") {
		name, value, _ := strings.Cut(part, "=")
		if q, err := resource.ParseQuantity(value); err == nil {
			all[name] = q
		}
	}
	return all
}
