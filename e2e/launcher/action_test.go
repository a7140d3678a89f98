package launcher

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
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

// A release has the same programs twice, whatever the environment asks of Go, and names them and the image by their hashes. A played Go tells
// what it is asked to build.
func TestRelease(t *testing.T) {
	dir := t.TempDir()
	err := os.CopyFS(filepath.Join(dir, "scripts"), os.DirFS("../../scripts"))
	for _, folder := range []string{"native", "bin"} {
		err = errors.Join(err, os.Mkdir(filepath.Join(dir, folder), 0o755))
	}
	action, failed := os.ReadFile("../../action.yml")
	err = errors.Join(err, failed, os.WriteFile(filepath.Join(dir, "action.yml"), action, 0o644),
		os.WriteFile(filepath.Join(dir, "bin/go"), []byte("#!/bin/sh\nfor a; do test \"$last\" = -o && o=$a; last=$a; done\n(env | grep -E '^(GO|CGO)' | sort; echo \"$@\") >\"$o\"\n"), 0o755))
	if err != nil {
		t.Fatal(err)
	}
	digest := "sha256:" + strings.Repeat("0123456789abcdef", 4)
	var list struct {
		Version, URL string
		Programs     map[string]struct {
			File, SHA256 string
			Size         int
		}
	}
	var before []byte
	for _, env := range [][]string{{}, {"GOAMD64=v3", "GOARM64=v9.0", "GOEXPERIMENT=nosuch", "GOFLAGS=-race", "GOFIPS140=latest", "GOENV=/no/such/file", "CGO_ENABLED=1", "GOOS=plan9", "GZIP=-1"}} {
		cmd := exec.Command("scripts/release.sh", "v1.2.3", digest)
		cmd.Dir = dir
		cmd.Env = append(env, "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		written, err := os.ReadFile(filepath.Join(dir, "native/release.json"))
		if err == nil {
			err = json.Unmarshal(written, &list)
		}
		if err != nil {
			t.Fatal(err)
		}
		if before != nil && string(written) != string(before) {
			t.Errorf("with %q:\n%s\nwithout:\n%s", env, written, before)
		}
		before = written
	}
	if list.Version != "1.2.3" || list.URL != "https://github.com/planton/kubernetes-job-action/releases/download/v1.2.3" || len(list.Programs) != 6 {
		t.Errorf("%+v", list)
	}
	for platform, system := range map[string]string{
		"linux-x64": "linux_amd64", "linux-arm64": "linux_arm64", "darwin-x64": "darwin_amd64", "darwin-arm64": "darwin_arm64", "win32-x64": "windows_amd64", "win32-arm64": "windows_arm64",
	} {
		p := list.Programs[platform]
		content, err := exec.Command("gunzip", "--stdout", filepath.Join(dir, "dist", p.File)).Output()
		sum := sha256.Sum256(content)
		if err != nil || p.File != "kubernetes-job-action_"+system+".gz" || p.Size != len(content) || p.SHA256 != hex.EncodeToString(sum[:]) {
			t.Errorf("%s: %+v, %v", platform, p, err)
		}
		goos, goarch, _ := strings.Cut(system, "_")
		if built := "\n" + string(content); !strings.Contains(built, "\nGOOS="+goos+"\n") || !strings.Contains(built, "\nGOARCH="+goarch+"\n") || !strings.Contains(built, ".version=v1.2.3 ") {
			t.Errorf("%s is built with %s", platform, built)
		}
	}
	image := regexp.MustCompile(`(?m)^  image: .*$`)
	released, err := os.ReadFile(filepath.Join(dir, "action.yml"))
	if want := image.ReplaceAllString(string(action), "  image: docker://ghcr.io/planton/kubernetes-job-action@"+digest); err != nil || string(released) != want {
		t.Errorf("%v, action.yml:\n%s", err, released)
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
