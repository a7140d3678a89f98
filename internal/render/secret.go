package render

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// Secrets are the values of the options that nobody may see, also of those that will be refused. They must be masked before the
// first finding is told.
func (o Options) Secrets() []event.Secret {
	var all []event.Secret
	add := func(name, value string, credential bool) {
		if value != "" {
			all = append(all, event.Secret{Name: name, Value: value, Credential: credential})
		}
	}
	before := ""
	for i, line := range o.SecretEnv {
		p, ok := cut("secret-env", line, before)
		before = line
		if ok {
			before = p.value
			add("secret-env "+p.name, p.value, true)
		}
		if !ok || p.value != "" && strings.Trim(p.value, "=") == "" { // a line of base64 ends with equals signs
			add(fmt.Sprintf("line %d of secret-env", i+1), line, true)
		}
	}
	auths, _, wrong := readRegistries(o.RegistryCredentials)
	if wrong != nil {
		// What cannot be read may be anything. It serves our own output alone: nothing will run.
		for _, word := range strings.FieldsFunc(o.RegistryCredentials, func(r rune) bool { return strings.ContainsRune(" \t\r\n\",{}", r) }) {
			key, value, _ := strings.Cut(word, "=")
			add("registry-credentials", value, false)
			if key != "server" && key != "username" && key != "password" {
				add("registry-credentials", word, false)
			}
		}
	}
	n := 0
	for server, a := range sorted(auths) {
		n++
		of := strings.Trim(called(server, n), `"`)
		if u, err := url.Parse(server); err == nil && u.User != nil {
			password, _ := u.User.Password()
			add("registry-credentials password in the address of "+of, password, true)
		}
		add("registry-credentials password of "+of, a.Password, true)
		add("registry-credentials auth of "+of, a.Auth, true)
		add("registry-credentials identity token of "+of, a.IdentityToken, true)
		add("registry-credentials registry token of "+of, a.RegistryToken, true)
		if decoded, err := base64.StdEncoding.DecodeString(a.Auth); err == nil {
			_, password, _ := strings.Cut(string(decoded), ":")
			add("registry-credentials password of "+of, password, true)
		}
	}
	return all
}
