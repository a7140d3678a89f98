package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// commands are what scripts can do beyond testscript's own; README.md describes them.
var commands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"act":        positive(cmdAct),
	"cancel":     positive(cmdCancel),
	"checkout":   positive(cmdCheckout),
	"code":       positive(cmdCode),
	"database":   positive(cmdDatabase),
	"engine":     positive(cmdEngine),
	"eventually": cmdEventually,
	"expired":    positive(cmdExpired),
	"finish":     positive(cmdFinish),
	"grace":      positive(cmdGrace),
	"image":      positive(cmdImage),
	"junit":      positive(cmdJUnit),
	"keys":       positive(cmdKeys),
	"lines":      positive(cmdLines),
	"numbered":   positive(cmdNumbered),
	"pipeline":   positive(cmdPipeline),
	"post":       positive(cmdPost),
	"proxied":    positive(cmdProxied),
	"proxy":      positive(cmdProxy),
	"pulled":     positive(cmdPulled),
	"ran":        positive(cmdRan),
	"registry":   positive(cmdRegistry),
	"resize":     positive(cmdResize),
	"screen":     cmdScreen,
	"release":    positive(cmdRelease),
	"signal":     positive(cmdSignal),
	"start":      positive(cmdStart),
	"step":       positive(cmdStep),
	"subst":      positive(cmdSubst),
	"tally":      positive(cmdTally),
	"terminal":   positive(cmdTerminal),
	"volume":     positive(cmdVolume),
	"wait-log":   positive(cmdWaitLog),
	"webhook":    positive(cmdWebhook),
	"within":     cmdWithin,
}

// defaultPatience is how long a script waits for something that has no time of its own: long enough for a busy machine.
const defaultPatience = 2 * time.Minute

// positive refuses the exclamation mark for commands where it has no meaning.
func positive(cmd func(ts *testscript.TestScript, args []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg {
			ts.Fatalf("this command does not take a !")
		}
		cmd(ts, args)
	}
}

// stateKey is where a script's own state is kept.
type stateKey struct{}

// script is what one script has going on.
type script struct {
	id        string
	processes map[string]*process
	finished  map[string]time.Time // when each of the processes ended that finish has waited for
	databases []string
	registry  *registry
	proxy     *proxy
	steps     map[string]*step
}

func stateOf(ts *testscript.TestScript) *script { return ts.Value(stateKey{}).(*script) }

// process is a program in the background.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed at its end; what follows is valid from then on
	err   error
	end   time.Time
}

// end is called when the script is over, however it ended.
func (s *script) end() {
	for _, p := range s.processes {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.ended
	}
	if s.proxy != nil {
		s.proxy.close()
	}
	if s.registry != nil {
		s.registry.close()
	}
	for _, name := range s.databases {
		_, _ = shared.cluster.Psql(context.Background(), "postgres", "--command", "DROP DATABASE "+name+" WITH (FORCE)")
	}
}

// exitCode returns the exit code in err, or fails the script when it never ran. What a signal has ended counts as in a shell, and as the
// runner counts it.
func exitCode(ts *testscript.TestScript, err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.Exited():
		return exit.ExitCode()
	case exit != nil:
		return 128 + int(exit.Sys().(syscall.WaitStatus).Signal())
	}
	ts.Fatalf("no exit code: %v", err)
	return 0
}

func number(ts *testscript.TestScript, text string) int {
	n, err := strconv.Atoi(text)
	ts.Check(err)
	return n
}

func duration(ts *testscript.TestScript, text string) time.Duration {
	d, err := time.ParseDuration(text)
	ts.Check(err)
	return d
}

func needArgs(ts *testscript.TestScript, args []string, least int, usage string) {
	if len(args) < least {
		ts.Fatalf("usage: %s", usage)
	}
}

// cmdCode: code N COMMAND ARGS…
func cmdCode(ts *testscript.TestScript, args []string) {
	needArgs(ts, args, 2, "code N COMMAND [ARGS...]")
	want := number(ts, args[0])
	if got := exitCode(ts, ts.Exec(args[1], args[2:]...)); got != want {
		ts.Fatalf("%s: exit code %d, want %d", args[1], got, want)
	}
}

// retryScript repeats a command until its success is as wanted ($1: true or false) or the time ($2,
// seconds since 1970) has come. Only the last attempt's output is passed on.
const retryScript = `
want=$1 deadline=$2; shift 2
out=$(mktemp -d); trap 'rm -r "$out"' EXIT
while :; do
	if "$@" >"$out/stdout" 2>"$out/stderr"; then got=true; else got=false; fi
	if [ $got = $want ]; then code=0; break; fi
	if [ $(date +%s) -ge $deadline ]; then code=1; break; fi
	sleep 0.2
done
cat "$out/stdout"; cat "$out/stderr" >&2; exit $code
`

// cmdEventually: [!] eventually DURATION COMMAND ARGS…
func cmdEventually(ts *testscript.TestScript, neg bool, args []string) {
	needArgs(ts, args, 2, "[!] eventually DURATION COMMAND [ARGS...]")
	deadline := time.Now().Add(duration(ts, args[0]) + time.Second).Unix() // whole seconds, never less than asked
	retry := []string{"-c", retryScript, "sh", strconv.FormatBool(!neg), strconv.FormatInt(deadline, 10)}
	if err := ts.Exec("sh", append(retry, args[1:]...)...); err != nil {
		ts.Fatalf("%s: not as wanted within %s", args[1], args[0])
	}
}

// cmdWithin: [!] within DURATION [code N] COMMAND ARGS…
func cmdWithin(ts *testscript.TestScript, neg bool, args []string) {
	const usage = "[!] within DURATION [code N] COMMAND [ARGS...]"
	needArgs(ts, args, 2, usage)
	limit := duration(ts, args[0])
	args = args[1:]
	want := -1
	if args[0] == "code" && !neg {
		needArgs(ts, args, 3, usage)
		want, args = number(ts, args[1]), args[2:]
	}
	// The coreutils' timeout ends what hangs, long before the whole test run is out of time.
	seconds := strconv.FormatFloat(limit.Seconds(), 'f', -1, 64)
	started := time.Now()
	got := exitCode(ts, ts.Exec("timeout", append([]string{"--foreground", "--kill-after=1", seconds}, args...)...))
	if took := time.Since(started); took > limit {
		ts.Fatalf("%s: took %s, more than %s", args[0], took.Round(time.Millisecond), limit)
	}
	switch {
	case want >= 0 && got != want:
		ts.Fatalf("%s: exit code %d, want %d", args[0], got, want)
	case want < 0 && (got == 0) == neg:
		ts.Fatalf("%s: exit code %d", args[0], got)
	}
}

// cmdStart: start NAME COMMAND ARGS…
func cmdStart(ts *testscript.TestScript, args []string) {
	needArgs(ts, args, 2, "start NAME COMMAND [ARGS...]")
	// testscript keeps the script's variables to itself, but gives them to what it runs.
	ts.Check(ts.Exec("env", "--null"))
	vars := strings.Split(strings.TrimSuffix(ts.ReadFile("stdout"), "\x00"), "\x00")
	cmd := exec.Command("env", args[1:]...) // env looks the program up in the script's PATH, then is that program
	cmd.Env, cmd.Dir = vars, ts.MkAbs(".")
	startProcess(ts, args[0], cmd)
}

// startProcess starts the command as the script's process of that name.
func startProcess(ts *testscript.TestScript, name string, cmd *exec.Cmd) {
	state := stateOf(ts)
	if _, exists := state.processes[name]; exists {
		ts.Fatalf("there is a process %s already", name)
	}
	stdout, err := os.Create(ts.MkAbs(name + ".stdout"))
	ts.Check(err)
	defer stdout.Close()
	stderr, err := os.Create(ts.MkAbs(name + ".stderr"))
	ts.Check(err)
	defer stderr.Close()
	cmd.Stdout, cmd.Stderr = stdout, stderr
	ts.Check(cmd.Start())
	p := &process{cmd: cmd, ended: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		p.end = time.Now()
		close(p.ended)
	}()
	state.processes[name] = p
}

func running(ts *testscript.TestScript, name string) *process {
	p, ok := stateOf(ts).processes[name]
	if !ok {
		ts.Fatalf("no process %s was started, or it is finished", name)
	}
	return p
}

var signals = map[string]syscall.Signal{
	"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL, "HUP": syscall.SIGHUP, "QUIT": syscall.SIGQUIT, "ABRT": syscall.SIGABRT,
	"STOP": syscall.SIGSTOP, "CONT": syscall.SIGCONT, "PIPE": syscall.SIGPIPE,
}

// cmdSignal: signal NAME INT|TERM|…
func cmdSignal(ts *testscript.TestScript, args []string) {
	needArgs(ts, args, 2, "signal NAME SIGNAL")
	signal, ok := signals[args[1]]
	if !ok {
		ts.Fatalf("no signal %s", args[1])
	}
	ts.Check(running(ts, args[0]).cmd.Process.Signal(signal))
}

// cmdFinish: finish NAME CODE [DURATION]
func cmdFinish(ts *testscript.TestScript, args []string) {
	needArgs(ts, args, 2, "finish NAME CODE [DURATION]")
	name, want, patience := args[0], number(ts, args[1]), defaultPatience
	if len(args) > 2 {
		patience = duration(ts, args[2])
	}
	p := running(ts, name)
	select {
	case <-p.ended:
		delete(stateOf(ts).processes, name)
		stateOf(ts).finished[name] = p.end
		if got := exitCode(ts, p.err); got != want {
			ts.Fatalf("%s: exit code %d, want %d\n%s", name, got, want, output(ts, name))
		}
	case <-time.After(patience):
		ts.Fatalf("%s still runs after %s\n%s", name, patience, output(ts, name))
	}
}

func output(ts *testscript.TestScript, name string) string {
	return fmt.Sprintf("[stdout]\n%s[stderr]\n%s", ts.ReadFile(name+".stdout"), ts.ReadFile(name+".stderr"))
}

// cmdWaitLog: wait-log FILE REGEXP [DURATION]
func cmdWaitLog(ts *testscript.TestScript, args []string) {
	needArgs(ts, args, 2, "wait-log FILE REGEXP [DURATION]")
	pattern, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	patience := defaultPatience
	if len(args) > 2 {
		patience = duration(ts, args[2])
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		text := ts.ReadFile(args[0])
		if pattern.MatchString(text) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s has no %s after %s:\n%s", args[0], args[1], patience, text)
		}
	}
}

// cmdNumbered: numbered FILE PREFIX FIRST LAST
func cmdNumbered(ts *testscript.TestScript, args []string) {
	needArgs(ts, args, 4, "numbered FILE PREFIX FIRST LAST")
	ts.Check(checkNumbered(ts.ReadFile(args[0]), args[1], number(ts, args[2]), number(ts, args[3])))
}

// checkNumbered tells whether the numbers that stand behind the prefix are first to last, in order,
// each once.
func checkNumbered(text, prefix string, first, last int) error {
	pattern, err := regexp.Compile(regexp.QuoteMeta(prefix) + `(\d+)`)
	if err != nil {
		return err
	}
	seen := make(map[int]int, last-first+1)
	var problems []string
	previous := first - 1
	for line := range strings.Lines(text) {
		match := pattern.FindStringSubmatch(line)
		if match == nil {
			continue
		}
		n, err := strconv.Atoi(match[1])
		if err != nil {
			return err
		}
		seen[n]++
		switch {
		case n < first || n > last:
			problems = append(problems, fmt.Sprintf("%s%d is outside of %d to %d", prefix, n, first, last))
		case seen[n] > 1:
			problems = append(problems, fmt.Sprintf("%s%d comes %d times", prefix, n, seen[n]))
		case n < previous:
			problems = append(problems, fmt.Sprintf("%s%d comes behind %s%d", prefix, n, prefix, previous))
		}
		previous = n
	}
	for n := first; n <= last; n++ {
		if seen[n] == 0 {
			end := n
			for end < last && seen[end+1] == 0 {
				end++
			}
			problems = append(problems, fmt.Sprintf("%s%d to %s%d are missing", prefix, n, prefix, end))
			n = end
		}
	}
	if len(problems) == 0 {
		return nil
	}
	const shown = 10
	if more := len(problems) - shown; more > 0 {
		problems = append(slices.Clip(problems[:shown]), fmt.Sprintf("and %d more", more))
	}
	return errors.New(strings.Join(problems, "; "))
}

var variable = regexp.MustCompile(`\$\{(\w+)\}`)

// cmdSubst: subst FROM TO
func cmdSubst(ts *testscript.TestScript, args []string) {
	needArgs(ts, args, 2, "subst FROM TO")
	// Only the form with braces and only what is set: manifests hold shell variables too.
	text := variable.ReplaceAllStringFunc(ts.ReadFile(args[0]), func(match string) string {
		if value := ts.Getenv(match[2 : len(match)-1]); value != "" {
			return value
		}
		return match
	})
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}

// cmdDatabase: database [SUFFIX]
func cmdDatabase(ts *testscript.TestScript, args []string) {
	state, cluster := stateOf(ts), shared.cluster
	name := strings.ReplaceAll(strings.Join(append([]string{state.id}, args...), "_"), "-", "_")
	_, err := cluster.Psql(context.Background(), "postgres", "--command", "CREATE DATABASE "+name)
	ts.Check(err)
	state.databases = append(state.databases, name)
	for key, value := range cluster.DatabaseVars(name) {
		ts.Setenv(key, value)
	}
}
