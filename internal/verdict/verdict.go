// Package verdict decides how a run stands: from the last states of the Job and its pods, their events and a clock value, it
// computes the outcome, the cause and the hint. It does no I/O and reads no clock, so the same State always gives the same
// Verdict.
package verdict

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// State is everything that is known about the followed Job at one moment. Nothing in it is changed by this package.
type State struct {
	Job           *batchv1.Job       // the last state that was seen; nil before the first
	Gone          bool               // the Job object was deleted
	ReplacedBy    types.UID          // UID of another Job under the same name, "" without one
	Pods          []*corev1.Pod      // last states of all pods of the Job, deleted ones included, in order of creation
	GonePods      map[types.UID]bool // the pods among them whose objects were deleted
	Events        []*corev1.Event    // events about the Job and its pods
	Now           time.Time          // our clock
	FollowedSince time.Time          // when the following began, by our clock
	Options       Options
}

// Options is our own patience with the Job. A zero duration means without limit.
type Options struct {
	FailFast     bool          // end the run when what holds the pods back cannot heal by itself
	Timeout      time.Duration // for the whole run
	StartTimeout time.Duration // for the first container to run
}

// Verdict is the answer to a State.
type Verdict struct {
	Decided        bool           // the run is over; everything below Progress is final
	Outcome        event.Outcome  // meaningful when Decided
	Cause          *event.Cause   // nil when not Decided or Succeeded
	DeleteJob      bool           // we ended it, not the Job itself: the option on-timeout applies
	CausePod       string         // whose last lines belong to the cause; "" when no container's
	CauseContainer string         // in CausePod
	Warnings       []event.Cause  // what a user should know although it did not decide
	Notices        []event.Notice // keyed: the caller sends each key once
	Progress       event.Progress
	Next           time.Time // when the clock alone may change this answer, by our clock; zero: never
}

// Decide gives the Verdict of a State.
func Decide(s State) Verdict { return Verdict{} }

// Result makes the closing event of a run from its last State and Verdict.
func Result(s State, v Verdict) event.Finished { return event.Finished{} }
