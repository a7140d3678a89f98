package junit

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/golden"
	"github.com/planton/kubernetes-job-action/internal/report"
)

var (
	job  = event.Ref{Kind: "Job", Namespace: "batch-jobs", Name: "import"}
	at   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	code = int32(3)
)

func pointer[T any](v T) *T { return &v }

func started(pods int, indexed bool) event.Started {
	return event.Started{Job: job, UID: "0b1c", Pods: pods, Containers: 1, Indexed: indexed, CreatedAt: at}
}

// ran is a pod that ran for some seconds; index -1 for none.
func ran(index, attempt int, phase string, took float64) event.PodResult {
	p := event.PodResult{Name: fmt.Sprintf("import-%d-%d", index, attempt), Node: "node-1", Phase: phase, Attempt: attempt, StartedAt: &at, EndedAt: pointer(at.Add(time.Duration(took * float64(time.Second))))}
	if index >= 0 {
		p.Index = &index
	}
	if phase == "Failed" {
		p.Reason, p.ExitCode, p.Container, p.Message, p.Tail = "Error", &code, "main", `container "main" exited with code 3`, []string{"connecting", "panic: <no database> & \"no hope\""}
	}
	return p
}

func ended(outcome event.Outcome, cause *event.Cause, pods ...event.PodResult) event.Finished {
	f := event.Finished{Outcome: outcome, Cause: cause, Job: job, UID: "0b1c", Attempts: len(pods), StartedAt: at, CompletedAt: at.Add(1500 * time.Second), Duration: 1500 * time.Second, Pods: pods}
	for _, p := range pods {
		switch p.Phase {
		case "Failed":
			f.Failed++
		case "Succeeded":
			f.Succeeded++
		}
	}
	return f
}

var backoff = &event.Cause{Reason: event.BackoffLimitExceeded, Object: job, Container: "main", ExitCode: &code, Message: `container "main" exited with code 3`, Hint: "Look at the log."}

// evil is what breaks XML, in all places that others can write into.
const evil = "\x00\x01\x0b\x1b[2J\r\n]]></failure><testcase name=\"forged\"/><!--\xff\ufffe\uffff&#0;&xxe;\u202e%s{} hunter2secret"

func hostile() event.Finished {
	f := ended(event.Failed, &event.Cause{Reason: evil, Message: evil, Hint: evil}, ran(-1, 1, "Failed", 1), ran(-1, 2, evil, 1))
	f.UID, f.FailedIndexes, f.Tail = evil, evil, []string{evil}
	for i := range f.Pods {
		p := &f.Pods[i]
		p.Name, p.Node, p.Reason, p.Message, p.Tail = evil, evil, evil, evil, []string{evil}
	}
	return f
}

// runs are ends of runs, each with its golden file.
var runs = map[string][]event.Event{
	"succeeded": {started(1, false), ended(event.Succeeded, nil, ran(-1, 1, "Succeeded", 4.2))},
	"failed":    {started(1, false), ended(event.Failed, backoff, ran(-1, 1, "Failed", 2))},
	"retried":   {started(1, false), ended(event.Succeeded, nil, ran(-1, 1, "Failed", 2), ran(-1, 2, "Succeeded", 3))},
	"workers":   {started(3, false), ended(event.Failed, backoff, ran(-1, 1, "Succeeded", 2), ran(-1, 2, "Failed", 3), ran(-1, 3, "Running", 0))},
	"indexed": {started(4, true), ended(event.Failed, &event.Cause{Reason: event.FailedIndexes, Object: job, Message: "index 2 failed"},
		ran(10, 1, "Succeeded", 1), ran(1, 1, "Failed", 1), ran(2, 1, "Failed", 1), ran(0, 1, "Succeeded", 1), ran(1, 2, "Succeeded", 1), ran(2, 2, "Failed", 1))},
	"policy":    {started(2, true), ended(event.Succeeded, nil, ran(0, 1, "Succeeded", 1), ran(1, 1, "Failed", 1))},
	"timed-out": {started(1, false), ended(event.TimedOut, &event.Cause{Reason: event.Timeout, Message: "the Job did not end within 1 h", Hint: "Give it longer."}, ran(-1, 1, "Running", 0))},
	"refused":   {event.Finished{Outcome: event.Failed, Cause: &event.Cause{Reason: event.Forbidden, Message: "cannot create jobs"}}},
	"created":   {started(1, false), event.Finished{Outcome: event.Created, Job: job, UID: "0b1c"}},
	"killed":    {started(1, false)},
	"hostile":   {started(1, false), hostile()},
}

// written is the file after the events, as sinks get them.
func written(t *testing.T, events ...event.Event) (text string, told []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "junit.xml")
	k := keeper{&told}
	w := writer{now: func() time.Time { return at }}
	f := report.New(k, report.NewDocument(path, w.content, k.Event))
	f.AddSecrets(event.Secret{Value: "hunter2secret"})
	for _, e := range events {
		if err := f.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content), told
}

type keeper struct{ notices *[]string }

func (k keeper) Event(e event.Event) error {
	if n, ok := e.(event.Notice); ok {
		*k.notices = append(*k.notices, n.Message)
	}
	return nil
}

// parsed reads a file strictly, and checks what holds for every one: that the counts are those of its cases.
func parsed(t *testing.T, text string) suite {
	t.Helper()
	var s suites
	if err := xml.Unmarshal([]byte(text), &s); err != nil {
		t.Fatalf("%v:\n%.500s", err, text)
	}
	var failures, errors, skipped int
	for _, c := range s.Suite.Cases {
		answers := 0
		for _, a := range []struct {
			answer *answer
			count  *int
		}{{c.Failure, &failures}, {c.Error, &errors}, {c.Skipped, &skipped}} {
			if a.answer != nil {
				*a.count++
				answers++
			}
		}
		if answers > 1 || c.Name == "" || c.Class == "" {
			t.Errorf("case %+v", c)
		}
	}
	if s.Suite.Tests != len(s.Suite.Cases) || s.Suite.Tests == 0 || s.Suite.Failures != failures || s.Suite.Errors != errors || s.Suite.Skipped != skipped {
		t.Errorf("the suite counts %d, %d, %d, %d; its cases are %d, %d, %d, %d", s.Suite.Tests, s.Suite.Failures, s.Suite.Errors, s.Suite.Skipped, len(s.Suite.Cases), failures, errors, skipped)
	}
	return s.Suite
}

// UnmarshalXMLAttr reads what MarshalXMLAttr writes.
func (s *seconds) UnmarshalXMLAttr(attr xml.Attr) error {
	d, err := time.ParseDuration(attr.Value + "s")
	*s = seconds(d)
	return err
}

// The golden files, which the test bench checks against the schema and hands to a reader of others.
func TestGolden(t *testing.T) {
	for name, events := range runs {
		t.Run(name, func(t *testing.T) {
			text, told := written(t, events...)
			parsed(t, text)
			golden.Compare(t, "testdata/"+name+".golden", text)
			if told != nil {
				t.Errorf("told %q", told)
			}
		})
	}
}

// What a CI system shows as failed is what has failed in the end: attempts that others have made good are not.
func TestAnswers(t *testing.T) {
	for name, want := range map[string]string{
		"succeeded": "attempt 1: passed 4.2s",
		"failed":    "attempt 1: failure Error 2s",
		"retried":   "attempt 1: skipped 2s, attempt 2: passed 3s",
		"workers":   "pod 1: passed 2s, pod 2: failure Error 3s, pod 3: skipped 0s",
		"indexed":   "index 0: passed 1s, index 1: passed 2s, index 2: failure Error 2s, index 10: passed 1s",
		"policy":    "index 0: passed 1s, index 1: skipped 1s",
		"timed-out": "attempt 1: skipped 0s, import: error Timeout 25m0s",
		"refused":   "kubernetes-job: error Forbidden 0s",
		"created":   "import: passed 0s",
		"killed":    "import: error Killed 0s",
	} {
		text, _ := written(t, runs[name]...)
		var got []string
		for _, c := range parsed(t, text).Cases {
			answer := "passed"
			switch {
			case c.Failure != nil:
				answer = "failure " + c.Failure.Type
			case c.Error != nil:
				answer = "error " + c.Error.Type
			case c.Skipped != nil:
				answer = "skipped"
			}
			got = append(got, fmt.Sprintf("%s: %s %s", c.Name, answer, time.Duration(c.Time)))
		}
		if diff := cmp.Diff(want, strings.Join(got, ", ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// forbidden is what XML 1.0 has no place for, not even as a reference (section 2.2, Char).
var forbidden = regexp.MustCompile(`[^\t\n\r\x{20}-\x{d7ff}\x{e000}-\x{fffd}\x{10000}-\x{10ffff}]|&#x?0*[0-8bBcCeEfF];|&#x?0*1[0-9a-fA-F];`)

// Whatever others write, it is text: no case is forged, no character is forbidden, no secret is in it.
func TestHostile(t *testing.T) {
	text, _ := written(t, runs["hostile"]...)
	s := parsed(t, text)
	if len(s.Cases) != 2 || strings.Contains(text, "<!") || strings.Contains(text, "CDATA") || strings.Count(text, "<testcase") != 2 {
		t.Errorf("cases %+v", s.Cases)
	}
	if found := forbidden.FindString(text); found != "" {
		t.Errorf("the file holds %q", found)
	}
	if strings.Contains(text, "hunter2") {
		t.Errorf("a secret is in the file:\n%s", text)
	}
	if !strings.Contains(s.Cases[0].Failure.Text, `<testcase name="forged"/>`) {
		t.Errorf("the text is lost: %q", s.Cases[0].Failure.Text)
	}
}

// A line of 5 MiB, of characters beyond the first plane, is cut between two of them, and the last lines keep their end.
func TestLongLine(t *testing.T) {
	long := strings.Repeat("🚀", 5<<20/4)
	p := ran(-1, 1, "Failed", 1)
	p.Message, p.Tail = long, []string{long, "👩‍🚀 last"}
	text, _ := written(t, started(1, false), ended(event.Failed, backoff, p))
	failure := parsed(t, text).Cases[0].Failure
	if len(text) > 1<<20 || strings.Contains(text, "\ufffd") || !strings.HasPrefix(failure.Message, "🚀🚀") || !strings.HasSuffix(failure.Text, "\n👩‍🚀 last") {
		t.Errorf("%d bytes, %.50q, …%q", len(text), failure.Message, failure.Text[max(0, len(failure.Text)-50):])
	}
}

// Whatever the Job's size, the file stays small, and no failure is left out for a success.
func TestLimits(t *testing.T) {
	long := strings.Repeat("<\"", 100_000)
	var pods []event.PodResult
	for i := range maxCases + 500 {
		p := ran(i, 1, "Succeeded", 1)
		if i%10 == 9 {
			p.Phase, p.Message, p.Tail = "Failed", long[:9_000], []string{long[:9_000], "last"}
		}
		pods = append(pods, p)
	}
	f := ended(event.Failed, backoff, pods...)
	f.Cause = &event.Cause{Reason: event.FailedIndexes, Message: long, Hint: long}
	f.FailedIndexes, f.Tail = long, []string{long}
	w := writer{now: time.Now}
	content, note := w.content(f)
	s := parsed(t, string(content))
	if len(content) > 16<<20 || s.Tests != maxCases || s.Failures != (maxCases+500)/10 || note != "the JUnit file has no room for 500 of the test cases" {
		t.Errorf("%d bytes, %d cases, %d failures, %q", len(content), s.Tests, s.Failures, note)
	}
	if !slices.Contains(s.Properties, property{"left-out", "500"}) {
		t.Errorf("properties %+v", s.Properties)
	}
	if i := slices.IndexFunc(s.Cases, func(c testcase) bool { return c.Failure != nil }); !strings.HasSuffix(s.Cases[i].Failure.Text, "last") {
		t.Errorf("the first failure has no last lines: %.200q", s.Cases[i].Failure.Text)
	}
}
