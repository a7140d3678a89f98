package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/outage"
)

// shortly is the patience with what is probably a mistake, but may be a blip: a server that has never answered refuses
// the connection, or its name is not known; an admission webhook is out of reach; or a server that has just come back
// does not know its users yet (the authorizer's caches are still empty then).
const shortly = 10 * time.Second

// unanswered is how long a try may wait for an answer before that is told: a firewall that drops packets looks like this. A request that a signal
// makes has less.
const unanswered = 7 * time.Second

var errUnanswered = fmt.Errorf("silent for %s", event.Seconds(unanswered))

// Do calls the API server until the call succeeds, or fails in a way that time does not heal, or the patience ends: that is
// APITimeout for connection errors and the answers 429, 500, 502, 503 and 504, from the first that nobody was answered after, and shorter for
// some, see patience. The pauses grow, have jitter, and are at least as long as the server's Retry-After. A 401 is tried once more at once: client-go
// mints a new token then (exec plugins, token files). A try may take half of APITimeout, but at least 10 s.
//
// The context given to call is that of one try. what is the call in words, such as "create Job ns/name". Errors are *event.Cause
// and wrap that of client-go, so that the functions of k8s.io/apimachinery/pkg/api/errors work on them.
// When ctx is done, its cause is returned, as *event.Cause too.
func (c *Client) Do(ctx context.Context, what string, call func(context.Context) error) error {
	pause := outage.Backoff()
	begin := time.Now()
	budget, budgetSince := time.Duration(-1), begin // how long failures of the present kind are tried again, and since when
	away, renewed := false, false                   // the API server was, once; the credentials were
	var before error                                // of the try before
	for tries := 1; ; tries++ {
		tryBegin := time.Now()
		try, cancel := context.WithTimeout(ctx, max(c.APITimeout/2, 10*time.Second))
		waits := time.AfterFunc(unanswered, func() {
			if c.plugin == nil { // which may be what takes so long, and says so itself
				c.Health.Failed(tryBegin, errUnanswered)
			}
		})
		err := call(try)
		waits.Stop()
		cancel()
		if err != nil && ctx.Err() != nil {
			if before != nil && time.Since(tryBegin) < time.Second { // this one had no time to be answered
				err = before
			}
			return c.interrupted(ctx, what, err)
		}
		before = err
		kind := outage.KindOf(err)
		switch {
		case kind.Answered():
			c.Health.Answered()
		case kind.Away():
			away = true
			c.Health.Failed(tryBegin, err)
		}
		if err == nil {
			return nil
		}
		wait := pause.NextBackOff()
		if apierrors.IsUnauthorized(err) && !renewed {
			renewed, wait = true, 0
		} else {
			patience := c.patience(err, kind, away, begin)
			if seconds, ok := apierrors.SuggestsClientDelay(err); ok {
				wait = max(wait, time.Duration(seconds)*time.Second)
			}
			if patience != budget {
				budget, budgetSince = patience, time.Now()
			}
			if spent := time.Since(begin); spent+wait > c.APITimeout || time.Since(budgetSince)+wait > patience {
				cause := c.cause(err, what)
				if tries > 1 && patience > 0 {
					cause.Message += fmt.Sprintf(" (%d tries in %s)", tries, event.Seconds(spent))
				}
				return cause
			}
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return c.interrupted(ctx, what, err)
		}
	}
}

// cause is Cause, and says whose the address or the credentials are that do not work. An error that is a *event.Cause already stays as it is.
func (c *Client) cause(err error, what string) *event.Cause {
	cause := Cause(err, what)
	if c.Source == "" || errors.As(err, new(*event.Cause)) {
		return cause
	}
	switch {
	case cause.Reason == event.Unauthorized:
		if now := time.Now(); !c.expires.IsZero() && now.After(c.expires) {
			cause.Message += fmt.Sprintf("; the client certificate has expired, at %s", c.expires.UTC().Format(time.RFC3339))
			cause.Hint = "Make a new kubeconfig; if that time has not come yet, this machine's clock is wrong."
		}
		cause.Hint += fmt.Sprintf(" The credentials are those of %s, for %s.", c.Source, c.Server)
	case cause.Reason == event.APIUnreachable && !c.Health.Reached():
		cause.Hint = strings.TrimSpace(fmt.Sprintf("%s The address is that of %s.", cause.Hint, c.Source))
	}
	return cause
}

// interrupted is the error of a call whose context is done. last is how the last try failed.
func (c *Client) interrupted(ctx context.Context, what string, last error) error {
	var cause *event.Cause
	switch err := context.Cause(ctx); {
	case errors.As(err, &cause) && cause.Reason == event.Timeout: // what took so long belongs to it
		why, told := c.late(what, err, last), *cause
		told.Message += ": " + why.Message
		told.Hint = cmp.Or(why.Hint, told.Hint)
		return &told
	case errors.As(err, &cause):
		return cause
	case errors.Is(err, context.DeadlineExceeded):
		return c.late(what, err, last)
	default:
		return &event.Cause{Reason: event.ReasonCancelled, Message: fmt.Sprintf("the run was cancelled before it could %s", what), Err: err}
	}
}

// late is the error of a call whose time is over.
func (c *Client) late(what string, err, last error) *event.Cause {
	if errors.Is(last, context.DeadlineExceeded) && !errors.As(last, new(*proxyError)) || errors.As(last, new(*event.Cause)) {
		// net/http answers with the context's own cause, which says nothing about the server.
		last = &url.Error{Op: "ask", URL: c.Server, Err: context.DeadlineExceeded}
	}
	cause := c.cause(last, what)
	if errors.Is(last, context.DeadlineExceeded) && c.Health.Reached() {
		cause.Hint = "" // it has answered before, so nothing is wrong with the way to it
	}
	cause.Err = errors.Join(err, last)
	return cause
}

// patience is how long a call that fails like this is tried again, from its first try on; 0 when time does not heal it. What others have
// waited for the same outage before the call began counts: there is one patience for it, and a call that comes after it has a short one.
func (c *Client) patience(err error, kind outage.Kind, away bool, began time.Time) time.Duration {
	var cause *event.Cause
	switch {
	case errors.As(err, &cause):
		return 0
	case kind == outage.Webhook, kind == outage.Unconnected && !c.Health.Reached():
		return min(shortly, c.APITimeout)
	case kind.Away():
		patience := c.APITimeout
		if since := c.Health.Since(); !since.IsZero() && since.Before(began) {
			patience -= began.Sub(since)
		}
		return max(patience, min(shortly, c.APITimeout))
	case away && (apierrors.IsUnauthorized(err) || apierrors.IsForbidden(err)):
		return shortly
	default:
		return 0
	}
}
