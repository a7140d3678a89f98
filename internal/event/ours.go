package event

// The label that every object of ours carries from birth: the Job, the Secrets and ConfigMaps beside it, the Lease of a lock.
const (
	ManagedByLabel = "app.kubernetes.io/managed-by"
	ManagedBy      = "kubernetes-job-action"
)
