package config

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/run"
)

func env(pairs ...string) func(string) (string, bool) {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(name string) (string, bool) { v, ok := m[name]; return v, ok }
}

func TestParseSources(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		env  []string
		get  func(Options) any
		want any
	}{
		{"default", nil, nil, func(o Options) any { return o.Run.Verdict.Timeout }, time.Hour},
		{"input keeps its hyphen", nil, []string{"INPUT_API-TIMEOUT", "30s"}, func(o Options) any { return o.Cluster.APITimeout }, 30 * time.Second},
		{"input with underscores", nil, []string{"INPUT_API_TIMEOUT", "30s"}, func(o Options) any { return o.Cluster.APITimeout }, 30 * time.Second},
		{"plugin setting", nil, []string{"PLUGIN_API_TIMEOUT", "30s"}, func(o Options) any { return o.Cluster.APITimeout }, 30 * time.Second},
		{"hyphenated input is stronger", nil, []string{"INPUT_IF-EXISTS", "fail", "INPUT_IF_EXISTS", "replace"}, func(o Options) any { return o.Run.IfExists }, run.IfExistsFail},
		{"empty input is not given", nil, []string{"INPUT_IF-EXISTS", "", "PLUGIN_IF_EXISTS", "replace"}, func(o Options) any { return o.Run.IfExists }, run.IfExistsReplace},
		{"flag wins", []string{"--if-exists=fail"}, []string{"INPUT_IF-EXISTS", "replace"}, func(o Options) any { return o.Run.IfExists }, run.IfExistsFail},
		{"lines of an input", nil, []string{"INPUT_MANIFEST", " a.yaml\r\n\n  b.yaml "}, func(o Options) any { return o.Source.Paths }, []string{"a.yaml", "b.yaml"}},
		{"repeated flag", []string{"-f", "a.yaml", "--manifest", "b.yaml"}, []string{"INPUT_MANIFEST", "c.yaml"}, func(o Options) any { return o.Source.Paths }, []string{"a.yaml", "b.yaml"}},
		{"flag element keeps its space", []string{"--container-args", " x\ny "}, nil, func(o Options) any { return o.Render.ContainerArgs }, []string{" x\ny "}},
		{"list not given is nil", nil, nil, func(o Options) any { return o.Source.Paths == nil }, true},
		{"bare boolean flag", []string{"--timestamps"}, nil, func(o Options) any { return o.Report.Timestamps }, true},
		{"boolean input", nil, []string{"INPUT_WAIT", "False"}, func(o Options) any { return o.Run.Wait }, false},
		{"text is kept byte for byte", nil, []string{"INPUT_MANIFEST-CONTENT", "a: |\n  b\n"}, func(o Options) any { return o.Source.Content }, "a: |\n  b\n"},
		{"a lock", []string{"--lock=deploy.shop"}, nil, func(o Options) any { return o.Run.Lock }, run.Lock{Name: "deploy.shop", Timeout: time.Hour}},
		{"a patch is kept byte for byte", nil, []string{"INPUT_PATCH", " {}\n"}, func(o Options) any { return o.Render.Patch }, " {}\n"},
		{"registry credentials are kept byte for byte", nil, []string{"INPUT_REGISTRY-CREDENTIALS", "{}\n"}, func(o Options) any { return o.Render.RegistryCredentials }, "{}\n"},
		{"word with a newline", nil, []string{"INPUT_LOGS", "none\n"}, func(o Options) any { return o.Run.Logs }, run.LogsNone},
		{"boolean with a newline", nil, []string{"INPUT_WAIT", " false\r\n"}, func(o Options) any { return o.Run.Wait }, false},
		{"namespace with a newline", nil, []string{"INPUT_NAMESPACE", "shop\n"}, func(o Options) any { return o.Render.Namespace }, "shop"},
		{"name with white space", nil, []string{"INPUT_NAME", "\tmigrate "}, func(o Options) any { return o.Render.Name }, "migrate"},
		{"context with a newline", nil, []string{"INPUT_CONTEXT", "prod\n"}, func(o Options) any { return o.Cluster.Context }, "prod"},
		{"path with a newline", nil, []string{"INPUT_DOTENV-FILE", "job.env\n"}, func(o Options) any { return o.Report.DotenvFile }, "job.env"},
		{"a wrong variable that a flag replaces", []string{"--timeout", "5m"}, []string{"INPUT_TIMEOUT", "bogus"}, func(o Options) any { return o.Run.Verdict.Timeout }, 5 * time.Minute},
		{"a wrong word that a flag replaces", []string{"--logs=none"}, []string{"INPUT_LOGS", "bogus"}, func(o Options) any { return o.Run.Logs }, run.LogsNone},
		{"a blank variable that a flag replaces", []string{"--namespace=shop"}, []string{"INPUT_NAMESPACE", "\n"}, func(o Options) any { return o.Render.Namespace }, "shop"},
		{"an argument that is empty", []string{"--container-args", "x", "--container-args", ""}, nil, func(o Options) any { return o.Render.ContainerArgs }, []string{"x", ""}},
		{"a path map", nil, []string{"INPUT_PATH-MAP", "/app=services/api\n /migrations=\n"}, func(o Options) any { return o.Report.PathMap }, []string{"/app=services/api", "/migrations="}},
		{"no timeout", []string{"--timeout=0"}, nil, func(o Options) any { return o.Run.Verdict.Timeout }, time.Duration(0)},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, findings := Parse(c.args, env(c.env...))
			if len(findings) != 0 {
				t.Fatalf("findings: %v", findings)
			}
			if diff := cmp.Diff(c.want, c.get(o)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct {
		args []string
		env  []string
		want string
	}{
		{[]string{"--nope"}, nil, "--nope: unknown flag; --help lists all"},
		{[]string{"--tiemout", "5m", "-f", "job.yaml"}, nil, `--tiemout: unknown flag; --help lists all (did you mean "--timeout"?)`},
		{[]string{"--secretenv", "A=hunter2", "-f", "job.yaml"}, nil, `--secretenv: unknown flag; --help lists all (did you mean "--secret-env"?)`},
		{[]string{"--secretenv=A=hunter2"}, nil, `--secretenv: unknown flag; --help lists all (did you mean "--secret-env"?)`},
		{[]string{"-x", "hunter2", "-f", "job.yaml"}, nil, "-x: unknown flag; --help lists all"},
		{[]string{"-phunter2", "-f", "job.yaml"}, nil, "-p: unknown flag; --help lists all"},
		{[]string{"-namespace", "hunter2", "-f", "job.yaml"}, nil, `-namespace: unknown flag; --help lists all (did you mean "--namespace"?)`},
		{[]string{"-secret-env=A=hunter2"}, nil, `-secret-env: unknown flag; --help lists all (did you mean "--secret-env"?)`},
		{[]string{"-hx"}, nil, "-x: unknown flag; --help lists all"},
		{[]string{"-timeout=5m"}, nil, `-timeout: unknown flag; --help lists all (did you mean "--timeout"?)`},
		{[]string{"--timeout"}, nil, "timeout: it was given without a value"},
		{[]string{"-f"}, nil, "manifest: it was given without a value"},
		{[]string{"-f", "job.yaml", "--", "echo", "hunter2", "--wait"}, nil, "what stands behind -- is no option, and the container does not get it: its arguments are given with --container-args, each by itself"},
		{[]string{"-"}, nil, "unexpected argument -: if the manifest comes from standard input, use --manifest=-"},
		{[]string{"--timeout=soon"}, nil, `timeout: "soon" is not a duration such as 90s, 5m or 1h30m`},
		{[]string{"--timeout=-5s"}, nil, `timeout: "-5s" is negative`},
		{nil, []string{"INPUT_WAIT", "yes"}, `wait: "yes" is neither true nor false`},
		{nil, []string{"INPUT_CLEANUP", "sometimes"}, `cleanup: "sometimes" is not one of auto, always, on-success, never`},
		{[]string{"job.yaml"}, nil, `unexpected argument "job.yaml": if it is the manifest, use --manifest=job.yaml`},
		{[]string{"-f", "job.yaml", ""}, nil, "there is an argument that is empty: a variable in quotes that is not set gives one"},
		{[]string{"--logs", "none", "--wait", "false"}, nil, "wait: its value needs an equals sign: --wait=false"},
		{[]string{"--lock="}, nil, "lock: it was given, but is empty (leave it out, or give it a value; a secret of a CI system is empty when its name is wrong, and in runs of forks and of Dependabot)"},
		{nil, []string{"INPUT_LOCK", "Deploy_Shop"}, `lock: "Deploy_Shop" is no name that Kubernetes takes: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`},
		{[]string{"--api-timeout=0"}, nil, "api-timeout: must be greater than 0"},
		{[]string{"--path-map=app=services/api"}, nil, `path-map: "app=services/api" is no mapping such as /app=services/api: an absolute path in the container, and a path from the root of the repository`},
		{[]string{"--path-map=/app"}, nil, `path-map: "/app" is no mapping such as /app=services/api: an absolute path in the container, and a path from the root of the repository`},
		{[]string{"--path-map=/app=../x"}, nil, `path-map: "/app=../x" is no mapping such as /app=services/api: an absolute path in the container, and a path from the root of the repository`},
		{[]string{"--path-map=/app=api\n/db=db"}, nil, `path-map: "/app=api\n/db=db" is no mapping such as /app=services/api: an absolute path in the container, and a path from the root of the repository`},
		{[]string{"--path-map=/app=/etc"}, nil, `path-map: "/app=/etc" is no mapping such as /app=services/api: an absolute path in the container, and a path from the root of the repository`},
	} {
		_, findings := Parse(c.args, env(c.env...))
		if len(findings) != 1 || findings[0].String() != c.want || findings[0].Level != event.Error {
			t.Errorf("Parse(%v, %v): %v, want %q", c.args, c.env, findings, c.want)
		}
	}
}

// TestGivenAndEmpty: an option that was given and holds nothing is an error and no fallback, as a flag and, when it holds white space
// alone, as a variable. A variable that is empty is not given: GitHub's runner sets one for each input, and GitLab's component for each of its own.
func TestGivenAndEmpty(t *testing.T) {
	var o Options
	const secret = "leave it out, or give it a value; a secret of a CI system is empty when its name is wrong, and in runs of forks and of Dependabot"
	suggestions := map[string]string{
		"wait":        "give true or false, as in --wait=true, or leave it out",
		"help":        "give true or false, as in --help=true, or leave it out",
		"timeout":     "give a duration such as 90s, 5m or 1h30m, or leave it out",
		"cleanup":     "give one of auto, always, on-success, never, or leave it out",
		"format":      "give one of auto, github, gitlab, buildkite, azure, text, json, or leave it out",
		"kubeconfig":  secret,
		"secret-env":  secret,
		"dotenv-file": secret,
	}
	nothing, _ := Parse(nil, env())
	for _, d := range declare(&o) {
		want := d.Name + ": it was given, but is empty (" + d.ifEmpty() + ")"
		if s, ok := suggestions[d.Name]; ok {
			want = d.Name + ": it was given, but is empty (" + s + ")"
		}
		refused := func(how string, args []string, env func(string) (string, bool)) {
			if _, findings := Parse(args, env); len(findings) != 1 || findings[0].String() != want || findings[0].Level != event.Error {
				t.Errorf("%s %s: %v, want %q", d.Name, how, findings, want)
			}
		}
		if !d.AnyText {
			for _, blank := range []string{"", " ", "\n"} {
				refused("as a flag", []string{"--" + d.Name + "=" + blank}, env())
				refused("as a flag and an argument", []string{"--" + d.Name, blank}, env())
				if d.Shorthand != "" && d.value.Type() != "bool" {
					refused("as its letter", []string{"-" + d.Shorthand, blank}, env())
				}
			}
		}
		for _, variable := range variables(d.Name) {
			o, findings := Parse(nil, env(variable, ""))
			if len(findings) != 0 || !reflect.DeepEqual(o, nothing) {
				t.Errorf("%s: an empty %s counts: %v", d.Name, variable, findings)
			}
			if d.FlagOnly {
				continue
			}
			refused("as one newline in "+variable, nil, env(variable, "\n"))
			refused("as blanks in "+variable, nil, env(variable, " \t\r\n"))
		}
	}
	// All at once, as a runner of GitHub sets them.
	var all []string
	for _, name := range Names() {
		all = append(all, variables(name)[0], "")
	}
	if o, findings := Parse(nil, env(all...)); len(findings) != 0 || !reflect.DeepEqual(o, nothing) {
		t.Errorf("empty inputs count: %v", findings)
	}
}

// All problems come at once.
func TestParseRefusesAll(t *testing.T) {
	o, findings := Parse([]string{"--cleanup=x", "--nope", "5m", "-x", "--format=y", "--wait", "", "-f", "job.yaml", "--namespace"}, env("INPUT_SUMMARY", "yes"))
	if len(findings) != 7 {
		t.Errorf("got %v, want seven findings", findings)
	}
	if len(o.Source.Paths) != 1 {
		t.Errorf("the manifest behind them is %q", o.Source.Paths)
	}
}

func TestDeclarations(t *testing.T) {
	var o Options
	seen := map[string]bool{}
	for _, d := range declare(&o) {
		if seen[d.Name] || seen["-"+d.Shorthand] {
			t.Errorf("%s is declared twice", d.Name)
		}
		seen[d.Name] = true
		if d.Shorthand != "" {
			seen["-"+d.Shorthand] = true
		}
		// The GitHub runner takes these two names for itself (ContainerActionHandler.cs).
		if d.Name == "args" || strings.EqualFold(d.Name, "entrypoint") {
			t.Errorf("%s cannot be an input", d.Name)
		}
		if !strings.HasSuffix(d.Help, ".") {
			t.Errorf("the help of %s is not a sentence", d.Name)
		}
	}
}

func TestUsageNamesEveryOption(t *testing.T) {
	var o Options
	usage := Usage()
	for _, d := range declare(&o) {
		if !strings.Contains(usage, "--"+d.Name) {
			t.Errorf("--help does not name %s", d.Name)
		}
	}
	for line := range strings.Lines(usage) {
		if len(line) > 125 {
			t.Errorf("line of %d characters: %s", len(line), line)
		}
	}
}

// TestHeredocs: the forms of a value of several lines that people write are read, or refused with the way to write them. Nothing of the
// value is ever in the error.
func TestHeredocs(t *testing.T) {
	for text, test := range map[string]struct {
		want []string
		err  string
	}{
		"KEY<<EOF\na\nb\nEOF\nB=c":          {want: []string{"KEY=a\nb", "B=c"}},
		"KEY <<EOF\na\nEOF":                 {want: []string{"KEY=a"}},
		"KEY << EOF\na\nEOF":                {want: []string{"KEY=a"}},
		"app.key<<EOF\na\nEOF":              {want: []string{"app.key=a"}},
		"app-key<<EOF\r\na\r\n\r\nEOF\r\n":  {want: []string{"app-key=a\n"}},
		"KEY<<EOF\nEOF":                     {want: []string{"KEY="}},
		"KEY<<EOF\na EOF\nEOFEOF\nEOF":      {want: []string{"KEY=a EOF\nEOFEOF"}},
		"KEY<<EOF\ns3cr3t":                  {want: []string{"KEY=s3cr3t"}, err: "KEY: the value has no end; the word behind <<, as it is written there, must stand on a line of its own behind it"},
		"KEY<<'EOF'\ns3cr3t\nEOF":           {want: []string{"KEY=s3cr3t\nEOF"}, err: "KEY: the value has no end; the word behind <<, as it is written there, must stand on a line of its own behind it"},
		"KEY=<<EOF\ns3cr3t\nEOF":            {want: []string{"KEY=s3cr3t"}, err: "KEY: a value of several lines has no equals sign; write KEY<<EOF"},
		"A=<<EOF\ns3cr3t\nEOF\nB=c":         {want: []string{"A=s3cr3t", "B=c"}, err: "A: a value of several lines has no equals sign; write A<<EOF"},
		"KEY=<<EOF":                         {want: []string{"KEY=<<EOF"}},
		"KEY=<<EOF\nB=c":                    {want: []string{"KEY=<<EOF", "B=c"}},
		"S=#!/bin/sh\ncat << EOF\nB=c\nEOF": {want: []string{"S=#!/bin/sh", "cat << EOF", "B=c", "EOF"}},
		"KEY=a<<EOF\nB=c":                   {want: []string{"KEY=a<<EOF", "B=c"}},
	} {
		var got pairs
		err := got.Set(text)
		if said := fmt.Sprint(err); err == nil && test.err != "" || err != nil && said != test.err {
			t.Errorf("%q: %v, want %q", text, err, test.err)
		}
		if diff := cmp.Diff(pairs(test.want), got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}
