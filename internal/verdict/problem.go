package verdict

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// The events that are read, by their reasons: what shows that the volumes and the sandbox of a pod are done, what keeps them from
// being done, and the answers of the cluster autoscaler. The kubelet's reasons are in pkg/kubelet/events/event.go.
var (
	setUp    = []string{"Pulling", "Pulled", "Created", "Started"}
	troubles = []string{"FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox", "NetworkNotReady", "FailedPrepareDynamicResources"}
	scaling  = []string{"TriggeredScaleUp", "NotTriggerScaleUp"}
	// What stops a container that works: the kubelet (a probe, a hook, the pod's deletion, an eviction), or the scheduler.
	stopping = []string{"Killing", "Evicted", "Preempting", "Preempted"}
	// What the kubelet says of a probe that fails (pkg/kubelet/prober/prober.go).
	unhealthy = regexp.MustCompile(`^(?:Liveness|Startup) probe `)
)

// Wants tells whether Decide reads an event. It looks at no other, so that those need not be kept.
func Wants(e *corev1.Event) bool {
	switch e.Reason {
	case "FailedCreate": // of a pod by the Job
		return true
	case "Failed": // to pull an image or to create a container
		return true
	default:
		return slices.Contains(setUp, e.Reason) || slices.Contains(troubles, e.Reason) || slices.Contains(scaling, e.Reason) || Stops(e)
	}
}

// Stops tells whether an event is about the end of a pod's work. It is read after the pod has ended, as no other is.
func Stops(e *corev1.Event) bool {
	return slices.Contains(stopping, e.Reason) || e.Reason == "Unhealthy" && unhealthy.MatchString(e.Message)
}

// problem is what a pod whose main containers do not run waits for, or what keeps pods from being created. Without a message
// there is nothing wrong with the waiting.
type problem struct {
	event.Cause
	what  string    // as Progress names it; "" when no pod waits
	init  string    // the init container that works, and its pod; "" when none does
	mute  string    // the name of that one when it has written nothing to its log; else ""
	since time.Time // when the waiting began
	heals bool      // it may go away by itself
	claim *Claim    // what the cluster has to confirm first; nil when it says so itself, in the pod's status
	said  string    // of a claim about a Pod: what the event says the API server has against it
	due   time.Time // when the grace of what does not heal ends; the zero time when that cannot be told yet
}

// hopeless is what fail-fast ends the run for, when, and what the cluster has to confirm first: every living pod is held up for good and
// nothing works.
func (w *view) hopeless() (p *problem, due time.Time, ask []Question) {
	if w.working > 0 || w.external != "" {
		return nil, time.Time{}, nil
	}
	all := w.heldUp
	if len(w.living) == 0 {
		if w.refused == nil {
			return nil, time.Time{}, nil
		}
		all = []*problem{w.refused}
	} else if int(w.job.Status.Active) > len(w.living) {
		return nil, time.Time{}, nil // a pod is on its way to us
	}
	for _, p := range all {
		if p.Message == "" || p.heals || p.due.IsZero() {
			return nil, time.Time{}, nil
		}
		if p.due.After(due) {
			due = p.due
		}
	}
	ask, none := w.doubt(all...)
	if none {
		return nil, time.Time{}, nil
	}
	return all[0], due, ask
}

// problem is the one that explains best why nothing happens: one that will not heal, if there is any.
func (w *view) problem() *problem {
	var found *problem
	for _, p := range w.heldUp {
		if p.Message != "" && (found == nil || found.heals && !p.heals) {
			found = p
		}
	}
	if w.refused != nil && (found == nil || found.heals && !w.refused.heals) {
		return w.refused
	}
	return found
}

// after is the end of a grace that began when the trouble did; what began before we looked begins with our looking.
func (w *view) after(began time.Time, grace time.Duration) time.Time {
	if began.Before(w.patientSince) {
		began = w.patientSince
	}
	return began.Add(grace)
}

func (w *view) newProblem(p *corev1.Pod, reason event.Reason, message, hint string) *problem {
	if hint == "" {
		hint = w.describePod(p)
	}
	return &problem{Cause: event.Cause{Reason: reason, Object: podRef(p), Message: message, Hint: hint}, heals: true}
}

func (p *problem) waits(what string, since time.Time) *problem {
	p.what, p.since = what, since
	return p
}

// onItsWay is a waiting with nothing wrong.
func onItsWay(what string, since time.Time) *problem {
	return (&problem{heals: true}).waits(what, since)
}

// claimed is a problem that will not heal, if the cluster confirms it.
func (p *problem) claimed(c Claim, due time.Time) *problem {
	p.claim = &c
	return p.permanent(due)
}

func (p *problem) permanent(due time.Time) *problem {
	p.heals, p.due = false, due
	return p
}

// holdUp finds what a pod waits for whose main containers do not run.
func (w *view) holdUp(p *corev1.Pod) *problem {
	scheduled := podCondition(p, corev1.PodScheduled)
	if p.Spec.NodeName == "" && (scheduled == nil || scheduled.Status != corev1.ConditionTrue) {
		return w.unscheduled(p, scheduled)
	}
	since := w.startOf(p)
	var ending *problem
	for c := range containers(p) {
		if c.status == nil {
			continue
		}
		state := c.status.State
		if state.Running != nil && c.kind == event.Init {
			working := onItsWay("running init containers", state.Running.StartedAt.Time)
			working.init = c.String() + " of " + named(p)
			working.Hint = event.See("Its log may say what it waits for", event.Kubectl(p.Namespace, "logs %s -c %s", p.Name, c.spec.Name))
			if w.Silent[Output{p.UID, c.spec.Name}] {
				working.mute, working.Hint = c.spec.Name, silentHint
			}
			return working
		}
		if p := w.unready(p, c, since); p != nil {
			return p
		}
		if t := state.Terminated; t != nil && c.kind == event.Main {
			ending = onItsWay("ending", t.FinishedAt.Time)
		}
		if state.Waiting == nil {
			continue
		}
		switch state.Waiting.Reason {
		case "", "ContainerCreating", "PodInitializing":
		case "CrashLoopBackOff":
			if t := c.status.LastTerminationState.Terminated; t != nil {
				since = t.FinishedAt.Time
			}
			return onItsWay("waiting to be restarted", since)
		default:
			return w.containerProblem(p, c, since)
		}
	}
	if ending != nil {
		return ending
	}
	return w.creating(p, since)
}

// TakeGrace is how long a scheduler, or the kubelet of a node, may take to look at a pod before it is told that it has not.
const TakeGrace = 10 * time.Second

// untaken tells whether the kubelet of a pod's node has not looked at it for a while, as when nodeName names a node that does not exist: a kubelet
// writes startTime first (pkg/kubelet/status/status_manager.go).
func (w *view) untaken(p *corev1.Pod) bool {
	since := p.CreationTimestamp.Time
	if c := podCondition(p, corev1.PodScheduled); c != nil && c.LastTransitionTime.After(since) {
		since = c.LastTransitionTime.Time
	}
	return p.Status.StartTime == nil && len(p.Status.ContainerStatuses) == 0 && !w.Now.Before(w.after(since, TakeGrace))
}

// unready is a sidecar that keeps the containers behind it from starting: its startup probe has not succeeded, or it ends again and again
// before that. Nil when it does not.
func (w *view) unready(p *corev1.Pod, c container, since time.Time) *problem {
	if c.kind != event.Sidecar || c.status.Started != nil && *c.status.Started || c.status.State.Running == nil && c.status.RestartCount == 0 {
		return nil
	}
	if ran(p, event.Main) || c.spec.StartupProbe == nil && c.status.State.Running != nil {
		return nil
	}
	problem := w.newProblem(p, event.StartTimeout, fmt.Sprintf("%s of %s has not started", c, named(p)), "").waits("waiting for a sidecar", since)
	if c.spec.StartupProbe != nil {
		problem.Message = fmt.Sprintf("the startup probe of %s of %s has not succeeded", c, named(p))
		problem.Hint = "What comes behind a sidecar starts when its startup probe succeeds: correct the probe, or give it more time with failureThreshold."
	}
	if t := c.status.LastTerminationState.Terminated; t != nil {
		problem.Message += fmt.Sprintf("; it was restarted (%s), and exited with code %d", plural(int(c.status.RestartCount), "time"), t.ExitCode)
	}
	problem.Container = c.spec.Name
	return problem
}

// unscheduled reads the PodScheduled condition; its message is FitError.Error of pkg/scheduler/framework/types.go.
func (w *view) unscheduled(p *corev1.Pod, c *corev1.PodCondition) *problem {
	if c != nil && c.Reason == corev1.PodReasonSchedulingGated {
		var gates []string
		for _, g := range p.Spec.SchedulingGates {
			gates = append(gates, g.Name)
		}
		return w.newProblem(p, event.Unschedulable, fmt.Sprintf("%s is held by scheduling gates: %s", named(p), quote(strings.Join(gates, ", "))),
			"The controller that put the gates there has to remove them.").waits("held by scheduling gates", p.CreationTimestamp.Time)
	}
	if name := p.Spec.SchedulerName; c == nil && name != "" && name != corev1.DefaultSchedulerName && !w.Now.Before(w.after(p.CreationTimestamp.Time, TakeGrace)) {
		return w.newProblem(p, event.Unschedulable, fmt.Sprintf("no scheduler called %q has taken %s", clean(name, 253), named(p)),
			"See whether that scheduler runs, and whether it holds pods in a queue; or correct schedulerName of the pod template, or leave it out.").waits("being scheduled", p.CreationTimestamp.Time)
	}
	if c == nil || c.Reason != corev1.PodReasonUnschedulable {
		return onItsWay("being scheduled", p.CreationTimestamp.Time)
	}
	said, _, _ := strings.Cut(c.Message, " preemption: ")
	said = quote(said)
	problem := w.newProblem(p, event.Unschedulable, fmt.Sprintf("%s cannot be scheduled: %s", named(p), said), schedulingHint(p, said)).
		waits("being scheduled", p.CreationTimestamp.Time)
	if m := missingClaim.FindStringSubmatch(c.Message); m != nil {
		problem.Message = fmt.Sprintf("%s cannot be scheduled: PersistentVolumeClaim %q does not exist in namespace %s", named(p), m[1], p.Namespace)
		problem.Hint = event.See("Create the claim, or correct its name", event.Kubectl(p.Namespace, "get persistentvolumeclaims"))
		return problem.permanent(w.after(c.LastTransitionTime.Time, ConfigGrace))
	}
	switch scaler := w.autoscaler(p); scaler {
	case "TriggeredScaleUp":
		problem.Message += "; the cluster autoscaler adds a node for it"
	case "NotTriggerScaleUp":
		problem.Message += "; the cluster autoscaler cannot add a node that would do"
	}
	return problem
}

var missingClaim = regexp.MustCompile(`persistentvolumeclaim "([^"]+)" not found`)

// autoscaler is the newest answer of the cluster autoscaler to an unschedulable pod, by the reason of its event.
func (w *view) autoscaler(p *corev1.Pod) (reason string) {
	var newest time.Time
	for _, e := range w.podEvents[p.UID] {
		if slices.Contains(scaling, e.Reason) {
			if _, last, _ := seen(e); !last.Before(newest) {
				reason, newest = e.Reason, last
			}
		}
	}
	return reason
}

var insufficient = regexp.MustCompile(`Insufficient ([A-Za-z0-9./-]+)`)

// schedulingHint reads the reasons of the plugins under pkg/scheduler/framework/plugins.
func schedulingHint(p *corev1.Pod, said string) string {
	var hints []string
	for _, m := range insufficient.FindAllStringSubmatch(said, -1) {
		hint := fmt.Sprintf("Lower the request for %s", m[1])
		if sum := requested(p, corev1.ResourceName(m[1])); sum != "" {
			hint += fmt.Sprintf(" (the pod asks for %s)", sum)
		}
		hints = append(hints, hint+" or add room to the cluster.")
	}
	for _, h := range []struct{ sign, hint string }{
		{"untolerated taint", "Add a toleration for the taint (kubectl get nodes -o custom-columns=NAME:.metadata.name,TAINTS:.spec.taints)."},
		{"taints that the pod didn't tolerate", "Add a toleration for the taint (kubectl get nodes -o custom-columns=NAME:.metadata.name,TAINTS:.spec.taints)."},
		{"node affinity/selector", "Nodes lack the labels" + selector(p) + " that nodeSelector or nodeAffinity ask for (kubectl get nodes --show-labels)."},
		{"affinity rules", "Its podAffinity or podAntiAffinity fits no node."},
		{"topology spread", "Its topologySpreadConstraints fit no node."},
		{"PersistentVolumeClaims", event.In("Its PersistentVolumeClaim is not bound", event.Kubectl(p.Namespace, "get persistentvolumeclaims")) + "."},
		{"volume node affinity", "Its volume can be used on other nodes only."},
		{"Too many pods", "The nodes have reached their number of pods: wait for others to end or add nodes."},
		{"free ports", "A hostPort that it asks for is taken on every node."},
		{"were unschedulable", "Nodes are cordoned (kubectl get nodes)."},
	} {
		if strings.Contains(said, h.sign) {
			hints = append(hints, h.hint)
		}
	}
	return strings.Join(hints, " ")
}

func selector(p *corev1.Pod) string {
	if len(p.Spec.NodeSelector) == 0 {
		return ""
	}
	pairs := make([]string, 0, len(p.Spec.NodeSelector))
	for k, v := range p.Spec.NodeSelector {
		pairs = append(pairs, k+"="+v)
	}
	slices.Sort(pairs)
	return " " + quote(strings.Join(pairs, ", "))
}

// requested sums what the main containers of a pod request of one resource; "" for nothing.
func requested(p *corev1.Pod, name corev1.ResourceName) string {
	sum, any := p.Spec.Overhead[name], false
	for _, c := range p.Spec.Containers {
		if q, ok := c.Resources.Requests[name]; ok {
			sum.Add(q)
			any = true
		}
	}
	if !any {
		return ""
	}
	return sum.String()
}

// creating looks at the events of a pod whose containers are not made yet: until then, the kubelet puts its troubles nowhere
// else (pkg/kubelet/events/event.go).
func (w *view) creating(p *corev1.Pod, since time.Time) *problem {
	var pulling *corev1.Event
	var past time.Time // the newest sign that volumes and sandbox are done
	for _, e := range w.podEvents[p.UID] {
		if _, last, _ := seen(e); slices.Contains(setUp, e.Reason) && !last.Before(past) {
			past, pulling = last, nil
			if e.Reason == "Pulling" {
				pulling = e
			}
		}
	}
	var trouble *corev1.Event
	var newest time.Time
	events := w.podEvents[p.UID]
	if ran(p, event.Init, event.Sidecar) {
		events = nil // volumes and sandbox came before
	}
	for _, e := range events {
		_, last, _ := seen(e)
		if !slices.Contains(troubles, e.Reason) || !by(e, "kubelet", "attachdetach-controller") || !past.IsZero() && !last.After(past) {
			continue
		}
		// "timed out waiting" every other minute says less than the mount error that it waits for.
		better := trouble == nil || last.After(newest)
		if trouble != nil && (volumeTimeout.MatchString(e.Message) || volumeTimeout.MatchString(trouble.Message)) {
			better = volumeTimeout.MatchString(trouble.Message)
		}
		if better {
			trouble, newest = e, last
		}
	}
	switch {
	case trouble == nil && pulling != nil:
		_, last, _ := seen(pulling)
		return onItsWay("pulling image", last)
	case trouble == nil && past.IsZero() && w.untaken(p):
		return w.newProblem(p, event.StartTimeout, fmt.Sprintf("the kubelet of node %q has not taken %s", clean(p.Spec.NodeName, 253), named(p)),
			cmp.Or(w.nodeNameHint(p), event.See("The node may be gone, or not ready", event.Kubectl("", "get node %s", p.Spec.NodeName)))).waits("waiting for its node", since)
	case trouble == nil:
		return onItsWay("creating container", since)
	case trouble.Reason == "FailedCreatePodSandBox" || trouble.Reason == "NetworkNotReady":
		return w.newProblem(p, event.StartTimeout, fmt.Sprintf("the sandbox of %s cannot be made: %s", named(p), quote(trouble.Message)),
			event.See("The network plugin or the container runtime of the node is in trouble", event.Kubectl("", "describe node %s", p.Spec.NodeName))).waits("waiting for its network", since)
	case trouble.Reason == "FailedPrepareDynamicResources":
		return w.newProblem(p, event.StartTimeout, fmt.Sprintf("the devices of %s cannot be prepared: %s", named(p), quote(trouble.Message)), "").waits("waiting for devices", since)
	default:
		return w.mountProblem(p, trouble).waits("waiting for volumes", since)
	}
}

// The messages of the volume plugins (pkg/volume/{secret,configmap,projected,hostpath}, operation_generator.go).
var (
	volumeTimeout = regexp.MustCompile(`^Unable to attach or mount volumes`)
	mountFailed   = regexp.MustCompile(`^MountVolume\.\S+ failed for volume "([^"]+)" : (.*)$`)
	missingObject = regexp.MustCompile(`\b(?i:(secret|configmap)) "([^"]+)" not found`)
	missingKey    = regexp.MustCompile(`references non-existent (?:secret|config) key: (\S+)`)
	hostPath      = regexp.MustCompile(`hostPath type check failed`)
)

func (w *view) mountProblem(p *corev1.Pod, e *corev1.Event) *problem {
	first, _, _ := seen(e)
	due := w.after(first, ConfigGrace)
	volume, said := "", e.Message
	if m := mountFailed.FindStringSubmatch(clean(e.Message, maxMessage)); m != nil {
		volume, said = m[1], m[2]
	}
	problem := w.newProblem(p, event.FailedMount, fmt.Sprintf("a volume of %s cannot be mounted: %s", named(p), quote(said)), "")
	if volume != "" {
		problem.Message = fmt.Sprintf("volume %q of %s cannot be mounted: %s", volume, named(p), quote(said))
	}
	if m := missingObject.FindStringSubmatch(said); m != nil {
		kind := kindOf(m[1])
		problem.Message = fmt.Sprintf("volume %q of %s cannot be mounted: %s %q does not exist in namespace %s", volume, named(p), kind, m[2], p.Namespace)
		problem.Hint = createHint(kind, p.Namespace, m[2], "--from-file=FILE")
		if mounts(p, kind, m[2]) {
			problem.claimed(Claim{Object: event.Ref{Kind: kind, Namespace: p.Namespace, Name: m[2]}}, due)
		}
		return problem
	}
	if m := missingKey.FindStringSubmatch(said); m != nil {
		kind, name := source(p, volume, m[1])
		problem.Message = fmt.Sprintf("volume %q of %s cannot be mounted: %s has no key %q", volume, named(p), object(kind, name), m[1])
		problem.Hint = keyHint(kind, p.Namespace, name)
		if mounts(p, kind, name) {
			problem.claimed(Claim{Object: event.Ref{Kind: kind, Namespace: p.Namespace, Name: name}, Key: m[1]}, due)
		}
		return problem
	}
	if hostPath.MatchString(said) {
		problem.Hint = "Create the path on the node, or give the hostPath volume another type."
	}
	if strings.Contains(said, "Multi-Attach error") {
		problem.Hint = "Another pod on another node still uses the volume: end it, or use a claim with access mode ReadWriteMany."
	}
	return problem
}

// source is the kind and name of the object behind a volume; of a projected one's, of that which has to have the key. "" when there is none.
func source(p *corev1.Pod, volume, key string) (kind, name string) {
	asks := func(k corev1.KeyToPath) bool { return k.Key == key }
	for _, v := range p.Spec.Volumes {
		switch {
		case v.Name != volume:
		case v.Secret != nil:
			return "Secret", v.Secret.SecretName
		case v.ConfigMap != nil:
			return "ConfigMap", v.ConfigMap.Name
		case v.Projected != nil:
			for _, s := range v.Projected.Sources {
				switch {
				case s.Secret != nil && slices.ContainsFunc(s.Secret.Items, asks):
					return "Secret", s.Secret.Name
				case s.ConfigMap != nil && slices.ContainsFunc(s.ConfigMap.Items, asks):
					return "ConfigMap", s.ConfigMap.Name
				}
			}
		}
	}
	return "", ""
}

func object(kind, name string) string {
	if kind == "" {
		return "a Secret or ConfigMap"
	}
	return fmt.Sprintf("%s %q", kind, name)
}

func kindOf(resource string) string {
	if strings.EqualFold(resource, "secret") {
		return "Secret"
	}
	return "ConfigMap"
}

// createHint says how a missing object is made. Variables come from single values, volumes from files.
func createHint(kind, namespace, name, from string) string {
	command := "create configmap %s "
	if kind == "Secret" {
		command = "create secret generic %s "
	}
	return event.In("Create it", event.Kubectl(namespace, command+from, name)) + " or correct the name."
}

func keyHint(kind, namespace, name string) string {
	if kind == "" {
		return "Add the key, or correct its name in the volume's items."
	}
	return event.See("See the keys that it has", event.Kubectl(namespace, "describe "+strings.ToLower(kind)+" %s", name))
}

// containerProblem reads a waiting state that the kubelet gave a reason. The reasons are in pkg/kubelet/images/types.go,
// pkg/kubelet/kuberuntime/kuberuntime_container.go and pkg/kubelet/container/sync_result.go.
func (w *view) containerProblem(p *corev1.Pod, c container, since time.Time) *problem {
	waiting := c.status.State.Waiting
	who := c.String() + " of " + named(p)
	said := quote(waiting.Message)
	var problem *problem
	what := "without an image"
	switch waiting.Reason {
	case "InvalidImageName":
		problem = w.newProblem(p, event.InvalidImageName, fmt.Sprintf("the image %q of %s is not a valid image name: %s", clean(c.spec.Image, 200), who, tail(said, ": ")),
			"Correct the image: registry/repository:tag, all lower case up to the tag.").permanent(w.patientSince)
	case "ErrImageNeverPull":
		problem = w.newProblem(p, event.ImagePull, fmt.Sprintf("the image %q of %s is not on node %s, and its imagePullPolicy is Never", clean(c.spec.Image, 200), who, p.Spec.NodeName),
			"Load the image onto the node, or set imagePullPolicy to IfNotPresent.").permanent(w.patientSince)
	case "ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "SignatureValidationFailed", "ImageInspectError":
		what = "waiting for its image"
		problem = w.pullProblem(p, c)
	case "CreateContainerConfigError":
		what = "waiting for its configuration"
		problem = w.configProblem(p, c, who, said)
	default: // CreateContainerError, RunContainerError, PreCreateHookError, PreStartHookError, PostStartHookError
		what = "creating container"
		problem = w.newProblem(p, event.CreateContainerConfig, fmt.Sprintf("%s cannot be created (%s): %s", who, clean(waiting.Reason, 64), said), "")
		if strings.Contains(said, "no command specified") {
			problem.Hint = "The image has no command of its own: set command of the container."
			problem.permanent(w.configDue(p, c))
		}
	}
	problem.Container = c.spec.Name
	return problem.waits(what, since)
}

// configDue is the end of the grace for a container that cannot be created. The state has no time stamp of its own; the
// event that goes with it has. The kubelet looks again after 10 s to 15 s (backOffPeriod with jitter in pkg/kubelet/pod_workers.go);
// what was missing may be there by then, so that the first failure alone decides nothing.
func (w *view) configDue(p *corev1.Pod, c container) time.Time {
	for _, e := range w.podEvents[p.UID] {
		if e.Reason == "Failed" && e.Message == "Error: "+c.status.State.Waiting.Message && concerns(e, c) {
			first, _, count := seen(e)
			if count < 2 {
				return time.Time{}
			}
			return w.after(first, ConfigGrace)
		}
	}
	// We may not read events, or they come late from a busy node: the time alone must do, three times as long.
	return w.after(w.startOf(p), 3*ConfigGrace)
}

// concerns tells whether a pod's event is about one container; its field path is spec.containers{main}.
func concerns(e *corev1.Event, c container) bool {
	return strings.HasSuffix(e.InvolvedObject.FieldPath, "{"+c.spec.Name+"}")
}

// The message of makeEnvironmentVariables in pkg/kubelet/kubelet_pods.go.
var envKey = regexp.MustCompile(`couldn't find key (\S+) in (Secret|ConfigMap) ([^/\s]+)/(\S+)`)

func (w *view) configProblem(p *corev1.Pod, c container, who, said string) *problem {
	problem := w.newProblem(p, event.CreateContainerConfig, fmt.Sprintf("%s cannot be created: %s", who, said), "")
	if m := missingObject.FindStringSubmatch(said); m != nil {
		kind := kindOf(m[1])
		problem.Message = fmt.Sprintf("%s cannot be created: %s %q does not exist in namespace %s", who, kind, m[2], p.Namespace)
		problem.Hint = createHint(kind, p.Namespace, m[2], "--from-literal=KEY=VALUE")
	} else if m := envKey.FindStringSubmatch(said); m != nil {
		problem.Message = fmt.Sprintf("%s cannot be created: %s %q has no key %q", who, m[2], m[4], m[1])
		problem.Hint = keyHint(m[2], p.Namespace, m[4])
	} else if strings.Contains(said, "runAsNonRoot") {
		said, _, _ = strings.Cut(said, " (pod: ")
		problem.Message = fmt.Sprintf("%s cannot be created: %s", who, said)
		problem.Hint = "Set securityContext.runAsUser to a number other than 0, or build the image with a numeric USER."
	} else if strings.Contains(said, "timed out") || strings.Contains(said, "failed to sync") || strings.Contains(said, "connection refused") {
		return problem
	}
	return problem.permanent(w.configDue(p, c))
}

// pulls are the known answers of registries and runtimes to a pull, the most telling first. The words are containerd's and
// CRI-O's, and the registries' own.
var pulls = []struct {
	signs     []string
	why, hint string
	heals     bool
}{
	{[]string{"toomanyrequests", "Too Many Requests", "rate limit"},
		"the registry's rate limit is reached", "Kubernetes tries again; logged-in users have a higher limit (registry-credentials), a mirror has none.", true},
	{[]string{"no match for platform", "for architecture", "does not match the specified platform"},
		"it was not built for the node's platform", "Build it for that platform too (docker buildx build --platform linux/amd64,linux/arm64), or choose nodes with a nodeSelector on kubernetes.io/arch.", false},
	{[]string{"SignatureValidationFailed", "signature validation failed"},
		"its signature is not accepted", "Sign the image, or correct the signature policy of the node.", false},
	{[]string{"no space left on device"}, "the node's disk is full", "Free the node's disk; Kubernetes tries again.", true},
	{[]string{"unauthorized", "401 Unauthorized", "403 Forbidden", "pull access denied", "authentication required", "insufficient_scope", "no basic auth credentials", "denied:", "authorization failed"},
		"the registry refuses it: it needs credentials, or does not exist", "Check the name, and give credentials with registry-credentials or imagePullSecrets.", false},
	{[]string{"x509:", "server gave HTTP response to HTTPS client", "tls: "},
		"the node does not trust the registry's certificate", "Make the node trust the registry; that is a setting of its container runtime.", true},
	{[]string{"dial tcp", "no such host", "i/o timeout", "connection refused", "connection reset", "handshake timeout", "deadline exceeded", ": EOF", "500 Internal", "502 Bad", "503 Service", "504 Gateway", "RegistryUnavailable", "registry is unavailable"},
		"the registry cannot be reached", "Check the registry's name in the image, and that the node can reach it; Kubernetes tries again.", true},
	{[]string{"not found", "manifest unknown", "name unknown", "NotFound", "404 "},
		"the registry has no such image or tag", "Check name and tag, and that the image was pushed.", false},
}

// pullText is the runtime's own words, without what the kubelet and containerd put in front and without the image's name:
// the same for the state after a pull and the back-off after it. claimed says that only an event tells them.
func (w *view) pullText(p *corev1.Pod, c container) (said string, claimed bool) {
	said = c.status.State.Waiting.Message
	if i := strings.Index(said, "Back-off pulling image"); i >= 0 {
		_, said, _ = strings.Cut(said[i:], `": `)
	}
	if said == "" { // kubelets before 1.31 keep it to themselves in the back-off
		claimed = true
		var newest time.Time
		for _, e := range w.podEvents[p.UID] {
			if _, last, _ := seen(e); failedPull(e, c) && !last.Before(newest) {
				newest, said = last, e.Message
			}
		}
	}
	for _, front := range []string{"failed to do request: ", "failed to pull and unpack image ", "failed to resolve reference ", "failed to resolve image: ", " desc = "} {
		said = tail(said, front)
	}
	return strings.TrimLeft(strings.ReplaceAll(said, c.spec.Image, ""), `": `), claimed
}

func failedPull(e *corev1.Event, c container) bool {
	return e.Reason == "Failed" && strings.HasPrefix(e.Message, "Failed to pull image") && concerns(e, c)
}

func (w *view) pullProblem(p *corev1.Pod, c container) *problem {
	var began time.Time
	failures := 0
	for _, e := range w.podEvents[p.UID] {
		if failedPull(e, c) {
			first, _, count := seen(e)
			failures += count
			if began.IsZero() || first.Before(began) {
				began = first
			}
		}
	}
	if failures == 0 { // we may not read events: the time alone must do, three times as long
		began, failures = p.CreationTimestamp.Add(2*PullGrace), 2
	}
	text, claimed := w.pullText(p, c)
	what := fmt.Sprintf("the image %q of %s of %s cannot be pulled", clean(c.spec.Image, 200), c, named(p))
	all := c.status.State.Waiting.Reason + " " + text
	for _, known := range pulls {
		for _, sign := range known.signs {
			if !strings.Contains(all, sign) {
				continue
			}
			problem := w.newProblem(p, event.ImagePull, what+": "+known.why, known.hint)
			if known.heals {
				problem.Message += " (" + clean(text, 200) + ")"
			} else if claimed {
				problem.heals = true // the next pull that fails says it in the pod's status
			} else if failures >= 2 {
				problem.permanent(w.after(began, PullGrace))
			} else {
				problem.permanent(time.Time{})
			}
			return problem
		}
	}
	return w.newProblem(p, event.ImagePull, what+": "+quote(text), "")
}
