package app

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/planton/kubernetes-job-action/internal/config"
	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/golden"
	"github.com/planton/kubernetes-job-action/internal/report"
	"github.com/planton/kubernetes-job-action/internal/report/dotenv"
)

// The files of the action, README.md and the GitLab component hold what the declarations and the examples say, between markers.
func TestGenerated(t *testing.T) {
	var inputs, table, dotenvs strings.Builder
	for _, o := range report.OutputDocs {
		if o.Name != "job_name" {
			dotenvs.WriteString("| `" + dotenv.Variable(o.Name) + "` | `" + o.Name + "` |\n")
		}
		inputs.WriteString("  " + o.Name + ":\n    description: >-\n      " + o.Description + "\n")
		table.WriteString("| `" + o.Name + "` | " + strings.ReplaceAll(o.Description, "|", `\|`) + " |\n")
	}
	var codes, reasons strings.Builder
	for _, c := range event.Classes {
		fmt.Fprintf(&codes, "| %d | %s |\n", c.Class, c.Meaning)
	}
	for _, r := range event.Reasons {
		fmt.Fprintf(&reasons, "| `%s` | %d | %s |\n", r.Reason, r.Class, r.Meaning)
	}
	componentInputs, componentEnv := config.Component()
	for _, g := range []struct{ file, name, want string }{
		{"../../README.md", "exit codes", "| code | meaning |\n|---|---|\n" + codes.String()},
		{"../../docs/reasons.md", "reasons", "| reason | exit code | meaning |\n|---|---|---|\n" + reasons.String()},
		{"../../action.yml", "inputs", config.ActionInputs()},
		{"../../action.yml", "outputs", inputs.String()},
		{"../../native/action.yml", "inputs", config.ActionInputs()},
		{"../../native/action.yml", "outputs", inputs.String()},
		{"../../templates/kubernetes-job.yml", "inputs", componentInputs},
		{"../../templates/kubernetes-job.yml", "variables", componentEnv},
		{"../../docs/gitlab.md", "variables", "| variable | output |\n|---|---|\n" + dotenvs.String()},
		{"../../README.md", "workflow", example(t, "migrate-golang-migrate/workflow.yml")},
		{"../../README.md", "pipeline", example(t, "migrate-goose/.gitlab-ci.yml")},
		{"../../README.md", "manifest", example(t, "migrate-goose/job.yaml")},
		{"../../README.md", "options", config.Tables()},
		{"../../README.md", "outputs", "| output | meaning |\n|---|---|\n" + table.String()},
	} {
		content, err := os.ReadFile(g.file)
		if err != nil {
			t.Fatal(err)
		}
		open, end := "# generated: "+g.name+"\n", "# end: "+g.name
		if strings.HasSuffix(g.file, ".md") {
			open, end = "<!-- generated: "+g.name+" -->\n", "<!-- end: "+g.name+" -->"
		}
		before, rest, ok := strings.Cut(string(content), open)
		got, after, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Fatalf("%s has no lines %q and %q", g.file, open, end)
		}
		text := strings.TrimRight(got, " ") // the end's indentation
		end = got[len(text):] + end
		golden.Compare(t, g.file, before+open+g.want+end+after)
	}
}

// example is a file of examples, which the test bench runs, as a block of Markdown.
func example(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile("../../examples/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return "\n```yaml\n" + string(content) + "```\n\n"
}

// component is what a pipeline gets out of the GitLab component with these inputs, as GitLab makes it: the inputs replace
// their places in the text, and the result is read as YAML (gitlab-org/gitlab, lib/gitlab/ci/config/interpolation).
func component(t *testing.T, inputs map[string]string) map[string]job {
	t.Helper()
	content, err := os.ReadFile("../../templates/kubernetes-job.yml")
	if err != nil {
		t.Fatal(err)
	}
	header, body, ok := strings.Cut(string(content), "\n---\n")
	var declared struct {
		Spec struct {
			Inputs map[string]struct {
				Description string
				Default     *string // without one it must be given
				Options     []string
			}
		}
	}
	if err := yaml.UnmarshalStrict([]byte(header), &declared); err != nil || !ok {
		t.Fatal(err)
	}
	for name := range inputs {
		if _, ok := declared.Spec.Inputs[name]; !ok {
			t.Errorf("the component has no input %s", name)
		}
	}
	body = regexp.MustCompile(`\$\[\[ inputs\.([a-z-]+) \]\]`).ReplaceAllStringFunc(body, func(block string) string {
		name := strings.TrimSuffix(strings.TrimPrefix(block, "$[[ inputs."), " ]]")
		input, ok := declared.Spec.Inputs[name]
		if !ok || input.Default == nil || input.Description == "" {
			t.Fatalf("input %s: %+v", name, input)
		}
		if value, given := inputs[name]; given {
			return value
		}
		return *input.Default
	})
	var jobs map[string]job
	if err := yaml.UnmarshalStrict([]byte(body), &jobs); err != nil {
		t.Fatalf("%v:\n%s", err, body)
	}
	return jobs
}

// job is a job of GitLab, as far as the component has one.
type job struct {
	Stage string
	Image struct {
		Name       string
		Entrypoint []string
	}
	Variables map[string]string
	Script    []string
	Artifacts struct {
		When    string
		Reports struct{ Dotenv string }
	}
}

// parsed are the options of the program in that job.
func (j job) parsed(t *testing.T) config.Options {
	t.Helper()
	o, findings := config.Parse(nil, func(name string) (string, bool) { v, ok := j.Variables[name]; return v, ok })
	if len(findings) != 0 {
		t.Errorf("findings %v", findings)
	}
	return o
}

// The defaults of the component are those of the program, and every input is an option, whatever stands in it: nothing of it is
// read as YAML or by a shell.
func TestComponent(t *testing.T) {
	jobs := component(t, nil)
	j := jobs["kubernetes-job"]
	if len(jobs) != 1 || j.Stage != "deploy" || cmp.Diff([]string{""}, j.Image.Entrypoint) != "" || cmp.Diff([]string{"kubernetes-job-action"}, j.Script) != "" || j.Artifacts.When != "always" {
		t.Errorf("jobs %+v", jobs)
	}
	want, _ := config.Parse(nil, func(string) (string, bool) { return "", false })
	want.Report.DotenvFile = j.Artifacts.Reports.Dotenv
	if diff := cmp.Diff(want, j.parsed(t)); diff != "" || want.Report.DotenvFile == "" {
		t.Errorf("the defaults (-want +got):\n%s", diff)
	}

	for _, value := range []string{"deploy/job.yaml", `a "b" 'c' \d`, "a: b # c", "# a", "- a", "$(touch x) `touch x`; touch x", "{a: b}", "*a", "&a", "!a", "|-", "true", "007", "registry.example/app:$CI_COMMIT_SHA"} {
		jobs := component(t, map[string]string{"manifest": value, "image": value, "name-suffix": value, "context": value, "timeout": "90m", "cleanup": "never", "job": "migrate", "stage": "build", "action-image": "registry.example/kja@sha256:0123"})
		j := jobs["migrate"]
		if j.Stage != "build" || j.Image.Name != "registry.example/kja@sha256:0123" || cmp.Diff([]string{"kubernetes-job-action"}, j.Script) != "" {
			t.Errorf("%q: job %+v", value, j)
		}
		o := j.parsed(t)
		if cmp.Diff([]string{value}, o.Source.Paths) != "" || cmp.Diff([]string{value}, o.Render.Image) != "" || o.Render.NameSuffix != value || o.Cluster.Context != value || o.Run.Verdict.Timeout.Minutes() != 90 || o.Render.Cleanup != "never" {
			t.Errorf("%q becomes manifest %q, image %q, name-suffix %q, context %q", value, o.Source.Paths, o.Render.Image, o.Render.NameSuffix, o.Cluster.Context)
		}
	}
}

// The YAML of docs/gitlab.md and README.md is YAML, and what it says of inputs, options and outputs exists.
func TestDocsOfGitLab(t *testing.T) {
	known := map[string]bool{"INPUT_": true, "PLUGIN_": true, // an ellipsis follows
		"KUBERNETES_JOB_ACTION_BINARY": true} // the launcher's
	for _, name := range config.Names() {
		upper := strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		known["INPUT_"+upper], known["PLUGIN_"+upper] = true, true
	}
	for _, o := range report.OutputDocs {
		known[dotenv.Variable(o.Name)] = true
	}
	names := regexp.MustCompile(`\b(INPUT|PLUGIN|KUBERNETES_JOB)_[A-Z_]*`)
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```")
	included := 0
	for _, file := range []string{"../../docs/gitlab.md", "../../README.md"} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names.FindAllString(string(content), -1) {
			if !known[name] {
				t.Errorf("%s: there is no %s", file, name)
			}
		}
		for _, block := range blocks.FindAllStringSubmatch(string(content), -1) {
			var pipeline struct {
				Include []struct{ Inputs map[string]string }
			}
			if err := yaml.Unmarshal([]byte(block[1]), &pipeline); err != nil {
				t.Errorf("%s: %v:\n%s", file, err, block[1])
			}
			for _, i := range pipeline.Include {
				component(t, i.Inputs)
				included++
			}
		}
	}
	if included == 0 {
		t.Error("no use of the component is found")
	}
}

// The YAML of docs/ci.md is strict YAML, and every option and variable that it names exists.
func TestDocsOfCI(t *testing.T) {
	content, err := os.ReadFile("../../docs/ci.md")
	if err != nil {
		t.Fatal(err)
	}
	known, variables := map[string]bool{}, map[string]bool{}
	for _, name := range config.Names() {
		upper := strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		known[name], variables["INPUT_"+upper], variables["PLUGIN_"+upper] = true, true, true
	}
	outputs := map[string]bool{}
	for _, o := range report.OutputDocs {
		variables[dotenv.Variable(o.Name)], outputs[strings.ReplaceAll(o.Name, "-", "_")] = true, true
	}
	blocks := regexp.MustCompile("(?s)```([a-z]+)\n(.*?)```").FindAllStringSubmatch(string(content), -1)
	ofDocker, flag := regexp.MustCompile(`docker run .*? ghcr\.io\S*`), regexp.MustCompile(`(?:^|[\s"'])--([a-z-]+)`)
	flags, parsed := 0, 0
	for _, block := range blocks {
		kind, text := block[1], strings.Join(strings.Fields(block[2]), " ")
		for _, f := range flag.FindAllStringSubmatch(ofDocker.ReplaceAllString(text, ""), -1) {
			if flags++; !known[f[1]] {
				t.Errorf("there is no option %s", f[1])
			}
		}
		if kind != "yaml" {
			continue
		}
		parsed++
		var document any
		if err := yaml.UnmarshalStrict([]byte(block[2]), &document); err != nil {
			t.Errorf("%v:\n%s", err, block[2])
		}
		var plugin struct {
			Steps []struct{ Settings map[string]any }
		}
		if yaml.Unmarshal([]byte(block[2]), &plugin) == nil {
			for _, s := range plugin.Steps {
				for name := range s.Settings {
					if flags++; !known[name] {
						t.Errorf("there is no option %s, which is a setting", name)
					}
				}
			}
		}
	}
	if parsed < 6 || flags < 20 {
		t.Errorf("%d blocks of YAML, %d options", parsed, flags)
	}
	for _, name := range regexp.MustCompile(`\b(?:INPUT|PLUGIN|KUBERNETES_JOB)_[A-Z_]*[A-Z]`).FindAllString(string(content), -1) {
		if !variables[name] {
			t.Errorf("there is no variable %s", name)
		}
	}
	for _, m := range regexp.MustCompile(`\$\(migrate\.(\w+)\)`).FindAllStringSubmatch(string(content), -1) {
		if !outputs[m[1]] {
			t.Errorf("there is no output %s", m[1])
		}
	}
	for _, m := range regexp.MustCompile("(?m)^- .*?\\*\\*|`([a-z]+-(?:file|suffix))`").FindAllStringSubmatch(string(content), -1) {
		if m[1] != "" && !known[m[1]] {
			t.Errorf("there is no option %s", m[1])
		}
	}
}
