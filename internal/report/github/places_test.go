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
	s.tell(t, begun, event.Finished{Outcome: event.Failed, Job: job, UID: "0b1c", Trace: tail, Cause: &event.Cause{Reason: event.ContainerExit, Message: "m"}})
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
		{"pytest", []string{"tests/test_load.py"}, nil, ">       assert load() == 4\nE       assert 3 == 4\n\ntests/test_load.py:6: AssertionError", []string{"tests/test_load.py:6:: assert 3 == 4"}},
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
		{"Rust", []string{"src/main.rs"}, nil, "thread 'main' (7426) panicked at src/main.rs:1:55:\nindex out of bounds: the len is 0 but the index is 3", []string{"src/main.rs:1:55: index out of bounds: the len is 0 but the index is 3"}},
		{"bash", []string{"scripts/s.sh"}, nil, "scripts/s.sh: line 3: foo: command not found", []string{"scripts/s.sh:3:: foo: command not found"}},
		{"dash", []string{"s.sh"}, nil, "./s.sh: 3: foo: not found", []string{"s.sh:3:: foo: not found"}},
		{"busybox", []string{"s.sh"}, []string{"/scripts="}, "/scripts/s.sh: line 3: foo: not found", []string{"s.sh:3:: foo: not found"}},
		{"Go, a stack overflow", []string{"db.go"}, nil, `fatal error: stack overflow

runtime stack:
runtime.throw({0x4d24f0?, 0x1dad9fa032c0?})
	/usr/local/go/src/runtime/panic.go:1229 +0x48 fp=0x1dad9fa53e98 sp=0x1dad9fa53e68 pc=0x479968

goroutine 1 gp=0x1dad9fa021e0 m=3 mp=0x1dad9fa3d008 [running]:
github.com/acme/shop.Stack(0x2aaaa49?)
	/app/db.go:34 +0x2b fp=0x1dadbfae03a0 sp=0x1dadbfae0398 pc=0x4a952b`, []string{`db.go:34:: fatal error: stack overflow`}},
		{"Go, log.Fatal with its place", []string{"main.go"}, nil, `2026/11/29 01:58:46 main.go:12: connecting
2026/11/29 01:58:46 main.go:23: cannot load: file does not exist
exit status 1`, []string{`main.go:23:: cannot load: file does not exist`}},
		{"Go, log.Fatal with its path", []string{"cmd/load/main.go"}, nil, `2026/11/29 01:58:46.123456 /src/cmd/load/main.go:26: cannot load`, []string{`cmd/load/main.go:26:: cannot load`}},
		{"go vet", []string{"db/x.go"}, nil, `# github.com/acme/shop/db
db/x.go:5:24: fmt.Printf format %d has arg "x" of wrong type string`, []string{`db/x.go:5:24: fmt.Printf format %d has arg "x" of wrong type string`}},
		{"Python, several errors at once", []string{"group.py"}, nil, `  + Exception Group Traceback (most recent call last):
  |   File "/app/group.py", line 11, in <module>
  |     raise ExceptionGroup("several", errors)
  | ExceptionGroup: several (2 sub-exceptions)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "/app/group.py", line 8, in <module>
    |     f()
    |   File "/app/group.py", line 2, in a
    |     raise ValueError("a")
    | ValueError: a
    +---------------- 2 ----------------
    | Traceback (most recent call last):
    |   File "/app/group.py", line 4, in b
    |     raise TypeError("b")
    | TypeError: b
    +------------------------------------`, []string{`group.py:11:: ExceptionGroup: several (2 sub-exceptions)`, `group.py:2:: ValueError: a`, `group.py:4:: TypeError: b`}},
		{"Python, a warning", []string{"warn.py"}, nil, `/app/warn.py:2: DeprecationWarning: old
  warnings.warn("old", DeprecationWarning)
no rows`, nil},
		{"Python in a library of the workspace", []string{"load.py", "venv/lib/python3.11/site-packages/psycopg/cursor.py"}, nil, `  File "/app/load.py", line 12, in load
    cursor.execute(sql)
  File "/app/venv/lib/python3.11/site-packages/psycopg/cursor.py", line 57, in execute
psycopg.errors.UndefinedTable: relation "orders" does not exist`, []string{`load.py:12:: psycopg.errors.UndefinedTable: relation "orders" does not exist`}},
		{"pytest, long", []string{"test_load.py", "load.py"}, nil, `_______________________ ERROR at setup of test_database ________________________

    def database():
>       raise RuntimeError("no database")
E       RuntimeError: no database

test_load.py:16: RuntimeError
=================================== FAILURES ===================================
__________________________________ test_rows ___________________________________

>       assert len(rows) == 4
E       assert 3 == 4
E        +  where 3 = len([1, 2, 3])

test_load.py:7: AssertionError
__________________________________ test_load ___________________________________

    def test_load():
>       load()

test_load.py:11: 
_ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ 

    def load():
>       raise ValueError("bad row")
E       ValueError: bad row

load.py:2: ValueError
=========================== short test summary info ============================
FAILED test_load.py::test_rows - assert 3 == 4`, []string{`test_load.py:16:: RuntimeError: no database`, `test_load.py:7:: assert 3 == 4`, `load.py:2:: ValueError: bad row`}},
		{"pytest, long, in a library", []string{"test_load.py"}, nil, `__________________________________ test_load ___________________________________
>       json.loads("")

test_load.py:11: 
_ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ 
E           json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)

/usr/lib/python3.11/json/decoder.py:355: JSONDecodeError`, []string{`test_load.py:11:: json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)`}},
		{"pytest, short", []string{"test_load.py", "load.py"}, nil, `__________________________________ test_rows ___________________________________
test_load.py:7: in test_rows
    assert len(rows) == 4
E   assert 3 == 4
E    +  where 3 = len([1, 2, 3])
__________________________________ test_load ___________________________________
test_load.py:11: in test_load
    load()
load.py:2: in load
    raise ValueError("bad row")
E   ValueError: bad row`, []string{`test_load.py:7:: assert 3 == 4`, `load.py:2:: ValueError: bad row`}},
		{"pytest, native", []string{"test_load.py"}, nil, `Traceback (most recent call last):
  File "/app/test_load.py", line 7, in test_rows
    assert len(rows) == 4
AssertionError: assert 3 == 4
 +  where 3 = len([1, 2, 3])`, []string{`test_load.py:7:: AssertionError: assert 3 == 4`}},
		{"pytest, a line", []string{"test_load.py"}, nil, `/app/test_load.py:7: assert 3 == 4`, []string{`test_load.py:7:: assert 3 == 4`}},
		{"pytest, a module that is missing", []string{"tests/test_imp.py"}, nil, `_______________________ ERROR collecting tests/test_imp.py _____________________
/usr/lib/python3.11/importlib/__init__.py:126: in import_module
    return _bootstrap._gcd_import(name[level:], package, level)
tests/test_imp.py:1: in <module>
    import nope
E   ModuleNotFoundError: No module named 'nope'`, []string{`tests/test_imp.py:1:: ModuleNotFoundError: No module named 'nope'`}},
		{"Django", []string{"shop/migrations/0001_orders.py", "manage.py"}, nil, `  Applying sessions.0001_initial... OK
  Applying shop.0001_orders...Traceback (most recent call last):
  File "/usr/lib/python3/dist-packages/django/db/backends/utils.py", line 82, in _execute
    return self.cursor.execute(sql)
psycopg2.errors.SyntaxError: syntax error at or near "ALTR"

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/app/manage.py", line 22, in <module>
    main()
  File "/usr/lib/python3/dist-packages/django/db/backends/utils.py", line 82, in _execute
    return self.cursor.execute(sql)
django.db.utils.ProgrammingError: syntax error at or near "ALTR"`, []string{`shop/migrations/0001_orders.py::: psycopg2.errors.SyntaxError: syntax error at or near "ALTR"`}},
		{"Alembic", []string{"migrations/env.py", "migrations/versions/1a_orders.py"}, nil, `  File "/app/migrations/env.py", line 40, in run_migrations_online
    context.run_migrations()
  File "<string>", line 8, in run_migrations
  File "/app/migrations/versions/1a_orders.py", line 5, in upgrade
    op.execute("ALTR TABLE x")
  File "<string>", line 3, in execute
  File "/usr/lib/python3/dist-packages/sqlalchemy/engine/default.py", line 736, in do_execute
    cursor.execute(statement, parameters)
sqlalchemy.exc.ProgrammingError: (psycopg2.errors.SyntaxError) syntax error at or near "ALTR"
LINE 1: ALTR TABLE x`, []string{`migrations/versions/1a_orders.py:5:: sqlalchemy.exc.ProgrammingError: (psycopg2.errors.SyntaxError) syntax error at or near "ALTR"`}},
		{"Node.js in a module of the workspace", []string{"load.js", "node_modules/pg/client.js"}, nil, `Error: bad row
    at query (/app/node_modules/pg/client.js:5:9)
    at load (/app/load.js:2:1)`, []string{`load.js:2:1: Error: bad row`}},
		{"Node.js, syntax", []string{"src/syn.mjs"}, nil, `file:///app/src/syn.mjs:2
  const x = ;
            ^

SyntaxError: Unexpected token ';'
    at compileSourceTextModule (node:internal/modules/esm/utils:346:16)

Node.js v20.20.2`, []string{`src/syn.mjs:2:: SyntaxError: Unexpected token ';'`}},
		{"Node.js, a cause", []string{"src/load.mjs"}, nil, `file:///app/src/load.mjs:3
        ^

TypeError: bad row
    at load (file:///app/src/load.mjs:3:9)
    at async file:///app/src/index.mjs:2:1 {
  [cause]: Error: inner
      at load (file:///app/src/load.mjs:4:43)
}`, []string{`src/load.mjs:3:9: TypeError: bad row`, `src/load.mjs:4:43: Error: inner`}},
		{"Node.js, several errors at once", []string{"agg.cjs"}, nil, `load failed: [AggregateError: All promises were rejected] {
  [errors]: [
    Error: a
        at main (/app/agg.cjs:1:59)
        at node:internal/main/run_main_module:28:49,
    Error: b
        at main (/app/agg.cjs:1:91)
  ]
}`, []string{`agg.cjs:1:59: Error: a`, `agg.cjs:1:91: Error: b`}},
		{"Node.js, a module that is missing", []string{"src/missing.mjs"}, nil, `Error [ERR_MODULE_NOT_FOUND]: Cannot find module '/app/src/nope.mjs' imported from /app/src/missing.mjs
    at finalizeResolution (node:internal/modules/esm/resolve:283:11)`, []string{`src/missing.mjs::: Error [ERR_MODULE_NOT_FOUND]: Cannot find module '/app/src/nope.mjs' imported from /app/src/missing.mjs`}},
		{"Node.js, its test runner", []string{"src/a.test.mjs"}, nil, `test at src/a.test.mjs:3:1
✖ rows (6.983811ms)
  AssertionError [ERR_ASSERTION]: Expected values to be strictly equal:
  
  1 !== 2
  
      at TestContext.<anonymous> (file:///app/src/a.test.mjs:4:10)
      at Test.run (node:internal/test_runner/test:796:25) {
    generatedMessage: true,`, []string{`src/a.test.mjs:4:10: AssertionError [ERR_ASSERTION]: Expected values to be strictly equal:`}},
		{"jest", []string{"jt/a.test.js", "src/load.cjs"}, nil, `FAIL jt/a.test.js
  ● rows

    Expected: 2
    Received: 1

    > 2 |   expect(1).toBe(2);

      at Object.toBe (jt/a.test.js:2:13)

  ● throws

    bad row

      at Object.load (src/load.cjs:2:9)
      at Object.load (jt/a.test.js:5:30)

Test Suites: 1 failed, 1 total`, []string{`jt/a.test.js:2:13: ● rows`, `src/load.cjs:2:9: ● throws`}},
		{"vitest", []string{"jt/v.test.mjs"}, nil, ` FAIL  jt/v.test.mjs > rows
AssertionError: expected 1 to be 2 // Object.is equality

 ❯ jt/v.test.mjs:3:13
      2| test("rows", () => {`, []string{`jt/v.test.mjs:3:13: AssertionError: expected 1 to be 2 // Object.is equality`}},
		{"TypeScript, in colours", []string{"src/bad.ts"}, nil, "\x1b[96msrc/bad.ts\x1b[0m:\x1b[93m1\x1b[0m:\x1b[93m7\x1b[0m - \x1b[91merror\x1b[0m\x1b[90m TS2322: \x1b[0mType 'string' is not assignable to type 'number'.\n\nFound 1 error in src/bad.ts\x1b[90m:1\x1b[0m", []string{"src/bad.ts:1:7: error TS2322: Type 'string' is not assignable to type 'number'."}},
		{"ts-node", []string{"src/bad.ts"}, nil, `/app/node_modules/ts-node/src/index.ts:859
    return new TSError(diagnosticText, diagnosticCodes, diagnostics);
           ^
TSError: ⨯ Unable to compile TypeScript:
src/bad.ts(1,7): error TS2322: Type 'string' is not assignable to type 'number'.

    at createTSError (/app/node_modules/ts-node/src/index.ts:859:12)`, []string{`src/bad.ts:1:7: error TS2322: Type 'string' is not assignable to type 'number'.`}},
		{"tsx", []string{"src/run.ts"}, nil, `/app/src/run.ts:5
  throw new Error("bad row");
        ^


Error: bad row
    at load (/app/src/run.ts:5:9)
    at <anonymous> (/app/src/run.ts:7:1)`, []string{`src/run.ts:5:9: Error: bad row`}},
		{"ESLint", []string{"src/lint.mjs"}, nil, `/app/src/lint.mjs
  1:7  warning  'unused' is assigned a value but never used  no-unused-vars
  2:1  error    'foo' is not defined                         no-undef
  2:13  error  Parsing error: Unexpected token ;

✖ 3 problems (2 errors, 1 warning)`, []string{`src/lint.mjs:2:1: 'foo' is not defined`, `src/lint.mjs:2:13: Parsing error: Unexpected token ;`}},
		{"Knex", []string{"db/migrations/20260301_orders.js"}, nil, `migration file "20260301_orders.js" failed
migration failed with error: ALTR TABLE x - syntax error at or near "ALTR"
error: ALTR TABLE x - syntax error at or near "ALTR"
    at parseErrorMessage (/app/node_modules/pg-protocol/dist/parser.js:306:11)`, []string{`db/migrations/20260301_orders.js::: ALTR TABLE x - syntax error at or near "ALTR"`}},
		{"node-pg-migrate", []string{"migrations/1700000000000_orders.js"}, nil, `### MIGRATION 1700000000000_orders (UP) ###
ALTR TABLE x;

> Rolling back attempted migration ...
error: syntax error at or near "ALTR"
    at /app/node_modules/pg/lib/client.js:694:17`, []string{`migrations/1700000000000_orders.js::: syntax error at or near "ALTR"`}},
		{"Sequelize", []string{"migrations/20260301000000-orders.js"}, nil, `== 20260301000000-orders: migrating =======

ERROR: syntax error at or near "ALTR"`, []string{`migrations/20260301000000-orders.js::: syntax error at or near "ALTR"`}},
		{"Sequelize, and later another error", []string{"migrations/20260301000000-orders.js"}, nil, "== 20260301000000-orders: migrating =======\n== 20260301000000-orders: migrated (0.012s)\n\nERROR: cannot read the seed", nil},
		{"Sequelize, with --debug", []string{"migrations/20260301000000-orders.js"}, nil, `== 20260301000000-orders: migrating =======

ERROR: Error
    at Query.run (/app/node_modules/sequelize/lib/dialects/postgres/query.js:50:25)
    at async Object.up (/app/migrations/20260301000000-orders.js:3:5)
EXTRA MESSAGE: syntax error at or near "ALTR"`, []string{`migrations/20260301000000-orders.js:3:5: ERROR: Error`}},
		{"Prisma", []string{"prisma/migrations/20260301_orders/migration.sql", "prisma/migrations/20260201_init/migration.sql"}, nil, `Error: P3018

Migration name: 20260301_orders

Database error code: 42601

Database error:
ERROR: syntax error at or near "ALTR"`, []string{`prisma/migrations/20260301_orders/migration.sql::: ERROR: syntax error at or near "ALTR"`}},
		{"JVM, what closing failed of", []string{"src/main/java/com/acme/Main.java"}, nil, `Exception in thread "main" java.lang.IllegalStateException: no rows
	at com.acme.Main.load(Main.java:8)
	Suppressed: java.lang.RuntimeException: close failed
		at com.acme.Main$Close.close(Main.java:12)
		... 1 more`, []string{`src/main/java/com/acme/Main.java:8:: java.lang.IllegalStateException: no rows`, `src/main/java/com/acme/Main.java:12:: java.lang.RuntimeException: close failed`}},
		{"javac", []string{"src/Bad.java"}, nil, `src/Bad.java:2: error: cannot find symbol
                          ^
  symbol:   method y()
  location: class Bad
src/Bad.java:3: warning: [removal] finalize() in Object has been deprecated and marked for removal; it may fail`, []string{`src/Bad.java:2:: error: cannot find symbol`}},
		{"Kotlin", []string{"src/b.kt"}, nil, `Exception in thread "main" java.lang.IllegalStateException: no rows
	at BKt.load-IoAF18A(b.kt:2)
	at BKt.main(b.kt)`, []string{`src/b.kt:2:: java.lang.IllegalStateException: no rows`}},
		{"Kotlin's compiler", []string{"src/a.kt"}, nil, `src/a.kt:2:16: error: type mismatch: inferred type is String but Int was expected`, []string{`src/a.kt:2:16: error: type mismatch: inferred type is String but Int was expected`}},
		{"Groovy", []string{"a.groovy"}, nil, `Caught: java.lang.IllegalStateException: no rows
java.lang.IllegalStateException: no rows
	at a.load(a.groovy:2)
	at a$load.callCurrent(Unknown Source)`, []string{`a.groovy:2:: java.lang.IllegalStateException: no rows`}},
		{"psql, started by another program", []string{"deploy/orders.sql"}, nil, `  + orders .. psql:deploy/orders.sql:2: ERROR:  syntax error at or near "ALTR"`, []string{`deploy/orders.sql:2:: ERROR:  syntax error at or near "ALTR"`}},
		{"psql, with what it knows", []string{"sql/y.sql"}, nil, `psql:sql/y.sql:5: ERROR:  23505: duplicate key value violates unique constraint "o_pkey"
DETAIL:  Key (id)=(1) already exists.
LOCATION:  _bt_check_unique, nbtinsert.c:664`, []string{`sql/y.sql:5:: ERROR:  23505: duplicate key value violates unique constraint "o_pkey"`}},
		{"goose, a function", []string{"db/00001_g.sql"}, nil, `goose run: ERROR 00001_g.sql: failed to run SQL migration: failed to execute SQL query "do $$\nbegin\n  raise exception 'nope';\nend $$;": ERROR: nope (SQLSTATE P0001)`, []string{`db/00001_g.sql::: failed to run SQL migration: failed to execute SQL query "do $$\nbegin\n  raise exception 'nope';\nend $$;": ERROR: nope (SQLSTATE P0001)`}},
		{"Flyway in a JAR", []string{"src/main/resources/db/migration/V2__orders.sql"}, nil, `Message    : ERROR: syntax error at or near "ALTR"
Location   : db/migration/V2__orders.sql (/app/app.jar!/BOOT-INF/classes!/db/migration/V2__orders.sql)
Line       : 3`, []string{`src/main/resources/db/migration/V2__orders.sql:3:: ERROR: syntax error at or near "ALTR"`}},
		{"ActiveRecord", []string{"db/migrate/20260301000000_orders.rb", "run.rb"}, nil, "/usr/share/gems/activerecord/postgresql/database_statements.rb:49:in `exec': An error has occurred, this and all later migrations canceled: (StandardError)\n\nPG::SyntaxError: ERROR:  syntax error at or near \"ALTR\"\nLINE 1: ALTR TABLE x\n        ^\n\tfrom /usr/share/gems/activerecord/migration.rb:918:in `method_missing'\n\tfrom /app/db/migrate/20260301000000_orders.rb:3:in `up'\n\tfrom run.rb:3:in `<main>'", []string{`db/migrate/20260301000000_orders.rb:3:: PG::SyntaxError: ERROR:  syntax error at or near "ALTR"`}},
		{"Ruby, a cause", []string{"cause.rb"}, nil, "cause.rb:4:in `rescue in <main>': outer (ArgumentError)\n\tfrom cause.rb:1:in `<main>'\ncause.rb:2:in `<main>': inner (RuntimeError)", []string{`cause.rb:4:: outer (ArgumentError)`, `cause.rb:2:: inner (RuntimeError)`}},
		{"Ruby, syntax", []string{"syn.rb"}, nil, `syn.rb:2: syntax error, unexpected ')'
  x = )
      ^`, []string{`syn.rb:2:: syntax error, unexpected ')'`}},
		{"minitest", []string{"test/rows.rb"}, nil, "  1) Error:\nTestRows#test_err:\nNoMethodError: undefined method `foo' for nil:NilClass\n\n    nil.foo\n       ^^^^\n    test/rows.rb:7:in `test_err'\n\n  2) Failure:\nTestRows#test_rows [test/rows.rb:4]:\nExpected: 1\n  Actual: 2", []string{"test/rows.rb:7:: NoMethodError: undefined method `foo' for nil:NilClass", `test/rows.rb:4:: TestRows#test_rows`}},
		{"RSpec", []string{"spec/a_spec.rb"}, nil, "  1) rows are loaded\n     Failure/Error: expect(1).to eq 2\n\n       expected: 2\n            got: 1\n     # ./spec/a_spec.rb:3:in `block (2 levels) in <top (required)>'", []string{`spec/a_spec.rb:3:: Failure/Error: expect(1).to eq 2`}},
		{"PHP in a library", []string{"public/index.php", "vendor/acme/db/Db.php"}, nil, `PHP Fatal error:  Uncaught PDOException: connection refused in /app/vendor/acme/db/Db.php:22
Stack trace:
#0 /app/public/index.php(10): Acme\Db->connect()
#1 {main}
  thrown in /app/vendor/acme/db/Db.php on line 22`, []string{`public/index.php:10:: Fatal error:  Uncaught PDOException: connection refused`}},
		{"PHP, of several lines", []string{"pdo.php"}, nil, `PHP Fatal error:  Uncaught PDOException: SQLSTATE[08006] [7] connection to server at "127.0.0.1", port 1 failed: Connection refused
	Is the server running on that host and accepting TCP/IP connections? in /app/pdo.php:2
Stack trace:
#0 /app/pdo.php(2): PDO->__construct()
#1 {main}
  thrown in /app/pdo.php on line 2`, []string{`pdo.php:2:: Fatal error:  Uncaught PDOException: SQLSTATE[08006] [7] connection to server at "127.0.0.1", port 1 failed: Connection refused`}},
		{"PHP, a warning", []string{"x.php"}, nil, `PHP Warning:  Undefined variable $undefined in /app/x.php on line 2`, nil},
		{"C#'s compiler", []string{"b.cs"}, nil, "b.cs(1,28): error CS0029: Cannot implicitly convert type `string' to `int'", []string{"b.cs:1:28: error CS0029: Cannot implicitly convert type `string' to `int'"}},
		{"Mono", []string{"a.cs"}, nil, `Unhandled Exception:
System.InvalidOperationException: no rows
  at Load.Main () [0x00001] in /app/a.cs:4 `, []string{`a.cs:4:: System.InvalidOperationException: no rows`}},
		{"Rust, with its stack", []string{"src/main.rs"}, nil, "thread 'main' (1509) panicked at /usr/local/cargo/registry/src/index.crates.io-6f17d22bba15001f/db-1.0.0/src/lib.rs:1:127:\ncalled `Result::unwrap()` on an `Err` value: \"no rows\"\nstack backtrace:\n   0: __rustc::rust_begin_unwind\n             at /rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/std/src/panicking.rs:689:5\n   4: b::main\n             at ./src/main.rs:3:12\nnote: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.", []string{"src/main.rs:3:12: called `Result::unwrap()` on an `Err` value: \"no rows\""}},
		{"Rust before 1.73", []string{"src/main.rs"}, nil, `thread 'main' panicked at 'index out of bounds: the len is 0 but the index is 3', src/main.rs:1:55`, []string{`src/main.rs:1:55: index out of bounds: the len is 0 but the index is 3`}},
		{"Rust's compiler", []string{"src/a.rs"}, nil, "error[E0308]: mismatched types\n --> src/a.rs:1:26\n  |\n1 | fn main() { let x: i32 = \"a\"; y(); }\n  |                    ---   ^^^ expected `i32`, found `&str`\n\nwarning: unused variable: `z`\n --> src/a.rs:2:5", []string{`src/a.rs:1:26: error[E0308]: mismatched types`}},
		{"gcc", []string{"b.c"}, nil, `b.c:4:60: error: 'y' undeclared (first use in this function)
b.c:4:60: note: each undeclared identifier is reported only once for each function it appears in
b.c:4:22: warning: unused variable 'unused' [-Wunused-variable]`, []string{`b.c:4:60: error: 'y' undeclared (first use in this function)`}},
		{"ld", []string{"d.c"}, nil, "/usr/bin/ld: /tmp/cctENoOo.o: in function `main':\n/src/d.c:2: undefined reference to `f'\ncollect2: error: ld returned 1 exit status", []string{"d.c:2:: undefined reference to `f'"}},
		{"assert of C", []string{"c.c"}, nil, "load: c.c:2: main: Assertion `1 == 2' failed.", []string{"c.c:2:: Assertion `1 == 2' failed."}},
		{"Perl", []string{"a.pl", "lib/Db.pm"}, nil, `Use of uninitialized value $x in concatenation (.) or string at a.pl line 2.
connection refused at /usr/share/perl5/DBI.pm line 30.
	Db::load() called at /app/lib/Db.pm line 7
	main::load() called at a.pl line 4`, []string{`lib/Db.pm:7:: connection refused`}},
		{"Perl, reading a file", []string{"a.pl"}, nil, `no rows at a.pl line 3, <STDIN> line 1.`, []string{`a.pl:3:: no rows`}},
		{"Perl, syntax", []string{"b.pl"}, nil, `syntax error at b.pl line 2, near "= ;"
Execution of b.pl aborted due to compilation errors.`, []string{`b.pl:2:: syntax error`}},
		{"bash, a warning", []string{"s.sh"}, nil, `s.sh: line 3: warning: command substitution: ignored null byte in input`, nil},
		{"zsh", []string{"s.sh"}, nil, `s.sh:2: MISSING: parameter not set`, []string{`s.sh:2:: MISSING: parameter not set`}},
		{"no error", []string{"main.go", "s.sh"}, nil, "main.go:12: connecting to the database\n2026/03/01 12:00:00 main.go:12: error: x\nbye", nil},
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

// What looks like a place and is none, though there are files of such names.
func TestPlacesOfNothing(t *testing.T) {
	dir := workspace(t, "10.0.0.1", "localhost", "INFO", "image", "12", "https", "db.example.com", "orders.csv", "app.py", "main.go", "README.md", "C", "load")
	for _, line := range []string{
		"12:30:45 connecting", "12:30:45: connection failed", "2026-03-01 12:30:45 error: x", "[12:30:45] main.go: error", "http://localhost:80/x: error", "https://db.example.com:443: connection failed",
		"localhost:5432: connection failed", "10.0.0.1:5432", "dial tcp 10.0.0.1:5432: connect: connection refused", "image:1.2: not found", "pulling image:12", "orders.csv: 12: rows imported",
		"INFO:12: error", `C:\app\app.py:12: error: x`, "app.py:12", "see app.py:12 for details", "app.py:12: connecting", "at app.py:12", "main.go:12:34", "README.md:12: ok", "warning: main.go:12: x", "load 12: failed",
	} {
		if got := annotated(t, dir, nil, "first", line); len(got) > 0 {
			t.Errorf("%q is annotated as %q", line, got)
		}
	}
}

// A file of the packages that a program uses is none of the repository's, wherever the packages lie.
func TestPlacesInPackages(t *testing.T) {
	var files []string
	for _, folder := range []string{"node_modules", "vendor", "venv/lib/python3.11/site-packages", "usr/lib/python3/dist-packages", ".git", "web/node_modules"} {
		files = append(files, folder+"/a.sh", folder+"/only_test.go")
	}
	dir := workspace(t, files...)
	for _, file := range files {
		if got := annotated(t, dir, nil, file+": line 3: x", "/app/"+file+": line 4: x", "    only_test.go:3: x"); len(got) > 0 {
			t.Errorf("%s is annotated: %q", file, got)
		}
	}
}

// Tests and programs built with -trimpath name a file by its package; go.mod tells where that is.
func TestPlacesInGoModules(t *testing.T) {
	dir := workspace(t, "services/shop/main.go", "services/shop/sql.go", "services/shop/internal/db/db.go", "tools/main.go", "runtime/panic.go", "conn.go", "services/shop/internal/db/db_test.go")
	for name, content := range map[string]string{"services/shop/go.mod": "module github.com/acme/shop // the shop\n\ngo 1.25\n", "tools/go.mod": "module \"tools\"\n", "empty/go.mod": ""} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for trace, want := range map[string]string{
		"panic: x\n\ngoroutine 1 [running]:\ngithub.com/lib/pq.(*conn).f()\n\tgithub.com/lib/pq@v1.10.9/conn.go:5 +0x1\ngithub.com/acme/shop/internal/db.Panic()\n\tgithub.com/acme/shop/internal/db/db.go:10 +0x58": "services/shop/internal/db/db.go:10:: panic: x",
		"panic: x\n\nmain.main()\n\tgithub.com/acme/shop/main.go:15 +0x159":                           "services/shop/main.go:15:: panic: x",
		"panic: x\n\nmain.main()\n\ttools/main.go:15 +0x159":                                          "tools/main.go:15:: panic: x",
		"panic: x\n\nmain.main()\n\tdatabase/sql/sql.go:15 +0x159":                                    "",
		"    db_test.go:6: got 3, want 4\nFAIL\nFAIL\tgithub.com/acme/shop/internal/db\t0.006s\nFAIL": "services/shop/internal/db/db_test.go:6:: got 3, want 4",
	} {
		if got := strings.Join(annotated(t, dir, nil, strings.Split(trace, "\n")...), " | "); got != want {
			t.Errorf("%q is annotated as %q, want %q", trace, got, want)
		}
	}
}
