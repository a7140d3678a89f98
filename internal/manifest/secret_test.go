package manifest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// TestSecrets: what is found in documents, whatever else is wrong with them.
func TestSecrets(t *testing.T) {
	lookup := func(name string) (string, bool) {
		v, ok := map[string]string{"PW": "s3cr3tpassw0rd", "HOST": "localhost"}[name]
		return v, ok
	}
	credential := func(name, value string) event.Secret { return event.Secret{Name: name, Value: value, Credential: true} }
	plain := func(name, value string) event.Secret { return event.Secret{Name: name, Value: value} }
	whole := func(name, value string) event.Secret { return event.Secret{Name: name, Value: value, Whole: true} }
	word := func(name, value string) event.Secret { return event.Secret{Name: name, Value: value, Word: true} }
	secret := func(fields string) string { return "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n" + fields }
	for name, test := range map[string]struct {
		text string
		want []event.Secret
	}{
		"a Secret": {"apiVersion: v1\nkind: Secret\nmetadata: {name: db}\ntype: Opaque\nstringData: {user: shop, password: hunter2secret}\ndata: {token: aHVudGVyMnNlY3JldA==}\n", []event.Secret{
			credential("key password of Secret db", "hunter2secret"),
			credential("key token of Secret db", "aHVudGVyMnNlY3JldA=="), credential("key token of Secret db", "hunter2secret")}},
		"a KubernetesJob": {"apiVersion: kubernetes.planton.dev/v1\nkind: KubernetesJob\nspec: {env: {secrets: {A: shop, B: {value: x}, C: {secretRef: {name: s, key: k}}, D: {value_from: {kind: K, name: n}}}}}\n", []event.Secret{
			credential("spec.env.secrets.A", "shop"), credential("spec.env.secrets.B", "x")}},
		"a list in a KubernetesJob": {"apiVersion: kubernetes.planton.dev/v1\nkind: KubernetesJob\nspec: {env: {secrets: [{name: A, value: shop}, {value: x, name: B}]}}\n", []event.Secret{
			credential("spec.env.secrets.A", "shop"), credential("spec.env.secrets.B", "x")}},
		"variables": {"apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {url: \"http://${HOST}/${PW}\"}\nother: ${PW}\n", []event.Secret{
			credential("key url of Secret db", "http://localhost/s3cr3tpassw0rd"), credential("variable PW", "s3cr3tpassw0rd"),
			credential("key other of Secret db", "s3cr3tpassw0rd")}},
		"several lines": {"apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData:\n  conf: |\n    loglevel: info\n    password: hunter2secret\n", []event.Secret{
			whole("key conf of Secret db", "loglevel: info\npassword: hunter2secret\n"), credential("key conf of Secret db", "hunter2secret")}},
		"JSON": {"apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData:\n  conf: '{\"host\": \"localhost\", \"keys\": [\"hunter2secret\"]}'\n", []event.Secret{
			whole("key conf of Secret db", `{"host": "localhost", "keys": ["hunter2secret"]}`), credential("key conf of Secret db", "hunter2secret")}},
		"words that are none": {secret("stringData: {username: shop, host: localhost, port: '5432', loglevel: info, password: correct-horse-battery, dbUser: shop, DB_NAME: shop, db.host: db.prod.svc}\ndata: {region: ZXUtY2VudHJhbC0x}\n"),
			[]event.Secret{plain("key password of Secret s", "correct-horse-battery")}},
		"words that may be some": {secret("stringData: {pin: '5432', tenant: acme, user_token: shop, host_key: web}\ndata: {code: d2ludGVy}\n"), []event.Secret{
			word("key pin of Secret s", "5432"), word("key tenant of Secret s", "acme"), plain("key user_token of Secret s", "shop"), plain("key host_key of Secret s", "web"),
			credential("key code of Secret s", "d2ludGVy"), word("key code of Secret s", "winter")}},
		"what looks like one, whatever its name": {secret("stringData: {user: hunter2secret, url: 'postgres://shop:winter@db/shop', host: 'shop:x9!kQ2pL7'}\n"), []event.Secret{
			credential("key user of Secret s", "hunter2secret"), credential("key url of Secret s", "postgres://shop:winter@db/shop"), credential("key host of Secret s", "shop:x9!kQ2pL7")}},
		"a script": {secret("stringData:\n  run.sh: |\n    export DB_PASSWORD=winter\n    for i in 1 2; do\n      echo nothing to do\n    done\n"), []event.Secret{
			whole("key run.sh of Secret s", "export DB_PASSWORD=winter\nfor i in 1 2; do\n  echo nothing to do\ndone\n"), plain("key run.sh of Secret s", "winter")}},
		"lines under a name that promises secrets": {secret("stringData:\n  tokens: |\n    winter\n    summer\n"), []event.Secret{plain("key tokens of Secret s", "winter\nsummer\n")}},
		"a PEM block": {secret("stringData:\n  bundle: |\n    -----BEGIN X-----\n    MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n    Ab=\n    -----END X-----\n    plain words\n"), []event.Secret{
			whole("key bundle of Secret s", "-----BEGIN X-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nAb=\n-----END X-----\nplain words\n"),
			credential("key bundle of Secret s", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"), plain("key bundle of Secret s", "Ab=")}},
		"words in JSON": {secret("stringData:\n  settings.json: '{\"host\": \"localhost\", \"port\": 5432, \"password\": \"winter\", \"passwords\": [\"summer\"], \"auth\": \"cm9ib3Q6c3ByaW5n\"}'\n"), []event.Secret{
			whole("key settings.json of Secret s", `{"host": "localhost", "port": 5432, "password": "winter", "passwords": ["summer"], "auth": "cm9ib3Q6c3ByaW5n"}`),
			credential("key settings.json of Secret s", "cm9ib3Q6c3ByaW5n"), plain("key settings.json of Secret s", "robot:spring"), plain("key settings.json of Secret s", "spring"),
			plain("key settings.json of Secret s", "winter"), plain("key settings.json of Secret s", "summer")}},
		"a wrong field":    {"apiVersion: v1\nkind: secret\nmetadata: {name: db}\nstringdata: {password: [hunter2secret]}\n", []event.Secret{credential("key password of Secret db", "hunter2secret")}},
		"no kind":          {"metadata: {name: db}\nstringData: {password: hunter2secret}\n", []event.Secret{credential("key password of Secret db", "hunter2secret")}},
		"a List":           {"apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Secret, metadata: {name: db}, stringData: {password: hunter2secret}}]\n", []event.Secret{credential("key password of Secret db", "hunter2secret")}},
		"an unset one":     {"apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: hunter2secret, x: \"${NO}\"}\n", []event.Secret{credential("key password of Secret db", "hunter2secret")}},
		"with itself":      {"apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: hunter2secret, x: &a [*a]}\n", []event.Secret{credential("key password of Secret db", "hunter2secret")}},
		"before an error":  {"apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: hunter2secret}\n---\n]\n", []event.Secret{credential("key password of Secret db", "hunter2secret")}},
		"nothing but keys": {"apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {hunter2secret, user}\n", []event.Secret{credential("key hunter2secret of Secret db", "hunter2secret")}},
		"none":             {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: db}\ndata: {password: hunter2secret}\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			set, _ := Load(Source{Content: test.text, Substitute: []string{"PW", "HOST", "NO"}, LookupEnv: lookup})
			if diff := cmp.Diff(test.want, set.Secrets); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestUnquoted(t *testing.T) {
	for message, want := range map[string]string{
		"unknown anchor 'hunter2' referenced":                         "unknown anchor … referenced",
		"did not find expected ',' or ']'":                            "did not find expected ',' or ']'",
		"could not find expected ':'":                                 "could not find expected ':'",
		"cannot unmarshal !!str `it's hunter2` into int":              "cannot unmarshal !!str … into int",
		`key "a" already set in map, and 'b'`:                         `key …`,
		"found ',' and then 'hunter2'":                                "found ',' and then …",
		"found character that cannot start any token":                 "found character that cannot start any token",
		"line 2: mapping key \"hunter2\" already defined at \"line 1": "line 2: mapping key …line 1",
	} {
		if got := Unquoted(message); got != want {
			t.Errorf("%s: %s, want %s", message, got, want)
		}
	}
}
