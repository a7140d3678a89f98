// Package config declares every option of the program once. An option is an input of the action, a flag and an environment
// variable at the same time; the inputs in action.yml and in the GitLab component, and the tables in README.md are generated
// from the declarations here, and a test fails when they differ.
package config

import (
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/planton/kubernetes-job-action/internal/cluster"
	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/manifest"
	"github.com/planton/kubernetes-job-action/internal/render"
	"github.com/planton/kubernetes-job-action/internal/report"
	"github.com/planton/kubernetes-job-action/internal/run"
	"github.com/planton/kubernetes-job-action/internal/verdict"
)

// Options are the validated values of one run, in the structs of the packages that act on them. A list is nil when the option was
// not given. What is no choice of the user, such as the working directory, the caller adds.
type Options struct {
	Source  manifest.Source
	Render  render.Options
	Cluster cluster.Options
	Run     run.Options
	Report  report.Options

	OnceKey     string // "" for the commit of the CI run
	FromCronJob string // the CronJob's name, which the caller reads into Render.FromCronJob
	DryRun      DryRun
	ShowSecrets bool
	Help        bool
}

// DryRun says how much of a run is only tried.
type DryRun string

// The dry runs.
const (
	DryRunNone   DryRun = "none"   // nothing: the Job runs
	DryRunClient DryRun = "client" // the objects are printed
	DryRunServer DryRun = "server" // the API server checks the objects
)

// option is the declaration of one option.
type option struct {
	Name      string
	Shorthand string // one letter for the command line, or ""
	Group     string // one of groups
	Default   string // as a user would write it
	Help      string // one or two sentences of Markdown
	FlagOnly  bool   // of the command line alone: neither an input nor an environment variable
	Common    bool   // an input of the GitLab component too
	AnyText   bool   // an element that is empty means something
	value     pflag.Value
}

// groups are the headings under which the options are shown, in order.
var groups = []string{"Workload", "Cluster", "Follow", "Ownership", "Results"}

// declare returns the declarations, bound to o. Their order is the order in which users see them.
func declare(o *Options) []option {
	const workload, clusterGroup, follow, ownership, results = "Workload", "Cluster", "Follow", "Ownership", "Results"
	return []option{
		{Name: "manifest", Shorthand: "f", Group: workload, Common: true, value: (*lines)(&o.Source.Paths),
			Help: "The manifest: a file, a folder, a glob, or `-` for standard input; one per line. It holds a KubernetesJob, a `batch/v1` Job or a `batch/v1` CronJob, and may hold other objects that the Job needs."},
		{Name: "manifest-content", Group: workload, value: (*text)(&o.Source.Content),
			Help: "The manifest itself, instead of a path."},
		{Name: "from-cronjob", Group: workload, Common: true, value: (*name)(&o.FromCronJob),
			Help: "The name of a CronJob in the cluster to run now, instead of a manifest."},
		{Name: "references", Group: workload, value: (*lines)(&o.Source.References),
			Help: "Files (paths or globs, one per line) with the resource manifests that `valueFrom` refers to, with their `status.outputs` filled in."},
		{Name: "substitute", Group: workload, Common: true, value: (*lines)(&o.Source.Substitute),
			Help: "Names of environment variables, one per line, whose `${NAME}` and `$NAME` are replaced in the manifest. Every other `$` stays as it is."},
		{Name: "namespace", Shorthand: "n", Group: workload, Common: true, value: (*name)(&o.Render.Namespace),
			Help: "The namespace to run in, instead of the manifest's."},
		{Name: "name", Group: workload, Common: true, value: (*name)(&o.Render.Name),
			Help: "The Job's name, instead of the manifest's. Where the manifest holds several Jobs, the one of this name is the one that runs."},
		{Name: "name-suffix", Group: workload, Common: true, value: (*name)(&o.Render.NameSuffix),
			Help: "Appended to the Job's name with a hyphen, so that every run gets a Job of its own. `run` stands for the id and the attempt of the CI run. On GitHub, the jobs of a matrix share both, so give each a `name` of its own, made with `strategy.job-index`."},
		{Name: "image", Group: workload, Common: true, value: (*lines)(&o.Render.Image),
			Help: "The image to run instead of the manifest's: one reference for the only container, or one `container=reference` per line."},
		{Name: "container-command", Group: workload, AnyText: true, value: (*lines)(&o.Render.ContainerCommand),
			Help: "The container's command (its ENTRYPOINT), one element per line."},
		{Name: "container-args", Group: workload, AnyText: true, value: (*lines)(&o.Render.ContainerArgs),
			Help: "The container's arguments, one per line."},
		{Name: "env", Group: workload, value: (*pairs)(&o.Render.Env),
			Help: "Environment variables for every container, one `NAME=VALUE` per line. A value of several lines stands between `NAME<<EOF` and `EOF`, as in `$GITHUB_OUTPUT`."},
		{Name: "secret-env", Group: workload, value: (*pairs)(&o.Render.SecretEnv),
			Help: "Environment variables for every container, kept in a Secret that is deleted with the Job, and masked in all output; one `NAME=VALUE` per line. A value of several lines, such as a key, stands between `NAME<<EOF` and `EOF`, as in `$GITHUB_OUTPUT`."},
		{Name: "labels", Group: workload, value: (*lines)(&o.Render.Labels),
			Help: "Labels for the Job and its pods, one `KEY=VALUE` per line."},
		{Name: "annotations", Group: workload, value: (*lines)(&o.Render.Annotations),
			Help: "Annotations for the Job and its pods, one `KEY=VALUE` per line."},
		{Name: "patch", Group: workload, value: (*text)(&o.Render.Patch),
			Help: "A strategic merge patch for the Job, in YAML or JSON, for everything that has no option of its own."},
		{Name: "registry-credentials", Group: workload, value: (*text)(&o.Render.RegistryCredentials),
			Help: "Credentials for the image's registry, kept in a pull secret that is deleted with the Job: a Docker `config.json`, or one `server=… username=… password=…` per line."},

		{Name: "kubeconfig", Group: clusterGroup, Common: true, value: (*name)(&o.Cluster.Kubeconfig),
			Help: "The kubeconfig: YAML, base64 or a path, or `in-cluster` for the service account of the pod that this runs in. Without it, `$KUBECONFIG` is used, then `~/.kube/config` (not on GitHub), then, outside of CI, that service account."},
		{Name: "context", Group: clusterGroup, Common: true, value: (*name)(&o.Cluster.Context),
			Help: "The kubeconfig context. Without it, the manifest's `targetCluster` decides, then the kubeconfig's current context."},
		{Name: "preflight", Group: clusterGroup, Default: "true", value: (*truth)(&o.Run.Preflight),
			Help: "Check first whether the cluster allows everything that the run needs, and list all missing permissions at once."},
		{Name: "api-timeout", Group: clusterGroup, Default: "2m", value: (*duration)(&o.Cluster.APITimeout),
			Help: "How long the API server may be unreachable before the run gives up."},

		{Name: "wait", Group: follow, Default: "true", value: (*truth)(&o.Run.Wait),
			Help: "Wait for the Job to end. `false` creates it and returns."},
		{Name: "timeout", Group: follow, Default: "1h", Common: true, value: (*duration)(&o.Run.Verdict.Timeout),
			Help: "How long the run may take in total: what comes before the Job, such as a `lock` or an earlier Job of its name, waiting in a queue, and reading the logs to their end included. Only the deletion of the Job is tried for up to 5 s more. Also sets `activeDeadlineSeconds`, one minute longer, when the manifest has none, so that the Job ends even when the runner is killed. `0` means no limit."},
		{Name: "start-timeout", Group: follow, Default: "5m", value: (*duration)(&o.Run.Verdict.StartTimeout),
			Help: "How long it may take until a first main container runs, without the time in which the Job is suspended or init containers run. Also how long a Job that is replaced may take to go away. `0` means no limit."},
		{Name: "queue-timeout", Group: follow, Default: "0", value: (*duration)(&o.Run.Verdict.QueueTimeout),
			Help: "How long the Job may be suspended at a stretch, mostly because it waits in a queue. `0` means no limit of its own; `timeout` counts all the same."},
		{Name: "main-container", Group: follow, value: (*name)(&o.Run.Verdict.MainContainer),
			Help: "The container whose end decides, for pods whose other containers do not end by themselves, such as a proxy: its exit code is the outcome, and the Job is deleted then."},
		{Name: "fail-fast", Group: follow, Default: "true", value: (*truth)(&o.Run.Verdict.FailFast),
			Help: "End the run as soon as the Job can no longer succeed: an image or a Secret does not exist, pods are refused, the work has failed and only a sidecar keeps its pod alive."},
		{Name: "logs", Group: follow, Default: "stream", value: oneOf(&o.Run.Logs, run.LogsStream, run.LogsOnFailure, run.LogsNone),
			Help: "Whether to show container output: live, only after a failure, or not at all."},
		{Name: "log-containers", Group: follow, value: (*lines)(&o.Run.LogContainers),
			Help: "Names of the containers whose output is shown, one per line. Without it, all are."},
		{Name: "timestamps", Group: follow, Default: "false", value: (*truth)(&o.Report.Timestamps),
			Help: "Begin every line of container output with the time when it was written."},

		{Name: "if-exists", Group: ownership, Default: "replace-finished", Common: true, value: oneOf(&o.Run.IfExists, run.IfExistsReplaceFinished, run.IfExistsReplace, run.IfExistsFail, run.IfExistsSuffix, run.IfExistsAttach, run.IfExistsKeepSucceeded),
			Help: "What to do when a Job of that name exists: `replace-finished` replaces one that this tool made and that has finished, else the run fails; `replace` replaces any; `fail` fails; `suffix` takes another name; `attach` follows a running one of the same manifest; `keep-succeeded` does that too, and takes an earlier success of the same manifest and `once-key` for its own. See [Two runs, one name](#two-runs-one-name)."},
		{Name: "once-key", Group: ownership, Common: true, value: (*name)(&o.OnceKey),
			Help: "What `if-exists: keep-succeeded` does the work once for; the CI system's commit by default. Without either, the manifest alone decides. It is no place for a secret: the Job shows it."},
		{Name: "lock", Group: ownership, Common: true, value: (*objectName)(&o.Run.Lock.Name),
			Help: "A name under which one run at a time works, across repositories and CI systems: a Lease of that name in the Job's namespace. Runs that find it held wait for it, in no promised order."},
		{Name: "lock-timeout", Group: ownership, Default: "1h", value: (*duration)(&o.Run.Lock.Timeout),
			Help: "How long to wait for `lock`, at most; that time is a part of `timeout`, which may end it sooner. `0` means no limit of its own."},
		{Name: "cleanup", Group: ownership, Default: "auto", Common: true, value: oneOf(&o.Render.Cleanup, render.CleanupAuto, render.CleanupAlways, render.CleanupOnSuccess, render.CleanupNever),
			Help: "When the finished Job is deleted. `auto`: the manifest's `ttlSecondsAfterFinished` decides; without one, a succeeded Job is deleted at once and a failed one stays for a day."},
		{Name: "others", Group: ownership, Default: "skip", Common: true, value: oneOf(&o.Render.Others, render.OthersSkip, render.OthersFail, render.OthersAfterSuccess),
			Help: "What becomes of the objects in the manifest that run or serve beside the Job (Deployment, StatefulSet, Service, Pod, another Job …) and of hooks of Helm and Argo CD of another time, such as tests. `skip` leaves them out with a notice, `fail` refuses the file, `after-success` applies what serves once the Job has succeeded. What the Job may need, such as a ConfigMap, is applied before it in any case."},
		{Name: "on-cancel", Group: ownership, Default: "delete", value: oneOf(&o.Run.OnCancel, run.UnfinishedDelete, run.UnfinishedLeave),
			Help: "What happens to the Job when the run is cancelled."},
		{Name: "on-timeout", Group: ownership, Default: "delete", value: oneOf(&o.Run.OnTimeout, run.UnfinishedDelete, run.UnfinishedLeave),
			Help: "What happens to the Job when the run ends before the Job does: by `timeout`, `start-timeout` or `fail-fast`."},
		{Name: "dry-run", Group: ownership, Default: "none", value: oneOf(&o.DryRun, DryRunNone, DryRunClient, DryRunServer),
			Help: "`client` prints the objects that would be created; `server` has the API server check them, admission included. Nothing is created."},

		{Name: "result-from", Group: results, Default: "none", value: oneOf(&o.Run.Verdict.ResultFrom, verdict.ResultFromNone, verdict.ResultFromTerminationMessage),
			Help: "What the output `result` is: nothing, or the termination message of the main container (`main-container`, or the pod's first), which the program writes to `/dev/termination-log`: Kubernetes keeps 4 KiB of it, less when the pod has more than three containers, and a message that fills them is warned of."},
		{Name: "dotenv-file", Group: results, value: (*name)(&o.Report.DotenvFile),
			Help: "A file to write the outputs to, for GitLab's `artifacts:reports:dotenv`: `exit-code` becomes the line `KUBERNETES_JOB_EXIT_CODE=…`, and so on. Values that GitLab cannot take are left out, and a notice names them."},
		{Name: "result-file", Group: results, value: (*name)(&o.Report.ResultFile),
			Help: "A file to write how the run ended to, as JSON: status, cause, pods with their last lines, warnings, events, and where the time went. It holds the last line of `format: json`, which `docs/json.md` describes."},
		{Name: "junit-file", Group: results, value: (*name)(&o.Report.JUnitFile),
			Help: "A file to write a JUnit report to: a test case for each index, or for each attempt of a Job without indexes, with the cause and the last lines of a failure."},
		{Name: "log-file", Group: results, value: (*name)(&o.Report.LogFile),
			Help: "A file to write the lines of the containers to while they come, each with its time and prefix, and without colours."},
		{Name: "summary", Group: results, Default: "true", value: (*truth)(&o.Report.Summary),
			Help: "Write a summary of the run to the workflow's summary page."},
		{Name: "path-map", Group: results, value: (*lines)(&o.Report.PathMap),
			Help: "Where files of the container are in the repository, one `/app=services/api` per line: an error whose file and line stand in the last lines of a failed container becomes an annotation on that file. `/app`, `/src`, `/code`, `/workspace`, `/usr/src/app` and `/go/src/app` are the root of the repository when nothing else is said. Counts on GitHub."},
		{Name: "format", Group: results, Default: "auto", value: oneOf(&o.Report.Format, report.FormatAuto, report.FormatGitHub, report.FormatGitLab, report.FormatBuildkite, report.FormatAzure, report.FormatText, report.FormatJSON),
			Help: "How output is written: `github` for the GitHub runner, `gitlab`, `buildkite` and `azure` for the logs of GitLab, Buildkite and Azure Pipelines, `text` for terminals and every other CI, `json` for programs: one JSON object per event and line (docs/json.md). `auto` detects which of them, and never `json`."},

		{Name: "show-secrets", Group: results, Default: "false", FlagOnly: true, value: (*truth)(&o.ShowSecrets),
			Help: "`render` prints secret values instead of hiding them."},
		{Name: "help", Shorthand: "h", Group: results, Default: "false", FlagOnly: true, value: (*truth)(&o.Help),
			Help: "Show this help."},
	}
}

// Parse reads the options from the arguments and the environment: a flag wins over INPUT_MY-OPTION (how the GitHub runner
// hands inputs to a container, hyphens kept), INPUT_MY_OPTION and PLUGIN_MY_OPTION, in this order, and what loses is not looked at.
// An environment variable that is empty counts as not given, because the GitHub runner sets one for every declared input.
// Whatever else holds nothing is an error: it was meant to hold something. White space around the value of a variable, as a YAML
// block ends with, belongs to it only when the option is a text.
// All problems are returned at once, each with the option's name as its path.
func Parse(args []string, lookupEnv func(string) (string, bool)) (Options, []event.Finding) {
	var o Options
	var findings []event.Finding
	refuse := func(name, format string, a ...any) {
		findings = append(findings, event.Finding{Level: event.Error, Path: name, Message: fmt.Sprintf(format, a...)})
	}

	flags := pflag.NewFlagSet("kubernetes-job-action", pflag.ContinueOnError)
	flags.Usage = func() {}
	flags.SetOutput(io.Discard)
	declared := declare(&o)
	for _, d := range declared {
		if d.Default != "" {
			if err := d.value.Set(d.Default); err != nil {
				panic("default of " + d.Name + ": " + err.Error()) // a declaration above is wrong, not a user
			}
		}
		f := flags.VarPF(d.value, d.Name, d.Shorthand, d.Help)
		if d.value.Type() == "bool" {
			f.NoOptDefVal = "true"
		}
	}
	for _, d := range declared {
		f := flags.Lookup(d.Name)
		switch l := d.value.(type) {
		case *lines:
			f.Value = listFlag{lines: l}
		case *pairs:
			f.Value = listFlag{lines: (*lines)(l), split: heredocs}
		}
		// pflag stops at the first error, but users want all of them.
		f.Value = lenient{f.Value, d.AnyText, func(err error) { findings = append(findings, d.wrong(err)) }}
	}
	args, findings = known(args, flags)
	if err := flags.Parse(args); err != nil {
		var unknown *pflag.NotExistError // a letter behind another
		var malformed *pflag.InvalidSyntaxError
		var lacking *pflag.ValueRequiredError
		switch {
		case errors.As(err, &unknown):
			refuse("-"+unknown.GetSpecifiedName(), "unknown flag; --help lists all")
		case errors.As(err, &lacking):
			refuse(lacking.GetFlag().Name, "it was given without a value")
		case errors.As(err, &malformed): // its message shows the whole argument
			refuse("", "an argument begins with --, and no name of an option follows; --help lists all")
		default:
			refuse("", "%v", err)
		}
	}
	rest := flags.Args()
	if dash := flags.ArgsLenAtDash(); dash >= 0 && len(rest) > dash {
		refuse("", "what stands behind -- is no option, and the container does not get it: its arguments are given with --container-args, each by itself")
		rest = rest[:dash]
	}
	for _, arg := range rest {
		switch {
		case strings.TrimSpace(arg) == "":
			refuse("", "there is an argument that is empty: a variable in quotes that is not set gives one")
		case arg == "-":
			refuse("", "unexpected argument -: if the manifest comes from standard input, use --manifest=-")
		case slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(arg)):
			refuse("", "unexpected argument %q: if it is the manifest, use --manifest=%s", arg, arg)
		default: // it may be the rest of a secret
			refuse("", "there is an argument that is no option: a value with blanks needs quotes, and the manifest is given with --manifest")
		}
	}
	for _, d := range declared {
		if d.FlagOnly || flags.Changed(d.Name) {
			continue
		}
		for _, variable := range variables(d.Name) {
			v, _ := lookupEnv(variable)
			if v == "" {
				continue
			}
			if _, verbatim := d.value.(*text); !verbatim {
				v = strings.TrimSpace(v)
			}
			if err := given(d.value, v); err != nil {
				findings = append(findings, d.wrong(err))
			}
			break
		}
	}
	if o.Render.Others == render.OthersAfterSuccess && !o.Run.Wait {
		refuse("others", "after-success needs wait: a run that does not wait never sees the Job succeed")
	}
	for _, m := range o.Report.PathMap {
		if from, to, ok := strings.Cut(m, "="); !ok || !path.IsAbs(from) || to != "" && !filepath.IsLocal(to) || strings.Contains(m, "\n") {
			refuse("path-map", "%q is no mapping such as /app=services/api: an absolute path in the container, and a path from the root of the repository", m)
		}
	}
	if o.Report.LogFile != "" && (o.Run.Logs == run.LogsNone || !o.Run.Wait) {
		refuse("log-file", "needs wait, and logs other than none: there would be no lines")
	}
	if o.Cluster.APITimeout == 0 {
		refuse("api-timeout", "must be greater than 0")
	}
	return o, findings
}

// known are the arguments without what is wrong with them, and a finding for each of that: a flag that is not declared, at which pflag would
// stop, and miss a manifest that follows; and the value of a boolean that stands apart. What follows a flag that nobody knows may be a secret.
func known(args []string, flags *pflag.FlagSet) (rest []string, findings []event.Finding) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		name, _, complete := strings.Cut(arg, "=")
		word := strings.TrimLeft(name, "-")
		var flag *pflag.Flag
		switch {
		case arg == "--":
			return append(rest, args[i:]...), findings
		case word == "" || arg[0] != '-' || strings.HasPrefix(arg, "---"): // no flag, or pflag's to complain of
			rest = append(rest, arg)
			continue
		case strings.HasPrefix(arg, "--"):
			flag = flags.Lookup(word)
		case len(word) == 1 || !slices.Contains(Names(), word):
			flag, complete = flags.ShorthandLookup(arg[1:2]), len(arg) > 2
		}
		follows := !complete && i+1 < len(args)
		switch {
		case flag == nil:
			f := event.Finding{Level: event.Error, Path: name, Message: "unknown flag; --help lists all"}
			near := manifest.Closest(word, Names())
			if !strings.HasPrefix(arg, "--") && near != word {
				f.Path, near = arg[:2], ""
			}
			if near != "" {
				f.Suggestion = fmt.Sprintf("did you mean %q?", "--"+near)
			}
			findings = append(findings, f)
			if follows && !strings.HasPrefix(args[i+1], "-") {
				i++
			}
		case follows && flag.NoOptDefVal == "":
			rest = append(rest, arg, args[i+1])
			i++
		case follows && strings.TrimSpace(args[i+1]) == "":
			findings = append(findings, option{Name: flag.Name, value: new(truth)}.wrong(errEmpty))
			i++
		case follows && new(truth).Set(args[i+1]) == nil:
			findings = append(findings, event.Finding{Level: event.Error, Path: flag.Name, Message: fmt.Sprintf("its value needs an equals sign: --%s=%s", flag.Name, args[i+1])})
			i++
		default:
			rest = append(rest, arg)
		}
	}
	return rest, findings
}

// variables are the environment variables that stand for an option, the strongest first.
func variables(option string) []string {
	upper := strings.ToUpper(option)
	snake := strings.ReplaceAll(upper, "-", "_")
	if upper == snake {
		return []string{"INPUT_" + upper, "PLUGIN_" + snake}
	}
	return []string{"INPUT_" + upper, "INPUT_" + snake, "PLUGIN_" + snake}
}

// Names are the names of all options.
func Names() []string {
	var o Options
	var names []string
	for _, d := range declare(&o) {
		names = append(names, d.Name)
	}
	return names
}

// Usage is the text of --help.
func Usage() string {
	var b strings.Builder
	b.WriteString(`Run one Kubernetes Job as if it were a local command.

  kubernetes-job-action [run] --manifest job.yaml     run it and follow it to its end
  kubernetes-job-action validate --manifest job.yaml  check the manifest
  kubernetes-job-action render --manifest job.yaml    print the objects that run would create
  kubernetes-job-action post                          delete the Job of a killed run, as the post step of the action
  kubernetes-job-action version                       print the version, as --version does

validate and render need no cluster, except for --from-cronjob. Where one thing stands per line, each flag holds one of
them: --env A=1 --env B=2. Every option is an environment variable too: INPUT_NAME_SUFFIX is --name-suffix. A flag wins.

Exit codes
`)
	for _, c := range event.Classes {
		fmt.Fprintf(&b, "  %3d  %s\n", c.Class, c.Meaning)
	}
	var o Options
	declared := declare(&o)
	for _, group := range groups {
		fmt.Fprintf(&b, "\n%s\n", group)
		for _, d := range declared {
			if d.Group != group {
				continue
			}
			short := "    "
			if d.Shorthand != "" {
				short = "-" + d.Shorthand + ", "
			}
			name := "--" + d.Name
			if d.Default != "" && d.Default != "false" {
				name += "=" + d.Default
			}
			fmt.Fprintf(&b, "  %s%-28s %s\n", short, name, wrap(d.describe(), 35, 120))
		}
	}
	return b.String()
}

// words are the allowed values of an enumeration; nil for every other option.
func (d option) words() []string {
	if e, ok := d.value.(interface{ words() []string }); ok {
		return e.words()
	}
	return nil
}

// wrong is the finding for a value that the option does not take.
func (d option) wrong(err error) event.Finding {
	f := event.Finding{Level: event.Error, Path: d.Name, Message: err.Error()}
	if errors.Is(err, errEmpty) {
		f.Suggestion = d.ifEmpty()
	}
	return f
}

// ifEmpty says what to do about an option that was given and holds nothing.
func (d option) ifEmpty() string {
	switch words := d.words(); {
	case d.value.Type() == "bool":
		return "give true or false, as in --" + d.Name + "=true, or leave it out"
	case d.value.Type() == "duration":
		return "give a duration such as 90s, 5m or 1h30m, or leave it out"
	case words != nil:
		return "give one of " + strings.Join(words, ", ") + ", or leave it out"
	}
	return "leave it out, or give it a value; a secret of a CI system is empty when its name is wrong, and in runs of forks and of Dependabot"
}

// describe is the help with the allowed values.
func (d option) describe() string {
	words := d.words()
	if words == nil {
		return d.Help
	}
	return d.Help + " One of `" + strings.Join(words, "`, `") + "`."
}

// wrap breaks text into lines of at most width characters, the second and later ones indented.
func wrap(text string, indent, width int) string {
	var b strings.Builder
	at := indent
	for i, word := range strings.Fields(text) {
		if i > 0 && at+1+len(word) > width {
			b.WriteString("\n" + strings.Repeat(" ", indent-1))
			at = indent - 1
		}
		if i > 0 {
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += len(word)
	}
	return b.String()
}

// ActionInputs are the lines below `inputs:` of action.yml.
func ActionInputs() string {
	var o Options
	var b strings.Builder
	for _, d := range declare(&o) {
		if d.FlagOnly {
			continue
		}
		fmt.Fprintf(&b, "  %s:\n    description: >-\n      %s\n", d.Name, d.describe())
		if d.Default != "" {
			fmt.Fprintf(&b, "    default: %q\n", d.Default)
		}
	}
	return b.String()
}

// Component are the generated parts of templates/kubernetes-job.yml: the inputs of the GitLab component, and the variables of
// its job that hand them to the program, so that no shell reads them. A value stands on a line of its own, where quotes,
// colons and hashes mean nothing: GitLab replaces $[[ inputs.x ]] before it reads the text as YAML (gitlab-org/gitlab,
// text_template.rb).
func Component() (inputs, env string) {
	var o Options
	var in, vars strings.Builder
	for _, d := range declare(&o) {
		if !d.Common {
			continue
		}
		fmt.Fprintf(&in, "    %s:\n      description: >-\n        %s\n", d.Name, d.describe())
		if words := d.words(); words != nil {
			fmt.Fprintf(&in, "      options: [%s]\n", strings.Join(words, ", "))
		}
		fmt.Fprintf(&in, "      default: %q\n", d.Default)
		name := strings.ToUpper(strings.ReplaceAll(d.Name, "-", "_")) // no variable of GitLab has a hyphen
		fmt.Fprintf(&vars, "    INPUT_%s: |-\n      $[[ inputs.%s ]]\n", name, d.Name)
	}
	return in.String(), vars.String()
}

// Tables are the Markdown tables of all options, a heading and a table for each group.
func Tables() string {
	var o Options
	var b strings.Builder
	declared := declare(&o)
	for _, group := range groups {
		fmt.Fprintf(&b, "### %s\n\n| option | default | meaning |\n|---|---|---|\n", group)
		for _, d := range declared {
			if d.Group != group || d.FlagOnly {
				continue
			}
			def := ""
			if d.Default != "" {
				def = "`" + d.Default + "`"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", d.Name, def, strings.ReplaceAll(d.describe(), "|", `\|`))
		}
		b.WriteByte('\n')
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// text is a value that is kept as given.
type text string

func (t *text) Set(s string) error { *t = text(s); return nil }
func (t *text) String() string     { return string(*t) }
func (t *text) Type() string       { return "string" }

// name is a name or a path.
type name string

func (n *name) Set(s string) error { *n = name(s); return nil }
func (n *name) String() string     { return string(*n) }
func (n *name) Type() string       { return "string" }

// word is a value of an enumeration.
type word[T ~string] struct {
	at  *T
	all []T
}

func oneOf[T ~string](at *T, all ...T) word[T] { return word[T]{at, all} }

func (w word[T]) Set(s string) error {
	if !slices.Contains(w.all, T(s)) {
		return fmt.Errorf("%q is not one of %s", s, strings.Join(w.words(), ", "))
	}
	*w.at = T(s)
	return nil
}
func (w word[T]) String() string { return string(*w.at) }
func (w word[T]) Type() string   { return "string" }

func (w word[T]) words() []string {
	var words []string
	for _, one := range w.all {
		words = append(words, string(one))
	}
	return words
}

// objectName is the name of an object of the cluster.
type objectName string

func (n *objectName) Set(s string) error {
	if wrong := validation.IsDNS1123Subdomain(s); wrong != nil {
		return fmt.Errorf("%q is no name that Kubernetes takes: %s", s, wrong[0])
	}
	*n = objectName(s)
	return nil
}
func (n *objectName) String() string { return string(*n) }
func (n *objectName) Type() string   { return "string" }

// lines is a list, one element per line. Space around an element and empty lines are ignored, as in the inputs of the actions
// that GitHub publishes.
type lines []string

func (l *lines) Set(s string) error {
	*l = nil
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			*l = append(*l, line)
		}
	}
	return nil
}
func (l *lines) String() string { return strings.Join(*l, "\n") }
func (l *lines) Type() string   { return "lines" }

// pairs are lines of NAME=VALUE. A value of several lines is written as in the runner's command files: NAME<<DELIMITER, the lines as they
// are, and a line that is the delimiter (actions/runner, src/Runner.Worker/FileCommandManager.cs).
type pairs []string

func (p *pairs) Set(s string) error {
	all, err := heredocs(s)
	*p = nil
	for _, one := range all {
		if !strings.Contains(one, "\n") {
			one = strings.TrimSpace(one)
		}
		if one != "" {
			*p = append(*p, one)
		}
	}
	return err
}
func (p *pairs) String() string { return (*lines)(p).String() }
func (p *pairs) Type() string   { return "lines" }

// opening is the first line of a value of several lines. With a blank before << it takes a name that is no command's, as in a line of a script that
// is written without this. With an equals sign, it is one that is written wrongly if its end is there.
var opening = regexp.MustCompile(`^\s*(?:([-._A-Za-z][-._A-Za-z0-9]*)(\s*=\s*)?|([A-Z_][A-Z0-9_]*)\s+)<<\s*(\S+)\s*$`)

// heredocs are the lines of s, with NAME=VALUE in the place of the lines of such a value. The error quotes nothing of what may be a secret.
func heredocs(s string) (all []string, wrong error) {
	given := slices.Collect(strings.Lines(s))
	for i := 0; i < len(given); i++ {
		line := strings.TrimRight(given[i], "\r\n")
		m := opening.FindStringSubmatch(line)
		ends := func(line string) bool { return strings.TrimSpace(line) == m[4] }
		if m == nil || m[2] != "" && !slices.ContainsFunc(given[i+1:], ends) {
			all = append(all, line)
			continue
		}
		name := m[1] + m[3]
		var value []string
		for i++; i < len(given) && !ends(given[i]); i++ {
			value = append(value, strings.TrimRight(given[i], "\r\n"))
		}
		all = append(all, name+"="+strings.Join(value, "\n"))
		switch {
		case wrong != nil:
		case m[2] != "":
			wrong = fmt.Errorf("%s: a value of several lines has no equals sign; write %s<<EOF", name, name)
		case i == len(given):
			wrong = fmt.Errorf("%s: the value has no end; the word behind <<, as it is written there, must stand on a line of its own behind it", name)
		}
	}
	return all, wrong
}

// listFlag is a list on the command line: each use of the flag adds one element, which may hold any text, newlines included.
type listFlag struct {
	*lines
	split func(string) ([]string, error) // what an element that begins as a heredoc stands for; nil without them
}

func (l listFlag) Set(s string) error {
	first, _, more := strings.Cut(s, "\n")
	if l.split != nil && more && opening.MatchString(strings.TrimRight(first, "\r")) {
		all, err := l.split(s)
		*l.lines = append(*l.lines, all...)
		return err
	}
	*l.lines = append(*l.lines, s)
	return nil
}

// errEmpty is what is wrong with an option that holds nothing. To go on without it would go on with something else: another
// cluster, another namespace.
var errEmpty = errors.New("it was given, but is empty")

// given sets a value that must hold something.
func given(value pflag.Value, s string) error {
	if strings.TrimSpace(s) == "" {
		return errEmpty
	}
	return value.Set(s)
}

// lenient reports a wrong value and goes on, so that the other flags are read too.
type lenient struct {
	pflag.Value
	anyText bool
	refuse  func(error)
}

func (l lenient) Set(s string) error {
	set := given
	if l.anyText {
		set = pflag.Value.Set
	}
	if err := set(l.Value, s); err != nil {
		l.refuse(err)
	}
	return nil
}

// truth is a boolean as YAML's core schema writes it (getBooleanInput of @actions/core takes the same six words).
type truth bool

func (t *truth) Set(s string) error {
	switch s {
	case "true", "True", "TRUE":
		*t = true
	case "false", "False", "FALSE":
		*t = false
	default:
		return fmt.Errorf("%q is neither true nor false", s)
	}
	return nil
}
func (t *truth) String() string { return fmt.Sprint(bool(*t)) }
func (t *truth) Type() string   { return "bool" }

// duration is a Go duration ("90s", "1h30m") that is not negative.
type duration time.Duration

func (d *duration) Set(s string) error {
	v, err := time.ParseDuration(strings.TrimSpace(s))
	switch {
	case err != nil:
		return fmt.Errorf("%q is not a duration such as 90s, 5m or 1h30m", s)
	case v < 0:
		return fmt.Errorf("%q is negative", s)
	}
	*d = duration(v)
	return nil
}
func (d *duration) String() string { return time.Duration(*d).String() }
func (d *duration) Type() string   { return "duration" }
