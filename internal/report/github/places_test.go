package github

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/report"
)

// workspace makes a checkout with files of 60 lines each.
func workspace(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.Repeat("\n", 59)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// annotated are the places that a run annotates which ended with these lines, as "file:line:column: message".
func annotated(t *testing.T, dir string, mapped []string, tail ...string) []string {
	t.Helper()
	s := newStep(t, report.Options{PathMap: mapped})
	s.env["GITHUB_WORKSPACE"] = dir
	s.tell(t, begun, event.Finished{Outcome: event.Failed, Job: job, UID: "0b1c", Tail: tail, Cause: &event.Cause{Reason: event.ContainerExit, Message: "m"}})
	var got []string
	for _, c := range s.play().All("error") {
		if file, ok := c.Properties["file"]; ok {
			got = append(got, fmt.Sprintf("%s:%s:%s: %s", file, c.Properties["line"], c.Properties["col"], c.Data))
		}
	}
	return got
}

// What the tools really write, seen with the versions of the day.
func TestPlacesOfTools(t *testing.T) {
	for _, c := range []struct {
		name   string
		files  []string
		mapped []string
		output string
		want   []string
	}{
		{"Go panic", []string{"main.go", "internal/db/db.go"}, nil, `panic: assignment to entry in nil map

goroutine 1 [running]:
github.com/acme/shop/internal/db.Load(...)
	/app/internal/db/db.go:5
main.main()
	/app/main.go:6 +0x29
exit status 2`, []string{"internal/db/db.go:5:: panic: assignment to entry in nil map"}},
		{"Go panic in a library", []string{"main.go"}, nil, `panic: runtime error: invalid memory address or nil pointer dereference
[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x6b1a2c]

goroutine 1 [running]:
database/sql.(*DB).conn(0x0, {0x7c3d88, 0xa5b2a0}, 0x1)
	/usr/local/go/src/database/sql/sql.go:1307 +0x4c
main.main()
	/go/src/app/main.go:17 +0x1d`, []string{"main.go:17:: panic: runtime error: invalid memory address or nil pointer dereference"}},
		{"Go tests", []string{"internal/db/db_test.go", "internal/api/db_test.go"}, nil, `--- FAIL: TestLoad (0.00s)
    db_test.go:6: got 3, want 4
    --- FAIL: TestLoad/sub (0.00s)
        db_test.go:7: no rows
            in two lines
FAIL
FAIL	github.com/acme/shop/internal/db	0.006s
FAIL`, []string{"internal/db/db_test.go:6:: got 3, want 4", "internal/db/db_test.go:7:: no rows"}},
		{"Go compiler", []string{"internal/db/x.go"}, nil, "# github.com/acme/shop/internal/db\ninternal/db/x.go:2:12: undefined: undefinedThing", []string{"internal/db/x.go:2:12: undefined: undefinedThing"}},
		{"klog", []string{"cmd/load/load.go"}, nil, "I0301 12:00:00.123456       1 load.go:7] connecting\nE0301 12:00:00.223456       1 load.go:42] no route to the database", []string{"cmd/load/load.go:42:: no route to the database"}},
		{"Python", []string{"main.py", "load.py"}, nil, `Traceback (most recent call last):
  File "/app/main.py", line 3, in <module>
    load()
    ~~~~^^
  File "/app/load.py", line 2, in load
    raise ValueError("bad row")
ValueError: bad row`, []string{"load.py:2:: ValueError: bad row"}},
		{"Python in a library", []string{"load.py"}, nil, `Traceback (most recent call last):
  File "/app/load.py", line 12, in load
    cursor.execute(sql)
  File "/usr/lib/python3.13/site-packages/psycopg/cursor.py", line 97, in execute
    raise ex.with_traceback(None)
psycopg.errors.UndefinedTable: relation "orders" does not exist
LINE 1: select * from orders
                      ^`, []string{`load.py:12:: psycopg.errors.UndefinedTable: relation "orders" does not exist`}},
		{"Python, one error after another", []string{"load.py", "main.py"}, nil, `Traceback (most recent call last):
  File "/app/load.py", line 2, in load
    raise KeyError("id")
KeyError: 'id'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/app/main.py", line 9, in <module>
    raise RuntimeError("load failed")
RuntimeError: load failed`, []string{"load.py:2:: KeyError: 'id'", "main.py:9:: RuntimeError: load failed"}},
		{"Python syntax", []string{"jobs/syn.py"}, nil, "  File \"/app/jobs/syn.py\", line 1\n    def f(:\n          ^\nSyntaxError: invalid syntax", []string{"jobs/syn.py:1:: SyntaxError: invalid syntax"}},
		{"pytest", []string{"tests/test_load.py"}, nil, ">       assert load() == 4\nE       assert 3 == 4\n\ntests/test_load.py:6: AssertionError", []string{"tests/test_load.py:6:: AssertionError"}},
		{"Node.js", []string{"load.js", "index.js"}, nil, `/app/load.js:2
  throw new Error("bad row");
  ^

Error: bad row
    at load (/app/load.js:2:9)
    at Object.<anonymous> (/app/index.js:2:1)
    at Module._compile (node:internal/modules/cjs/loader:1521:14)
    at node:internal/main/run_main_module:28:49

Node.js v20.20.2`, []string{"load.js:2:9: Error: bad row"}},
		{"Node.js modules", []string{"src/load.mjs"}, nil, "file:///usr/src/app/src/load.mjs:14\nTypeError [ERR_X]: bad row\n    at async file:///usr/src/app/src/load.mjs:14:11", []string{"src/load.mjs:14:11: TypeError [ERR_X]: bad row"}},
		{"TypeScript", []string{"src/load.ts"}, nil, "src/load.ts(12,5): error TS2304: Cannot find name 'x'.\nsrc/load.ts:13:6 - error TS2304: Cannot find name 'y'.",
			[]string{"src/load.ts:12:5: error TS2304: Cannot find name 'x'.", "src/load.ts:13:6: error TS2304: Cannot find name 'y'."}},
		{"JVM", []string{"src/main/java/com/acme/Main.java", "src/main/java/com/acme/other/Main.java"}, nil, `Exception in thread "main" java.lang.RuntimeException: load failed
	at com.acme.Main.main(Main.java:5)
	at java.base/java.lang.Thread.run(Thread.java:1583)
Caused by: java.lang.IllegalStateException: no rows
	at org.postgresql.Driver.connect(Driver.java:300)
	at com.acme.Main.load(Main.java:3)
	... 1 more`, []string{"src/main/java/com/acme/Main.java:5:: java.lang.RuntimeException: load failed", "src/main/java/com/acme/Main.java:3:: java.lang.IllegalStateException: no rows"}},
		{"JVM, a lambda and a class loader", []string{"app/src/main/kotlin/com/acme/Load.kt"}, nil,
			"java.lang.IllegalStateException: no rows\n\tat app//com.acme.LoadKt$load$1.invoke$lambda$0(Load.kt:7)", []string{"app/src/main/kotlin/com/acme/Load.kt:7:: java.lang.IllegalStateException: no rows"}},
		{"psql", []string{"sql/x.sql"}, nil, "psql:sql/x.sql:3: ERROR:  syntax error at or near \"SELEC\"\nLINE 1: SELEC 2;\n        ^", []string{`sql/x.sql:3:: ERROR:  syntax error at or near "SELEC"`}},
		{"psql, no error", []string{"sql/x.sql"}, nil, "psql:sql/x.sql:3: NOTICE:  relation \"x\" exists, skipping", nil},
		{"psql, mapped", []string{"db/migrations/001.sql"}, []string{"/migrations=db/migrations"}, "psql:/migrations/001.sql:12: ERROR:  relation \"orders\" does not exist", []string{`db/migrations/001.sql:12:: ERROR:  relation "orders" does not exist`}},
		{"golang-migrate", []string{"migrations/000002_orders.up.sql", "migrations/000002_orders.down.sql"}, nil, `2026/11/28 22:41:44 Start buffering 2/u orders
2026/11/28 22:41:44 Read and execute 2/u orders
2026/11/28 22:41:44 error: migration failed: syntax error at or near "ALTR" (column 1) in line 3: select 1;

ALTR TABLE x;
 (details: pq: syntax error at or near "ALTR")`, []string{`migrations/000002_orders.up.sql:3:: migration failed: syntax error at or near "ALTR" (column 1) in line 3: select 1;`}},
		{"golang-migrate, of no known line", []string{"migrations/2_orders.down.sql"}, nil, "Read and execute 2/d orders\nerror: migration failed: relation \"orders\" does not exist in line 0: select 1;",
			[]string{`migrations/2_orders.down.sql::: migration failed: relation "orders" does not exist in line 0: select 1;`}},
		{"goose", []string{"db/00002_orders.sql"}, nil, `2026/11/28 22:41:44 goose run: ERROR 00002_orders.sql: failed to run SQL migration: failed to execute SQL query "ALTR TABLE x;": ERROR: syntax error at or near "ALTR" (SQLSTATE 42601)`,
			[]string{`db/00002_orders.sql::: failed to run SQL migration: failed to execute SQL query "ALTR TABLE x;": ERROR: syntax error at or near "ALTR" (SQLSTATE 42601)`}},
		{"Flyway", []string{"sql/V2__orders.sql"}, []string{"/flyway/sql=sql"}, `ERROR: Script V2__orders.sql failed
---------------------------------
SQL State  : 42601
Error Code : 0
Message    : ERROR: syntax error at or near "ALTR"
  Position: 1
Location   : /flyway/sql/V2__orders.sql (/flyway/sql/V2__orders.sql)
Line       : 3
Statement  : ALTR TABLE x`, []string{`sql/V2__orders.sql:3:: ERROR: syntax error at or near "ALTR"`}},
		{"Rails", []string{"db/migrate/20260301_orders.rb", "bin/rails"}, nil, `bin/rails aborted!
StandardError: An error has occurred, this and all later migrations canceled:

PG::UndefinedTable: ERROR:  relation "orders" does not exist
/app/db/migrate/20260301_orders.rb:5:in 'change'
/app/bin/rails:4:in '<main>'
Tasks: TOP => db:migrate`, []string{"db/migrate/20260301_orders.rb:5:: StandardError: An error has occurred, this and all later migrations canceled:"}},
		{"Ruby", []string{"load.rb", "main.rb"}, nil, "/app/load.rb:2:in `load': undefined method `each' for nil (NoMethodError)\n\tfrom /app/main.rb:5:in `<main>'", []string{"load.rb:2:: undefined method `each' for nil (NoMethodError)"}},
		{"PHP", []string{"src/Db.php", "public/index.php"}, nil, `PHP Fatal error:  Uncaught PDOException: SQLSTATE[08006] [7] connection refused in /app/src/Db.php:22
Stack trace:
#0 /app/public/index.php(10): Db->connect()
#1 {main}
  thrown in /app/src/Db.php on line 22`, []string{"src/Db.php:22:: Fatal error:  Uncaught PDOException: SQLSTATE[08006] [7] connection refused"}},
		{"PHP syntax", []string{"x.php"}, nil, "PHP Parse error:  syntax error, unexpected token \";\" in /code/x.php on line 5", []string{`x.php:5:: Parse error:  syntax error, unexpected token ";"`}},
		{".NET", []string{"Shop/Load.cs"}, nil, `Unhandled exception. System.InvalidOperationException: no rows
   at System.Linq.Enumerable.First[T](IEnumerable` + "`" + `1 source)
   at Shop.Load.Run() in /src/Shop/Load.cs:line 42
   at Program.<Main>$(String[] args) in /src/Program.cs:line 3`, []string{"Shop/Load.cs:42:: System.InvalidOperationException: no rows"}},
		{"Rust", []string{"src/main.rs"}, nil, "thread 'main' (7426) panicked at src/main.rs:1:55:\nindex out of bounds: the len is 0 but the index is 3", []string{"src/main.rs:1:55: panicked"}},
		{"bash", []string{"scripts/s.sh"}, nil, "scripts/s.sh: line 3: foo: command not found", []string{"scripts/s.sh:3:: foo: command not found"}},
		{"dash", []string{"s.sh"}, nil, "./s.sh: 3: foo: not found", []string{"s.sh:3:: foo: not found"}},
		{"busybox", []string{"s.sh"}, []string{"/scripts="}, "/scripts/s.sh: line 3: foo: not found", []string{"s.sh:3:: foo: not found"}},
		{"no error", []string{"main.go", "s.sh"}, nil, "main.go:12: connecting to the database\n2026/03/01 12:00:00 main.go:12: error: x", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, annotated(t, workspace(t, c.files...), c.mapped, strings.Split(c.output, "\n")...)); diff != "" {
				t.Errorf("annotations (-want +got):\n%s", diff)
			}
		})
	}
}

// Only what is in the workspace is annotated, and has that line.
func TestPlacesAreInTheWorkspace(t *testing.T) {
	dir := workspace(t, "ws/main.sh", "ws/deep/twice_test.go", "ws/deeper/twice_test.go", "ws/.git/only_test.go", "ws/node_modules/x/dep_test.go", "secret.sh", "ws/a b/c.sh")
	ws := filepath.Join(dir, "ws")
	for link, to := range map[string]string{"out.sh": "../secret.sh", "abs.sh": filepath.Join(dir, "secret.sh"), "in.sh": "main.sh", "up": "..", "passwd.sh": "/etc/passwd"} {
		if err := os.Symlink(to, filepath.Join(ws, link)); err != nil {
			t.Fatal(err)
		}
	}
	for line, want := range map[string]string{
		"main.sh: line 3: x":                      "main.sh:3:: x",
		ws + "/main.sh: line 3: x":                "main.sh:3:: x",
		"./deep/../main.sh: line 3: x":            "main.sh:3:: x",
		"in.sh: line 3: x":                        "in.sh:3:: x",
		"main.sh: line 61: x":                     "",
		"main.sh: line 99999999999999999999: x":   "",
		"out.sh: line 1: x":                       "",
		"abs.sh: line 1: x":                       "",
		"up/secret.sh: line 1: x":                 "",
		"passwd.sh: line 1: x":                    "",
		"../secret.sh: line 1: x":                 "",
		dir + "/secret.sh: line 1: x":             "",
		"/etc/passwd: line 1: x":                  "",
		"/app/../etc/passwd: line 1: x":           "",
		"deep: line 1: x":                         "",
		"missing.sh: line 1: x":                   "",
		"/other/main.sh: line 1: x":               "",
		"    twice_test.go:3: x":                  "",
		"    only_test.go:3: x":                   "",
		"    dep_test.go:3: x":                    "",
		"\tat /app/main.sh:3":                     "",
		"psql:a b/c.sh:3: ERROR: ::error::x%0Ay,": "a b/c.sh:3:: ERROR: ::error::x%0Ay,",
	} {
		got := annotated(t, ws, nil, "first", line)
		if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || got[0] != want) {
			t.Errorf("%q is annotated as %q, want %q", line, got, want)
		}
	}
	mapped := []string{"/work=sub", "/work/lib=", "/=deep", "/out=up"}
	for line, want := range map[string]string{"/work/lib/main.sh: line 1: x": "main.sh:1:: x", "/work/main.sh: line 1: x": "", "/out/secret.sh: line 1: x": ""} {
		if got := strings.Join(annotated(t, ws, mapped, line), ""); got != want {
			t.Errorf("mapped, %q is annotated as %q, want %q", line, got, want)
		}
	}
}

// However much a container names, few places are annotated, few files are opened, and the verdict is told.
func TestPlacesAreFew(t *testing.T) {
	dir := workspace(t, "main.sh")
	var tail []string
	for i := range 50 {
		tail = append(tail, fmt.Sprintf("main.sh: line %d: x", i+1), "main.sh: line 1: again")
	}
	if got := annotated(t, dir, nil, tail...); len(got) != maxPlaces {
		t.Errorf("%d places are annotated, want %d: %q", len(got), maxPlaces, got)
	}
	tail = nil
	for i := range maxLooks {
		tail = append(tail, fmt.Sprintf("missing%d.sh: line 1: x", i))
	}
	if got := annotated(t, dir, nil, append(tail, "main.sh: line 1: x")...); len(got) != 0 {
		t.Errorf("after %d files that are not there, it looks for more: %q", maxLooks, got)
	}
	if got := annotated(t, dir, nil, append(tail[1:], "main.sh: line 1: x")...); len(got) != 1 {
		t.Errorf("after %d files that are not there, it gives up: %q", maxLooks-1, got)
	}
}
