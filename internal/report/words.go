package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// TimeFormat is how the time of a line is written, in UTC.
const TimeFormat = "2006-01-02T15:04:05.000Z"

// Message is one piece of news in words. Text and Hint are untrusted: they quote the cluster and the manifest.
type Message struct {
	Level event.Level
	Text  string
	Hint  string // what to do; may be empty
}

// Say puts an event into words; false for Lines and Finished, which every reporter writes in its own way, and for what is no news.
func Say(e event.Event) (Message, bool) {
	switch e := e.(type) {
	case event.Started:
		return Message{Level: event.Info, Text: started(e)}, !e.Alone
	case event.Object:
		text := e.Object.String() + " " + e.Action
		if e.Detail != "" {
			text += " (" + e.Detail + ")"
		}
		return Message{Level: event.Info, Text: text}, true
	case event.Attempt:
		text := "pod " + e.Pod
		if e.Index >= 0 {
			text += fmt.Sprintf(" (index %d)", e.Index)
		}
		return Message{Level: event.Info, Text: text + ": " + e.Message}, true
	case event.Progress:
		text := e.String()
		if e.Elapsed > 0 {
			text = "after " + event.Seconds(e.Elapsed) + ": " + text
		}
		return Message{Level: event.Info, Text: text}, true
	case event.Notice:
		return Message{Level: e.Level, Text: e.Message, Hint: e.Hint}, true
	case event.Finding:
		return Message{Level: e.Level, Text: e.String()}, true
	case event.Gap:
		return Message{Level: event.Warning, Text: gap(e)}, true
	case event.Lines, event.Finished:
		return Message{}, false
	}
	panic(fmt.Sprintf("there are no words for a %T", e))
}

func started(e event.Started) string {
	text := "following " + e.Job.String()
	switch {
	case e.Context != "":
		text += fmt.Sprintf(" on %s (%s)", e.Context, e.Cluster)
	case e.Cluster != "":
		text += " on " + e.Cluster
	}
	if e.Pods > 1 {
		text += fmt.Sprintf(", %d pods", e.Pods)
	}
	return text
}

func gap(e event.Gap) string {
	text := fmt.Sprintf("lines of container %s of pod %s may be lost", e.Stream.Container, e.Stream.Pod)
	at := func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
	switch {
	case !e.After.IsZero() && !e.Until.IsZero():
		text += fmt.Sprintf(" between %s and %s", at(e.After), at(e.Until))
	case !e.After.IsZero():
		text += " after " + at(e.After)
	case !e.Until.IsZero():
		text += " before " + at(e.Until)
	}
	if e.Why != "" {
		text += ": " + e.Why
	}
	return text
}

// Verdict is how a run ended, in one sentence that names the cause.
func Verdict(f event.Finished) string {
	job := f.Job.String()
	var ended string
	switch f.Outcome {
	case event.Succeeded:
		ended = "succeeded"
		if f.Duration > 0 {
			ended += " in " + event.Seconds(f.Duration)
		}
		if f.Attempts > 0 {
			ended += " (" + tally(f) + ")"
		}
	case event.Created:
		ended = "was created; this run does not wait for its end"
	case event.TimedOut:
		ended = "timed out"
	case event.Cancelled:
		ended = "was cancelled"
	case event.Vanished:
		ended = "vanished"
	default:
		ended = "failed"
		if f.UID == "" { // there was no Job that could fail
			ended = "could not be run"
		} else if f.Cause != nil && f.Cause.Reason.Class() != event.JobFailed {
			ended = "was not run to its end"
		}
	}
	switch {
	case f.Cause == nil:
		ended = cmp.Or(f.Earlier, ended)
		return strings.TrimSpace(job + " " + ended)
	case job == "" || strings.HasPrefix(f.Cause.Message, job+" "):
		return f.Cause.Message
	default:
		return job + " " + ended + ": " + f.Cause.Message
	}
}

// tally is "1 pod", "12 pods, 2 failed".
func tally(f event.Finished) string {
	text := fmt.Sprintf("%d pods", f.Attempts)
	if f.Attempts == 1 {
		text = "1 pod"
	}
	if f.Failed > 0 {
		text += fmt.Sprintf(", %d failed", f.Failed)
	}
	return text
}

// Good reports whether the outcome is what the user wanted.
func Good(o event.Outcome) bool { return o == event.Succeeded || o == event.Created }

// ours are the words that the log and the outputs of a run are made of, hints included.
var ours = sync.OnceValue(func() string {
	words := []string{"docker-registry describe delete configmap namespace serviceaccount clusterrole rules verbs resources --from-file --from-literal",
		"Pending Running Succeeded Failed Unknown Completed Error Evicted https://", "kubectl get create logs main"}
	for _, d := range OutputDocs {
		words = append(words, d.Name, d.Description)
	}
	for _, r := range event.Reasons {
		words = append(words, string(r.Reason), r.Meaning)
	}
	for _, c := range event.Classes {
		words = append(words, c.Meaning)
	}
	code, index, at := int32(1), 1, time.Unix(0, 0)
	pod, _ := json.Marshal(event.PodResult{Index: &index, Node: "n", Reason: "r", ExitCode: &code, StartedAt: &at, EndedAt: &at})
	return strings.Join(append(words, string(pod)), "\n")
})
