package run

import (
	"slices"
	"strings"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// How much of a container's output is kept to explain its failure.
const (
	tailLines = 20
	tailWidth = 1024 // bytes of one line
)

// tails keeps the last lines of each container, the containers of a pod under the pod's UID.
type tails map[string]map[string]tail

type tail struct {
	lines []string
	more  bool // the last line goes on, but is cut already
}

func (t tails) add(e event.Lines) {
	containers := t[e.Stream.PodUID]
	if containers == nil {
		containers = map[string]tail{}
		t[e.Stream.PodUID] = containers
	}
	kept := containers[e.Stream.Container]
	for _, l := range e.Lines {
		// A line in pieces is longer than what is kept of one.
		if !kept.more {
			// A clone: the text is a part of a large read that must not be held.
			kept.lines = append(kept.lines, strings.Clone(event.Shorten(l.Text, tailWidth)))
		}
		kept.more = l.More
		if len(kept.lines) >= 2*tailLines {
			kept.lines = slices.Delete(kept.lines, 0, len(kept.lines)-tailLines)
		}
	}
	containers[e.Stream.Container] = kept
}

func (t tails) last(podUID, container string) []string {
	kept := t[podUID][container].lines
	return kept[max(0, len(kept)-tailLines):]
}

func (t tails) drop(podUID string) { delete(t, podUID) }
