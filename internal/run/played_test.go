package run

import (
	"net/http"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	"github.com/planton/kubernetes-job-action/internal/apitest"
	"github.com/planton/kubernetes-job-action/internal/cluster"
	"github.com/planton/kubernetes-job-action/internal/event"
)

// exchange is an apitest.Exchange whose fields need no names.
type exchange apitest.Exchange

// free is the answer to whether pods work that earlier Jobs of the name have left.
var free = exchange{podsURL + "j", 200, podList()}

// script has that question before each create, unless it stands there or the create is a repetition.
func script(exchanges []exchange) []apitest.Exchange {
	var out []apitest.Exchange
	create := func(e exchange) bool { return strings.TrimSuffix(e.Want, " +") == createURL }
	for i, e := range exchanges {
		if create(e) && (i == 0 || !create(exchanges[i-1]) && exchanges[i-1].Want != free.Want) {
			out = append(out, apitest.Exchange(free))
		}
		out = append(out, apitest.Exchange(e))
	}
	return out
}

// decode reads the body of a request.
func decode(body []byte, into runtime.Object) error {
	scheme := runtime.NewScheme()
	sent := runtime.NewSchemeBuilder(batchv1.AddToScheme, coordinationv1.AddToScheme, corev1.AddToScheme)
	if err := sent.AddToScheme(scheme); err != nil {
		return err
	}
	_, _, err := serializer.NewCodecFactory(scheme).UniversalDeserializer().Decode(body, nil, into)
	return err
}

// told is what the sink of a loop got.
func told(l *loop) []event.Event { return l.sink.(*sink).events }

// sink keeps what a run tells.
type sink struct {
	events  []event.Event
	secrets []event.Secret
}

func (s *sink) AddSecrets(secrets ...event.Secret) { s.secrets = append(s.secrets, secrets...) }

func (s *sink) Event(e event.Event) error {
	s.events = append(s.events, e)
	return nil
}

// play makes the loop of the Job ns/j whose API server plays the exchanges. What is left at the end is an error.
func play(t *testing.T, exchanges ...exchange) (*loop, *apitest.Server) {
	t.Helper()
	p := apitest.New(t, script(exchanges)...)
	return playOn(t, p), p
}

// playOn makes the loop of the Job ns/j on a played API server.
func playOn(t *testing.T, p *apitest.Server) *loop {
	t.Helper()
	const kubeconfig = `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],
		clusters: [{name: c, cluster: {server: "https://api.example"}}], users: [{name: u, user: {token: t}}]}`
	client, _, err := cluster.Connect(cluster.Options{Kubeconfig: kubeconfig, LookupEnv: func(string) (string, bool) { return "", false }, APITimeout: time.Minute,
		Wrap: func(http.RoundTripper) http.RoundTripper { return p }})
	if err != nil {
		t.Fatal(err)
	}
	return newLoop(newRunner(client, Objects{Job: job()}, Options{}), &sink{}, func() {})
}
