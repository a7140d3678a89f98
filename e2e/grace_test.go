package e2e

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// graceSlack is how much later than its grace a run may end: the news travels, logs are drained and the Job is deleted, all of
// it on a machine that is busy with other scripts.
const graceSlack = time.Minute

// cmdGrace: grace NAME EVENT DURATION [SUFFIX]
//
// NAME is a finished process and the name of the Job that it ran. The first event with the reason EVENT about that Job or its
// pods is the trouble; the run must have ended as long after it as the grace says, and not much later. Who reports an event does not wait until
// it is written, so it may come after the run's end.
// SUFFIX is for another namespace: it follows $NAMESPACE in its name.
func cmdGrace(ts *testscript.TestScript, args []string) {
	needArgs(ts, args, 3, "grace NAME EVENT DURATION [SUFFIX]")
	name, reason, want := args[0], args[1], duration(ts, args[2])
	end, ok := stateOf(ts).finished[name]
	if !ok {
		ts.Fatalf("finish has not waited for %s", name)
	}
	namespace := ts.Getenv("NAMESPACE") + strings.Join(args[3:], "")
	began := firstEvent(ts, namespace, name, reason)
	for late := time.Now().Add(defaultPatience); began.IsZero(); began = firstEvent(ts, namespace, name, reason) {
		if time.Now().After(late) {
			ts.Fatalf("no event %s about %s", reason, name)
		}
		time.Sleep(200 * time.Millisecond)
	}
	// Events know whole seconds only, so that a grace may begin up to a second early.
	took := end.Sub(began)
	ts.Logf("%s ended %s after the first %s", name, took.Round(100*time.Millisecond), reason)
	if took < want-time.Second || took > want+graceSlack {
		ts.Fatalf("%s ended %s after the first %s, want %s", name, took.Round(100*time.Millisecond), reason, want)
	}
}

// firstEvent is when the first event with this reason about an object or its pods happened, the zero time when there is none.
func firstEvent(ts *testscript.TestScript, namespace, name, reason string) (first time.Time) {
	ts.Check(ts.Exec("kubectl", "get", "events", "--namespace="+namespace, "--field-selector=reason="+reason, "-o", "json"))
	var events struct {
		Items []struct {
			InvolvedObject            struct{ Name string }
			EventTime, FirstTimestamp *time.Time
		}
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &events))
	for _, e := range events.Items {
		at := e.FirstTimestamp
		if at == nil {
			at = e.EventTime
		}
		if e.InvolvedObject.Name != name && !strings.HasPrefix(e.InvolvedObject.Name, name+"-") || at == nil {
			continue
		}
		if first.IsZero() || at.Before(first) {
			first = *at
		}
	}
	return first
}
