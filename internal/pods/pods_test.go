package pods

import (
	"slices"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func pod(name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name)}}
}

func TestNumbering(t *testing.T) {
	var n Numbering
	indexed := func(name, index, failures string) *corev1.Pod {
		p := pod(name)
		p.Annotations = map[string]string{"batch.kubernetes.io/job-completion-index": index}
		if failures != "" {
			p.Annotations["batch.kubernetes.io/job-index-failure-count"] = failures
		}
		return p
	}
	for i, tt := range []struct {
		pod            *corev1.Pod
		index, attempt int
	}{
		{pod("a"), -1, 1}, {pod("b"), -1, 2}, {pod("a"), -1, 1},
		{indexed("c", "0", ""), 0, 1}, {indexed("d", "3", ""), 3, 1}, {indexed("e", "0", ""), 0, 2}, {indexed("f", "3", "4"), 3, 5},
	} {
		if index, attempt := n.Of(tt.pod); index != tt.index || attempt != tt.attempt {
			t.Errorf("%d: pod %s has index %d and attempt %d, want %d and %d", i, tt.pod.Name, index, attempt, tt.index, tt.attempt)
		}
	}
}

func TestCompare(t *testing.T) {
	at := func(name string, second int64, index int) *corev1.Pod {
		p := pod(name)
		p.CreationTimestamp = metav1.NewTime(time.Unix(second, 0))
		if index >= 0 {
			p.Annotations = map[string]string{"batch.kubernetes.io/job-completion-index": strconv.Itoa(index)}
		}
		return p
	}
	sorted := []*corev1.Pod{at("a", 2, 0), at("b", 1, 10), at("c", 1, 2), at("d", 1, 2), at("e", 0, 7), at("f", 3, -1), at("g", 3, -1)}
	slices.SortStableFunc(sorted, Compare)
	got := ""
	for _, p := range sorted {
		got += p.Name
	}
	if want := "ecdbafg"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
