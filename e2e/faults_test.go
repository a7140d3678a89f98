package e2e

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/planton/kubernetes-job-action/e2e/devcluster"
	"github.com/planton/kubernetes-job-action/e2e/faultproxy"
)

var (
	soak     = flag.Bool("soak", false, "run TestSoak, and the fault scenarios at their full length")
	soakRuns = flag.Int("soak-runs", 20, "how often TestSoak repeats each of its scripts")
)

// proxy is what stands between the API server and the program that uses $PROXIED.
type proxy struct {
	relay *faultproxy.Relay
	front *faultproxy.Front
	stop  chan struct{}
	done  sync.WaitGroup
}

func (p *proxy) close() {
	close(p.stop)
	p.done.Wait()
	if p.relay != nil {
		p.relay.Close()
	}
	if p.front != nil {
		p.front.Close()
	}
}

// every calls do again and again, with an interval before each call, until the proxy is closed.
func (p *proxy) every(interval time.Duration, do func()) {
	p.done.Go(func() {
		for {
			select {
			case <-time.After(interval):
				do()
			case <-p.stop:
				return
			}
		}
	})
}

// cmdProxy: proxy cut EVERY | proxy forget AFTER | proxy freeze EVERY LENGTH | proxy fail SHARE | proxy count
func cmdProxy(ts *testscript.TestScript, args []string) {
	const usage = "proxy cut EVERY | forget AFTER | freeze EVERY LENGTH | fail SHARE | count"
	needArgs(ts, args, 1, usage)
	needArgs(ts, args, map[string]int{"freeze": 3, "cut": 2, "forget": 2, "fail": 2}[args[0]], usage)
	state := stateOf(ts)
	if state.proxy != nil {
		ts.Fatalf("the script has its proxy already")
	}
	config := ts.ReadFile(ts.Getenv("KUBECONFIG"))
	server := field(ts, config, "server")
	p := &proxy{stop: make(chan struct{})}
	var err error
	switch args[0] {
	case "cut", "forget", "freeze":
		p.relay, err = faultproxy.NewRelay(strings.TrimPrefix(server, "https://"))
		ts.Check(err)
		config = strings.Replace(config, server, "https://"+p.relay.Addr(), 1)
		if args[0] == "cut" {
			p.every(duration(ts, args[1]), p.relay.Cut)
			break
		}
		if args[0] == "forget" {
			time.AfterFunc(duration(ts, args[1]), p.relay.Forget)
			break
		}
		length := duration(ts, args[2])
		p.every(duration(ts, args[1]), func() {
			p.relay.Freeze()
			select {
			case <-time.After(length):
			case <-p.stop:
			}
			p.relay.Thaw()
		})
	case "count":
		p.front, err = faultproxy.NewFront(server, adminTLS(ts, config), nil)
		ts.Check(err)
	case "fail":
		share, err := strconv.ParseFloat(args[1], 64)
		ts.Check(err)
		p.front, err = faultproxy.NewFront(server, adminTLS(ts, config), faultproxy.Random(share))
		ts.Check(err)
	default:
		ts.Fatalf("usage: %s", usage)
	}
	if p.front != nil {
		// The proxy itself is the administrator; whoever comes to it needs no credentials that count.
		config = fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: proxy, cluster: {server: %q, certificate-authority-data: %s}}]
users: [{name: anyone, user: {token: any}}]
contexts: [{name: proxy, context: {cluster: proxy, user: anyone, namespace: %s}}]
current-context: proxy
`, p.front.URL(), base64.StdEncoding.EncodeToString(p.front.CA()), ts.Getenv("NAMESPACE"))
	}
	state.proxy = p
	path := ts.MkAbs("proxied.kubeconfig")
	ts.Check(os.WriteFile(path, []byte(config), 0o600))
	ts.Setenv("PROXIED", path)
}

// field reads a value of a kubeconfig as devcluster writes it: one pair a line.
func field(ts *testscript.TestScript, config, key string) string {
	match := regexp.MustCompile(`(?m)^\s*` + key + `: (\S+)$`).FindStringSubmatch(config)
	if match == nil {
		ts.Fatalf("the kubeconfig has no %s", key)
	}
	return match[1]
}

// adminTLS is how the owner of the kubeconfig reaches the API server.
func adminTLS(ts *testscript.TestScript, config string) *tls.Config {
	data := func(key string) []byte {
		raw, err := base64.StdEncoding.DecodeString(field(ts, config, key))
		ts.Check(err)
		return raw
	}
	cert, err := tls.X509KeyPair(data("client-certificate-data"), data("client-key-data"))
	ts.Check(err)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(data("certificate-authority-data")) {
		ts.Fatalf("the kubeconfig has no usable authority")
	}
	return &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}}
}

// cmdProxied: proxied cuts|held|lost|noticed|faults|requests LEAST [MOST]
func cmdProxied(ts *testscript.TestScript, args []string) {
	needArgs(ts, args, 2, "proxied cuts|held|lost|noticed|faults|requests LEAST [MOST]")
	p := stateOf(ts).proxy
	if p == nil {
		ts.Fatalf("the script has no proxy")
	}
	var got int
	detail := ""
	switch {
	case args[0] == "cuts" && p.relay != nil:
		got = p.relay.Cuts()
	case args[0] == "held" && p.relay != nil:
		got = p.relay.Held()
	case args[0] == "lost" && p.relay != nil:
		got = p.relay.Lost()
	case args[0] == "noticed" && p.relay != nil:
		got = int(p.relay.Noticed().Seconds())
	case args[0] == "faults" && p.front != nil:
		got = p.front.Faults()
	case args[0] == "requests" && p.front != nil:
		requests := p.front.Requests()
		got, detail = len(requests), ":\n"+strings.Join(requests, "\n")
	default:
		ts.Fatalf("this proxy does not count %s", args[0])
	}
	ts.Logf("%d %s%s", got, args[0], detail)
	if got < number(ts, args[1]) || len(args) > 2 && got > number(ts, args[2]) {
		ts.Fatalf("%d %s, want %s", got, args[0], strings.Join(args[1:], " to "))
	}
}

// cmdVolume: volume LINES SECONDS FULL-LINES FULL-SECONDS
func cmdVolume(ts *testscript.TestScript, args []string) {
	needArgs(ts, args, 4, "volume LINES SECONDS FULL-LINES FULL-SECONDS")
	if *soak {
		args = args[2:]
	}
	lines, seconds := number(ts, args[0]), number(ts, args[1])
	ts.Setenv("LINES", args[0])
	ts.Setenv("BATCH", strconv.Itoa(lines/seconds/10)) // lines in a tenth of a second
}

// cmdLines: lines NAME PREFIX FIRST LAST [rotated | suspects] [MOST]
func cmdLines(ts *testscript.TestScript, args []string) {
	needArgs(ts, args, 4, "lines NAME PREFIX FIRST LAST [rotated | suspects] [MOST]")
	more := args[4:]
	suspects := len(more) > 0 && more[0] == "suspects"
	rotated := suspects || len(more) > 0 && more[0] == "rotated"
	if rotated {
		more = more[1:]
	}
	stderr := ts.ReadFile(args[0] + ".stderr")
	lost, gaps, err := checkLines(ts.ReadFile(args[0]+".stdout"), stderr, args[1], number(ts, args[2]), number(ts, args[3]), rotated, suspects)
	if err != nil {
		ts.Fatalf("%v\n%s", err, stderr)
	}
	ts.Logf("%d lines lost, covered by %d gap notices", lost, gaps)
	if len(more) > 0 && lost > number(ts, more[0]) {
		ts.Fatalf("%d lines lost, want %s at most", lost, more[0])
	}
}

// gapNotice is how a program run says that lines may be lost.
var gapNotice = regexp.MustCompile(`lines of container \S+ of pod \S+ may be lost(?: between (\S+) and ([^\s:]+:\d+:[\d.]+Z)| after ([^\s:]+:\d+:[\d.]+Z)| before ([^\s:]+:\d+:[\d.]+Z))?`)

// unseen is how long a hole may be that a rotation makes and no client of pods/log can see: see docs/architecture.md.
const unseen = 50 * time.Millisecond

// hole is a place where lines are missing: the times of the lines around it, empty where there is none.
type hole struct{ after, until string }

// length is the longest possible for a hole at an end.
func (h hole) length() time.Duration {
	after, err := time.Parse(time.RFC3339Nano, h.after)
	until, err2 := time.Parse(time.RFC3339Nano, h.until)
	if err != nil || err2 != nil {
		return 1<<63 - 1
	}
	return until.Sub(after)
}

// checkLines tells whether the numbers that stand behind the prefix in a run's standard output, written with --timestamps, are
// first to last, in order and each once, but for those that the run itself says are lost: each hole in the numbers has one gap notice with
// the very times of the lines around it, and there is no notice without a hole, unless suspects are allowed. Where the log is rotated,
// a hole that nobody can see needs no notice.
func checkLines(stdout, stderr, prefix string, first, last int, rotated, suspects bool) (lost, gaps int, err error) {
	pattern := regexp.MustCompile(`^(\S+Z) (?:.*?` + regexp.QuoteMeta(prefix) + `(\d+))?`)
	var holes []hole
	var problems []string
	previous, at, piece := first-1, "", "" // piece is when the end of a line was written whose beginning is lost
	next := func(n int, when string) {
		if n > previous+1 {
			lost += n - previous - 1
			holes = append(holes, hole{at, cmp.Or(piece, when)})
		}
		piece = ""
		if n <= previous {
			problems = append(problems, fmt.Sprintf("%s%d comes behind %s%d", prefix, n, prefix, previous))
		}
		if n > previous {
			previous, at = n, when
		}
	}
	for line := range strings.Lines(stdout) {
		match := pattern.FindStringSubmatch(line)
		if match == nil {
			continue
		}
		if match[2] == "" {
			piece = cmp.Or(piece, match[1])
			continue
		}
		n, err := strconv.Atoi(match[2])
		if err != nil {
			return 0, 0, err
		}
		if n > last {
			problems = append(problems, fmt.Sprintf("%s%d is more than %d", prefix, n, last))
		}
		next(n, match[1])
	}
	if previous <= last {
		piece = ""
		next(last+1, "")
	}
	var said []hole
	for _, match := range gapNotice.FindAllStringSubmatch(stderr, -1) {
		if one := (hole{millis(match[1] + match[3]), millis(match[2] + match[4])}); !suspects || slices.Contains(holes, one) {
			said = append(said, one)
		}
	}
	if rotated {
		holes = slices.DeleteFunc(holes, func(h hole) bool {
			return h.length() <= unseen && !slices.Contains(said, h)
		})
	}
	if !slices.Equal(holes, said) {
		problems = append(problems, fmt.Sprintf("%d lines are missing, between %v, but the gap notices tell of %v", lost, holes, said))
	}
	if len(problems) > 0 {
		return lost, len(said), errors.New(strings.Join(problems[:min(len(problems), 10)], "; "))
	}
	return lost, len(said), nil
}

// millis gives a time stamp as it stands before a line: in milliseconds, cut off.
func millis(stamp string) string {
	at, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil {
		return stamp
	}
	return at.UTC().Format("2006-01-02T15:04:05.000Z")
}

func TestCheckLines(t *testing.T) {
	stamp := func(n int) string { return fmt.Sprintf("2026-01-01T00:00:%02d.123Z", n) }
	text := func(numbers ...int) (out string) {
		for _, n := range numbers {
			out += fmt.Sprintf("%s line-%d\n", stamp(n), n)
		}
		return out
	}
	nano := func(n int) string { return fmt.Sprintf("2026-01-01T00:00:%02d.123456789Z", n) }
	const lost = "! lines of container main of pod p may be lost"
	const why = ": the log was rotated away before it could be read\n"
	for name, test := range map[string]struct {
		stdout, stderr string
		lost           int
		bad            bool
	}{
		"whole":              {text(1, 2, 3, 4, 5), "", 0, false},
		"a silent hole":      {text(1, 2, 4, 5), "", 1, true},
		"a hole":             {text(1, 2, 5), lost + " between " + nano(2) + " and " + nano(5) + why, 2, false},
		"another hole":       {text(1, 2, 5), lost + " between " + nano(1) + " and " + nano(5) + why, 2, true},
		"a hole and a piece": {text(1, 2) + stamp(4) + " of a line\n" + text(5), lost + " between " + nano(2) + " and " + nano(4) + why, 2, false},
		"at the start":       {text(3, 4, 5), lost + " before " + nano(3) + why, 2, false},
		"at the end":         {text(1, 2, 3), lost + " after " + nano(3) + why, 2, false},
		"all":                {"", lost + why, 5, false},
		"a false alarm":      {text(1, 2, 3, 4, 5), lost + " between " + nano(2) + " and " + nano(3) + why, 0, true},
		"a moment's hole":    {text(1, 2) + "2026-01-01T00:00:02.173Z line-4\n" + text(5), "", 1, true},
		"twice":              {text(1, 2, 2, 3, 4, 5), "", 0, true},
		"in disorder":        {text(1, 3, 2, 4, 5), "", 1, true},
		"more than expected": {text(1, 2, 3, 4, 5, 6), "", 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, err := checkLines(test.stdout, test.stderr, "line-", 1, 5, false, false)
			if got != test.lost || (err != nil) != test.bad {
				t.Errorf("%d lost, %v", got, err)
			}
			if _, _, err = checkLines(test.stdout, test.stderr, "line-", 1, 5, true, true); (err != nil) != (test.bad && name != "a false alarm" && name != "a moment's hole") {
				t.Errorf("with suspects: %v", err)
			}
			if _, _, err = checkLines(test.stdout, test.stderr, "line-", 1, 5, true, false); (err != nil) != (test.bad && name != "a moment's hole") {
				t.Errorf("rotated: %v", err)
			}
		})
	}
}

// tallies are the figures of TestSoak, by script and reader.
var tallies = struct {
	sync.Mutex
	of map[string][]tally
}{of: map[string][]tally{}}

type tally struct{ lost, repeated, gaps int }

// cmdTally: tally WHO FILE PREFIX FIRST LAST
func cmdTally(ts *testscript.TestScript, args []string) {
	needArgs(ts, args, 5, "tally WHO FILE PREFIX FIRST LAST")
	first, last := number(ts, args[3]), number(ts, args[4])
	pattern := regexp.MustCompile(regexp.QuoteMeta(args[2]) + `(\d+)`)
	times := make([]int, last+1)
	for line := range strings.Lines(ts.ReadFile(args[1])) {
		if match := pattern.FindStringSubmatch(line); match != nil {
			// A line that was cut within its number counts as the shorter number would: as kubectl shows it.
			if n := number(ts, match[1]); n >= first && n <= last {
				times[n]++
			}
		}
	}
	var sum tally
	for _, n := range times[first:] {
		if n == 0 {
			sum.lost++
		} else {
			sum.repeated += n - 1
		}
	}
	if notes, err := os.ReadFile(ts.MkAbs(strings.TrimSuffix(args[1], ".stdout") + ".stderr")); err == nil {
		sum.gaps = len(gapNotice.FindAll(notes, -1))
	}
	key := ts.Name() + "\t" + args[0]
	tallies.Lock()
	defer tallies.Unlock()
	tallies.of[key] = append(tallies.of[key], sum)
	fmt.Fprintf(os.Stderr, "soak: %s %s: %+v\n", ts.Name(), args[0], sum)
}

// smallLogs are a kubelet's settings under which logs are lost soon.
var smallLogs = devcluster.LogRotation{MaxSize: "1Mi", MaxFiles: 3, Interval: 3 * time.Second}

// rotate changes the kubelet's settings for the duration of a test.
func rotate(t testing.TB, to devcluster.LogRotation) {
	before := shared.cluster.LogRotation()
	if err := shared.cluster.Up(t.Context(), devcluster.Options{LogRotation: &to}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := shared.cluster.Up(context.Background(), devcluster.Options{LogRotation: &before}); err != nil {
			t.Error(err)
		}
	})
}

// TestSoak repeats the scripts of testdata/soak, in which kubectl reads the same logs beside the program, and prints how many
// lines each reader has lost and shown more than once.
func TestSoak(t *testing.T) {
	if !*soak {
		t.Skip("only with -soak")
	}
	scripts, err := filepath.Glob("testdata/soak/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, path := range scripts {
		name := strings.TrimSuffix(filepath.Base(path), ".txtar")
		t.Run(name, func(t *testing.T) {
			if strings.HasPrefix(name, "rotation") {
				rotate(t, smallLogs)
			}
			for range *soakRuns {
				t.Run("run", func(t *testing.T) {
					p := params("")
					p.Files = []string{path}
					testscript.Run(t, p)
				})
			}
		})
	}
	tallies.Lock()
	defer tallies.Unlock()
	var out strings.Builder
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "script\treader\truns\truns with loss\tlines lost\tlines repeated\tgap notices")
	for _, key := range slices.Sorted(maps.Keys(tallies.of)) {
		var sum tally
		lossy := 0
		for _, one := range tallies.of[key] {
			sum = tally{sum.lost + one.lost, sum.repeated + one.repeated, sum.gaps + one.gaps}
			if one.lost > 0 {
				lossy++
			}
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\n", key, len(tallies.of[key]), lossy, sum.lost, sum.repeated, sum.gaps)
	}
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", out.String())
}
