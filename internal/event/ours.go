package event

// The label that every object of ours carries from birth: the Job, the Secrets and ConfigMaps beside it, the Lease of a lock, a namespace
// that was created for it. See run.made for what it takes beside the label to be ours.
const (
	ManagedByLabel = "app.kubernetes.io/managed-by"
	ManagedBy      = "kubernetes-job-action"
)
