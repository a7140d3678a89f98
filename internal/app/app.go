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
	"slices"
	"strings"
	"syscall"

	"github.com/planton/kubernetes-job-action/internal/cluster"
	"github.com/planton/kubernetes-job-action/internal/config"
	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/manifest"
	"github.com/planton/kubernetes-job-action/internal/render"
	"github.com/planton/kubernetes-job-action/internal/report"
	"github.com/planton/kubernetes-job-action/internal/report/dotenv"
	"github.com/planton/kubernetes-job-action/internal/report/github"
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
	Terminal  bool   // Stderr is a terminal
}

// commands are the words that may come first on the command line; run is the default.
var commands = []string{"run", "validate", "render", "post", "version", "help"}

// Main runs the program and returns its exit code.
func Main(p Process) int {
	command, args := "run", p.Args
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		command, args = args[0], args[1:]
	}
	if !slices.Contains(commands, command) {
		hint := "the commands are " + strings.Join(commands, ", ")
		if near := manifest.Closest(command, commands); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		} else if strings.ContainsAny(command, "./") {
			hint = "if it is the manifest, use --manifest=" + command
		}
		fmt.Fprintf(p.Stderr, "error: unknown command %q; %s\n", command, hint)
		return exitInvalid
	}
	options, findings := config.Parse(args, p.LookupEnv)
	for i := range findings {
		if name, ok := strings.CutPrefix(findings[i].Path, "--"); ok {
			if near := manifest.Closest(name, config.Names()); near != "" {
				findings[i].Suggestion = fmt.Sprintf("did you mean %q?", "--"+near)
			}
		}
	}
	switch {
	case options.Help || command == "help":
		fmt.Fprint(p.Stdout, config.Usage())
		return exitOK
	case command == "version":
		fmt.Fprintln(p.Stdout, version)
		return exitOK
	case command == "run" && options.DryRun == config.DryRunClient:
		command = "render"
	}
	if options.Report.Format == report.FormatAuto {
		options.Report.Format = p.format()
	}
	a := &app{Process: p, options: options}
	if command == "render" {
		// Standard output holds the objects alone, without masks, so that it can be redirected. The runner reads both streams.
		p.Stdout = p.Stderr
	}
	var found []event.Finding
	a.reporter, found = p.reporters(options.Report, command)
	findings = append(findings, found...)
	ctx, stop := untilSignal()
	defer stop()
	// A closed standard output must not end the process silently: it is an error of the sink, and the Job is deleted.
	signal.Ignore(syscall.SIGPIPE)

	code, err := a.do(ctx, command, findings)
	if err != nil {
		fmt.Fprintf(p.Stderr, "error: output cannot be written: %v\n", err)
		code = max(code, exitJobFailed)
	}
	return code
}

// untilSignal is a context that a signal ends. The second one ends the process at once, as users expect of a command that
// hangs. The end of the terminal counts too, unless nohup says otherwise.
func untilSignal() (ctx context.Context, stop func()) {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	arrived, stopped := make(chan os.Signal, 2), make(chan struct{})
	signal.Notify(arrived, signals...)
	ctx, cancel := context.WithCancel(context.Background())
	// A signal that is not caught would not end process 1, which this is in a container: the kernel ignores it there.
	exit := func() { os.Exit(int(event.Interrupted)) }
	go func() {
		for _, do := range []func(){cancel, exit} {
			select {
			case <-arrived:
				do()
			case <-stopped:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(arrived)
		close(stopped)
		cancel()
	}
}

// app is one invocation.
type app struct {
	Process
	options  config.Options
	reporter *report.Fanout
}

// reporters makes the reporters of the format and of the files that were asked for. A file that cannot be written is a finding.
func (p Process) reporters(o report.Options, command string) (*report.Fanout, []event.Finding) {
	_, noColor := p.LookupEnv("NO_COLOR")
	var log report.Sink
	switch o.Format {
	case report.FormatGitHub:
		log = github.New(p.Stdout, p.getenv, o)
	case report.FormatGitLab:
		log = text.New(p.Stdout, p.Stdout, o, !noColor)
	default:
		log = text.New(p.Stdout, p.Stderr, o, p.Terminal && !noColor)
	}
	sinks := []report.Sink{log}
	var findings []event.Finding
	if o.DotenvFile != "" && command == "run" {
		path := o.DotenvFile
		if !filepath.IsAbs(path) {
			path = filepath.Join(p.Dir, path)
		}
		if err := report.CheckFile(path); err != nil {
			findings = append(findings, event.Finding{Level: event.Error, Path: "dotenv-file", Message: err.Error()})
		} else {
			sinks = append(sinks, dotenv.New(path, log.Event))
		}
	}
	return report.New(sinks...), findings
}

// format is that of the CI system whose variables are set.
func (p Process) format() report.Format {
	switch {
	case p.getenv("GITHUB_ACTIONS") == "true":
		return report.FormatGitHub
	case p.getenv("GITLAB_CI") == "true":
		return report.FormatGitLab
	}
	return report.FormatText
}

func (p Process) getenv(name string) string {
	v, _ := p.LookupEnv(name)
	return v
}

// do runs a command. The error is that of the reporters.
func (a *app) do(ctx context.Context, command string, findings []event.Finding) (int, error) {
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
	set, found := manifest.Load(a.source())
	findings = append(findings, found...)
	o := a.options.Render
	o.NameSuffix, found = a.nameSuffix()
	findings = append(findings, found...)
	o.Stamp, o.Timeout = a.stamp(command), a.options.Run.Verdict.Timeout

	var client *cluster.Client
	if a.options.FromCronJob != "" {
		if event.HasErrors(findings) {
			return a.invalid(findings)
		}
		var err error
		if client, err = a.connect(""); err != nil {
			return a.refused(findings, err)
		}
		if o.FromCronJob, err = client.CronJob(ctx, cmp.Or(o.Namespace, client.Namespace), a.options.FromCronJob); err != nil {
			return a.refused(findings, err)
		}
	}
	plan, found := render.Render(set, o)
	findings = append(findings, found...)
	if plan != nil {
		a.reporter.AddSecrets(plan.Secrets...)
		findings = append(findings, a.unknownContainers(plan)...)
	}
	if event.HasErrors(findings) {
		return a.invalid(findings)
	}
	if err := a.tell(findings); err != nil {
		return exitJobFailed, err
	}

	switch command {
	case "validate":
		return exitOK, a.reporter.Event(event.Notice{Level: event.Info, Message: fmt.Sprintf("the manifest is valid: Job %s", plan.Job.Name)})
	case "render":
		out, err := plan.YAML(a.options.ShowSecrets)
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
	}
	if plan.Namespace == "" {
		plan.InNamespace(client.Namespace)
	}
	objects := run.Objects{CreateNamespace: plan.CreateNamespace, Apply: plan.Apply, Job: plan.Job, Owned: plan.Owned, Place: plan.Finding}
	if a.options.DryRun == config.DryRunServer {
		if err := run.Check(ctx, client, objects, a.reporter); err != nil {
			return a.refused(nil, err)
		}
		return exitOK, a.reporter.Event(event.Notice{Level: event.Info, Message: "the API server accepts every object; nothing was created"})
	}
	follow := a.options.Run
	follow.DeleteAfter, follow.Lock.Holder = plan.DeleteAfter, a.holder()
	finished, err := run.Run(ctx, client, objects, follow, &recorder{Fanout: a.reporter, getenv: a.getenv, context: client.Context,
		lock: follow.Lock.Name, nonce: plan.Job.Annotations[cluster.NonceAnnotation]})
	return exitCode(finished), err
}

// source is where the manifest is read from.
func (a *app) source() manifest.Source {
	s := a.options.Source
	s.Stdin, s.Dir, s.LookupEnv = a.Stdin, a.Dir, a.LookupEnv
	// This is where the runner mounts the repository's checkout for a container action. A workflow has no business outside it.
	if workspace := a.getenv("GITHUB_WORKSPACE"); workspace != "" && a.getenv("GITHUB_ACTIONS") == "true" {
		s.Dir, s.Confine = workspace, workspace
	}
	return s
}

// unknownContainers are the log-containers that the Job does not have. It is a warning, because an admission webhook may add them.
func (a *app) unknownContainers(plan *render.Plan) (findings []event.Finding) {
	var names []string
	for _, c := range slices.Concat(plan.Job.Spec.Template.Spec.InitContainers, plan.Job.Spec.Template.Spec.Containers) {
		names = append(names, c.Name)
	}
	for _, name := range a.options.Run.LogContainers {
		if slices.Contains(names, name) {
			continue
		}
		f := event.Finding{Level: event.Warning, Path: "log-containers",
			Message: fmt.Sprintf("the Job has no container %q, so none of its output is shown, unless the cluster adds one; it has: %s", name, strings.Join(names, ", "))}
		if near := manifest.Closest(name, names); near != "" {
			f.Suggestion = fmt.Sprintf("did you mean %q?", near)
		}
		findings = append(findings, f)
	}
	return findings
}

// connect finds the cluster; clusterName is the manifest's, "" without one.
func (a *app) connect(clusterName string) (*cluster.Client, error) {
	o := a.options.Cluster
	o.ClusterName, o.Dir, o.LookupEnv, o.UserAgent = clusterName, a.Dir, a.LookupEnv, "kubernetes-job-action/"+version
	client, notices, err := cluster.Connect(o)
	for _, n := range notices {
		err = errors.Join(err, a.reporter.Event(n))
	}
	return client, err
}

// tell reports findings.
func (a *app) tell(findings []event.Finding) error {
	for _, f := range findings {
		if err := a.reporter.Event(f); err != nil {
			return err
		}
	}
	return nil
}

// invalid ends a run whose options or manifest are wrong.
func (a *app) invalid(findings []event.Finding) (int, error) {
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

// ThisProcess is the process that the program runs in.
func ThisProcess() Process {
	dir, err := os.Getwd()
	if err != nil {
		dir = "." // whoever opens a file in it gets the reason
	}
	info, err := os.Stderr.Stat()
	args := os.Args[1:]
	if filepath.Base(os.Args[0]) == postName {
		args = append([]string{"post"}, args...)
	}
	return Process{Args: args, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, LookupEnv: os.LookupEnv,
		Dir: dir, Terminal: err == nil && info.Mode()&os.ModeCharDevice != 0}
}
