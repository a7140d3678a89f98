package render

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	// The digests of image references are checked only for the algorithms that are linked in (go-digest, Algorithm.Available).
	_ "crypto/sha256"
	_ "crypto/sha512"

	"github.com/distribution/reference"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/manifest"
)

// problem is a finding about a Job that does not know yet where the Job's field came from.
type problem struct {
	level               event.Level
	path                string // in the Job
	option              string // that is to blame; "" when it is the field's origin that decides
	message, suggestion string
	missing             bool // something is not there; no news when the file has an unknown field that may have been it
}

// checker makes the checks of the API server that need no cluster. An empty value is no problem where the API server has a
// default for it: pkg/apis/batch/v1/defaults.go and pkg/apis/core/v1/defaults.go run before the validation
// (pkg/apis/batch/validation, pkg/apis/core/validation; all in kubernetes/kubernetes).
type checker struct{ problems []problem }

func (c *checker) add(level event.Level, at *field.Path, format string, args ...any) *problem {
	c.problems = append(c.problems, problem{level: level, path: at.String(), message: fmt.Sprintf(format, args...)})
	return &c.problems[len(c.problems)-1]
}

func (c *checker) invalid(at *field.Path, format string, args ...any) {
	c.add(event.Error, at, format, args...)
}

func (c *checker) missing(at *field.Path, format string, args ...any) {
	c.add(event.Error, at, format, args...).missing = true
}

// says adds what one of the Is… functions of apimachinery has to say about value.
func (c *checker) says(at *field.Path, value any, messages []string) {
	for _, m := range messages {
		c.invalid(at, "%q is invalid: %s", fmt.Sprint(value), manifest.Plain(m))
	}
}

// list adds what one of the Validate… functions of apimachinery found; they go through maps in any order.
func (c *checker) list(errs field.ErrorList) {
	slices.SortStableFunc(errs, func(a, b *field.Error) int { return strings.Compare(a.Error(), b.Error()) })
	for _, e := range errs {
		c.problems = append(c.problems, problem{level: event.Error, path: e.Field, message: manifest.Plain(e.ErrorBody()), missing: e.Type == field.ErrorTypeRequired})
	}
}

// name checks a required name.
func (c *checker) name(at *field.Path, value string, check func(string) []string) {
	if value == "" {
		c.missing(at, "is required")
		return
	}
	c.says(at, value, check(value))
}

// optional checks a name that may be absent.
func (c *checker) optional(at *field.Path, value string, check func(string) []string) {
	if value != "" {
		c.says(at, value, check(value))
	}
}

// oneOf checks an enumeration; "" stands for its default.
func oneOf[T ~string](c *checker, at *field.Path, value T, allowed ...T) {
	if value == "" || slices.Contains(allowed, value) {
		return
	}
	words := make([]string, len(allowed))
	for i, a := range allowed {
		words[i] = string(a)
	}
	p := c.add(event.Error, at, "%q is not one of %s", value, strings.Join(words, ", "))
	if near := manifest.Closest(string(value), words); near != "" {
		p.suggestion = fmt.Sprintf("did you mean %q?", near)
	}
}

// least checks the lower bound of a number that may be absent.
func least[T int32 | int64](c *checker, at *field.Path, value *T, bound T) {
	if value != nil && *value < bound {
		c.invalid(at, "%d is too small; %d is the least", *value, bound)
	}
}

// most checks the upper bound of a number that may be absent.
func most[T int32 | int64](c *checker, at *field.Path, value *T, bound T, when string) {
	if value != nil && *value > bound {
		c.invalid(at, "%d is too large; %d is the most%s", *value, bound, when)
	}
}

// fileMode checks the permissions of a projected file.
func (c *checker) fileMode(at *field.Path, mode *int32) {
	if mode != nil && (*mode < 0 || *mode > 0o777) {
		c.invalid(at, "%d is no file mode; write 0 to 0777 (octal) or 511 (decimal)", *mode)
	}
}

// check is everything about a Job but its name (see checkName) that the API server would refuse, or that no kubelet could run.
func (c *checker) check(job *batchv1.Job) {
	spec, at := &job.Spec, field.NewPath("spec")
	c.metadata(field.NewPath("metadata"), job.Labels, job.Annotations)
	least(c, at.Child("parallelism"), spec.Parallelism, 0)
	least(c, at.Child("completions"), spec.Completions, 0)
	least(c, at.Child("activeDeadlineSeconds"), spec.ActiveDeadlineSeconds, 0)
	least(c, at.Child("backoffLimit"), spec.BackoffLimit, 0)
	least(c, at.Child("ttlSecondsAfterFinished"), spec.TTLSecondsAfterFinished, 0)
	c.indexes(spec, at)
	if spec.ManagedBy != nil {
		c.list(validation.IsDomainPrefixedPath(at.Child("managedBy"), *spec.ManagedBy))
		if len(*spec.ManagedBy) > validation.LabelValueMaxLength {
			c.invalid(at.Child("managedBy"), "is longer than %d characters", validation.LabelValueMaxLength)
		}
	}
	c.selector(job, at)
	c.podFailurePolicy(spec, at.Child("podFailurePolicy"))
	c.successPolicy(spec, at.Child("successPolicy"))
	if spec.PodReplacementPolicy != nil {
		allowed := []batchv1.PodReplacementPolicy{batchv1.Failed}
		if spec.PodFailurePolicy == nil {
			allowed = append(allowed, batchv1.TerminatingOrFailed)
		}
		oneOf(c, at.Child("podReplacementPolicy"), *spec.PodReplacementPolicy, allowed...)
	}
	c.metadata(at.Child("template", "metadata"), spec.Template.Labels, spec.Template.Annotations)
	c.restartPolicy(spec, at.Child("template", "spec", "restartPolicy"))
	c.pod(&spec.Template.Spec, at.Child("template", "spec"))
}

func (c *checker) metadata(at *field.Path, labels, annotations map[string]string) {
	c.list(metav1validation.ValidateLabels(labels, at.Child("labels")))
	c.list(apivalidation.ValidateAnnotations(annotations, at.Child("annotations")))
}

func indexed(spec *batchv1.JobSpec) bool {
	return spec.CompletionMode != nil && *spec.CompletionMode == batchv1.IndexedCompletion
}

// Limits of pkg/apis/batch/validation/validation.go.
const (
	mostIndexes     = 100_000
	mostRules       = 20
	mostExitCodes   = 255
	mostHighIndexes = 10_000 // parallelism and failed indexes, when there are more than mostIndexes completions
)

func (c *checker) indexes(spec *batchv1.JobSpec, at *field.Path) {
	if spec.CompletionMode != nil {
		oneOf(c, at.Child("completionMode"), *spec.CompletionMode, batchv1.NonIndexedCompletion, batchv1.IndexedCompletion)
	}
	least(c, at.Child("backoffLimitPerIndex"), spec.BackoffLimitPerIndex, 0)
	least(c, at.Child("maxFailedIndexes"), spec.MaxFailedIndexes, 0)
	if spec.MaxFailedIndexes != nil && spec.BackoffLimitPerIndex == nil {
		c.missing(at.Child("maxFailedIndexes"), "needs backoffLimitPerIndex")
	}
	if !indexed(spec) {
		if spec.BackoffLimitPerIndex != nil {
			c.invalid(at.Child("backoffLimitPerIndex"), "needs completionMode: Indexed")
		}
		if spec.MaxFailedIndexes != nil {
			c.invalid(at.Child("maxFailedIndexes"), "needs completionMode: Indexed")
		}
		return
	}
	if spec.Completions == nil {
		c.missing(at.Child("completions"), "is required with completionMode: Indexed")
		return
	}
	most(c, at.Child("parallelism"), spec.Parallelism, mostIndexes, " with completionMode: Indexed")
	most(c, at.Child("maxFailedIndexes"), spec.MaxFailedIndexes, min(*spec.Completions, mostIndexes), ", the number of completions")
	if *spec.Completions > mostIndexes && spec.BackoffLimitPerIndex != nil {
		when := fmt.Sprintf(" with backoffLimitPerIndex and more than %d completions", mostIndexes)
		if spec.MaxFailedIndexes == nil {
			c.missing(at.Child("maxFailedIndexes"), "is required%s", when)
		}
		most(c, at.Child("maxFailedIndexes"), spec.MaxFailedIndexes, mostHighIndexes, when)
		most(c, at.Child("parallelism"), spec.Parallelism, mostHighIndexes, when)
	}
}

// selector refuses what collides with the selector and labels that the API server generates
// (pkg/registry/batch/job/strategy.go, generateSelector).
func (c *checker) selector(job *batchv1.Job, at *field.Path) {
	if manual := job.Spec.ManualSelector; manual != nil && *manual {
		if job.Spec.Selector == nil {
			c.missing(at.Child("selector"), "is required with manualSelector: true")
			return
		}
		c.list(metav1validation.ValidateLabelSelector(job.Spec.Selector, metav1validation.LabelSelectorValidationOptions{}, at.Child("selector")))
		return
	}
	if job.Spec.Selector != nil {
		c.add(event.Error, at.Child("selector"), "is generated by the API server and must not be given without manualSelector: true").suggestion = "remove it"
	}
	for _, key := range []string{batchv1.ControllerUidLabel, batchv1.JobNameLabel, "controller-uid", "job-name"} {
		if value, ok := job.Spec.Template.Labels[key]; ok && (value != job.Name || key == batchv1.ControllerUidLabel || key == "controller-uid") {
			c.add(event.Error, at.Child("template", "metadata", "labels"), "%s is set by the API server", key).suggestion = "remove it"
		}
	}
}

func (c *checker) restartPolicy(spec *batchv1.JobSpec, at *field.Path) {
	policy := spec.Template.Spec.RestartPolicy
	switch {
	case policy == "":
		c.missing(at, "is required for a Job: Never or OnFailure")
	case spec.PodFailurePolicy != nil && policy == corev1.RestartPolicyOnFailure:
		c.invalid(at, "must be Never when there is a podFailurePolicy")
	default:
		oneOf(c, at, policy, corev1.RestartPolicyNever, corev1.RestartPolicyOnFailure)
	}
}

func (c *checker) podFailurePolicy(spec *batchv1.JobSpec, at *field.Path) {
	if spec.PodFailurePolicy == nil {
		return
	}
	rules := at.Child("rules")
	if n := len(spec.PodFailurePolicy.Rules); n > mostRules {
		c.invalid(rules, "has %d rules; %d are the most", n, mostRules)
	}
	containers := containerNames(&spec.Template.Spec)
	for i, rule := range spec.PodFailurePolicy.Rules {
		at := rules.Index(i)
		if rule.Action == "" {
			c.missing(at.Child("action"), "is required: FailJob, FailIndex, Ignore or Count")
		}
		oneOf(c, at.Child("action"), rule.Action, batchv1.PodFailurePolicyActionFailJob, batchv1.PodFailurePolicyActionFailIndex,
			batchv1.PodFailurePolicyActionIgnore, batchv1.PodFailurePolicyActionCount)
		if rule.Action == batchv1.PodFailurePolicyActionFailIndex && spec.BackoffLimitPerIndex == nil {
			c.invalid(at.Child("action"), "FailIndex needs backoffLimitPerIndex")
		}
		if (rule.OnExitCodes == nil) == (len(rule.OnPodConditions) == 0) {
			c.missing(at, "needs exactly one of onExitCodes and onPodConditions")
		}
		if rule.OnExitCodes != nil {
			c.exitCodes(rule.OnExitCodes, containers, at.Child("onExitCodes"))
		}
		if n := len(rule.OnPodConditions); n > mostRules {
			c.invalid(at.Child("onPodConditions"), "has %d patterns; %d are the most", n, mostRules)
		}
		for j, pattern := range rule.OnPodConditions {
			at := at.Child("onPodConditions").Index(j)
			c.name(at.Child("type"), string(pattern.Type), validation.IsQualifiedName)
			oneOf(c, at.Child("status"), pattern.Status, corev1.ConditionTrue, corev1.ConditionFalse, corev1.ConditionUnknown)
		}
	}
}

func (c *checker) exitCodes(codes *batchv1.PodFailurePolicyOnExitCodesRequirement, containers []string, at *field.Path) {
	if codes.Operator == "" {
		c.missing(at.Child("operator"), "is required: In or NotIn")
	}
	oneOf(c, at.Child("operator"), codes.Operator, batchv1.PodFailurePolicyOnExitCodesOpIn, batchv1.PodFailurePolicyOnExitCodesOpNotIn)
	if name := codes.ContainerName; name != nil && !slices.Contains(containers, *name) {
		p := c.add(event.Error, at.Child("containerName"), "there is no container %q; there are %s", *name, strings.Join(containers, ", "))
		if near := manifest.Closest(*name, containers); near != "" {
			p.suggestion = fmt.Sprintf("did you mean %q?", near)
		}
	}
	values := at.Child("values")
	switch n := len(codes.Values); {
	case n == 0:
		c.missing(values, "needs at least one exit code")
	case n > mostExitCodes:
		c.invalid(values, "has %d exit codes; %d are the most", n, mostExitCodes)
	}
	for i, v := range codes.Values {
		if v == 0 && codes.Operator == batchv1.PodFailurePolicyOnExitCodesOpIn {
			c.invalid(values.Index(i), "0 is success and cannot be matched by In")
		}
		if i > 0 && codes.Values[i-1] >= v {
			c.invalid(values.Index(i), "exit codes must be in ascending order, each once")
			break
		}
	}
}

func (c *checker) successPolicy(spec *batchv1.JobSpec, at *field.Path) {
	if spec.SuccessPolicy == nil {
		return
	}
	if !indexed(spec) {
		c.invalid(at, "needs completionMode: Indexed")
		return
	}
	if spec.Completions == nil {
		return // said by indexes
	}
	rules := at.Child("rules")
	switch n := len(spec.SuccessPolicy.Rules); {
	case n == 0:
		c.missing(rules, "needs at least one rule")
	case n > mostRules:
		c.invalid(rules, "has %d rules; %d are the most", n, mostRules)
	}
	for i, rule := range spec.SuccessPolicy.Rules {
		at := rules.Index(i)
		if rule.SucceededCount == nil && rule.SucceededIndexes == nil {
			c.missing(at, "needs succeededCount, succeededIndexes or both")
		}
		bound, of := *spec.Completions, ", the number of completions"
		if rule.SucceededIndexes != nil {
			n, err := countIndexes(*rule.SucceededIndexes, *spec.Completions)
			if err != nil {
				c.invalid(at.Child("succeededIndexes"), "%s", err)
			} else {
				bound, of = n, ", the number of succeededIndexes"
			}
		}
		least(c, at.Child("succeededCount"), rule.SucceededCount, 0)
		most(c, at.Child("succeededCount"), rule.SucceededCount, bound, of)
	}
}

// countIndexes counts the indexes of a list such as "1,3-5", which must ascend and stay below completions.
func countIndexes(list string, completions int32) (int32, error) {
	if list == "" {
		return 0, nil
	}
	count, last := int32(0), int64(-1)
	for _, part := range strings.Split(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		a, errA := strconv.ParseInt(from, 10, 32)
		b, errB := strconv.ParseInt(to, 10, 32)
		switch {
		case errA != nil || errB != nil || a < 0:
			return 0, fmt.Errorf("%q is no index or range; write for example 1,3-5", part)
		case b >= int64(completions):
			return 0, fmt.Errorf("index %d is out of range; with %d completions the last index is %d", b, completions, completions-1)
		case a <= last || b < a || isRange && a == b:
			return 0, fmt.Errorf("%q is out of order; indexes must ascend, each once", part)
		}
		count, last = count+int32(b-a)+1, b
	}
	return count, nil
}

func containerNames(pod *corev1.PodSpec) []string {
	var names []string
	for c := range containers(pod) {
		names = append(names, c.Name)
	}
	return names
}

func (c *checker) pod(pod *corev1.PodSpec, at *field.Path) {
	volumes := c.volumes(pod.Volumes, at.Child("volumes"))
	claims := sets.New[string]()
	for i, claim := range pod.ResourceClaims {
		c.name(at.Child("resourceClaims").Index(i).Child("name"), claim.Name, validation.IsDNS1123Label)
		claims.Insert(claim.Name)
	}
	if len(pod.Containers) == 0 {
		c.missing(at.Child("containers"), "needs at least one container")
	}
	if len(pod.EphemeralContainers) > 0 {
		c.invalid(at.Child("ephemeralContainers"), "is not allowed in a pod template")
	}
	names := sets.New[string]()
	hostPorts := sets.New[string]()
	for i := range pod.Containers {
		container, at := &pod.Containers[i], at.Child("containers").Index(i)
		c.container(container, volumes, claims, names, hostPorts, at)
		if container.RestartPolicy != nil {
			oneOf(c, at.Child("restartPolicy"), *container.RestartPolicy, corev1.ContainerRestartPolicyNever, corev1.ContainerRestartPolicyOnFailure, corev1.ContainerRestartPolicyAlways)
		}
		if pod.HostNetwork {
			for j, port := range container.Ports {
				if port.HostPort != 0 && port.HostPort != port.ContainerPort {
					c.invalid(at.Child("ports").Index(j).Child("hostPort"), "must equal containerPort with hostNetwork: true")
				}
			}
		}
	}
	for i := range pod.InitContainers {
		container, at := &pod.InitContainers[i], at.Child("initContainers").Index(i)
		c.container(container, volumes, claims, names, sets.New[string](), at)
		sidecar := false
		if p := container.RestartPolicy; p != nil {
			oneOf(c, at.Child("restartPolicy"), *p, corev1.ContainerRestartPolicyAlways, corev1.ContainerRestartPolicyOnFailure, corev1.ContainerRestartPolicyNever)
			sidecar = *p == corev1.ContainerRestartPolicyAlways
		}
		if !sidecar {
			for name, given := range sorted(map[string]bool{"lifecycle": container.Lifecycle != nil, "livenessProbe": container.LivenessProbe != nil,
				"readinessProbe": container.ReadinessProbe != nil, "startupProbe": container.StartupProbe != nil}) {
				if given {
					c.invalid(at.Child(name), "is allowed on an init container only with restartPolicy: Always")
				}
			}
		}
	}
	if pod.Resources != nil {
		c.resources(*pod.Resources, claims, at.Child("resources"))
	}
	oneOf(c, at.Child("dnsPolicy"), pod.DNSPolicy, corev1.DNSClusterFirst, corev1.DNSClusterFirstWithHostNet, corev1.DNSDefault, corev1.DNSNone)
	if pod.DNSPolicy == corev1.DNSNone && (pod.DNSConfig == nil || len(pod.DNSConfig.Nameservers) == 0) {
		c.missing(at.Child("dnsConfig"), "needs a nameserver with dnsPolicy: None")
	}
	c.list(metav1validation.ValidateLabels(pod.NodeSelector, at.Child("nodeSelector")))
	c.optional(at.Child("serviceAccountName"), pod.ServiceAccountName, validation.IsDNS1123Subdomain)
	c.optional(at.Child("nodeName"), pod.NodeName, validation.IsDNS1123Subdomain)
	c.optional(at.Child("priorityClassName"), pod.PriorityClassName, validation.IsDNS1123Subdomain)
	c.optional(at.Child("hostname"), pod.Hostname, validation.IsDNS1123Label)
	c.optional(at.Child("subdomain"), pod.Subdomain, validation.IsDNS1123Label)
	if old := pod.DeprecatedServiceAccount; old != "" && pod.ServiceAccountName != "" && old != pod.ServiceAccountName {
		c.invalid(at.Child("serviceAccount"), "differs from serviceAccountName, whose old name it is")
	}
	if pod.RuntimeClassName != nil {
		c.says(at.Child("runtimeClassName"), *pod.RuntimeClassName, validation.IsDNS1123Subdomain(*pod.RuntimeClassName))
	}
	if pod.PreemptionPolicy != nil {
		oneOf(c, at.Child("preemptionPolicy"), *pod.PreemptionPolicy, corev1.PreemptLowerPriority, corev1.PreemptNever)
	}
	least(c, at.Child("activeDeadlineSeconds"), pod.ActiveDeadlineSeconds, 1)
	if s := pod.SecurityContext; s != nil {
		c.users(s.RunAsUser, s.RunAsGroup, at.Child("securityContext"))
		c.seccomp(s.SeccompProfile, at.Child("securityContext", "seccompProfile"))
	}
	c.affinity(pod.Affinity, at.Child("affinity"))
	for i, t := range pod.TopologySpreadConstraints {
		at := at.Child("topologySpreadConstraints").Index(i)
		least(c, at.Child("maxSkew"), &t.MaxSkew, 1)
		if t.TopologyKey == "" {
			c.missing(at.Child("topologyKey"), "is required")
		}
		if t.WhenUnsatisfiable == "" {
			c.missing(at.Child("whenUnsatisfiable"), "is required: DoNotSchedule or ScheduleAnyway")
		}
		oneOf(c, at.Child("whenUnsatisfiable"), t.WhenUnsatisfiable, corev1.DoNotSchedule, corev1.ScheduleAnyway)
	}
	for i, t := range pod.Tolerations {
		c.toleration(t, at.Child("tolerations").Index(i))
	}
}

// users checks ids of users and groups.
func (c *checker) users(user, group *int64, at *field.Path) {
	if user != nil {
		c.says(at.Child("runAsUser"), *user, validation.IsValidUserID(*user))
	}
	if group != nil {
		c.says(at.Child("runAsGroup"), *group, validation.IsValidGroupID(*group))
	}
}

func (c *checker) seccomp(p *corev1.SeccompProfile, at *field.Path) {
	if p == nil {
		return
	}
	if p.Type == "" {
		c.missing(at.Child("type"), "is required: RuntimeDefault, Localhost or Unconfined")
	}
	oneOf(c, at.Child("type"), p.Type, corev1.SeccompProfileTypeRuntimeDefault, corev1.SeccompProfileTypeLocalhost, corev1.SeccompProfileTypeUnconfined)
	if (p.Type == corev1.SeccompProfileTypeLocalhost) != (p.LocalhostProfile != nil) {
		c.missing(at.Child("localhostProfile"), "belongs to type: Localhost, and is required there")
	}
}

func (c *checker) affinity(a *corev1.Affinity, at *field.Path) {
	if a == nil {
		return
	}
	const required, preferred = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"
	if n := a.NodeAffinity; n != nil {
		at := at.Child("nodeAffinity")
		if n.RequiredDuringSchedulingIgnoredDuringExecution != nil {
			terms := n.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
			if len(terms) == 0 {
				c.missing(at.Child(required, "nodeSelectorTerms"), "needs at least one term")
			}
			for i, term := range terms {
				c.nodeExpressions(term.MatchExpressions, at.Child(required, "nodeSelectorTerms").Index(i).Child("matchExpressions"))
			}
		}
		for i, term := range n.PreferredDuringSchedulingIgnoredDuringExecution {
			at := at.Child(preferred).Index(i)
			c.weight(term.Weight, at.Child("weight"))
			c.nodeExpressions(term.Preference.MatchExpressions, at.Child("preference", "matchExpressions"))
		}
	}
	pods := func(at *field.Path, terms []corev1.PodAffinityTerm, weighted []corev1.WeightedPodAffinityTerm) {
		for i, term := range terms {
			c.name(at.Child(required).Index(i).Child("topologyKey"), term.TopologyKey, validation.IsQualifiedName)
		}
		for i, term := range weighted {
			c.weight(term.Weight, at.Child(preferred).Index(i).Child("weight"))
			c.name(at.Child(preferred).Index(i).Child("podAffinityTerm", "topologyKey"), term.PodAffinityTerm.TopologyKey, validation.IsQualifiedName)
		}
	}
	if p := a.PodAffinity; p != nil {
		pods(at.Child("podAffinity"), p.RequiredDuringSchedulingIgnoredDuringExecution, p.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if p := a.PodAntiAffinity; p != nil {
		pods(at.Child("podAntiAffinity"), p.RequiredDuringSchedulingIgnoredDuringExecution, p.PreferredDuringSchedulingIgnoredDuringExecution)
	}
}

func (c *checker) weight(w int32, at *field.Path) {
	least(c, at, &w, 1)
	most(c, at, &w, 100, "")
}

func (c *checker) nodeExpressions(expressions []corev1.NodeSelectorRequirement, at *field.Path) {
	for i, e := range expressions {
		at := at.Index(i)
		c.name(at.Child("key"), e.Key, validation.IsQualifiedName)
		if e.Operator == "" {
			c.missing(at.Child("operator"), "is required: In, NotIn, Exists, DoesNotExist, Gt or Lt")
		}
		oneOf(c, at.Child("operator"), e.Operator, corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn, corev1.NodeSelectorOpExists,
			corev1.NodeSelectorOpDoesNotExist, corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt)
		switch e.Operator {
		case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
			if len(e.Values) == 0 {
				c.missing(at.Child("values"), "needs a value with operator: %s", e.Operator)
			}
		case corev1.NodeSelectorOpExists, corev1.NodeSelectorOpDoesNotExist:
			if len(e.Values) > 0 {
				c.invalid(at.Child("values"), "must be empty with operator: %s", e.Operator)
			}
		}
	}
}

func (c *checker) toleration(t corev1.Toleration, at *field.Path) {
	if t.Key != "" {
		c.list(metav1validation.ValidateLabelName(t.Key, at.Child("key")))
	} else if t.Operator != corev1.TolerationOpExists {
		c.invalid(at.Child("operator"), "must be Exists when there is no key")
	}
	oneOf(c, at.Child("operator"), t.Operator, corev1.TolerationOpExists, corev1.TolerationOpEqual, corev1.TolerationOpLt, corev1.TolerationOpGt)
	oneOf(c, at.Child("effect"), t.Effect, corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute)
	if t.Operator == corev1.TolerationOpExists && t.Value != "" {
		c.invalid(at.Child("value"), "must be empty with operator: Exists")
	} else {
		c.says(at.Child("value"), t.Value, validation.IsValidLabelValue(t.Value))
	}
	if t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute {
		c.invalid(at.Child("effect"), "must be NoExecute with tolerationSeconds")
	}
}

// volumes checks the volumes and gives the names of them.
func (c *checker) volumes(volumes []corev1.Volume, at *field.Path) []string {
	var names []string
	for i := range volumes {
		v, at := &volumes[i], at.Index(i)
		c.name(at.Child("name"), v.Name, validation.IsDNS1123Label)
		if slices.Contains(names, v.Name) {
			c.invalid(at.Child("name"), "there are two volumes %q", v.Name)
		}
		names = append(names, v.Name)
		switch sources := volumeSources(v.VolumeSource); len(sources) {
		case 1:
		case 0:
			c.add(event.Warning, at, "volume %q has no source and will be an empty directory", v.Name).suggestion = "write emptyDir: {}, or the source that is meant"
		default:
			c.invalid(at, "has more than one source: %s", strings.Join(sources, ", "))
		}
		switch {
		case v.Secret != nil:
			if v.Secret.SecretName == "" {
				c.missing(at.Child("secret", "secretName"), "is required")
			}
			c.fileMode(at.Child("secret", "defaultMode"), v.Secret.DefaultMode)
			c.items(v.Secret.Items, at.Child("secret", "items"))
		case v.ConfigMap != nil:
			if v.ConfigMap.Name == "" {
				c.missing(at.Child("configMap", "name"), "is required")
			}
			c.fileMode(at.Child("configMap", "defaultMode"), v.ConfigMap.DefaultMode)
			c.items(v.ConfigMap.Items, at.Child("configMap", "items"))
		case v.PersistentVolumeClaim != nil:
			if v.PersistentVolumeClaim.ClaimName == "" {
				c.missing(at.Child("persistentVolumeClaim", "claimName"), "is required")
			}
		case v.EmptyDir != nil:
			if !strings.HasPrefix(string(v.EmptyDir.Medium), string(corev1.StorageMediumHugePages)) { // the kubelet knows no other
				oneOf(c, at.Child("emptyDir", "medium"), v.EmptyDir.Medium, corev1.StorageMediumMemory)
			}
			if limit := v.EmptyDir.SizeLimit; limit != nil && limit.Sign() < 0 {
				c.invalid(at.Child("emptyDir", "sizeLimit"), "must not be negative")
			}
		case v.HostPath != nil:
			c.hostPath(v.HostPath, at.Child("hostPath"))
		case v.Projected != nil:
			c.fileMode(at.Child("projected", "defaultMode"), v.Projected.DefaultMode)
		}
	}
	return names
}

func (c *checker) hostPath(h *corev1.HostPathVolumeSource, at *field.Path) {
	if h.Path == "" {
		c.missing(at.Child("path"), "is required")
	}
	c.noBackstep(at.Child("path"), h.Path)
	if h.Type != nil {
		oneOf(c, at.Child("type"), *h.Type, corev1.HostPathDirectoryOrCreate, corev1.HostPathDirectory, corev1.HostPathFileOrCreate,
			corev1.HostPathFile, corev1.HostPathSocket, corev1.HostPathCharDev, corev1.HostPathBlockDev)
	}
}

func (c *checker) items(items []corev1.KeyToPath, at *field.Path) {
	for i, item := range items {
		at := at.Index(i)
		if item.Key == "" {
			c.missing(at.Child("key"), "is required")
		}
		if item.Path == "" {
			c.missing(at.Child("path"), "is required")
		}
		c.relative(at.Child("path"), item.Path)
		if strings.HasPrefix(item.Path, "..") {
			c.invalid(at.Child("path"), "must not start with '..'")
		}
		c.fileMode(at.Child("mode"), item.Mode)
	}
}

func (c *checker) relative(at *field.Path, p string) {
	if path.IsAbs(p) {
		c.invalid(at, "%q must be a relative path", p)
	}
	c.noBackstep(at, p)
}

func (c *checker) noBackstep(at *field.Path, p string) {
	if slices.Contains(strings.Split(p, "/"), "..") {
		c.invalid(at, "%q must not contain '..'", p)
	}
}

func (c *checker) container(k *corev1.Container, volumes []string, claims, names, hostPorts sets.Set[string], at *field.Path) {
	c.name(at.Child("name"), k.Name, validation.IsDNS1123Label)
	if k.Name != "" && names.Has(k.Name) {
		c.invalid(at.Child("name"), "there are two containers %q", k.Name)
	}
	names.Insert(k.Name)
	c.image(k.Image, at.Child("image"))
	oneOf(c, at.Child("imagePullPolicy"), k.ImagePullPolicy, corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)
	oneOf(c, at.Child("terminationMessagePolicy"), k.TerminationMessagePolicy, corev1.TerminationMessageReadFile, corev1.TerminationMessageFallbackToLogsOnError)
	for i, e := range k.Env {
		c.env(e, at.Child("env").Index(i))
	}
	for i, e := range k.EnvFrom {
		c.envFrom(e, at.Child("envFrom").Index(i))
	}
	c.ports(k.Ports, hostPorts, at.Child("ports"))
	c.mounts(k, volumes, at.Child("volumeMounts"))
	c.resources(k.Resources, claims, at.Child("resources"))
	if s := k.SecurityContext; s != nil {
		c.users(s.RunAsUser, s.RunAsGroup, at.Child("securityContext"))
		c.seccomp(s.SeccompProfile, at.Child("securityContext", "seccompProfile"))
		if s.Privileged != nil && *s.Privileged && s.AllowPrivilegeEscalation != nil && !*s.AllowPrivilegeEscalation {
			c.invalid(at.Child("securityContext", "allowPrivilegeEscalation"), "cannot be false when privileged is true")
		}
	}
	c.probe(k.LivenessProbe, at.Child("livenessProbe"))
	c.probe(k.ReadinessProbe, at.Child("readinessProbe"))
	c.probe(k.StartupProbe, at.Child("startupProbe"))
	if l := k.Lifecycle; l != nil {
		if l.PreStop != nil {
			c.handler(*l.PreStop, nil, at.Child("lifecycle", "preStop"))
		}
		if l.PostStart != nil {
			c.handler(*l.PostStart, nil, at.Child("lifecycle", "postStart"))
		}
	}
}

// image refuses what no kubelet can pull. The API server takes any text here; the kubelet then refuses the pod with
// InvalidImageName by the rules of distribution/reference (pkg/util/parsers in kubernetes/kubernetes).
func (c *checker) image(image string, at *field.Path) {
	if image == "" {
		c.missing(at, "is required")
		return
	}
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		p := c.add(event.Error, at, "%q is no image reference: %s", image, strings.TrimPrefix(err.Error(), "invalid reference format: "))
		if low := strings.ToLower(image); low != image {
			if _, err := reference.ParseNormalizedNamed(low); err == nil {
				p.suggestion = fmt.Sprintf("did you mean %q?", low)
			}
		}
		return
	}
	tagged, ok := reference.TagNameOnly(named).(reference.Tagged)
	if _, digested := named.(reference.Digested); !digested && ok && tagged.Tag() == "latest" {
		c.add(event.Warning, at, "%q has no fixed tag: a later run may run something else", image).suggestion = "name a version or a digest"
	}
}

func (c *checker) env(e corev1.EnvVar, at *field.Path) {
	c.name(at.Child("name"), e.Name, validation.IsRelaxedEnvVarName)
	if why := credential(e); why != "" {
		c.add(event.Warning, at, "%s looks like a credential in plain text, by %s", e.Name, why).suggestion = "keep it in a Secret, or give it as secret-env"
	}
	from := e.ValueFrom
	if from == nil {
		return
	}
	at = at.Child("valueFrom")
	sources := 0
	if r := from.FieldRef; r != nil {
		sources++
		if r.FieldPath == "" {
			c.missing(at.Child("fieldRef", "fieldPath"), "is required")
		} else if name, _, subscript := strings.Cut(r.FieldPath, "["); !subscript || name != "metadata.labels" && name != "metadata.annotations" {
			oneOf(c, at.Child("fieldRef", "fieldPath"), r.FieldPath, "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
				"spec.host", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs")
		}
	}
	if r := from.ResourceFieldRef; r != nil {
		sources++
		if r.Resource == "" {
			c.missing(at.Child("resourceFieldRef", "resource"), "is required")
		} else if !strings.HasPrefix(r.Resource, "limits.hugepages-") && !strings.HasPrefix(r.Resource, "requests.hugepages-") {
			oneOf(c, at.Child("resourceFieldRef", "resource"), r.Resource, "limits.cpu", "limits.memory", "limits.ephemeral-storage",
				"requests.cpu", "requests.memory", "requests.ephemeral-storage")
		}
	}
	if r := from.ConfigMapKeyRef; r != nil {
		sources++
		c.name(at.Child("configMapKeyRef", "name"), r.Name, validation.IsDNS1123Subdomain)
		c.name(at.Child("configMapKeyRef", "key"), r.Key, validation.IsConfigMapKey)
	}
	if r := from.SecretKeyRef; r != nil {
		sources++
		c.name(at.Child("secretKeyRef", "name"), r.Name, validation.IsDNS1123Subdomain)
		c.name(at.Child("secretKeyRef", "key"), r.Key, validation.IsConfigMapKey)
	}
	if from.FileKeyRef != nil {
		sources++
	}
	switch {
	case sources == 0:
		c.missing(at, "needs one of fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef")
	case sources > 1:
		c.invalid(at, "has more than one source")
	case e.Value != "":
		c.invalid(at, "cannot stand beside value")
	}
}

func (c *checker) envFrom(e corev1.EnvFromSource, at *field.Path) {
	c.optional(at.Child("prefix"), e.Prefix, validation.IsRelaxedEnvVarName)
	if (e.ConfigMapRef == nil) == (e.SecretRef == nil) {
		c.missing(at, "needs exactly one of configMapRef and secretRef")
	}
	if e.ConfigMapRef != nil {
		c.name(at.Child("configMapRef", "name"), e.ConfigMapRef.Name, validation.IsDNS1123Subdomain)
	}
	if e.SecretRef != nil {
		c.name(at.Child("secretRef", "name"), e.SecretRef.Name, validation.IsDNS1123Subdomain)
	}
}

func (c *checker) ports(ports []corev1.ContainerPort, hostPorts sets.Set[string], at *field.Path) {
	names := sets.New[string]()
	for i, p := range ports {
		at := at.Index(i)
		if p.Name != "" {
			c.says(at.Child("name"), p.Name, validation.IsValidPortName(p.Name))
			if names.Has(p.Name) {
				c.invalid(at.Child("name"), "there are two ports %q", p.Name)
			}
			names.Insert(p.Name)
		}
		c.says(at.Child("containerPort"), p.ContainerPort, validation.IsValidPortNum(int(p.ContainerPort)))
		oneOf(c, at.Child("protocol"), p.Protocol, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)
		if p.HostPort != 0 {
			c.says(at.Child("hostPort"), p.HostPort, validation.IsValidPortNum(int(p.HostPort)))
			key := fmt.Sprintf("%s/%s/%d", p.Protocol, p.HostIP, p.HostPort)
			if hostPorts.Has(key) {
				c.invalid(at.Child("hostPort"), "%d is used twice", p.HostPort)
			}
			hostPorts.Insert(key)
		}
	}
}

func (c *checker) mounts(k *corev1.Container, volumes []string, at *field.Path) {
	paths := sets.New[string]()
	for _, d := range k.VolumeDevices {
		paths.Insert(d.DevicePath)
	}
	for i, m := range k.VolumeMounts {
		at := at.Index(i)
		switch {
		case m.Name == "":
			c.missing(at.Child("name"), "is required")
		case !slices.Contains(volumes, m.Name):
			p := c.add(event.Error, at.Child("name"), "there is no volume %q; there are %s", m.Name, orNone(volumes))
			if near := manifest.Closest(m.Name, volumes); near != "" {
				p.suggestion = fmt.Sprintf("did you mean %q?", near)
			}
		}
		switch {
		case m.MountPath == "":
			c.missing(at.Child("mountPath"), "is required")
		case paths.Has(m.MountPath):
			c.invalid(at.Child("mountPath"), "%q is mounted twice in container %q", m.MountPath, k.Name)
		}
		paths.Insert(m.MountPath)
		c.relative(at.Child("subPath"), m.SubPath)
		c.relative(at.Child("subPathExpr"), m.SubPathExpr)
		if m.SubPath != "" && m.SubPathExpr != "" {
			c.invalid(at.Child("subPathExpr"), "cannot stand beside subPath")
		}
		if m.MountPropagation != nil {
			oneOf(c, at.Child("mountPropagation"), *m.MountPropagation, corev1.MountPropagationNone, corev1.MountPropagationHostToContainer, corev1.MountPropagationBidirectional)
		}
	}
}

func orNone(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}

func (c *checker) resources(r corev1.ResourceRequirements, claims sets.Set[string], at *field.Path) {
	for name, q := range sorted(r.Limits) {
		c.quantity(name, q, at.Child("limits"))
	}
	for name, q := range sorted(r.Requests) {
		c.quantity(name, q, at.Child("requests"))
		limit, ok := r.Limits[name]
		switch {
		case ok && q.Cmp(limit) > 0:
			c.invalid(at.Child("requests").Child(string(name)), "%s is more than the limit %s", q.String(), limit.String())
		case overcommit(name):
		case !ok:
			c.missing(at.Child("limits"), "needs %s, which cannot be overcommitted", name)
		case q.Cmp(limit) != 0:
			c.invalid(at.Child("requests").Child(string(name)), "must equal the limit %s: %s cannot be overcommitted", limit.String(), name)
		}
	}
	for i, claim := range r.Claims {
		if !claims.Has(claim.Name) {
			c.invalid(at.Child("claims").Index(i).Child("name"), "there is no resource claim %q", claim.Name)
		}
	}
}

// overcommit tells whether a request may be below its limit (pkg/apis/core/helper, IsOvercommitAllowed).
func overcommit(name corev1.ResourceName) bool {
	native := !strings.Contains(string(name), "/") || strings.Contains(string(name), corev1.ResourceDefaultNamespacePrefix)
	return native && !strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

func (c *checker) quantity(name corev1.ResourceName, q resource.Quantity, at *field.Path) {
	at = at.Child(string(name))
	known := []string{"cpu", "memory", "ephemeral-storage"}
	switch {
	case strings.Contains(string(name), "/"):
		c.says(at, name, validation.IsQualifiedName(string(name)))
	case !slices.Contains(known, string(name)) && !strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix):
		p := c.add(event.Error, at, "%q is no resource of a container; there are %s, hugepages-… and names with a domain", name, strings.Join(known, ", "))
		if near := manifest.Closest(string(name), known); near != "" {
			p.suggestion = fmt.Sprintf("did you mean %q?", near)
		}
	}
	if q.Sign() < 0 {
		c.invalid(at, "%s must not be negative", q.String())
	}
	if name == corev1.ResourceMemory && q.MilliValue()%1000 != 0 && q.Cmp(resource.MustParse("1k")) < 0 {
		c.add(event.Warning, at, "%s is a fraction of a byte", q.String()).suggestion = "did you mean Mi instead of m?"
	}
}

func (c *checker) probe(p *corev1.Probe, at *field.Path) {
	if p == nil {
		return
	}
	c.handler(corev1.LifecycleHandler{Exec: p.Exec, HTTPGet: p.HTTPGet, TCPSocket: p.TCPSocket}, p.GRPC, at)
	for name, value := range sorted(map[string]int32{"initialDelaySeconds": p.InitialDelaySeconds, "timeoutSeconds": p.TimeoutSeconds, "periodSeconds": p.PeriodSeconds,
		"successThreshold": p.SuccessThreshold, "failureThreshold": p.FailureThreshold}) {
		least(c, at.Child(name), &value, 0)
	}
}

// handler checks what a probe or a lifecycle hook does; grpc is for probes only.
func (c *checker) handler(h corev1.LifecycleHandler, grpc *corev1.GRPCAction, at *field.Path) {
	handlers := 0
	for _, given := range []bool{h.Exec != nil, h.HTTPGet != nil, h.TCPSocket != nil, h.Sleep != nil, grpc != nil} {
		if given {
			handlers++
		}
	}
	if handlers != 1 {
		c.missing(at, "needs exactly one handler, for example exec or httpGet")
	}
	if h.Exec != nil && len(h.Exec.Command) == 0 {
		c.missing(at.Child("exec", "command"), "is required")
	}
	if h.HTTPGet != nil {
		c.portOrName(h.HTTPGet.Port, at.Child("httpGet", "port"))
		oneOf(c, at.Child("httpGet", "scheme"), h.HTTPGet.Scheme, corev1.URISchemeHTTP, corev1.URISchemeHTTPS)
	}
	if h.TCPSocket != nil {
		c.portOrName(h.TCPSocket.Port, at.Child("tcpSocket", "port"))
	}
	if grpc != nil {
		c.says(at.Child("grpc", "port"), grpc.Port, validation.IsValidPortNum(int(grpc.Port)))
	}
}

func (c *checker) portOrName(port intstr.IntOrString, at *field.Path) {
	if port.Type == intstr.String {
		c.says(at, port.StrVal, validation.IsValidPortName(port.StrVal))
		return
	}
	c.says(at, port.IntVal, validation.IsValidPortNum(port.IntValue()))
}
