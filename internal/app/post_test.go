package app

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/planton/kubernetes-job-action/internal/actionsrunner"
	"github.com/planton/kubernetes-job-action/internal/cluster"
	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/report"
	"github.com/planton/kubernetes-job-action/internal/report/github"
)

// api is an API server that gives each request of the list its answer, in order, and a kubeconfig for it. Its context is other;
// the current one leads nowhere. What is not asked for, and what is asked beside the list, is an error.
func api(t *testing.T, answers ...answer) (kubeconfig string) {
	t.Helper()
	left := answers
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := r.Method + " " + r.URL.Path
		if len(left) == 0 || left[0].to != got {
			t.Errorf("unexpected request %s; left are %v", got, left)
			w.WriteHeader(http.StatusTeapot)
			return
		}
		a := left[0]
		left = left[1:]
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(a.code)
		if err := json.NewEncoder(w).Encode(a.body); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(func() {
		server.Close()
		for _, a := range left {
			t.Errorf("never asked: %s", a.to)
		}
	})
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: nowhere, users: [{name: u, user: {token: t0ken-of-a-robot}}],
		contexts: [{name: nowhere, context: {cluster: nowhere, user: u}}, {name: other, context: {cluster: other, user: u}}],
		clusters: [{name: nowhere, cluster: {server: "nonsense://"}}, {name: other, cluster: {server: %q, certificate-authority-data: %s}}]}`,
		server.URL, base64.StdEncoding.EncodeToString(authority))
}

type answer struct {
	to   string
	code int
	body any
}

func status(err *apierrors.StatusError) metav1.Status {
	s := err.Status()
	s.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	return s
}

// TestPost plays the post step after what the main step has told before its end.
var addMask = regexp.MustCompile(`(?m)^::add-mask::.*\n`)

func TestPost(t *testing.T) {
	const url = "/apis/batch/v1/namespaces/ns/jobs/j"
	job := &batchv1.Job{TypeMeta: metav1.TypeMeta{Kind: "Job", APIVersion: "batch/v1"}, ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "j", UID: "ours"}}
	denied := status(apierrors.NewForbidden(schema.GroupResource{Group: "batch", Resource: "jobs"}, "j", errors.New("no")))
	const leaseURL = "/apis/coordination.k8s.io/v1/namespaces/ns/leases/deploy"
	lease := func(nonce string) *coordinationv1.Lease {
		return &coordinationv1.Lease{TypeMeta: metav1.TypeMeta{Kind: "Lease", APIVersion: "coordination.k8s.io/v1"},
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "deploy", ResourceVersion: "7", Annotations: map[string]string{cluster.NonceAnnotation: nonce}}}
	}
	ref := event.Ref{Kind: "Job", Namespace: "ns", Name: "j"}
	created := event.Object{Object: ref, Action: "created", UID: "ours"}
	helper := event.Object{Object: event.Ref{Kind: "Secret", Namespace: "ns", Name: "s"}, Action: "created"}
	for name, c := range map[string]struct {
		main   []event.Event
		lock   string
		inputs map[string]string
		api    []answer
		code   int
		want   string // the whole log
	}{
		"no Job was created": {main: []event.Event{helper, event.Finished{Outcome: event.Failed, Job: ref}}, want: "· this step has no record of a Job, so there is nothing to clean up\n"},
		"the end is known":   {main: []event.Event{created, helper, event.Finished{Outcome: event.Succeeded, Job: ref, UID: "ours"}}},
		"the end, for debuggers": {main: []event.Event{created, event.Finished{Outcome: event.Created}}, inputs: map[string]string{"RUNNER_DEBUG": "1"},
			want: "::debug::the main step ended on its own, so Job ns/j is left alone\n"},
		"killed": {main: []event.Event{created, helper}, api: []answer{{"GET " + url, 200, job}, {"DELETE " + url, 200, job}},
			want: "· Job ns/j deleted (the main step was killed)\n"},
		"killed, with a lock": {main: []event.Event{created}, lock: "deploy", api: []answer{{"GET " + url, 200, job}, {"DELETE " + url, 200, job}, {"GET " + leaseURL, 200, lease("1")}, {"PUT " + leaseURL, 200, lease("")}},
			want: "· Job ns/j deleted (the main step was killed); lock deploy released\n"},
		"killed, and another run has the lock": {main: []event.Event{created}, lock: "deploy", api: []answer{{"GET " + url, 200, job}, {"DELETE " + url, 200, job}, {"GET " + leaseURL, 200, lease("2")}},
			want: "· Job ns/j deleted (the main step was killed)\n"},
		"killed, and the lock is out of reach": {main: []event.Event{created}, lock: "deploy", api: []answer{{"GET " + url, 200, job}, {"DELETE " + url, 200, job}, {"GET " + leaseURL, 403, denied}},
			want: "· Job ns/j deleted (the main step was killed); lock deploy could not be released, and will expire: cannot look at Lease ns/deploy: jobs.batch \"j\" is forbidden: no\n"},
		"killed, and the input context is empty": {main: []event.Event{created}, inputs: map[string]string{"INPUT_CONTEXT": "", "INPUT_DRY-RUN": "client"},
			api: []answer{{"GET " + url, 200, job}, {"DELETE " + url, 200, job}}, want: "· Job ns/j deleted (the main step was killed)\n"},
		"killed, to be left": {main: []event.Event{created}, inputs: map[string]string{"INPUT_ON-CANCEL": "leave"},
			want: "· the main step was killed; Job ns/j is left alone, as on-cancel says\n"},
		"not deleted": {main: []event.Event{created, event.Finished{Outcome: event.Cancelled, Undeleted: true}}, inputs: map[string]string{"INPUT_ON-CANCEL": "leave"},
			api: []answer{{"GET " + url, 200, job}, {"DELETE " + url, 200, job}}, want: "· Job ns/j deleted (the main step could not delete it)\n"},
		"not allowed": {main: []event.Event{created}, api: []answer{{"GET " + url, 200, job}, {"DELETE " + url, 403, denied}}, code: 3,
			want: "::error::Job ns/j may still be running and could not be deleted: cannot delete Job ns/j: jobs.batch \"j\" is forbidden: no%0A→ kubectl -n ns delete job j\n"},
		"no kubeconfig": {main: []event.Event{created}, inputs: map[string]string{"INPUT_KUBECONFIG": "{clusters: []}"}, code: 2,
			want: "::error::Job ns/j may still be running and could not be deleted: the kubeconfig has no contexts. A whole kubeconfig of one cluster is made by: kubectl config view --raw --flatten --minify%0A→ kubectl -n ns delete job j\n"},
		"a wrong option": {main: []event.Event{created}, inputs: map[string]string{"INPUT_API-TIMEOUT": "soon"}, code: 2,
			want: "::error::api-timeout: \"soon\" is not a duration such as 90s, 5m or 1h30m\n::error::Job ns/j may still be running and could not be deleted: an option is invalid%0A→ kubectl -n ns delete job j\n"},
		"a wrong option, and the end is known": {main: []event.Event{created, event.Finished{}}, inputs: map[string]string{"INPUT_API-TIMEOUT": "soon"}},
		"a damaged record":                     {inputs: map[string]string{"STATE_job": "{"}, code: 2, want: "::error::the record of the Job, STATE_job, cannot be read: it is not what the main step wrote\n"},
		"an empty record":                      {inputs: map[string]string{"STATE_job": "{}"}, code: 2, want: "::error::the record of the Job, STATE_job, cannot be read: it is not what the main step wrote\n"},
	} {
		t.Run(name, func(t *testing.T) {
			state := filepath.Join(t.TempDir(), "state")
			if err := os.WriteFile(state, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			env := map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_STATE": state}
			getenv := func(name string) string { return env[name] }
			var log bytes.Buffer
			main := &recorder{Fanout: report.New(github.New(&log, getenv, report.Options{})), getenv: getenv, context: "other", lock: c.lock, nonce: "1"}
			for _, e := range c.main {
				if err := main.Event(e); err != nil {
					t.Fatal(err)
				}
			}
			if len(c.main) > 0 {
				if got := log.String(); !strings.Contains(got, "created") || strings.Contains(got, "::warning") {
					t.Errorf("the main step told %q", got)
				}
				text, err := os.ReadFile(state)
				if err != nil {
					t.Fatal(err)
				}
				values, err := actionsrunner.Values(string(text))
				if err != nil || len(values) > 1 {
					t.Errorf("the runner reads %q, %v", values, err)
				}
				for name, value := range values {
					env["STATE_"+name] = value
					if name != "job" || !strings.HasPrefix(value, `{"namespace":"ns","name":"j","uid":"ours","context":"other"`) {
						t.Errorf("the runner sets STATE_%s to %s", name, value)
					}
				}
			}
			env["INPUT_KUBECONFIG"] = api(t, c.api...)
			for name, value := range c.inputs {
				env[name] = value
			}
			got := call(t, t.TempDir(), "", env, "post")
			got.stdout = addMask.ReplaceAllString(got.stdout, "")
			if got.code != c.code || got.stdout != c.want || got.stderr != "" {
				t.Errorf("exit code %d, %q, %q, want %d, %q", got.code, got.stdout, got.stderr, c.code, c.want)
			}
		})
	}
}

// TestRecordCannotBeWritten: the run goes on, and says once that the post step will not help.
func TestRecordCannotBeWritten(t *testing.T) {
	env := map[string]string{"GITHUB_STATE": filepath.Join(t.TempDir(), "no", "such", "folder")}
	getenv := func(name string) string { return env[name] }
	var log bytes.Buffer
	r := &recorder{Fanout: report.New(github.New(&log, getenv, report.Options{})), getenv: getenv}
	for _, e := range []event.Event{event.Object{Object: event.Ref{Kind: "Job", Name: "j"}, Action: "created", UID: "ours"}, event.Finished{Outcome: event.Succeeded}} {
		if err := r.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	if got := log.String(); strings.Count(got, "::warning::the post step will not know about the Job: GITHUB_STATE cannot be written: ") != 1 ||
		!strings.Contains(got, "no such file") || !strings.Contains(got, "Job j created") || !strings.Contains(got, "succeeded") {
		t.Errorf("told %q", got)
	}
}

// The runner starts the post step by a path alone. action.yml, the image and the program mean the same one.
func TestPostEntrypoint(t *testing.T) {
	args := os.Args
	defer func() { os.Args = args }()
	for argv, want := range map[string][]string{
		"/usr/local/bin/kubernetes-job-action-post": {"post"},
		"kubernetes-job-action-post --context=c":    {"post", "--context=c"},
		"/usr/local/bin/kubernetes-job-action":      {},
		"kubernetes-job-action post":                {"post"},
	} {
		os.Args = strings.Fields(argv)
		if diff := cmp.Diff(want, ThisProcess().Args); diff != "" {
			t.Errorf("%s: %s", argv, diff)
		}
	}
	for file, want := range map[string]string{
		"../../action.yml": "\n  post-entrypoint: /usr/local/bin/" + postName + "\n  post-if: always()\n",
		"../../Dockerfile": "ln -s kubernetes-job-action /usr/local/bin/" + postName + "\n",
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), want) {
			t.Errorf("%s has no %q", file, want)
		}
	}
}
