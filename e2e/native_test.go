package e2e

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdRelease: release FOLDER VERSION
func cmdRelease(ts *testscript.TestScript, args []string) {
	needArgs(ts, args, 2, "release FOLDER VERSION")
	folder := ts.MkAbs(args[0])
	server := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(folder, "dist"))))
	ts.Defer(server.Close)
	cmd := exec.Command("scripts/release.sh", args[1], "sha256:"+strings.Repeat("0123456789abcdef", 4))
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "URL="+server.URL, "PLATFORMS="+runtime.GOOS+"/"+runtime.GOARCH)
	if out, err := cmd.CombinedOutput(); err != nil {
		ts.Fatalf("scripts/release.sh: %v\n%s", err, out)
	}
}
