package app

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/planton/kubernetes-job-action/internal/config"
	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/render"
)

// What a Job says of the run that made it, and the suffix "run".
func TestStamp(t *testing.T) {
	for name, c := range map[string]struct {
		env    map[string]string
		suffix string
		want   map[string]string
	}{
		"GitHub": {
			map[string]string{"GITHUB_RUN_ID": "4711", "GITHUB_RUN_ATTEMPT": "2", "GITHUB_SERVER_URL": "https://github.example.com", "GITHUB_REPOSITORY": "acme/shop", "GITHUB_SHA": "0123abcd", "GITHUB_ACTOR": "mona", "GITHUB_TRIGGERING_ACTOR": "hubot"},
			"4711-2",
			map[string]string{"run-url": "https://github.example.com/acme/shop/actions/runs/4711", "run-id": "4711", "run-attempt": "2", "commit": "0123abcd", "once-key": "0123abcd", "actor": "hubot"},
		},
		"GitLab": {
			map[string]string{"CI_JOB_ID": "815", "CI_PIPELINE_ID": "42", "CI_JOB_URL": "https://gitlab.example.com/acme/shop/-/jobs/815", "CI_COMMIT_SHA": "0123abcd", "GITLAB_USER_LOGIN": "tanuki"},
			"815",
			map[string]string{"run-url": "https://gitlab.example.com/acme/shop/-/jobs/815", "run-id": "815", "pipeline-id": "42", "commit": "0123abcd", "once-key": "0123abcd", "actor": "tanuki"},
		},
		"Jenkins":             {map[string]string{"GIT_COMMIT": "0123abcd"}, "", map[string]string{"commit": "0123abcd", "once-key": "0123abcd"}},
		"a key of the user's": {map[string]string{"INPUT_ONCE_KEY": "schema 7", "GIT_COMMIT": "0123abcd"}, "", map[string]string{"commit": "0123abcd", "once-key": "schema 7"}},
		"no CI":               {nil, "", map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			a := &app{Process: Process{LookupEnv: func(name string) (string, bool) { v, ok := c.env[name]; return v, ok }}, options: config.Options{Render: render.Options{NameSuffix: "run"}, OnceKey: c.env["INPUT_ONCE_KEY"]}}
			want := map[string]string{}
			for key, value := range c.want {
				want[event.StampPrefix+key] = value
			}
			if diff := cmp.Diff(want, a.stamp("render")); diff != "" {
				t.Errorf("annotations (-want +got):\n%s", diff)
			}
			if url := c.want["run-url"]; url != "" && a.holder() != url || url == "" && !strings.HasPrefix(a.holder(), fmt.Sprintf("process %d on ", os.Getpid())) {
				t.Errorf("a lock is held by %q", a.holder())
			}
			if suffix, findings := a.nameSuffix(); suffix != c.suffix || (len(findings) == 0) != (suffix != "") {
				t.Errorf("suffix %q, want %q; findings %v", suffix, c.suffix, findings)
			}
		})
	}
}

// TestNameOfOneRun: no run looks for another run's Job under a name that is new each time.
func TestNameOfOneRun(t *testing.T) {
	const named, generated = "metadata: {name: migrate}", "metadata: {generateName: migrate-}"
	for _, test := range []struct {
		metadata, ifExists, suffix string
		refused                    bool
	}{
		{named, "keep-succeeded", "", false},
		{named, "keep-succeeded", "run", true},
		{named, "attach", "run", true},
		{named, "attach", "pr-7", false},
		{generated, "attach", "", true},
		{generated, "attach", "pr-7", false},
		{generated, "replace-finished", "", false},
		{named, "suffix", "run", false},
	} {
		dir := folder(t, map[string]string{"job.yaml": "apiVersion: batch/v1\nkind: Job\n" + test.metadata + "\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: busybox}]}}}\n"})
		args := []string{"validate", "-f", "job.yaml", "--if-exists", test.ifExists}
		if test.suffix != "" {
			args = append(args, "--name-suffix", test.suffix)
		}
		got := call(t, dir, "", map[string]string{"GITHUB_RUN_ID": "4711", "GITHUB_RUN_ATTEMPT": "2"}, args...)
		if refused := strings.Contains(got.stderr, "if-exists: "+test.ifExists+" needs a Job name that the next run has too"); refused != test.refused || (got.code == 2) != test.refused {
			t.Errorf("%v: code %d\n%s", test, got.code, got.stderr)
		}
	}
}

// TestNoOnceKey: without a key, an earlier success may be of any commit, which is said.
func TestNoOnceKey(t *testing.T) {
	dir := folder(t, map[string]string{"job.yaml": "apiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate}\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: busybox}]}}}\n"})
	for _, test := range []struct {
		env  map[string]string
		args []string
		told bool
	}{
		{nil, []string{"--if-exists", "keep-succeeded"}, true},
		{nil, []string{"--if-exists", "keep-succeeded", "--once-key", "schema 7"}, false},
		{map[string]string{"CI_COMMIT_SHA": "0123abcd"}, []string{"--if-exists", "keep-succeeded"}, false},
		{nil, []string{"--if-exists", "attach"}, false},
	} {
		got := call(t, dir, "", test.env, append([]string{"validate", "-f", "job.yaml"}, test.args...)...)
		if told := strings.Contains(got.stderr, "once-key: it is not given"); told != test.told || got.code != 0 {
			t.Errorf("%v: code %d\n%s", test, got.code, got.stderr)
		}
	}
}
