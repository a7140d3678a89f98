//go:build unix

package app

import (
	"strings"
	"testing"
)

// TestSecretOfSeveralLines: such a value has a way in, and no line of one that was split by mistake is a variable, or is shown, whichever
// option it is in.
func TestSecretOfSeveralLines(t *testing.T) {
	const pem = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nq83vEjRWeJA=\n-----END PRIVATE KEY-----"
	dir := folder(t, map[string]string{"job.yaml": goodManifest})
	shown := func(t *testing.T, o outcome) {
		t.Helper()
		for _, part := range []string{"MIIEvQ", "q83v", "BEGIN PRIVATE", "QUJD"} {
			if strings.Contains(announced.ReplaceAllString(o.stdout+o.stderr, ""), part) {
				t.Errorf("%s is shown:\n%s%s", part, o.stdout, o.stderr)
			}
		}
	}
	const goesOn = ": KEY: the value goes on over several lines: line 2 is not NAME=VALUE (write KEY<<EOF, the lines of the value, and EOF"
	for name, test := range map[string]struct{ option, value, want string }{
		"env":                      {"ENV", "KEY=" + pem + "\nOTHER=1", "env" + goesOn},
		"secret-env":               {"SECRET-ENV", "KEY=" + pem + "\nOTHER=1", "secret-env" + goesOn},
		"base64 alone":             {"SECRET-ENV", "KEY=MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nq83vEjRWeJA=", "secret-env" + goesOn},
		"base64 in env":            {"ENV", "KEY=MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nq83vEjRWeJA=", "env" + goesOn},
		"a short end":              {"ENV", "KEY=MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nQUJD\nQQ==", "env" + goesOn},
		"annotations":              {"ANNOTATIONS", "KEY=" + pem, "annotations: KEY: the value goes on over several lines: line 2 is not NAME=VALUE (each value must be on one line"},
		"labels":                   {"LABELS", "KEY=" + pem, "labels: KEY: the value goes on over several lines: line 2 is not NAME=VALUE (each value must be on one line"},
		"nothing before it":        {"ENV", pem, "env: line 1 is not NAME=VALUE"},
		"a JSON key of a registry": {"REGISTRY-CREDENTIALS", "server=gcr.io username=_json_key password={ \"key\": \"" + pem + "\" }", "a password with blanks, such as a JSON key, needs the form of a dockerconfigjson document"},
		"a heredoc without an end": {"SECRET-ENV", "KEY<<EOF\n" + pem, "secret-env: KEY: the value has no end"},
		"the same in env":          {"ENV", "KEY<<EOF\n" + pem, "env: KEY: the value has no end"},
	} {
		t.Run(name, func(t *testing.T) {
			o := call(t, dir, "", map[string]string{"INPUT_" + test.option: test.value}, "validate", "--manifest", "job.yaml")
			if o.code != exitInvalid || !strings.Contains(o.stderr, test.want) || strings.Count(o.stderr, "✗") > 2 {
				t.Errorf("exit code %d, want one finding %q:\n%s", o.code, test.want, o.stderr)
			}
			shown(t, o)
		})
	}
	for name, option := range map[string]string{"env": "ENV", "secret-env": "SECRET-ENV"} {
		t.Run("a heredoc in "+name, func(t *testing.T) {
			o := call(t, dir, "", map[string]string{"INPUT_" + option: "FIRST=1\nKEY<<EOF\n" + pem + "\n\n  two\nEOF\nLAST="}, "render", "--show-secrets", "--manifest", "job.yaml")
			want := "q83vEjRWeJA="
			if o.code != exitOK || name == "env" && !strings.Contains(o.stdout, "\n            "+want+"\n            -----END PRIVATE KEY-----\n\n              two\n") ||
				name == "secret-env" && !strings.Contains(o.stdout, "KEY: LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCk1JSUV2UUlCQURBTkJna3Foa2lHOXcwQkFRRUZBQVNDCnE4M3ZFalJXZUpBPQotLS0tLUVORCBQUklWQVRFIEtFWS0tLS0tCgogIHR3bw==") {
				t.Errorf("exit code %d\n%s%s", o.code, o.stdout, o.stderr)
			}
			for _, name := range []string{"FIRST", "KEY", "LAST"} {
				if !strings.Contains(o.stdout, "name: "+name+"\n") {
					t.Errorf("%s is no variable:\n%s", name, o.stdout)
				}
			}
		})
	}
	o := call(t, dir, "", nil, "validate", "--manifest", "job.yaml", "--secret-env", "KEY="+pem, "--secret-env", "OTHER<<X\n"+pem+"\nX")
	if o.code != exitOK {
		t.Errorf("flags: exit code %d\n%s", o.code, o.stderr)
	}
	shown(t, o)
	o = call(t, dir, "", map[string]string{"INPUT_ENV": "ENVIRONMENT=\nEMPTY=\nDB_URL=postgres://db/x?sslmode=disable"}, "validate", "--manifest", "job.yaml")
	if o.code != exitOK {
		t.Errorf("variables that are empty: exit code %d\n%s", o.code, o.stderr)
	}
}
