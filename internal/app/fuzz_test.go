//go:build unix

package app

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// FuzzSecretIsNowhere puts a secret into arbitrary input: as the value of a variable somewhere in a manifest, or literally somewhere
// in the manifest or an option, while a Secret, a KubernetesJob or an option declares it. Whatever comes of it, nothing shows it, and it ends soon.
func FuzzSecretIsNowhere(f *testing.F) {
	for _, pattern := range []string{"../../testdata/bad/*.yaml", "../../testdata/bad-batch/*.yaml", "../../testdata/manifests/*/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatal("no seeds", err)
		}
		for i, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			for n := range 4 {
				f.Add(string(text), "spec: {backoffLimit: x}", uint8(n), uint16(len(text)*(i+n)%(len(text)+1)))
			}
		}
	}
	for _, option := range []string{"server=ghcr.io username=b password=c", `{"auths": {"ghcr.io": {"auth": "Yjpj"}}}`, "A=b\nC", "spec: {template: {spec: {containers: [{name: main, $patch: x}]}}}", "main=busybox", "", "x"} {
		for n := range uint8(12) {
			f.Add(goodManifest, option, 4+n, uint16(n))
		}
	}
	options := []string{"PATCH", "ENV", "SECRET-ENV", "REGISTRY-CREDENTIALS", "IMAGE", "LABELS", "NAME", "NAMESPACE", "TIMEOUT", "CLEANUP", "NAME-SUFFIX", "ANNOTATIONS"}
	f.Fuzz(func(t *testing.T, text, option string, how uint8, at uint16) {
		insert := func(into, what string) string {
			i := min(int(at), len(into))
			return into[:i] + what + into[i:]
		}
		env := map[string]string{}
		switch how % 4 {
		case 0:
			text = insert(text, "${A}")
			maps.Copy(env, map[string]string{"INPUT_SUBSTITUTE": "A", "A": planted})
		case 1:
			text = insert(text, planted)
			env["INPUT_SECRET-ENV"] = "S=" + planted
		case 2:
			text = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {p: " + planted + "}\n---\n" + insert(text, planted)
		case 3:
			option = insert(option, planted)
			env["INPUT_REGISTRY-CREDENTIALS"] = "server=ghcr.io username=b password=" + planted
		}
		if name := "INPUT_" + options[int(how/4)%len(options)]; env[name] == "" {
			env[name] = option
		}
		env["INPUT_MANIFEST-CONTENT"] = text
		begin := processorTime()
		got := call(t, t.TempDir(), "", env, "validate")
		if took := processorTime() - begin; took > 10*time.Second {
			t.Errorf("took %v", took)
		}
		var said strings.Builder
		for line := range strings.Lines(got.stdout + got.stderr) {
			if !strings.HasPrefix(line, "· the manifest is valid: Job ") { // a name is published
				said.WriteString(line)
			}
		}
		if strings.Contains(said.String(), planted) {
			t.Errorf("%v: exit code %d:\n%s", env, got.code, said.String())
		}
		if got.code != 0 && got.code != 2 {
			t.Errorf("exit code %d", got.code)
		}
	})
}
