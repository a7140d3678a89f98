package report

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// Limits of single values, in bytes. GitHub allows 1 MB for all outputs of a job together.
const (
	maxMessage = 16 << 10
	maxTail    = 64 << 10
	maxPods    = 512 << 10
)

// Output is one output of a run. Value may have several lines, and is valid UTF-8 without control characters, as are the texts of
// the events that a sink gets.
type Output struct{ Name, Value string }

// OutputDoc describes one output for the tables of the documentation.
type OutputDoc struct{ Name, Description string }

// OutputDocs are all outputs, in the order in which they are shown. action.yml and README.md are generated from it.
var OutputDocs = []OutputDoc{
	{"job-name", "Name of the Job, suffix included. Set as soon as the Job exists."},
	{"namespace", "Namespace of the Job. Set as soon as the Job exists."},
	{"job-uid", "UID of the Job. Set as soon as the Job exists."},
	{"status", "`succeeded`, `failed`, `timed-out`, `cancelled`, `vanished`, or `created` with `wait: false`."},
	{"reason", "Stable code of what went wrong, such as `BackoffLimitExceeded` or `ImagePull`; empty after success."},
	{"message", "One sentence that names the cause; empty after success, unless the work was left to another run."},
	{"exit-code", "Exit code of the container that decided the outcome: `0` after success, empty when no container did."},
	{"attempts", "Number of pods that were started."},
	{"succeeded", "Number of pods that succeeded."},
	{"failed", "Number of pods that failed."},
	{"failed-indexes", "Failed indexes of an Indexed Job, such as `1,3-5`."},
	{"started-at", "When the Job started, or was resumed, by the cluster's clock, as RFC 3339 in UTC."},
	{"completed-at", "When the Job ended, by the cluster's clock, as RFC 3339 in UTC; empty when it did not end on its own."},
	{"duration-seconds", "How long the Job took from its creation, or until this run ended it, in seconds, with fractions. The seconds of queue, pull and run are parts of it."},
	{"queue-seconds", "How long the Job was suspended, or waited for its first pod or the next attempt, by the cluster's time stamps, in seconds."},
	{"pull-seconds", "How long its furthest pod had a node and waited for volumes and images, in seconds."},
	{"run-seconds", "How long a main container was at work, in seconds."},
	{"result", "With `result-from: termination-message`, what the main container wrote to `/dev/termination-log`, without line breaks at its end. A Job that wants several pods to succeed has a JSON array: by index, or else in the order of their creation; `null` where there is no message. Empty when it was not asked for. At most 256 KiB."},
	{"pods", "JSON array of the pods: name, index, node, phase, reason, exitCode, restarts, startedAt, endedAt. At most 512 KiB; if not all fit, failed pods come first."},
	{"log-tail", "Last lines of the container that decided the outcome. At most 64 KiB."},
	{"job_name", "Same as `job-name`, for workflows that use the earlier name."},
}

// Known are the outputs that are known when the Job exists.
func Known(job event.Ref, uid string) []Output {
	return []Output{{"job-name", job.Name}, {"namespace", job.Namespace}, {"job-uid", uid}, {"job_name", job.Name}}
}

// Outputs are all outputs of a run that ended so, in the order of OutputDocs. The note is a sentence about what did not fit; usually "".
func Outputs(f event.Finished) (outputs []Output, note string) {
	values := map[string]string{
		"status":         string(f.Outcome),
		"attempts":       strconv.Itoa(f.Attempts),
		"succeeded":      strconv.Itoa(f.Succeeded),
		"failed":         strconv.Itoa(f.Failed),
		"failed-indexes": f.FailedIndexes,
		"started-at":     rfc3339(f.StartedAt),
		"completed-at":   rfc3339(f.CompletedAt),
	}
	if f.UID != "" { // else there was no such Job
		for _, o := range Known(f.Job, f.UID) {
			values[o.Name] = o.Value
		}
	}
	if code := f.ExitCode(); code != nil {
		values["exit-code"] = strconv.Itoa(int(*code))
	}
	if f.Earlier != "" {
		values["message"] = event.Shorten(Verdict(f), maxMessage)
	}
	if c := f.Cause; c != nil {
		values["reason"] = string(c.Reason)
		values["message"] = event.Shorten(c.Message, maxMessage)
	}
	if f.Duration > 0 || !f.CompletedAt.IsZero() {
		values["duration-seconds"] = seconds(f.Duration)
		values["queue-seconds"], values["pull-seconds"], values["run-seconds"] = seconds(f.Times.Queue), seconds(f.Times.Pull), seconds(f.Times.Run)
	}
	if f.Result != nil {
		values["result"] = *f.Result
	}
	values["pods"], note = podsJSON(f.Pods)
	values["log-tail"] = Tail(f.Tail, maxTail)
	for _, d := range OutputDocs {
		outputs = append(outputs, Output{d.Name, values[d.Name]})
	}
	return outputs, note
}

func seconds(d time.Duration) string {
	// Seconds adds up two floats, and gives 12.806000000000001.
	return strconv.FormatFloat(float64(d.Round(time.Millisecond).Milliseconds())/1000, 'f', -1, 64)
}

func rfc3339(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func podsJSON(pods []event.PodResult) (value, note string) {
	if len(pods) == 0 {
		return "[]", ""
	}
	all, err := json.Marshal(pods)
	if err != nil { // a time stamp beyond the year 9999
		return "[]", fmt.Sprintf("the output pods is empty: %v", err)
	}
	if len(all) <= maxPods {
		return string(all), ""
	}
	sorted, fit, size := event.FailedFirst(pods), 0, len("[]")
	for ; fit < len(sorted); fit++ {
		entry, err := json.Marshal(sorted[fit])
		if size += len(entry) + len(","); err != nil || size > maxPods {
			break
		}
	}
	all, err = json.Marshal(sorted[:fit])
	if err != nil {
		return "[]", fmt.Sprintf("the output pods is empty: %v", err)
	}
	return string(all), fmt.Sprintf("the output pods has room for only %d of %d pods, failed ones first", fit, len(pods))
}

// Tail joins the last lines, as many as fit into limit bytes.
func Tail(lines []string, limit int) string {
	var kept []string
	size := 0
	for i := len(lines) - 1; i >= 0; i-- {
		line := lines[i]
		if size += len(line) + 1; size > limit {
			kept = append(kept, fmt.Sprintf("… %d earlier lines left out", i+1))
			break
		}
		kept = append(kept, line)
	}
	slices.Reverse(kept)
	return strings.Join(kept, "\n")
}

// OutputLines are the outputs for people: name and value in two columns, one short line each. Empty ones and the earlier name are left
// out.
func OutputLines(outputs []Output) []string {
	width := 0
	for _, d := range OutputDocs {
		width = max(width, len(d.Name))
	}
	var lines []string
	for _, o := range outputs {
		if o.Value == "" || o.Value == "[]" || o.Name == "job_name" {
			continue
		}
		first, rest, several := strings.Cut(o.Value, "\n")
		first = event.Shorten(first, 120)
		if several {
			first += fmt.Sprintf(" … (%d lines)", 2+strings.Count(rest, "\n"))
		}
		lines = append(lines, fmt.Sprintf("%-*s  %s", width, o.Name, first))
	}
	return lines
}
