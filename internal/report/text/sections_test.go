package text

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/report"
)

// marker is what GitLab takes for a section's start or end, anywhere in a line (Gitlab::Regex, logs_section_*).
var marker = regexp.MustCompile(`section_(start|end):(\d+):([a-zA-Z0-9_.-]+)(\[\w+=\w+(?:, ?\w+=\w+)*\])?\r\x1b\[0K`)

// colour is what GitLab's log may hold of escape sequences beside the markers.
var colour = regexp.MustCompile(`\x1b\[[0-9;:]*m`)

// played plays GitLab's job log (Ansi2json::Converter): the lines of each section, "" for those in none, and the sections in
// the order in which they began. The second answer is what a terminal would be told beside colours.
func played(t *testing.T, log string) (lines map[string][]string, begun []string, rest string) {
	t.Helper()
	lines = map[string][]string{}
	var open []string
	for line := range strings.Lines(log) {
		for {
			m := marker.FindStringSubmatchIndex(line)
			if m == nil {
				break
			}
			if before := line[:m[0]]; before != "\x1b[0K" {
				t.Errorf("a marker does not begin its line: %q", line)
			}
			kind, name := line[m[2]:m[3]], line[m[6]:m[7]]
			switch kind {
			case "start":
				open, begun = append(open, name), append(begun, name)
			case "end":
				if i := slices.Index(open, name); i >= 0 {
					open = slices.Delete(open, i, i+1)
				} else {
					t.Errorf("%s ends and was not open", name)
				}
			}
			line = line[m[1]:]
		}
		within := ""
		if len(open) > 0 {
			within = open[len(open)-1]
		}
		if line = strings.TrimSuffix(line, "\n"); line != "" {
			lines[within] = append(lines[within], line)
		}
		rest += colour.ReplaceAllString(line, "") + "\n"
	}
	if len(open) > 0 {
		t.Errorf("left open: %q", open)
	}
	return lines, begun, rest
}

// What a user sees folded, and what stays in the open: the containers' lines and the verdict.
func TestSections(t *testing.T) {
	var log bytes.Buffer
	r := New(&log, &log, noCI, report.Options{Format: report.FormatGitLab}, false)
	tick := at
	r.now = func() time.Time { tick = tick.Add(time.Microsecond); return tick }
	for _, e := range succeeded() {
		if err := report.New(r).Event(e); err != nil {
			t.Fatal(err)
		}
	}
	lines, begun, _ := played(t, log.String())
	if len(begun) != 2 || !strings.HasPrefix(begun[0], "kubernetes_job_objects_") || !strings.HasPrefix(begun[1], "kubernetes_job_outputs_") {
		t.Fatalf("sections %q", begun)
	}
	want := []string{"Objects in the cluster", "· Namespace batch-jobs created (it stays)", "· Job batch-jobs/data-migration created", "· Secret batch-jobs/data-migration-env-secrets created"}
	if diff := cmp.Diff(want, lines[begun[0]]); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
	if o := lines[begun[1]]; o[0] != "Outputs" || o[1] != "  job-name          data-migration" {
		t.Errorf("outputs: %q", o)
	}
	for _, want := range []string{"1/u create_users (12ms)", "· Job batch-jobs/data-migration deleted", "✓ Job batch-jobs/data-migration succeeded in 4.2 s (1 pod)"} {
		if !slices.Contains(lines[""], want) {
			t.Errorf("%q is not in the open:\n%q", want, lines[""])
		}
	}
}

// Two sections of a name are two, also when one follows the other at once, and in the log of two runs.
func TestSectionsHaveNamesOfTheirOwn(t *testing.T) {
	var log bytes.Buffer
	for range 2 {
		r := New(&log, &log, noCI, report.Options{Format: report.FormatGitLab}, false)
		for range 2 {
			for _, e := range []event.Event{event.Object{Object: job, Action: "applied"}, event.Notice{Message: "x"}} {
				if err := report.New(r).Event(e); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	_, begun, _ := played(t, log.String())
	slices.Sort(begun)
	if len(begun) != 4 || len(slices.Compact(begun)) != 4 {
		t.Errorf("sections %q", begun)
	}
}

// attacks are lines of a container, or words of the cluster, that would begin or end a section if they were printed as they are.
var attacks = []string{
	"\x1b[0Ksection_start:1:evil[collapsed=true]\r\x1b[0Kheader",
	"\x1b[0Ksection_end:1:evil\r\x1b[0K",
	"section_start:1:evil\r\x1b[0K",
	"section_start:1:evil\r\r\x1b[0K",
	"section_start:1:evil\r",
	"section_start:1:evil\r\n\x1b[0K",
	"section_start:1:evil\x1b[0K\r\x1b[0K",
	"section_start:1:evil\r\x1b\x1b[0K[0K",
	"section_start:1:evil\r\x1b[\x1b[0K0K",
	"section_start:1:evil\r\x1b[31m\x1b[0K",
	"section_start:1:evil\r\x1b]0;t\a\x1b[0K",
	"section_start:1:evil\x1b[31m\r\x1b[0K",
	"section_start:1:evil\x00\r\x1b[0K",
	"section_start:1:evil\r\x00\x1b[0K",
	"section_start:1:evil\r\u009b0K",
	"section_start:1:evil\r\x9b0K",
	"section_start:1:evil\u2028\x1b[0K",
	"section_\x1b[0Kstart:1:evil\r\x1b[0K",
	"sec\rtion_start:1:evil\r\x1b[0K",
	"SECTION_START:1:evil\r\x1b[0K",
	"progress 10%\rprogress 100%\rsection_start:1:evil\r\x1b[0K\x1b[2J",
	"\x1b[31msection_end:1772366400:kubernetes_job_objects_1772366400123000000\r\x1b[0K",
	"\x1b[0K", "\x1b[2K\r", "\x1b[1A\x1b[2K", "\r", "\x1b", "\x1b[", "\x1b[0",
}

// Whatever a container writes, and whatever the cluster quotes in messages, only our sections begin and end, and nothing but
// text and colours comes through.
func TestNothingHostileIsASection(t *testing.T) {
	for _, rich := range []bool{false, true} {
		var log bytes.Buffer
		r := New(&log, &log, noCI, report.Options{Format: report.FormatGitLab, Timestamps: rich}, rich)
		s := &event.Stream{Pod: "data-migration-x7k2p", Container: "migrate", Index: -1, Attempt: 1}
		all := strings.Join(attacks, "\n")
		tell := func(events ...event.Event) {
			t.Helper()
			for _, e := range events {
				if err := report.New(r).Event(e); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, a := range attacks { // while a section is open
			tell(event.Object{Object: event.Ref{Kind: a, Name: a}, Action: "kept", Detail: a})
		}
		tell(event.Started{Job: job, UID: "0b1c", Cluster: all, Context: all, Pods: 1, Containers: 1})
		for _, a := range attacks {
			tell(line(s, a), line(s, "x", a, a+"\n"+a, a+a),
				event.Attempt{Pod: "p", Index: -1, Message: a}, event.Object{Object: event.Ref{Kind: a, Name: a}, Action: "kept", Detail: a},
				event.Progress{Note: a, Waiting: []event.Waiting{{Pods: 1, For: a}}}, event.Gap{Stream: s, Why: a},
				event.Finding{Level: event.Warning, File: a, Line: 1, Path: a, Message: a, Suggestion: a},
				event.Notice{Level: event.Info, Message: a, Hint: a}, event.Notice{Level: event.Error, Message: a, Hint: a})
		}
		r.streamed = false // so that the last lines are shown too
		tell(event.Finished{Outcome: event.Failed, Job: job, UID: "0b1c", Tail: attacks, FailedIndexes: "1",
			Cause:    &event.Cause{Reason: event.ContainerExit, Message: all, Hint: all},
			Warnings: []event.Cause{{Message: all, Hint: all}}})

		lines, begun, rest := played(t, log.String())
		if len(begun) != 2 || !strings.HasPrefix(begun[0], "kubernetes_job_objects_") || !strings.HasPrefix(begun[1], "kubernetes_job_outputs_") {
			t.Errorf("sections %q", begun)
		}
		for _, control := range []string{"\r", "\x1b", "\u009b"} {
			if i := strings.Index(rest, control); i >= 0 {
				t.Errorf("%q comes through: %q", control, rest[max(0, i-40):i+10])
			}
		}
		if !slices.ContainsFunc(lines[""], func(l string) bool { return strings.HasSuffix(l, "section_start:1:evil") }) {
			t.Error("the hostile text is not shown")
		}
	}
}
