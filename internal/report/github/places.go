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
	tool  string // whose; frames of one tool that follow one another are of one error
	line  *regexp.Regexp
	below bool // the error stands below the frames, the innermost of which is the last
	test  bool // the name is that of a Go test, and its package stands below
	head  bool // the error and its frames stand below, and the frames are more exact
	last  bool // it says nothing about whether it is an error: it is one when nothing follows
}

var frames = []frame{
	{tool: "psql", line: regexp.MustCompile(`(?:^|\s)psql:(?P<file>.+?):(?P<line>\d+): (?P<message>(?:ERROR|FATAL|PANIC|error):.*)`)},
	// TypeScript's and C#'s compilers
	{tool: "tsc", line: regexp.MustCompile(`^(?P<file>[^\s(:]+)\((?P<line>\d+),(?P<column>\d+)\): (?P<message>error .*)`)},
	{tool: "php", line: regexp.MustCompile(`^(?:PHP )?(?P<message>(?:Fatal|Parse|Recoverable fatal) error: .*?) in (?P<file>\S+\.\w+)(?::| on line )(?P<line>\d+)$`)},
	{tool: "php", line: regexp.MustCompile(`^#\d+ (?P<file>\S+\.\w+)\((?P<line>\d+)\): `)},
	{tool: "php", line: regexp.MustCompile(`^  thrown in (?P<file>\S+\.\w+) on line (?P<line>\d+)$`)},
	{tool: "python", line: regexp.MustCompile(`^\s*File "(?P<file>[^"]+)", line (?P<line>\d+)`), below: true},
	// klog, the levels error and fatal
	{tool: "klog", line: regexp.MustCompile(`^[EF]\d{4} \S+\s+\d+ (?P<name>[\w.-]+\.go):(?P<line>\d+)\] (?P<message>.*)`)},
	{tool: "go test", line: regexp.MustCompile(`^\s+(?P<name>[\w.-]+_test\.go):(?P<line>\d+): (?P<message>.*)`), test: true},
	{tool: "go", line: regexp.MustCompile(`^\t(?P<file>\S.*\.go):(?P<line>\d+)(?: \+0x[0-9a-f]+(?: [fs]p=.*)?)?$`)},
	// Go's package log, with log.Lshortfile or log.Llongfile
	{tool: "log", line: regexp.MustCompile(`^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d(?:\.\d+)? (?P<name>[\w.-]+\.go):(?P<line>\d+): (?P<message>.+)`), last: true},
	{tool: "log", line: regexp.MustCompile(`^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d(?:\.\d+)? (?P<file>/\S+\.go):(?P<line>\d+): (?P<message>.+)`), last: true},
	{tool: "jvm", line: regexp.MustCompile(`^\s+at (?:[^\s/()]*//?){0,2}(?P<package>(?:[\w$]+\.)*)[\w$]+\.[\w$<>-]+\((?P<name>\w+\.(?:java|kt|scala|groovy)):(?P<line>\d+)\)`)},
	// .NET and Mono
	{tool: "dotnet", line: regexp.MustCompile(`^\s+at .+ in (?P<file>\S.*?):(?:line )?(?P<line>\d+) ?$`)},
	{tool: "node", line: regexp.MustCompile(`^(?:file://)?(?P<file>/[^:\s]+):(?P<line>\d+)$`), head: true},
	{tool: "node", line: regexp.MustCompile(`^\s+at (?:.*\(|async )?(?:file://)?(?P<file>[^():\s]+):(?P<line>\d+):(?P<column>\d+)\)?,?(?: \{)?$`)},
	{tool: "node", line: regexp.MustCompile(`^(?P<message>Error \[ERR_MODULE_NOT_FOUND\]: .* imported from (?P<file>/\S+))$`)},
	{tool: "vitest", line: regexp.MustCompile(`^\s+❯ (?:\S+ )?(?P<file>[^\s:]+):(?P<line>\d+):(?P<column>\d+)$`)},
	// Rust: since 1.73 the error stands below
	{tool: "rust", line: regexp.MustCompile(`^thread '.*' (?:\(\d+\) )?panicked at (?P<file>[^\s']+):(?P<line>\d+):(?P<column>\d+):$`), below: true},
	{tool: "rust", line: regexp.MustCompile(`^thread '.*' panicked at '(?P<message>.*)', (?P<file>\S+):(?P<line>\d+):(?P<column>\d+)$`)},
	{tool: "rustc", line: regexp.MustCompile(`^\s*--> (?P<file>[^\s:]+):(?P<line>\d+):(?P<column>\d+)$`)},
	// Ruby, Rails and RSpec
	{tool: "ruby", line: regexp.MustCompile("^\\s*(?:(?:\\d+: )?from |# )?(?P<file>[^\\s:]+\\.\\w+):(?P<line>\\d+):in [`'][^']*'(?:: (?P<message>.+))?$")},
	{tool: "minitest", line: regexp.MustCompile(`^(?P<message>\w\S*#\S+) \[(?P<file>[^\s:\]]+):(?P<line>\d+)\]:$`)},
	{tool: "perl", line: regexp.MustCompile(`^(?P<message>.+) at (?P<file>\S+\.\w+) line (?P<line>\d+)(?:, <.*> (?:line|chunk) \d+)?(?:\.|, (?:near|at) .*)$`)},
	{tool: "perl", line: regexp.MustCompile(`^\t.+ called at (?P<file>\S+\.\w+) line (?P<line>\d+)$`)},
	// bash and busybox
	{tool: "shell", line: regexp.MustCompile(`^(?P<file>[^\s:]+): line (?P<line>\d+): (?P<message>.+)`)},
	// dash: a script is called .sh, or has no such ending
	{tool: "shell", line: regexp.MustCompile(`^(?P<file>(?:[^\s:]*/)?[^\s:/.]+(?:\.\w*sh)?): (?P<line>\d+): (?P<message>.+: .+)`)},
	{tool: "goose", line: regexp.MustCompile(`\bERROR (?P<name>\d+_[\w.-]+\.(?:sql|go)): (?P<message>.+)`)},
	// Assertions of C, which begin with the name of the program
	{tool: "assert", line: regexp.MustCompile(`^[^\s:]+: (?P<file>[^\s:]+):(?P<line>\d+): .*(?P<message>Assertion .* failed\.)$`)},
	// compilers with a column
	{tool: "compiler", line: regexp.MustCompile(`^(?P<file>[^\s:]+\.\w+):(?P<line>\d+):(?P<column>\d+)(?::| -) (?P<message>\S.*)`)},
	// much else, when it sounds like an error
	{tool: "compiler", line: regexp.MustCompile(`^(?P<file>[^\s:]+\.\w+):(?P<line>\d+): (?P<message>.*(?i:error|fail|fatal|undefined|undeclared|expected|cannot|invalid|missing|exception|assert|not (?:used|set|found)).*)`)},
}

var (
	// errorLine is the line above the frames that says what happened.
	errorLine = regexp.MustCompile(`^\s*(?:Exception in thread "[^"]*" |Caused by: |Suppressed: |Unhandled exception\. |Uncaught |---> |\[cause\]: |PHP )?((?:(?:panic|fatal error|Fatal error|Failure/Error|error(?:\[E\d+\])?): .*|● .*|[\w.:$]*(?:Error|Exception|Invalid|NotFound|Failure)\b.*?))(?: \{)?$`)
	// harmless is what tools write before a message that is no error.
	harmless  = regexp.MustCompile(`^(?:(?i:warning|note|notice|info|debug|help|remark|hint)\b|Use of uninitialized value )`)
	group     = regexp.MustCompile(`^ +(?:\| )+`)                   // Python, the traces of a group of exceptions
	query     = regexp.MustCompile(`SQL query ("(?:[^"\\]|\\.)*")`) // goose
	module    = regexp.MustCompile(`(?m)^module\s+"?([^\s"]+)`)
	goPackage = regexp.MustCompile(`^FAIL\t(\S+)\t`)
)

// mistakes reads the last lines of a program. That is a guess about text that anybody may have written: what it finds counts only when there is
// such a file.
func mistakes(lines []string) []mistake {
	var all []mistake
	var tests []int      // those of Go tests whose package is not known yet
	var above string     // what stands above the frames
	var trace frame      // that the last mistake is made of, while more may follow
	var head, last place // of frames of that kind
	var message string   // of the last
	var tools tools
	for _, line := range lines {
		line = group.ReplaceAllString(line, "")
		if m, ok := tools.read(line); ok {
			all = append(all, m)
			trace = frame{}
			continue
		}
		f, p, text := read(line)
		if line != "" && !strings.HasPrefix(line, "exit status ") { // which "go run" adds
			last = place{}
		}
		switch {
		case f.tool == "" || harmless.MatchString(text) || text == "" && trace.tool != f.tool && harmless.MatchString(above):
		case f.head:
			head = p
			continue
		case f.last:
			last, message = p, text
			continue
		case text != "":
			if f.test {
				tests = append(tests, len(all))
			}
			all = append(all, mistake{text, []place{p}})
			trace, above, head = f, text, place{}
			continue
		case trace.tool != f.tool:
			all = append(all, mistake{above, []place{p}})
			trace = f
			continue
		default:
			m := &all[len(all)-1]
			switch {
			case f.below:
				m.places = slices.Insert(m.places, 0, p)
			case trace.head:
				m.places = slices.Insert(m.places, len(m.places)-1, p)
			default:
				m.places = append(m.places, p)
			}
			continue
		}
		indented := strings.TrimLeft(line, " \t") != line
		switch m := errorLine.FindStringSubmatch(line); {
		case line == "":
		case trace.below:
			if !indented {
				all[len(all)-1].message = line
				trace, above = frame{}, line
				if tools.applying.file != "" {
					all[len(all)-1].places = slices.Insert(all[len(all)-1].places, 0, tools.applying)
				}
			}
		case m != nil && head.file != "":
			all = append(all, mistake{m[1], []place{head}})
			above, trace, head = m[1], frame{tool: "node", head: true}, place{}
		case m != nil:
			above, trace = m[1], frame{}
		case !indented && trace.tool == "" && !errorLine.MatchString(above) && line != "stack backtrace:": // Rust's, below the error
			above = line
		}
		if m := goPackage.FindStringSubmatch(line); m != nil {
			for _, i := range tests {
				all[i].places[0].file = m[1] + "/" + all[i].places[0].file
			}
			tests = nil
		}
	}
	if last.file != "" {
		all = append(all, mistake{message, []place{last}})
	}
	return all
}

// read takes a line apart that names a place; without one, the frame is empty.
func read(line string) (f frame, p place, message string) {
	for _, f := range frames {
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
		return f, p, message
	}
	return f, p, ""
}

// tools is what those that tell an error in several lines have told of it so far.
type tools struct {
	message  string
	places   []place
	prisma   bool   // the next line is the message
	linted   string // eslint: the file that the lines below are about
	pytest   mistake
	short    bool  // pytest: the message stands below the places
	applying place // Django: the migration that is applied
}

var (
	flywayMessage = regexp.MustCompile(`^Message\s+: (.*)`)
	flywayFile    = regexp.MustCompile(`^Location\s+: (\S+)`)
	flywayLine    = regexp.MustCompile(`^Line\s+: (\d+)`)
	// golang-migrate names the file with -verbose alone: https://github.com/golang-migrate/migrate, migrate.go and database/error.go
	migrateFile  = regexp.MustCompile(`Read and execute (\d+)/([ud]) ([\w.-]+)$`)
	migrateError = regexp.MustCompile(`\berror: (migration failed.* in line (\d+): .*)`)
	knexFile     = regexp.MustCompile(`^migration file "([\w.-]+)" failed$`)
	knexError    = regexp.MustCompile(`^migration failed with error: (.*)`)
	// node-pg-migrate and Sequelize leave out how the file's name ends.
	nodeFile     = regexp.MustCompile(`^(?:### MIGRATION ([\w.-]+) \(\w+\) ###|== ([\w.-]+): \w+ing =======)$`)
	nodeDone     = regexp.MustCompile(`^== [\w.-]+: (?:migrated|reverted) `)
	nodeError    = regexp.MustCompile(`^(?:error|ERROR): (\S+ .*)`)
	prismaFile   = regexp.MustCompile(`^Migration name: ([\w.-]+)$`)
	djangoFile   = regexp.MustCompile(`^\s+Applying (\w+)\.(\w+)\.\.\.(.*)`)
	eslintFile   = regexp.MustCompile(`^\S*/\S+\.\w+$`)
	eslintError  = regexp.MustCompile(`^\s+(\d+):(\d+)\s+error\s+(.+?)(?:\s{2,}\S+)?$`)
	pytestPlace  = regexp.MustCompile(`^([^\s:]+\.py):(\d+): (?:(in \S+)|[\w.]*)$`)
	pytestError  = regexp.MustCompile(`^E {3,}(\S.*)`)
	pytestHeader = regexp.MustCompile(`^(?:_{3}|={3})`)
)

func (t *tools) read(line string) (mistake, bool) {
	find := func(re *regexp.Regexp) []string { return re.FindStringSubmatch(line) }
	told := func(message string) (mistake, bool) {
		if len(t.places) == 0 {
			return mistake{}, false
		}
		m := mistake{message, t.places}
		t.message, t.places = "", nil
		return m, true
	}
	number := func(s string) int { n, _ := strconv.Atoi(s); return n }
	if m := find(flywayMessage); m != nil {
		t.message = m[1]
	} else if m := find(flywayFile); m != nil {
		// In a JAR it is the path on the class path.
		t.places = []place{{file: m[1], named: !path.IsAbs(m[1])}}
	} else if m := find(flywayLine); m != nil && len(t.places) > 0 {
		t.places[0].line = number(m[1])
		return told(t.message)
	} else if m := find(migrateFile); m != nil {
		t.places = []place{{named: true, file: m[1] + "_" + m[3] + map[string]string{"u": ".up.sql", "d": ".down.sql"}[m[2]]}}
	} else if m := find(migrateError); m != nil && len(t.places) > 0 {
		t.places[0].line = number(m[2])
		return told(m[1])
	} else if m := find(knexFile); m != nil {
		t.places = []place{{named: true, file: m[1]}}
	} else if m := find(knexError); m != nil {
		return told(m[1])
	} else if m := find(nodeFile); m != nil {
		t.places = nil
		for _, end := range []string{".js", ".ts", ".cjs", ".mjs", ".sql"} {
			t.places = append(t.places, place{named: true, file: m[1] + m[2] + end})
		}
	} else if find(nodeDone) != nil {
		t.places = nil
	} else if m := find(prismaFile); m != nil {
		t.places = []place{{named: true, file: m[1] + "/migration.sql"}}
	} else if line == "Database error:" {
		t.prisma = true
	} else if t.prisma && line != "" {
		t.prisma = false
		return told(line)
	} else if m := find(nodeError); m != nil {
		return told(m[1])
	} else if m := find(djangoFile); m != nil {
		t.applying = place{}
		if !strings.HasPrefix(m[3], " OK") {
			t.applying = place{named: true, file: m[1] + "/migrations/" + m[2] + ".py"}
		}
	} else if find(eslintFile) != nil {
		t.linted = line
	} else if m := find(eslintError); m != nil && t.linted != "" {
		return mistake{m[3], []place{{file: t.linted, line: number(m[1]), column: number(m[2])}}}, true
	} else if find(pytestHeader) != nil {
		t.pytest, t.short = mistake{}, false
	} else if m := find(pytestPlace); m != nil {
		t.pytest.places = slices.Insert(t.pytest.places, 0, place{file: m[1], line: number(m[2])})
		if t.short = m[3] != ""; !t.short && t.pytest.message != "" {
			m := t.pytest
			t.pytest = mistake{}
			return m, true
		}
	} else if m := find(pytestError); m != nil && t.pytest.message == "" {
		if t.pytest.message = m[1]; t.short {
			m := t.pytest
			t.pytest, t.short = mistake{}, false
			return m, true
		}
	}
	return mistake{}, false
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
	root    *os.Root
	path    string   // of the workspace, for this process
	mapped  []string // the option path-map
	looks   int
	named   map[string][]string // paths by name; nil until a file is looked for by its name
	modules map[string]string   // folders of Go modules by their paths; nil until one is looked for
}

// homes are the folders in which images keep what a repository's root has, as the examples of most languages do.
var homes = []string{"/usr/src/app", "/go/src/app", "/workspace", "/app", "/src", "/code"}

// find is a place in the workspace: the path from its root, with slashes, and a line that the file has.
func (w *files) find(p place) (place, bool) {
	switch file, ok := w.byModule(p.file); {
	case ok:
		p.file = file
	case p.named:
		p.file = w.byName(p.file)
	default:
		p.file = w.byPath(p.file)
	}
	p.named = false
	content, ok := w.read(p.file)
	if !ok {
		return place{}, false
	}
	if i := bytes.Index(content, []byte(p.text)); p.line == 0 && p.text != "" && i >= 0 {
		p.line = 1 + bytes.Count(content[:i], []byte("\n"))
	}
	p.text = ""
	// A line that is not there belongs to another file, or to another version of it.
	return p, p.line <= 1+bytes.Count(content, []byte("\n"))
}

// read is what a file of the workspace holds that is one of the repository's own.
func (w *files) read(file string) (content []byte, ok bool) {
	if file == "" || !filepath.IsLocal(filepath.FromSlash(file)) || w.looks >= maxLooks || slices.ContainsFunc(strings.Split(file, "/"), foreign) {
		return nil, false
	}
	w.looks++
	info, err := w.root.Stat(filepath.FromSlash(file))
	if err != nil || !info.Mode().IsRegular() { // before it is opened: a pipe would hang
		return nil, false
	}
	f, err := w.root.Open(filepath.FromSlash(file))
	if err != nil {
		return nil, false
	}
	defer f.Close()
	content, err = io.ReadAll(io.LimitReader(f, maxSource))
	return content, err == nil
}

// foreign says whether a folder holds what package managers put there, or Git: an error is annotated where the repository's own code led to it.
func foreign(folder string) bool {
	switch folder {
	case "node_modules", "vendor", "site-packages", "dist-packages", ".git":
		return true
	}
	return false
}

// byModule is where a file is that Go names by its package, as tests do, and programs built with -trimpath.
func (w *files) byModule(file string) (to string, ok bool) {
	if path.IsAbs(file) || path.Ext(file) != ".go" || !strings.Contains(file, "/") {
		return "", false
	}
	if w.modules == nil {
		w.modules = map[string]string{}
		for _, name := range w.names()["go.mod"] {
			content, _ := w.read(name)
			if m := module.FindSubmatch(content); m != nil {
				w.modules[string(m[1])] = path.Dir(name)
			}
		}
	}
	longest := 0
	for name, folder := range w.modules {
		if rest, in := under(file, name); in && len(name) > longest {
			longest, to, ok = len(name), path.Join(folder, rest), true
		}
	}
	return to, ok
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
	key := func(s string) string { return "/" + path.Join(path.Dir(s), strings.TrimLeft(path.Base(s), "0")) }
	var found []string
	for _, candidate := range w.names()[path.Base(key(file))] {
		if a, b := key(file), key(candidate); strings.HasSuffix(a, b) || strings.HasSuffix(b, a) {
			found = append(found, candidate)
		}
	}
	if len(found) != 1 {
		return ""
	}
	return found[0]
}

// names are the workspace's files by name. When there are too many, none is known: which one is the only one of its name cannot be told.
func (w *files) names() map[string][]string {
	if w.named != nil {
		return w.named
	}
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
		case entry.IsDir() && name != "." && (strings.HasPrefix(entry.Name(), ".") || foreign(entry.Name())):
			return fs.SkipDir
		case entry.Type().IsRegular():
			key := strings.TrimLeft(entry.Name(), "0")
			w.named[key] = append(w.named[key], name)
		}
		return nil
	})
	return w.named
}
