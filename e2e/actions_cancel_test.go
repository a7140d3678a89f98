package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// cancelled is one step that is cancelled while its Job works: it ends by itself, before the runner's second signal, which would leave no outputs, and
// the Job is gone or on its way.
const cancelled = `
step run%[1]d step.yaml
wait-log run%[1]d.stdout '^working' 2m
cancel run%[1]d
ran run%[1]d 130
grep '^status="cancelled"$' run%[1]d.output
eventually 1s sh -c 'job=$(kubectl get job working --ignore-not-found -o jsonpath={.metadata}) && case $job in "" | *deletionTimestamp*) ;; *) exit 1 ;; esac'
post run%[1]d 0
! grep . run%[1]d.post.shown
`

const cancelledFiles = `
-- step.yaml --
with: {manifest: job.txt, if-exists: replace, kubeconfig: '${{ secrets.KUBECONFIG }}'}
-- job.txt --
apiVersion: batch/v1
kind: Job
metadata: {name: working}
spec:
  template:
    spec:
      terminationGracePeriodSeconds: 1
      restartPolicy: Never
      containers: [{name: main, image: "busybox:1.36", command: [sh, -c, "echo working; exec sleep 600"]}]
`

// The runner's cancel schedule, 20 times. How soon the Job is told to end is measured by TestCancelTimes, without an engine that has to clean up.
func TestCancel(t *testing.T) {
	const scripts, times = 4, 5
	dir := t.TempDir()
	for s := range scripts {
		var text strings.Builder
		text.WriteString("engine\n")
		for n := range times {
			fmt.Fprintf(&text, cancelled, n)
		}
		text.WriteString(cancelledFiles)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("cancel%d.txtar", s)), []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	testscript.Run(t, params(dir))
}
