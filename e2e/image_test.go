package e2e

import (
	"context"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/planton/kubernetes-job-action/e2e/images"
)

// cmdImage: image NAME PATH=FILE…
func cmdImage(ts *testscript.TestScript, args []string) {
	const usage = "image NAME PATH=FILE..."
	needArgs(ts, args, 2, usage)
	tag, err := name.NewTag(args[0])
	ts.Check(err)
	scripts := map[string]string{}
	for _, arg := range args[1:] {
		path, file, ok := strings.Cut(arg, "=")
		if !ok {
			ts.Fatalf("usage: %s", usage)
		}
		scripts[strings.TrimPrefix(path, "/")] = ts.ReadFile(file)
	}
	shell, err := images.Shell("/bin/busybox")
	ts.Check(err)
	img, err := images.WithScripts(shell, scripts)
	ts.Check(err)
	archive := ts.MkAbs("image.tar")
	ts.Check(tarball.WriteToFile(archive, tag, img))
	ts.Check(shared.cluster.Load(context.Background(), archive))
}
