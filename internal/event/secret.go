package event

// Secret is a value that must never be shown. As a Fact it says that one came up during the run, before anything can be told that holds it.
type Secret struct {
	Name  string // what the user calls it: an option, or "key password of Secret db"; not secret itself
	Value string
	// Credential says that the value was given as one: an option such as secret-env, a kubeconfig's token. A CI system's own mask gets
	// only these. It hides them in all of the job, so an ordinary word of a manifest's Secret would damage the logs and outputs
	// of other steps.
	Credential bool
}
