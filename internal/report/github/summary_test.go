package github

import (
	"fmt"
	"html"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/golden"
	"github.com/planton/kubernetes-job-action/internal/report"
)

func pointer[T any](v T) *T { return &v }

// ran is a pod of the Job that was created some seconds after it, waited for its image, and ran.
func ran(name string, index, attempt int, after, pull, run time.Duration) event.PodResult {
	created := at.Add(after)
	p := event.PodResult{Name: name, Node: "node-1", Phase: "Succeeded", ExitCode: pointer(int32(0)), Attempt: attempt, CreatedAt: &created, StartedAt: &created, EndedAt: pointer(created.Add(pull + run)),
		Times: event.Times{Node: time.Second, Pull: pull, Run: run}}
	if index >= 0 {
		p.Index = &index
	}
	return p
}

func broke(p event.PodResult, code int32, tail ...string) event.PodResult {
	p.Phase, p.Reason, p.ExitCode, p.Container, p.Tail = "Failed", "ContainerExit", &code, "migrate", tail
	p.Message = fmt.Sprintf("container \"migrate\" of pod %s exited with code %d", p.Name, code)
	return p
}

func succeeded() []event.Event {
	return []event.Event{
		event.Object{Object: event.Ref{Kind: "Namespace", Name: "batch-jobs"}, Action: "created", Detail: "it stays"},
		event.Object{Object: job, Action: "created"},
		begun,
		event.Attempt{Pod: stream.Pod, Index: -1, Message: "container migrate runs"},
		line("1/u create_users (12ms)", "\x1b[32mok\x1b[0m", "\x1b[2J 10%\r 100%\r"),
		event.Notice{Level: event.Info, Message: "the API server does not answer"},
		event.Notice{Level: event.Warning, Message: "a pod waits", Hint: "Look at it."},
		line("2/u create_orders"),
		event.Notice{Level: event.Debug, Message: "not for everybody"},
		event.Object{Object: job, Action: "deleted"},
		event.Finished{Outcome: event.Succeeded, Job: job, UID: "0b1c", Attempts: 1, Succeeded: 1, StartedAt: at, CompletedAt: at.Add(104200 * time.Millisecond),
			Duration: 104200 * time.Millisecond, Times: event.Times{Queue: 2 * time.Second, Node: 200 * time.Millisecond, Pull: 31 * time.Second, Init: 9 * time.Second, Run: time.Minute, End: 2 * time.Second},
			Pods: []event.PodResult{ran(stream.Pod, -1, 1, 0, 31*time.Second, 69*time.Second)}, Tail: []string{"1/u create_users (12ms)", "2/u create_orders"}},
	}
}

// attempt is the output of an attempt after the first.
func attempt(n int, pod string, lines ...string) event.Lines {
	s := *stream
	s.Attempt, s.Pod = n, pod
	e := event.Lines{Stream: &s}
	for _, l := range lines {
		e.Lines = append(e.Lines, event.Line{At: at, Text: l})
	}
	return e
}

func failed() []event.Event {
	tail := []string{"Traceback (most recent call last):", "  File \"/app/load.py\", line 12, in load", "    cursor.execute(sql)", "psycopg.errors.UndefinedTable: relation \"orders\" does not exist"}
	pods := []event.PodResult{
		broke(ran("data-migration-x7k2p", -1, 1, 0, 4*time.Second, 12*time.Second), 1, tail...),
		broke(ran("data-migration-b4f9d", -1, 2, 27*time.Second, time.Second, 13*time.Second), 1, tail...),
		broke(ran("data-migration-9vwzt", -1, 3, 62*time.Second, time.Second, 12*time.Second), 1, tail...),
	}
	return []event.Event{
		event.Finding{Level: event.Warning, File: "/github/workspace/k8s/job.yaml", Line: 12, Column: 7, Path: "spec.image", Message: "the tag latest moves"},
		event.Finding{Level: event.Warning, File: "<stdin>", Line: 1, Column: 1, Message: "no file"},
		begun,
		line(tail...),
		event.Attempt{Pod: pods[0].Name, Index: -1, Message: "container migrate exited with code 1 (attempt 1 of 3)"},
		attempt(2, pods[1].Name, tail...),
		event.Progress{Wanted: 1, Failed: 1, Running: 1, Heartbeat: true},
		attempt(2, pods[1].Name, "more"),
		event.Attempt{Pod: pods[1].Name, Index: -1, Message: "container migrate exited with code 1 (attempt 2 of 3)"},
		attempt(3, pods[2].Name, tail...),
		event.Object{Object: job, Action: "kept", Detail: "the cluster deletes it in 24 h"},
		event.Finished{Outcome: event.Failed, Job: job, UID: "0b1c", Attempts: 3, Failed: 3, StartedAt: at, CompletedAt: at.Add(77 * time.Second), Duration: 77 * time.Second,
			Cause: &event.Cause{Reason: event.BackoffLimitExceeded, Object: job, Container: "migrate", ExitCode: pointer(int32(1)),
				Message: "container \"migrate\" of pod data-migration-9vwzt exited with code 1", Hint: "The last lines of its log say why: kubectl -n batch-jobs logs data-migration-9vwzt -c migrate"},
			Times: event.Times{Queue: 23 * time.Second, Node: 3 * time.Second, Pull: 6 * time.Second, Run: 37 * time.Second, End: 8 * time.Second},
			Pods:  pods, Tail: tail,
			Warnings: []event.Cause{{Reason: event.OOMKilled, Message: "container proxy was OOM-killed", Hint: "Raise its limit."}}},
	}
}

// indexes is a Job of 100 indexes, nearly all of which failed, for two reasons.
func indexes() []event.Event {
	rnd := rand.New(rand.NewPCG(1, 2))
	var pods []event.PodResult
	for i := range 100 {
		p := ran(fmt.Sprintf("invoices-%d-%05x", i, rnd.Uint32N(1<<20)), i, 1, time.Duration(i/20)*9*time.Second, time.Duration(1+rnd.IntN(3))*time.Second, time.Duration(3+rnd.IntN(6))*time.Second)
		switch {
		case i == 17 || i == 60:
			p = broke(p, 137, fmt.Sprintf("sorting %d rows", 100000+i), "Killed")
			p.Reason = "OOMKilled"
		case i != 42:
			p = broke(p, 1, fmt.Sprintf("2026-03-01T12:00:%02dZ invoices of part %d", i%60, i), fmt.Sprintf("error: dial tcp 10.0.3.%d:5432: connect: connection refused", i))
			if i >= 64 {
				p.Tail = nil
			}
		}
		pods = append(pods, p)
	}
	started := begun
	started.Pods, started.Indexed, started.Job.Name = 100, true, "invoices"
	return []event.Event{
		started,
		event.Object{Object: started.Job, Action: "kept", Detail: "it stays"},
		event.Finished{Outcome: event.Failed, Job: started.Job, UID: "0b1c", Attempts: 100, Succeeded: 1, Failed: 99, FailedIndexes: "0-41,43-99", StartedAt: at, CompletedAt: at.Add(58 * time.Second), Duration: 58 * time.Second,
			Cause: &event.Cause{Reason: event.FailedIndexes, Object: started.Job, Container: "migrate", ExitCode: pointer(int32(1)),
				Message: "99 of 100 indexes failed, the first of them 0: container \"migrate\" of pod " + pods[0].Name + " exited with code 1",
				Hint:    "The last lines of its log say why: kubectl -n batch-jobs logs " + pods[0].Name + " -c migrate"},
			Times: event.Times{Node: 1 * time.Second, Pull: 3 * time.Second, Run: 51 * time.Second, End: 3 * time.Second},
			Pods:  pods, Tail: pods[0].Tail},
	}
}

// many is a Job of 2,000 pods that succeeded, some of them at the second attempt.
func many() []event.Event {
	rnd := rand.New(rand.NewPCG(3, 4))
	var pods []event.PodResult
	for i := range 1990 {
		p := ran(fmt.Sprintf("thumbnails-%d-%05x", i, rnd.Uint32N(1<<20)), i, 1, time.Duration(i)*300*time.Millisecond, time.Second, time.Duration(10+rnd.IntN(50))*time.Second)
		if i%199 == 0 {
			pods = append(pods, broke(p, 3, fmt.Sprintf("picture %d: unexpected end of file", i)))
			p = ran(fmt.Sprintf("thumbnails-%d-%05x", i, rnd.Uint32N(1<<20)), i, 2, time.Duration(i)*300*time.Millisecond+70*time.Second, time.Second, 20*time.Second)
		}
		pods = append(pods, p)
	}
	started := begun
	started.Pods, started.Indexed, started.Job.Name = 1990, true, "thumbnails"
	return []event.Event{
		started,
		event.Finished{Outcome: event.Succeeded, Job: started.Job, UID: "0b1c", Attempts: len(pods), Succeeded: 1990, Failed: 10, StartedAt: at, CompletedAt: at.Add(11 * time.Minute), Duration: 11 * time.Minute,
			Times: event.Times{Node: 2 * time.Second, Pull: 2 * time.Second, Run: 655 * time.Second, End: time.Second}, Pods: pods},
	}
}

func timedOut() []event.Event {
	waits := ran("data-migration-x7k2p", -1, 1, time.Second, 298*time.Second, 0)
	waits.Phase, waits.Reason, waits.ExitCode, waits.EndedAt = "Pending", "ContainerCreating", nil, nil
	return []event.Event{
		begun,
		event.Object{Object: job, Action: "deleted", Detail: "this run ended before it did"},
		event.Finished{Outcome: event.TimedOut, Job: job, UID: "0b1c", Attempts: 1, StartedAt: at, Duration: 5 * time.Minute,
			Cause: &event.Cause{Reason: event.StartTimeout, Object: job, Message: "no container started within 5 min: pod data-migration-x7k2p waits for its volumes", Hint: "kubectl -n batch-jobs describe pod data-migration-x7k2p"},
			Times: event.Times{Node: time.Second, Pull: 299 * time.Second}, Pods: []event.PodResult{waits}},
	}
}

// hostile is what a stranger might write wherever he can.
const hostile = "<img src=x onerror=alert(1)> | [a](http://evil.example) www.evil.example https://evil.example ![p](data:,) `x` **b** @team a@b.example #1 acme/x#2\n# heading\n```\n</td></details><details>:x;%%{init}%%\nclick a href"

func hostileRun() []event.Event {
	var pods []event.PodResult
	for i := range 3 {
		p := broke(ran(hostile, -1, i+1, time.Duration(i)*time.Minute, time.Second, 30*time.Second), 1, hostile, "````", hostile)
		p.Node, p.Reason, p.Container, p.Message = hostile, hostile, hostile, hostile+fmt.Sprint(i%2)
		pods = append(pods, p)
	}
	started := begun
	started.Context = hostile
	return []event.Event{started, event.Finished{Outcome: event.Failed, Job: event.Ref{Kind: "Job", Namespace: hostile, Name: hostile}, UID: "0b1c", Attempts: 3, Failed: 3, FailedIndexes: hostile, Duration: time.Minute,
		Cause: &event.Cause{Reason: event.Reason(hostile), Message: hostile, Hint: hostile + "\n" + hostile}, Pods: pods, Tail: []string{hostile, "```", hostile}, Result: pointer(hostile),
		Warnings: []event.Cause{{Message: hostile}}, Times: event.Times{Run: time.Minute}}}
}

var scenes = []struct {
	name    string
	events  []event.Event
	options report.Options
}{
	{"succeeded", succeeded(), report.Options{Summary: true, Timestamps: true}},
	{"failed", failed(), report.Options{Summary: true}},
	{"indexes", indexes(), report.Options{Summary: true}},
	{"many", many(), report.Options{Summary: true}},
	{"timed-out", timedOut(), report.Options{Summary: true}},
	{"hostile", hostileRun(), report.Options{Summary: true}},
}

func TestGolden(t *testing.T) {
	for _, c := range scenes {
		t.Run(c.name, func(t *testing.T) {
			s := newStep(t, c.options)
			drawn := 0
			s.draw = func() string { drawn++; return fmt.Sprintf("RANDOM%d", drawn) }
			s.bracket.Draw = s.draw
			f := report.New(s)
			f.AddSecrets(event.Secret{Value: "hunter2!", Credential: true})
			for _, e := range c.events {
				if err := f.Event(e); err != nil {
					t.Fatal(err)
				}
			}
			golden.Compare(t, "testdata/"+c.name+".log", strings.ReplaceAll(s.log.String(), "\x1b", "ESC"))
			if output := s.file(t, "GITHUB_OUTPUT"); len(output) < 8<<10 {
				golden.Compare(t, "testdata/"+c.name+".output", output)
			}
			page := s.file(t, "GITHUB_STEP_SUMMARY")
			golden.Compare(t, "testdata/"+c.name+".md", page)
			for _, wrong := range markup(page) {
				t.Error(wrong)
			}
		})
	}
}

var (
	ours    = regexp.MustCompile(`</?b>|<br>|<details>|<details open>|</details>|</?summary>|\*\*`)
	mermaid = regexp.MustCompile(`^(?:---|displayMode: compact|config:|  gantt: \{[\w:, ]+\}|gantt|  dateFormat x|  axisFormat [%HMS:]+|  todayMarker off|  section [\w .,…-]*[\w.,…-][\w .,…-]*|  (?:\x{2800}|[\w .,-]+) :(?:done, |active, |crit, )?-?\d+, -?\d+)$`)
	mention = regexp.MustCompile(`@\w|#\w|(?i:www\.)`)
)

// markup is what is wrong with a page: anything that is Markdown or HTML, and not what a summary is made of.
func markup(page string) (wrong []string) {
	if len(page) >= 1<<20 {
		wrong = append(wrong, fmt.Sprintf("the page has %d bytes", len(page)))
	}
	fenced, language, bars := "", "", 0
	open := map[string]int{}
	for line := range strings.SplitSeq(page, "\n") {
		marks := line[:len(line)-len(strings.TrimLeft(line, "`"))]
		switch {
		case fenced == "" && len(marks) >= 3:
			fenced, language = marks, line[len(marks):]
			if language != "text" && language != "mermaid" {
				wrong = append(wrong, fmt.Sprintf("a block of %q", language))
			}
			continue
		case fenced != "" && len(marks) >= len(fenced) && strings.TrimSpace(line) == marks:
			fenced = ""
			continue
		case fenced != "":
			if language == "mermaid" && !mermaid.MatchString(line) {
				wrong = append(wrong, fmt.Sprintf("the diagram has %.80q", line))
			}
			continue
		}
		for _, tag := range ours.FindAllString(line, -1) {
			switch name, _, _ := strings.Cut(strings.Trim(tag, "</>"), " "); {
			case strings.HasPrefix(tag, "</"):
				open[name]--
			case name != "br":
				open[name]++
			}
		}
		text := ours.ReplaceAllString(strings.TrimPrefix(line, ">"), "")
		if strings.ContainsAny(text, "<>`@[*_~") || strings.HasPrefix(text, "http") {
			wrong = append(wrong, fmt.Sprintf("markup in %.80q", line))
		}
		// The text is searched for references when nothing is escaped any more, and for www. before.
		if m := mention.FindString(strings.ReplaceAll(html.UnescapeString(text), "@sha256:", "")); m != "" && m[0] != 'w' && m[0] != 'W' || strings.Contains(strings.ToLower(text), "www.") {
			if !strings.HasPrefix(line, "#") {
				wrong = append(wrong, fmt.Sprintf("a reference in %.80q", line))
			}
		}
		switch n := strings.Count(line, "|"); {
		case !strings.HasPrefix(line, "|"):
			if bars = 0; n > 0 {
				wrong = append(wrong, fmt.Sprintf("a cell outside of a table in %.80q", line))
			}
		case bars > 0 && n != bars:
			wrong = append(wrong, fmt.Sprintf("a cell breaks out of its row in %.80q", line))
		default:
			bars = n
		}
	}
	if fenced != "" {
		wrong = append(wrong, "a code block does not end")
	}
	for tag, n := range open {
		if n != 0 {
			wrong = append(wrong, fmt.Sprintf("%d of %s", n, tag))
		}
	}
	return wrong
}

// The summary shows what it quotes, nothing of it becomes markup, and GitHub takes it, whatever comes.
func TestSummaryIsLiteralAndBounded(t *testing.T) {
	bars, angles, ticks := strings.Repeat("|", 5000), strings.Repeat("<", 5000), strings.Repeat("`", 1000)
	for name, word := range map[string]string{"words": hostile, "bars": bars, "angles": angles, "backticks": ticks, "references": strings.Repeat("@#", 2500), "no name": "-", "mermaid": "end\n  section x;click y\n```\n```mermaid\n%%{init: {}}%%#quot;:"} {
		for n, outcome := range map[int]event.Outcome{1: event.Succeeded, 2: event.Outcome(word), 99: event.TimedOut, 400: event.Failed} {
			ref := event.Ref{Kind: "Job", Namespace: word, Name: word}
			f := event.Finished{Outcome: outcome, Job: ref, UID: "u", Attempts: n, FailedIndexes: word, Duration: time.Hour, Result: &word, Tail: []string{"````", word, "`````", "</code>"},
				Cause: &event.Cause{Reason: event.Reason(word), Object: ref, Container: word, ExitCode: &code, Message: word, Hint: word + "\n" + word},
				Times: event.Times{Queue: 1<<63 - 1, Pull: 1<<63 - 1, Node: -1 << 63, Run: 1}}
			for i := range n {
				created := at.Add(time.Duration(i) * time.Second)
				p := event.PodResult{Name: word, Reason: word, Node: word, Phase: "Failed", Index: pointer(i), Attempt: i, CreatedAt: &created, Container: word, Message: fmt.Sprint(word, i), Times: event.Times{Node: 1<<63 - 1, Run: time.Duration(i) << 50, Pull: time.Second}}
				if i%5 == 0 {
					p.Phase, p.Index, p.Tail = word, nil, []string{word, fmt.Sprint(i%20, word)}
				}
				f.Pods = append(f.Pods, p)
				f.Warnings = append(f.Warnings, event.Cause{Message: word, Hint: word})
				f.Tail = append(f.Tail, ticks)
			}
			page := summary(event.Started{Job: ref, Pods: n, Context: word}, f, true)
			for _, wrong := range markup(page) {
				t.Errorf("%s, %d pods: %s", name, n, wrong)
			}
			if n == 400 && (!strings.Contains(page, "… and 350 more pods") || !strings.Contains(page, "… and 380 more warnings")) {
				t.Errorf("%s, %d pods: what was left out is not said", name, n)
			}
		}
	}
}

// A pod that ran for less than the time stamps tell did not run while it waited for its image.
func TestRanIsNotWaited(t *testing.T) {
	quick := broke(ran("data-migration-x7k2p", -1, 1, 0, 5*time.Second, 0), 1, "x")
	pulls := ran("data-migration-b4f9d", -1, 2, 0, 5*time.Second, 0)
	pulls.Phase, pulls.ExitCode, pulls.EndedAt = "Pending", nil, nil
	table := attempts(event.Finished{Outcome: event.Failed, Pods: []event.PodResult{quick, pulls}})
	for _, want := range []string{"| ContainerExit, exit code 1 | 6.0 s | &#60;1 s |", "| Pending | 6.0 s |  |"} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in:\n%s", want, table)
		}
	}
}

func TestOneMore(t *testing.T) {
	f := event.Finished{Outcome: event.Failed}
	for i := range summaryPods + 1 {
		f.Pods = append(f.Pods, ran("x", i, 1, 0, 1, 1))
	}
	for i := range summaryClusters + 1 {
		f.Pods[i] = broke(f.Pods[i], int32(i)+1, strings.Repeat("x", i+1))
	}
	page := clusters(event.Started{}, f) + attempts(f) + warnings(make([]event.Cause, summaryWarnings+1))
	for _, want := range []string{"… and 1 more pod\n", "… and 1 more kind of failures\n", "… and 1 more warning\n"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in:\n%s", want, page)
		}
	}
}
