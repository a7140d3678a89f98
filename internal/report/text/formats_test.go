package text

import (
	"bytes"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/report"
)

// group is what Buildkite takes for the header of a group, in a line without colours (buildkite/agent, header_times_streamer.go; "Managing log output").
var group = regexp.MustCompile(`^\s*(---|\+\+\+|~~~|\^\^\^)`)

// azureCommand plays Azure's agent (Command.cs): the command that a line holds, its properties and its data. ok is false without one.
func azureCommand(line string) (name string, properties map[string]string, data string, ok bool) {
	unescape := func(s string) string {
		for _, m := range [][2]string{{"%3B", ";"}, {"%0D", "\r"}, {"%0A", "\n"}, {"%5D", "]"}, {"%AZP25", "%"}} {
			s = strings.ReplaceAll(s, m[0], m[1])
		}
		return s
	}
	_, rest, found := strings.Cut(strings.ToLower(line), "##vso[")
	if !found {
		return "", nil, "", false
	}
	rest = line[len(line)-len(rest):]
	info, data, found := strings.Cut(rest, "]")
	if !found {
		return "", nil, "", false
	}
	name, list, _ := strings.Cut(info, " ")
	properties = map[string]string{}
	for p := range strings.SplitSeq(list, ";") {
		if k, v, ok := strings.Cut(p, "="); ok {
			properties[k] = unescape(v)
		}
	}
	return name, properties, unescape(data), true
}

// obeyed is what a CI system does because of a log: the lines that are commands for it.
func obeyed(format report.Format, log string) (commands []string) {
	for line := range strings.SplitSeq(strings.TrimSuffix(log, "\n"), "\n") {
		plain := colour.ReplaceAllString(line, "")
		switch format {
		case report.FormatBuildkite:
			if group.MatchString(plain) || strings.Contains(line, "\x1b]") || strings.Contains(line, "\x1b_") {
				commands = append(commands, plain)
			}
		case report.FormatAzure:
			// The viewer of the log and the agent pass over what is invisible.
			visible := regexp.MustCompile(`[\p{Cf}\p{Mn}\p{Me}\p{Cc}]`).ReplaceAllString(plain, "")
			if i := regexp.MustCompile(`(?i)##(vso)?\[`).FindStringIndex(visible); i != nil {
				commands = append(commands, visible)
			}
		}
	}
	return commands
}

// commandAttacks are lines of a container, or words of the cluster, that a CI system would obey if they were printed as they are.
var commandAttacks = []string{
	"--- a group", "+++ a group", "~~~ a group", "^^^ +++", "^^^", "---", "  --- a group", "\t+++ a group", "\x1b[31m--- red", "\x1b[0m\x1b[1m ~~~ x", "----- a line", "-\u200b-- x", "\x1b]0;t\a--- x",
	"text\r--- a group", "text\n+++ a group", "\x1b[2K--- x", "\x1b_bk;t=1700000000000\a--- x", "\x1b]1338;url=http://evil.example;alt=x\a", "\x1b]1339;url=http://evil.example;content=x\a", "\x1b]1337;File=name=eA==;inline=1:eA==\a",
	"\u00a0--- x", "\u2003+++ x", "\x00--- x",
	"##vso[task.setvariable variable=PATH]/evil", "x ##vso[task.setvariable variable=status;isOutput=true]succeeded", "##VSO[task.complete result=Succeeded;]", "##vso[task.logissue type=error]forged", "##vso[task.uploadfile]/etc/passwd",
	"##vso[task.prependpath]/evil", "##[group]x", "##[endgroup]", "##[error]x", "x##[section]y", "#\u200b#vso[task.complete]", "##v\u0301so[task.complete]", "##\u00advso[task.complete]", "##\x1b[31mvso[task.complete]", "###vso[task.complete]", "####[error]x",
	"##vso\u200d[task.complete]", "##vso[task.setvariable variable=a]$(System.AccessToken)", "100%0A##vso[task.complete]", "%0A%0D%3B%5D%AZP25", "]##vso[a.b]",
}

// Whatever a container writes, and whatever the cluster quotes in messages, a CI system obeys no line but ours.
func TestNothingHostileIsACommand(t *testing.T) {
	for _, format := range []report.Format{report.FormatBuildkite, report.FormatAzure} {
		for _, rich := range []bool{false, true} {
			run := func(hostile bool) []string {
				var log bytes.Buffer
				r := New(&log, &log, noCI, report.Options{Format: format, Timestamps: rich}, rich)
				s := &event.Stream{Pod: "data-migration-x7k2p", Container: "migrate", Index: -1, Attempt: 1}
				attacks := []string{"harmless"}
				if hostile {
					attacks = commandAttacks
				}
				tell := func(events ...event.Event) {
					t.Helper()
					for _, e := range events {
						if err := report.New(r).Event(e); err != nil {
							t.Fatal(err)
						}
					}
				}
				for _, a := range attacks {
					tell(event.Object{Object: event.Ref{Kind: a, Name: a}, Action: "kept", Detail: a})
				}
				tell(event.Started{Job: job, UID: "0b1c", Cluster: "c", Pods: 1, Containers: 1})
				for _, a := range attacks {
					tell(line(s, a), line(s, "x", a, a+"\n"+a, a+a), event.Attempt{Pod: a, Index: -1, Message: a}, event.Notice{Level: event.Info, Message: a, Hint: a},
						event.Progress{Note: a, Waiting: []event.Waiting{{Pods: 1, For: a}}}, event.Finding{Level: event.Info, File: a, Path: a, Message: a})
				}
				all := strings.Join(attacks, "\n")
				r.streamed = false // so that the last lines are shown too
				tell(event.Finished{Outcome: event.Failed, Job: job, UID: "0b1c", Tail: attacks, FailedIndexes: all, Cause: &event.Cause{Reason: event.Reason(all), Message: all, Hint: all}, Warnings: []event.Cause{{Message: all, Hint: all}}})
				return obeyed(format, log.String())
			}
			want, got := run(false), run(true)
			if len(got) != len(want) || len(got) == 0 {
				for _, c := range got {
					if !slices.Contains(want, c) {
						t.Logf("%.150q", c)
					}
				}
				t.Errorf("%s, rich %v: %d commands are obeyed, %d are ours", format, rich, len(got), len(want))
			}
			// What is obeyed with hostile data is the same command as without.
			for i := range min(len(got), len(want)) {
				if format == report.FormatAzure {
					a, ap, _, _ := azureCommand(got[i])
					b, bp, _, _ := azureCommand(want[i])
					if a != b || !maps.Equal(ap, bp) {
						t.Errorf("%q instead of %q", got[i], want[i])
					}
				} else if got[i] != want[i] {
					t.Errorf("%q instead of %q", got[i], want[i])
				}
			}
		}
	}
}

// Later steps of Azure Pipelines get the outputs as they are, or nothing where that cannot be, and the log says so.
func TestVariablesOfAzure(t *testing.T) {
	var log bytes.Buffer
	f := report.New(New(&log, &log, noCI, report.Options{Format: report.FormatAzure}, false))
	end := event.Finished{Outcome: event.Failed, Job: job, UID: "0b1c", Tail: []string{"50% ] ; = %0A %AZP25 ##vso[task.complete]", "second"},
		Cause: &event.Cause{Reason: event.ContainerExit, ExitCode: &code, Message: "see $(System.AccessToken)"}}
	for range 500 {
		end.Pods = append(end.Pods, event.PodResult{Name: "data-migration-with-a-long-name-x7k2p", Node: "node-with-a-long-name", Phase: "Failed"})
	}
	for _, e := range []event.Event{event.Started{Job: job, UID: "0b1c", Pods: 1, Containers: 1}, end} {
		if err := f.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]string{}
	for line := range strings.Lines(log.String()) {
		if name, properties, data, ok := azureCommand(strings.TrimSuffix(line, "\n")); ok && name == "task.setvariable" {
			if properties["isOutput"] != "true" {
				t.Errorf("%q is no output", line)
			}
			got[properties["variable"]] = data
		}
	}
	want := map[string]string{"job_name": "data-migration", "namespace": "batch-jobs", "job_uid": "0b1c", "status": "failed", "reason": "ContainerExit", "message": "", "exit_code": "3", "attempts": "0",
		"succeeded": "0", "failed": "0", "failed_indexes": "", "started_at": "", "completed_at": "", "duration_seconds": "", "queue_seconds": "", "pull_seconds": "", "run_seconds": "", "result": "", "pods": "", "log_tail": "50% ] ; = %0A %AZP25 ## vso[task.complete]\nsecond"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !strings.Contains(log.String(), "the variables of the step leave out message (Azure Pipelines would expand a variable in it), pods (too long)") {
		t.Errorf("what is left out is not told:\n%.300s", log.String())
	}
}
