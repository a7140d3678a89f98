#!/usr/bin/env bash
# Prepares the release VERSION in this tree: dist/ gets the programs to upload, native/release.json their hashes, and action.yml
# the published image by its digest, so that nothing is compiled in a user's job. Commit both files, and let the tag name that commit.
# The same sources and the same Go give the same programs: whoever checks out the tag can build them again and compare.
set -euo pipefail
usage='usage: scripts/release.sh vMAJOR.MINOR.PATCH sha256:DIGEST-OF-THE-IMAGE'
version=${1:?$usage} digest=${2:?$usage}
[[ $version =~ ^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.]+)?$ && $digest =~ ^sha256:[0-9a-f]{64}$ ]] || { echo "$usage" >&2; exit 2; }
cd "$(dirname "$0")/.."
url=${URL:-https://github.com/planton/kubernetes-job-action/releases/download/$version}
platforms=${PLATFORMS:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64}

rm -rf dist
mkdir dist
programs=
for platform in $platforms; do
  os=${platform%/*} arch=${platform#*/}
  file=kubernetes-job-action_${os}_$arch
  # With the flags of make build; nothing of this folder, of its git, of the environment or of "go env -w" gets in.
  GOENV=off GOFLAGS= GOEXPERIMENT= GOFIPS140=off CGO_ENABLED=0 GOOS=$os GOARCH=$arch GOAMD64=v1 GOARM64=v8.0 \
    go build -trimpath -buildvcs=false -gcflags=all=-dwarf=false -ldflags "-s -w -X github.com/planton/kubernetes-job-action/internal/app.version=$version" \
    -o "dist/$file" ./cmd/kubernetes-job-action
  read -r hash _ < <(sha256sum "dist/$file")
  size=$(stat --format %s "dist/$file")
  gzip --best --no-name "dist/$file"
  # The key is as Node.js names the platform.
  programs+=$(printf ',\n    "%s-%s": {"file": "%s.gz", "size": %d, "sha256": "%s"}' "${os/windows/win32}" "${arch/amd64/x64}" "$file" "$size" "$hash")
done
printf '{\n  "version": "%s",\n  "url": "%s",\n  "programs": {%s\n  }\n}\n' "${version#v}" "$url" "${programs#,}" > native/release.json
sed -i "s|^  image: .*|  image: docker://ghcr.io/planton/kubernetes-job-action@$digest|" action.yml
grep -q "@$digest\$" action.yml
