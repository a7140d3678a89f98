// Package app puts the program together: it reads the options, loads and renders the manifest, connects to the cluster,
// chooses the reporters, runs, and maps the end to an exit code. It is the only package that knows all the others.
package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"
	corev1 "k8s.io/api/core/v1"

	"github.com/planton/kubernetes-job-action/internal/cluster"
	"github.com/planton/kubernetes-job-action/internal/config"
	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/manifest"
	"github.com/planton/kubernetes-job-action/internal/render"
	"github.com/planton/kubernetes-job-action/internal/report"
	"github.com/planton/kubernetes-job-action/internal/report/dotenv"
	"github.com/planton/kubernetes-job-action/internal/report/github"
	"github.com/planton/kubernetes-job-action/internal/report/json"
	"github.com/planton/kubernetes-job-action/internal/report/junit"
	"github.com/planton/kubernetes-job-action/internal/report/lines"
	"github.com/planton/kubernetes-job-action/internal/report/result"
	"github.com/planton/kubernetes-job-action/internal/report/text"
	"github.com/planton/kubernetes-job-action/internal/run"
)

// version is set by the linker.
var version = "dev"

// Process is what the program gets from the operating system.
type Process struct {
	Args      []string // without the program's name
	Stdin     io.Reader
	Stdout    io.Writer
	Stderr    io.Writer
	LookupEnv func(string) (string, bool)
	Dir       string // the working directory
	Terminal  Terminal
}

// Terminal is what Stderr is shown on.
type Terminal struct {
	Color bool       // it is a terminal
	Width func() int // its columns now, 0 when that is unknown; nil when no line on it can be drawn anew
	Both  bool       // Stdout is shown on it too
}

// commands are the words that may come first on the command line; run is the default.
var commands = []string{"run", "validate", "render", "post", "version", "help"}

// Main runs the program and returns its exit code.
func Main(p Process) int {
	command, args := "run", p.Args
	switch {
	case len(args) == 0:
	case args[0] == "--version":
		command, args = "version", args[1:]
	case !strings.HasPrefix(args[0], "-"):
		command, args = args[0], args[1:]
	}
	if !slices.Contains(commands, command) {
		hint := "the commands are " + strings.Join(commands, ", ")
		if command == "" {
			hint = "a variable in quotes that is not set gives an empty word"
		} else if near := manifest.Closest(command, commands); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		} else if strings.ContainsAny(command, "./") {
			hint = "if it is the manifest, use --manifest=" + command
		}
		fmt.Fprintf(p.Stderr, "error: unknown command %q; %s\n", command, hint)
		return exitInvalid
	}
	options, findings := config.Parse(args, p.LookupEnv)
	print := func(text string) int {
		if _, err := io.WriteString(p.Stdout, text); err != nil {
			return p.unwritten(err)
		}
		return exitOK
	}
	switch {
	case options.Help || command == "help":
		return print(config.Usage())
	case command == "version":
		return print(version + "\n")
	case command == "run" && options.DryRun == config.DryRunClient:
		command = "render"
	case command == "validate" && options.DryRun == config.DryRunServer:
		command = "run"
	}
	if options.Report.Format == report.FormatAuto {
		options.Report.Format = p.format()
	}
	p.Dir = p.start()
	options.Report.Dir = p.Dir
	a := &app{Process: p, options: options}
	ctx, stop := untilSignal(a.clear)
	defer stop()
	// A closed standard output must not end the process silently: it is an error of the sink, and the Job is deleted.
	signal.Ignore(syscall.SIGPIPE)

	code, err := a.do(ctx, command, findings)
	if err != nil {
		code = max(code, p.unwritten(err))
	}
	return code
}

// unwritten is for an error of standard output. Its answer is an exit code.
func (p Process) unwritten(err error) int {
	fmt.Fprintf(p.Stderr, "error: output cannot be written: %v\n", err)
	return exitJobFailed
}

// untilSignal is a context that a signal ends. The second one ends the process at once, after clear, as users expect of a command that
// hangs. The end of the terminal counts too, unless nohup says otherwise, and so does what would print Go's stacks.
func untilSignal(clear func()) (ctx context.Context, stop func()) {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	arrived, stopped := make(chan os.Signal, 2), make(chan struct{})
	signal.Notify(arrived, signals...)
	ctx, cancel := context.WithCancel(context.Background())
	// A signal that is not caught would not end process 1, which this is in a container: the kernel ignores it there.
	exit := func() {
		clear()
		os.Exit(int(event.Interrupted))
	}
	go obey(arrived, stopped, cancel, exit)
	return ctx, func() {
		signal.Stop(arrived)
		close(stopped)
		cancel()
	}
}

// sameSignal is how long one wish to stop may take to arrive more than once: timeout(1) signals its child and then the group that its child is
// in, and a wrapper passes on what the terminal has sent to both.
const sameSignal = 500 * time.Millisecond

// obey cancels at the first signal and exits at the second, until it is stopped.
func obey(arrived <-chan os.Signal, stopped <-chan struct{}, cancel, exit func()) {
	var first os.Signal
	var at time.Time
	for {
		select {
		case s := <-arrived:
			switch {
			case first == nil:
				first, at = s, time.Now()
				cancel()
			case s != first, time.Since(at) >= sameSignal:
				exit()
				return
			}
		case <-stopped:
			return
		}
	}
}

// app is one invocation.
type app struct {
	Process
	options  config.Options
	reporter *report.Fanout
	away     func() // says that the status line was taken away; nil without one
	turn     turn   // to write to its terminal
}

// turn is whose it is to write to the terminal: what holds the one place in it.
type turn chan struct{}

// writer writes in turn.
type writer struct {
	io.Writer
	turn turn
}

func (w writer) Write(p []byte) (int, error) {
	w.turn <- struct{}{}
	defer func() { <-w.turn }()
	return w.Writer.Write(p)
}

// suspend takes the status line away, and then has the process stop. Nobody draws the line again in between, unless the terminal takes nothing, and
// so keeps what is written to it for a while.
func (a *app) suspend(stop func()) {
	select {
	case a.turn <- struct{}{}:
		a.clear()
		stop()
		a.away()
		<-a.turn
	case <-time.After(100 * time.Millisecond):
		stop()
	}
}

// report makes the reporters of the format and of the files that were asked for, and tells them what no reader may see. A file that
// cannot be written, or that the manifest was read from, is a finding.
func (a *app) report(command string, set *manifest.Set) []event.Finding {
	o, stdout := a.options.Report, a.Stdout
	if command == "render" {
		// Standard output holds the objects alone, without masks, so that it can be redirected. The runner reads both streams.
		stdout = a.Stderr
	}
	_, noColor := a.LookupEnv("NO_COLOR")
	noColor = noColor || a.getenv("TERM") == "dumb"
	var log report.Sink
	switch o.Format {
	case report.FormatGitHub:
		log = github.New(stdout, a.getenv, o)
	case report.FormatGitLab, report.FormatBuildkite, report.FormatAzure:
		log = text.New(stdout, stdout, a.getenv, o, !noColor)
	case report.FormatJSON:
		log = json.New(stdout)
	default:
		if !a.live() || command != "run" {
			log = text.New(stdout, a.Stderr, a.getenv, o, a.Terminal.Color && !noColor)
			break
		}
		a.turn = make(turn, 1)
		t := text.New(writer{stdout, a.turn}, writer{a.Stderr, a.turn}, a.getenv, o, a.Terminal.Color && !noColor)
		a.away = t.Live(a.Terminal.Width, a.Terminal.Both)
		log = t
	}
	sinks := []report.Sink{log}
	var findings []event.Finding
	if command == "run" {
		var files []report.Sink
		files, findings = a.files(set, log.Event)
		sinks = append(sinks, files...)
	}
	a.reporter = report.New(sinks...)
	a.reporter.AddSecrets(a.options.Render.Secrets()...)
	a.reporter.AddSecrets(set.Secrets...)
	return findings
}

// live tells whether there is somebody who looks at a line that is drawn anew all the time: a terminal that can do that, and no CI system,
// some of which give their jobs a terminal and keep all that is written to it.
func (a *app) live() bool {
	terminal := a.getenv("TERM")
	return a.Terminal.Width != nil && a.options.Report.Format == report.FormatText && terminal != "" && terminal != "dumb" && a.getenv("CI") == ""
}

// clear takes the status line away for a process that ends at once, unless the terminal takes nothing.
func (a *app) clear() {
	if !a.live() {
		return
	}
	written := make(chan struct{})
	go func() {
		io.WriteString(a.Stderr, text.Erase) // nobody is left to hear of an error
		close(written)
	}()
	select {
	case <-written:
	case <-time.After(100 * time.Millisecond):
	}
}

// files are the reporters of the files that were asked for. One that cannot be written, that is given twice, that the run reads, or that is
// where the run has no business is a finding.
func (a *app) files(set *manifest.Set, tell func(event.Event) error) (sinks []report.Sink, findings []event.Finding) {
	o, source := a.options.Report, a.source(context.Background())
	if temp := a.getenv("RUNNER_TEMP"); temp != "" && len(source.Confine) > 0 {
		source.Confine = append(source.Confine, manifest.Folder{Path: temp})
	}
	taken := map[string]string{}
	for _, file := range []struct {
		option, path string
		sink         func(path string) report.Sink
	}{
		{"dotenv-file", o.DotenvFile, func(path string) report.Sink { return dotenv.New(path, tell) }},
		{"result-file", o.ResultFile, func(path string) report.Sink { return result.New(path) }},
		{"junit-file", o.JUnitFile, func(path string) report.Sink { return junit.New(path, tell) }},
		{"log-file", o.LogFile, func(path string) report.Sink { return lines.New(path) }},
	} {
		if file.path == "" {
			continue
		}
		path := file.path
		if !filepath.IsAbs(path) {
			path = filepath.Join(a.Dir, path)
		}
		err := report.CheckFile(path)
		other := taken[report.FileName(path)]
		switch {
		case err != nil:
		case !source.Holds(path):
			err = fmt.Errorf("%s leads out of the workspace, by its name or by a symbolic link; write the file into it", path)
		case a.isInput(path, set):
			err = fmt.Errorf("%s is a file that this run reads; the outputs would replace it", path)
		case other != "":
			err = fmt.Errorf("%s is the file of %s already", path, other)
		}
		if err != nil {
			findings = append(findings, event.Finding{Level: event.Error, Path: file.option, Message: err.Error()})
			continue
		}
		taken[report.FileName(path)] = file.option
		sinks = append(sinks, file.sink(path))
	}
	return sinks, findings
}

// isInput tells whether the run reads a file that is there: for the manifest, or as a kubeconfig.
func (a *app) isInput(path string, set *manifest.Set) bool {
	written, err := os.Stat(path)
	if err != nil {
		return false
	}
	read := set.Files
	for _, kubeconfig := range filepath.SplitList(cmp.Or(a.options.Cluster.Kubeconfig, a.getenv("KUBECONFIG"))) {
		if !filepath.IsAbs(kubeconfig) {
			kubeconfig = filepath.Join(a.Dir, kubeconfig)
		}
		if info, err := os.Stat(kubeconfig); err == nil {
			read = append(slices.Clip(read), info)
		}
	}
	return slices.ContainsFunc(read, func(info os.FileInfo) bool { return os.SameFile(written, info) })
}

// format is that of the CI system whose variables are set.
func (p Process) format() report.Format {
	switch {
	case p.getenv("GITHUB_ACTIONS") == "true":
		return report.FormatGitHub
	case p.getenv("GITLAB_CI") == "true":
		return report.FormatGitLab
	case p.getenv("BUILDKITE") == "true":
		return report.FormatBuildkite
	case p.getenv("TF_BUILD") != "":
		return report.FormatAzure
	}
	return report.FormatText
}

// start is where relative paths begin: the working directory, which a step of a workflow may have chosen, or the checkout for a program that
// GitHub's runner has started elsewhere.
func (p Process) start() string {
	workspace := p.getenv("GITHUB_WORKSPACE")
	if workspace == "" || p.getenv("GITHUB_ACTIONS") != "true" {
		return p.Dir
	}
	checkout := manifest.Source{Confine: []manifest.Folder{{Path: workspace}}}
	if !checkout.Holds(filepath.Join(p.Dir, "any")) {
		return workspace
	}
	// A link may lead to the checkout, by whose name its files are told.
	root, rootErr := filepath.EvalSymlinks(workspace)
	dir, dirErr := filepath.EvalSymlinks(p.Dir)
	if rel, err := filepath.Rel(root, dir); rootErr == nil && dirErr == nil && err == nil {
		return filepath.Join(workspace, rel)
	}
	return p.Dir
}

func (p Process) getenv(name string) string {
	v, _ := p.LookupEnv(name)
	return v
}

// do runs a command. The error is that of the reporters.
func (a *app) do(ctx context.Context, command string, findings []event.Finding) (int, error) {
	set, found := &manifest.Set{}, []event.Finding(nil)
	if command != "post" {
		set, found = manifest.Load(a.source(ctx))
	}
	findings = append(findings, a.report(command, set)...)
	defer a.suspendable()()
	if command == "post" {
		return a.post(ctx, findings)
	}
	if command == "run" && a.options.Report.Format == report.FormatGitHub {
		// Later steps depend on the outputs, so nothing may be started whose result they cannot get.
		if err := github.CheckOutputs(a.getenv); err != nil {
			findings = append(findings, event.Finding{Level: event.Error, Path: "GITHUB_OUTPUT",
				Message: fmt.Sprintf("the outputs of the step cannot be written: %v", err), Suggestion: "it must be mounted, and on GitHub's runner only root can write it"})
		}
	}
	findings = append(findings, found...)
	o := a.options.Render
	o.NameSuffix, found = a.nameSuffix()
	findings = append(findings, found...)
	o.Stamp, o.Timeout = a.stamp(command), a.options.Run.Verdict.Timeout
	if o.KeepSucceeded = a.options.Run.IfExists == run.IfExistsKeepSucceeded; o.KeepSucceeded && a.onceKey() == "" {
		findings = append(findings, event.Finding{Level: event.Info, Path: "once-key",
			Message: "it is not given, and the CI system names no commit: an earlier success of the same manifest counts, whatever it was for"})
	}
	if len(set.Documents) == 0 && a.options.FromCronJob == "" && event.HasErrors(findings) {
		return a.invalid(ctx, findings) // the manifest is missing because of them, mostly
	}
	if o.KeepSucceeded && a.options.Run.Verdict.MainContainer != "" {
		findings = append(findings, event.Finding{Level: event.Error, Path: "if-exists",
			Message:    "keep-succeeded needs the Job that succeeded to stay, and with main-container it is deleted, because its pod would run on",
			Suggestion: "make what runs on a native sidecar, an init container with restartPolicy: Always, and leave main-container out"})
	}
	began := time.Now() // all that follows is part of timeout

	var client *cluster.Client
	if a.options.FromCronJob != "" {
		if event.HasErrors(findings) {
			return a.invalid(ctx, findings)
		}
		var err error
		if client, err = a.connect(""); err != nil {
			return a.refused(findings, err)
		}
		defer client.Close()
		inTime, stop := run.InTime(ctx, began, o.Timeout)
		defer stop()
		err = run.Ask(inTime, client, a.reporter, func(ctx context.Context) (err error) {
			o.FromCronJob, err = client.CronJob(ctx, cmp.Or(o.Namespace, client.Namespace), a.options.FromCronJob)
			return err
		})
		if err != nil {
			return a.refused(findings, err)
		}
	}
	known := len(set.Secrets)
	plan, found := render.Render(set, o)
	a.reporter.AddSecrets(set.Secrets[known:]...)
	findings = append(findings, found...)
	if plan != nil {
		findings = append(findings, a.unknownContainers(plan)...)
		findings = append(findings, a.nameOfOneRun(plan)...)
	}
	if event.HasErrors(findings) {
		return a.invalid(ctx, findings)
	}
	if command != "run" {
		a.reporter.Named(event.Ref{Kind: "Job", Namespace: plan.Namespace, Name: plan.Job.Name})
	}
	if err := a.tell(findings); err != nil {
		return exitJobFailed, err
	}

	switch command {
	case "validate":
		return exitOK, a.reporter.Event(event.Notice{Level: event.Info, Message: fmt.Sprintf("the manifest is valid: Job %s", plan.Job.Name)})
	case "render":
		mask := a.reporter.Mask
		if a.options.ShowSecrets {
			mask = nil
		}
		out, err := plan.YAML(mask)
		if err == nil {
			_, err = a.Stdout.Write(out)
		}
		return exitOK, err
	}
	if client == nil {
		var err error
		if client, err = a.connect(plan.Cluster); err != nil {
			return a.refused(nil, err)
		}
		defer client.Close()
	}
	if plan.Namespace == "" {
		if err := a.tell(plan.InNamespace(client.Namespace)); err != nil {
			return exitJobFailed, err
		}
	}
	// Whoever is on the wrong cluster reads it before anything is there.
	where := fmt.Sprintf("the Job goes to namespace %s of %s (%s)", cmp.Or(plan.Namespace, client.Namespace), client.Server, client.Source)
	if err := a.reporter.Event(event.Notice{Level: event.Info, Message: where}); err != nil {
		return exitJobFailed, err
	}
	objects := objectsOf(plan)
	objects.Rename = func(suffix string) (run.Objects, error) {
		renamed, findings := plan.Renamed(set, o, suffix)
		for _, f := range findings {
			if f.Level == event.Error {
				return run.Objects{}, &event.Cause{Reason: event.InvalidInput, Message: "the Job cannot get another name: " + f.Message}
			}
		}
		again := objectsOf(renamed)
		again.Rename = objects.Rename
		return again, nil
	}
	if a.options.DryRun == config.DryRunServer {
		inTime, stop := run.InTime(ctx, began, o.Timeout)
		defer stop()
		if err := run.Check(inTime, client, objects, a.reporter); err != nil {
			return a.refused(nil, err)
		}
		return exitOK, a.reporter.Event(event.Notice{Level: event.Info, Message: "the API server refuses none of the objects; nothing was created"})
	}
	follow := a.options.Run
	follow.Began, follow.DeleteAfter, follow.Lock.Holder, follow.Live = began, plan.DeleteAfter, a.holder(), a.live()
	finished, err := run.Run(ctx, client, objects, follow, &recorder{Fanout: a.reporter, getenv: a.getenv, context: client.Context,
		lock: follow.Lock.Name, nonce: plan.Job.Annotations[cluster.NonceAnnotation]})
	return exitCode(finished), err
}

func objectsOf(plan *render.Plan) run.Objects {
	return run.Objects{CreateNamespace: plan.CreateNamespace, Apply: plan.Apply, After: plan.After, Job: plan.Job, OneTime: plan.OneTime, Owned: plan.Owned, Place: plan.Finding}
}

// source is where the manifest is read from. A workflow or a pipeline has no business outside of the repository's checkout.
func (a *app) source(ctx context.Context) manifest.Source {
	s := a.options.Source
	s.Dir, s.LookupEnv = a.Dir, a.LookupEnv
	s.Stdin, s.Ending = a.Stdin, func(r io.Reader) io.Reader { return untilDone{ctx, r} }
	if workspace := a.getenv("GITHUB_WORKSPACE"); workspace != "" && a.getenv("GITHUB_ACTIONS") == "true" {
		s.Confine = []manifest.Folder{{Path: workspace, Variable: "GITHUB_WORKSPACE", Hint: "is it mounted, and is actions/checkout a step before?"}}
	} else if project := a.getenv("CI_PROJECT_DIR"); project != "" && a.getenv("GITLAB_CI") == "true" {
		// GitLab's runner writes variables of the type file into the folder beside it (gitlab-org/gitlab-runner, shells/abstract.go).
		s.Confine = []manifest.Folder{{Path: project, Variable: "CI_PROJECT_DIR"}, {Path: project + ".tmp"}}
	}
	return s
}

// untilDone is a reader that a signal ends: nobody can say when standard input or a pipe does.
type untilDone struct {
	ctx context.Context
	io.Reader
}

func (r untilDone) Read(p []byte) (int, error) {
	type result struct {
		n   int
		err error
	}
	done, own := make(chan result, 1), make([]byte, len(p)) // the reader may write into it later
	go func() {
		n, err := r.Reader.Read(own)
		done <- result{n, err}
	}()
	select {
	case got := <-done:
		return copy(p, own[:got.n]), got.err
	case <-r.ctx.Done():
		return 0, r.ctx.Err()
	}
}

// unknownContainers are those that options name and the Job does not have. One of log-containers is a warning, because an admission
// webhook may add it; the run would not end by a main-container that is not there.
func (a *app) unknownContainers(plan *render.Plan) (findings []event.Finding) {
	pod := plan.Job.Spec.Template.Spec
	for _, option := range []struct {
		name       string
		given      []string
		containers []corev1.Container
		level      event.Level
		lack       string
	}{
		{"log-containers", a.options.Run.LogContainers, slices.Concat(pod.InitContainers, pod.Containers), event.Warning, "so none of its output is shown, unless the cluster adds one"},
		{"main-container", strings.Fields(a.options.Run.Verdict.MainContainer), pod.Containers, event.Error, "so its end cannot decide"},
	} {
		var names []string
		for _, c := range option.containers {
			names = append(names, c.Name)
		}
		for _, name := range option.given {
			if slices.Contains(names, name) {
				continue
			}
			f := event.Finding{Level: option.level, Path: option.name,
				Message: fmt.Sprintf("the Job has no container %q, %s; it has: %s", name, option.lack, strings.Join(names, ", "))}
			if near := manifest.Closest(name, names); near != "" {
				f.Suggestion = fmt.Sprintf("did you mean %q?", near)
			}
			findings = append(findings, f)
		}
	}
	return findings
}

// nameOfOneRun refuses to look for the Job of another run under a name that no other run has.
func (a *app) nameOfOneRun(plan *render.Plan) []event.Finding {
	i, suffix := a.options.Run.IfExists, a.options.Render.NameSuffix
	if !i.Joins() || !plan.OneTime || suffix != "" && suffix != "run" {
		return nil
	}
	return []event.Finding{{Level: event.Error, Path: "if-exists", Message: fmt.Sprintf("%s needs a Job name that the next run has too, and %s is new each time", i, plan.Job.Name),
		Suggestion: "give it a name, and no name-suffix that is different in the next run"}}
}

// connect finds the cluster; clusterName is the manifest's, "" without one.
func (a *app) connect(clusterName string) (*cluster.Client, error) {
	o := a.options.Cluster
	o.ClusterName, o.Dir, o.LookupEnv, o.UserAgent = clusterName, a.Dir, a.LookupEnv, "kubernetes-job-action/"+version
	o.AddSecrets = a.reporter.AddSecrets
	client, notices, err := cluster.Connect(o)
	for _, n := range notices {
		err = errors.Join(err, a.reporter.Event(n))
	}
	return client, err
}

// tell reports findings.
func (a *app) tell(findings []event.Finding) error {
	for _, f := range event.FewFindings(findings) {
		if err := a.reporter.Event(f); err != nil {
			return err
		}
	}
	return nil
}

// invalid ends a run whose options or manifest are wrong, or could not be read to their end because of a signal.
func (a *app) invalid(ctx context.Context, findings []event.Finding) (int, error) {
	if ctx.Err() != nil {
		f := event.Finished{Outcome: event.Cancelled, Cause: &event.Cause{Reason: event.ReasonCancelled, Message: "the run was cancelled before the Job was created"}}
		return exitCode(f), a.reporter.Event(f)
	}
	if err := a.tell(findings); err != nil {
		return exitInvalid, err
	}
	errs, reason := 0, event.InvalidInput
	for _, f := range findings {
		if f.Level == event.Error {
			errs++
			if f.File != "" {
				reason = event.InvalidManifest
			}
		}
	}
	things := fmt.Sprintf("these %d problems", errs)
	if errs == 1 {
		things = "this problem"
	}
	return a.refused(nil, &event.Cause{Reason: reason, Message: "fix " + things + " first; nothing was created"})
}

// refused ends a run that could not begin.
func (a *app) refused(findings []event.Finding, err error) (int, error) {
	if err := a.tell(findings); err != nil {
		return exitInvalid, err
	}
	f := event.Finished{Outcome: event.Failed}
	if !errors.As(err, &f.Cause) {
		f.Cause = cluster.Cause(err, "start the run")
	}
	return exitCode(f), a.reporter.Event(f)
}

// ofTheStep are the options, and the variables of docs.github.com/actions/reference/workflow-commands-for-github-actions#environment-files.
var ofTheStep = regexp.MustCompile(`^(INPUT_|PLUGIN_|STATE_|GITHUB_(OUTPUT|ENV|STATE|PATH|STEP_SUMMARY)$)`)

// ThisProcess is the process that the program runs in. It takes what belongs to the step alone, options and the runner's command files,
// out of the environment: the kubeconfig's credential plugin inherits it.
func ThisProcess() Process {
	env := map[string]string{}
	for _, v := range os.Environ() {
		name, value, _ := strings.Cut(v, "=")
		env[name] = value
		if ofTheStep.MatchString(name) {
			os.Unsetenv(name)
		}
	}
	dir, err := os.Getwd()
	if err != nil {
		dir = "." // whoever opens a file in it gets the reason
	}
	args := os.Args[1:]
	if filepath.Base(os.Args[0]) == postName {
		args = append([]string{"post"}, args...)
	}
	return Process{Args: args, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		Dir: dir, Terminal: thisTerminal()}
}

func thisTerminal() (t Terminal) {
	fd := int(os.Stderr.Fd())
	if t.Color = term.IsTerminal(fd); !t.Color {
		return t
	}
	t.Both = term.IsTerminal(int(os.Stdout.Fd()))
	info, err := os.Stdout.Stat()
	// What reads a pipe may write to the terminal, and knows nothing of a line there.
	if err == nil && info.Mode()&(os.ModeNamedPipe|os.ModeSocket) == 0 {
		t.Width = func() int {
			width, _, err := term.GetSize(fd)
			if err != nil {
				return 0
			}
			return width
		}
	}
	return t
}
