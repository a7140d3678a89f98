//go:build unix

package run

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/planton/kubernetes-job-action/internal/cluster"
	"github.com/planton/kubernetes-job-action/internal/event"
)

// empty is the API server of an empty cluster that takes everything. It keeps what was asked of it, in order, without the dry runs.
type empty struct {
	mu      sync.Mutex
	changes []change
}

type change struct {
	request string
	object  metav1.Object
	body    []byte
}

func (e *empty) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	code, answer := http.StatusNotFound, any(apierrors.NewNotFound(schema.GroupResource{Resource: "x"}, "x").Status())
	switch {
	case r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/pods"):
		code, answer = http.StatusOK, podList()
	case r.Method != http.MethodGet:
		var object interface {
			runtime.Object
			metav1.Object
		} = &batchv1.Job{}
		switch {
		case strings.Contains(r.URL.Path, "/secrets"):
			object = &corev1.Secret{}
		case strings.Contains(r.URL.Path, "/configmaps"):
			object = &corev1.ConfigMap{}
		}
		if err := decode(body, object); err != nil {
			return nil, err
		}
		if r.URL.Query().Get("dryRun") == "" {
			e.mu.Lock()
			e.changes = append(e.changes, change{r.Method + " " + r.URL.Path, object, body})
			e.mu.Unlock()
		}
		code, answer = http.StatusCreated, object
		object.SetUID("ours")
		object.SetResourceVersion("7")
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: code, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(text)), Request: r}, nil
}

// Whenever the process is killed, all that it has made so far is owned by a Job that is there: the garbage collector needs nobody.
func TestNothingIsMadeWithoutAnOwner(t *testing.T) {
	for _, ifExists := range []IfExists{IfExistsReplaceFinished, IfExistsReplace, IfExistsFail} {
		t.Run(string(ifExists), func(t *testing.T) {
			server := &empty{}
			const kubeconfig = `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],
				clusters: [{name: c, cluster: {server: "https://api.example"}}], users: [{name: u, user: {token: t}}]}`
			client, _, err := cluster.Connect(cluster.Options{Kubeconfig: kubeconfig, LookupEnv: func(string) (string, bool) { return "", false }, APITimeout: time.Minute,
				Wrap: func(http.RoundTripper) http.RoundTripper { return server }})
			if err != nil {
				t.Fatal(err)
			}
			objects := Objects{Job: job(), Owned: []runtime.Object{
				&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "env"}, StringData: map[string]string{"a": "b"}},
				&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "pull"}, StringData: map[string]string{"a": "b"}},
				&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "script"}, Data: map[string]string{"a": "b"}},
			}}
			if f, err := Run(t.Context(), client, objects, Options{IfExists: ifExists, Logs: LogsNone}, &sink{}); err != nil || f.Outcome != event.Created {
				t.Fatalf("%+v, %v", f, err)
			}
			helpers := 0
			var made *batchv1.Job
			for _, c := range server.changes {
				if j, ok := c.object.(*batchv1.Job); ok {
					made = j
					continue
				}
				helpers++
				owners := c.object.GetOwnerReferences()
				if made == nil || len(owners) != 1 || owners[0].UID != "ours" || owners[0].Kind != "Job" || owners[0].Name != made.Name || owners[0].APIVersion != "batch/v1" {
					t.Errorf("%s, after the Job: %t, with the owners %v", c.request, made != nil, owners)
				}
			}
			if helpers != 3 || made == nil {
				t.Errorf("%d helpers were made; the Job: %t", helpers, made != nil)
			}
		})
	}
}

// A signal comes when another Job has taken the name, and before the watch has told it: only our own Job may be deleted, by its UID.
func TestCancelledWhenReplaced(t *testing.T) {
	conflict := apierrors.NewConflict(jobsResource, "j", errors.New("the UID in the precondition: ours, the UID in the object: other")).Status()
	synctest.Test(t, func(t *testing.T) {
		l, server := play(t, exchange{createURL, 201, there("ours")}, exchange{removeURL, 409, conflict})
		l.options = Options{Wait: true, Logs: LogsStream, OnCancel: UnfinishedDelete, IfExists: IfExistsFail}
		l.plays(t, &output{})
		l.script()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		f := l.run(ctx)
		var o metav1.DeleteOptions
		if err := decode(server.Sent(), &o); err != nil || o.Preconditions == nil || o.Preconditions.UID == nil || *o.Preconditions.UID != "ours" {
			t.Errorf("deleted with %s", server.Sent())
		}
		if f.Outcome != event.Cancelled || l.undeleted {
			t.Errorf("%+v", f)
		}
	})
}

// Output that waits for a failure lies on the disk without a name, and nobody else can read it.
func TestSpoolLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	var s spool
	defer s.close()
	if err := s.add(lines("a", "main", "hunter2secret")); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
	if info, err := s.file.Stat(); err != nil || info.Size() == 0 || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info, err)
	}
}

// TestPluginBetweenTwoSteps: what a credential plugin writes after a step that asked, and before the run, is told by the run.
func TestPluginBetweenTwoSteps(t *testing.T) {
	dir := t.TempDir()
	program, begin, done := filepath.Join(dir, "login"), filepath.Join(dir, "begin"), filepath.Join(dir, "done")
	for _, pipe := range []string{begin, done} {
		if err := syscall.Mkfifo(pipe, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// It leaves a helper behind.
	script := fmt.Sprintf("#!/bin/sh\necho early >&2\n[ -e %[1]s/asked ] && exit 1\n>%[1]s/asked\n{ read x <%s; echo late >&2; echo >%s; } >/dev/null &\nexit 1\n", dir, begin, done)
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	kubeconfig := fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}], clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}],
		users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: %q, interactiveMode: Never}}}]}`, program)
	client, _, err := cluster.Connect(cluster.Options{Kubeconfig: kubeconfig, APITimeout: time.Minute, LookupEnv: func(string) (string, bool) { return "", false }})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	look := func(ctx context.Context) error {
		return client.Do(ctx, "look", func(ctx context.Context) error {
			_, err := client.Jobs("ns").Get(ctx, "j", metav1.GetOptions{})
			return err
		})
	}
	ask := func() (said []string) {
		s := &sink{}
		if err := Ask(t.Context(), client, s, look); err == nil {
			t.Error("no error")
		}
		for _, e := range s.events {
			_, line, _ := strings.Cut(e.(event.Notice).Message, " says: ")
			said = append(said, line)
		}
		return said
	}
	if said := ask(); !slices.Equal(said, []string{"early"}) {
		t.Errorf("the first said %q", said)
	}
	if err := os.WriteFile(begin, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadFile(done); err != nil {
		t.Fatal(err)
	}
	if err := look(t.Context()); err == nil { // has what was written told, if somebody hears
		t.Error("no error")
	}
	if said := ask(); !slices.Equal(said, []string{"late", "early"}) {
		t.Errorf("the second said %q", said)
	}
}
