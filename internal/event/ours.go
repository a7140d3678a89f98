package event

// The label that every object of ours carries from birth: the Job, the Secrets and ConfigMaps beside it, the Lease of a lock, a namespace
// that was created for it. See run.made for what it takes beside the label to be ours.
const (
	ManagedByLabel = "app.kubernetes.io/managed-by"
	ManagedBy      = "kubernetes-job-action"
)

// StampPrefix is that of the annotations that say which run made a Job. Their values come from the CI system's environment, which is
// untrusted text.
const StampPrefix = "kubernetes-job-action.planton.ai/"

// What a Job says of the run that made it, beside cluster.NonceAnnotation.
const (
	RunURLAnnotation  = StampPrefix + "run-url"
	AttemptAnnotation = StampPrefix + "run-attempt"
	CommitAnnotation  = StampPrefix + "commit"
	ActorAnnotation   = StampPrefix + "actor"
	// OnceKeyAnnotation holds the option once-key. Two runs of one manifest and one key are the same work.
	OnceKeyAnnotation = StampPrefix + "once-key"
	// ManifestHashAnnotation holds a sha256, in hex, of all that the run makes and applies, as the manifest and the options ask for it. It
	// is equal for equal input: the marks of a run (its labels and annotations, the time limits) are left out, and so is every value of a
	// Secret, because whoever may read Jobs could try guesses on it.
	ManifestHashAnnotation = StampPrefix + "manifest-hash"
)

// QueueLabel is Kueue's: it keeps a Job that carries it suspended until its queue admits it
// (https://kueue.sigs.k8s.io/docs/reference/labels-and-annotations/).
const QueueLabel = "kueue.x-k8s.io/queue-name"
