package verdict

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/refusal"
)

// Claim is what an event says about the cluster, and what can be asked of it: of a Pod, that the API server takes no further pod of the
// Job; of a Secret or ConfigMap, that it does not exist, or has no such key.
type Claim struct {
	Object event.Ref // of a Pod without a name: it has none yet
	Key    string    // "" when the object itself is missing
}

// Answer is what the cluster says to a claim.
type Answer struct {
	Known bool   // it could be asked; else Said tells why it could not
	True  bool   // it is as the claim says
	Said  string // what the API server has against the pod, in its own words
}

// Question is a claim in words, for whoever asks.
type Question struct {
	Claim
	Says string // what the event says: one sentence without a full stop
}

// mostQuestions bounds the requests that events lead to. The rest is asked when these are answered.
const mostQuestions = 20

// doubt tells what has to be asked before the problems decide. none of them decides when the cluster says otherwise, or cannot be asked.
func (w *view) doubt(problems ...*problem) (ask []Question, none bool) {
	for _, p := range problems {
		if p.claim == nil {
			continue
		}
		switch answer, ok := w.Answers[*p.claim]; {
		case !ok:
			asked := slices.ContainsFunc(ask, func(q Question) bool { return q.Claim == *p.claim })
			if !asked && len(ask) < mostQuestions {
				ask = append(ask, Question{*p.claim, clean(p.Message, maxMessage)})
			}
		case !answer.Known || !answer.True || p.said != "" && !p.agrees(answer, w.ref.Namespace):
			return nil, true
		}
	}
	return ask, false
}

// agrees tells whether the API server has the same against the pod as the event says, and that for good.
func (p *problem) agrees(a Answer, namespace string) bool {
	return refusal.Same(p.said, a.Said) && !refusal.Pod(a.Said, namespace).Heals
}

// by tells whether an event is by one of the components, or says so: this keeps accidents out, and nobody who means harm.
func by(e *corev1.Event, components ...string) bool {
	return slices.Contains(components, cmp.Or(e.ReportingController, e.Source.Component))
}

// mounts tells whether a pod cannot start without a Secret or ConfigMap for one of its volumes.
func mounts(p *corev1.Pod, kind, name string) bool {
	needs := func(k, n string, optional *bool) bool {
		return k == kind && n == name && (optional == nil || !*optional)
	}
	for _, v := range p.Spec.Volumes {
		if s := v.Secret; s != nil && needs("Secret", s.SecretName, s.Optional) {
			return true
		}
		if c := v.ConfigMap; c != nil && needs("ConfigMap", c.Name, c.Optional) {
			return true
		}
		if v.Projected == nil {
			continue
		}
		for _, source := range v.Projected.Sources {
			if s := source.Secret; s != nil && needs("Secret", s.Name, s.Optional) {
				return true
			}
			if c := source.ConfigMap; c != nil && needs("ConfigMap", c.Name, c.Optional) {
				return true
			}
		}
	}
	return false
}
