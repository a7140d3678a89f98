// Package recorded gives tests the runs of testdata/runs, which were recorded with format: json (e2e/record.sh). Only tests import it.
package recorded

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/golden"
	"github.com/planton/kubernetes-job-action/internal/report"
	"github.com/planton/kubernetes-job-action/internal/report/json"
)

// Run is one of them. Its events have crossed the border of report.Fanout already.
type Run struct {
	Name   string
	Events []event.Event
	Lines  [][]byte // of the file, one for each event
}

// Runs are all of them, by name.
func Runs(t testing.TB) []Run {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root(t), "testdata", "runs", "*.jsonl*"))
	if err != nil {
		t.Fatal(err)
	}
	var runs []Run
	for _, file := range files {
		name, _, _ := strings.Cut(filepath.Base(file), ".")
		r := Run{Name: name}
		text, err := golden.Read(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			e, err := json.Decode(line)
			if err != nil {
				t.Fatalf("%s: %v\n%s", file, err, line)
			}
			r.Events, r.Lines = append(r.Events, e), append(r.Lines, line)
		}
		runs = append(runs, r)
	}
	if len(runs) < 12 {
		t.Fatalf("only %d recorded runs in %s", len(runs), root(t))
	}
	return runs
}

// Tell tells a run to sinks, as the program does.
func (r Run) Tell(t testing.TB, sinks ...report.Sink) {
	t.Helper()
	f := report.New(sinks...)
	for _, e := range r.Events {
		if err := f.Event(e); err != nil {
			t.Fatalf("%s: %v", r.Name, err)
		}
	}
}

// Golden is the file that holds what a reporter makes of a run, with the given ending. That of many pods is compressed.
func (r Run) Golden(ending string) string {
	const most = 1000 // pods
	if f, ok := r.Events[len(r.Events)-1].(event.Finished); ok && len(f.Pods) > most {
		ending += ".gz"
	}
	return filepath.Join("testdata", "runs", r.Name+ending)
}

// root is the folder of the module.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
}
