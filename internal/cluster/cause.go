package cluster

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"syscall"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/outage"
	"github.com/planton/kubernetes-job-action/internal/refusal"
)

// Cause puts an error of client-go into words: "cannot <what>: <why>", with the way out as hint. what says what was tried, such
// as "create Job ns/name". An error that is a *event.Cause already, or wraps one, is answered as it is; nil gives nil.
func Cause(err error, what string) *event.Cause {
	if err == nil {
		return nil
	}
	var cause *event.Cause
	if errors.As(err, &cause) {
		return cause
	}
	cause = explain(err)
	cause.Message = "cannot " + what + ": " + cause.Message
	cause.Err = err
	return cause
}

// In is an error about an object of the namespace: the hint of a refusal says it.
func In(err error, namespace string) error {
	var status apierrors.APIStatus
	var cause *event.Cause
	if errors.As(err, &status) && errors.As(err, &cause) {
		if r := refusal.Object(short(status.Status().Message), namespace); r.Known {
			cause.Hint = r.Hint
		}
	}
	return err
}

// Why is the reason of an error of client-go in a few words.
func Why(err error) string { return explain(err).Message }

// answeredVersion finds the version that a credential plugin has answered with, where client-go does not take it
// (k8s.io/client-go/plugin/pkg/client/auth/exec, refreshCredsLocked).
var answeredVersion = regexp.MustCompile(`no kind "ExecCredential" is registered for version "([^"]*)"|plugin returned version (\S+)`)

// execCredential is the hint for a plugin that prints something else.
const execCredential = "Its standard output must be an ExecCredential with a token or a certificate and its key, and nothing else."

// explain finds the reason, the words and the hint for an error.
func explain(err error) *event.Cause {
	var status apierrors.APIStatus
	switch {
	case errors.As(err, &status):
		return explainStatus(status.Status())
	case meta.IsNoMatchError(err):
		return &event.Cause{Reason: event.InvalidManifest, Message: "the cluster does not know this kind: " + short(err.Error()),
			Hint: "Check apiVersion and kind; if it is a custom resource, its definition must be installed first: kubectl api-resources"}
	case outage.KindOf(err) == outage.NoCredentials:
		_, text, _ := strings.Cut(err.Error(), "getting credentials: ")
		if text == "" {
			text = err.Error()
		}
		text, _, _ = strings.Cut(text, "\n")
		cause := &event.Cause{Reason: event.Unauthorized, Message: "the kubeconfig's credential plugin gave no credentials: " + short(text),
			Hint: "What it printed stands above. Is it logged in, and are its environment variables set in this step?"}
		var own *pluginError
		version := ""
		if m := answeredVersion.FindStringSubmatch(text); m != nil {
			version = m[1] + m[2]
		}
		switch {
		case errors.As(err, &own):
			cause.Hint = own.hint
		case strings.HasSuffix(version, "/__internal"): // an empty answer, or one without an apiVersion
			cause.Message, cause.Hint = "the kubeconfig's credential plugin printed no ExecCredential with an apiVersion", execCredential
		case version != "":
			cause.Reason, cause.Hint = event.InvalidInput, oldPlugin
			cause.Message = fmt.Sprintf("the kubeconfig's credential plugin answers with the apiVersion %q, which is not what is asked for", version)
			if !strings.Contains(version, "alpha") {
				cause.Hint = fmt.Sprintf("Set the apiVersion of the kubeconfig's exec to %s, and its interactiveMode to Never.", version)
			}
		case strings.HasPrefix(text, "decoding stdout: "), strings.HasPrefix(text, "exec plugin didn't return"), strings.HasPrefix(text, "exec plugin returned only"):
			cause.Hint = execCredential
		case strings.HasPrefix(text, "exec: fork/exec "):
			cause.Hint = "The program cannot be started: is it one for this machine's processor, and is the interpreter of its first line here?"
		case strings.HasPrefix(text, "exec plugin cannot support interactive mode"):
			cause.Hint = "Set interactiveMode of the kubeconfig's exec to Never or IfAvailable: nobody answers questions in CI."
		}
		return cause
	default:
		return explainConnection(err)
	}
}

// explainConnection is for errors that are not an answer of the API server.
func explainConnection(err error) *event.Cause {
	cause := explainAddress(err)
	var p *proxyError
	if errors.As(err, &p) {
		cause.Message = p.blame(cause.Message)
		if outage.KindOf(err).Away() {
			cause.Hint = p.hint()
		}
	}
	return cause
}

// explainAddress is the same, without a word about proxies.
func explainAddress(err error) *event.Cause {
	server := "the API server"
	var request *url.Error
	if errors.As(err, &request) {
		if u, err := url.Parse(request.URL); err == nil && u.Host != "" {
			server += " " + u.Scheme + "://" + u.Host
		}
	}
	cause := &event.Cause{Reason: event.APIUnreachable}
	var page *outage.PageError
	var invalid x509.CertificateInvalidError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var dns *net.DNSError
	kind := outage.KindOf(err)
	switch {
	case errors.As(err, &page):
		cause.Message = page.Error()
		cause.Hint = "A login page, a gateway or a proxy answers in its place: check the server's address in the kubeconfig, and that this machine reaches it without them (HTTPS_PROXY, NO_PROXY)."
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		cause.Message = fmt.Sprintf("the certificate of %s is not valid now (%s)", server, invalid.Detail)
		cause.Hint = "It has to be renewed on the server; if the dates look right, this machine's clock is wrong."
	case errors.As(err, &host):
		cause.Message = fmt.Sprintf("the certificate of %s is for another name (%s)", server, strings.TrimPrefix(host.Error(), "x509: "))
		cause.Hint = "Use a name from the certificate as the server's address, or set the cluster's tls-server-name in the kubeconfig to one."
	case errors.As(err, &authority):
		cause.Message = fmt.Sprintf("the certificate of %s is signed by an authority that the kubeconfig does not trust", server)
		cause.Hint = "The cluster's certificate-authority-data must be that of this very cluster; it changes when a cluster is made anew. Behind a proxy that breaks TLS open, it is the proxy's."
	case kind == outage.CertificateRefused && !strings.Contains(rootText(err), "certificate") && !strings.HasSuffix(rootText(err), "handshake failure"): // what TLS 1.2 says of a missing one
		cause.Message = fmt.Sprintf("%s ends the TLS handshake (%s)", server, short(rootText(err)))
		cause.Hint = "Check the address, port and tls-server-name in the kubeconfig: a load balancer that does not know the name, or another service, answers like this."
	case kind == outage.CertificateRefused:
		cause.Reason = event.Unauthorized
		cause.Message = fmt.Sprintf("%s refuses the client certificate (%s)", server, short(rootText(err)))
		cause.Hint = "A client certificate ends after a year, mostly; make a new kubeconfig."
	case kind == outage.NoTLS:
		cause.Message = server + " does not speak TLS"
		cause.Hint = "Check the address and port in the kubeconfig: something else may listen there, or a proxy may answer in its place."
	case kind == outage.Unsendable:
		cause.Reason = event.InvalidInput
		cause.Message = "the request cannot be sent: " + short(rootText(err))
		cause.Hint = "Look for a line break in what goes into that header, such as a token, or for a wrong address, in the kubeconfig or in what its credential plugin prints."
	case kind == outage.Untrusted:
		cause.Message = fmt.Sprintf("the certificate of %s cannot be verified (%s)", server, short(rootText(err)))
		cause.Hint = "Look at what the server shows: openssl s_client -showcerts -connect HOST:PORT"
	case errors.As(err, &dns):
		cause.Message = fmt.Sprintf("the name of %s cannot be resolved (%s)", server, dns.Err)
		cause.Hint = "Check the server's address in the kubeconfig. The names of private clusters are known only in their own network: it takes a runner there, or a VPN that is connected."
	case utilnet.IsConnectionRefused(err):
		cause.Message = server + " refuses the connection"
		cause.Hint = "Check the address and port in the kubeconfig, and whether the cluster runs."
		if isLoopback(request) {
			cause.Hint += " In a container, localhost is the container itself."
		}
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		cause.Message = fmt.Sprintf("there is no way to %s (%s)", server, short(rootText(err)))
		cause.Hint = "Is the VPN connected? A private cluster needs a runner in its network."
	case errors.Is(err, context.DeadlineExceeded), utilnet.IsTimeout(err):
		cause.Message = server + " does not answer in time"
		cause.Hint = "A firewall, a VPN that is not connected, or an address that only another network reaches, looks like this: a private cluster needs a runner in its network, or a proxy into it (HTTPS_PROXY)."
	case errors.Is(err, context.Canceled):
		cause.Reason, cause.Message = event.ReasonCancelled, "it was cancelled"
	case kind.Away():
		cause.Message = fmt.Sprintf("the connection to %s broke (%s)", server, short(rootText(err)))
		cause.Hint = "A firewall, a proxy, or a load balancer without a server behind it, ends connections like this. Check the address and port in the kubeconfig, and whether the cluster runs."
	default:
		cause.Message = short(err.Error())
	}
	return cause
}

func isLoopback(request *url.Error) bool {
	if request == nil {
		return false
	}
	u, err := url.Parse(request.URL)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && (ip.IsLoopback() || ip.IsUnspecified())
}

// rootText is the text of an error without the request that it belongs to.
func rootText(err error) string {
	var request *url.Error
	if errors.As(err, &request) {
		return request.Err.Error()
	}
	return err.Error()
}

// explainStatus is for an answer of the API server, or of something that stands before it.
func explainStatus(s metav1.Status) *event.Cause {
	cause := &event.Cause{Reason: event.InvalidInput, Message: short(s.Message)}
	details := s.Details
	if details == nil {
		details = &metav1.StatusDetails{}
	}
	switch s.Code {
	case http.StatusUnauthorized:
		cause.Reason = event.Unauthorized
		cause.Message = "the API server does not accept the credentials (401 Unauthorized)"
		cause.Hint = "The token or certificate in the kubeconfig has expired, was revoked, or belongs to another cluster; make a new one: kubectl create token NAME --duration=1h"
	case http.StatusForbidden:
		explainForbidden(cause, s.Message)
	case http.StatusNotFound:
		switch {
		case details.Kind == "namespaces" && details.Name != "":
			cause.Object = event.Ref{Kind: "Namespace", Name: details.Name}
			cause.Message = fmt.Sprintf("the namespace %q does not exist", details.Name)
			cause.Hint = event.In("Create it", event.Kubectl("", "create namespace %s", details.Name)) + ", or set createNamespace: true in a KubernetesJob manifest."
		case details.Name == "":
			// A server that knows the resource names the object that is missing.
			cause.Reason = event.APIUnreachable
			cause.Message = "the server does not know this resource (404)"
			cause.Hint = "Either the address in the kubeconfig is not that of a Kubernetes API server (a path too much?), or its version is older than 1.21, which batch/v1 needs: kubectl version"
		}
	case http.StatusConflict:
		if s.Reason != metav1.StatusReasonAlreadyExists {
			cause.Message = "it was changed by someone else at the same time: " + cause.Message
		}
	case http.StatusUnprocessableEntity, http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		cause.Reason = event.InvalidManifest
		if strings.Contains(s.Message, "HTTP request to an HTTPS server") { // net/http's own answer
			cause.Reason, cause.Message = event.APIUnreachable, "the API server speaks TLS alone, and its address begins with http://"
			cause.Hint = "Use its https:// address."
			break
		}
		if refused(cause, s.Message) {
			break
		}
		if list := fieldList(details.Causes); list != "" {
			cause.Message = "the API server finds it invalid: " + list
		}
	case http.StatusTooManyRequests:
		cause.Reason, cause.Message = event.APIUnreachable, "the API server has too many requests (429)"
	case http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusUnsupportedMediaType:
		cause.Reason = event.APIUnreachable
		cause.Message = fmt.Sprintf("the server does not understand the request (%d): %s", s.Code, cause.Message)
	default:
		if s.Code >= 300 && s.Code < 400 {
			cause.Reason = event.APIUnreachable
			cause.Message = fmt.Sprintf("the server answers with a redirect (%d), which is not followed: the credentials would go there too", s.Code)
			cause.Hint = "An API server never redirects. Check the address in the kubeconfig: a login page or a load balancer may stand there, or it must be https://."
		}
		if s.Code >= 500 && !refused(cause, s.Message) {
			cause.Reason = event.APIUnreachable
			cause.Message = fmt.Sprintf("the API server answers %d: %s", s.Code, cause.Message)
		}
	}
	return cause
}

// fieldList is what validation found, field by field.
func fieldList(causes []metav1.StatusCause) string {
	var list []string
	for _, c := range causes {
		switch {
		case c.Field != "" && c.Message != "":
			list = append(list, c.Field+": "+c.Message)
		case c.Message != "":
			list = append(list, c.Message)
		}
	}
	return short(strings.Join(list, "; "))
}

// denied is how the authorizers of the API server put a refusal
// (k8s.io/apiserver/pkg/endpoints/handlers/responsewriters, ForbiddenMessage).
var denied = regexp.MustCompile(`User "([^"]*)" cannot (\S+) resource "([^"]*)" in API group "([^"]*)"(?: in the namespace "([^"]*)")?`)

// anonymous is the user of a request in which the API server finds no credentials (k8s.io/apiserver/pkg/authentication/user).
const anonymous = "system:anonymous"

// unknownUser is what to say of that user's lack of permissions: whoever grants them grants them to everybody.
var unknownUser = event.Cause{Reason: event.Unauthorized, Message: "the API server finds no credentials in the requests (system:anonymous)",
	Hint: "The kubeconfig's user needs a token, a client certificate with its key, or exec; user names and passwords are not looked at since Kubernetes 1.19. A proxy in between may take credentials away."}

// Denied tells whether an error says that the user may not do what was asked for, whatever the object is.
func Denied(err error) bool {
	var status apierrors.APIStatus
	return apierrors.IsForbidden(err) && errors.As(err, &status) && denied.MatchString(status.Status().Message)
}

func explainForbidden(cause *event.Cause, message string) {
	cause.Reason = event.Forbidden
	if refused(cause, message) {
		return
	}
	m := denied.FindStringSubmatch(message)
	if m == nil {
		return
	}
	user, verb, resource, group, namespace := m[1], m[2], m[3], m[4], m[5]
	if user == anonymous {
		*cause = unknownUser
		return
	}
	a := Access{Group: group, Resource: resource, Verbs: []string{verb}, ClusterWide: namespace == ""}
	cause.Message = fmt.Sprintf("%s may not %s %s", user, verb, a.name())
	in := "--all-namespaces"
	if namespace != "" {
		cause.Message += " in namespace " + namespace
		in = "-n " + event.ShellWord(namespace)
	}
	cause.Hint = fmt.Sprintf("Check with: kubectl auth can-i %s %s %s --as=%s. It takes this permission:\n%s", event.ShellWord(verb), event.ShellWord(a.name()), in, event.ShellWord(user), roles(namespace, user, []Access{a}))
}

// refused explains an object that was refused for what it is, and not for who sent it.
func refused(cause *event.Cause, message string) bool {
	r := refusal.Object(short(message), "")
	if r.Known {
		cause.Reason, cause.Message, cause.Hint = event.Forbidden, r.Message, r.Hint
	}
	return r.Known
}

// short bounds the text of others: a proxy may answer with a whole page.
func short(text string) string {
	return event.Shorten(strings.TrimSpace(text), 1000)
}
