// Command pictures renders the step summaries of golden runs as GitHub shows them, for the documentation.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/planton/kubernetes-job-action/e2e/devcluster"
)

// Folders, from this module's root.
const (
	summaries = "../internal/report/github/testdata"
	docs      = "../docs/pictures"
)

// shown are the summaries that the documentation shows.
var shown = []string{"succeeded", "failed", "indexes", "many"}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var pages []string
	for _, name := range shown {
		pages = append(pages, filepath.Join(summaries, name+".md"), filepath.Join(docs, name+".png"))
	}
	cluster, err := devcluster.Open("", os.Stderr)
	if err == nil {
		err = cluster.Pictures(ctx, pages...)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "pictures:", err)
		os.Exit(1)
	}
}
