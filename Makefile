# Everything that a machine needs beside Debian, Go and make is installed by these targets themselves.
SHELL := /bin/bash
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X github.com/planton/kubernetes-job-action/internal/app.version=$(VERSION)
TOOL := go tool -modfile=e2e/go.mod
DEVCLUSTER := go -C e2e run ./cmd/devcluster
export CGO_ENABLED ?= 0

.PHONY: build demo test test-unit test-e2e lint cross vuln bench soak fuzz generate pictures cluster-up cluster-down

# Compiled with the flags of the local cluster's Kubernetes, which then finds client-go and the API's types compiled already.
build:
	go build -trimpath -gcflags=all=-dwarf=false -ldflags "$(LDFLAGS)" -o bin/kubernetes-job-action ./cmd/kubernetes-job-action

# The example of the README on a local cluster, or on yours: make demo KUBECONFIG=~/.kube/config. A KUBECONFIG that merely
# stands in the environment is not meant: nothing runs on a cluster by accident.
demo: build
	@e2e/demo.sh $(if $(filter command,$(firstword $(origin KUBECONFIG))),$(KUBECONFIG))

test: test-unit test-e2e

# Without the race detector too: it changes the figures that tests hold about time and memory. It needs cgo.
test-unit:
	go test -cover ./...
	CGO_ENABLED=1 go test -race ./...

# make test-e2e RUN=cancel runs testdata/script/cancel.txtar alone, or the one of that name in testdata/fault.
test-e2e: build
	go -C e2e test -p 1 -timeout 120m $(if $(RUN),-run 'Test(Scenarios|Faults)/^$(RUN)$$' .,./...)

lint:
	@test -z "$$(gofmt -l cmd internal e2e)" || { echo "gofmt would change:"; gofmt -l cmd internal e2e; exit 1; }
	go vet ./...
	go -C e2e vet ./...
	$(TOOL) staticcheck ./...
	cd e2e && go tool staticcheck ./...
	$(TOOL) actionlint .github/workflows/*.yml examples/*/workflow.yml
	go -C e2e test -run '^TestActionFiles$$' ./launcher
	go mod tidy -diff
	go -C e2e mod tidy -diff

# The program on the systems that it is used on and not tested on: those of a release.
cross:
	set -e; for os in darwin windows; do GOOS=$$os go vet ./...; done
	set -e; for os in linux darwin windows; do for arch in amd64 arm64; do \
	  GOOS=$$os GOARCH=$$arch go build -trimpath -gcflags=all=-dwarf=false -ldflags "$(LDFLAGS)" -o /dev/null ./cmd/kubernetes-job-action; done; done

# Asks the Go vulnerability database, so it needs the internet.
vuln:
	$(TOOL) govulncheck ./...

bench: build
	go test -run '^$$' -bench . -benchmem ./internal/...
	go -C e2e test -timeout 60m -run '^$$' -bench . -benchtime 1x .

# A flag of the test's own stands behind the package.
soak: build
	go -C e2e test . -v -timeout 4h -run 'TestSoak|TestCancelTimes|TestNextRunNeverOverlaps|TestFaults|TestScenarios/(proxy_.*|restarts)$$' -soak

FUZZTIME ?= 10m
fuzz:
	@grep -rl --include='*_test.go' 'func Fuzz' internal | xargs -n1 dirname | sort -u | while read -r dir; do \
	  for f in $$(grep -ho 'func Fuzz[A-Za-z]*' $$dir/*_test.go | cut -d' ' -f2); do \
	    echo "== $$dir $$f"; go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5s ./$$dir || exit 1; done; done

# Rewrites what is generated: action.yml, the GitLab component, the tables of README.md and docs/gitlab.md, the JSON schema, golden files.
# Those are the tests that use internal/golden.
generate:
	go test $$(go list -f '{{range .TestImports}}{{if eq . "github.com/planton/kubernetes-job-action/internal/golden"}}{{$$.ImportPath}}{{end}}{{end}}' ./...) -update

# The pictures of docs/pictures, from golden files: the summary, Markdown and Mermaid as GitHub renders them, and the terminal, in a headless Chromium.
pictures:
	go -C e2e run ./cmd/pictures

cluster-up:
	$(DEVCLUSTER) up

cluster-down:
	$(DEVCLUSTER) down
