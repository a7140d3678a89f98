//go:build unix

package app

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// An action reads plain files of the checkout only, whatever leads elsewhere, and never hangs.
func TestNothingOutsideIsRead(t *testing.T) {
	const outside = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: {x: " + password + "}}\n"
	root := folder(t, map[string]string{
		"secret.yaml": outside, "ws2/secret.yaml": outside, "elsewhere/secret.yaml": outside,
		"ws/job.yaml": goodManifest, "ws/inside/job.yaml": goodManifest, "ws/text.yaml": "a: b\n",
	})
	ws := filepath.Join(root, "ws")
	for name, to := range map[string]string{
		"relative.yaml": "../secret.yaml", "absolute.yaml": filepath.Join(root, "secret.yaml"), "chain.yaml": "chain2.yaml", "chain2.yaml": "../secret.yaml",
		"folder": "../elsewhere", "loop.yaml": "loop.yaml", "environ.yaml": "/proc/self/environ", "zero.yaml": "/dev/zero", "link.yaml": "inside/job.yaml", "up": "..",
	} {
		if err := os.Symlink(to, filepath.Join(ws, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(ws, "pipe.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOSTILE_PASSWORD", password) // in /proc/self/environ
	for name, path := range map[string]string{
		"a relative link": "relative.yaml", "an absolute link": "absolute.yaml", "a chain of links": "chain.yaml", "a linked folder": "folder",
		"a file in a linked folder": "folder/secret.yaml", "a glob in a linked folder": "folder/*.yaml", "dots": "../secret.yaml", "an absolute path": filepath.Join(root, "secret.yaml"),
		"dots behind a link": "up/secret.yaml", "a glob with dots": "../*.yaml", "a sibling with the same beginning": "../ws2/secret.yaml",
		"the environment": "/proc/self/environ", "a link to the environment": "environ.yaml", "a device": "/dev/zero", "a link to a device": "zero.yaml",
		"a pipe": "pipe.yaml", "a loop": "loop.yaml",
	} {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": ws}
			for _, args := range [][]string{{"-f", path}, {"-f", "job.yaml", "--references=" + path}} {
				answered := make(chan outcome, 1)
				go func() { answered <- call(t, ws, "", env, append([]string{"validate"}, args...)...) }()
				var got outcome
				select {
				case got = <-answered:
				case <-time.After(20 * time.Second):
					t.Fatalf("%v: it hangs", args)
				}
				if said := got.stdout + got.stderr; got.code != exitInvalid || strings.Contains(said, password[:7]) || strings.Contains(said, "stringData") || !strings.Contains(said, "::error") {
					t.Errorf("%v: exit code %d:\n%s", args, got.code, said)
				}
			}
		})
	}
	t.Run("a link inside", func(t *testing.T) {
		if got := call(t, ws, "", map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": ws}, "validate", "-f", "link.yaml"); got.code != 0 {
			t.Errorf("exit code %d:\n%s", got.code, got.stdout)
		}
	})
}
