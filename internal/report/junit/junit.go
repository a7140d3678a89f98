// Package junit writes how a run ended as a report of tests, which nearly every CI system shows: a test case for each index of an Indexed
// Job, and for each attempt of any other.
//
// Nobody owns the format. What is written here is valid for both schemas in use, which differ: that of Ant's JUnitReport task
// (windyroad/JUnit-Schema, JUnit.xsd) and that of Jenkins (jenkinsci/xunit-plugin, junit-10.xsd). So a case has one answer and
// no output of its own, the root and what is skipped have few attributes, and a time stamp has no zone.
package junit

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/report"
)

// Limits, which together keep the file below 16 MiB: GitLab refuses one above 30 MiB (application limit for junit artifacts).
const (
	maxCases   = 10_000
	maxName    = 1 << 10
	maxMessage = 4 << 10
	maxTail    = 16 << 10
	maxTexts   = 8 << 20  // of XML: from then on, failures have no last lines
	maxAnswers = 12 << 20 // from then on, they have no message either
)

type suites struct {
	XMLName xml.Name `xml:"testsuites"`
	Suite   suite    `xml:"testsuite"`
}

type suite struct {
	Name       string     `xml:"name,attr"`
	Package    string     `xml:"package,attr"`
	ID         int        `xml:"id,attr"`
	Hostname   string     `xml:"hostname,attr"`
	Timestamp  string     `xml:"timestamp,attr"`
	Time       seconds    `xml:"time,attr"`
	Tests      int        `xml:"tests,attr"`
	Failures   int        `xml:"failures,attr"`
	Errors     int        `xml:"errors,attr"`
	Skipped    int        `xml:"skipped,attr"`
	Properties []property `xml:"properties>property"`
	Cases      []testcase `xml:"testcase"`
	Out        string     `xml:"system-out"`
	Err        string     `xml:"system-err"`
}

type property struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type testcase struct {
	Name    string  `xml:"name,attr"`
	Class   string  `xml:"classname,attr"`
	Time    seconds `xml:"time,attr"`
	Skipped *answer `xml:"skipped"`
	Failure *answer `xml:"failure"`
	Error   *answer `xml:"error"`
}

// answer is why a case did not pass.
type answer struct {
	Type    string `xml:"type,attr,omitempty"` // never that of a skipped case: Jenkins' schema has none there
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

type seconds time.Duration

func (s seconds) MarshalXMLAttr(name xml.Name) (xml.Attr, error) {
	return xml.Attr{Name: name, Value: fmt.Sprintf("%.3f", max(0, time.Duration(s).Seconds()))}, nil
}

// writer knows what came before an event.
type writer struct {
	started event.Started
	now     func() time.Time
}

// New makes a Sink that writes the file path: a case that says that the run was killed as soon as the Job exists, and how it went at the
// end. tell gets a notice when not all cases fit.
func New(path string, tell func(event.Event) error) *report.Document {
	w := writer{now: time.Now}
	return report.NewDocument(path, w.content, tell)
}

func (w *writer) content(e event.Event) (content []byte, note string) {
	var s suite
	switch e := e.(type) {
	case event.Started:
		w.started = e
		killed := event.Finished{Job: e.Job, UID: e.UID, Cause: &event.Cause{Reason: "Killed", Message: e.Job.String() + " had not ended when this run was killed"}}
		if e.Alone {
			killed = event.Finished{Outcome: event.Created, Job: e.Job, UID: e.UID}
		}
		s, _ = w.suite(killed)
	case event.Finished:
		s, note = w.suite(e)
	default:
		return nil, ""
	}
	out, err := xml.MarshalIndent(suites{Suite: s}, "", "  ")
	if err != nil {
		panic(err) // there is nothing in it that XML has no words for
	}
	return append([]byte(xml.Header), append(out, '\n')...), note
}

// suite is how the run ended, and a sentence about what had no room, or "".
func (w *writer) suite(f event.Finished) (s suite, note string) {
	name := strings.TrimPrefix(f.Job.String(), f.Job.Kind+" ")
	s = suite{Name: cmp.Or(name, "kubernetes-job"), Package: f.Job.Namespace, Hostname: "localhost", Time: seconds(f.Duration)}
	for _, at := range []time.Time{f.StartedAt, w.started.CreatedAt, w.now()} {
		if y := at.UTC().Year(); y > 1 && y <= 9999 {
			s.Timestamp = at.UTC().Format("2006-01-02T15:04:05")
			break
		}
	}
	if len(f.Pods) > 0 {
		s.Hostname = cmp.Or(f.Pods[0].Node, s.Hostname)
	}
	outputs, _ := report.Outputs(f)
	for _, o := range outputs {
		if o.Value != "" && o.Name != "pods" && o.Name != "log-tail" && o.Name != "message" && o.Name != "result" && o.Name != "job_name" {
			s.Properties = append(s.Properties, property{o.Name, event.Shorten(o.Value, maxName)})
		}
	}
	class := cmp.Or(strings.ReplaceAll(name, "/", "."), "kubernetes-job")
	s.Cases, s.Out = w.cases(f)
	if f.Cause != nil {
		s.Err = event.Shorten(strings.TrimSpace(report.Verdict(f)+"\n"+f.Cause.Hint), maxTail)
	}
	if answered := slices.ContainsFunc(s.Cases, func(c testcase) bool { return c.Failure != nil }); len(s.Cases) == 0 || !answered && !report.Good(f.Outcome) {
		s.Cases = append(s.Cases, own(f, seconds(f.Duration)))
	}
	if more := len(s.Cases) - maxCases; more > 0 {
		slices.SortStableFunc(s.Cases, func(a, b testcase) int { return rank(a) - rank(b) })
		s.Cases, note = s.Cases[:maxCases], fmt.Sprintf("the JUnit file has no room for %d of the test cases", more)
		s.Properties = append(s.Properties, property{"left-out", fmt.Sprint(more)})
	}
	size := 0
	for i := range s.Cases {
		c := &s.Cases[i]
		c.Class, c.Name = class, event.Shorten(c.Name, maxName)
		for _, a := range []*answer{c.Skipped, c.Failure, c.Error} {
			if a == nil {
				continue
			}
			if size > maxTexts {
				a.Text = ""
			}
			if size > maxAnswers {
				a.Message = ""
			}
			out, _ := xml.Marshal(a) // what it may fail of, content finds out
			size += len(out)
		}
		s.Tests++
		switch {
		case c.Skipped != nil:
			s.Skipped++
		case c.Failure != nil:
			s.Failures++
		case c.Error != nil:
			s.Errors++
		}
	}
	return s, note
}

func rank(c testcase) int {
	switch {
	case c.Error != nil, c.Failure != nil:
		return 0
	case c.Skipped != nil:
		return 1
	}
	return 2
}

// own is the case of the Job itself, for a run whose end no pod explains.
func own(f event.Finished, took seconds) testcase {
	c := testcase{Name: cmp.Or(f.Job.Name, "kubernetes-job"), Time: took}
	if report.Good(f.Outcome) {
		return c
	}
	a := &answer{Type: string(f.Outcome), Message: event.Shorten(report.Verdict(f), maxMessage), Text: report.Tail(f.Tail, maxTail)}
	if f.Cause == nil {
		c.Error = a
		return c
	}
	if a.Type = string(f.Cause.Reason); f.Cause.Hint != "" {
		a.Text = strings.TrimSpace(event.Shorten(f.Cause.Hint, maxMessage) + "\n\n" + a.Text)
	}
	if f.Outcome == event.Failed && f.Cause.Reason.Class() == event.JobFailed && f.UID != "" {
		c.Failure = a
	} else {
		c.Error = a
	}
	return c
}

// cases are those of the indexes or attempts, and a text about the attempts that others have made good.
func (w *writer) cases(f event.Finished) (cases []testcase, repeated string) {
	var out strings.Builder
	byIndex := map[int][]event.PodResult{}
	var indexes []int
	for i, p := range f.Pods {
		at := -1 - i // each for itself
		if p.Index != nil {
			at = *p.Index
		}
		if byIndex[at] == nil {
			indexes = append(indexes, at)
		}
		byIndex[at] = append(byIndex[at], p)
	}
	slices.SortFunc(indexes, func(a, b int) int {
		if a < 0 && b < 0 { // in the order in which they came
			return b - a
		}
		return a - b
	})
	for _, at := range indexes {
		pods := byIndex[at]
		slices.SortStableFunc(pods, func(a, b event.PodResult) int { return a.Attempt - b.Attempt })
		last := pods[len(pods)-1]
		if i := slices.IndexFunc(pods, func(p event.PodResult) bool { return p.Phase == "Succeeded" }); i >= 0 {
			last = pods[i]
		}
		c := testcase{Name: w.name(last)}
		if at >= 0 {
			c.Name = fmt.Sprintf("index %d", at)
		}
		for _, p := range pods {
			c.Time += seconds(p.Ran())
			if p.Phase == "Failed" && p.Name != last.Name && out.Len() < maxTexts/4 {
				fmt.Fprintf(&out, "%s, attempt %d (pod %s): %s\n", c.Name, p.Attempt, p.Name, event.Shorten(failure(p, f), maxMessage))
			}
		}
		switch {
		case last.Phase == "Succeeded":
		case last.Phase != "Failed":
			c.Skipped = &answer{Message: fmt.Sprintf("it had not ended (%s) when the run did", last.Phase)}
		case report.Good(f.Outcome):
			c.Skipped = &answer{Message: event.Shorten("the Job succeeded without it: "+failure(last, f), maxMessage), Text: report.Tail(last.Tail, maxTail)}
		default:
			tail := last.Tail
			if f.Failed == 1 && len(tail) == 0 {
				tail = f.Tail
			}
			message := event.Shorten(failure(last, f), maxMessage)
			c.Failure = &answer{Type: kind(last, f), Message: message, Text: strings.TrimSpace(message + "\n\n" + report.Tail(tail, maxTail))}
		}
		cases = append(cases, c)
	}
	return cases, out.String()
}

// name is that of a pod's case in a Job without indexes. It is the same in every run, for CI systems that compare runs.
func (w *writer) name(p event.PodResult) string {
	switch {
	case p.Attempt == 0:
		return p.Name
	case w.started.Pods > 1:
		return fmt.Sprintf("pod %d", p.Attempt)
	}
	return fmt.Sprintf("attempt %d", p.Attempt)
}

func kind(p event.PodResult, f event.Finished) string {
	if f.Cause != nil {
		return cmp.Or(p.Reason, string(f.Cause.Reason))
	}
	return cmp.Or(p.Reason, "Failed")
}

func failure(p event.PodResult, f event.Finished) string {
	if f.Cause != nil && f.Failed == 1 {
		return cmp.Or(p.Message, f.Cause.Message)
	}
	return cmp.Or(p.Message, "pod "+p.Name+" failed")
}
