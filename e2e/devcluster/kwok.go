package devcluster

import "context"

var kwokBuild = build{
	name:   "kwok",
	folder: "kwok",
	target: "sigs.k8s.io/kwok/cmd/kwok",
	inputs: []string{"go.mod", "go.sum"},
	args:   append([]string{"-ldflags", "-s -w"}, buildArgs...),
	env:    buildEnv,
	hint:   "about a minute on 2 cores", // once Kubernetes was built: go.mod has the same versions, so that it is not compiled twice
}

// Kwok gives the path of kwok (https://kwok.sigs.k8s.io), which plays the kubelet of nodes that do not exist.
func (c *Cluster) Kwok(ctx context.Context) (string, error) { return c.build(ctx, kwokBuild) }
