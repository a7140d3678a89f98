package report

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/planton/kubernetes-job-action/internal/event"
)

func broken(name string, index int, code int32, tail ...string) event.PodResult {
	p := event.PodResult{Name: name, Phase: "Failed", Reason: "Error", ExitCode: &code, Tail: tail, Message: fmt.Sprintf("container \"main\" of pod %s exited with code %d", name, code)}
	if index >= 0 {
		p.Index = &index
	}
	return p
}

func TestVaried(t *testing.T) {
	for text, want := range map[string]string{
		"2026-03-01T12:00:00.123Z dial tcp 10.0.3.7:5432: connect: connection refused": "… dial tcp …: connect: connection refused",
		"2026/03/01 12:00:00 row 4711 of 9000 (52.2%)":                                 "… row … of … (…%)",
		"12:00:01,5 id 0f8fad5b-d9cb-469f-a165-70867728950e":                           "… id …",
		"at 0xC000012345 after 12.5ms, 3 MiB":                                          "at … after …, … MiB",
		"dial tcp [fd00:10:96::a]:443 refused":                                         "dial tcp … refused",
		"commit 1f3870be274f6c49b3e31a0c6728957f of job-7-x7k2p":                       "commit … of …",
		"column \"total\" does not exist":                                              "column \"total\" does not exist",
		"a deadlock in cafe":                                                           "a deadlock in cafe",
	} {
		if got := varied(event.PodResult{Name: "job-7-x7k2p"}, text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

func TestClusters(t *testing.T) {
	refused := func(i int, more ...string) event.PodResult {
		return broken(fmt.Sprintf("load-%d-ab%dcd", i, i), i, 1, append(more, fmt.Sprintf("dial tcp 10.0.0.%d:5432: connection refused", i))...)
	}
	taken := func(i int) event.PodResult {
		name := fmt.Sprintf("job-%d", i)
		return event.PodResult{Name: name, Index: &i, Phase: "Running", Reason: "BackoffLimitExceeded", Message: "pod " + name + " was ended with its Job"}
	}
	fine := event.PodResult{Name: "load-9-zzzzz", Phase: "Succeeded"}
	type group struct{ Share, Indexes, Last, Example string }
	for _, c := range []struct {
		name   string
		wanted int
		pods   []event.PodResult
		want   []group
	}{
		{"none failed", 10, []event.PodResult{fine}, nil},
		{"all alike, whatever they did before", 10, []event.PodResult{refused(0), fine, refused(1, "batch 1 done", "batch 2 done", "batch 3 done"), refused(2, "batch 1 done"), refused(4, "batch 7 done")},
			[]group{
				{"3 of 10 indexes failed alike", "1-2,4", "dial tcp …: connection refused", "load-1-ab1cd"},
				{"index 0 failed", "0", "dial tcp 10.0.0.0:5432: connection refused", "load-0-ab0cd"},
			}},
		{"by exit code and text", 100, []event.PodResult{broken("job-a", 3, 2, "x"), broken("job-b", 1, 1, "x"), broken("job-c", 2, 1, "y"), broken("job-d", 5, 1, "y")},
			[]group{
				{"2 of 100 indexes failed alike", "2,5", "y", "job-c"},
				{"index 3 failed", "3", "x", "job-a"},
				{"index 1 failed", "1", "x", "job-b"},
			}},
		{"an index that failed twice counts once", 4, []event.PodResult{broken("job-a", 3, 1, "x"), broken("job-b", 3, 1, "x"), broken("job-c", 2, 1, "x")},
			[]group{{"2 of 4 indexes failed alike", "2-3", "x", "job-a"}}},
		{"without last lines, with the largest group of the same words", 100,
			[]event.PodResult{broken("job-a", 0, 1, "x"), broken("job-b", 1, 1, "y"), broken("job-c", 2, 1, "y"), broken("job-d", 3, 1), broken("job-e", 4, 2)},
			[]group{
				{"3 of 100 indexes failed alike", "1-3", "y", "job-b"},
				{"index 0 failed", "0", "x", "job-a"},
				{"index 4 failed", "4", "container \"main\" of pod job-e exited with code 2", "job-e"},
			}},
		{"attempts", 1, []event.PodResult{broken("job-a", -1, 1, "x 1"), broken("job-b", -1, 1, "x 2")}, []group{{"2 of 2 attempts failed alike", "", "x …", "job-a"}}},
		{"workers", 3, []event.PodResult{broken("job-a", -1, 1, "x 1"), fine, broken("job-b", -1, 1, "x 2"), broken("job-c", -1, 3, "x 2")},
			[]group{{"2 of 4 pods failed alike", "", "x …", "job-a"}, {"1 of 4 pods failed", "", "x 2", "job-c"}}},
		{"a pod that never ran", 1, []event.PodResult{{Name: "job-a", Phase: "Pending", Reason: "ErrImagePull", Message: "the image x:1 cannot be pulled"}},
			[]group{{"1 of 1 attempts failed", "", "the image x:1 cannot be pulled", "job-a"}}},
		{"empty last lines", 1, []event.PodResult{broken("job-a", -1, 1, "", " ")}, []group{{"1 of 1 attempts failed", "", "container \"main\" of pod job-a exited with code 1", "job-a"}}},
		{"what was ended with the Job comes last, however much it is", 4, []event.PodResult{taken(0), taken(1), broken("job-c", 2, 3, "fatal: disk full"), taken(3)},
			[]group{
				{"index 2 failed", "2", "fatal: disk full", "job-c"},
				{"3 of 4 indexes failed alike", "0-1,3", "pod … was ended with its Job", "job-0"},
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []group
			for _, k := range Clusters(c.pods) {
				got = append(got, group{k.Share(c.wanted, len(c.pods)), k.Indexes(), k.Last, k.Example.Name})
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// Every failed pod is in one cluster, however many there are, and those whose last lines are not known are counted.
func TestClustersOfManyPods(t *testing.T) {
	var pods []event.PodResult
	failed := 0
	for i := range 2000 {
		p := event.PodResult{Name: fmt.Sprintf("load-%d-x", i), Phase: "Succeeded"}
		if i%7 == 0 {
			failed++
			p = broken(p.Name, i, int32(i%3), strings.Repeat("line\n", 3), fmt.Sprintf("row %d: %v", i, rand.Float64()))
			if i%14 == 0 {
				p.Tail = nil
			}
		}
		pods = append(pods, p)
	}
	all, untold := 0, 0
	for _, c := range Clusters(pods) {
		all += len(c.Pods)
		untold += c.Untold()
	}
	if all != failed || untold != 143 {
		t.Errorf("%d pods are in clusters, %d of them without last lines; want %d and 143", all, untold, failed)
	}
}

func TestRanges(t *testing.T) {
	for want, numbers := range map[string][]int{"": nil, "4": {4}, "1,3-5": {1, 3, 4, 5}, "0-1,9": {0, 1, 9}} {
		if got := Ranges(numbers); got != want {
			t.Errorf("%v is %q, want %q", numbers, got, want)
		}
	}
}
