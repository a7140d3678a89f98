package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/planton/kubernetes-job-action/internal/event"
	"github.com/planton/kubernetes-job-action/internal/outage"
)

// Access is one permission that a run needs.
type Access struct {
	Group       string   // "" for the core group
	Resource    string   // plural; with a subresource as RBAC writes it: pods/log
	Verbs       []string // create, get, list, watch, …
	Namespace   string   // "" for that of the run
	Name        string   // of the one object that is meant; "" for all. A create of RBAC's has none, except by server-side apply
	OneTime     bool     // Name is that of one run: it is asked for, and the Role that is proposed does not hold it
	ClusterWide bool     // of the whole cluster, as namespaces are
	Optional    bool     // a run is possible without it, and a notice tells of the lack
	Manifest    bool     // it is the manifest alone that takes it: it is asked for, and never proposed
}

// name is the resource as kubectl auth can-i takes it: jobs.batch, pods/log.
func (a Access) name() string {
	resource, sub, _ := strings.Cut(a.Resource, "/")
	if a.Group != "" {
		resource += "." + a.Group
	}
	if sub != "" {
		resource += "/" + sub
	}
	return resource
}

// Preflight asks the API server whether the needs are met in the namespace, and names all that is missing at once, with the
// Role that would grant everything as hint. One request answers in most clusters; where the list of rules is not complete
// (authorizers other than RBAC need not list theirs), what it does not show is asked one by one, in parallel. A cluster that
// refuses to answer, or cannot, is no reason to stop: the run itself will tell. The errors are those of a connection that does
// not work, and Forbidden; optional needs that are not met give notices.
func (c *Client) Preflight(ctx context.Context, namespace string, needs []Access) ([]event.Notice, error) {
	review := &authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: namespace}}
	err := c.Do(ctx, "ask what is allowed in namespace "+namespace, func(ctx context.Context) error {
		answer, err := single[authorizationv1.SelfSubjectRulesReview](c, authorizationv1.GroupName, "selfsubjectrulesreviews", "").Create(ctx, review, metav1.CreateOptions{})
		if err == nil {
			review = answer
		}
		return err
	})
	if err != nil {
		var cause *event.Cause
		if !outage.KindOf(err).Answered() || errors.As(err, &cause) && cause.Reason == event.Unauthorized {
			return nil, err
		}
		return nil, nil
	}
	var here, elsewhere []Access
	for _, a := range needs {
		if a.Namespace == "" || a.Namespace == namespace {
			here = append(here, a)
		} else {
			elsewhere = append(elsewhere, a)
		}
	}
	unmet := notListed(review.Status.ResourceRules, here)
	if review.Status.Incomplete {
		unmet = c.denied(ctx, namespace, unmet)
	}
	unmet = append(unmet, c.denied(ctx, namespace, elsewhere)...)
	if len(unmet) == 0 {
		return nil, nil
	}
	user := c.whoAmI(ctx)
	who := user
	if who == "" {
		who = "the kubeconfig's user"
	}
	var own, manifest []Access
	var notices []event.Notice
	for _, a := range unmet {
		switch {
		case a.Optional:
			notices = append(notices, event.Notice{Level: event.Info, Key: "access:" + a.name(),
				Message: fmt.Sprintf("%s may not %s in namespace %s; the run does without", who, sentence([]Access{a}, namespace), namespace)})
		case a.Manifest:
			manifest = append(manifest, a)
		default:
			own = append(own, a)
		}
	}
	cause := &event.Cause{Reason: event.Forbidden, Object: event.Ref{Kind: "Namespace", Name: namespace}}
	switch {
	case own == nil && manifest == nil:
		return notices, nil
	case user == anonymous:
		cause := unknownUser
		return nil, &cause
	case own == nil:
		cause.Message = fmt.Sprintf("%s may not do what the manifest asks for: %s", who, sentence(manifest, namespace))
	default:
		cause.Message = fmt.Sprintf("%s may not do in namespace %s what this run needs: %s", who, namespace, sentence(own, namespace))
		if manifest != nil {
			cause.Message += "; nor what the manifest asks for: " + sentence(manifest, namespace)
		}
	}
	var hints []string
	switch {
	case own == nil:
		hints = append(hints, asked+" When this check is wrong, set preflight: false.")
	case manifest != nil:
		hints = append(hints, asked)
	}
	if own != nil {
		needs = slices.DeleteFunc(slices.Clone(needs), func(a Access) bool { return a.Manifest })
		hints = append(hints, "Grant it (or set preflight: false when this check is wrong):\n"+roles(namespace, user, needs))
	}
	cause.Hint = strings.Join(hints, "\n")
	return notices, cause
}

// asked says what to do about objects of the manifest that may not be applied. The permissions that they take are never proposed:
// whoever writes the manifest would choose what its runner is allowed to do.
const asked = "What the manifest asks for beside its Job is best made once, by somebody who may, and then taken out of the file; grant it only to a user who runs no manifest of others."

// sentence names permissions in one line: those that differ by the object's name alone are told together.
func sentence(all []Access, namespace string) string {
	var order []string
	names := map[string][]string{}
	where := map[string]string{}
	for _, a := range all {
		what, in := strings.Join(a.Verbs, ", ")+" "+a.name(), ""
		switch {
		case a.ClusterWide:
			in = " (in the whole cluster)"
		case a.Namespace != "" && a.Namespace != namespace:
			in = " (in namespace " + a.Namespace + ")"
		}
		key := what + in
		if _, known := names[key]; !known {
			order, where[key] = append(order, key), in
			names[key] = nil
		}
		if a.Name != "" {
			names[key] = append(names[key], a.Name)
		}
	}
	for i, key := range order {
		if n := names[key]; n != nil {
			order[i] = event.Shorten(strings.TrimSuffix(key, where[key])+"/"+strings.Join(n, ", "), maxNames) + where[key]
		}
	}
	return strings.Join(order, "; ")
}

// maxNames is how many bytes of names are told.
const maxNames = 500

// notListed are the needs, verb by verb, that no rule grants.
func notListed(rules []authorizationv1.ResourceRule, needs []Access) []Access {
	var unmet []Access
	for _, a := range needs {
		missing := a
		missing.Verbs = slices.DeleteFunc(slices.Clone(a.Verbs), func(verb string) bool {
			return slices.ContainsFunc(rules, func(r authorizationv1.ResourceRule) bool { return grants(r, a, verb) })
		})
		if len(missing.Verbs) > 0 {
			unmet = append(unmet, missing)
		}
	}
	return unmet
}

// grants matches as RBAC does (k8s.io/kubernetes/pkg/apis/rbac/v1, VerbMatches and the like).
func grants(r authorizationv1.ResourceRule, a Access, verb string) bool {
	has := func(list []string, word string) bool {
		return slices.Contains(list, word) || slices.Contains(list, "*")
	}
	_, sub, _ := strings.Cut(a.Resource, "/")
	named := len(r.ResourceNames) == 0 || a.Name != "" && slices.Contains(r.ResourceNames, a.Name)
	return named && has(r.Verbs, verb) && has(r.APIGroups, a.Group) &&
		(has(r.Resources, a.Resource) || sub != "" && slices.Contains(r.Resources, "*/"+sub))
}

// denied asks for each verb whether it is allowed, and answers with those that are not. What cannot be asked counts as allowed.
func (c *Client) denied(ctx context.Context, namespace string, needs []Access) []Access {
	var mu sync.Mutex
	var all sync.WaitGroup
	no := make([]Access, len(needs))
	for i, a := range needs {
		resource, sub, _ := strings.Cut(a.Resource, "/")
		no[i] = a
		no[i].Verbs = nil
		for _, verb := range a.Verbs {
			ask := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
				ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: cmp.Or(a.Namespace, namespace), Verb: verb, Group: a.Group, Resource: resource, Subresource: sub, Name: a.Name}}}
			if a.ClusterWide {
				ask.Spec.ResourceAttributes.Namespace = ""
			}
			all.Go(func() {
				var answer *authorizationv1.SelfSubjectAccessReview
				err := c.Do(ctx, "ask what is allowed", func(ctx context.Context) (err error) {
					answer, err = single[authorizationv1.SelfSubjectAccessReview](c, authorizationv1.GroupName, "selfsubjectaccessreviews", "").Create(ctx, ask, metav1.CreateOptions{})
					return err
				})
				if err == nil && !answer.Status.Allowed {
					mu.Lock()
					no[i].Verbs = append(no[i].Verbs, verb)
					mu.Unlock()
				}
			})
		}
	}
	all.Wait()
	for i := range no {
		slices.SortFunc(no[i].Verbs, func(x, y string) int {
			return slices.Index(needs[i].Verbs, x) - slices.Index(needs[i].Verbs, y)
		})
	}
	return slices.DeleteFunc(no, func(a Access) bool { return len(a.Verbs) == 0 })
}

// whoAmI is the user that the API server sees, "" when it does not say (before Kubernetes 1.28).
func (c *Client) whoAmI(ctx context.Context) string {
	var answer *authenticationv1.SelfSubjectReview
	err := c.Do(ctx, "ask for the user's name", func(ctx context.Context) (err error) {
		answer, err = single[authenticationv1.SelfSubjectReview](c, authenticationv1.GroupName, "selfsubjectreviews", "").Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		return err
	})
	if err != nil {
		return ""
	}
	return answer.Status.UserInfo.Username
}

// roles writes the RBAC objects that grant the needs to a user; "" leaves the user to the reader.
func roles(namespace, user string, needs []Access) string {
	const name = "kubernetes-job-action"
	subject := rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}
	if account, ok := strings.CutPrefix(user, "system:serviceaccount:"); ok {
		ns, sa, _ := strings.Cut(account, ":")
		subject = rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: ns, Name: sa}
	} else if user == "" {
		subject.Name = "NAME"
	}
	var here, inCluster []rbacv1.PolicyRule
	for _, a := range needs {
		if a.ClusterWide {
			inCluster = grant(inCluster, a)
		} else {
			here = grant(here, a)
		}
	}
	apiVersion := rbacv1.SchemeGroupVersion.String()
	var documents []any
	add := func(role, binding any) { documents = append(documents, role, binding) }
	if here != nil {
		m := metav1.ObjectMeta{Name: name, Namespace: namespace}
		add(rbacv1.Role{TypeMeta: metav1.TypeMeta{APIVersion: apiVersion, Kind: "Role"}, ObjectMeta: m, Rules: here},
			rbacv1.RoleBinding{TypeMeta: metav1.TypeMeta{APIVersion: apiVersion, Kind: "RoleBinding"}, ObjectMeta: m, Subjects: []rbacv1.Subject{subject},
				RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name}})
	}
	if inCluster != nil {
		m := metav1.ObjectMeta{Name: name}
		add(rbacv1.ClusterRole{TypeMeta: metav1.TypeMeta{APIVersion: apiVersion, Kind: "ClusterRole"}, ObjectMeta: m, Rules: inCluster},
			rbacv1.ClusterRoleBinding{TypeMeta: metav1.TypeMeta{APIVersion: apiVersion, Kind: "ClusterRoleBinding"}, ObjectMeta: m, Subjects: []rbacv1.Subject{subject},
				RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name}})
	}
	var out []string
	for _, d := range documents {
		text, err := yaml.Marshal(d)
		if err != nil {
			return "" // these types have nothing that cannot be written
		}
		out = append(out, strings.TrimSpace(string(text)))
	}
	return strings.Join(out, "\n---\n")
}

// grant adds a permission to rules, each of which is about one resource, and about all its objects or the named ones.
func grant(rules []rbacv1.PolicyRule, a Access) []rbacv1.PolicyRule {
	var names []string
	if a.Name != "" && !a.OneTime {
		names = []string{a.Name}
	}
	for i := range rules {
		switch r := &rules[i]; {
		case r.APIGroups[0] != a.Group || r.Resources[0] != a.Resource:
		case slices.Equal(r.ResourceNames, names):
			for _, verb := range a.Verbs {
				if !slices.Contains(r.Verbs, verb) {
					r.Verbs = append(r.Verbs, verb)
				}
			}
			return rules
		case r.ResourceNames != nil && names != nil && slices.Equal(r.Verbs, a.Verbs):
			r.ResourceNames = append(r.ResourceNames, names...)
			return rules
		}
	}
	return append(rules, rbacv1.PolicyRule{APIGroups: []string{a.Group}, Resources: []string{a.Resource}, ResourceNames: names, Verbs: slices.Clone(a.Verbs)})
}
