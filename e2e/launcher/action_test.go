package launcher

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// check reads a file as GitHub reads an action.yml.
func check(t *testing.T, file string) string {
	t.Helper()
	out, err := exec.Command(nodes["24"], "../node/action.mjs", modules, file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// Every action.yml keeps GitHub's schema, the container action's in the form of a release too; a wrong one is found.
func TestActionFiles(t *testing.T) {
	for _, folder := range []string{"", "native", "setup"} {
		file := filepath.Join("../..", folder, "action.yml")
		if wrong := check(t, file); wrong != "" {
			t.Errorf("%s: %s", file, wrong)
		}
	}
	for _, c := range []struct{ file, old, new, want string }{
		{"../../action.yml", "image: Dockerfile", "image: docker://ghcr.io/planton/kubernetes-job-action@sha256:" + strings.Repeat("0", 64), ""},
		{"../../action.yml", "color: blue", "color: mauve", "Unexpected value 'mauve'"},
		{"../../native/action.yml", "using: node24", "using: node23", "Unexpected value 'node23'"},
		{"../../native/action.yml", "\n  post-if:", "\n  post-when:", "Unexpected value 'post-when'"},
		{"../../native/action.yml", "\n  main: main.cjs", "", "Required property is missing: main"},
	} {
		text, err := os.ReadFile(c.file)
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.Replace(string(text), c.old, c.new, 1)
		if changed == string(text) {
			t.Errorf("%s has no %q", c.file, c.old)
		}
		file := filepath.Join(t.TempDir(), "action.yml")
		if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := check(t, file); !strings.Contains(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%q instead of %q: %q", c.new, c.old, got)
		}
	}
}

// A release is refused before anything is built when its version or its digest is none; nothing in the tree changes.
func TestReleaseRefused(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0", 64)
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "scripts"), os.DirFS("../../scripts")); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{}, {"v1.2.3"}, {"1.2.3", digest}, {"v1.2", digest}, {"v1.2.3", "latest"}, {"v1.2.3", digest + "0"}, {"v1.2.3;x", digest}} {
		out, err := exec.Command(filepath.Join(dir, "scripts/release.sh"), args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "usage: scripts/release.sh") {
			t.Errorf("%q: %v, %s", args, err, out)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}

// What a user's run downloads holds the actions and what the image is built from, and nothing of the test bench.
func TestArchive(t *testing.T) {
	cmd := exec.Command("sh", "-c", "git archive --worktree-attributes HEAD | tar -t")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"action.yml", "native/action.yml", "native/main.cjs", "native/post.cjs", "native/release.json", "setup/action.yml", "setup/main.cjs", "Dockerfile", "go.sum", "cmd/kubernetes-job-action/main.go"} {
		if !strings.Contains("\n"+string(out), "\n"+want+"\n") {
			t.Errorf("%s is left out", want)
		}
	}
	if found := regexp.MustCompile(`(?m)^(e2e|examples|docs|testdata|scripts|\.github)/.*|.*_test\.go$`).FindString(string(out)); found != "" {
		t.Errorf("%s is in it", found)
	}
}
