package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// TestLockTogether starts 20 runs with one lock at the same moment, each with a Job of its own, and kills the one that begins first: exactly
// one Job is at work at any time, by the machine's clock as the pods read it, and all but the killed run succeed.
func TestLockTogether(t *testing.T) {
	const runs = 20
	bed := newBed(t)
	manifest := bed.job("work", "echo begin $(cut -d' ' -f1 /proc/uptime); sleep 1; echo end $(cut -d' ' -f1 /proc/uptime)")
	var all sync.WaitGroup
	var kill sync.Once
	killed := -1
	begin := time.Now()
	for i := range runs {
		cmd := exec.Command("kubernetes-job-action", "--manifest", manifest, "--name", fmt.Sprintf("work-%d", i), "--lock", "together", "--cleanup", "never")
		cmd.Path, cmd.Err = shared.bin+"/kubernetes-job-action", nil
		cmd.Env = bed.env
		var told bytes.Buffer
		cmd.Stderr = &told
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			for in := bufio.NewScanner(out); in.Scan(); {
				kill.Do(func() {
					killed = i
					_ = cmd.Process.Kill() // Wait says whether it was
				})
			}
			if err := cmd.Wait(); (err != nil) != (i == killed) {
				t.Errorf("run %d: %v, after it told\n%s", i, err, told.String())
			}
		})
	}
	all.Wait()
	type stretch struct{ begin, end float64 }
	var work []stretch
	for i := range runs {
		text, err := bed.kubectl("logs", fmt.Sprintf("job/work-%d", i))
		m := regexp.MustCompile(`^begin (\S+)\nend (\S+)\n$`).FindStringSubmatch(text)
		if err != nil || m == nil {
			t.Errorf("the log of Job %d is %q, %v", i, text, err)
			continue
		}
		from, _ := strconv.ParseFloat(m[1], 64)
		to, _ := strconv.ParseFloat(m[2], 64)
		work = append(work, stretch{from, to})
	}
	slices.SortFunc(work, func(a, b stretch) int { return int(100 * (a.begin - b.begin)) })
	for i := 1; i < len(work); i++ {
		if work[i].begin < work[i-1].end {
			t.Errorf("two Jobs at work: %v and %v", work[i-1], work[i])
		}
	}
	if len(work) == runs {
		t.Logf("%d runs took %s; the killed one's lock was free for the next after %.1f s", runs, time.Since(begin).Round(time.Second), work[1].begin-work[0].begin)
	}
	if held, err := bed.kubectl("get", "lease", "together", "-o", "jsonpath={.spec.holderIdentity}"); err != nil || held != "" {
		t.Errorf("the lock is held by %q, %v", held, err)
	}
	if left, err := bed.kubectl("get", "jobs,leases", "-o", "name"); err != nil || len(regexp.MustCompile(`(?m)^.+$`).FindAllString(left, -1)) != runs+1 {
		t.Errorf("there are %q, %v", left, err)
	}
}

// kubectl runs kubectl in the namespace of the bed.
func (b *bed) kubectl(args ...string) (string, error) {
	cmd := exec.Command(shared.cluster.Bin()+"/kubectl", args...)
	cmd.Env = b.env
	out, err := cmd.Output()
	return string(out), err
}
