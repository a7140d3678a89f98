package logs

import (
	"context"
	"io"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/planton/kubernetes-job-action/internal/event"
)

const (
	// shortest and longest are the pauses between two lines that may hide a seam: the runtime needs microseconds to go over to
	// the new file unless the machine is busy, and then it waits for its turn (6 to 20 ms were seen).
	shortest = 2 * time.Millisecond
	longest  = 50 * time.Millisecond
	// lookEvery is how much time and volume lie between two looks at where the file begins: less than between two rotations.
	lookEvery = time.Second
	// mostSeams is how many are remembered.
	mostSeams = 1024

	skipped = "the log was rotated there, and nothing tells whether the last lines of the old file were passed on"
)

// seams are the places in a stream where the end of a file may be missing. The runtime creates the new file before it writes to
// it, and the kubelet's follower leaves the old one at the creation (waitLogs in k8s.io/cri-client/pkg/logs): when it had read
// all there was, what is written in between is lost for every reader. Then the new file begins with a line of its own, behind a
// pause that is longer than usual. Nothing tells a container that paused just there from one whose lines were lost.
type seams struct {
	usual   time.Duration // moving mean of the pauses
	found   []seam
	looked  time.Time
	volume  int64 // of the run at that time
	looking sync.WaitGroup
}

type seam struct{ after, until time.Time }

// add looks at lines that follow one with the time stamp before.
func (s *seams) add(before time.Time, lines []event.Line) {
	for i := range lines {
		at := lines[i].At
		pause := at.Sub(before)
		if pause >= shortest && pause <= longest {
			if pause > 2*s.usual {
				s.found = append(s.found[max(0, len(s.found)-mostSeams+1):], seam{before, at})
			}
			s.usual += (pause - s.usual) / 16
		}
		before = at
	}
}

// due tells whether it is time to look, while a container runs.
func (s *seams) due(volume int64) bool {
	return len(s.found) > 0 && volume-s.volume >= rotatable && time.Since(s.looked) >= lookEvery
}

// mind looks, beside the reading, which of the seams that were found begins the current file, and says so. A file is current for
// longer than between two looks. A look that fails is as if nothing had been found.
func (r *run) mind(ctx context.Context, s state) {
	found := r.seams.found
	if len(found) == 0 || r.volume < rotatable {
		return
	}
	r.seams.found, r.seams.looked, r.seams.volume = nil, time.Now(), r.volume
	r.seams.looking.Go(func() {
		first, err := r.first(ctx, s)
		if err != nil {
			return
		}
		for _, seam := range found {
			if seam.until.Equal(first) {
				r.f.send(ctx, event.Gap{Stream: r.stream, After: seam.after, Until: seam.until, Why: skipped})
			}
		}
	})
}

// first is the time stamp with which the current file begins.
func (r *run) first(ctx context.Context, s state) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	body, err := r.f.Open(ctx, r.stream.Namespace, r.stream.Pod, &corev1.PodLogOptions{
		Container: r.stream.Container, Timestamps: true, Previous: s.previous, LimitBytes: new(int64(maxStamp)),
	})
	if err != nil {
		return time.Time{}, err
	}
	defer body.Close()
	rd := newReader(body)
	lines, err := rd.next()
	if len(lines) > 0 {
		return lines[0].At, nil
	}
	if err != io.EOF {
		return time.Time{}, err
	}
	if line, stamped := rd.rest(); stamped {
		return line.At, nil
	}
	return time.Time{}, refusal(rd)
}
