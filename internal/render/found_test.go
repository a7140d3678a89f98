package render

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// TestPlaceholders: what nobody has filled in comes with the way to do it, where it can be seen.
func TestPlaceholders(t *testing.T) {
	const fill = "(is it a placeholder? fill it in, or write ${NAME} and list NAME in substitute)"
	for _, image := range []string{"<IMAGE>", "b:<TAG>", "b:%TAG%", "b:@TAG@", "b:#{TAG}#", "b:((tag))", "b:{TAG}", "CHANGEME"} {
		_, findings := Render(loadText(t, strings.Replace(placeholders, `"app:1.0"`, "'"+image+"'", 1)), Options{})
		if !strings.Contains(text(findings), fill) {
			t.Errorf("%s: %s", image, text(findings))
		}
	}
	for old, test := range map[string]struct{ now, want string }{
		`"app:1.0"`:                 {"'b:${{ github.sha }}'", "(GitHub replaces ${{ }} in workflows and not in files: set env: NAME: ${{ … }} there, write ${NAME} here, and list NAME in substitute)"},
		`image: "app:1.0",`:         {"image: 'b:$(TAG)',", "(is it a variable? write ${TAG}, and substitute: TAG)"},
		"main, image":               {"main, image: '<%= x %>', x", "(render the template first: helm template … | kubernetes-job-action --manifest -)"},
		"e: migrate":                {"e: <JOB_NAME>", fill},
		": shop":                    {": __SPACE__", fill},
		"activeDeadlineSeconds: 60": {"activeDeadlineSeconds: ${LIMIT}", "must be a whole number, not a string (is it a variable? substitute: LIMIT)"},
		"activeDeadlineSeconds: 6":  {"activeDeadlineSeconds: '<LIMIT>' #", "must be a whole number, not a string " + fill},
		"name: migrate":             {"name: 'm-${TAG}'", "(is it a variable? substitute: TAG)"},
		"namespace: shop":           {"namespace: $SPACE", "(is it a variable? substitute: SPACE)"},
		"image: \"app:1.0\"":        {"image: 'busybox:$TAG'", "(is it a variable? substitute: TAG)"},
		"namespace: shop}":          {"namespace: shop, labels: {a: '${B}'}}", "(is it a variable? substitute: B)"},
		"{name: migrate":            {"{name: 'x-{{ .n }}'", "(render the template first: helm template … | kubernetes-job-action --manifest -)"},
	} {
		content := strings.Replace(placeholders, old, test.now, 1)
		_, findings := Render(loadText(t, content), Options{})
		if !strings.Contains(text(findings), test.want) || strings.Count(text(findings), "error: ") > 2 || content == placeholders {
			t.Errorf("%s: want %q:\n%s", test.now, test.want, text(findings))
		}
	}
	_, findings := Render(loadText(t, strings.Replace(placeholders, "image:", "env: [{name: A, value: '${DB_URL}'}, {name: B, value: 'x${C}'}], image:", 1)), Options{})
	for with, want := range map[string]string{
		`env: [{name: A, value: "$DB_URL"}]`:                                      "env[0].value: A gets these characters as they are: nothing replaces $DB_URL (substitute: DB_URL; or write $(DB_URL) for another variable of the container)",
		`env: [{name: A, value: "${DB_URL:-x}"}]`:                                 "env[0].value: A gets these characters as they are: nothing replaces ${DB_URL:-x} (write ${DB_URL} without a default, and substitute: DB_URL; or write $(DB_URL) for another variable of the container)",
		`env: [{name: HOST, value: h}, {name: A, value: "postgres://${HOST}/x"}]`: "env[1].value: A gets these characters as they are: nothing replaces ${HOST} (write $(HOST))",
		`env: [{name: A, value: "<DB_URL>"}]`:                                     "env[0].value: looks like a placeholder that nobody has filled in",
		`env: [{name: A, value: "{{ .Values.url }}"}]`:                            "env[0].value: looks like a placeholder that nobody has filled in",
		`env: [{name: A, value: "__URL__"}]`:                                      "env[0].value: looks like a placeholder that nobody has filled in",
		`env: [{name: A, value: "#{URL}#"}]`:                                      "env[0].value: looks like a placeholder that nobody has filled in",
		`env: [{name: A, value: "a ${{ secrets.A }}"}]`:                           "env[0].value: looks like a placeholder that nobody has filled in",
		`args: [x, "{{ .Values.a }}"]`:                                            "args[1]: looks like a placeholder that nobody has filled in",
		`command: [x, "--a=${{ inputs.a }}"]`:                                     "command[1]: looks like a placeholder that nobody has filled in",
		`command: [docker, inspect, "--format={{.State}}"]`:                       "",
		`env: [{name: A, value: "$2a$10$abc"}, {name: B, value: "x${C}"}, {name: C2, value: "5%"}, {name: D, value: "a@B@c"}]`: "",
	} {
		_, findings := Render(loadText(t, strings.Replace(placeholders, "image:", with+", image:", 1)), Options{})
		got := strings.Join(levels(findings, event.Warning), "\n")
		if (got == "") != (want == "") || !strings.Contains(got, want) || strings.Contains(got, "\n") {
			t.Errorf("%s: %s\nwant %s", with, got, want)
		}
	}
	if _, findings := Render(loadText(t, strings.Replace(placeholders, "app:1.0", "app:__TAG__", 1)), Options{}); !strings.Contains(text(findings), "image: looks like a placeholder that nobody has filled in") {
		t.Error(text(findings))
	}
	want := []string{"manifest-content:10:56: spec.template.spec.containers[0].env[0].value: A gets these characters as they are: nothing replaces ${DB_URL} " +
		"(substitute: DB_URL; or write $(DB_URL) for another variable of the container)"}
	if diff := cmp.Diff(want, levels(findings, event.Warning)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

const placeholders = `
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, namespace: shop}
spec:
  activeDeadlineSeconds: 60
  template:
    spec:
      restartPolicy: Never
      containers: [{name: main, image: "app:1.0", resources: {limits: {cpu: 1}}}]
`

// TestCommandInOneWord: a command line that is one word cannot be found as a program; a path with a blank in it can be one.
func TestCommandInOneWord(t *testing.T) {
	const way = " (write one element for each word, or [\"sh\", \"-c\", \"…\"])"
	for with, want := range map[string]string{
		`command: ["echo hello world"]`:         "manifest-content:10:43: spec.template.spec.containers[0].command[0]: is one word with blanks in it, so the whole of it is looked for as a program" + way,
		`args: ["echo hello world"]`:            "manifest-content:10:40: spec.template.spec.containers[0].args[0]: is one word with blanks in it, which is one argument of the image's program, or is itself looked for as one" + way,
		`command: ["/bin/sh -c", "echo hi"]`:    "manifest-content:10:43: spec.template.spec.containers[0].command[0]: is one word with blanks in it, so the whole of it is looked for as a program" + way,
		`command: [sh, "-c echo hello"]`:        `manifest-content:10:47: spec.template.spec.containers[0].command[1]: the shell takes what follows "-c" here for more options (write "-c" and the script as two elements)`,
		`command: [/bin/bash], args: ["-c ls"]`: `manifest-content:10:62: spec.template.spec.containers[0].args[0]: the shell takes what follows "-c" here for more options (write "-c" and the script as two elements)`,
		`command: ["/opt/my tool/run"]`:         "",
		`command: [sh, -c, "echo hi"]`:          "",
		`command: [echo, "-c x"]`:               "",
		`args: ["--text=a b"]`:                  "",
	} {
		_, findings := Render(loadText(t, strings.Replace(placeholders, "image:", with+", image:", 1)), Options{})
		if got := strings.Join(levels(findings, event.Warning), "\n"); got != want {
			t.Errorf("%s: %s\nwant %s", with, got, want)
		}
	}
	_, findings := Render(loadText(t, placeholders), Options{ContainerCommand: []string{"echo hello"}})
	if got := text(findings); !strings.Contains(got, "warning: container-command: is one word with blanks in it") {
		t.Errorf("container-command: %s", got)
	}
}

// TestCommandForAShell: what only a shell would understand is a warning where no shell reads it, and so is a script that is cut into words.
func TestCommandForAShell(t *testing.T) {
	for with, want := range map[string]string{
		`command: [sh, -c, echo, hello]`:                                "command[2]: is the whole script: what follows is not part of it, but its $0, $1 and so on (write the script as one element)",
		`command: [bash, -ec], args: [./run.sh, x]`:                     "args[0]: is the whole script: ",
		`command: [sh, -c]`:                                             "command[1]: no script follows",
		`command: [echo, hello, "&&", exit]`:                            "command[2]: means something to a shell alone: here it is an argument like any other (write [\"sh\", \"-c\", \"…\"])",
		`command: [cat, x], args: ["|", grep]`:                          "args[0]: means something to a shell alone",
		`command: [echo, a, ">", /tmp/x]`:                               "command[2]: means something to a shell alone",
		`env: [{name: URL, value: x}], command: [migrate, "$URL"]`:      "command[1]: nothing replaces $URL here: no shell reads it (write $(URL))",
		`env: [{name: URL, value: x}], command: [migrate, "-d=${URL}"]`: "command[1]: nothing replaces ${URL} here: no shell reads it (write $(URL))",
		`command: [cd, /app]`:                                           "command[0]: is a word of the shell and no program",
		`command: ["FOO=bar", echo]`:                                    "command[0]: is an assignment, which only a shell knows",
		`command: [""]`:                                                 "command[0]: is empty, and there is no such program",
		`command: ["“echo”", hi]`:                                       "command[0]: begins with a typographic quotation mark, which belongs to the word",
		`args: ["--config /etc/x", --verbose]`:                          "args[0]: is an option and its value in one word (write two elements, or an equals sign between them)",
		`command: [app, "--msg 'a b'"]`:                                 "command[1]: is an option and its value in one word",
		`command: [python, "manage.py migrate"]`:                        "command[1]: is several words in one (write one element for each word)",
		`command: [java, "-Xmx512m -jar app.jar"]`:                      "command[1]: is several words in one (write one element for each word)",
		`args: ["app.js --port 80"]`:                                    "args[0]: is one word with blanks in it",
		`args: ["-v -x"]`:                                               "args[0]: is several words in one (write one element for each word)",
		`command: [go, build, "-ldflags=-s -w", .]`:                     "",
		`command: [go, build, -ldflags, "-s -w", .]`:                    "",
		`command: [mvn, test, "-DargLine=-Xmx1g -Xms1g"]`:               "",
		`command: [node, -e, "a.js b"]`:                                 "",
		`command: [echo, "app.py works"]`:                               "",
		`command: [echo, "a - b"]`:                                      "",
		`command: [echo, "my file.py is here"]`:                         "",
		`command: [sh, -c, "-v -x"]`:                                    "",
		`command: ['["echo", "hi"]']`:                                   "command[0]: is a list in quotes, so the whole of it is looked for as a program (write one element for each word)",
		`command: ['["echo","hi"]']`:                                    "command[0]: is a list in quotes, so the whole of it is looked for as a program (write one element for each word)",
		`command: ["[", "-f", "x", "]"]`:                                "",
		`command: [sh, -c, 'echo "$1"', --, a]`:                         "",
		`command: [sh, -c, "echo a && echo b > x"]`:                     "",
		`command: [timeout, "5", sh, -c, 'echo "$URL" | cat'], env: [{name: URL, value: x}]`: "",
		`command: [find, ., "-exec", rm, "{}", ";"]`:                                         "",
		`command: [awk, "{print $URL}"]`:                                                     "",
		`command: [expr, "1", ">", "2"]`:                                                     "",
	} {
		_, findings := Render(loadText(t, strings.Replace(placeholders, "image:", with+", image:", 1)), Options{})
		got := strings.Join(levels(findings, event.Warning), "\n")
		if (got == "") != (want == "") || !strings.Contains(got, want) || strings.Contains(got, "\n") {
			t.Errorf("%s: %s\nwant %s", with, got, want)
		}
	}
}

// TestEmptyNamespace: a namespace that a template or envsubst left empty is no namespace that was meant.
func TestEmptyNamespace(t *testing.T) {
	for namespace, warned := range map[string]bool{"namespace: ": true, `namespace: ""`: true, "namespace: shop": false, "labels: {}": false} {
		_, findings := Render(loadText(t, strings.Replace(placeholders, "namespace: shop", namespace, 1)), Options{})
		if got := strings.Contains(text(findings), ": metadata.namespace: is empty, so that the kubeconfig's context decides"); got != warned {
			t.Errorf("%s: %s", namespace, text(findings))
		}
	}
	if _, findings := Render(loadText(t, strings.Replace(placeholders, "namespace: shop", `namespace: ""`, 1)), Options{Namespace: "shop"}); text(findings) != "" {
		t.Error(text(findings))
	}
}

// TestRenderedWithoutWhatWasLeftOut: what is left out stands nowhere in the objects that are printed.
func TestRenderedWithoutWhatWasLeftOut(t *testing.T) {
	p, findings := Render(loadText(t, exported), Options{})
	if p == nil {
		t.Fatal(text(findings))
	}
	out, err := p.YAML(nil)
	if err != nil || strings.Contains(string(out), "ownerReferences") || !strings.Contains(text(findings), "ownerReferences") {
		t.Errorf("%v\n%s", err, out)
	}
}
