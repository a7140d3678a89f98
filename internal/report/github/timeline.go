package github

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// Limits of a timeline. GitHub draws no diagram with more than 50,000 characters (Mermaid, maxTextSize).
const (
	maxBars    = 100
	maxMermaid = 50_000 - 1
	barWidth   = 60 // of a bar in text, in characters
	shareWidth = 25 // of the bar with the parts of the whole time, in squares
)

// stage is a part of a time.
type stage struct {
	name   string
	square string // in the bar with the parts of the whole time
	letter string // in a bar of text
	look   string // in a diagram: the tags of a task
	long   time.Duration
}

// stages are the parts in their order. Their colours mean nothing but themselves, so red and green are not among them.
func stages(t event.Times) []stage {
	return []stage{
		{"queue", "⬜", "·", "active, ", t.Queue},
		{"waiting for a node", "🟫", "-", "active, ", t.Node},
		{"image pull", "🟨", "░", "done, ", t.Pull},
		{"init", "🟪", "▒", "done, ", t.Init},
		{"run", "🟦", "█", "", t.Run},
		{"end", "⬛", "·", "active, ", t.End},
	}
}

// anatomy is where the time of a Job went, as a bar and in words below it; "" when that is not known.
func anatomy(t event.Times) string {
	var whole float64
	var parts []stage
	for _, s := range stages(t) {
		if s.long > 0 {
			parts = append(parts, s)
			whole += float64(s.long)
		}
	}
	if len(parts) == 0 {
		return ""
	}
	// The squares that are left when all shares are rounded down go to those that lost most.
	squares, lost, left := make([]int, len(parts)), make([]float64, len(parts)), shareWidth
	for i, s := range parts {
		exact := float64(s.long) / whole * shareWidth
		squares[i] = int(exact)
		lost[i] = exact - float64(squares[i])
		left -= squares[i]
	}
	for range left {
		most := 0
		for i := range lost {
			if lost[i] > lost[most] {
				most = i
			}
		}
		squares[most]++
		lost[most] = 0
	}
	var bar strings.Builder
	var words []string
	for i, s := range parts {
		bar.WriteString(strings.Repeat(s.square, squares[i]))
		share := "&lt;1"
		if percent := float64(s.long) / whole * 100; percent >= 1 {
			share = fmt.Sprintf("%.0f", percent)
		}
		words = append(words, strings.ReplaceAll(fmt.Sprintf("%s %s %s (%s %%)", s.square, s.name, event.Seconds(s.long), share), " ", "\u00a0"))
	}
	return bar.String() + "<br>\n" + strings.Join(words, " · ") + "\n"
}

// span is a pod with a known beginning.
type span struct {
	event.PodResult
	name   string
	begin  time.Time
	stages []stage // the first of them begins at begin, each other one at the end of the one before
}

func (s span) end() time.Time {
	end := s.begin
	for _, p := range s.stages {
		end = end.Add(p.long)
	}
	return end
}

// spans are the pods whose times are known. A pod without an index is told by the random end of its name.
func spans(pods []event.PodResult) []span {
	var all []span
	for _, p := range pods {
		if p.CreatedAt == nil {
			continue
		}
		s := span{PodResult: p, begin: *p.CreatedAt, name: p.Name[strings.LastIndexByte(p.Name, '-')+1:]}
		if p.Index != nil {
			s.name = fmt.Sprintf("index %d", *p.Index)
		}
		if p.Attempt > 1 {
			s.name += fmt.Sprintf(", attempt %d", p.Attempt)
		}
		for _, part := range stages(p.Times) {
			if part.long > 0 {
				s.stages = append(s.stages, part)
			}
		}
		if len(s.stages) > 0 {
			all = append(all, s)
		}
	}
	return all
}

// timeline is when the pods did what: as a Mermaid diagram, or as bars of text when they are too many for one; "" for less than two pods,
// because the bar of the whole time has all there is of one.
func timeline(pods []event.PodResult, open bool) string {
	all := spans(pods)
	if len(all) < 2 {
		return ""
	}
	title, picture := fmt.Sprintf("Timeline of %d pods", len(all)), gantt(all)
	if len(all) > maxBars || len(picture) > maxMermaid {
		if rows := few(all); len(rows) < len(all) {
			return details(fmt.Sprintf("Timeline of %d of %d pods", len(rows), len(all)), open, bars(rows))
		}
		return details(title, open, bars(all))
	}
	return details(title+" (grey: images and init containers, red: failed)", open || len(all) <= summaryOpen, picture)
}

// gantt is a Mermaid diagram with a row for each pod. The time is the reader's own, as elsewhere on GitHub's pages.
func gantt(all []span) string {
	var b strings.Builder
	first, last := all[0].begin, all[0].end()
	for _, s := range all {
		first, last = earlier(first, s.begin), later(last, s.end())
	}
	axis := "%H:%M"
	if last.Sub(first) < 10*time.Minute {
		axis = "%H:%M:%S"
	}
	b.WriteString("```mermaid\n---\ndisplayMode: compact\nconfig:\n  gantt: {barHeight: 14, barGap: 3, fontSize: 10, sectionFontSize: 11, leftPadding: 110, gridLineStartPadding: 20}\n---\n")
	fmt.Fprintf(&b, "gantt\n  dateFormat x\n  axisFormat %s\n  todayMarker off\n", axis)
	for _, s := range all {
		fmt.Fprintf(&b, "  section %s\n", label(s.name))
		at := s.begin
		for _, part := range s.stages {
			look := part.look
			if s.Failed() && (part.name == "run" || part.name == "end") {
				look = "crit, "
			}
			end := at.Add(part.long)
			name := noName
			if part.name == "run" {
				name = label(event.Seconds(part.long))
			}
			fmt.Fprintf(&b, "  %s :%s%d, %d\n", name, look, at.UnixMilli(), end.UnixMilli())
			at = end
		}
	}
	b.WriteString("```\n")
	return b.String()
}

// noName is a name that cannot be seen and that Mermaid takes: it is no white space. There is no room for words in a bar of a second.
const noName = "\u2800"

// label is a text that means nothing to Mermaid, whose marks (":", ";", "#", "%%", line breaks, keywords at the start of a line) no quotes
// protect in a gantt: only what names and durations are made of stays.
func label(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune(" .,-", r):
			return r
		}
		return '_'
	}, s)
	if strings.Trim(s, " ") == "" { // a pod that no Kubernetes has named
		return "pod"
	}
	return event.Shorten(s, 20)
}

// few are at most maxBars of the pods, in the order of their beginning, then of their indexes: up to half of them failed ones, and of all others as many as there is room for,
// evenly, so that the whole time is in the picture.
func few(all []span) []span {
	var failed, others []span
	for _, s := range all {
		if s.Failed() {
			failed = append(failed, s)
		} else {
			others = append(others, s)
		}
	}
	kept := evenly(failed, max(maxBars/2, maxBars-len(others)))
	kept = append(kept, evenly(others, maxBars-len(kept))...)
	slices.SortStableFunc(kept, func(a, b span) int {
		if d := a.begin.Compare(b.begin); d != 0 || a.Index == nil || b.Index == nil {
			return d
		}
		return *a.Index - *b.Index
	})
	return kept
}

func evenly(all []span, limit int) []span {
	if len(all) <= limit {
		return all
	}
	var kept []span
	for i := range limit {
		kept = append(kept, all[i*len(all)/limit])
	}
	return kept
}

// bars are pods in a block of text.
func bars(rows []span) string {
	first, last, width := rows[0].begin, rows[0].end(), 0
	for _, s := range rows {
		first, last, width = earlier(first, s.begin), later(last, s.end()), max(width, len([]rune(s.name)))
	}
	whole := last.Sub(first)
	column := func(t time.Time) int {
		return min(max(0, int(float64(t.Sub(first))/float64(whole)*barWidth)), barWidth)
	}
	lines := []string{"- no node yet   ░ images, volumes   ▒ init   █ run"}
	for _, s := range rows {
		var bar strings.Builder
		at := s.begin
		bar.WriteString(strings.Repeat(" ", column(at)))
		for _, part := range s.stages {
			from := column(at)
			at = at.Add(part.long)
			bar.WriteString(strings.Repeat(part.letter, max(0, column(at)-from)))
		}
		mark := " "
		if s.Failed() {
			mark = "✗"
		}
		lines = append(lines, fmt.Sprintf("%s %-*s │%-*s│ %s", mark, width, s.name, barWidth, bar.String(), event.Seconds(s.end().Sub(s.begin))))
	}
	return fence(lines, summaryTail)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
