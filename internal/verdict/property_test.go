package verdict

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/randfill"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// words are what the fields that are read may hold, so that arbitrary States come by the paths that matter.
var words = []string{
	"", "main", "True", "False", "Failed", "Succeeded", "Pending", "Running", "Complete", "FailureTarget", "SuccessCriteriaMet", "Suspended", "DisruptionTarget", "PodScheduled",
	"BackoffLimitExceeded", "DeadlineExceeded", "PodFailurePolicy", "FailedIndexes", "MaxFailedIndexesExceeded", "Unschedulable", "SchedulingGated", "Evicted", "OOMKilled", "StartError",
	"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError", "CreateContainerError", "ContainerCreating", "CrashLoopBackOff", "FailedMount", "FailedCreate", "Job", "Always",
	"Back-off pulling image", `Back-off pulling image "x": `, `Failed to pull image "x": not found`, "spec.containers{main}", `secret "x" not found`, "Error creating: x",
	`Error creating: pods "x" is forbidden: exceeded quota: q, requested: cpu=1x, used: =, limited: cpu`, `MountVolume.SetUp failed for volume "" : references non-existent config key: k`,
	"Container c for pod n/p failed with exit code 99999999999 matching FailJob rule at index 99999999999", "1-,-,3-1,9", "\xff\x00\n\x1b[0m\u202e", strings.Repeat("ä", 5000),
}

func arbitrary(f *randfill.Filler) State {
	f.NilChance(.3).NumElements(0, 3).MaxDepth(12).Funcs(
		func(s *string, c randfill.Continue) { *s = words[c.Intn(len(words))] },
		func(s *corev1.ConditionStatus, c randfill.Continue) { *s = corev1.ConditionStatus(words[2+c.Intn(2)]) },
		func(p *corev1.PodPhase, c randfill.Continue) { *p = corev1.PodPhase(words[4+c.Intn(4)]) },
		func(t *metav1.Time, c randfill.Continue) { *t = at(c.Intn(4000) - 100) },
		func(t *metav1.MicroTime, c randfill.Continue) { *t = metav1.NewMicroTime(at(c.Intn(4000)).Time) },
		func(t *time.Time, c randfill.Continue) { *t = at(c.Intn(9000)).Time },
		func(q *resource.Quantity, c randfill.Continue) {
			*q = *resource.NewQuantity(c.Int63n(1<<40), resource.BinarySI)
		},
		func(m *map[string]string, c randfill.Continue) {
			*m = map[string]string{batchv1.JobCompletionIndexAnnotation: words[c.Intn(len(words))], event.QueueLabel: words[c.Intn(len(words))]}
		},
		func(m *map[types.UID]bool, c randfill.Continue) { *m = map[types.UID]bool{"": true} },
		func(m *metav1.FieldsV1, c randfill.Continue) {},
	)
	var s State
	f.Fill(&s)
	return s
}

func checkAny(t *testing.T, s State) {
	t.Helper()
	v := Decide(s)
	if diff := cmp.Diff(v, Decide(s)); diff != "" {
		t.Errorf("two answers to one State:\n%s", diff)
	}
	if v.Decided == (v.Outcome == "") || v.Decided && (v.Cause == nil) != (v.Outcome == event.Succeeded) || !v.Decided && v.Cause != nil {
		t.Errorf("decided %v, outcome %q, cause %v", v.Decided, v.Outcome, v.Cause)
	}
	if v.Decided && len(v.Ask) > 0 || len(v.Ask) > mostQuestions {
		t.Errorf("decided %v, asks %v", v.Decided, v.Ask)
	}
	if v.Decided && !v.Next.IsZero() || !v.Next.IsZero() && !v.Next.After(s.Now) {
		t.Errorf("decided %v at %v, next %v", v.Decided, s.Now, v.Next)
	}
	if c := v.Cause; c != nil {
		if c.Reason == "" || c.Message == "" || strings.HasSuffix(c.Message, ".") {
			t.Errorf("cause %+v", c)
		}
		checkText(t, c.Message)
		checkText(t, c.Hint)
	}
	for _, w := range v.Warnings {
		checkText(t, w.Message)
	}
	for _, n := range v.Notices {
		checkText(t, n.Message)
		if n.Key == "" {
			t.Errorf("a notice without a key: %+v", n)
		}
	}
	checkText(t, v.Progress.Note)
	Result(s, v)
}

func checkText(t *testing.T, s string) {
	t.Helper()
	if len(s) > maxMessage || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("not fit for a line: %q", s)
	}
}

// Decide answers every State, the same way each time, with text that is safe to print.
func TestArbitrary(t *testing.T) {
	for seed := range int64(80) {
		checkAny(t, arbitrary(randfill.NewWithSeed(seed)))
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func FuzzDecide(f *testing.F) {
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) { checkAny(t, arbitrary(randfill.NewFromGoFuzz(data))) })
}

// What the Job decided stays decided, whatever is seen later.
func TestNoFlip(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.yaml")
	decided := 0
	for _, file := range files {
		s := recorded(t, file)
		before := Decide(s)
		if !before.Decided || before.DeleteJob {
			continue
		}
		decided++
		r := rand.New(rand.NewPCG(1, uint64(decided)))
		for range 50 {
			s := s
			s.Job = s.Job.DeepCopy()
			for range 1 + r.IntN(6) {
				later(r, &s)
			}
			if v := Decide(s); v.Outcome != before.Outcome || !v.Decided {
				t.Errorf("%s: %s became %q by %+v", file, before.Outcome, v.Outcome, s)
			}
		}
	}
	if decided < 20 {
		t.Errorf("only %d recordings with the Job's own verdict", decided)
	}
}

// later changes a State as the cluster may after the Job's verdict.
func later(r *rand.Rand, s *State) {
	switch r.IntN(8) {
	case 0:
		s.Gone = true
	case 1:
		s.Gone, s.ReplacedBy = true, "other"
	case 2:
		s.Pods = nil
	case 3:
		s.Events = nil
	case 4:
		s.Now = s.Now.Add(100 * time.Hour)
	case 5:
		s.Job.Status.Failed += int32(r.IntN(5))
		s.Job.Status.Active = 0
	case 6:
		s.Job.Spec.Suspend = ptr(true)
	case 7:
		pod(fmt.Sprint("late-", r.Int()), waits("InvalidImageName", "x"))(s)
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"":                           "",
		" a \t\r\n b\n":              "a b",
		"\x1b[31mred\x1b[0m":         "\x1b[31mred\x1b[0m",
		"nul\x00 vt\x01 rtl\u202e":   "nul vt rtl",
		"a\x1b]8;;b\ac":              "a\x1b]8;;b\ac", // with its end, the border knows the sequence
		"bad \xff\xfe utf":           "bad utf",
		strings.Repeat("x", 12):      "xxxxxxx…",
		strings.Repeat("ä", 9):       "äää…",
		"::error file=a::b":          "::error…",
		strings.Repeat("\x00", 1000): "…",
		// What was cut before the white space became one blank is cut nevertheless, so that a mask knows a secret there.
		strings.Repeat(" ", 30) + "hunter2secret": "hunter2…",
	} {
		limit := 10
		if len(in) < 25 && len(want) > 10 || strings.HasPrefix(in, "\x1b") {
			limit = 20
		}
		if got := clean(in, limit); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestBrief(t *testing.T) {
	for d, want := range map[time.Duration]string{
		5 * time.Minute: "5m", time.Hour: "1h", 90 * time.Minute: "1h30m", 10 * time.Second: "10s", 100 * time.Second: "1m40s", 20 * time.Minute: "20m", 10 * time.Hour: "10h",
	} {
		if got := brief(d); got != want {
			t.Errorf("brief(%v) = %q, want %q", d, got, want)
		}
	}
}

// A State of the size that the project promises: an Indexed Job of 2,000 pods, 200 of them alive, with all their events.
func BenchmarkDecide(b *testing.B) {
	s := state(60, job(func(j *batchv1.Job) { j.Spec.Completions, j.Spec.Parallelism = ptr[int32](2000), ptr[int32](200) }))
	for i := range 2000 {
		change := exits(0, "Completed", "", 9)
		if i >= 1800 {
			change = runs
		}
		if i >= 1950 {
			change = waits("ContainerCreating", "")
		}
		pod(fmt.Sprint("migrate-", i), index(i), change)(&s)
		for range 4 {
			happened("Pulled", "Container image already present on machine", 1, 1, 1)(&s)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if v := Decide(s); v.Decided || v.Progress.Running != 150 {
			b.Fatal(v)
		}
	}
}
