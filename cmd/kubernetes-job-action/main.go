// Command kubernetes-job-action runs one Kubernetes Job as if it were a local command.
package main

import (
	"os"

	"github.com/planton/kubernetes-job-action/internal/app"
)

func main() { os.Exit(app.Main(app.ThisProcess())) }
