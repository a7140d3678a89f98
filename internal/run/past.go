package run

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// mostPast is how many events the end of a run has.
const mostPast = 100

// past is what Kubernetes said about the Job and its pods: the newest warnings, and as much else as there is room for.
type past []*corev1.Event

func (p *past) add(e *corev1.Event) {
	if i := slices.IndexFunc(*p, func(o *corev1.Event) bool { return o.UID == e.UID }); i >= 0 {
		(*p)[i] = e
		return
	}
	*p = append(*p, e)
	if len(*p) > mostPast {
		i := slices.Index(*p, slices.MinFunc(*p, func(a, b *corev1.Event) int {
			return cmp.Or(cmp.Compare(weight(a), weight(b)), a.CreationTimestamp.Compare(b.CreationTimestamp.Time))
		}))
		*p = slices.Delete(*p, i, i+1)
	}
}

func weight(e *corev1.Event) int {
	if e.Type == corev1.EventTypeWarning {
		return 1
	}
	return 0
}
