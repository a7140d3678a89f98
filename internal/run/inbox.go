package run

import (
	"sync"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// inbox is where everything that works beside the loop leaves what is to be told. Leaving never blocks: the terminal may take no output
// while a Job has to be deleted. What is left there is little; output of containers comes over a channel that makes its readers wait.
type inbox struct {
	more chan struct{} // holds a token while something is there

	mu   sync.Mutex
	left []event.Fact
}

func newInbox() *inbox { return &inbox{more: make(chan struct{}, 1)} }

func (b *inbox) post(f event.Fact) {
	b.mu.Lock()
	b.left = append(b.left, f)
	b.mu.Unlock()
	select {
	case b.more <- struct{}{}:
	default:
	}
}

// all takes everything out, in the order in which it was left.
func (b *inbox) all() []event.Fact {
	b.mu.Lock()
	defer b.mu.Unlock()
	left := b.left
	b.left = nil
	return left
}
