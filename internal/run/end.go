package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planton/kubernetes-job-action/internal/cluster"
	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/verdict"
)

// failed is the end of a run that has followed no Job: it was not created, or could not be completed.
func (r *runner) failed(err error) event.Finished {
	f := event.Finished{Outcome: event.Failed, Job: r.ref()}
	if !errors.As(err, &f.Cause) {
		f.Cause = cluster.Cause(err, "run "+r.ref().String())
	}
	if f.Cause.Reason == event.Timeout {
		f.Outcome = event.TimedOut
	}
	if r.created != nil {
		f.UID = string(r.created.UID)
	}
	if r.unknown {
		f.Cause.Message += "; whether " + r.ref().String() + " was created is not known"
		f.Cause.Hint = event.Kubectl(r.ref().Namespace, "get job %s", r.ref().Name)
	}
	return f
}

// cancelled is the end of a run that was told to stop, once the deletion of its Job is over.
func (l *loop) cancelled() event.Finished {
	f := event.Finished{Outcome: event.Cancelled, Job: l.ref(), Cause: &event.Cause{
		Reason: event.ReasonCancelled, Object: l.ref(), Message: "the run of " + l.ref().String() + " was cancelled"}}
	switch {
	case l.unknown:
		f.Cause.Message += "; whether the Job was created is not known"
		f.Cause.Hint = event.Kubectl(l.ref().Namespace, "get job %s", l.ref().Name)
	case l.created == nil:
		f.Cause.Message += " before the Job was created"
	case l.leaves:
		l.left = true
		f.Cause.Message += "; the Job goes on, as on-cancel says"
	case l.options.OnCancel == UnfinishedLeave:
		l.cleanUp(func() error { return <-l.deleted }, "the run was cancelled before the Job was complete")
	default:
		l.cleanUp(func() error { return <-l.deleted }, "the run was cancelled")
	}
	if l.created != nil {
		f.UID = string(l.created.UID)
	}
	return f
}

// finishJob does with the Job what the options say for its end.
func (l *loop) finishJob(ctx context.Context, s verdict.State, v verdict.Verdict) {
	if s.Gone || s.ReplacedBy != "" || v.Outcome == event.Vanished {
		return
	}
	deletion := func() error { return l.delete(ctx) }
	if v.DeleteJob {
		if l.options.OnTimeout == UnfinishedDelete || v.Outcome == event.Succeeded { // by the end of main-container, and the rest would go on for ever
			l.unlock(ctx, false) // beside the deletion, as after a signal: the next holder waits for the Job
			if l.cleanUp(deletion, "this run ended before it did") {
				verdict.Deleted(v.Cause, "on-timeout: leave")
			}
		} else {
			l.leave()
		}
		return
	}
	if v.Outcome != event.Succeeded && v.Outcome != event.Failed || v.Cause != nil && v.Cause.Reason == event.APIUnreachable {
		return
	}
	if slices.Contains(l.options.DeleteAfter, v.Outcome) {
		if l.cleanUp(deletion, "") {
			verdict.Deleted(v.Cause, "cleanup: never")
		}
		return
	}
	detail := "it stays"
	if ttl := l.created.Spec.TTLSecondsAfterFinished; ttl != nil {
		detail = "the cluster deletes it in " + event.Seconds(time.Duration(*ttl)*time.Second)
		if *ttl == 0 {
			verdict.Deleted(v.Cause, "a longer ttlSecondsAfterFinished")
			detail = "the cluster deletes it at once"
		}
	}
	l.emit(event.Object{Object: l.ref(), Action: "kept", Detail: detail})
}

// leave lets the Job go on without the run.
func (l *loop) leave() {
	l.left = true
	l.emit(event.Object{Object: l.ref(), Action: "kept", Detail: "it goes on, as on-timeout says"})
}

// applyAfter applies what waited for the Job's success. The first failure ends it, and the run: what serves may need what comes before it.
func (l *loop) applyAfter(ctx, inTime context.Context, f *event.Finished) {
	for _, o := range l.objects.After {
		var err error
		l.beside(func() { err = l.apply(inTime, o, false) })
		if err == nil {
			l.emit(event.Object{Object: applied(o), Action: "applied", Detail: "it stays"})
			continue
		}
		f.Outcome, f.Cause = event.Failed, cluster.Cause(err, "apply "+applied(o).String())
		f.Cause.Reason, f.Cause.Object = event.OthersNotApplied, applied(o)
		if ctx.Err() != nil {
			f.Outcome = event.Cancelled
			f.Cause = &event.Cause{Reason: event.ReasonCancelled, Object: applied(o), Message: fmt.Sprintf("the run was cancelled before %s was applied", applied(o))}
		}
		f.Cause.Message = fmt.Sprintf("%s succeeded, but what was to follow is not complete: %s", l.ref(), f.Cause.Message)
		return
	}
}

// deleteOnCancel does with the Job what is to be done when the run is told to stop.
func (r *runner) deleteOnCancel(ctx context.Context) error {
	// The next holder of the lock waits for the pods, so nothing here has to.
	r.unlock(ctx, r.leaves)
	if r.leaves {
		return nil
	}
	return r.delete(ctx)
}

// delete deletes the Job, and with it all that it owns. It does not wait for the pods to end. An outage of the API server is
// waited for, but no longer than limit once ctx is done, by a signal or because timeout is over.
func (r *runner) delete(ctx context.Context) error {
	deleting, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() {
		limit := r.limit()
		time.AfterFunc(limit, func() {
			cancel(&event.Cause{Reason: event.APIUnreachable, Object: r.ref(), Message: fmt.Sprintf("the API server %s did not answer within %s", r.client.Server, event.Seconds(limit))})
		})
	})()
	held, err := remove(deleting, r.client, r.ref(), r.created.UID, metav1.DeletePropagationBackground)
	// Another UID under the name is somebody else's Job: ours is gone.
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	r.held = held
	return err
}

// limit is how long a request may take at the end of a run that is out of time.
func (r *runner) limit() time.Duration { return min(deleteLimit, endLimit-r.searched) }

// cleanUp waits for a deletion of the Job, and tells how it went: whether the Job is gone. Without a reason why, the Job has ended, and does no harm.
func (l *loop) cleanUp(deletion func() error, why string) bool {
	var err error
	l.beside(func() { err = deletion() })
	switch {
	case err == nil && l.held != nil:
		n := event.Notice{Level: event.Info, Message: l.ref().String() + " is being deleted, and still there"}
		if by, hint := verdict.Holders(l.held); by != "" {
			n = event.Notice{Level: event.Warning, Message: n.Message + ": " + by, Hint: hint}
		}
		l.emit(n)
		return false
	case err == nil && why != "": // it was at work
		l.emit(event.Object{Object: l.ref(), Action: "deleted", Detail: grace(why, l.created)})
		return true
	case err == nil:
		l.emit(event.Object{Object: l.ref(), Action: "deleted"})
		return true
	}
	l.undeleted = why != ""
	l.emit(event.Notice{Level: event.Warning,
		Message: fmt.Sprintf("%s could not be deleted: %v", l.ref(), err),
		Hint:    event.Kubectl(l.created.Namespace, "delete job %s", l.created.Name)})
	return false
}
