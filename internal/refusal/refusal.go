// Package refusal reads why the API server does not take an object: the answers of its admission plugins, with what to do about them. A
// new wording is a new rule here, for the Job itself and for the pods that its controller creates.
package refusal

import (
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// Refusal is one answer in words.
type Refusal struct {
	Known   bool   // one of the rules knows it
	Message string // "ResourceQuota "small" allows …", without a full stop
	Hint    string // what to do; "" when it is not known
	Heals   bool   // the same object may be taken later, without anybody changing it
}

// object is what was refused. A pod is made from its Job, which tries again by itself.
type object struct {
	pod       bool
	namespace string // "" when it is not told
}

// it is how a sentence calls the object, and what the user changes.
func (o object) it() (name, source string) {
	if o.pod {
		return "the pod", "the Job"
	}
	return "it", "it"
}

// Pod explains why a pod of the namespace is not created. message is the API server's.
func Pod(message, namespace string) Refusal {
	return explain(message, object{pod: true, namespace: namespace})
}

// Object explains why what the user sent is not taken. namespace is that of the object; "" when it is not known, or has none.
func Object(message, namespace string) Refusal { return explain(message, object{namespace: namespace}) }

// Same tells whether two answers of the API server have the same against a pod: the name of the pod and what is used of a quota differ
// from one try to the next.
func Same(a, b string) bool { return gist(a) == gist(b) }

func gist(message string) string {
	text, _ := answered(message)
	text = used.ReplaceAllString(text, "")
	return event.Shorten(text, 500) // an event may have been cut
}

var used = regexp.MustCompile(`, used: \S+`)

// answered is an answer in one line, without the object that it is about. forbids says that it was forbidden.
func answered(message string) (text string, forbids bool) {
	text = strings.Join(strings.Fields(message), " ") // a webhook may say more than a line
	if m := forbidden.FindStringSubmatch(text); m != nil {
		return m[1], true
	}
	return text, false
}

func explain(message string, o object) Refusal {
	text, forbids := answered(message)
	for _, rule := range rules {
		if found := rule.says.FindStringSubmatch(text); found != nil {
			r := rule.explain(o, found)
			r.Known = true
			return r
		}
	}
	// What an admission plugin forbids or validation finds is so until somebody changes it; errors of the server pass.
	return Refusal{Message: quote(text), Heals: !forbids && !strings.Contains(text, " is invalid: ")}
}

var forbidden = regexp.MustCompile(`^[a-z0-9.-]+ "[^"]*" is forbidden: (.*)$`)

// rules are in order; each is the answer of one file of Kubernetes.
var rules = []struct {
	says    *regexp.Regexp
	explain func(o object, m []string) Refusal
}{
	// apiserver/pkg/admission/plugin/resourcequota
	{regexp.MustCompile(`^exceeded quota: ([^,]+), requested: (\S+), used: (\S+), limited: (\S+)$`), func(o object, m []string) Refusal {
		it, _ := o.it()
		r := Refusal{Message: fmt.Sprintf("ResourceQuota %q allows %s, %s is used and %s asks for %s", m[1], m[4], m[3], it, m[2])}
		describe := event.Kubectl(o.namespace, "describe resourcequota %s", m[1])
		switch r.Heals = fits(m[2], m[4]); {
		case !r.Heals && o.pod:
			r.Hint = event.In("The pod alone is more than the quota allows: lower its requests or raise the quota", describe) + "."
		case !r.Heals:
			r.Hint = event.In("It alone is more than the quota allows: raise the quota", describe) + "."
		case o.pod:
			r.Hint = event.See("It is created when others free the quota", describe)
		default:
			r.Hint = event.See("Run again when others have freed the quota, or raise it", describe)
		}
		return r
	}},
	// pkg/quota/v1/evaluator/core/pods.go
	{regexp.MustCompile(`^failed quota: ([^:]+): must specify (.*)$`), func(_ object, m []string) Refusal {
		return Refusal{Message: fmt.Sprintf("ResourceQuota %q demands that every pod specifies %s", m[1], quote(m[2])),
			Hint: "Set these requests and limits in resources of the containers."}
	}},
	// pod-security-admission/admission
	{regexp.MustCompile(`^violates PodSecurity "([^"]+)": (.*)$`), func(o object, m []string) Refusal {
		namespace := "the namespace"
		if o.namespace != "" {
			namespace = "namespace " + o.namespace
		}
		return Refusal{Message: fmt.Sprintf("%s enforces Pod Security %q: %s", namespace, m[1], event.Shorten(m[2], 700)),
			Hint: "Set these securityContext fields, or run the Job in a namespace with a lower level."}
	}},
	// plugin/pkg/admission/serviceaccount
	{regexp.MustCompile(`serviceaccount "([^"]+)" not found`), func(o object, m []string) Refusal {
		r := Refusal{Message: fmt.Sprintf("ServiceAccount %q does not exist", m[1]),
			Hint: event.In("Create it", event.Kubectl(o.namespace, "create serviceaccount %s", m[1])) + " or correct serviceAccountName."}
		if o.namespace != "" {
			r.Message += " in namespace " + o.namespace
		}
		if m[1] == "default" { // pkg/controller/serviceaccount makes it in every namespace
			r.Heals = true
			r.Hint = "Kubernetes itself makes it, a moment after the namespace; if it stays away, kube-controller-manager is in trouble."
		}
		return r
	}},
	// plugin/pkg/admission/priority
	{regexp.MustCompile(`no PriorityClass with name (\S+) was found`), func(_ object, m []string) Refusal {
		return Refusal{Message: fmt.Sprintf("PriorityClass %q does not exist", m[1]), Hint: "Correct priorityClassName: kubectl get priorityclasses"}
	}},
	// plugin/pkg/admission/runtimeclass
	{regexp.MustCompile(`pod rejected: RuntimeClass "([^"]+)" not found`), func(_ object, m []string) Refusal {
		return Refusal{Message: fmt.Sprintf("RuntimeClass %q does not exist", m[1]), Hint: "Correct runtimeClassName: kubectl get runtimeclasses"}
	}},
	// plugin/pkg/admission/limitranger
	{regexp.MustCompile(`^.*(?:(?:maximum|minimum) \S+ usage per (?:Pod|Container) is|max limit to request ratio per).*$`), func(o object, m []string) Refusal {
		return Refusal{Message: "a LimitRange forbids it: " + quote(m[0]),
			Hint: event.See("Change resources of the container to what it allows", event.Kubectl(o.namespace, "describe limitrange"))}
	}},
	// apiserver/pkg/admission/plugin/policy/validating
	{regexp.MustCompile(`ValidatingAdmissionPolicy '([^']+)'(?: with binding '[^']+')? denied request: (.*)$`), func(o object, m []string) Refusal {
		_, source := o.it()
		return Refusal{Message: fmt.Sprintf("ValidatingAdmissionPolicy %q denies it: %s", m[1], quote(m[2])),
			Hint: event.See(fmt.Sprintf("Change %s to what the policy allows", source), event.Kubectl("", "get validatingadmissionpolicy %s -o yaml", m[1]))}
	}},
	// apiserver/pkg/admission/plugin/webhook/errors
	{regexp.MustCompile(`admission webhook "([^"]+)" denied the request:? ?(.*)$`), func(o object, m []string) Refusal {
		_, source := o.it()
		return Refusal{Message: fmt.Sprintf("admission webhook %q denies it: %s", m[1], quote(m[2])),
			Hint: fmt.Sprintf("Change %s to what the webhook allows, or ask those who run it.", source)}
	}},
	// apiserver/pkg/util/webhook/error.go
	{regexp.MustCompile(`failed calling webhook "([^"]+)": (.*)$`), func(o object, m []string) Refusal {
		r := Refusal{Message: fmt.Sprintf("admission webhook %q cannot be called: %s", m[1], quote(m[2])), Heals: true,
			Hint: "The webhook's own service is in trouble; Kubernetes tries again."}
		if !o.pod {
			r.Hint = "The webhook's own service is in trouble: kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations"
		}
		return r
	}},
	// apiserver/pkg/admission/plugin/namespace/lifecycle
	{regexp.MustCompile(`^.*because it is being terminated$`), func(_ object, m []string) Refusal {
		return Refusal{Message: "the namespace is being deleted: " + quote(m[0]), Hint: "Wait until it is gone, and run again."}
	}},
}

// quote bounds the text of others that becomes part of a sentence.
func quote(s string) string { return strings.TrimRight(event.Shorten(s, 400), ".") }

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
