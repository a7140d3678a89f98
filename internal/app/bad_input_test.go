//go:build unix

package app

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// planted is the secret that no finding may show.
const planted = "hunter2secret"

// forms are the encodings of a text that a message could hold.
func forms(text string) []string {
	all := []string{text, strings.ToUpper(text), hex.EncodeToString([]byte(text)), url.QueryEscape(text), url.PathEscape(text), strings.Trim(strconv.Quote(text), `"`)}
	for shift := range 3 { // inside of a longer text
		shifted := base64.RawStdEncoding.EncodeToString(append(make([]byte, shift), text...))
		all = append(all, shifted[(8*shift+5)/6:8*(shift+len(text))/6])
	}
	return all
}

// announced are the lines by which GitHub's runner hears of a secret: nobody sees them.
var announced = regexp.MustCompile(`(?m)^::add-mask::.*\n`)

// shows tells in which form an output holds the planted secret, or a half of it.
func shows(output string) string {
	output = announced.ReplaceAllString(output, "")
	for _, text := range []string{planted, planted[:8], planted[len(planted)-8:]} {
		for _, form := range forms(text) {
			if strings.Contains(output, form) {
				return form
			}
		}
	}
	return ""
}

// processorTime does not count the time that other processes take from this one.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// bounded calls Main as call does, and checks that it takes a second and 256 MB at most; what it allocates in all is more than it
// ever holds. A busy machine takes several times as much processor time for the same work; what has no bound takes minutes.
func bounded(t *testing.T, dir, stdin string, env map[string]string, args ...string) outcome {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := processorTime()
	got := call(t, dir, stdin, env, args...)
	took := processorTime() - begin
	runtime.ReadMemStats(&after)
	if raceDetector {
		return got
	}
	if took > 30*time.Second {
		t.Errorf("took %v of processor time", took)
	}
	if held := after.TotalAlloc - before.TotalAlloc; held > 256<<20 {
		t.Errorf("allocated %d MB", held>>20)
	}
	return got
}

// input is one wrong way to write something.
type input struct {
	manifest string
	env      map[string]string
	args     []string
	fine     bool // it is no error, and says nothing of the secret either
}

// secretOf is a Secret with that text below stringData, beside a good Job.
func secretOf(text string) input {
	return input{manifest: goodManifest + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData:\n" + text + "\n"}
}

// declaring is a KubernetesJob with that text as its env.secrets.
func declaring(text string) input {
	return input{manifest: `apiVersion: kubernetes.project-planton.org/v1
kind: KubernetesJob
metadata: {name: migrate}
spec:
  namespace: {value: batch}
  image: {repo: busybox, tag: "1.36"}
  env:
    secrets:
` + text + "\n"}
}

func option(name, value string) input {
	return input{manifest: goodManifest, env: map[string]string{"INPUT_" + name: value}}
}

// TestBadInput gives what users get wrong, with a secret in it: each gets a finding, exit code 2, and no word of the secret.
func TestBadInput(t *testing.T) {
	encoded := base64.StdEncoding.EncodeToString([]byte(planted))
	inputs := map[string]input{}
	add := func(group string, forms map[string]input) {
		for name, i := range forms {
			inputs[group+"/"+name] = i
		}
	}
	add("Secret", map[string]input{
		"open bracket":       secretOf("  password: [hunter2secret"),
		"open brace":         secretOf("  password: {hunter2secret"),
		"closing bracket":    secretOf("  password: ]hunter2secret"),
		"a list":             secretOf("  password: [hunter2secret]"),
		"a mapping":          secretOf("  password: {a: hunter2secret}"),
		"a set":              secretOf("  password: {hunter2secret}"),
		"open quote":         secretOf("  password: 'hunter2secret"),
		"open double quote":  secretOf("  password: \"hunter2secret"),
		"text after a quote": secretOf("  password: \"hunter\"2secret"),
		"a wrong escape":     secretOf("  password: \"hunter2secret\\q\""),
		"a block mark":       secretOf("  password: |hunter2secret"),
		"a fold mark":        secretOf("  password: >hunter2secret"),
		"at":                 secretOf("  password: @hunter2secret"),
		"percent":            secretOf("  password: %hunter2secret"),
		"backtick":           secretOf("  password: `hunter2secret"),
		"an anchor":          secretOf("  password: *hunter2secret"),
		"an anchor's name":   {manifest: secretOf("  password: &hunter2secret").manifest, fine: true},
		"a tag":              secretOf("  password: !hunter2secret x"),
		"a tag alone":        secretOf("  password: !hunter2secret"),
		"a verbatim tag":     secretOf("  password: !<tag:hunter2secret> x"),
		"a broken tag":       secretOf("  password: !<hunter2secret x"),
		"a tag of a handle":  secretOf("  password: !e!hunter2secret x"),
		"a number's tag":     secretOf("  password: !!int hunter2secret"),
		"a boolean's tag":    secretOf("  password: !!bool hunter2secret"),
		"a binary tag":       secretOf("  password: !!binary hunter2secret"),
		"a merge":            secretOf("  <<: hunter2secret"),
		"a merge of a list":  secretOf("  <<: [hunter2secret]"),
		"two colons":         secretOf("  password: hunter2secret: x"),
		"no colon":           secretOf("  hunter2secret"),
		"a key twice":        secretOf("  password: hunter2secret\n  password: hunter2secret"),
		"a value twice":      secretOf("  {hunter2secret, hunter2secret}"),
		"a tab":              secretOf("\tpassword: hunter2secret"),
		"wrong indentation":  secretOf("    password: hunter2secret\n   user: hunter2secret"),
		"a number":           secretOf("  password: 12345678\n  other: [hunter2secret]"),
		"not UTF-8":          secretOf("  password: hunter2secret\xe9"),
		"a NUL":              secretOf("  password: hunter2secret\x00"),
		"data not encoded":   {manifest: goodManifest + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: db}\ndata: {password: hunter2secret}\n"},
		"data half encoded":  {manifest: goodManifest + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: db}\ndata: {password: " + encoded[:15] + "!}\n"},
		"another field":      {manifest: goodManifest + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringdata: {password: hunter2secret}\n"},
		"the field itself":   {manifest: goodManifest + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: hunter2secret\n"},
		"the type":           {manifest: goodManifest + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {p: hunter2secret}\ntype: [hunter2secret]\n"},
		"without kind":       {manifest: goodManifest + "---\napiVersion: v1\nmetadata: {name: hunter2secret}\nstringData: {p: hunter2secret}\n"},
		"elsewhere too":      {manifest: strings.Replace(goodManifest, "busybox:1.36", "busybox:hunter2secret!", 1) + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {p: hunter2secret}\n"},
		"encoded elsewhere":  {manifest: strings.Replace(goodManifest, "busybox:1.36", "busybox:hunter2secret!", 1) + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: db}\ndata: {p: " + encoded + "}\n"},
	})
	add("env.secrets", map[string]input{
		"a list of words":    declaring("      - hunter2secret"),
		"an item with value": declaring("      - {valu: hunter2secret, name: DB}"),
		"no name":            declaring("      - {value: hunter2secret}"),
		"value and another":  declaring("      DB: {value: hunter2secret, secretRef: {name: a, key: b}}"),
		"unknown field":      declaring("      DB: {plain: hunter2secret}"),
		"a list":             declaring("      DB: [hunter2secret]"),
		"an anchor":          declaring("      DB: *hunter2secret"),
		"a tag":              declaring("      DB: !hunter2secret x"),
		"a number's tag":     declaring("      DB: !!float hunter2secret"),
		"open quote":         declaring("      DB: \"hunter2secret"),
		"two colons":         declaring("      DB: hunter2secret: x"),
		"text":               declaring("      hunter2secret"),
		"a bad name":         declaring("      D-B: {value: hunter2secret}"),
		"twice":              declaring("      DB: {value: hunter2secret}\n      DB: {value: hunter2secret}"),
		"elsewhere too":      {manifest: strings.Replace(declaring("      DB: {value: hunter2secret}").manifest, "1.36", "hunter2secret!", 1)},
	})
	add("registry-credentials", map[string]input{
		"words":                 option("REGISTRY-CREDENTIALS", "ghcr.io bot hunter2secret"),
		"no key":                option("REGISTRY-CREDENTIALS", "hunter2secret"),
		"secret as key":         option("REGISTRY-CREDENTIALS", "hunter2secret=x"),
		"secret as server":      option("REGISTRY-CREDENTIALS", "server=hunter2secret username=bot"),
		"no username":           option("REGISTRY-CREDENTIALS", "server=ghcr.io password=hunter2secret"),
		"twice":                 option("REGISTRY-CREDENTIALS", "server=ghcr.io username=b password=hunter2secret server=ghcr.io username=b password=hunter2secret"),
		"server with userinfo":  option("REGISTRY-CREDENTIALS", "server=https://u:hunter2secret@ghcr.io username=bot"),
		"userinfo twice":        option("REGISTRY-CREDENTIALS", "server=https://u:hunter2secret@a.io username=b password=c server=https://u:hunter2secret@a.io username=b password=c"),
		"a blank in it":         option("REGISTRY-CREDENTIALS", "server=ghcr.io username=bot password=hunter 2secret"),
		"password first":        option("REGISTRY-CREDENTIALS", "password=hunter2secret server=ghcr.io username=bot"),
		"JSON cut off":          option("REGISTRY-CREDENTIALS", `{"auths": {"ghcr.io": {"password": "hunter2secret"`),
		"JSON without auths":    option("REGISTRY-CREDENTIALS", `{"ghcr.io": {"password": "hunter2secret"}}`),
		"JSON auth not encoded": option("REGISTRY-CREDENTIALS", `{"auths": {"ghcr.io": {"auth": "bot:hunter2secret"}}}`),
		"JSON secret as key":    option("REGISTRY-CREDENTIALS", `{"auths": {"hunter2secret": {}}}`),
		"JSON userinfo":         option("REGISTRY-CREDENTIALS", `{"auths": {"https://u:hunter2secret@ghcr.io": {}}}`),
		"JSON wrong type":       option("REGISTRY-CREDENTIALS", `{"auths": {"ghcr.io": "hunter2secret"}}`),
		"base64":                option("REGISTRY-CREDENTIALS", base64.StdEncoding.EncodeToString([]byte(`{"auths": {"ghcr.io": {"password": "hunter2secret"}}}`))),
		"elsewhere too":         {manifest: strings.Replace(goodManifest, "busybox:1.36", "busybox:hunter2secret!", 1), env: map[string]string{"INPUT_REGISTRY-CREDENTIALS": "server=ghcr.io username=b password=hunter2secret"}},
		"elsewhere, unread":     {manifest: strings.Replace(goodManifest, "busybox:1.36", "busybox:hunter2secret!", 1), env: map[string]string{"INPUT_REGISTRY-CREDENTIALS": "server=ghcr.io username=b passwort=hunter2secret"}},
	})
	add("secret-env", map[string]input{
		"no name":            option("SECRET-ENV", "hunter2secret"),
		"no equals sign":     option("SECRET-ENV", "DB hunter2secret"),
		"a blank name":       option("SECRET-ENV", " =hunter2secret"),
		"a bad name":         option("SECRET-ENV", "D B=hunter2secret"),
		"twice":              option("SECRET-ENV", "DB=hunter2secret\nDB=hunter2secret"),
		"several lines":      option("SECRET-ENV", "DB=-----BEGIN-----\nhunter2secret\n-----END-----"),
		"padding":            option("SECRET-ENV", "DB=x\n!hunter2secret=="),
		"in env too":         {manifest: goodManifest, env: map[string]string{"INPUT_SECRET-ENV": "DB=hunter2secret", "INPUT_ENV": "hunter2secret"}},
		"in env alone":       option("ENV", "hunter2secret"),
		"in the image":       {manifest: strings.Replace(goodManifest, "busybox:1.36", "busybox:hunter2secret!", 1), env: map[string]string{"INPUT_SECRET-ENV": "TAG=hunter2secret!"}},
		"in the name":        {manifest: strings.Replace(goodManifest, "name: migrate", "name: hunter2secret_", 1), env: map[string]string{"INPUT_SECRET-ENV": "TAG=hunter2secret"}},
		"as another option":  {manifest: goodManifest, env: map[string]string{"INPUT_SECRET-ENV": "TAG=hunter2secret", "INPUT_TIMEOUT": "hunter2secret"}},
		"split by the shell": {manifest: goodManifest, args: []string{"--secret-env", "DB=x", "hunter2secret"}},
		"split, with dashes": {manifest: goodManifest, args: []string{"--secret-env", "DB=x", "--=hunter2secret"}},
		"split, like a path": {manifest: goodManifest, args: []string{"--secret-env", "DB=x", "a/hunter2secret"}},
	})
	add("patch", map[string]input{
		"an anchor":            option("PATCH", "spec: {template: {spec: {containers: [{name: main, env: [{name: DB, value: *hunter2secret}]}]}}}"),
		"a tag":                option("PATCH", "spec: {x: !hunter2secret y}"),
		"a key twice":          option("PATCH", "{hunter2secret: 1, hunter2secret: 2}"),
		"open quote":           option("PATCH", `spec: "hunter2secret`),
		"cut off":              option("PATCH", `{"spec": {"x": "hunter2secret"`),
		"no mapping":           option("PATCH", "hunter2secret"),
		"two documents":        option("PATCH", "spec: {}\n---\nhunter2secret: x"),
		"an int":               option("PATCH", "spec: {backoffLimit: !!int hunter2secret}"),
		"a wrong directive":    option("PATCH", "spec: {template: {$patch: hunter2secret}}"),
		"a list's directive":   option("PATCH", "spec: {template: {spec: {containers: [{name: main, $patch: hunter2secret}]}}}"),
		"an item without name": option("PATCH", "spec: {template: {spec: {containers: [{env: [{value: hunter2secret}]}]}}}"),
		"items of two kinds":   option("PATCH", "spec: {template: {spec: {containers: [hunter2secret, {name: main}]}}}"),
		"items of text":        option("PATCH", "spec: {template: {spec: {containers: [hunter2secret]}}}"),
		"an order":             option("PATCH", "spec: {template: {spec: {$setElementOrder/containers: [{name: hunter2secret}], containers: [{name: main}]}}}"),
		"keys to keep":         option("PATCH", "spec: {template: {spec: {$retainKeys: [hunter2secret], restartPolicy: Never}}}"),
		"a mapping as text":    option("PATCH", "spec: {template: hunter2secret}"),
	})
	for name, where := range map[string][2]string{
		"tag":           {"busybox:1.36", "busybox:${PW}!"},
		"image":         {"busybox:1.36", "${PW}!"},
		"image, large":  {"busybox:1.36", "HTTP://${PW}"},
		"name":          {"name: migrate", "name: ${PW}_"},
		"label":         {"{name: migrate}", "{name: migrate, labels: {a: '${PW}!'}}"},
		"label's key":   {"{name: migrate}", "{name: migrate, labels: {'${PW}!': a}}"},
		"field":         {"{name: migrate}", "{name: migrate, '${PW}': a}"},
		"field twice":   {"{name: migrate}", "{name: migrate, '${PW}': a, '${PW}': b}"},
		"namespace":     {"{name: migrate}", "{name: migrate, namespace: '${PW}!'}"},
		"policy":        {"Never", "${PW}"},
		"quantity":      {"cpu: 1", "cpu: '${PW}'"},
		"apiVersion":    {"batch/v1", "${PW}"},
		"container":     {"name: main", "name: '${PW}!'"},
		"volume":        {"limits", "requests: {memory: '${PW}'}, limits"},
		"pull policy":   {"name: main", "name: main, imagePullPolicy: '${PW}'"},
		"mount":         {"name: main", "name: main, volumeMounts: [{name: x, mountPath: /x, subPath: '/${PW}'}]"},
		"of a long one": {"busybox:1.36", "${LONG}"},
	} {
		inputs["substitute/"+name] = input{manifest: strings.Replace(goodManifest, where[0], where[1], 1), fine: name == "policy" || name == "pull policy",
			env: map[string]string{"INPUT_SUBSTITUTE": "PW\nLONG", "PW": planted, "LONG": strings.Repeat(planted, 30) + "!"}}
	}
	postgres := "---\napiVersion: kubernetes.project-planton.org/v1\nkind: KubernetesPostgres\nmetadata: {name: db}\nstatus: {outputs: {password: %s}}\n"
	refer := "{valueFrom: {kind: KubernetesPostgres, name: db, fieldPath: status.outputs.password}}"
	add("valueFrom", map[string]input{
		"namespace":      {manifest: strings.Replace(declaring("      A: {value: x}").manifest, "{value: batch}", refer, 1) + fmt.Sprintf(postgres, "hunter2secret!")},
		"its own Secret": {manifest: strings.Replace(declaring("      A: {secretRef: {namespace: other, name: a, key: b}}").manifest, "{value: batch}", refer, 1) + fmt.Sprintf(postgres, planted)},
		"elsewhere too":  {manifest: strings.Replace(declaring("      A: "+refer).manifest, "1.36", "hunter2secret!", 1) + fmt.Sprintf(postgres, planted)},
	})

	for name, i := range inputs {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, map[string]string{"job.yaml": i.manifest})
			for _, system := range []map[string]string{nil, {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": dir}, {"GITLAB_CI": "true", "CI_PROJECT_DIR": dir}} {
				env := maps.Clone(system)
				if env == nil {
					env = map[string]string{}
				}
				maps.Copy(env, i.env)
				got := bounded(t, dir, "", env, append([]string{"validate", "-f", "job.yaml"}, i.args...)...)
				if all := got.stdout + got.stderr; shows(all) != "" {
					t.Errorf("%v: the secret is shown as %q:\n%s", system, shows(all), all)
				}
				if all := got.stdout + got.stderr; !i.fine && (got.code != 2 || !strings.Contains(all, "nothing was created")) {
					t.Errorf("%v: exit code %d, and no finding:\n%s", system, got.code, all)
				}
			}
		})
	}
}

// TestFloods gives what is meant to take long or to take much: a finding, soon, and no flood of them.
func TestFloods(t *testing.T) {
	kilobytes := func(n int) string { return strings.Repeat("x", n<<10) }
	list := func(head, item string, n int) string { return goodManifest + "---\n" + head + strings.Repeat(item, n) }
	const configMap = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"
	for name, i := range map[string]struct {
		manifest string
		a        string // the variable A
		env      map[string]string
		want     string
	}{
		"a variable, very often":         {list(configMap+"data:\n  a: \"", "${A}", 40_000) + "\"\n", kilobytes(4), nil, "with its variables replaced, the manifest is larger than 4 MiB"},
		"a large variable":               {list(configMap+"data:\n  a: \"", "${A}", 20_000) + "\"\n", kilobytes(100), nil, "with its variables replaced, the manifest is larger than 4 MiB"},
		"a variable in many fields":      {list(configMap+"data:\n  a:\n", "  - ${A}\n", 40_000), kilobytes(4), nil, "with its variables replaced, the manifest is larger than 4 MiB"},
		"a variable in many documents":   {goodManifest + strings.Repeat("---\n"+configMap+"data: {a: \"${A}\"}\n", 4_000), kilobytes(4), nil, "with its variables replaced, the manifest is larger than 4 MiB"},
		"4 MiB of variables":             {list(configMap+"data:\n  a: \"", "${A}", 95_000) + "\"\n", strings.Repeat("x", 40), nil, "the manifest is valid"},
		"an alias of a large text":       {list(configMap+"data:\n  a: &a "+kilobytes(1000)+"\n  b:\n", "  - *a\n", 4_000), "", nil, "with its aliases written out, the manifest is larger than 4 MiB"},
		"an alias of a large key":        {list(configMap+"data:\n  ? &a "+kilobytes(1000)+"\n  : x\nb:\n", "  - {*a : x}\n", 4_000), "", nil, "with its aliases written out, the manifest is larger than 4 MiB"},
		"unknown fields in many objects": {goodManifest + strings.Repeat("---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: p}\nspec: {"+strings.Repeat("contaners: 1, resartPolicy: 2, ", 10)+"x: 3}\n", 500), "", nil, "there are more findings of this kind than these 100"},
		"unknown fields":                 {goodManifest + strings.Repeat("---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: p}\nspec: {"+unknown(100)+"}\n", 450), "", nil, "there are more findings of this kind than these 100"},
		"unknown volumes":                {strings.Replace(goodManifest, "containers:", "volumes: ["+numbered("{name: v%d, emptyDir: {}}", 4_000)+"]\n      containers:", 1) + "        - {name: two, image: \"busybox:1.36\", volumeMounts: [" + numbered("{name: w%d, mountPath: /%[1]d}", 4_000) + "]}\n", "", nil, "there are more findings of this kind than these 100"},
		"unknown references":             {declaring("      A: {value: x}\n    variables: {"+numbered("V%d: {valueFrom: {kind: K, name: n%[1]d, fieldPath: a}}", 2_000)+"}").manifest + strings.Repeat("---\n{apiVersion: a/v1, kind: K, metadata: {name: long-name-of-a-resource}}\n", 2_000), "", nil, "there are more findings of this kind than these 100"},
		"many helpers and ConfigMaps":    {strings.Replace(declaring("      A: {value: x}").manifest, "  env:", "  configMaps: {"+numbered("c%d: x", 5_000)+"}\n  env:", 1) + strings.Repeat("---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: h}}\n", 3_000), "", nil, "the manifest is valid"},
		"wrong documents":                {goodManifest + strings.Repeat("---\na: 1\n", 5_000), "", nil, "there are more findings of this kind than these 100"},
		"wrong tags":                     {list(configMap+"data:\n", "  - !x y\n", 10_000), "", nil, "there are more findings of this kind than these 100"},
		"credentials in plain text":      {strings.Replace(goodManifest, "name: main,", "name: main, env: ["+numbered("{name: A%d_PASSWORD, value: x}", 8_000)+"],", 1), "", nil, "there are more findings of this kind than these 100"},
		"lines of an option":             {goodManifest, "", map[string]string{"INPUT_LABELS": strings.Repeat("x=\n", 20_000)}, "there are more findings of this kind than these 100"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, map[string]string{"job.yaml": i.manifest})
			env := map[string]string{"INPUT_SUBSTITUTE": "A", "A": i.a}
			if i.a == "" {
				env = map[string]string{}
			}
			maps.Copy(env, i.env)
			got := bounded(t, dir, "", env, "validate", "-f", "job.yaml")
			if n := strings.Count(got.stderr, "\n"); n > 320 || len(got.stderr) > 400<<10 {
				t.Errorf("%d lines, %d bytes", n, len(got.stderr))
			}
			if !strings.Contains(got.stderr, i.want) {
				t.Errorf("exit code %d, want %q:\n%.2000s", got.code, i.want, got.stderr)
			}
		})
	}
}

func unknown(n int) string { return numbered("contaner%d: x", n) }

func numbered(format string, n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(format, i))
	}
	return strings.Join(all, ", ")
}

// TestOnlyPlainFiles: a pipe that nobody has named does not hang, and a device is not opened.
func TestOnlyPlainFiles(t *testing.T) {
	dir := folder(t, map[string]string{"job.yaml": goodManifest})
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", filepath.Join(dir, "zero.yaml")); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"-f", "*.yaml"}, {"-f", "/dev/zero"}, {"-f", "zero.yaml"}, {"-f", "."}, {"-f", "job.yaml", "--references", "*.yaml"}} {
		got := bounded(t, dir, "", nil, append([]string{"validate"}, args...)...)
		if got.code != 2 || !strings.Contains(got.stderr, `is not a plain file (what a pipe holds can be given to standard input, which is "-")`) {
			t.Errorf("%v: exit code %d:\n%s", args, got.code, got.stderr)
		}
	}
}
