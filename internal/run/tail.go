package run

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// How much of a container's output is kept to explain its failure.
const (
	tailLines = 20
	// As many are kept as the stack traces of frameworks have, whose first line says what happened, and among which those of the own code stand.
	traceLines = 100
	tailWidth  = 1024     // bytes of one line
	mostTails  = 16 << 20 // bytes of all lines
	lineCosts  = 64       // bytes that a line takes beside its own
)

// How much of it the end of a run has for each pod that failed.
const (
	podLines   = 10
	fewLines   = 3         // as many pods as possible have these before one has more
	mostOfPods = 256 << 10 // bytes of the lines of all pods
)

// tails keeps the last lines of each container, the containers of a pod under the pod's UID.
type tails struct {
	pods map[string]map[string]tail
	size int
}

type tail struct {
	lines []string
	more  bool // the last line goes on, but is cut already
}

func newTails() *tails { return &tails{pods: map[string]map[string]tail{}} }

func (t *tails) add(e event.Lines) {
	containers := t.pods[e.Stream.PodUID]
	if containers == nil {
		containers = map[string]tail{}
		t.pods[e.Stream.PodUID] = containers
	}
	kept := containers[e.Stream.Container]
	for _, l := range e.Lines {
		// A line in pieces is longer than what is kept of one.
		if !kept.more {
			// A clone: the text is a part of a large read that must not be held.
			kept.lines = append(kept.lines, strings.Clone(event.Shorten(l.Text, tailWidth)))
			t.size += cost(kept.lines[len(kept.lines)-1:])
		}
		kept.more = l.More
		if len(kept.lines) >= 2*traceLines {
			t.cut(&kept, traceLines)
		}
	}
	containers[e.Stream.Container] = kept
	if t.size > mostTails {
		t.shrink()
	}
}

// cost is how much lines take.
func cost(lines []string) (n int) {
	for _, l := range lines {
		n += len(l) + lineCosts
	}
	return n
}

// cut leaves the last n lines.
func (t *tails) cut(kept *tail, n int) {
	if more := len(kept.lines) - n; more > 0 {
		t.size -= cost(kept.lines[:more])
		kept.lines = slices.Delete(kept.lines, 0, more)
	}
}

// shrink makes room for as much again: every container keeps fewer lines, and when even one of each is too much, some keep none.
func (t *tails) shrink() {
	for _, n := range []int{traceLines, tailLines, podLines, fewLines, 1} {
		for _, containers := range t.pods {
			for name, kept := range containers {
				t.cut(&kept, n)
				kept.lines = slices.Clip(kept.lines)
				containers[name] = kept
			}
		}
		if t.size <= mostTails/2 {
			return
		}
	}
	for pod := range t.pods {
		if t.drop(pod); t.size <= mostTails/2 {
			return
		}
	}
}

func (t *tails) last(podUID, container string, n int) []string {
	kept := t.pods[podUID][container].lines
	return kept[max(0, len(kept)-n):]
}

func (t *tails) drop(podUID string) {
	for _, kept := range t.pods[podUID] {
		t.cut(&kept, 0)
	}
	delete(t.pods, podUID)
}

// explain gives the pods that failed the last lines of the containers that did. The results are those of the pods, in the same order. As
// many pods as possible have fewLines; then, as far as there is room, podLines.
func (t *tails) explain(pods []*corev1.Pod, results []event.PodResult) {
	type failed struct {
		lines  []string // all that are kept
		result *event.PodResult
	}
	var all []failed
	for i := range results {
		if lines := t.last(string(pods[i].UID), results[i].Container, podLines); len(lines) > 0 && results[i].Container != "" {
			all = append(all, failed{lines, &results[i]})
		}
	}
	few := func(lines []string) []string { return lines[max(0, len(lines)-fewLines):] }
	slices.SortStableFunc(all, func(a, b failed) int { return cmp.Compare(cost(few(a.lines)), cost(few(b.lines))) })
	room := mostOfPods
	for i, f := range all {
		if room -= cost(few(f.lines)); room < 0 {
			return
		}
		all[i].result.Tail = few(f.lines)
	}
	for n := fewLines + 1; n <= podLines; n++ {
		for _, f := range all {
			if len(f.lines) < n {
				continue
			}
			lines := f.lines[len(f.lines)-n:]
			if room -= cost(lines[:1]); room < 0 {
				return
			}
			f.result.Tail = lines
		}
	}
}
