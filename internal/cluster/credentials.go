package cluster

import (
	"net/url"
	"slices"
	"strings"

	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/planton/kubernetes-job-action/internal/event"
)

// credentials are the secrets of a kubeconfig: those of all its users, as an error may be about any of them.
func credentials(kubeconfig *clientcmdapi.Config) (found []event.Secret) {
	tell := func(what, value string, credential bool) {
		if value != "" {
			found = append(found, event.Secret{Name: what + " of the kubeconfig", Value: value, Credential: credential})
		}
	}
	add := func(what, value string) { tell(what, value, true) }
	for _, c := range kubeconfig.Clusters {
		for what, address := range map[string]string{"server": c.Server, "proxy-url": c.ProxyURL} {
			for _, part := range userInfo(address) {
				add(what, part)
			}
		}
	}
	for _, u := range kubeconfig.AuthInfos {
		add("token", u.Token)
		add("password", u.Password)
		if u.Password != "" {
			add("password", u.Username+":"+u.Password) // as it is sent, in base64
		}
		add("client-key-data", string(u.ClientKeyData))
		for what, file := range map[string]string{"token file": u.TokenFile, "client key": u.ClientKey} {
			if file != "" {
				text, _ := readPlain(file) // clientcmd says what is wrong with it
				add(what, string(text))
			}
		}
		if p := u.AuthProvider; p != nil {
			for name, value := range p.Config {
				if event.SecretName(name) {
					add("auth provider", value)
				}
			}
		}
		if e := u.Exec; e != nil {
			for _, v := range e.Env {
				if !slices.Contains(plainVariables, v.Name) {
					tell("variable "+v.Name+" of the credential plugin", v.Value, event.SecretName(v.Name) || event.LooksSecret(v.Value))
				}
			}
			for i, arg := range e.Args {
				switch name, value, is := strings.Cut(arg, "="); {
				case !strings.HasPrefix(arg, "-") || !event.SecretName(name):
				case is:
					tell("argument of the credential plugin", value, event.LooksSecret(value))
				case i+1 < len(e.Args) && !strings.HasPrefix(e.Args[i+1], "-"):
					tell("argument of the credential plugin", e.Args[i+1], event.LooksSecret(e.Args[i+1]))
				}
			}
		}
	}
	return found
}

// plainVariables are those that "aws eks update-kubeconfig" writes. Their values are words such as default and eu-central-1, which
// stand in messages and outputs too.
var plainVariables = []string{"AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_STS_REGIONAL_ENDPOINTS"}

// userInfo is what a URL has before its host, in the ways in which it may be shown: the password, or a name that stands alone as tokens
// do, and both as they are sent. The text need not be a URL that can be parsed.
func userInfo(address string) (parts []string) {
	_, text, ok := strings.Cut(address, "://")
	if !ok {
		text = address
	}
	end := strings.LastIndex(text, "@")
	if end < 0 {
		return nil
	}
	text = text[:end]
	name, password, has := strings.Cut(text, ":")
	if !has {
		password = name
	}
	parts = append(parts, password)
	if u, err := url.Parse(address); err == nil && u.User != nil {
		decoded, _ := u.User.Password()
		if !has {
			decoded = u.User.Username()
		}
		parts = append(parts, decoded, u.User.Username()+":"+decoded)
	}
	return parts
}
