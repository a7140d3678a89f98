package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/planton/kubernetes-job-action/e2e/images"
)

// registry plays an image registry for one script. What it answers to a pull is decided by the name of the repository:
//
//	missing    the registry has no such image
//	private    it asks for credentials
//	limited    its rate limit is reached
//	elsewhere  the image is for another platform
//	recovers   it is out of order for the first pull, then the image comes
type registry struct {
	server *httptest.Server
	forget func() error
	image  v1.Image

	mu    sync.Mutex
	pulls map[string]int // requests for the manifest, by repository
}

// outOfOrder is how many requests for the manifest of recovers are answered by 503. One pull makes two of them, HEAD and GET.
const outOfOrder = 2

// cmdRegistry: registry
func cmdRegistry(ts *testscript.TestScript, _ []string) {
	state := stateOf(ts)
	if state.registry != nil {
		ts.Fatalf("the script has its registry already")
	}
	image, err := images.Shell("/bin/busybox")
	ts.Check(err)
	// The script makes it an image that the node does not have: of an image that it has pulled, the kubelet remembers from where,
	// and no pod may use it any more that names it differently (KubeletEnsureSecretPulledImages).
	image, err = images.WithScripts(image, map[string]string{"bin/recovered": "#!/bin/sh\necho pulled by " + state.id + "\n"})
	ts.Check(err)
	r := &registry{image: image, pulls: map[string]int{}}
	r.server = httptest.NewServer(r) // on the loopback address
	state.registry = r
	host := state.id + ".test"
	r.forget, err = shared.cluster.SetRegistry(host, r.server.URL)
	ts.Check(err)
	ts.Setenv("REGISTRY", host)
}

// cmdPulled: pulled REPOSITORY LEAST MOST
func cmdPulled(ts *testscript.TestScript, args []string) {
	needArgs(ts, args, 3, "pulled REPOSITORY LEAST MOST")
	r := stateOf(ts).registry
	if r == nil {
		ts.Fatalf("the script has no registry")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := r.pulls[args[0]]; n < number(ts, args[1]) || n > number(ts, args[2]) {
		ts.Fatalf("the manifest of %s was asked for %d times, want %s to %s", args[0], n, args[1], args[2])
	}
}

func (r *registry) close() {
	if r.forget != nil {
		_ = r.forget() // the folder goes away with the cluster at the latest
	}
	r.server.Close()
}

var manifestPath = regexp.MustCompile(`^/v2/(.+)/manifests/`)

func (r *registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	m := manifestPath.FindStringSubmatch(q.URL.Path)
	if m == nil {
		r.blob(w, q)
		return
	}
	r.mu.Lock()
	r.pulls[m[1]]++
	n := r.pulls[m[1]]
	r.mu.Unlock()
	refuse := func(status int, code, message string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q}]}`, code, message)
	}
	switch m[1] {
	case "private":
		w.Header().Set("WWW-Authenticate", `Basic realm="private"`)
		refuse(http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
	case "limited":
		refuse(http.StatusTooManyRequests, "TOOMANYREQUESTS", "You have reached your pull rate limit.")
	case "elsewhere":
		manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"size":2,"digest":"sha256:%s","platform":{"architecture":"s390x","os":"linux"}}]}`,
			types.OCIImageIndex, types.OCIManifestSchema1, strings.Repeat("0", 64))
		answer(w, types.OCIImageIndex, []byte(manifest), nil)
	case "recovers":
		if n <= outOfOrder {
			refuse(http.StatusServiceUnavailable, "UNAVAILABLE", "the registry is being maintained")
			return
		}
		manifest, err := r.image.RawManifest()
		answer(w, types.DockerManifestSchema2, manifest, err)
	default:
		refuse(http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown")
	}
}

// blob answers with the configuration or a layer of the image.
func (r *registry) blob(w http.ResponseWriter, q *http.Request) {
	_, digest, _ := strings.Cut(q.URL.Path, "/blobs/")
	hash, err := v1.NewHash(digest)
	if err != nil {
		http.NotFound(w, q)
		return
	}
	if name, err := r.image.ConfigName(); err == nil && name == hash {
		config, err := r.image.RawConfigFile()
		answer(w, types.DockerConfigJSON, config, err)
		return
	}
	layer, err := r.image.LayerByDigest(hash)
	if err != nil {
		http.NotFound(w, q)
		return
	}
	content, err := layer.Compressed()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer content.Close()
	_, _ = io.Copy(w, content) // the client may have gone away
}

func answer(w http.ResponseWriter, kind types.MediaType, body []byte, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", string(kind))
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // the client may have gone away; the answer to HEAD has no body
}
