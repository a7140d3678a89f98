package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/planton/kubernetes-job-action/internal/cluster"
	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/logs"
	"github.com/planton/kubernetes-job-action/internal/pods"
	"github.com/planton/kubernetes-job-action/internal/verdict"
	"github.com/planton/kubernetes-job-action/internal/watch"
)

// reader reads the output of the pods that it is shown: a logs.Follower.
type reader interface {
	Observe(pod *corev1.Pod, gone bool)
	Silent(podUID, container string) bool
	Drain(limit time.Duration)
	Close()
}

// loop is what is known about the run and its Job. One goroutine owns it, and only that one speaks to the sink: whatever happens
// reaches it over the inbox, and over the channel of facts while the Job is followed.
type loop struct {
	*runner
	watch func(ctx context.Context, job *batchv1.Job, out chan<- event.Fact) error
	read  func(ctx context.Context, o logs.Options) reader

	ask     func([]verdict.Question) // has a step beside the loop ask the cluster
	suspect func()                   // has one look whether the namespace goes away

	sink      Sink
	abort     context.CancelFunc
	broken    error           // the sink's first error
	said      map[string]bool // keys of the notices that were sent
	lastSaid  time.Time
	began     time.Time // the run
	lastLive  time.Time
	away      time.Time // since when the API server has not answered; zero when it does
	ended     bool      // the Job has, and the options for that decide what becomes of it: a signal does not any more
	undeleted bool      // the Job may still run, and could not be deleted
	left      bool      // the Job goes on without this run

	job       *batchv1.Job
	gone      bool
	missed    bool // it is, and what it came to before was not seen
	replaced  types.UID
	pods      []*corev1.Pod // in the order of pods.Compare
	gonePods  map[types.UID]bool
	over      map[types.UID]bool                        // the pods that have ended
	events    map[types.UID]map[types.UID]*corev1.Event // by what they are about
	kept      int                                       // how many
	since     time.Time
	reader    reader      // nil when no logs are wanted
	spool     *spool      // output that is shown only after a failure; nil when it is shown live
	rest      event.Lines // of a batch that is told part by part
	tails     *tails
	past      past                                  // what else Kubernetes said
	starts    map[verdict.Output]time.Time          // when each container was seen to start first
	answers   map[verdict.Claim]verdict.Answer      // what the cluster says to the events' claims
	answered  chan map[verdict.Claim]verdict.Answer // the step that asks leaves them here
	asking    bool                                  // it is at work
	learned   time.Time                             // when the last of the answers came
	suspected time.Time                             // when the namespace was last looked at
	doomed    atomic.Bool                           // it is being deleted, which nothing takes back
	judge     bool                                  // something changed since the last judgement
	judgeNow  bool                                  // and it cannot wait
	lastCount time.Time
	counts    [2]int // succeeded and failed, as last said
}

func newLoop(r *runner, sink Sink, abort context.CancelFunc) *loop {
	return &loop{
		runner: r, sink: sink, abort: abort, said: map[string]bool{},
		watch: func(ctx context.Context, job *batchv1.Job, out chan<- event.Fact) error {
			return watch.Follow(ctx, r.client, r.client.Health, job, out)
		},
		read:     func(ctx context.Context, o logs.Options) reader { return logs.New(ctx, o) },
		answered: make(chan map[verdict.Claim]verdict.Answer, 1), answers: map[verdict.Claim]verdict.Answer{},
		gonePods: map[types.UID]bool{}, over: map[types.UID]bool{}, events: map[types.UID]map[types.UID]*corev1.Event{}, tails: newTails(),
		starts: map[verdict.Output]time.Time{},
	}
}

// run creates the Job, follows it to its end, and cleans up. ctx ends with a signal.
func (l *loop) run(ctx context.Context) event.Finished {
	defer func() { l.beside(func() { <-l.unlock(ctx, l.left) }) }()
	if l.began = l.options.Began; l.began.IsZero() {
		l.began = time.Now()
	}
	// All that takes requests ends with it. Only a signal cancels the run.
	inTime, stop := InTime(ctx, l.began, l.options.Verdict.Timeout)
	defer stop()
	var err error
	l.beside(func() { err = l.create(ctx, inTime) })
	switch {
	case l.created == nil && ctx.Err() != nil:
		return l.cancelled()
	case l.created == nil:
		return l.failed(err)
	case l.reported:
		return l.report(ctx, inTime)
	case err != nil:
		if !l.disarm(ctx) {
			return l.cancelled()
		}
		switch {
		case l.joined: // the run that created it may be at work; the next holder of the lock waits for it
			l.emit(event.Object{Object: l.ref(), Action: "kept", Detail: "it goes on"})
		case inTime.Err() != nil && len(l.objects.Owned) == 0 && l.options.OnTimeout == UnfinishedLeave:
			l.leave()
		default:
			l.cleanUp(func() error { return l.delete(inTime) }, "the run could not be completed")
		}
		return l.failed(err)
	}
	l.emit(l.started())
	if !l.options.Wait {
		if !l.disarm(ctx) {
			return l.cancelled()
		}
		l.left = true
		f := event.Finished{Outcome: event.Created, Job: l.ref(), UID: string(l.created.UID)}
		if l.joined {
			f.Earlier = "is running already" + whose(l.created) + "; this run does not wait for its end"
		}
		return f
	}
	state, decision := l.follow(ctx, inTime)
	state.Past = l.past
	result := verdict.Result(state, decision)
	result.Trace = l.trace(decision)
	result.Tail = result.Trace[max(0, len(result.Trace)-tailLines):]
	l.tails.explain(state.Pods, result.Pods)
	if result.Outcome == event.Succeeded {
		l.applyAfter(ctx, inTime, &result)
	}
	switch cancelled := !l.ended && !l.disarm(ctx); {
	case cancelled && !decision.Decided:
		end := l.cancelled()
		result.Outcome, result.Cause = end.Outcome, end.Cause
		verdict.Attempts(state, result.Cause)
		if !l.leaves && !l.undeleted && l.held == nil {
			verdict.Deleted(result.Cause, "on-cancel: leave")
		}
	case cancelled && !l.leaves:
		if l.cleanUp(func() error { return <-l.deleted }, "the run was cancelled") {
			verdict.Deleted(result.Cause, "on-cancel: leave")
		}
	case cancelled: // and left alone
	default:
		l.finishJob(inTime, state, decision)
	}
	return result
}

// report is the end of a run whose work an earlier one has done.
func (l *loop) report(ctx, inTime context.Context) event.Finished {
	l.job, l.since = l.created, time.Now()
	var pods []*corev1.Pod
	var err error
	l.beside(func() { pods, err = l.podsNow(inTime) })
	if err != nil {
		l.emit(event.Notice{Level: event.Warning, Message: fmt.Sprintf("what is left of its pods is not known: %v", err)})
	}
	l.pods = pods
	state := l.state()
	result := verdict.Result(state, verdict.Decide(state))
	result.Earlier = success(l.created) + ": nothing runs again, as if-exists: keep-succeeded says"
	l.applyAfter(ctx, inTime, &result)
	return result
}

// emit hands one event to the sink.
func (l *loop) emit(e event.Event) {
	if n, ok := e.(event.Notice); ok && n.Key != "" {
		if l.said[n.Key] {
			return
		}
		l.said[n.Key] = true
	}
	l.lastSaid = time.Now()
	if err := l.sink.Event(e); err != nil && l.broken == nil {
		l.broken = err
		l.abort()
	}
}

// beside does a step that takes requests, and meanwhile tells what is left in the inbox.
func (l *loop) beside(step func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		step()
	}()
	for {
		select {
		case <-l.more:
			l.hear()
		case <-done:
			l.hear()
			return
		}
	}
}

// hear takes what was left in the inbox.
func (l *loop) hear() {
	for _, e := range l.all() {
		l.take(e)
	}
}

// connection tells of an outage and of its end; it comes once each, whoever met it.
func (l *loop) connection(c event.Connection) {
	if c.Err != nil {
		l.away = c.Since
		l.emit(event.Notice{Level: event.Info, Message: fmt.Sprintf("the API server does not answer (%s); trying again for up to %s", cluster.Why(c.Err), event.Seconds(l.client.APITimeout))})
		return
	}
	l.emit(event.Notice{Level: event.Info, Message: "the API server answers again after " + event.Seconds(time.Since(l.away))})
	l.away = time.Time{}
}

// follow follows the Job until it is decided, or ctx is done, and reads its logs to their end.
func (l *loop) follow(ctx, inTime context.Context) (verdict.State, verdict.Verdict) {
	l.job, l.since, l.judge, l.judgeNow = l.created, time.Now(), true, true
	// What follows the Job outlives the cancellation by the time that the last lines take.
	following, stop := context.WithCancel(context.WithoutCancel(ctx))
	facts := make(chan event.Fact, 16) // a batch of lines may hold 75 KB
	watched := make(chan error, 1)
	var watching sync.WaitGroup
	watching.Go(func() { watched <- l.watch(following, l.created, facts) })
	l.ask = func(questions []verdict.Question) {
		watching.Go(func() { l.answered <- l.confirm(following, questions) })
	}
	l.suspect = func() {
		watching.Go(func() {
			if goes, _ := l.namespaceGoes(following); goes {
				l.post(event.Notice{Level: event.Warning, Key: "namespace", Message: fmt.Sprintf("namespace %s is being deleted, and %s will go with it", l.ref().Namespace, l.ref())})
			}
		})
	}
	defer watching.Wait()
	if l.options.Logs != LogsNone {
		l.reader = l.read(following, logs.Options{Open: l.client.OpenLog, Out: facts, Containers: l.options.LogContainers, Health: l.client.Health,
			Outage: func() (away, waited bool) {
				since := l.client.Health.Since()
				away = !since.IsZero()
				return away, away && time.Since(since) < l.client.APITimeout && !over(inTime)
			}})
		defer l.reader.Close()
	}
	defer stop()
	if l.options.Logs == LogsOnFailure {
		l.spool = &spool{}
		defer l.spool.close()
	}

	v := l.untilDecided(ctx, facts, watched)
	if v.Decided && !v.DeleteJob {
		l.ended = l.disarm(ctx)
	}
	if v.DeleteJob && v.Outcome == event.TimedOut {
		v.Cause.Message += l.silence()
	}
	l.takeRest()
	if v.Incomplete {
		v = l.explain(ctx, facts, v)
	}
	if l.reader != nil && (v.Cause == nil || v.Cause.Reason != event.APIUnreachable) {
		if l.drain(ctx, inTime, facts) && (l.spool == nil || v.Outcome != event.Succeeded) {
			l.tellUnseen()
		}
	}
	if v.Outcome == event.Vanished && l.replaced == "" {
		l.findSuccessor(ctx)
	}
	// What was told while the logs were read counts too. The outcome stays, and so does the cause of a failure, unless it was not
	// complete: the deletion of pods that follows takes information away.
	state := l.state()
	if v.Outcome == event.Succeeded || v.Outcome == event.Vanished || v.Incomplete {
		if again := verdict.Decide(state); again.Outcome == v.Outcome && !again.Incomplete {
			v = again
		}
	}
	l.blameNamespace(ctx, &v)
	if l.spool != nil && v.Outcome != event.Succeeded {
		if err := l.spool.replay(l.emit); err != nil {
			l.emit(event.Notice{Level: event.Warning, Message: fmt.Sprintf("the output that was kept for a failure cannot be read again: %v", err)})
		}
	}
	return state, v
}

// untilDecided takes facts and judges them. A Verdict that is not decided means that ctx is done.
func (l *loop) untilDecided(ctx context.Context, facts <-chan event.Fact, watched <-chan error) verdict.Verdict {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var last verdict.Verdict
	var judged time.Time
	for {
		if len(l.rest.Lines) == 0 {
			select {
			case e := <-facts:
				l.takePart(e)
			case <-l.more:
				l.hear()
			case answers := <-l.answered:
				maps.Copy(l.answers, answers)
				l.asking, l.learned = false, time.Now()
				l.judge, l.judgeNow = true, true
			case err := <-watched:
				if err == nil {
					err = fmt.Errorf("the watch on %s ended by itself", l.ref())
				}
				f := l.failed(err)
				return verdict.Verdict{Decided: true, Outcome: f.Outcome, Cause: f.Cause, DeleteJob: true}
			case err := <-l.lost:
				return verdict.Verdict{Decided: true, Outcome: event.Failed, Cause: l.failed(err).Cause, DeleteJob: true}
			case <-timer.C:
			case <-ctx.Done():
				return verdict.Verdict{}
			}
		}
		// One goroutine tells of everything, so a burst of lines and states is taken whole before it is judged.
		// The burst is bounded: a container that never stops writing must not hold up the clock.
		begun := time.Now()
	burst:
		for i := 0; i < cap(facts) && time.Since(begun) < settle && !l.judgeNow && ctx.Err() == nil; i++ {
			if len(l.rest.Lines) > 0 {
				l.takePart(l.rest)
				continue
			}
			select {
			case e := <-facts:
				l.takePart(e)
			default:
				break burst
			}
		}
		if ctx.Err() != nil {
			return verdict.Verdict{}
		}
		now := time.Now()
		if l.old(now) {
			clear(l.answers)
			l.judge = true
		}
		// The timer may never be heard while there is always something to take.
		l.judge = l.judge || !last.Next.IsZero() && !now.Before(last.Next) || !now.Before(l.nextBeat())
		if l.judgeNow || l.judge && now.Sub(judged) >= settle {
			judged, l.judge, l.judgeNow = now, false, false
			last = verdict.Decide(l.state())
			l.tell(last)
			if last.Decided {
				return last
			}
			if len(last.Ask) > 0 && !l.asking && len(l.answers) < mostAnswers {
				l.asking = true
				l.ask(last.Ask)
			}
		}
		if !l.away.IsZero() && now.Sub(l.away) >= l.client.APITimeout {
			return verdict.Verdict{Decided: true, Outcome: event.Failed, Cause: l.unreachable(now.Sub(l.away))}
		}
		timer.Reset(l.untilNext(now, judged, last))
	}
}

// part is how many bytes of lines are told between two looks at the clock, at least: a line is never parted.
const part = 64 << 10

// takePart takes a fact into account, of a batch of lines its first part. What is left is l.rest.
func (l *loop) takePart(f event.Fact) {
	lines, ok := f.(event.Lines)
	if !ok {
		l.learn(f)
		return
	}
	n, size := 0, 0
	for n < len(lines.Lines) && size < part {
		size += len(lines.Lines[n].Text)
		n++
	}
	l.rest = lines
	l.rest.Lines = lines.Lines[n:]
	lines.Lines = lines.Lines[:n]
	l.learn(lines)
}

// takeRest takes what is left of a batch.
func (l *loop) takeRest() {
	for len(l.rest.Lines) > 0 {
		l.takePart(l.rest)
	}
}

// explain waits for the state of the pod that explains the Job's end. When it does not come in time, what is known must do.
func (l *loop) explain(ctx context.Context, facts <-chan event.Fact, v verdict.Verdict) verdict.Verdict {
	late := time.After(explainLimit)
	for v.Incomplete {
		select {
		case e := <-facts:
			l.learn(e)
			if _, ok := e.(event.PodSeen); ok {
				v = verdict.Decide(l.state())
			}
		case <-l.more:
			l.hear()
		case <-late:
			return v
		case <-ctx.Done():
			return v
		}
	}
	return v
}

// nextBeat is when the state of the Job is said although there is no news.
func (l *loop) nextBeat() time.Time {
	if l.options.Live {
		return l.lastLive.Add(live)
	}
	return l.lastSaid.Add(heartbeat)
}

// untilNext is how long the loop may sleep when no fact arrives.
func (l *loop) untilNext(now, judged time.Time, last verdict.Verdict) time.Duration {
	next := l.nextBeat()
	if !l.away.IsZero() {
		next = earlier(next, l.away.Add(l.client.APITimeout))
	}
	if l.judge {
		next = earlier(next, judged.Add(settle))
	}
	if !last.Next.IsZero() {
		next = earlier(next, last.Next)
	}
	if len(l.answers) > 0 {
		next = earlier(next, l.learned.Add(askAgain))
	}
	return max(next.Sub(now), time.Millisecond)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// learn takes a fact from the channel. What was left in the inbox before it comes first: a secret that the fact may hold.
func (l *loop) learn(f event.Fact) {
	l.hear()
	l.take(f)
}

// take takes one fact into account.
func (l *loop) take(f event.Fact) {
	switch f := f.(type) {
	case event.JobSeen:
		switch {
		case f.Job.UID != l.job.UID:
			l.replaced = f.Job.UID
		case f.Gone:
			// The event of a deletion has a version of its own. Without it, nobody has seen what the Job came to last.
			l.missed = f.Job.ResourceVersion == l.job.ResourceVersion
			l.gone, l.job = true, f.Job
		default:
			l.job = f.Job
		}
		l.judge, l.judgeNow = true, true
	case event.PodSeen:
		l.takePod(f.Pod, f.Gone)
		l.judge = true
	case event.EventSeen:
		l.takeEvent(f.Event)
	case event.Connection:
		l.connection(f)
	case event.Secret:
		l.sink.AddSecrets(f)
	case event.Lines:
		l.tails.add(f)
		l.output(f)
	case event.Gap:
		l.output(f)
	case event.Drained: // for drain alone
	case event.Event: // notices, what was done to an object: news as they are
		l.emit(f)
	default:
		panic(fmt.Sprintf("nothing takes a %T", f))
	}
}

// output shows what comes from a container, or keeps it until it is known whether it is wanted.
func (l *loop) output(e event.Event) {
	if l.spool == nil {
		l.emit(e)
	} else if err := l.spool.add(e); err != nil {
		l.emit(event.Notice{Level: event.Warning, Key: "spool", Message: fmt.Sprintf("output cannot be kept for a failure, so it is shown now: %v", err)})
		l.emit(e)
	}
}

func (l *loop) takePod(pod *corev1.Pod, gone bool) {
	i := slices.IndexFunc(l.pods, func(p *corev1.Pod) bool { return p.UID == pod.UID })
	var before *corev1.Pod
	if i >= 0 {
		before = l.pods[i]
		// What podsNow has brought may be newer than what the watch has yet to tell.
		if newer, err := resourceversion.CompareResourceVersion(before.ResourceVersion, pod.ResourceVersion); err == nil && newer > 0 {
			if !gone {
				return
			}
			pod = before
		}
		// The kubelet's last request, when the containers have ended, writes a new time: the first says when the pod was told to stop.
		if before.DeletionTimestamp != nil && pod.DeletionTimestamp != nil {
			told := *pod
			told.DeletionTimestamp, told.DeletionGracePeriodSeconds = before.DeletionTimestamp, before.DeletionGracePeriodSeconds
			pod = &told
		}
		l.pods[i] = pod
	} else {
		i = len(l.pods)
		for i > 0 && pods.Compare(pod, l.pods[i-1]) < 0 {
			i--
		}
		l.pods = slices.Insert(l.pods, i, pod)
	}
	if gone {
		l.gonePods[pod.UID] = true
	}
	for c, at := range verdict.Starts(pod) {
		if known, ok := l.starts[c]; !ok || at.Before(known) {
			l.starts[c] = at
		}
	}
	// A namespace's deletion takes the pods first, and the Job when they have ended.
	if pod.DeletionTimestamp != nil && (before == nil || before.DeletionTimestamp == nil) && l.suspect != nil && time.Since(l.suspected) >= askAgain {
		l.suspected = time.Now()
		l.suspect()
	}
	if gone || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		l.over[pod.UID] = true
		maps.DeleteFunc(l.events[pod.UID], func(_ types.UID, e *corev1.Event) bool {
			if verdict.Stops(e) {
				return false
			}
			l.kept--
			return true
		})
	}
	if l.reader != nil {
		l.reader.Observe(pod, gone)
	}
	for _, e := range news(before, pod, gone, len(l.pods) > fewPods) {
		l.emit(e)
	}
	if pod.Status.Phase == corev1.PodSucceeded {
		l.tails.drop(string(pod.UID))
	}
}

// takeEvent keeps an event that the verdict reads, unless it comes late: of a pod that has ended, only why it was stopped explains
// something.
func (l *loop) takeEvent(e *corev1.Event) {
	l.past.add(e)
	if !verdict.Wants(e) || l.over[e.InvolvedObject.UID] && !verdict.Stops(e) {
		return
	}
	about := l.events[e.InvolvedObject.UID]
	if about == nil {
		about = map[types.UID]*corev1.Event{}
		l.events[e.InvolvedObject.UID] = about
	}
	if about[e.UID] == nil {
		if len(about) == mostAbout {
			l.forget(about)
		} else if l.kept == mostEvents {
			l.forget(l.most())
		}
		l.kept++
	}
	about[e.UID] = e
	l.judge = true
}

// The events that are kept: about one object, and at all. Whoever may create events can make any number; of one pod, the cluster itself
// makes a few dozen kinds, each of which it counts in one event.
const (
	mostAbout  = 100
	mostEvents = 5000
)

// most are the events about the object that has the most: who forges many about one leaves room for the others.
func (l *loop) most() (most map[types.UID]*corev1.Event) {
	for _, about := range l.events {
		if len(about) > len(most) {
			most = about
		}
	}
	return most
}

// forget lets go of the oldest of some events, by the API server's clock.
func (l *loop) forget(about map[types.UID]*corev1.Event) {
	var oldest *corev1.Event
	for _, e := range about {
		if oldest == nil || e.CreationTimestamp.Before(&oldest.CreationTimestamp) {
			oldest = e
		}
	}
	if oldest != nil {
		delete(about, oldest.UID)
		l.kept--
	}
}

// state is what the verdict is computed from.
func (l *loop) state() verdict.State {
	var events []*corev1.Event
	for _, about := range l.events {
		events = slices.AppendSeq(events, maps.Values(about))
	}
	slices.SortFunc(events, func(a, b *corev1.Event) int {
		return cmp.Or(a.LastTimestamp.Compare(b.LastTimestamp.Time), cmp.Compare(a.UID, b.UID))
	})
	return verdict.State{Job: l.job, Gone: l.gone, Missed: l.missed, ReplacedBy: l.replaced, Pods: slices.Clone(l.pods), GonePods: l.gonePods,
		Events: events, Answers: l.answers, Starts: l.starts, Silent: l.silent(), Now: time.Now(), Began: l.began, FollowedSince: l.since, Joined: l.joined, Options: l.options.Verdict}
}

// silent are the running init containers whose log is read and empty. While the API server is away, nobody knows what they write.
func (l *loop) silent() map[verdict.Output]bool {
	silent := map[verdict.Output]bool{}
	if l.reader == nil || !l.away.IsZero() {
		return silent
	}
	for _, p := range l.pods {
		for _, s := range p.Status.InitContainerStatuses {
			if s.State.Running != nil && l.reader.Silent(string(p.UID), s.Name) {
				silent[verdict.Output{Pod: p.UID, Container: s.Name}] = true
			}
		}
	}
	return silent
}

// tell says what a judgement adds to what the user knows.
func (l *loop) tell(v verdict.Verdict) {
	for _, n := range v.Notices {
		l.emit(n)
	}
	now := time.Now()
	p := v.Progress
	counts := [2]int{p.Succeeded, p.Failed}
	switch {
	case v.Decided:
	case !l.options.Live && p.Wanted != 1 && counts != l.counts && now.Sub(l.lastCount) >= progressEvery:
		l.counts, l.lastCount = counts, now
		l.emit(p)
	case !now.Before(l.nextBeat()):
		p.Heartbeat, l.lastLive = true, now
		l.emit(p)
	}
}

// progressEvery is the shortest time between two counts of a Job with many pods.
const progressEvery = 5 * time.Second

// unreachable is the cause of a run that gives up on the API server.
func (l *loop) unreachable(silent time.Duration) *event.Cause {
	return &event.Cause{Reason: event.APIUnreachable, Object: l.ref(),
		Message: fmt.Sprintf("%s cannot be followed to its end: the API server %s has not answered for %s", l.ref(), l.client.Server, event.Seconds(silent)),
		Hint:    event.See("The Job may still run", event.Kubectl(l.job.Namespace, "get job %s", l.job.Name)) + ". A longer outage is bridged with api-timeout."}
}

// drain reads the logs of every container to their end. It tells whether all pods are known that are still there.
func (l *loop) drain(ctx, inTime context.Context, facts <-chan event.Fact) (known bool) {
	limit, done := drainLimit, inTime.Done()
	if ctx.Err() != nil || over(inTime) { // a signal reaches inTime a moment after ctx
		limit, done = drainCancelLimit, nil // that is short already
	} else {
		known = l.refreshPods(inTime)
	}
	l.reader.Drain(limit)
	var late <-chan time.Time
	for {
		select {
		case e := <-facts:
			if _, ok := e.(event.Drained); ok {
				return known
			}
			l.learn(e)
		case <-l.more:
			l.hear()
		case <-done:
			done, late = nil, time.After(drainCancelLimit)
		case <-late:
			why := "timeout was over"
			if ctx.Err() != nil {
				why = "the run was told to stop"
			}
			l.emit(event.Notice{Level: event.Warning, Message: why + " before the logs were read to their end: the last lines are missing"})
			return known
		}
	}
}

// tellUnseen says that pods of the Job have ended and gone before this run saw them. Another run that follows the Job may delete it at
// its end, and a controller that runs it may have its pods elsewhere.
func (l *loop) tellUnseen() {
	succeeded, failed := verdict.Counts(l.job)
	if n := succeeded + failed - len(l.pods); n > 0 && !external(l.job) {
		what := "1 pod of %s was gone before this run saw it: what it wrote is missing"
		if n > 1 {
			what = fmt.Sprint(n) + " pods of %s were gone before this run saw them: what they wrote is missing"
		}
		l.emit(event.Notice{Level: event.Warning, Message: fmt.Sprintf(what, l.ref())})
	}
}

// findSuccessor looks whether another Job has the name of the deleted one: the watch tells that after the deletion. Without an
// answer it is just deleted.
func (l *loop) findSuccessor(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, explainLimit)
	defer cancel()
	var found *batchv1.Job
	var err error
	l.beside(func() {
		found, err = l.client.Jobs(l.job.Namespace).Get(ctx, l.job.Name, metav1.GetOptions{})
	})
	if err == nil && found.UID != l.job.UID {
		l.replaced = found.UID
	}
}

// namespaceGoes tells whether the namespace is being deleted, or gone. Nobody has to be allowed to look at namespaces for it: the Job could not
// be created any more. Denied says that the run may not even try that.
func (l *loop) namespaceGoes(ctx context.Context) (goes, denied bool) {
	if l.doomed.Load() {
		return true, false
	}
	// Two may ask at once, and the client writes into what it encodes.
	_, err := l.client.Jobs(l.ref().Namespace).Create(ctx, l.objects.Job.DeepCopy(), dryRun)
	var status apierrors.APIStatus
	missing := apierrors.IsNotFound(err) && errors.As(err, &status) && status.Status().Details != nil && status.Status().Details.Kind == "namespaces"
	if missing || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		l.doomed.Store(true)
	}
	return l.doomed.Load(), cluster.Denied(err) || apierrors.IsUnauthorized(err)
}

// blameNamespace names a namespace that is being deleted as the cause of what that does to the run: the Job is deleted, or fails because its
// pods went first, or cannot be followed any more because the RoleBindings did. When these have gone, only a guess is left.
func (l *loop) blameNamespace(ctx context.Context, v *verdict.Verdict) {
	if v.Cause == nil {
		return
	}
	deleted := func(p *corev1.Pod) bool { return p.DeletionTimestamp != nil || l.gonePods[p.UID] }
	vanished := v.Outcome == event.Vanished && v.Cause.Reason == event.JobDeleted
	refused := v.DeleteJob && (v.Cause.Reason == event.Forbidden || v.Cause.Reason == event.Unauthorized) && len(l.pods) > 0 // which it was allowed to see
	if !vanished && !refused && (v.Outcome != event.Failed || !slices.ContainsFunc(l.pods, deleted)) {
		return
	}
	var goes, denied bool
	l.beside(func() {
		ctx, cancel := context.WithTimeout(ctx, explainLimit)
		defer cancel()
		goes, denied = l.namespaceGoes(ctx)
	})
	name := l.ref().Namespace
	if !goes {
		if refused || vanished && denied && !l.joined { // it could create a Job before
			v.Cause.Hint = event.See("The rights of this run were taken away meanwhile, as when its namespace is deleted", event.Kubectl("", "get namespace %s", name)) + "\n" + v.Cause.Hint
		}
		return
	}
	message := fmt.Sprintf("namespace %s is being deleted, and %s ", name, l.ref())
	switch {
	case vanished:
		message += "with it, before it finished"
	case refused:
		v.Outcome = event.Vanished
		v.Cause = &event.Cause{Reason: event.JobDeleted, Err: v.Cause}
		message += "with it, before it was seen to finish; what this run may do there went first: " + reason(v.Cause.Err)
	default:
		message += "has failed: " + v.Cause.Message
	}
	v.Cause.Object, v.Cause.Message = event.Ref{Kind: "Namespace", Name: name}, message
	v.Cause.Hint = event.See("Look for a clean-up, another pipeline or a person that deletes it; once it is gone, it can be made again", event.Kubectl("", "create namespace %s", name))
}

// refreshPods looks at the pods once more when the Job's counts know of an end that the watch on the pods has not told yet:
// two watches have no common order, and the logs of a pod that nobody saw start would be lost. It is false when nobody answers.
func (l *loop) refreshPods(ctx context.Context) bool {
	ended := 0
	for _, p := range l.pods {
		if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			ended++
		}
	}
	if succeeded, failed := verdict.Counts(l.job); l.gone || ended >= succeeded+failed {
		return true
	}
	var pods []*corev1.Pod
	var err error
	l.beside(func() { pods, err = l.podsNow(ctx) })
	if err != nil {
		l.emit(event.Notice{Level: event.Warning, Message: fmt.Sprintf("the last state of the pods is not known, lines may be missing: %v", err)})
		return false
	}
	for _, p := range pods {
		l.takePod(p, false)
	}
	return true
}

// podsNow are the pods of the Job, in the order of pods.Compare.
func (l *loop) podsNow(ctx context.Context) (own []*corev1.Pod, err error) {
	all, err := l.listPods(ctx, l.job)
	for i := range all {
		own = append(own, &all[i])
	}
	slices.SortStableFunc(own, pods.Compare)
	return own, err
}

// trace is the end of what the container wrote that decided.
func (l *loop) trace(v verdict.Verdict) []string {
	for _, p := range l.pods {
		if p.Name == v.CausePod {
			return l.tails.last(string(p.UID), v.CauseContainer, traceLines)
		}
	}
	return nil
}
