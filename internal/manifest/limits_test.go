//go:build unix && !race

package manifest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// endless gives the same bytes for ever, as /dev/zero does, and counts what was read.
type endless struct {
	text string
	read int
}

func (e *endless) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		n += copy(p[n:], e.text)
	}
	e.read += n
	return n, nil
}

// TestLimits feeds what is meant to hurt: every input gets a finding, within a second and 200 MB. The race detector changes both figures, so
// that this file is not part of a test with it; make test runs both.
func TestLimits(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'm'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", c-1), 9), ","))
	}
	chain := "a0: &a0 x\n"
	for i := 1; i < 3000; i++ {
		chain += fmt.Sprintf("a%d: &a%d [*a%d]\n", i, i, i-1)
	}
	const head = "apiVersion: v1\nkind: ConfigMap\n"
	for name, test := range map[string]struct {
		text string
		want string
	}{
		"50 MB":              {strings.Repeat("# comment\n", 5<<20), "larger than 4 MiB"},
		"4 MB of comments":   {strings.Repeat("#\n", 2<<20-1), "empty"},
		"4 MB of line feeds": {strings.Repeat("\n", 4<<20-1), "empty"},
		"comments, fields":   {strings.Repeat("# c\na: 1\n", 50_000), "given twice"},
		"dense fields":       {head + "data: [" + strings.Repeat("a,", 1<<20) + "]", "more than 100000 fields"},
		"most dense fields":  {head + "data: [" + strings.Repeat("a,", 99_900) + "a]", ""},
		"many keys":          {head + "data:\n" + strings.Repeat("  a: \n", 99_000), "given twice"},
		"many documents":     {strings.Repeat("---\na: 1\n", 8_000), "required"},
		"block scalar":       {head + "data:\n  a: |\n" + strings.Repeat("    some text\n", 200_000), ""},
		"flow nesting":       {strings.Repeat("[", 100_000), "nested deeper"},
		"map nesting":        {strings.Repeat("{a: ", 9_000) + strings.Repeat("}", 9_000), "nested deeper"},
		"list nesting":       {strings.Repeat("- ", 100_000), "nested deeper"},
		"block nesting":      {nested(2_000), "nested deeper"},
		"key nesting":        {strings.Repeat("? ", 100_000), "nested deeper"},
		"alias bomb":         {bomb, "aliases"},
		"alias chain":        {chain, "nested deeper"},
		"alias of itself":    {"a: &a [*a]\n", "inside of what it stands for"},
		"alias as key":       {head + "&a a: 1\n*a : 2\n", "given twice"},
		"binary":             {"\x7fELF\x02\x01\x01\x00\x00" + strings.Repeat("\x00", 1<<20), "NUL byte"},
		"not UTF-8":          {head + "x: \xe9t\xe9\n", "0xe9 is not UTF-8"},
		"UTF-16":             {"\xff\xfea\x00:\x00", "UTF-16"},
		"quotes":             {`"` + strings.Repeat("a", 3<<20), "not YAML"},
		"many errors":        {strings.Repeat("a: b: c\n", 40_000), "not YAML"},
		"late error":         {head + "a:\n  b: 1\n" + strings.Repeat("  c: 1\n", 50_000) + " d: 1\n", "not YAML"},
		"one long line":      {head + "a: " + strings.Repeat("x", 3<<20), ""},
		"anchors":            {head + "a:\n" + strings.Repeat("- &a b\n", 80_000), ""},
		"brackets":           {"]" + strings.Repeat("]", 1<<20), "not YAML"},
		"directives":         {strings.Repeat("%YAML 1.1\n", 100_000), "not YAML"},
		"tags":               {"a: !!" + strings.Repeat("x", 1<<20) + " b\n", "tag"},
		"big number":         {head + "a: 1" + strings.Repeat("0", 1<<20) + "\n", ""},
		"long tag":           {head + "a: !<" + strings.Repeat("%41", 300_000) + "> b\n", "tag"},
	} {
		t.Run(name, func(t *testing.T) {
			findings, took, peak := measure(func() []event.Finding {
				_, findings := Load(Source{Content: test.text})
				return findings
			})
			t.Logf("%v, %d MB", took, peak>>20)
			if took > 30*time.Second { // a second on a quiet machine, and more with the race detector; what has no bound takes minutes
				t.Errorf("took %v", took)
			}
			if peak > 200<<20 {
				t.Errorf("took %d MB", peak>>20)
			}
			if test.want == "" {
				for _, f := range findings {
					if f.Level == event.Error {
						t.Errorf("unexpected: %.200s", f)
					}
				}
				return
			}
			if len(findings) == 0 || !strings.Contains(findings[0].Message, test.want) {
				t.Fatalf("findings %.300v, want %q", findings, test.want)
			}
			for _, f := range findings {
				if len(f.String()) > 1000 {
					t.Errorf("a finding of %d bytes", len(f.String()))
				}
			}
		})
	}

	t.Run("endless input", func(t *testing.T) {
		e := &endless{text: "a: b\n"}
		_, findings := Load(Source{Paths: []string{"-"}, Stdin: e})
		if len(findings) != 1 || !strings.Contains(findings[0].Message, "larger") {
			t.Errorf("findings %v", findings)
		}
		if e.read > 2*maxBytes {
			t.Errorf("read %d bytes", e.read)
		}
	})
	t.Run("many files", func(t *testing.T) {
		dir := t.TempDir()
		for i := range 10 {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.yaml", i)), bytes.Repeat([]byte("# comment\n"), 100_000), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, findings := Load(Source{Paths: []string{"*.yaml"}, Dir: dir})
		if !slices.ContainsFunc(findings, func(f event.Finding) bool { return strings.Contains(f.Message, "larger than 4 MiB") }) {
			t.Errorf("findings %v", findings)
		}
	})
}

func nested(depth int) string {
	var b strings.Builder
	for i := range depth {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

// measure runs f and tells how long it took and how much memory it had at most.
func measure(f func() []event.Finding) (findings []event.Finding, took time.Duration, peak uint64) {
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	done := make(chan struct{})
	peaks := make(chan uint64)
	go func() {
		var most uint64
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				peaks <- most
				return
			case <-tick.C:
				runtime.ReadMemStats(&now)
				most = max(most, now.HeapAlloc)
			}
		}
	}()
	start := processorTime()
	findings = f()
	took = processorTime() - start
	close(done)
	most := <-peaks
	return findings, took, most - min(most, before.HeapAlloc)
}

// BenchmarkSubstitution loads the largest manifest that substitution can make.
func BenchmarkSubstitution(b *testing.B) {
	text := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  a: \"" + strings.Repeat("${A}", 95_000) + "\"\n"
	lookup := func(string) (string, bool) { return strings.Repeat("x", 40), true }
	b.ReportAllocs()
	for b.Loop() {
		if _, findings := Load(Source{Content: text, Substitute: []string{"A"}, LookupEnv: lookup}); len(findings) > 0 {
			b.Fatal(findings)
		}
	}
}
