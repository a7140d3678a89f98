package cluster

import (
	"context"
	"io"
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/gentype"
	"k8s.io/client-go/rest"
)

// The scheme knows only the groups that are used here. client-go's clientset links every group of Kubernetes, which makes the
// binary half as large again.
var (
	scheme     = runtime.NewScheme()
	codecs     = serializer.NewCodecFactory(scheme).WithoutConversion()
	parameters = runtime.NewParameterCodec(scheme)
)

func init() {
	used := runtime.NewSchemeBuilder(corev1.AddToScheme, batchv1.AddToScheme, coordinationv1.AddToScheme, authorizationv1.AddToScheme, authenticationv1.AddToScheme)
	utilruntime.Must(used.AddToScheme(scheme))
}

// dialGroups makes a REST client for each group of the scheme. It changes config.
func (c *Client) dialGroups(config *rest.Config, client *http.Client) error {
	c.groups = map[string]rest.Interface{}
	config.NegotiatedSerializer = codecs
	for _, gv := range scheme.PrioritizedVersionsAllGroups() {
		config.GroupVersion, config.APIPath = &gv, "/apis"
		if gv.Group == corev1.GroupName {
			config.APIPath = "/api"
		}
		group, err := rest.RESTClientForConfigAndClient(config, client)
		if err != nil {
			return err
		}
		c.groups[gv.Group] = group
	}
	return nil
}

// pointer is a *T that is an object of the API.
type pointer[T any] interface {
	*T
	runtime.Object
	metav1.Object
}

// listPointer is an *L that is a list of such objects.
type listPointer[L any] interface {
	*L
	runtime.Object
}

func single[T any, P pointer[T]](c *Client, group, resource, namespace string) *gentype.Client[P] {
	return gentype.NewClient(resource, c.groups[group], parameters, namespace, func() P { return new(T) }, gentype.PrefersProtobuf[P]())
}

func listed[T, L any, P pointer[T], Q listPointer[L]](c *Client, group, resource, namespace string) *gentype.ClientWithList[P, Q] {
	return gentype.NewClientWithList(resource, c.groups[group], parameters, namespace, func() P { return new(T) }, func() Q { return new(L) }, gentype.PrefersProtobuf[P]())
}

// Jobs makes the requests for Jobs.
func (c *Client) Jobs(namespace string) *gentype.ClientWithList[*batchv1.Job, *batchv1.JobList] {
	return listed[batchv1.Job, batchv1.JobList](c, batchv1.GroupName, "jobs", namespace)
}

// DeleteJob deletes a Job. The Job in the answer is one that finalizers hold; it is nil when the Job is gone
// (k8s.io/apiserver, registry/generic/registry/store.go).
func (c *Client) DeleteJob(ctx context.Context, namespace, name string, o metav1.DeleteOptions) (*batchv1.Job, error) {
	answer, err := c.groups[batchv1.GroupName].Delete().Namespace(namespace).Resource("jobs").Name(name).Body(&o).Do(ctx).Get()
	if err != nil {
		return nil, err
	}
	job, _ := answer.(*batchv1.Job)
	return job, nil
}

// Pods makes the requests for pods.
func (c *Client) Pods(namespace string) *gentype.ClientWithList[*corev1.Pod, *corev1.PodList] {
	return listed[corev1.Pod, corev1.PodList](c, corev1.GroupName, "pods", namespace)
}

// Events makes the requests for events.
func (c *Client) Events(namespace string) *gentype.ClientWithList[*corev1.Event, *corev1.EventList] {
	return listed[corev1.Event, corev1.EventList](c, corev1.GroupName, "events", namespace)
}

// Namespaces makes the requests for namespaces.
func (c *Client) Namespaces() *gentype.Client[*corev1.Namespace] {
	return single[corev1.Namespace](c, corev1.GroupName, "namespaces", "")
}

// Secrets makes the requests for Secrets.
func (c *Client) Secrets(namespace string) *gentype.Client[*corev1.Secret] {
	return single[corev1.Secret](c, corev1.GroupName, "secrets", namespace)
}

// ConfigMaps makes the requests for ConfigMaps.
func (c *Client) ConfigMaps(namespace string) *gentype.Client[*corev1.ConfigMap] {
	return single[corev1.ConfigMap](c, corev1.GroupName, "configmaps", namespace)
}

// Leases makes the requests for Leases.
func (c *Client) Leases(namespace string) *gentype.Client[*coordinationv1.Lease] {
	return single[coordinationv1.Lease](c, coordinationv1.GroupName, "leases", namespace)
}

// OpenLog opens the output of a container. Whoever reads it closes it.
func (c *Client) OpenLog(ctx context.Context, namespace, pod string, o *corev1.PodLogOptions) (io.ReadCloser, error) {
	return c.groups[corev1.GroupName].Get().Namespace(namespace).Resource("pods").Name(pod).SubResource("log").VersionedParams(o, parameters).Stream(ctx)
}
