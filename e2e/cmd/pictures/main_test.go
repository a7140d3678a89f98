package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/planton/kubernetes-job-action/e2e/devcluster"
)

// Every golden summary is what GitHub's renderers take: its diagrams are drawn, it fits, and nothing that it quotes has become a link or a picture.
func TestSummariesAreRendered(t *testing.T) {
	cluster, err := devcluster.Open("", t.Output())
	if err != nil {
		t.Fatal(err)
	}
	var golden []string
	for _, pattern := range []string{"*.md", "runs/*.md"} {
		found, err := filepath.Glob(filepath.Join("../..", summaries, pattern))
		if err != nil || len(found) < len(shown) {
			t.Fatalf("golden summaries %q, %v", found, err)
		}
		golden = append(golden, found...)
	}
	dir := t.TempDir()
	var pages []string
	for _, page := range golden {
		pages = append(pages, page, filepath.Join(dir, filepath.Base(page)+".png"))
	}
	if err := cluster.Pictures(t.Context(), pages...); err != nil {
		t.Error(err)
	}
	for name, wrong := range map[string][2]string{
		"a diagram": {"```mermaid\ngantt\n  dateFormat x\n  section a\n  b :crit\n  click\n```", "a diagram cannot be drawn"},
		"a link":    {"www.example.com", "a <a>"},
		"a picture": {"![x](x.png)", "a <img>"},
	} {
		page := filepath.Join(dir, "wrong.md")
		if err := os.WriteFile(page, []byte(wrong[0]), 0o644); err != nil {
			t.Fatal(err)
		}
		err := cluster.Pictures(t.Context(), page, page+".png")
		if err == nil || !strings.Contains(err.Error(), wrong[1]) {
			t.Errorf("%s: %v, want an error with %q", name, err, wrong[1])
		}
	}
}
