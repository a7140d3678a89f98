// Package run takes one rendered Job through its life: it creates the Job and what belongs to it, follows it to the Job's own
// verdict, reads the logs to their end, and cleans up. It is the only package that changes anything in the cluster.
package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/planton/kubernetes-job-action/internal/cluster"
	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/verdict"
)

// Sink takes the news of a run, one event at a time, in the order in which they happened. An error means that the user can
// no longer be told anything; the run then ends as if it had been cancelled.
type Sink interface {
	Event(event.Event) error
	// AddSecrets adds values that must not be shown from now on.
	AddSecrets(...event.Secret)
}

// Objects are what a run creates, in the order of creation.
type Objects struct {
	CreateNamespace bool                         // create the Job's namespace when it is missing
	Apply           []*unstructured.Unstructured // the user's own objects: applied, and never deleted
	After           []*unstructured.Unstructured // those that are applied only when the Job has succeeded
	Job             *batchv1.Job
	OneTime         bool             // the Job's name is that of this run alone, and so are those of its Secrets
	Owned           []runtime.Object // *corev1.Secret and *corev1.ConfigMap that live and die with the Job

	// Rename gives the same with another suffix for the Job's name, so that all of it is within what Kubernetes allows. It is called when
	// IfExists is IfExistsSuffix.
	Rename func(suffix string) (Objects, error)

	// Place says where the user wrote what the API server finds wrong with one of these objects. field and message are those of a
	// metav1.StatusCause. Without it the message of the whole answer is told.
	Place func(of runtime.Object, field, message string) event.Finding
}

// Options are the decisions of the user about a run.
type Options struct {
	Began         time.Time       // from when timeout counts; zero: from when Run is called
	Preflight     bool            // ask first whether everything that the run needs is allowed
	Lock          Lock            // taken before anything is created
	Wait          bool            // follow the Job to its end
	IfExists      IfExists        // what to do when the name is taken
	OnCancel      Unfinished      // when the run is cancelled
	OnTimeout     Unfinished      // when the run ends before the Job does
	DeleteAfter   []event.Outcome // a Job that ended so is deleted; any other stays
	Logs          Logs
	LogContainers []string // those whose output is read; nil: all
	Live          bool     // tell the state of the Job every second, for a sink that draws it anew each time
	Verdict       verdict.Options
}

// IfExists says what to do when a Job of the same name exists.
type IfExists string

// What can be done then.
const (
	IfExistsReplaceFinished IfExists = "replace-finished" // replace it when it has finished, else fail
	IfExistsReplace         IfExists = "replace"
	IfExistsFail            IfExists = "fail"
	IfExistsSuffix          IfExists = "suffix"         // take another name
	IfExistsAttach          IfExists = "attach"         // follow it when it runs the same manifest
	IfExistsKeepSucceeded   IfExists = "keep-succeeded" // run the same manifest once for each key
)

// Unfinished says what becomes of a Job that has not finished when the run ends.
type Unfinished string

// What can become of it.
const (
	UnfinishedDelete Unfinished = "delete"
	UnfinishedLeave  Unfinished = "leave"
)

// Logs says whether container output is shown.
type Logs string

// When it can be shown.
const (
	LogsStream    Logs = "stream"     // live
	LogsOnFailure Logs = "on-failure" // at the end, and only after a failure
	LogsNone      Logs = "none"       // never, and it is not read
)

// How long the steps at the end of a run may take. A CI runner kills a cancelled step 10 s after its first signal
// (actions/runner, ProcessInvoker.cs: 7.5 s to SIGTERM, 2.5 s more to SIGKILL), so what a cancelled run still does fits into that.
const (
	deleteLimit      = 5 * time.Second
	endLimit         = 7 * time.Second // for the search for a Job whose creation was not answered, and its deletion
	explainLimit     = time.Second
	drainLimit       = 30 * time.Second
	drainCancelLimit = 2 * time.Second
)

// heartbeat is how long nothing may be said before the state of the Job is.
const heartbeat = 30 * time.Second

// live is how often the state of the Job is said for a status line.
const live = time.Second

// settle is how long changes of pods are gathered before they are judged together; changes of the Job are judged at once.
const settle = 50 * time.Millisecond

// Run creates the objects and follows the Job to its end. How it ended, refusals of the cluster included, is in the
// answer, which is also the last event that the sink gets. The error is the sink's alone.
// Cancelling ctx deletes the Job (see Options.OnCancel) and ends the run within seconds.
func Run(ctx context.Context, client *cluster.Client, objects Objects, o Options, sink Sink) (event.Finished, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l := newLoop(newRunner(client, objects, o), sink, cancel)
	finished := l.run(ctx)
	finished.Undeleted = l.undeleted
	l.hear() // a secret that the end may quote
	l.emit(finished)
	return finished, l.broken
}

// InTime is a context that ends with ctx, and when a timeout is over, 0 for none, that counts from began. Its cause is then a *event.Cause,
// to which what has taken so long is added.
func InTime(ctx context.Context, began time.Time, timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithDeadlineCause(ctx, began.Add(timeout), &event.Cause{Reason: event.Timeout,
		Message: fmt.Sprintf("the run was not done within %s (timeout)", event.Seconds(timeout)), Hint: "Give it more time with timeout."})
}

// over tells whether the time of a context is, a moment before the context itself may know.
func over(inTime context.Context) bool {
	deadline, ok := inTime.Deadline()
	return inTime.Err() != nil || ok && !time.Now().Before(deadline)
}

// timedOut tells whether timeout is what ended a context.
func timedOut(inTime context.Context) bool {
	var cause *event.Cause
	return errors.As(context.Cause(inTime), &cause) && cause.Reason == event.Timeout
}

// late is the error of what timeout has ended, with what was waited for, and what shows it.
func (r *runner) late(inTime context.Context, waited, show string) error {
	cause := *cluster.Cause(context.Cause(inTime), "")
	cause.Message += ": " + waited + r.silence()
	cause.Hint = event.See("It may be given more time with timeout; this shows what it waited for", show)
	return &cause
}

// silence says, behind a sentence about what was waited for, that the API server does not answer; "" when it does.
func (r *runner) silence() string {
	since := r.client.Health.Since()
	if since.IsZero() || time.Since(since) < time.Second {
		return ""
	}
	return fmt.Sprintf("; the API server %s has not answered for %s", r.client.Server, event.Seconds(time.Since(since)))
}

// Check has the API server check every object, admission included, and creates nothing.
func Check(ctx context.Context, client *cluster.Client, objects Objects, sink Sink) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l := newLoop(newRunner(client, objects, Options{}), sink, cancel)
	var err error
	l.beside(func() { err = l.check(ctx) })
	return cmp.Or(err, l.broken)
}

// Ask does a step that takes requests and belongs to no Job, and tells what comes up meanwhile, as a run does: an outage, warnings of the
// API server, what a credential plugin writes.
func Ask(ctx context.Context, client *cluster.Client, sink Sink, step func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l := newLoop(newRunner(client, Objects{}, Options{}), sink, cancel)
	var err error
	l.beside(func() { err = step(ctx) })
	client.HearPlugin(nil) // what comes from now on is for the run
	l.hear()
	return cmp.Or(err, l.broken)
}
