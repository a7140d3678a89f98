// Package outage knows when the API server is away: what the error of a request says about it, since when nobody has got an answer, and
// how long to wait before asking again. Everybody who talks to the API server shares it, so that there is one outage for the
// whole run, told once, whoever meets it, and over with the first answer to anybody.
package outage

import (
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// unmentioned is how long an outage may last before it is told.
const unmentioned = 2 * time.Second

// Backoff gives the pauses between the tries of one request: from 0.1 s to 5 s, with jitter, for ever.
func Backoff() backoff.BackOff {
	return backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond), backoff.WithMultiplier(2),
		backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
}

// Health is how the API server does, by the requests of everybody. The zero value is ready; a nil Health takes everything and tells
// nothing. It is safe for concurrent use.
type Health struct {
	// Tell is told of an outage once when it lasts (Err is the error of a request), and once when it is over. It must not block, and
	// not use the Health. It is set before the first request, and may be nil.
	Tell func(event.Connection)

	mu       sync.Mutex
	answered time.Time // the last answer
	since    time.Time // since when there has been none
	told     bool
}

// Failed notes a request that began then and was not answered: its error is away, see Kind.
func (h *Health) Failed(began time.Time, err error) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.since.IsZero() {
		// Others may have been answered while this one waited.
		if h.since = began; began.Before(h.answered) {
			h.since = h.answered
		}
	}
	if !h.told && time.Since(h.since) >= unmentioned {
		h.told = true
		h.tell(event.Connection{Err: err, Since: h.since})
	}
}

// Answered notes an answer of the API server, whatever it was.
func (h *Health) Answered() {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answered, h.since = time.Now(), time.Time{}
	if h.told {
		h.told = false
		h.tell(event.Connection{})
	}
}

// Reached tells whether the API server has ever answered: then its address is right.
func (h *Health) Reached() bool {
	if h == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.answered.IsZero()
}

// Since is when the first request failed that nobody was answered after; the zero time when the API server answers.
func (h *Health) Since() time.Time {
	if h == nil {
		return time.Time{}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.since
}

func (h *Health) tell(c event.Connection) {
	if h.Tell != nil {
		h.Tell(c)
	}
}
