#!/usr/bin/env bash
# The migration of examples/migrate-golang-migrate, on a local cluster that this script brings up, or on the cluster of the kubeconfig that is
# its first argument.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -n "${1:-}" ]; then
  kubeconfig=$1
  cat <<'TEXT'
This uses your cluster. Its nodes must have, or be able to pull, one image:
  docker.io/migrate/migrate:v4.20.1
Where nothing can be pulled, `go -C e2e run ./cmd/devcluster archive $PWD/demo.tar` writes one like it to a file, which for example
`kind load image-archive demo.tar` loads.
TEXT
  if [ -z "${DATABASE_URL:-}" ] || [ -z "${DATABASE_PASSWORD:-}" ]; then
    echo "error: set DATABASE_URL (postgres://user@host:5432/database?sslmode=disable, without the password) and DATABASE_PASSWORD to a PostgreSQL that its pods can reach" >&2
    exit 2
  fi
  export DATABASE_URL DATABASE_PASSWORD
else
  go -C e2e run ./cmd/devcluster up
  kubeconfig=.devcluster/kubeconfig
  set -a
  . .devcluster/postgres.env
  set +a
fi
run=(bin/kubernetes-job-action --kubeconfig "$kubeconfig" --manifest examples/migrate-golang-migrate/job.yaml --substitute DATABASE_URL --substitute DATABASE_PASSWORD)
echo
echo "\$ ${run[*]}"
"${run[@]}"
if [ -z "${1:-}" ]; then
  echo
  echo "\$ psql -c '\\dt'"
  psql -c '\dt'
  echo "The cluster keeps running; its kubeconfig is $kubeconfig, and make cluster-down ends it."
fi
