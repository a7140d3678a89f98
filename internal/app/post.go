package app

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/planton/kubernetes-job-action/internal/cluster"
	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/report"
	"github.com/planton/kubernetes-job-action/internal/report/github"
	"github.com/planton/kubernetes-job-action/internal/run"
)

// postName is the name under which the program is the command post: the runner starts a post-entrypoint without arguments
// (actions/runner, ContainerActionHandler.cs).
const postName = "kubernetes-job-action-post"

// postLimit is how long the post step may take.
const postLimit = 30 * time.Second

// stateName is the runner's name for the record.
const stateName = "job"

// record is what the main step leaves for the post step: its Job, and what it has done with it. None of it is secret.
type record struct {
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	UID       types.UID `json:"uid"`
	Context   string    `json:"context,omitempty"` // of the kubeconfig: the manifest may have chosen it
	Lock      string    `json:"lock,omitempty"`    // that the run holds
	Nonce     string    `json:"nonce,omitempty"`   // by which the lock knows the run
	End       string    `json:"end,omitempty"`     // empty until the main step ends
}

// The ends of a main step.
const (
	settled   = "settled"   // the Job was deleted, or is meant to stay
	undeleted = "undeleted" // the Job could not be deleted
)

// recorder is a run.Sink that keeps the record up to date, and passes everything on.
type recorder struct {
	*report.Fanout
	getenv  func(string) string
	context string
	lock    string
	nonce   string
	record  record // empty while there is no Job, and when the record cannot be written
}

// Event writes what e changes in the record before it passes e on, because the log may be slow.
func (r *recorder) Event(e event.Event) error {
	was := r.record
	switch e := e.(type) {
	case event.Object:
		if e.UID != "" {
			r.record = record{Namespace: e.Object.Namespace, Name: e.Object.Name, UID: types.UID(e.UID), Context: r.context, Lock: r.lock, Nonce: r.nonce}
		}
	case event.Finished:
		if r.record.UID != "" && e.Undeleted {
			r.record.End = undeleted
		} else if r.record.UID != "" {
			r.record.End = settled
		}
	}
	if r.record != was {
		if err := r.save(); err != nil {
			return err
		}
	}
	return r.Fanout.Event(e)
}

// save writes the record. The Job does not need it, so a failure is a warning; the error is that of the log.
func (r *recorder) save() error {
	text, err := json.Marshal(r.record)
	if err == nil {
		err = github.SaveState(r.getenv, stateName, string(text))
	}
	if err == nil {
		return nil
	}
	r.record = record{}
	return r.Fanout.Event(event.Notice{Level: event.Warning,
		Message: fmt.Sprintf("the post step will not know about the Job: GITHUB_STATE cannot be written: %v", err)})
}

// post deletes the Job of a main step that was killed, or that could not delete it. Usually there is nothing to do, and it prints nothing.
func (a *app) post(ctx context.Context, findings []event.Finding) (int, error) {
	say := func(level event.Level, format string, args ...any) error {
		return a.reporter.Event(event.Notice{Level: level, Message: fmt.Sprintf(format, args...)})
	}
	text := a.getenv("STATE_" + stateName)
	if text == "" {
		return exitOK, say(event.Info, "this step has no record of a Job, so there is nothing to clean up")
	}
	var r record
	if err := json.Unmarshal([]byte(text), &r); err != nil || r.Namespace == "" || r.Name == "" || r.UID == "" {
		return exitInvalid, say(event.Error, "the record of the Job, STATE_%s, cannot be read: it is not what the main step wrote", stateName)
	}
	job := event.Ref{Kind: "Job", Namespace: r.Namespace, Name: r.Name}
	a.reporter.Named(job)
	why := "the main step was killed"
	switch {
	case r.End == settled:
		return exitOK, say(event.Debug, "the main step ended on its own, so %s is left alone", job)
	case r.End == undeleted:
		why = "the main step could not delete it"
	case a.options.Run.OnCancel == run.UnfinishedLeave:
		return exitOK, say(event.Info, "the main step was killed; %s is left alone, as on-cancel says", job)
	}
	told, err := a.remove(ctx, r, job, why, findings)
	if err == nil {
		return exitOK, say(event.Info, "%s", told)
	}
	f := event.Finished{Outcome: event.Failed, Cause: cluster.Cause(err, "delete "+job.String())}
	if ctx.Err() != nil {
		f.Outcome = event.Cancelled
	}
	return exitCode(f), a.reporter.Event(event.Notice{Level: event.Error,
		Message: fmt.Sprintf("%s may still be running and could not be deleted: %v", job, err),
		Hint:    event.Kubectl(job.Namespace, "delete job %s", job.Name)})
}

// remove deletes the Job on the cluster that the main step used.
func (a *app) remove(ctx context.Context, r record, job event.Ref, why string, findings []event.Finding) (string, error) {
	if err := a.tell(findings); err != nil {
		return "", err
	}
	if event.HasErrors(findings) {
		return "", &event.Cause{Reason: event.InvalidInput, Message: "an option is invalid"}
	}
	o := &a.options.Cluster
	o.Context, o.APITimeout = cmp.Or(r.Context, o.Context), min(o.APITimeout, postLimit)
	client, err := a.connect("")
	if err != nil {
		return "", err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, postLimit)
	defer cancel()
	var told string
	err = run.Ask(ctx, client, a.reporter, func(ctx context.Context) (err error) {
		if told, err = run.Remove(ctx, client, job, r.UID, why); err != nil || r.Lock == "" {
			return err
		}
		switch released, err := run.Unlock(ctx, client, r.Namespace, r.Lock, r.Nonce); {
		case err != nil:
			told += fmt.Sprintf("; lock %s could not be released, and will expire: %v", r.Lock, err)
		case released:
			told += fmt.Sprintf("; lock %s released", r.Lock)
		}
		return nil
	})
	return told, err
}
