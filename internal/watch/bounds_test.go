package watch

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/randfill"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// TestReduce: what the verdict reads is kept, and nothing is kept that is long.
func TestReduce(t *testing.T) {
	now := metav1.NewTime(time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC))
	e := newEvent("e", "7", "uid-1")
	e.TypeMeta = metav1.TypeMeta{}
	e.Namespace = ""
	e.CreationTimestamp, e.FirstTimestamp, e.LastTimestamp, e.EventTime = now, now, now, metav1.NewMicroTime(now.Time)
	e.InvolvedObject.Kind, e.InvolvedObject.FieldPath = "Pod", "spec.containers{main}"
	e.Type, e.Reason, e.Message, e.Count = "Warning", "Failed", "Error: x", 3
	e.Source.Component, e.ReportingController = "kubelet", "kubelet"
	e.Series = &corev1.EventSeries{Count: 3, LastObservedTime: metav1.NewMicroTime(now.Time)}
	if got := reduce(e); !reflect.DeepEqual(got, e) {
		t.Errorf("got %+v\nwant %+v", got, e)
	}
	long := strings.Repeat("ä", 1<<20)
	filler := randfill.NewWithSeed(1).NilChance(0).NumElements(3, 3).Funcs(func(s *string, _ randfill.Continue) { *s = long })
	var hostile corev1.Event
	filler.Fill(&hostile)
	if size := reduce(&hostile).Size(); size > 6<<10 {
		t.Errorf("an event of %d MB is kept as %d bytes", hostile.Size()>>20, size)
	}
}

// TestMemoryOfEvents: 1,000 events of 1 MB take a few MB, about pods that are not known and about the Job.
func TestMemoryOfEvents(t *testing.T) {
	const events = 1000
	for _, about := range []string{"unknown", "uid-1"} {
		var told []*corev1.Event
		out := make(chan event.Fact, events)
		f := &follower{out: out, about: map[types.UID]bool{"uid-1": true}, told: map[types.UID]string{}}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range events {
			e := newEvent(fmt.Sprint(i), "3", about)
			e.Reason, e.Message = "FailedMount", strings.Repeat("x", 1<<20)
			f.event(t.Context(), e, false)
		}
		close(out)
		for fact := range out {
			told = append(told, fact.(event.EventSeen).Event)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if len(f.held)+len(told) != events {
			t.Errorf("%s: %d are held, %d were told", about, len(f.held), len(told))
		}
		took := float64(int64(after.HeapAlloc)-int64(before.HeapAlloc)) / (1 << 20)
		t.Logf("%s: %.1f MB", about, took)
		if took > 8 {
			t.Errorf("%s: %.0f MB are kept", about, took)
		}
		runtime.KeepAlive(f)
		runtime.KeepAlive(told)
	}
}

// TestToldEvents: what is known of the events that were told is bounded.
func TestToldEvents(t *testing.T) {
	out := make(chan event.Fact, mostTold+2)
	f := &follower{out: out, about: map[types.UID]bool{"uid-1": true}, told: map[types.UID]string{}}
	for i := range mostTold + 2 {
		f.event(t.Context(), newEvent(fmt.Sprint(i), "1", "uid-1"), false)
	}
	if len(f.told) > mostTold || len(out) != mostTold+2 {
		t.Errorf("%d are known, %d were told", len(f.told), len(out))
	}
}
