package manifest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// What all the files of one Load may hold together. No single object can be larger than etcd's 1.5 MiB. With these, the YAML
// library stays below a second and 100 MB.
const (
	maxBytes = 4 << 20
	maxNodes = 100_000
	maxFiles = 1000
)

type budget struct{ bytes, nodes int }

// file is one readable source: its name as the user knows it, and what it holds.
type file struct {
	name string
	text []byte
}

// reader collects the findings of one Load.
type reader struct {
	source   Source
	findings []event.Finding
	budget   budget
	files    int
	stdin    bool            // was read
	names    map[string]bool // of Source.Substitute: whether it occurred
}

// problem is an error about an option.
func (r *reader) problem(option, message, suggestion string) {
	r.findings = append(r.findings, event.Finding{Level: event.Error, Path: option, Message: message, Suggestion: suggestion})
}

// open reads all files that paths name, each once.
func (r *reader) open(paths []string, option string) []file {
	var files []file
	seen := map[string]bool{}
	for _, p := range paths {
		if p == "" { // it would be the working directory, with all that lies there
			r.problem(option, "a path is empty", "is the variable in it set?")
			continue
		}
		if p == "-" {
			files = append(files, r.standardInput(option)...)
			continue
		}
		if c := r.source.Confine; c != "" {
			if _, err := os.Stat(c); err != nil {
				r.problem(option, fmt.Sprintf("the workspace cannot be read: %v", err), "GITHUB_WORKSPACE names it; a container must have it mounted there")
				break
			}
		}
		for _, name := range r.expand(p, option) {
			if clean := filepath.Clean(r.absolute(name)); !seen[clean] {
				seen[clean] = true
				if f, ok := r.read(name, option); ok {
					files = append(files, f)
				}
			}
		}
	}
	return files
}

func (r *reader) standardInput(option string) []file {
	switch {
	case r.stdin:
		r.problem(option, `"-" is given twice, but standard input can be read only once`, "")
	case r.source.Stdin == nil:
		r.problem(option, `"-" means standard input, and there is none`, "name a file")
	default:
		r.stdin = true
		if f, ok := r.limited("<stdin>", option, r.source.Stdin); ok {
			return []file{f}
		}
	}
	return nil
}

func (r *reader) absolute(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(r.source.Dir, name)
}

var glob = regexp.MustCompile(`[*?[]`)

// expand gives the files that one path names. A name that exists is never read as a glob.
func (r *reader) expand(path, option string) []string {
	full := r.absolute(path)
	if c := r.source.Confine; c != "" && !within(c, full) {
		r.problem(option, fmt.Sprintf("%q leads out of the workspace", path), "name a file of the repository's checkout")
		return nil
	}
	info, err := os.Stat(full)
	switch {
	case err == nil && info.IsDir():
		return r.folder(path, full, option)
	case err == nil:
		return []string{path}
	case !glob.MatchString(path):
		r.unreadable(path, option, err)
		return nil
	case strings.Contains(path, "**"):
		r.problem(option, fmt.Sprintf("%q: ** is not supported", path), "name the folders, one glob a line")
		return nil
	}
	matches, err := filepath.Glob(full)
	if err != nil {
		r.problem(option, fmt.Sprintf("%q is no pattern: %v", path, err), "")
		return nil
	}
	names := r.manifests(matches, path)
	if len(names) == 0 {
		r.problem(option, fmt.Sprintf("no file matches %q", path), "")
	}
	return names
}

// manifests are those of the matches that are no folders, named as the user would name them.
func (r *reader) manifests(matches []string, path string) []string {
	var names []string
	for _, m := range matches {
		if info, err := os.Stat(m); err == nil && info.IsDir() {
			continue
		}
		if rel, err := filepath.Rel(r.source.Dir, m); err == nil && !filepath.IsAbs(path) {
			m = rel
		}
		names = append(names, m)
	}
	return names
}

// folder reads a folder as kubectl does without --recursive (k8s.io/cli-runtime/pkg/resource, FileExtensions).
func (r *reader) folder(path, full, option string) []string {
	entries, err := os.ReadDir(full)
	if err != nil {
		r.unreadable(path, option, err)
		return nil
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(e.Name())) {
			names = append(names, filepath.Join(path, e.Name()))
		}
	}
	if len(names) == 0 {
		r.problem(option, fmt.Sprintf("the folder %q holds no *.yaml, *.yml or *.json", path), "name the file")
	}
	return names
}

// unreadable says why without the system's path, which may not be the one that the user wrote.
func (r *reader) unreadable(path, option string, err error) {
	var perr *fs.PathError
	if errors.As(err, &perr) {
		err = perr.Err
	}
	suggestion := ""
	if errors.Is(err, fs.ErrNotExist) {
		suggestion = fmt.Sprintf("paths start at %s", r.source.Dir)
		if r.source.Confine != "" {
			suggestion += ", the workspace; is it mounted, and is actions/checkout a step before?"
		}
		if dir, e := os.ReadDir(filepath.Dir(r.absolute(path))); e == nil {
			var names []string
			for _, d := range dir[:min(len(dir), 1000)] {
				names = append(names, d.Name())
			}
			if near := Closest(filepath.Base(path), names); near != "" {
				suggestion = didYouMean(filepath.Join(filepath.Dir(path), near))
			}
		}
	}
	r.problem(option, fmt.Sprintf("%q cannot be read: %v", path, err), suggestion)
}

func (r *reader) read(name, option string) (file, bool) {
	if r.files++; r.files > maxFiles {
		if r.files == maxFiles+1 {
			r.problem(option, fmt.Sprintf("more than %d files are named", maxFiles), "name fewer")
		}
		return file{}, false
	}
	full := r.absolute(name)
	if c := r.source.Confine; c != "" {
		real, err := filepath.EvalSymlinks(full)
		if err == nil {
			c, err = filepath.EvalSymlinks(c)
		}
		if err != nil {
			r.unreadable(name, option, err)
			return file{}, false
		}
		if !within(c, real) {
			r.problem(option, fmt.Sprintf("%q leads out of the workspace by a symbolic link", name), "name a file of the repository's checkout")
			return file{}, false
		}
		if info, err := os.Stat(real); err == nil && !info.Mode().IsRegular() {
			r.problem(option, fmt.Sprintf("%q is not a plain file", name), "")
			return file{}, false
		}
		full = real
	}
	f, err := os.Open(full)
	if err != nil {
		r.unreadable(name, option, err)
		return file{}, false
	}
	defer f.Close()
	return r.limited(name, option, f)
}

// limited reads what the budget has left, and nothing of a longer source: 50 MB cost no more than the limit.
func (r *reader) limited(name, option string, from io.Reader) (file, bool) {
	text, err := io.ReadAll(io.LimitReader(from, int64(r.budget.bytes)+1))
	if err != nil {
		r.unreadable(name, option, err)
		return file{}, false
	}
	if len(text) > r.budget.bytes {
		r.findings = append(r.findings, event.Finding{Level: event.Error, File: name, Message: fmt.Sprintf("the manifest is larger than %d MiB, which no cluster would take", maxBytes>>20)})
		return file{}, false
	}
	r.budget.bytes -= len(text)
	return file{name: name, text: text}, true
}

// within tells whether path is dir or below it, by their names alone.
func within(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}
