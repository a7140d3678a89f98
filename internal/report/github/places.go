package github

import (
	"bytes"
	"cmp"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sethvargo/go-githubactions"
)

// Bounds of the search for files, whatever a container writes and however large the workspace is.
const (
	maxLooks   = 100     // files that are opened
	maxEntries = 20_000  // entries of the workspace, when a file is looked for by its name
	maxSource  = 4 << 20 // bytes of a file that are read
)

// place is where a program says that an error happened.
type place struct {
	file   string // as the program named it
	line   int    // from 1; 0 when it named none
	column int    // from 1; 0 when it named none
	text   string // what the line holds, when it named none; may be empty
	named  bool   // file is a name, or the end of a path: it counts when one file alone is called so
}

// mistake is an error that a program told.
type mistake struct {
	message string
	places  []place // the innermost first
}

// A frame is how a language or a tool writes a line that names a place: with the groups file (or name, see place.named), line, column, package
// (the folder of a name) and message, as far as there are such. Without a message, the error stands above it.
type frame struct {
	line  *regexp.Regexp
	below bool // the error stands below the frames, the innermost of which is the last
	test  bool // the name is that of a Go test, and its package stands below
}

var frames = []frame{
	// psql
	{line: regexp.MustCompile(`^psql:(?P<file>.+?):(?P<line>\d+): (?P<message>(?:ERROR|FATAL|PANIC|error):.*)`)},
	// TypeScript's compiler
	{line: regexp.MustCompile(`^(?P<file>[^\s(:]+)\((?P<line>\d+),(?P<column>\d+)\): (?P<message>error .*)`)},
	// PHP
	{line: regexp.MustCompile(`^(?:PHP )?(?P<message>(?:Fatal|Parse|Recoverable fatal) error: .*?) in (?P<file>\S+\.\w+)(?::| on line )(?P<line>\d+)$`)},
	// Python
	{line: regexp.MustCompile(`^\s*File "(?P<file>[^"]+)", line (?P<line>\d+)`), below: true},
	// klog, the levels error and fatal
	{line: regexp.MustCompile(`^[EF]\d{4} \S+\s+\d+ (?P<name>[\w.-]+\.go):(?P<line>\d+)\] (?P<message>.*)`)},
	// Go
	{line: regexp.MustCompile(`^\s+(?P<name>[\w.-]+_test\.go):(?P<line>\d+): (?P<message>.*)`), test: true},
	{line: regexp.MustCompile(`^\t(?P<file>\S.*\.go):(?P<line>\d+)(?: \+0x[0-9a-f]+)?$`)},
	// JVM
	{line: regexp.MustCompile(`^\s+at (?:[^\s/()]*//?){0,2}(?P<package>(?:[\w$]+\.)*)[\w$]+\.[\w$<>]+\((?P<name>\w+\.(?:java|kt|scala|groovy)):(?P<line>\d+)\)`)},
	// .NET
	{line: regexp.MustCompile(`^\s+at .+ in (?P<file>\S.*):line (?P<line>\d+)$`)},
	// Node.js
	{line: regexp.MustCompile(`^\s+at (?:.*\(|async )?(?:file://)?(?P<file>[^():\s]+):(?P<line>\d+):(?P<column>\d+)\)?$`)},
	// Rust
	{line: regexp.MustCompile(`^thread '.*' (?:\(\d+\) )?(?P<message>panicked) at (?P<file>\S+?):(?P<line>\d+):(?P<column>\d+):$`)},
	// Ruby and Rails
	{line: regexp.MustCompile("^(?:\\s+(?:\\d+: )?from )?(?P<file>[^\\s:]+\\.\\w+):(?P<line>\\d+):in [`'][^']*'(?:: (?P<message>.+))?$")},
	// shells
	{line: regexp.MustCompile(`^(?P<file>[^\s:]+): (?:line )?(?P<line>\d+): (?P<message>.+)`)},
	// goose
	{line: regexp.MustCompile(`\bERROR (?P<name>\d+_[\w.-]+\.(?:sql|go)): (?P<message>.+)`)},
	// compilers and much else, when it sounds like an error
	{line: regexp.MustCompile(`^(?P<file>[^\s:]+\.\w+):(?P<line>\d+)(?::(?P<column>\d+))?(?::| -) (?P<message>.*(?i:error|fail|fatal|undefined|undeclared|expected|cannot|invalid|missing|exception|not used).*)`)},
}

var (
	// errorLine is the line above the frames that says what happened.
	errorLine = regexp.MustCompile(`^(?:Exception in thread "[^"]*" |Caused by: |Unhandled exception\. |Uncaught |\s*---> )?((?:(?:panic|fatal error): .*|[\w.:$]*(?:Error|Exception|Invalid|NotFound|Failure)\b.*))$`)
	query     = regexp.MustCompile(`SQL query ("(?:[^"\\]|\\.)*")`) // goose
	goPackage = regexp.MustCompile(`^FAIL\t(\S+)\t`)
)

// mistakes reads the last lines of a program. That is a guess about text that anybody may have written: what it finds counts only when there is
// such a file.
func mistakes(lines []string) []mistake {
	var all []mistake
	var tests []int  // those of Go tests whose package is not known yet
	var above string // what stands above the frames
	trace := -1      // the frame that the last mistake is made of, while more may follow
	var tools migration
	for _, line := range lines {
		i, p, message := read(line)
		switch {
		case i < 0:
		case message != "":
			if frames[i].test {
				tests = append(tests, len(all))
			}
			all = append(all, mistake{message, []place{p}})
			trace = i
			continue
		case trace != i:
			all = append(all, mistake{above, []place{p}})
			trace = i
			continue
		default:
			m := &all[len(all)-1]
			if frames[i].below {
				m.places = slices.Insert(m.places, 0, p)
			} else {
				m.places = append(m.places, p)
			}
			continue
		}
		indented := strings.TrimLeft(line, " \t") != line
		switch m := errorLine.FindStringSubmatch(line); {
		case line == "":
		case trace >= 0 && frames[trace].below:
			if !indented {
				all[len(all)-1].message = line
				trace = -1
			}
		case m != nil:
			above, trace = m[1], -1
		case !indented && trace < 0 && !errorLine.MatchString(above):
			above = line
		}
		if m := goPackage.FindStringSubmatch(line); m != nil {
			for _, i := range tests {
				all[i].places[0].file = m[1] + "/" + all[i].places[0].file
			}
			tests = nil
		}
		if m, ok := tools.read(line); ok {
			all = append(all, m)
			trace = -1
		}
	}
	return all
}

// read takes a line apart that names a place; the index is -1 for one that does not.
func read(line string) (index int, p place, message string) {
	for i, f := range frames {
		m := f.line.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		group := func(name string) string {
			if g := f.line.SubexpIndex(name); g >= 0 {
				return m[g]
			}
			return ""
		}
		p.file, message = group("file"), group("message")
		if p.file == "" {
			p.named = true
			p.file = strings.ReplaceAll(group("package"), ".", "/") + group("name")
		}
		p.line, _ = strconv.Atoi(group("line"))
		p.column, _ = strconv.Atoi(group("column"))
		if q := query.FindStringSubmatch(message); p.line == 0 && q != nil {
			if text, err := strconv.Unquote(q[1]); err == nil {
				p.text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
			}
		}
		return i, p, message
	}
	return -1, p, ""
}

// migration is what tools that tell an error in several lines have told of it so far.
type migration struct {
	message string
	place   place
}

var (
	flywayMessage = regexp.MustCompile(`^Message\s+: (.*)`)
	flywayFile    = regexp.MustCompile(`^Location\s+: (\S+)`)
	flywayLine    = regexp.MustCompile(`^Line\s+: (\d+)`)
	// golang-migrate names the file with -verbose alone: https://github.com/golang-migrate/migrate, migrate.go and database/error.go
	migrateFile  = regexp.MustCompile(`Read and execute (\d+)/([ud]) ([\w.-]+)$`)
	migrateError = regexp.MustCompile(`\berror: (migration failed.* in line (\d+): .*)`)
)

func (t *migration) read(line string) (mistake, bool) {
	if m := flywayMessage.FindStringSubmatch(line); m != nil {
		t.message = m[1]
	}
	if m := flywayFile.FindStringSubmatch(line); m != nil {
		t.place = place{file: m[1]}
	}
	if m := migrateFile.FindStringSubmatch(line); m != nil {
		t.place = place{named: true, file: m[1] + "_" + m[3] + map[string]string{"u": ".up.sql", "d": ".down.sql"}[m[2]]}
	}
	m, n := flywayLine.FindStringSubmatch(line), migrateError.FindStringSubmatch(line)
	switch {
	case t.place.file == "":
		return mistake{}, false
	case m != nil:
		t.place.line, _ = strconv.Atoi(m[1])
	case n != nil:
		t.message = n[1]
		t.place.line, _ = strconv.Atoi(n[2])
	default:
		return mistake{}, false
	}
	told := mistake{t.message, []place{t.place}}
	*t = migration{}
	return told, true
}

// places annotates the lines of the workspace that the last lines of a container name as the places of its errors, of each error the innermost
// one that is there.
func (r *Reporter) places(tail []string) {
	workspace := r.getenv("GITHUB_WORKSPACE")
	if workspace == "" || len(tail) == 0 {
		return
	}
	root, err := os.OpenRoot(workspace)
	if err != nil { // no checkout
		return
	}
	defer root.Close()
	w := files{root: root, path: workspace, mapped: r.options.PathMap}
	told := map[place]bool{}
	for _, m := range mistakes(tail) {
		for _, p := range m.places {
			found, ok := w.find(p)
			if !ok {
				continue
			}
			if !told[found] && len(told) < maxPlaces {
				told[found] = true
				properties := githubactions.CommandProperties{"file": r.commands.Text(found.file)}
				if found.line > 0 {
					properties["line"] = strconv.Itoa(found.line)
				}
				if found.column > 0 {
					properties["col"] = strconv.Itoa(found.column)
				}
				r.annotate("error", maxAnnotations, properties, cmp.Or(m.message, "the container failed here"), "")
			}
			break
		}
	}
}

// files are the files of the workspace. Nothing outside of it is looked at: what leads there is not found (os.Root).
type files struct {
	root   *os.Root
	path   string   // of the workspace, for this process
	mapped []string // the option path-map
	looks  int
	named  map[string][]string // paths by name; nil until a file is looked for by its name
}

// homes are the folders in which images keep what a repository's root has, as the examples of most languages do.
var homes = []string{"/usr/src/app", "/go/src/app", "/workspace", "/app", "/src", "/code"}

// find is a place in the workspace: the path from its root, with slashes, and a line that the file has.
func (w *files) find(p place) (place, bool) {
	if p.named {
		p.file = w.byName(p.file)
	} else {
		p.file = w.byPath(p.file)
	}
	p.named = false
	if p.file == "" || !filepath.IsLocal(filepath.FromSlash(p.file)) || w.looks >= maxLooks {
		return place{}, false
	}
	w.looks++
	info, err := w.root.Stat(filepath.FromSlash(p.file))
	if err != nil || !info.Mode().IsRegular() { // before it is opened: a pipe would hang
		return place{}, false
	}
	f, err := w.root.Open(filepath.FromSlash(p.file))
	if err != nil {
		return place{}, false
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxSource))
	if err != nil {
		return place{}, false
	}
	if i := bytes.Index(content, []byte(p.text)); p.line == 0 && p.text != "" && i >= 0 {
		p.line = 1 + bytes.Count(content[:i], []byte("\n"))
	}
	p.text = ""
	// A line that is not there belongs to another file, or to another version of it.
	return p, p.line <= 1+bytes.Count(content, []byte("\n"))
}

// byPath is where a file of the container is in the workspace, "" when it can be in none.
func (w *files) byPath(file string) string {
	file = path.Clean(file)
	longest := -1
	to := file
	move := func(from, target string) {
		if rest, ok := under(file, from); ok && len(from) > longest {
			longest, to = len(from), path.Join(target, rest)
		}
	}
	for _, home := range homes {
		move(home, "")
	}
	move(filepath.ToSlash(w.path), "")
	for _, mapping := range w.mapped {
		from, target, _ := strings.Cut(mapping, "=")
		move(path.Clean(from), target)
	}
	if path.IsAbs(to) {
		return ""
	}
	return to
}

// under is the rest of a path that leads into a folder.
func under(file, folder string) (rest string, ok bool) {
	if folder == "/" {
		return strings.TrimPrefix(file, "/"), strings.HasPrefix(file, "/")
	}
	rest, ok = strings.CutPrefix(file, folder+"/")
	return rest, ok
}

// byName is the one file with this name, and with these folders as far as either of the two has them; "" when there are several or none.
// Zeros in front of a name do not count: tools that number files leave them out.
func (w *files) byName(file string) string {
	if w.named == nil {
		w.walk()
	}
	key := func(s string) string { return "/" + path.Join(path.Dir(s), strings.TrimLeft(path.Base(s), "0")) }
	var found []string
	for _, candidate := range w.named[path.Base(key(file))] {
		if a, b := key(file), key(candidate); strings.HasSuffix(a, b) || strings.HasSuffix(b, a) {
			found = append(found, candidate)
		}
	}
	if len(found) != 1 {
		return ""
	}
	return found[0]
}

// walk reads the names of the workspace's files. When there are too many, none is known: which one is the only one of its name cannot be told.
func (w *files) walk() {
	w.named = map[string][]string{}
	entries := 0
	_ = fs.WalkDir(w.root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		entries++
		switch {
		case entries > maxEntries:
			clear(w.named)
			return fs.SkipAll
		case err != nil:
			return fs.SkipDir
		case entry.IsDir() && name != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "node_modules"):
			return fs.SkipDir
		case entry.Type().IsRegular():
			key := strings.TrimLeft(entry.Name(), "0")
			w.named[key] = append(w.named[key], name)
		}
		return nil
	})
}
