// Package pods numbers the pods of a Job: by completion index, and by attempt.
package pods

import (
	"cmp"
	"strconv"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Numbering gives each pod of a Job its completion index and its number among the pods of that index, or among all pods of
// the Job when it has no indexes: also with a parallelism above 1, where the number tells the order in which pods came.
// Pods count in the order in which they are shown; where the Job counts failures by index, its own count is taken.
// The zero value is ready. It is not safe for concurrent use.
type Numbering struct {
	attempts map[types.UID]int
	last     map[int]int
}

// Of gives the index of a pod, -1 without one, and its attempt, from 1.
func (n *Numbering) Of(pod *corev1.Pod) (index, attempt int) {
	index = Index(pod)
	if attempt = n.attempts[pod.UID]; attempt > 0 {
		return index, attempt
	}
	if n.attempts == nil {
		n.attempts, n.last = map[types.UID]int{}, map[int]int{}
	}
	attempt = n.last[index] + 1
	if failed, err := strconv.Atoi(pod.Annotations[batchv1.JobIndexFailureCountAnnotation]); err == nil {
		ignored, _ := strconv.Atoi(pod.Annotations[batchv1.JobIndexIgnoredFailureCountAnnotation])
		attempt = failed + ignored + 1
	}
	n.attempts[pod.UID] = attempt
	n.last[index] = max(n.last[index], attempt)
	return index, attempt
}

// Compare orders pods by their creation, which is told in whole seconds, and by their index within one.
func Compare(a, b *corev1.Pod) int {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), Index(a)-Index(b))
}

// Index is a pod's completion index, -1 without one.
func Index(pod *corev1.Pod) int {
	for _, in := range []map[string]string{pod.Annotations, pod.Labels} {
		if i, err := strconv.Atoi(in[batchv1.JobCompletionIndexAnnotation]); err == nil {
			return i
		}
	}
	return -1
}
