package render

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// TestPlaceholders: what nobody has filled in comes with the way to do it, where it can be seen.
func TestPlaceholders(t *testing.T) {
	for old, test := range map[string]struct{ now, want string }{
		"name: migrate":      {"name: 'm-${TAG}'", "(is it a variable? substitute: TAG)"},
		"namespace: shop":    {"namespace: $SPACE", "(is it a variable? substitute: SPACE)"},
		"image: \"app:1.0\"": {"image: 'busybox:$TAG'", "(is it a variable? substitute: TAG)"},
		"namespace: shop}":   {"namespace: shop, labels: {a: '${B}'}}", "(is it a variable? substitute: B)"},
		"{name: migrate":     {"{name: 'x-{{ .n }}'", "(render the template first: helm template … | kubernetes-job-action --manifest -)"},
	} {
		content := strings.Replace(placeholders, old, test.now, 1)
		_, findings := Render(loadText(t, content), Options{})
		if !strings.Contains(text(findings), test.want) || strings.Count(text(findings), "error: ") > 2 || content == placeholders {
			t.Errorf("%s: want %q:\n%s", test.now, test.want, text(findings))
		}
	}
	_, findings := Render(loadText(t, strings.Replace(placeholders, "image:", "env: [{name: A, value: '${DB_URL}'}, {name: B, value: 'x${C}'}], image:", 1)), Options{})
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
