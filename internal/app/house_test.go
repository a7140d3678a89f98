package app

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/planton/kubernetes-job-action/"

// below is the table of docs/architecture.md: what each package may import of ours.
var below = map[string][]string{
	"cmd/kubernetes-job-action": {"internal/app"},
	"internal/app": {"internal/config", "internal/run", "internal/report", "internal/report/text", "internal/report/github", "internal/report/dotenv",
		"internal/report/json", "internal/report/result", "internal/report/junit", "internal/report/lines", "internal/watch",
		"internal/logs", "internal/verdict", "internal/render", "internal/kubernetesjob", "internal/manifest", "internal/cluster", "internal/event"},
	"internal/config":        {"internal/run", "internal/verdict", "internal/report", "internal/render", "internal/manifest", "internal/cluster", "internal/event"},
	"internal/run":           {"internal/watch", "internal/logs", "internal/verdict", "internal/cluster", "internal/outage", "internal/pods", "internal/event"},
	"internal/report":        {"internal/event"},
	"internal/report/text":   {"internal/report", "internal/event"},
	"internal/report/github": {"internal/report", "internal/event"},
	"internal/report/dotenv": {"internal/report", "internal/event"},
	"internal/report/json":   {"internal/event"},
	"internal/report/result": {"internal/report/json", "internal/report", "internal/event"},
	"internal/report/junit":  {"internal/report", "internal/event"},
	"internal/report/lines":  {"internal/report", "internal/event"},
	"internal/watch":         {"internal/outage", "internal/event"},
	"internal/logs":          {"internal/outage", "internal/pods", "internal/event"},
	"internal/verdict":       {"internal/refusal", "internal/pods", "internal/event"},
	"internal/render":        {"internal/kubernetesjob", "internal/manifest", "internal/event"},
	"internal/kubernetesjob": {"internal/manifest", "internal/event"},
	"internal/manifest":      {"internal/event"},
	"internal/cluster":       {"internal/outage", "internal/refusal", "internal/event"},
	"internal/outage":        {"internal/event"},
	"internal/refusal":       {"internal/event"},
	"internal/pods":          {},
	"internal/event":         {},
	"internal/golden":        {},                                                                               // for tests
	"internal/recorded":      {"internal/report/json", "internal/report", "internal/golden", "internal/event"}, // for tests
	"internal/apitest":       {},                                                                               // for tests
	"internal/actionsrunner": {},                                                                               // for tests
}

type listed struct {
	ImportPath string
	Name       string
	Doc        string
	Imports    []string
	Deps       []string
}

func list(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps=false", "-json=ImportPath,Name,Doc,Imports,Deps", module+"...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// Arrows only point down, every package says what it is for, and the rooms without I/O stay so.
func TestHouse(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range list(t) {
		room := strings.TrimPrefix(p.ImportPath, module)
		seen[room] = true
		allowed, known := below[room]
		if !known {
			t.Errorf("%s is not in the table of docs/architecture.md", room)
			continue
		}
		for _, i := range p.Imports {
			if own, ours := strings.CutPrefix(i, module); ours && !slices.Contains(allowed, own) {
				t.Errorf("%s must not import %s", room, own)
			}
		}
		if p.Doc == "" {
			t.Errorf("%s has no package comment", room)
		}
		for _, d := range p.Deps {
			if d == "k8s.io/client-go/kubernetes/scheme" || d == "k8s.io/client-go/discovery" {
				t.Errorf("%s depends on %s, which links all of Kubernetes' API", room, d)
			}
		}
		if strings.HasPrefix(room, "internal/event") || room == "internal/verdict" || room == "internal/render" || room == "internal/kubernetesjob" {
			for _, d := range p.Deps {
				if d == "k8s.io/client-go/rest" {
					t.Errorf("%s depends on %s: it must compute without a client", room, d)
				}
			}
		}
	}
	for room := range below {
		if !seen[room] {
			t.Errorf("%s is in the table, but not in the module", room)
		}
	}
}
