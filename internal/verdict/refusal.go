package verdict

import (
	"cmp"
	"regexp"
	"strings"
	"time"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/refusal"
)

// What RealPodControl.createPods in pkg/controller/controller_utils.go writes, and what the event recorder makes of many of
// them (EventAggregator in client-go/tools/record/events_cache.go).
var createError = regexp.MustCompile(`^(?:\(combined from similar events\): )?Error creating: (.*)$`)

// refusal is what the API server has against new pods of the Job: the newest FailedCreate event, when no pod came after it.
func (w *view) refusal() *problem {
	if len(w.living) >= w.parallel() {
		return nil
	}
	var born time.Time
	for _, p := range w.Pods {
		if p.CreationTimestamp.After(born) {
			born = p.CreationTimestamp.Time
		}
	}
	var began, newest time.Time
	said := ""
	for _, e := range w.Events {
		if e.Reason != "FailedCreate" || e.InvolvedObject.Kind != "Job" || !by(e, "job-controller") {
			continue
		}
		m := createError.FindStringSubmatch(clean(e.Message, 2*maxMessage))
		first, last, _ := seen(e)
		if m == nil || !last.After(born) && !born.IsZero() {
			continue
		}
		if began.IsZero() || first.Before(began) {
			began = first
		}
		if !last.Before(newest) {
			newest, said = last, m[1]
		}
	}
	if said == "" {
		return nil
	}
	if began.Before(born) {
		began = born
	}
	claim := Claim{Object: event.Ref{Kind: "Pod", Namespace: w.ref.Namespace}}
	if a := w.Answers[claim]; a.True && refusal.Same(said, a.Said) {
		said = clean(a.Said, 2*maxMessage) // the words of the API server, and not of whoever wrote the event
	}
	r := refusal.Pod(said, w.ref.Namespace)
	p := &problem{heals: r.Heals, said: said, Cause: event.Cause{Reason: event.PodCreateRejected, Object: w.ref,
		Message: "no pod of the Job can be created: " + r.Message, Hint: cmp.Or(r.Hint, w.describe("job", w.ref.Name))}}
	if len(w.living) > 0 {
		p.Message = strings.Replace(p.Message, "no pod", "no further pod", 1)
	}
	if !p.heals {
		p.claimed(claim, w.after(began, CreateGrace))
	}
	return p
}
