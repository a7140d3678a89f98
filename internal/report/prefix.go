package report

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// Prefix is what the lines of a stream begin with, in brackets: only what is needed to tell the streams of the Job apart.
//
//   - Of a Job with several pods: the completion index, right-aligned ("[ 3] "), or the random end of the pod's name ("[x7k2p] ").
//   - Of pods with several containers: the container's name ("[migrate] ").
//   - The attempt from the second on, unless the pod's name tells it already, and the restart of a container in its pod
//     ("[attempt 2] ", "[restart 1] ").
//
// Several are combined: "[ 3 migrate attempt 2] ". The only stream of a Job with one pod and one container has no prefix, so that its
// output can be used as it is.
func Prefix(s *event.Stream, started event.Started) string {
	var parts []string
	pods := started.Pods > 1
	switch {
	case pods && s.Index >= 0:
		parts = append(parts, fmt.Sprintf("%*d", len(strconv.Itoa(started.Pods-1)), s.Index))
	case pods:
		parts = append(parts, s.Pod[strings.LastIndexByte(s.Pod, '-')+1:])
	}
	if started.Containers > 1 {
		parts = append(parts, s.Container)
	}
	if s.Attempt > 1 && (!pods || s.Index >= 0) {
		parts = append(parts, fmt.Sprintf("attempt %d", s.Attempt))
	}
	if s.Restart > 0 {
		parts = append(parts, fmt.Sprintf("restart %d", s.Restart))
	}
	if len(parts) == 0 {
		return ""
	}
	return "[" + strings.Join(parts, " ") + "] "
}
