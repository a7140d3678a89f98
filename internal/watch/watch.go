// Package watch follows one Job, its pods and the Kubernetes events about them, and survives what happens to a watch.
package watch

import (
	"context"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// Follow tells everything that happens to the Job, which is given as its creation answered it.
func Follow(ctx context.Context, client kubernetes.Interface, job *batchv1.Job, out chan<- event.Event) error {
	return nil
}
