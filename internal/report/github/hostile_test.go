package github

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/report"
)

const secret = "hunter2secret"

// A hostile API server chooses every name and every word of a status. The runner obeys what it would obey with harmless ones.
func TestHostileNamesAreNotObeyed(t *testing.T) {
	obeyed := func(word string) map[string]int {
		s := newStep(t, report.Options{Summary: true})
		f := report.New(s)
		ref := event.Ref{Kind: word, Namespace: word, Name: word}
		named := &event.Stream{Namespace: word, Pod: word, Container: word, Index: -1, Attempt: 2, Restart: 1}
		for _, e := range []event.Event{
			event.Object{Object: ref, Action: "created", Detail: word, UID: word},
			event.Started{Job: ref, UID: word, Cluster: word, Context: word, Pods: 2, Containers: 2},
			event.Attempt{Pod: word, Index: -1, Message: word},
			event.Lines{Stream: named, Lines: []event.Line{{At: at, Text: word}, {At: at, Text: "x"}}},
			event.Gap{Stream: named, Why: word},
			event.Finished{Outcome: event.Failed, Job: ref, UID: word, FailedIndexes: word, Tail: []string{word}, Trace: []string{word}, Warnings: []event.Cause{{Reason: event.Reason(word), Message: word, Hint: word}},
				Cause: &event.Cause{Reason: event.Reason(word), Object: ref, Container: word, Message: word, Hint: word},
				Pods:  []event.PodResult{{Name: word, Phase: word, Reason: word, Node: word}}},
		} {
			if err := f.Event(e); err != nil {
				t.Fatal(err)
			}
		}
		r := s.play()
		kinds := map[string]int{}
		for _, c := range r.Obeyed {
			kinds[c.Name]++
			for p := range c.Properties {
				kinds[c.Name+" "+p]++
			}
		}
		if r.Stopped {
			t.Errorf("%q: commands stay stopped at the end", word)
		}
		if strings.Contains(s.log.String(), "##[") {
			t.Errorf("%q: the log still holds ##[, which its viewer reads", word)
		}
		return kinds
	}
	want := obeyed("harmless")
	if want["error title"] != 1 || want["error"] != 1 {
		t.Fatalf("harmless words give %v", want)
	}
	for _, a := range attacks {
		if diff := cmp.Diff(want, obeyed(a)); diff != "" {
			t.Errorf("%q: obeyed commands (-want +got):\n%s", a, diff)
		}
	}
}

// What hides the runner's old syntax from a search for it is taken away before it is searched for.
func TestHiddenCommands(t *testing.T) {
	for name, hidden := range map[string]string{
		"an escape between": "#\x1b[K#[error]fake", "an escape behind": "##\x1b[2K[error]fake", "a title between": "#\x1b]0;t\a#[error]fake",
		"a NUL": "#\x00#[error]fake", "a cut escape": "#\x1b#[error]fake", "an escape in an escape": "#\x1b\x1b[K#[error]fake",
	} {
		t.Run(name, func(t *testing.T) {
			s := newStep(t, report.Options{})
			f := report.New(s)
			for _, e := range []event.Event{begun, line(hidden), event.Notice{Message: hidden}, event.Attempt{Pod: "p", Index: -1, Message: hidden}} {
				if err := f.Event(e); err != nil {
					t.Fatal(err)
				}
			}
			if r := s.play(); len(r.Obeyed) > 0 || strings.Contains(s.log.String(), "##[") {
				t.Errorf("obeyed %v of %q", r.Obeyed, s.log.String())
			}
		})
	}
}

// Whatever the cluster and the containers say, the step has the outputs that are documented, and the run's own status.
func TestOutputsOfStrangers(t *testing.T) {
	for name, hostile := range map[string]string{
		"a value":            "status=succeeded",
		"a heredoc":          "status<<EOF\nsucceeded\nEOF",
		"the usual ends":     "EOF\n_GitHubActionsFileCommandDelimeter_\nghadelimiter_0\nstatus=succeeded\nx<<",
		"carriage returns":   "x\rstatus=succeeded\r\nstatus=succeeded\r",
		"controls":           "\x1b[2J\x1b]0;t\a\x00status=succeeded",
		"a secret":           "EOF\nstatus=succeeded\n\x1b[31m" + secret,
		"nothing but breaks": "\n\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := newStep(t, report.Options{Summary: true})
			f := report.New(s)
			f.AddSecrets(event.Secret{Value: secret})
			index := 1
			name := strings.ReplaceAll(hostile, secret, "") // names and states of pods are not masked
			for _, e := range []event.Event{begun, event.Finished{Outcome: event.Failed, Job: job, UID: "0b1c", FailedIndexes: name, Tail: strings.Split(hostile, "\n"), Trace: strings.Split(hostile, "\n"),
				Cause: &event.Cause{Reason: event.ContainerExit, Message: hostile, Hint: hostile},
				Pods:  []event.PodResult{{Name: name, Index: &index, Phase: name, Reason: hostile, Node: name}}}} {
				if err := f.Event(e); err != nil {
					t.Fatal(err)
				}
			}
			got := s.outputs(t)
			for _, o := range report.OutputDocs {
				if _, set := got[o.Name]; !set {
					t.Errorf("%s is not set", o.Name)
				}
			}
			if len(got) != len(report.OutputDocs) || got["status"] != "failed" {
				t.Errorf("the runner reads %q", got)
			}
			for _, o := range []string{"message", "log-tail"} {
				if strings.ContainsAny(got[o], "\x1b\x00\a\r") || strings.Contains(got[o], secret) {
					t.Errorf("%s is %q", o, got[o])
				}
			}
			if strings.Contains(s.file(t, "GITHUB_STEP_SUMMARY"), secret) {
				t.Error("the secret is in the summary")
			}
		})
	}
}

// A message is masked before it is cut to the length of an annotation, wherever the secret stands.
func TestCutMessagesAreMasked(t *testing.T) {
	for at := maxMessage - 2*len(secret); at <= maxMessage+1; at++ {
		s := newStep(t, report.Options{})
		f := report.New(s)
		f.AddSecrets(event.Secret{Value: secret})
		if err := f.Event(event.Notice{Level: event.Warning, Message: strings.Repeat("x", at) + secret + strings.Repeat("y", len(secret))}); err != nil {
			t.Fatal(err)
		}
		log := s.log.String()
		if got := s.play().All("warning"); len(got) != 1 || strings.ContainsAny(log, "ht") {
			t.Errorf("at %d: %d warnings, the last one ends with %q", at, len(got), log[max(0, len(log)-60):])
		}
	}
}
