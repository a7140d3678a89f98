// Package logs follows the output of every container run of a Job's pods: each line exactly once, in order per container,
// live, whatever happens to the connection, the kubelet or the log file in between.
package logs

import (
	"context"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// Opener opens the log of one container of a pod, as client-go's Pods(namespace).GetLogs(pod, o).Stream(ctx) does.
type Opener func(ctx context.Context, namespace, pod string, o *corev1.PodLogOptions) (io.ReadCloser, error)

// Options are what a Follower needs.
type Options struct {
	Open       Opener
	Out        chan<- event.Event
	Streams    int           // streams that are open at once; 0 means 64
	Containers []string      // names of the containers to follow; empty means all
	MinBackoff time.Duration // first pause before a log is opened again; 0 means 100 ms
}

// Follower follows the containers of the pods that it is shown.
type Follower struct{}

// New makes a Follower that works until Close or until ctx is done.
func New(ctx context.Context, o Options) *Follower { return &Follower{} }

// Observe tells the state of a pod. It never blocks.
func (f *Follower) Observe(pod *corev1.Pod, gone bool) {}

// Drain reads every log to its end, for at most limit; then event.Drained is sent once. It does not wait.
func (f *Follower) Drain(limit time.Duration) {}

// Close stops everything and waits for it.
func (f *Follower) Close() {}
