package verdict

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/golden"
)

// recorded reads what a real cluster (v1.37.2, containerd) said about one Job: a List of the Job, its pods and their events.
func recorded(t testing.TB, file string) State {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var list struct{ Items []map[string]any }
	if err := yaml.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	s := State{Options: Options{FailFast: true, StartTimeout: 5 * time.Minute, Timeout: time.Hour}}
	for _, item := range list.Items {
		text, err := yaml.Marshal(item)
		if err != nil {
			t.Fatal(err)
		}
		var object any
		switch item["kind"] {
		case "Job":
			s.Job = &batchv1.Job{}
			object = s.Job
		case "Pod":
			s.Pods = append(s.Pods, &corev1.Pod{})
			object = s.Pods[len(s.Pods)-1]
		case "Event":
			s.Events = append(s.Events, &corev1.Event{})
			object = s.Events[len(s.Events)-1]
		default:
			t.Fatalf("%s: a %v", file, item["kind"])
		}
		if err := yaml.UnmarshalStrict(text, object); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	if s.Job == nil {
		t.Fatalf("%s has no Job", file)
	}
	for _, e := range s.Events { // the recordings do not have it
		e.Source.Component = component(e)
	}
	s.FollowedSince = s.Job.CreationTimestamp.Time
	s.Now = s.FollowedSince.Add(10 * time.Minute)
	return s
}

// TestRecorded holds the whole answer to every recorded Job, ten minutes after its creation.
func TestRecorded(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no recordings", err)
	}
	var b strings.Builder
	for _, file := range files {
		s := recorded(t, file)
		v := confirmed(t, s)
		fmt.Fprintf(&b, "== %s\n", strings.TrimSuffix(filepath.Base(file), ".yaml"))
		describe(&b, s, v)
	}
	golden.Compare(t, "testdata/verdicts.golden", b.String())
}

func describe(b *strings.Builder, s State, v Verdict) {
	fmt.Fprintf(b, "outcome:  %s\n", v.Outcome)
	cause(b, "", v.Cause)
	if v.DeleteJob {
		fmt.Fprintf(b, "delete:   true\n")
	}
	if v.CausePod != "" {
		fmt.Fprintf(b, "tail of:  %s/%s\n", v.CausePod, v.CauseContainer)
	}
	for _, w := range v.Warnings {
		cause(b, "warning ", &w)
	}
	for _, n := range v.Notices {
		fmt.Fprintf(b, "notice:   %s %s: %s (%s)\n", n.Level, n.Key, n.Message, n.Hint)
	}
	fmt.Fprintf(b, "progress: %s\n", v.Progress)
	if v.Decided {
		f := Result(s, v)
		fmt.Fprintf(b, "result:   %d attempts, %d succeeded, %d failed, indexes %q, %s\n", f.Attempts, f.Succeeded, f.Failed, f.FailedIndexes, event.Seconds(f.Duration))
		for _, p := range f.Pods {
			fmt.Fprintf(b, "pod:      %s %s %q exit %s, %d restarts\n", p.Name, p.Phase, p.Reason, code(p.ExitCode), p.Restarts)
		}
	}
}

func cause(b *strings.Builder, prefix string, c *event.Cause) {
	if c == nil {
		return
	}
	fmt.Fprintf(b, "%scause:    %s, %s, container %q, exit %s\n", prefix, c.Reason, c.Object, c.Container, code(c.ExitCode))
	fmt.Fprintf(b, "  %s\n  %s\n", c.Message, c.Hint)
}

func code(c *int32) string {
	if c == nil {
		return "none"
	}
	return fmt.Sprint(*c)
}
