package run

import (
	"strings"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// How much of a container's output is kept to explain its failure.
const (
	tailLines = 20
	tailWidth = 1024 // bytes of one line
)

// tails keeps the last lines of each container, the containers of a pod under the pod's UID.
type tails map[string]map[string][]string

func (t tails) add(e event.Lines) {
	containers := t[e.Stream.PodUID]
	if containers == nil {
		containers = map[string][]string{}
		t[e.Stream.PodUID] = containers
	}
	kept := containers[e.Stream.Container]
	for _, l := range e.Lines[max(0, len(e.Lines)-tailLines):] {
		// A clone: the text is a part of a large read that must not be held.
		kept = append(kept, strings.Clone(event.Shorten(l.Text, tailWidth)))
	}
	containers[e.Stream.Container] = kept[max(0, len(kept)-tailLines):]
}

func (t tails) last(podUID, container string) []string { return t[podUID][container] }

func (t tails) drop(podUID string) { delete(t, podUID) }
