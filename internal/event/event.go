// Package event is the vocabulary of a run: everything that can happen between the first look at a manifest and the exit
// code. It stands at the bottom of the house: it holds data and the words for it, does no I/O, and imports Kubernetes' types
// but no client.
//
// Two families travel here. A Fact comes from the cluster's side into the loop of internal/run. An Event is a piece of news that goes
// from the loop to the sink, one at a time, in the order in which they happened. Lines, Gap, Notice, Object and Finding
// are both.
//
// The JSON names of an Event are those of docs/events.schema.json; what JSON has no value for, internal/report/json writes.
package event

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// Fact is one thing that happened to the run, its Job or the API server. The set is closed: only this package declares facts.
type Fact interface{ isFact() }

// Event is one piece of news for the user. The set is closed.
type Event interface{ isEvent() }

// Every event and every fact, so that tests can check that none is forgotten.
var (
	Events = []Event{Started{}, Object{}, Attempt{}, Progress{}, Notice{}, Finding{}, Lines{}, Gap{}, Finished{}}
	Facts  = []Fact{JobSeen{}, PodSeen{}, EventSeen{}, Connection{}, Drained{}, Object{}, Notice{}, Finding{}, Lines{}, Gap{}, Secret{}}
)

// Ref names one object of the cluster. Namespace is empty for what has none.
type Ref struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// String is "Kind namespace/name", as it is shown to users; the empty Ref is "".
func (r Ref) String() string {
	switch {
	case r == Ref{}:
		return ""
	case r.Namespace == "":
		return r.Kind + " " + r.Name
	default:
		return r.Kind + " " + r.Namespace + "/" + r.Name
	}
}

// JobSeen is a state of the followed Job as the API server reported it. Job is never nil, and nobody changes it.
// Gone says that the object was deleted; Job is then the last state that was seen.
type JobSeen struct {
	Job  *batchv1.Job
	Gone bool
}

// PodSeen is a state of one pod of the Job, with the same rules as JobSeen.
type PodSeen struct {
	Pod  *corev1.Pod
	Gone bool
}

// EventSeen is a Kubernetes event about the Job or one of its pods.
type EventSeen struct{ Event *corev1.Event }

// Connection says that the API server stopped answering (Err is set) or answers again (Err is nil).
type Connection struct {
	Err   error
	Since time.Time // when the first request failed
}

// Stream identifies the output of one container run: one container id of one pod. It is shared by pointer and never changed.
type Stream struct {
	Namespace   string        `json:"namespace"`
	Pod         string        `json:"pod"`
	PodUID      string        `json:"podUID"`
	Container   string        `json:"container"`
	ContainerID string        `json:"containerID"`
	Kind        ContainerKind `json:"kind"`
	Index       int           `json:"-"`       // completion index of an Indexed Job, -1 without one
	Attempt     int           `json:"attempt"` // 1 for the first pod (of its index), 2 for the pod that replaced it, …
	Restart     int           `json:"restart"` // 0 for the first run of the container in its pod, 1 after one restart in place, …
}

// ContainerKind is the role of a container in its pod.
type ContainerKind string

// The kinds of containers. A Sidecar is an init container with restartPolicy Always.
const (
	Main    ContainerKind = "main"
	Init    ContainerKind = "init"
	Sidecar ContainerKind = "sidecar"
)

// Line is one line of container output without its newline, as the container wrote it (untrusted text, any bytes).
type Line struct {
	At   time.Time `json:"at,omitzero"` // the kubelet's time stamp
	Text string    `json:"text"`
	More bool      `json:"more,omitempty"` // the line is too long for one text: the next Line of the stream goes on with it
}

// Lines are one or more lines of one stream, in order. Each line is delivered exactly once in a run.
type Lines struct {
	Stream *Stream
	Lines  []Line
}

// Gap says that lines of a stream are lost, or may be: nobody knows what a file held that was rotated away unread.
// After is the time stamp of the last line before the gap, and Until that of the first line after it; each is zero when there is
// no such line.
type Gap struct {
	Stream *Stream   `json:"-"`
	After  time.Time `json:"after,omitzero"`
	Until  time.Time `json:"until,omitzero"`
	Why    string    `json:"why"` // "the log was rotated away", "the pod was deleted before it could be read", …
}

// Drained says that every log stream was read to its end (or given up, with a Gap), after the loop asked for that.
type Drained struct{}

// Started opens a run: the Job exists, nothing was followed yet.
type Started struct {
	Job        Ref       `json:"job"`
	Alone      bool      `json:"alone,omitempty"` // the run ends here, and the Job goes on
	UID        string    `json:"uid"`
	Cluster    string    `json:"cluster"`           // the API server's address, credentials never included
	Context    string    `json:"context,omitempty"` // the kubeconfig context, "" without one
	Pods       int       `json:"pods"`              // pods that the Job wants to succeed (completions, else parallelism)
	Indexed    bool      `json:"indexed"`
	Containers int       `json:"containers"` // containers of each pod, init containers and sidecars included
	CreatedAt  time.Time `json:"createdAt,omitzero"`
}

// Object tells what was done to one object of the cluster.
type Object struct {
	Object Ref    `json:"object"`
	Action string `json:"action"`           // created, adopted, updated, applied, replaced, deleted, kept
	Detail string `json:"detail,omitempty"` // why, or until when; may be empty
	UID    string `json:"uid,omitempty"`    // set when the run's own Job was created, empty otherwise
}

// Attempt is the news of one pod in words: it was scheduled, it pulls its image, a container started, restarted or ended.
type Attempt struct {
	Pod     string `json:"pod"`
	Index   int    `json:"-"` // -1 without one
	Message string `json:"message"`
}

// Progress is the state of the whole Job in numbers. It is sent when the numbers change, and as a heartbeat.
type Progress struct {
	Wanted    int           `json:"wanted"` // pods that must succeed; 0 when the Job names no number
	Succeeded int           `json:"succeeded"`
	Failed    int           `json:"failed"`
	Running   int           `json:"running"`
	Waiting   []Waiting     `json:"-"` // pods that do not run yet, grouped by what they wait for, largest group first
	Suspended bool          `json:"suspended"`
	Note      string        `json:"note,omitempty"` // what explains the waiting: a queue, an unschedulable pod; may be empty
	Elapsed   time.Duration `json:"-"`
	Heartbeat bool          `json:"heartbeat,omitempty"` // nothing new: sent only because nothing else was sent for a while
}

// Waiting is a group of pods that wait for the same thing.
type Waiting struct {
	Pods int           `json:"pods"`
	For  string        `json:"for"` // "pulling image", "being scheduled", …
	Long time.Duration `json:"-"`   // how long the longest of them has waited
}

// String is "2/10 done, 3 running, 1 pulling image (45 s)".
func (p Progress) String() string {
	s := fmt.Sprintf("%d/%d done", p.Succeeded, p.Wanted)
	if p.Wanted == 0 {
		s = fmt.Sprintf("%d done", p.Succeeded)
	}
	if p.Failed > 0 {
		s += fmt.Sprintf(", %d failed", p.Failed)
	}
	if p.Running > 0 {
		s += fmt.Sprintf(", %d running", p.Running)
	}
	for _, w := range p.Waiting {
		s += fmt.Sprintf(", %d %s", w.Pods, w.For)
		if w.Long >= time.Second {
			s += fmt.Sprintf(" (%s)", Seconds(w.Long))
		}
	}
	if p.Suspended {
		s += ", suspended"
	}
	if p.Note != "" {
		s += ": " + p.Note
	}
	return s
}

// Seconds writes a duration as users read it: "0.4 s", "45 s", "3 min 20 s", "2 h 5 min", "24 h".
func Seconds(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return strings.TrimSuffix(fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60), " 0 s")
	default:
		return strings.TrimSuffix(fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60), " 0 min")
	}
}

// Ellipsis stands where a text was cut. A secret that was cut there is masked like a whole one.
const Ellipsis = "…"

// Shorten cuts s to at most limit bytes, with an Ellipsis for what was cut, where Cut says.
func Shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return s[:Cut(s, limit-len(Ellipsis))] + Ellipsis
}

// Cut is where a text is parted that is longer than limit bytes: there, or before a character or an escape that would be cut, because a secret
// with such a cut in it is not found. It depends on nothing but the bytes up to there.
func Cut(s string, limit int) int {
	n := limit
	for n > 0 && n > limit-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	if !utf8.RuneStart(s[n]) { // no UTF-8
		n = limit
	}
	// An escape that begins further ahead has ended. Not so the one that the first mark is the second part of.
	window := max(0, n-min(longEscape, limit/4))
	i := strings.IndexAny(s[window:n], escapeMarks)
	if i < 0 {
		return n
	}
	i += window
	if i >= 6 && s[i-6:i-4] == `\u` && s[i-4]|0x20 == 'd' && strings.IndexByte("89abAB", s[i-3]) >= 0 {
		i -= 6 // the first half of a character of JSON
	}
	for i > limit/2 && strings.IndexByte(escapeMarks, s[i-1]) >= 0 {
		i--
	}
	if i <= limit/2 { // nothing but marks
		return n
	}
	return i
}

const (
	escapeMarks = "\x1b%\\&" // what an escape of a terminal, a URL, JSON, a shell or XML begins with
	longEscape  = 40         // more than one of these is long that text has in the midst of a word
)

// Level is the weight of a Notice or a Finding.
type Level string

// The levels. An error among findings means exit code 2; warnings never change it.
const (
	Debug   Level = "debug"
	Info    Level = "info"
	Warning Level = "warning"
	Error   Level = "error"
)

// Notice is one sentence for the user that changes nothing about the run. Key is for notices that must not repeat: the loop
// sends each key once.
type Notice struct {
	Level   Level  `json:"level"`
	Key     string `json:"key,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// Finished closes a run; it is the last event. It holds everything that outputs, summaries and exit codes are made from.
type Finished struct {
	Outcome       Outcome       `json:"status"`
	Cause         *Cause        `json:"cause,omitempty"` // nil when the outcome is succeeded or created
	Job           Ref           `json:"job"`
	UID           string        `json:"uid,omitempty"`
	Attempts      int           `json:"attempts"` // pods that were started
	Succeeded     int           `json:"succeeded"`
	Failed        int           `json:"failed"`
	FailedIndexes string        `json:"failedIndexes,omitempty"` // as the Job's status writes them: "1,3-5"
	StartedAt     time.Time     `json:"startedAt,omitzero"`
	CompletedAt   time.Time     `json:"completedAt,omitzero"` // zero when the Job did not end on its own
	Duration      time.Duration `json:"-"`                    // from the Job's creation, by the cluster's own time stamps where they exist
	Pods          []PodResult   `json:"-"`
	Tail          []string      `json:"tail,omitempty"`      // last lines of the container that decided the outcome
	Trace         []string      `json:"-"`                   // the same and what stood above them: a stack trace is longer than what is shown
	Warnings      []Cause       `json:"warnings,omitempty"`  // worth knowing although it did not decide the outcome: an OOM kill at exit code 0
	Undeleted     bool          `json:"undeleted,omitempty"` // the Job may still run: it should have been deleted, and could not be
	Times         Times         `json:"-"`                   // of the whole Job
	Result        *string       `json:"result,omitempty"`    // what the program gave as its result, when that was asked for; several indexes: a JSON array by index
	Events        []Past        `json:"events,omitempty"`    // what Kubernetes said about the Job and its pods, oldest first
	Earlier       string        `json:"earlier,omitempty"`   // that the work was left to another run, as what follows the Job's name in a sentence
}

// ExitCode is that of the container that decided the outcome: 0 after success, nil when no container did.
func (f Finished) ExitCode() *int32 {
	switch {
	case f.Outcome == Succeeded:
		return new(int32)
	case f.Cause != nil:
		return f.Cause.ExitCode
	}
	return nil
}

// Times are the parts of a time, one after the other. Those of a pod follow from its CreatedAt. In those of a Job, each moment counts for
// the furthest step that any of its pods was in, so they add up to the time from its creation to its end.
type Times struct {
	Queue time.Duration // the Job was suspended, or waited for a pod: its first, or that of the next attempt
	Node  time.Duration // no node for the pod
	Pull  time.Duration // volumes, the sandbox and the images of the containers
	Init  time.Duration // init containers worked
	Run   time.Duration // main containers worked
	End   time.Duration // the containers had ended: until the pod, or the Job, had too
}

// Past is one event of Kubernetes about the Job or one of its pods, or several that are alike.
type Past struct {
	At      time.Time `json:"at,omitzero"` // the last of them
	Object  Ref       `json:"object"`
	Type    string    `json:"type"` // Normal, Warning
	Reason  string    `json:"reason"`
	Message string    `json:"message"`
	Count   int       `json:"count"`
}

// PodResult is what became of one pod.
type PodResult struct {
	Name      string     `json:"name"`
	Index     *int       `json:"index,omitempty"`
	Node      string     `json:"node,omitempty"`
	Phase     string     `json:"phase"`
	Reason    string     `json:"reason,omitempty"`
	ExitCode  *int32     `json:"exitCode,omitempty"`
	Restarts  int32      `json:"restarts"`
	StartedAt *time.Time `json:"startedAt,omitempty"`
	EndedAt   *time.Time `json:"endedAt,omitempty"`

	// What the output "pods" has no room for.

	Attempt   int        `json:"-"` // as in Stream
	CreatedAt *time.Time `json:"-"`
	Times     Times      `json:"-"`
	Container string     `json:"-"` // the one that failed; empty without one
	Message   string     `json:"-"` // how it failed, in one sentence; empty without a failure
	Tail      []string   `json:"-"` // last lines of that container, for as many pods as there is room
}

// Failed reports whether the pod failed, or a container in it.
func (p PodResult) Failed() bool { return p.Phase == "Failed" || p.Message != "" }

// FailedFirst sorts failed pods before all others, for lists that cannot show every pod.
func FailedFirst(pods []PodResult) []PodResult {
	sorted := slices.Clone(pods)
	rank := func(p PodResult) int {
		if p.Failed() {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(sorted, func(a, b PodResult) int { return rank(a) - rank(b) })
	return sorted
}

func (JobSeen) isFact()    {}
func (PodSeen) isFact()    {}
func (EventSeen) isFact()  {}
func (Connection) isFact() {}
func (Drained) isFact()    {}
func (Object) isFact()     {}
func (Notice) isFact()     {}
func (Finding) isFact()    {}
func (Lines) isFact()      {}
func (Gap) isFact()        {}
func (Secret) isFact()     {}

func (Started) isEvent()  {}
func (Object) isEvent()   {}
func (Attempt) isEvent()  {}
func (Progress) isEvent() {}
func (Notice) isEvent()   {}
func (Finding) isEvent()  {}
func (Lines) isEvent()    {}
func (Gap) isEvent()      {}
func (Finished) isEvent() {}
