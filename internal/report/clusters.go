package report

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// Cluster is a group of pods that failed alike: for the same reason, with the same exit code, and with the same last lines but for
// numbers, times, addresses, identifiers and names of pods.
type Cluster struct {
	Pods    []event.PodResult // in the order in which they were given; never empty
	Example event.PodResult   // the first of them whose last lines are known, else the first
	Last    string            // the last line, or the failure in one sentence; of several pods with … for what differs
}

// clusterLines is how many different last lines are compared. More of them differ in what was done before the failure.
const clusterLines = 5

// maxVaried is how much of a line is compared, in bytes.
const maxVaried = 1 << 10

// Clusters groups the pods that failed, the largest group first; but what the Job's end did to pods that were still at work comes behind what ended
// the Job, and it may be most of them. A pod whose last lines are not known, as there is room for those of so
// many pods only, belongs to the largest group that failed in the same words.
func Clusters(pods []event.PodResult) []Cluster {
	var clusters []Cluster
	known := map[string]int{} // by all that is compared
	place := func(key string, p event.PodResult, last string) {
		i, ok := known[key]
		if !ok {
			i = len(clusters)
			known[key] = i
			clusters = append(clusters, Cluster{Example: p, Last: last})
		}
		clusters[i].Pods = append(clusters[i].Pods, p)
	}
	alike := map[string][]string{} // the keys with last lines, by what is known without them
	var untold []event.PodResult
	for _, p := range pods {
		switch {
		case !p.Failed():
		case len(p.Tail) == 0:
			untold = append(untold, p)
		default:
			coarse, lines := failure(p), varying(p, p.Tail)
			key := coarse + "\n" + strings.Join(lines, "\n")
			if _, ok := known[key]; !ok {
				alike[coarse] = append(alike[coarse], key)
			}
			last := ""
			if len(lines) > 0 {
				last = lines[len(lines)-1]
			}
			place(key, p, last)
		}
	}
	for _, p := range untold {
		key := failure(p)
		if keys := alike[key]; len(keys) > 0 {
			key = slices.MaxFunc(keys, func(a, b string) int { return len(clusters[known[a]].Pods) - len(clusters[known[b]].Pods) })
		}
		place(key, p, varied(p, p.Message))
	}
	for i := range clusters {
		c := &clusters[i]
		if len(c.Pods) == 1 { // it is compared with nothing
			c.Last = cmp.Or(lastLine(c.Example.Tail), event.Shorten(c.Example.Message, maxVaried))
		}
		if c.Last == "" {
			c.Last = cmp.Or(varied(c.Example, c.Example.Message), c.Example.Reason)
		}
	}
	slices.SortStableFunc(clusters, func(a, b Cluster) int {
		return cmp.Or(rank(a.Example)-rank(b.Example), len(b.Pods)-len(a.Pods))
	})
	return clusters
}

// rank is 1 for a pod that nothing in it has ended.
func rank(p event.PodResult) int {
	if p.Phase != "Failed" && p.ExitCode == nil {
		return 1
	}
	return 0
}

// lastLine is the last of the lines that holds something, "" without one.
func lastLine(lines []string) string {
	for _, line := range slices.Backward(lines) {
		if line = strings.TrimSpace(line); line != "" {
			return event.Shorten(line, maxVaried)
		}
	}
	return ""
}

// Untold is how many of the pods are in the cluster for what is known without their last lines, while those of others are known.
func (c Cluster) Untold() int {
	n := 0
	for _, p := range c.Pods {
		if len(p.Tail) == 0 {
			n++
		}
	}
	if n == len(c.Pods) {
		return 0
	}
	return n
}

// Share is "97 of 100 indexes failed alike", "3 of 3 attempts failed alike" or "index 4 failed". wanted is the number of pods that have to succeed, and
// started of those that were started.
func (c Cluster) Share(wanted, started int) string {
	n, of, what := len(c.Pods), max(started, len(c.Pods)), "pods"
	switch indexes := c.indexes(); {
	case len(indexes) == 1:
		return fmt.Sprintf("index %d failed", indexes[0])
	case len(indexes) > 1:
		n, of, what = len(indexes), max(wanted, len(indexes)), "indexes"
	case wanted <= 1:
		what = "attempts"
	}
	if n == 1 {
		return fmt.Sprintf("1 of %d %s failed", of, what)
	}
	return fmt.Sprintf("%d of %d %s failed alike", n, of, what)
}

// Indexes are the completion indexes of the cluster as the Job's status writes them, "0-41,43"; "" when the pods have none.
func (c Cluster) Indexes() string { return Ranges(c.indexes()) }

func (c Cluster) indexes() []int {
	var all []int
	for _, p := range c.Pods {
		if p.Index != nil {
			all = append(all, *p.Index)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Ranges writes numbers that are sorted and different as the Job's status does: "0,2-5".
func Ranges(sorted []int) string {
	var b strings.Builder
	for i := 0; i < len(sorted); {
		last := i
		for last+1 < len(sorted) && sorted[last+1] == sorted[last]+1 {
			last++
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(sorted[i]))
		if last > i {
			b.WriteString("-" + strconv.Itoa(sorted[last]))
		}
		i = last + 1
	}
	return b.String()
}

// failure is what is compared of a failure beside the last lines.
func failure(p event.PodResult) string {
	code := ""
	if p.ExitCode != nil {
		code = strconv.Itoa(int(*p.ExitCode))
	}
	return fmt.Sprintf("%q %s %q %q", p.Reason, code, p.Container, varied(p, p.Message))
}

// varying are the last lines with … for what differs. Lines that are alike then and follow each other count as one, because the work of one pod
// takes a few steps more than that of the other.
func varying(p event.PodResult, lines []string) []string {
	var all []string
	for _, line := range lines {
		line = strings.TrimSpace(varied(p, line))
		if line != "" && (len(all) == 0 || all[len(all)-1] != line) {
			all = append(all, line)
		}
	}
	return all[max(0, len(all)-clusterLines):]
}

// differing is what differs between two failures of one kind: times, UUIDs, addresses, hexadecimal numbers, numbers with their unit of
// time or size. The first that fits counts.
var differing = regexp.MustCompile(`(?i)` + strings.Join([]string{
	`\b\d{4}[-/]\d\d[-/]\d\d(?:[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[ ]?[+-]\d\d:?\d\d)?)?`,
	`\b\d{1,2}:\d\d:\d\d(?:[.,]\d+)?`,
	`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`,
	`\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b`,
	`\[?(?:[0-9a-f]{1,4}:){3,7}(?::?[0-9a-f]{1,4})?(?:\]:\d+)?`,
	`\b0x[0-9a-f]+\b`,
	`\b(?:[0-9]+[a-f]|[a-f]+[0-9])[0-9a-f]{5,}\b`,
	`\d+(?:[.,]\d+)*(?:(?:ns|µs|us|ms|s|m|h|d|B|kB|MB|GB|KiB|MiB|GiB)\b)?`,
}, "|"))

// varied is a text about a pod with … for what differs from pod to pod.
func varied(p event.PodResult, text string) string {
	text = event.Shorten(text, maxVaried)
	if p.Name != "" {
		text = strings.ReplaceAll(text, p.Name, event.Ellipsis)
	}
	return differing.ReplaceAllString(text, event.Ellipsis)
}
