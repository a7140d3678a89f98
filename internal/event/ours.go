package event

// The label that every object of ours carries from birth: the Job, the Secrets and ConfigMaps beside it, the Lease of a lock, a namespace
// that was created for it. See run.made for what it takes beside the label to be ours.
const (
	ManagedByLabel = "app.kubernetes.io/managed-by"
	ManagedBy      = "kubernetes-job-action"
)

// QueueLabel is Kueue's: it keeps a Job that carries it suspended until its queue admits it
// (https://kueue.sigs.k8s.io/docs/reference/labels-and-annotations/).
const QueueLabel = "kueue.x-k8s.io/queue-name"
