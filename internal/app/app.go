// Package app puts the program together: it reads the options, loads and renders the manifest, connects to the cluster,
// chooses the reporters, runs, and maps the end to an exit code. It is the only package that knows all the others.
package app

import (
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
	"github.com/planton/kubernetes-job-action/internal/verdict"
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
			hint = "a manifest is given with --manifest " + command
		}
		fmt.Fprintf(p.Stderr, "error: there is no command %q; %s\n", command, hint)
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
	case command == "run" && options.DryRun == "client":
		command = "render"
	}
	if options.Format == "auto" {
		options.Format = p.format()
	}
	a := &app{Process: p, options: options}
	if command == "render" {
		// Standard output is for the objects alone, so that it can be redirected, masks not in it. The runner reads both streams.
		p.Stdout = p.Stderr
	}
	var found []event.Finding
	a.reporter, found = p.reporters(options, command)
	findings = append(findings, found...)
	// A signal cancels the run; the second one ends the process at once, as users expect of a command that hangs.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	// A closed standard output is an error of the sink, which deletes the Job, and not the silent end of the process.
	signal.Ignore(syscall.SIGPIPE)

	code, err := a.do(ctx, command, findings)
	if err != nil {
		fmt.Fprintf(p.Stderr, "error: output cannot be written: %v\n", err)
		code = max(code, exitJobFailed)
	}
	return code
}

// app is one invocation.
type app struct {
	Process
	options  config.Options
	reporter *report.Fanout
}

// reporters are those of the format, and of the files that were asked for. A finding is a file that cannot be written.
func (p Process) reporters(o config.Options, command string) (*report.Fanout, []event.Finding) {
	_, noColor := p.LookupEnv("NO_COLOR")
	var log report.Sink
	switch o.Format {
	case "github":
		log = github.New(p.Stdout, p.getenv, github.Options{Timestamps: o.Timestamps, Summary: o.Summary})
	case "gitlab":
		log = text.New(p.Stdout, p.Stdout, text.Options{Timestamps: o.Timestamps, Color: !noColor, Sections: true})
	default:
		log = text.New(p.Stdout, p.Stderr, text.Options{Timestamps: o.Timestamps, Color: p.Terminal && !noColor})
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

// format is that of the CI system that the environment tells of.
func (p Process) format() string {
	switch {
	case p.getenv("GITHUB_ACTIONS") == "true":
		return "github"
	case p.getenv("GITLAB_CI") == "true":
		return "gitlab"
	}
	return "text"
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
	if command == "run" && a.options.Format == "github" {
		// Later steps depend on the outputs, so nothing may happen that they would never hear of.
		if err := github.CheckOutputs(a.getenv); err != nil {
			findings = append(findings, event.Finding{Level: event.Error, Path: "GITHUB_OUTPUT",
				Message: fmt.Sprintf("the outputs of the step cannot be written: %v", err), Suggestion: "it must be mounted, and on GitHub's runner only root can write it"})
		}
	}
	set, found := a.load(findings)
	findings = append(findings, found...)
	o, found := a.overrides(command)
	findings = append(findings, found...)

	var client *cluster.Client
	if a.options.FromCronJob != "" {
		if event.HasErrors(findings) {
			return a.invalid(findings)
		}
		var err error
		if client, err = a.connect(""); err != nil {
			return a.refused(findings, err)
		}
		namespace := a.options.Namespace
		if namespace == "" {
			namespace = client.Namespace
		}
		if o.FromCronJob, err = client.CronJob(ctx, namespace, a.options.FromCronJob); err != nil {
			return a.refused(findings, err)
		}
	}
	plan, found := render.Render(set, o)
	findings = append(findings, found...)
	if plan != nil {
		a.reporter.AddSecrets(plan.Secrets...)
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
	if a.options.DryRun == "server" {
		if err := run.Check(ctx, client, objects, a.reporter); err != nil {
			return a.refused(nil, err)
		}
		return exitOK, a.reporter.Event(event.Notice{Level: event.Info, Message: "the API server accepts every object; nothing was created"})
	}
	finished, err := run.Run(ctx, client, objects, a.runOptions(plan), &recorder{Fanout: a.reporter, getenv: a.getenv, context: client.Context})
	return exitCode(finished), err
}

// load reads the manifest.
func (a *app) load(findings []event.Finding) (*manifest.Set, []event.Finding) {
	source := manifest.Source{
		Paths:      a.options.Manifest,
		Content:    a.options.ManifestContent,
		References: a.options.References,
		Stdin:      a.Stdin,
		Dir:        a.Dir,
		Substitute: a.options.Substitute,
		LookupEnv:  a.LookupEnv,
	}
	// The runner hands the repository's checkout to a container action under this name, and nothing outside of it is the
	// workflow's business.
	if workspace, _ := a.LookupEnv("GITHUB_WORKSPACE"); workspace != "" && a.getenv("GITHUB_ACTIONS") == "true" {
		source.Dir, source.Confine = workspace, workspace
	}
	return manifest.Load(source)
}

// overrides are the options that change what is rendered.
func (a *app) overrides(command string) (render.Options, []event.Finding) {
	o := a.options
	suffix, finding := a.nameSuffix()
	out := render.Options{
		Namespace: o.Namespace, Name: o.Name, NameSuffix: suffix,
		Image: o.Image, ContainerCommand: o.ContainerCommand, ContainerArgs: o.ContainerArgs,
		Env: o.Env, SecretEnv: o.SecretEnv, Labels: o.Labels, Annotations: o.Annotations,
		Patch: o.Patch, RegistryCredentials: o.RegistryCredentials,
		Stamp: a.stamp(command), Timeout: o.Timeout, Cleanup: o.Cleanup,
	}
	return out, finding
}

func (a *app) connect(clusterName string) (*cluster.Client, error) {
	client, notices, err := cluster.Connect(cluster.Options{
		Kubeconfig: a.options.Kubeconfig, Context: a.options.Context, ClusterName: clusterName,
		LookupEnv: a.LookupEnv, Dir: a.Dir, APITimeout: a.options.APITimeout, UserAgent: "kubernetes-job-action/" + version,
	})
	for _, n := range notices {
		err = errors.Join(err, a.reporter.Event(n))
	}
	return client, err
}

func (a *app) runOptions(plan *render.Plan) run.Options {
	o := a.options
	return run.Options{
		Preflight: o.Preflight, Wait: o.Wait, IfExists: o.IfExists, Cleanup: o.Cleanup,
		ManifestTTL: plan.Job.Spec.TTLSecondsAfterFinished != nil && !plan.TTLSet,
		OnCancel:    o.OnCancel, OnTimeout: o.OnTimeout, Logs: o.Logs, LogContainers: o.LogContainers,
		Verdict: verdict.Options{FailFast: o.FailFast, Timeout: o.Timeout, StartTimeout: o.StartTimeout},
	}
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
	things := fmt.Sprintf("%d problems", errs)
	if errs == 1 {
		things = "one problem"
	}
	return a.refused(nil, &event.Cause{Reason: reason, Message: things + " must be mended first; nothing was created"})
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
		dir = "." // every path that is opened then says what is wrong with it
	}
	info, err := os.Stderr.Stat()
	args := os.Args[1:]
	if filepath.Base(os.Args[0]) == postName {
		args = append([]string{"post"}, args...)
	}
	return Process{Args: args, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, LookupEnv: os.LookupEnv,
		Dir: dir, Terminal: err == nil && info.Mode()&os.ModeCharDevice != 0}
}
