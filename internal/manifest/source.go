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
	"syscall"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// What all the files of one Load may hold together. No single object can be larger than etcd's 1.5 MiB. With these, the YAML
// library stays below a second and 100 MB.
const (
	maxBytes = 4 << 20
	maxNodes = 100_000
	maxFiles = 1000
)

// tooLarge is what is wrong with more than maxBytes.
var tooLarge = fmt.Sprintf("the manifest is larger than %d MiB, which no cluster would take", maxBytes>>20)

type budget struct{ bytes, nodes int }

// Folder is one that paths may lead into.
type Folder struct {
	Path     string // absolute
	Variable string // the environment variable that names it
	Hint     string // what to look at when something is not in it; may be empty
}

// file is one readable source: its name as the user knows it, and what it holds.
type file struct {
	name  string
	text  []byte
	piped bool // a command may have written it
}

// value is that of a variable to be replaced.
type value struct {
	value      string
	set        bool
	used       bool
	secret     bool // it is a secret, or a part of one
	credential bool // it looks like one
}

// reader collects the findings of one Load.
type reader struct {
	source    Source
	findings  []event.Finding
	secrets   []event.Secret
	read      []fs.FileInfo
	roots     []*os.Root // of Source.Confine; nil for those that are not there
	budget    budget
	files     int
	stdin     bool              // was read
	empty     bool              // the file has a List without items
	variables map[string]*value // of Source.Substitute
}

func (r *reader) add(f event.Finding) { r.findings = event.AddFindings(r.findings, f) }

// problem is an error about an option.
func (r *reader) problem(option, message, suggestion string) {
	r.add(event.Finding{Level: event.Error, Path: option, Message: message, Suggestion: suggestion})
}

// hold takes bytes that are held from now on out of the budget, and tells whether it had as many.
func (r *reader) hold(bytes int) bool {
	r.budget.bytes -= max(bytes, 0)
	return r.budget.bytes >= 0
}

// enter opens the folders that paths are confined to. The first one must be there.
func (r *reader) enter(option string) bool {
	for i, f := range r.source.Confine[len(r.roots):] {
		root, err := os.OpenRoot(f.Path)
		if err != nil && i == 0 && len(r.roots) == 0 {
			r.problem(option, fmt.Sprintf("the workspace %s cannot be read: %v", f.Path, cause(err)), f.Variable+" names it; a container must have it mounted there")
			return false
		}
		r.roots = append(r.roots, root)
	}
	return true
}

func (r *reader) close() {
	for _, root := range r.roots {
		if root != nil {
			root.Close() // it was only read
		}
	}
}

// open reads all files that paths name, each once.
func (r *reader) open(paths []string, option string) []file {
	var files []file
	seen := map[string]bool{}
	if r.text(paths) { // unshown: it may hold secrets
		suggestion := "write it into a file"
		if option == "manifest" {
			suggestion = "give it as " + inline
		}
		r.problem(option, "it is the text of a manifest, and no path", suggestion)
		return nil
	}
	for _, p := range paths {
		if address.MatchString(p) { // unshown: it may hold a token
			r.problem(option, "it is a URL, and only files are read", "download it first, or into a pipe: curl -fsSL URL | kubernetes-job-action --manifest -")
			continue
		}
		if p == "" { // it would be the working directory, with all that lies there
			r.problem(option, "a path is empty", "is the variable in it set?")
			continue
		}
		if p == "-" {
			files = append(files, r.standardInput(option)...)
			continue
		}
		if !r.enter(option) {
			break
		}
		if info, ok := r.pipe(p); ok {
			if clean := filepath.Clean(r.absolute(p)); !seen[clean] {
				seen[clean], r.read = true, append(r.read, info)
				if f, ok := r.limited(p, option, r.ending(&pipe{path: clean})); ok {
					f.piped = true
					files = append(files, f)
				}
			}
			continue
		}
		for _, name := range r.expand(p, option) {
			if clean := filepath.Clean(r.absolute(name)); !seen[clean] {
				seen[clean] = true
				if f, ok := r.file(name, option); ok {
					files = append(files, f)
				}
			}
		}
	}
	return files
}

var (
	address = regexp.MustCompile(`^[a-z][a-z0-9+.-]*://`)
	// fieldOfAll is a field that every manifest has, in YAML or JSON.
	fieldOfAll = regexp.MustCompile(`(?m)^[ \t]*(?:apiVersion|kind)[ \t]*:|"(?:apiVersion|kind)"[ \t]*:`)
)

// text tells whether what should be paths is a manifest, or its lines.
func (r *reader) text(paths []string) bool {
	return slices.ContainsFunc(paths, func(p string) bool {
		if !fieldOfAll.MatchString(p) {
			return false
		}
		_, err := os.Lstat(r.absolute(p))
		return err != nil
	})
}

// stdin is what findings call standard input.
const stdin = "<stdin>"

// inline is what they call text that is given.
const inline = "manifest-content"

func (r *reader) standardInput(option string) []file {
	switch {
	case r.stdin:
		r.problem(option, `"-" is given twice, but standard input can be read only once`, "")
	case r.source.Stdin == nil:
		r.problem(option, `"-" means standard input, and there is none`, "name a file")
	default:
		r.stdin = true
		if f, ok := r.limited(stdin, option, r.ending(r.source.Stdin)); ok {
			f.piped = true
			return []file{f}
		}
	}
	return nil
}

// ending is a reader that ends with the run.
func (r *reader) ending(from io.Reader) io.Reader {
	if r.source.Ending == nil {
		return from
	}
	return r.source.Ending(from)
}

// pipe tells whether a path is that of a pipe, as a shell names one for <(…). In a folder or a glob one is an accident, which would be waited
// for; and what is confined to a workspace reads plain files of it alone.
func (r *reader) pipe(path string) (fs.FileInfo, bool) {
	info, err := os.Stat(r.absolute(path))
	return info, err == nil && info.Mode()&fs.ModeNamedPipe != 0 && len(r.source.Confine) == 0
}

// pipe is opened by whoever reads it: that waits for a writer.
type pipe struct {
	path string
	file *os.File
}

func (p *pipe) Read(b []byte) (n int, err error) {
	if p.file == nil {
		if p.file, err = os.Open(p.path); err != nil {
			return 0, err
		}
	}
	if n, err = p.file.Read(b); err != nil {
		p.file.Close() // it was only read
	}
	return n, err
}

func (r *reader) absolute(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(r.source.Dir, name)
}

// place is where a path is looked up: below a root, which nothing leads out of, or in the whole file system.
type place struct {
	root *os.Root
	name string // below root, or absolute
}

// locate gives the place of a path. It is an error when no folder of Source.Confine holds it, by its name or as links lead.
func (r *reader) locate(path string) (place, bool) {
	full := r.absolute(path)
	if len(r.source.Confine) == 0 {
		return place{nil, full}, true
	}
	target := resolved(full)
	for i, f := range r.source.Confine {
		base, err := filepath.Abs(f.Path)
		if err != nil || r.roots[i] == nil {
			continue
		}
		// Either may be named by a link, and a link inside may be absolute, which a root never follows.
		if rel, ok := below(resolved(base), target); ok {
			return place{r.roots[i], rel}, true
		}
		if rel, ok := below(base, full); ok {
			return place{r.roots[i], rel}, true
		}
	}
	return place{nil, full}, false
}

// Holds tells whether one of the folders of Confine holds the file that is or would be at path, as links lead. Without such folders, all
// is held.
func (s Source) Holds(path string) bool {
	folder := resolved(filepath.Dir(path))
	for _, f := range s.Confine {
		if _, ok := below(resolved(f.Path), folder); ok {
			return true
		}
	}
	return len(s.Confine) == 0
}

// below is a path as it is seen from a folder that it is in.
func below(folder, path string) (string, bool) {
	rel, err := filepath.Rel(folder, path)
	return rel, err == nil && filepath.IsLocal(rel)
}

// resolved is a path without links, or the path itself when nothing is there.
func resolved(path string) string {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return target
	}
	return path
}

func (p place) stat() (fs.FileInfo, error) {
	if p.root != nil {
		return p.root.Stat(p.name)
	}
	return os.Stat(p.name)
}

func (p place) readDir() ([]fs.DirEntry, error) {
	if p.root != nil {
		return fs.ReadDir(p.root.FS(), filepath.ToSlash(p.name))
	}
	return os.ReadDir(p.name)
}

// glob gives absolute paths.
func (p place) glob() ([]string, error) {
	if p.root == nil {
		return filepath.Glob(p.name)
	}
	matches, err := fs.Glob(p.root.FS(), filepath.ToSlash(p.name))
	for i, m := range matches {
		matches[i] = filepath.Join(p.root.Name(), m)
	}
	return matches, err
}

// open opens a plain file. Anything else is not even opened, as far as that can be seen before: a pipe would wait for a writer,
// and opening a device may do something.
func (p place) open() (*os.File, fs.FileInfo, error) {
	info, err := p.stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errNotPlain
	}
	if err != nil {
		return nil, nil, err
	}
	const flags = os.O_RDONLY | syscall.O_NONBLOCK // it may have become a pipe
	var f *os.File
	if p.root != nil {
		f, err = p.root.OpenFile(p.name, flags, 0)
	} else {
		f, err = os.OpenFile(p.name, flags, 0)
	}
	if err != nil {
		return nil, nil, err
	}
	if info, err = f.Stat(); err == nil && !info.Mode().IsRegular() {
		err = errNotPlain
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

var errNotPlain = errors.New("it is not a plain file")

// escapes tells whether a root refused what leads out of it; os has no name for this error.
func escapes(err error) bool { return cause(err).Error() == "path escapes from parent" }

// cause is what the system said, without its path.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

var glob = regexp.MustCompile(`[*?[]`)

// expand gives the files that one path names. A name that exists is never read as a glob.
func (r *reader) expand(path, option string) []string {
	at, ok := r.locate(path)
	if !ok {
		suggestion := "name a file of the repository's checkout"
		if strings.HasPrefix(path, "/dev/fd/") {
			suggestion = "pipe it to --" + option + "=- instead of <(…)"
		}
		r.problem(option, fmt.Sprintf("%q leads out of the workspace", path), suggestion)
		return nil
	}
	info, err := at.stat()
	switch {
	case err == nil && info.IsDir():
		return r.folder(path, at, option)
	case err == nil:
		return []string{path}
	case !glob.MatchString(path):
		r.unreadable(path, option, err)
		return nil
	case strings.Contains(path, "**"):
		r.problem(option, fmt.Sprintf("%q: ** is not supported", path), "name the folders, one glob a line")
		return nil
	}
	matches, err := at.glob()
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
		if at, ok := r.locate(m); ok {
			if info, err := at.stat(); err == nil && info.IsDir() {
				continue
			}
		}
		if rel, err := filepath.Rel(r.source.Dir, m); err == nil && !filepath.IsAbs(path) {
			m = rel
		}
		names = append(names, m)
	}
	return names
}

var extensions = []string{".yaml", ".yml", ".json"}

// folder reads a folder as kubectl does without --recursive (k8s.io/cli-runtime/pkg/resource, FileExtensions).
func (r *reader) folder(path string, at place, option string) []string {
	entries, err := at.readDir()
	if err != nil {
		r.unreadable(path, option, err)
		return nil
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() && folderFile.MatchString(e.Name()) { // what lies beside it is no manifest yet
			return []string{filepath.Join(path, e.Name())}
		}
		if !e.IsDir() && slices.Contains(extensions, filepath.Ext(e.Name())) {
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
	switch {
	case escapes(err):
		r.problem(option, fmt.Sprintf("%q leads out of the workspace by a symbolic link", path), "name a file of the repository's checkout")
		return
	case errors.Is(err, errNotPlain):
		r.problem(option, fmt.Sprintf("%q is not a plain file", path), `what a pipe holds can be given to standard input, which is "-"`)
		return
	}
	err = cause(err)
	suggestion := ""
	if words := strings.FieldsFunc(path, func(r rune) bool { return r == ',' || r == ' ' }); errors.Is(err, fs.ErrNotExist) && len(words) > 1 && slices.Contains(extensions, filepath.Ext(words[0])) {
		suggestion = "name one file a line"
	} else if errors.Is(err, fs.ErrNotExist) {
		suggestion = fmt.Sprintf("paths start at %s", r.source.Dir)
		if c := r.source.Confine; len(c) > 0 && c[0].Hint != "" {
			suggestion += ", the workspace; " + c[0].Hint
		}
		if dir, ok := r.locate(filepath.Dir(r.absolute(path))); ok {
			if entries, e := dir.readDir(); e == nil {
				var names []string
				for _, d := range entries[:min(len(entries), 1000)] {
					names = append(names, d.Name())
				}
				if near := Closest(filepath.Base(path), names); near != "" {
					suggestion = didYouMean(filepath.Join(filepath.Dir(path), near))
				}
			}
		}
	}
	r.problem(option, fmt.Sprintf("%q cannot be read: %v", path, err), suggestion)
}

func (r *reader) file(name, option string) (file, bool) {
	if r.files++; r.files > maxFiles {
		if r.files == maxFiles+1 {
			r.problem(option, fmt.Sprintf("more than %d files are named", maxFiles), "name fewer")
		}
		return file{}, false
	}
	at, ok := r.locate(name)
	if !ok { // a glob's match below an absolute link
		r.problem(option, fmt.Sprintf("%q leads out of the workspace", name), "name a file of the repository's checkout")
		return file{}, false
	}
	f, info, err := at.open()
	if err != nil {
		r.unreadable(name, option, err)
		return file{}, false
	}
	defer f.Close()
	r.read = append(r.read, info)
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
		r.add(event.Finding{Level: event.Error, File: name, Message: tooLarge})
		return file{}, false
	}
	r.budget.bytes -= len(text)
	return file{name: name, text: text}, true
}
