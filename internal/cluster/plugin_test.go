//go:build unix

package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// login is a user whose credentials come from a shell script.
func login(t *testing.T, script string, env ...map[string]string) map[string]any {
	t.Helper()
	program := filepath.Join(t.TempDir(), "login")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return map[string]any{"exec": map[string]any{"apiVersion": "client.authentication.k8s.io/v1", "command": program, "interactiveMode": "Never", "env": env}}
}

// TestPluginHangs: a credential plugin that never ends is left after api-timeout, or when the request is cancelled, is named, and does not
// outlive the client; nor does what it has started.
func TestPluginHangs(t *testing.T) {
	for name, cancelled := range map[string]bool{"api-timeout": false, "a signal": true} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			script := fmt.Sprintf("sleep 1000 & echo $! >%[1]s/child; echo $$ >%[1]s/self; echo it waits >&2; wait", dir)
			c := dialled(t, map[string]any{"server": "https://127.0.0.1:1"}, login(t, script))
			c.APITimeout = 3 * time.Second // in which the shell has begun
			if cancelled {
				c.APITimeout = time.Hour
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			heard := ""
			c.HearPlugin(func(_, line string) {
				heard += line
				if cancelled {
					cancel()
				}
			})
			begin := time.Now()
			err := c.Do(ctx, "look", func(ctx context.Context) error {
				_, err := c.Pods("ns").List(ctx, metav1.ListOptions{})
				return err
			})
			var cause *event.Cause
			switch {
			case !errors.As(err, &cause):
				t.Errorf("got %v", err)
			case cancelled && cause.Reason != event.ReasonCancelled:
				t.Errorf("got %s: %v", cause.Reason, err)
			case !cancelled && (cause.Reason != event.Unauthorized || !strings.Contains(cause.Message, "the program login did not end within") || !strings.Contains(cause.Hint, "run it by hand")):
				t.Errorf("got %s: %v", cause.Reason, err)
			}
			if took := time.Since(begin); took > 20*time.Second || heard != "it waits" {
				t.Errorf("it took %s, heard %q", took, heard)
			}
			c.Close()
			for _, name := range []string{"self", "child"} {
				text, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil {
					t.Fatal(err)
				}
				pid := 0
				if _, err := fmt.Sscan(string(text), &pid); err != nil {
					t.Fatal(err)
				}
				lives := func() bool {
					stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // an orphan that has ended may wait for its new parent
					return err == nil && !strings.Contains(string(stat), ") Z ")
				}
				for limit := time.After(10 * time.Second); lives(); {
					select {
					case <-limit:
						t.Fatalf("%s, process %d, lives", name, pid)
					case <-time.After(10 * time.Millisecond):
					}
				}
			}
		})
	}
}

// TestPluginFails: what is wrong with a plugin's answer is said in words of its own, with a hint that fits.
func TestPluginFails(t *testing.T) {
	for name, test := range map[string]struct {
		script  string
		env     []map[string]string
		reason  event.Reason
		message string
		hint    string
	}{
		"an answer of a version that is gone":  {`echo '{"apiVersion":"client.authentication.k8s.io/v1alpha1","kind":"ExecCredential","status":{"token":"t"}}'`, nil, event.InvalidInput, `answers with the apiVersion "client.authentication.k8s.io/v1alpha1"`, "client.authentication.k8s.io/v1beta1"},
		"an answer of another version":         {`echo '{"apiVersion":"client.authentication.k8s.io/v1beta1","kind":"ExecCredential","status":{"token":"t"}}'`, nil, event.InvalidInput, `answers with the apiVersion "client.authentication.k8s.io/v1beta1"`, "Set the apiVersion of the kubeconfig's exec to client.authentication.k8s.io/v1beta1"},
		"no answer":                            {`exit 0`, nil, event.Unauthorized, "printed no ExecCredential with an apiVersion", "Its standard output must be an ExecCredential"},
		"an answer that is none":               {`echo Please log in`, nil, event.Unauthorized, "gave no credentials", "Its standard output must be an ExecCredential"},
		"an answer without a token":            {`echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{}}'`, nil, event.Unauthorized, "gave no credentials", "Its standard output must be an ExecCredential"},
		"a failure":                            {`exit 255`, nil, event.Unauthorized, "exit code 255", "What it printed stands above. Is it logged in"},
		"a failure with a profile":             {`exit 255`, []map[string]string{{"name": "AWS_PROFILE", "value": "build"}}, event.Unauthorized, "exit code 255", "sets AWS_PROFILE for it"},
		"a token that holds a line break":      {`echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"s3c\\nr3t"}}'`, nil, event.InvalidInput, "invalid header field value", "a line break"},
		"a token that holds a carriage return": {`echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"s3c\\rr3t"}}'`, nil, event.InvalidInput, "invalid header field value", "a line break"},
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			c := dialled(t, map[string]any{"server": "https://127.0.0.1:1"}, login(t, test.script, test.env...))
			err := look(t, c)
			var cause *event.Cause
			if !errors.As(err, &cause) || cause.Reason != test.reason || !strings.Contains(cause.Message, test.message) || !strings.Contains(cause.Hint, test.hint) {
				t.Errorf("got %v, want %s %q, %q", err, test.reason, test.message, test.hint)
			}
			if took := time.Since(begin); took > 15*time.Second || strings.Contains(err.Error(), "tries in") || strings.Contains(err.Error(), "s3c") {
				t.Errorf("it took %s: %v", took, err)
			}
		})
	}
}

// TestTokenWithNewlineAtItsEnd: it is sent without.
func TestTokenWithNewlineAtItsEnd(t *testing.T) {
	got := ""
	cluster := serving(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("Authorization")
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": "v1", "kind": "Pod"})
	})
	for name, user := range map[string]map[string]any{
		"kubeconfig": {"token": "t0ken\r\n"},
		"plugin":     login(t, `echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"t0ken\\n"}}'`),
	} {
		got = ""
		if err := look(t, dialled(t, cluster, user)); err != nil || got != "Bearer t0ken" {
			t.Errorf("%s: sent %q, %v", name, got, err)
		}
	}
}
