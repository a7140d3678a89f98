// Command pictures renders, for the documentation, the step summaries of golden runs as GitHub shows them, and what a terminal shows of recorded runs.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/planton/kubernetes-job-action/e2e/devcluster"
)

// Folders, from this module's root.
const (
	summaries = "../internal/report/github/testdata"
	terminals = "../internal/report/text/testdata/runs"
	docs      = "../docs/pictures"
)

// shown are the summaries that the documentation shows.
var shown = []string{"succeeded", "failed", "indexes", "many"}

// screens are the terminals that it shows, each at a moment with a status line, and at its end.
var screens = []struct {
	run           string
	width, height int
	moment        *regexp.Regexp // ends in a status line
}{
	{"success", 80, 50, regexp.MustCompile(`(?s)add_customers.*? done, `)},
	{"failure", 80, 50, regexp.MustCompile(`(?s)add_orders.*? done, 1 running`)},
	{"100-indexes", 200, 32, regexp.MustCompile(`4\d/100 done, `)},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := pictures(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "pictures:", err)
		os.Exit(1)
	}
}

func pictures(ctx context.Context) error {
	cluster, err := devcluster.Open("", os.Stderr)
	if err != nil {
		return err
	}
	if err := cluster.InstallReaders(ctx); err != nil { // tmux
		return err
	}
	dir, err := os.MkdirTemp("", "pictures")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var pages []string
	for _, name := range shown {
		pages = append(pages, filepath.Join(summaries, name+".md"), filepath.Join(docs, name+".png"))
	}
	for _, s := range screens {
		all, err := os.ReadFile(filepath.Join(terminals, s.run+".ansi"))
		if err != nil {
			return err
		}
		moment := s.moment.FindIndex(all)
		if moment == nil {
			return fmt.Errorf("%s has no status line behind %s", s.run, s.moment)
		}
		until := moment[1] + bytes.IndexByte(all[moment[1]:], '\r') // where the line is taken away
		var both []string
		for _, written := range [][]byte{all[:until], all} {
			screen, err := show(ctx, dir, s.width, s.height, fmt.Sprintf("$ kubernetes-job-action --manifest %s.yaml\n%s", s.run, written))
			if err != nil {
				return err
			}
			both = append(both, screen)
		}
		page := filepath.Join(dir, s.run+".ansi")
		if err := os.WriteFile(page, []byte(strings.Join(both, "\f")), 0o600); err != nil {
			return err
		}
		pages = append(pages, page, filepath.Join(docs, "terminal-"+s.run+".png"))
	}
	return cluster.Pictures(ctx, pages...)
}

// show is what a terminal of that size shows when the bytes were written to it, with its colours.
func show(ctx context.Context, dir string, width, height int, written string) (string, error) {
	dir, err := os.MkdirTemp(dir, "") // a server that ends still has its socket
	if err != nil {
		return "", err
	}
	file, socket := filepath.Join(dir, "written"), filepath.Join(dir, "tmux")
	if err := os.WriteFile(file, []byte(written), 0o600); err != nil {
		return "", err
	}
	tmux := func(args ...string) (string, error) {
		out, err := exec.CommandContext(ctx, "tmux", append([]string{"-u", "-f", "/dev/null", "-S", socket}, args...)...).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("tmux %s: %w: %s", args[0], err, out)
		}
		return string(out), nil
	}
	// The title comes behind the bytes, so they are shown when it is.
	if _, err := tmux("new-session", "-d", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height), "sh", "-c", `cat "$1"; printf '\033]2;shown\033\\'; exec sleep 60`, "sh", file); err != nil {
		return "", err
	}
	defer tmux("kill-server")
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		title, err := tmux("display-message", "-p", "#{pane_title}")
		if err != nil {
			return "", err
		}
		if strings.TrimSpace(title) == "shown" {
			break
		}
		if time.Now().After(deadline) {
			return "", fmt.Errorf("the terminal shows nothing")
		}
	}
	screen, err := tmux("capture-pane", "-p", "-e")
	return strings.TrimRight(screen, "\n"), err
}
