package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestExistsTogether starts 20 runs of one manifest at the same moment, for each if-exists: there is the number of Jobs that it promises, no
// two are ever at work under one name, and each run that has a Job has all of its lines.
func TestExistsTogether(t *testing.T) {
	const runs, lines = 20, 300
	for _, test := range []struct {
		ifExists string
		options  []string
		jobs     int  // that are made
		left     int  // of them at the end
		fine     int  // runs that succeed
		held     bool // the Job works until every run knows what it does
		refused  string
	}{
		{"replace-finished", []string{"--cleanup", "never"}, 1, 1, 1, true, "together exists already and is still running (made by https://github.example.com/acme/shop/actions/runs/"},
		{"fail", []string{"--cleanup", "never"}, 1, 1, 1, true, "together exists already (running) (made by https://github.example.com/acme/shop/actions/runs/"},
		{"attach", nil, 1, 0, runs, true, ""},
		{"keep-succeeded", nil, 1, 1, runs, true, ""},
		{"suffix", []string{"--cleanup", "never"}, runs, runs, runs, false, ""},
		{"replace", []string{"--cleanup", "never"}, 0, 1, 1, true, ""},
	} {
		t.Run(test.ifExists, func(t *testing.T) {
			bed := newBed(t)
			hold := ":"
			if test.held {
				hold = "while ! test -e /tmp/go; do sleep 0.1; done"
			}
			manifest := bed.job("together", fmt.Sprintf(`now() { cut -d' ' -f1 /proc/uptime; }
				trap 'echo end $HOSTNAME $(now); exit 1' TERM
				echo begin $HOSTNAME $(now); i=0; while [ $i -lt %d ]; do i=$((i+1)); echo line $i; [ $i != %d ] || { %s; }; done; echo end $HOSTNAME $(now)`, lines, lines/2, hold))
			stdout, stderr := func(i int) string { return filepath.Join(bed.dir, fmt.Sprint("out-", i)) }, func(i int) string { return filepath.Join(bed.dir, fmt.Sprint("err-", i)) }
			read := func(path string) string {
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				return string(text)
			}
			var over [runs]atomic.Bool
			ends := make(chan [2]int, runs)
			for i := range runs {
				cmd := exec.Command("kubernetes-job-action", append([]string{"--manifest", manifest, "--if-exists", test.ifExists, "--secret-env", "TOKEN=hunter2secret", "--format", "text"}, test.options...)...)
				cmd.Path, cmd.Err = shared.bin+"/kubernetes-job-action", nil
				cmd.Env = append(slices.Clone(bed.env), "GITHUB_SERVER_URL=https://github.example.com", "GITHUB_REPOSITORY=acme/shop", fmt.Sprint("GITHUB_RUN_ID=", 1000+i), "GITHUB_SHA=0123abcd")
				for path, stream := range map[string]func(*os.File){stdout(i): func(f *os.File) { cmd.Stdout = f }, stderr(i): func(f *os.File) { cmd.Stderr = f }} {
					file, err := os.Create(path)
					if err != nil {
						t.Fatal(err)
					}
					defer file.Close()
					stream(file)
				}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				go func() {
					err := cmd.Wait()
					var exit *exec.ExitError
					code := 0
					if errors.As(err, &exit) {
						code = exit.ExitCode()
					} else if err != nil {
						code = -1
					}
					over[i].Store(true)
					ends <- [2]int{i, code}
				}()
			}
			// Every run knows what it does when it has ended, or follows a Job; those that replace do when one is left.
			following := regexp.MustCompile(`(?m)Job \S+ (created|attached)`)
			for deadline := time.Now().Add(10 * time.Minute); test.held; time.Sleep(200 * time.Millisecond) {
				know, going := 0, 0
				for i := range runs {
					ended := over[i].Load()
					if !ended {
						going++
					}
					if ended || following.MatchString(read(stderr(i))) {
						know++
					}
				}
				if know == runs && (test.ifExists != "replace" || going == 1) {
					if _, err := bed.kubectl("exec", "job/together", "--", "touch", "/tmp/go"); err == nil {
						break
					}
				}
				if time.Now().After(deadline) {
					t.Error("the runs do not come to a decision")
					break
				}
			}
			codes := map[int]int{}
			for range runs {
				select {
				case end := <-ends:
					codes[end[1]]++
					if told := read(stderr(end[0])); end[1] == 2 && (test.refused == "" || !strings.Contains(told, test.refused)) || end[1] != 0 && test.fine == runs {
						t.Errorf("run %d ended with %d, and told\n%s", end[0], end[1], told)
					}
				case <-time.After(5 * time.Minute):
					t.Fatalf("the runs do not end: %v", codes)
				}
			}
			if codes[0] != test.fine || test.refused != "" && codes[2] != runs-test.fine || test.ifExists == "replace" && codes[5] != runs-test.fine {
				t.Errorf("the runs ended with %v", codes)
			}
			type stretch struct {
				pod        string
				begin, end float64
			}
			pods := map[string]*stretch{}
			created := 0
			mark := regexp.MustCompile(`(?m)^(begin|end) (\S+) (\S+)$`)
			for i := range runs {
				out, told := read(stdout(i)), read(stderr(i))
				created += strings.Count(told, "/together created") + len(regexp.MustCompile(`/together-\w{5} created`).FindAllString(told, -1))
				if test.fine == runs {
					want := 0
					for line := range strings.Lines(out) {
						if n, ok := strings.CutPrefix(line, "line "); ok {
							if want++; n != fmt.Sprintln(want) {
								t.Errorf("run %d: line %q where %d is due", i, n, want)
								break
							}
						}
					}
					if want != lines {
						t.Errorf("run %d has %d lines, and told\n%s", i, want, told)
					}
				}
				for _, m := range mark.FindAllStringSubmatch(out, -1) {
					s := pods[m[2]]
					if s == nil {
						s = &stretch{pod: m[2]}
						pods[m[2]] = s
					}
					at, _ := strconv.ParseFloat(m[3], 64)
					if m[1] == "begin" {
						s.begin = at
					} else {
						s.end = at
					}
				}
			}
			if test.jobs > 0 && (created != test.jobs || len(pods) != test.jobs) {
				t.Errorf("%d Jobs and %d pods, want %d", created, len(pods), test.jobs)
			}
			if test.ifExists != "suffix" {
				var work []*stretch
				for _, s := range pods {
					work = append(work, s)
				}
				slices.SortFunc(work, func(a, b *stretch) int { return int(100 * (a.begin - b.begin)) })
				for i := 1; i < len(work); i++ {
					if work[i].begin < work[i-1].end {
						t.Errorf("two Jobs at work: %v and %v", *work[i-1], *work[i])
					}
				}
				t.Logf("%d pods, one after the other; the runs ended with %v", len(work), codes)
			}
			for kind, want := range map[string]int{"jobs": test.left, "secrets": test.left} {
				for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(200 * time.Millisecond) { // what goes with a Job goes after it
					left, err := bed.kubectl("get", kind, "-o", "name")
					if err == nil && strings.Count(left, "\n") == want {
						break
					}
					if time.Now().After(deadline) {
						t.Errorf("want %d %s, and there are %q, %v", want, kind, left, err)
						break
					}
				}
			}
		})
	}
}
