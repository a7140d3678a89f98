#!/usr/bin/env bash
# Records the runs of testdata/runs on the cluster of $KUBECONFIG, whose node has busybox:1.36 (devcluster up): record.sh PROGRAM [NAME …].
# The goldens of the reporters change with them. 2000-pods is made by internal/run instead.
set -euo pipefail
program=$(realpath "$1")
shift
cd "$(dirname "$0")/.."
namespace=recorded
kubectl=${KUBECTL:-kubectl}
work=$(mktemp -d)
trap 'rm -rf "$work"; $kubectl delete namespace $namespace --wait=false >&2' EXIT
$kubectl create namespace $namespace >&2

# job NAME PODSPEC JOBSPEC writes a manifest; a container without an image has busybox.
job() {
  printf 'apiVersion: batch/v1\nkind: Job\nmetadata: {name: %s}\nspec:\n  backoffLimit: 0\n%s\n  template:\n    spec:\n      restartPolicy: Never\n      terminationGracePeriodSeconds: 1\n%s\n' \
    "$1" "$(sed 's/^/  /' <<<"${3:-}")" "$(sed 's/^/      /' <<<"$2")" >"$work/$1.yaml"
}

# main is a container that runs the script of standard input.
main() {
  printf 'containers:\n  - name: %s\n    image: busybox:1.36\n    resources: {requests: {cpu: 1m, memory: 4Mi}, limits: {cpu: 1, memory: 64Mi}}\n    command:\n      - sh\n      - -c\n      - |\n%s\n' "${1:-main}" "$(sed 's/^/        /')"
}

# record NAME ARGUMENT… runs the manifest of that name. The addresses of the machine are none of the recording's.
record() {
  local name=$1
  shift
  "$program" --manifest "$work/$name.yaml" --namespace $namespace --format json "$@" >"$work/$name.jsonl" || true
  sed -E "s#https://(127\.0\.0\.1|localhost):[0-9]+#https://cluster.example:6443#g; s#$work/##g; s#\\(file [^)]*kubeconfig[^)]*\\)#(file kubeconfig)#" "$work/$name.jsonl" >"testdata/runs/$name.jsonl"
}

# once NAME waits until the Job has a pod whose phase is Running.
once() {
  until [ -n "$($kubectl -n $namespace get pods -l "batch.kubernetes.io/job-name=$1" --field-selector status.phase=Running -o name)" ]; do sleep 0.2; done
}

success() {
  job success "initContainers:
  - {name: wait-for-database, image: 'busybox:1.36', command: [sh, -c, 'echo database answers; sleep 2']}
$(main migrate <<'SCRIPT'
printf '\033[32m1/u add_orders (12.3ms)\033[0m\n2/u add_customers (8.1ms)\n'
sleep 3
echo '{"applied": 2, "version": "20260301"}' > /dev/termination-log
SCRIPT
)"
  record success --result-from termination-message
}

failure() {
  job failure "$(main migrate <<'SCRIPT'
echo '1/u add_orders (12.3ms)'
sleep 2
cat >&2 <<'TEXT'
panic: runtime error: invalid memory address or nil pointer dereference
[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x4a3b2c]

goroutine 1 [running]:
main.apply(...)
	/src/cmd/migrate/main.go:42 +0x1d
main.main()
	/src/cmd/migrate/main.go:17 +0x8f
psql:migrations/0002_customers.sql:3: ERROR:  relation "customers" already exists
TEXT
exit 2
SCRIPT
)"
  record failure
}

retries() {
  job retries "volumes: [{name: memory, hostPath: {path: /var/tmp/kubernetes-job-action-recorded, type: DirectoryOrCreate}}]
$(main <<'SCRIPT'
echo x >> /memory/$JOB
n=$(wc -l < /memory/$JOB)
echo "attempt $n: connecting to db:5432"
sleep 1
if [ $n -lt 3 ]; then echo "dial tcp 10.0.0.$n:5432: connect: connection refused"; exit 7; fi
rm /memory/$JOB
echo connected
SCRIPT
)
    volumeMounts: [{name: memory, mountPath: /memory}]
    env: [{name: JOB, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['batch.kubernetes.io/controller-uid']\"}}}]" 'backoffLimit: 3'
  sed -i '/backoffLimit: 0/d' "$work/retries.yaml"
  record retries
}

100-indexes() {
  job 100-indexes "$(main worker <<'SCRIPT'
echo "shard $JOB_COMPLETION_INDEX of 100"
case $JOB_COMPLETION_INDEX in
  *3) echo "Traceback (most recent call last):"; echo "  File \"/app/load.py\", line $((JOB_COMPLETION_INDEX + 10)), in <module>"; echo "ConnectionError: shard-$JOB_COMPLETION_INDEX.db:5432 refused the connection"; exit 1 ;;
  *7) echo "FATAL: out of disk space after $((JOB_COMPLETION_INDEX * 17)) rows"; exit 28 ;;
  42) kill -9 $$ ;;
esac
echo done
SCRIPT
)" $'completions: 100\nparallelism: 20\ncompletionMode: Indexed\nbackoffLimitPerIndex: 0'
  sed -i '/backoffLimit: 0/d' "$work/100-indexes.yaml"
  record 100-indexes
}

cancel() {
  job cancel "$(main <<<'trap "echo told to stop; exit 143" TERM; echo working; while :; do sleep 1; done')"
  record cancel &
  once cancel
  sleep 3
  kill -INT "$(pgrep -P $!)"
  wait
}

image-pull() {
  job image-pull "$(printf 'containers: [{name: main, image: "registry.invalid/acme/shop-migrations:v9"}]')"
  record image-pull
}

# The program is stopped until the kubelet has no log of the first runs any more.
gap() {
  job gap "volumes: [{name: memory, emptyDir: {}}]
$(main <<'SCRIPT'
echo x >> /memory/runs
n=$(wc -l < /memory/runs)
echo "run $n of 4"
[ $n -eq 4 ]
SCRIPT
)
    volumeMounts: [{name: memory, mountPath: /memory}]" 'backoffLimit: 5'
  sed -i '/backoffLimit: 0/d; s/restartPolicy: Never/restartPolicy: OnFailure/' "$work/gap.yaml"
  record gap &
  local pid
  until [ -n "$($kubectl -n $namespace get pods -l batch.kubernetes.io/job-name=gap -o name)" ]; do sleep 0.1; done
  pid=$(pgrep -P $!)
  kill -STOP "$pid"
  $kubectl -n $namespace wait --for=condition=complete --timeout=300s job/gap >&2
  kill -CONT "$pid"
  wait
}

suspended() {
  job suspended "$(main <<<'echo resumed; sleep 2')" 'suspend: true'
  record suspended &
  sleep 12
  $kubectl -n $namespace patch job suspended -p '{"spec":{"suspend":false}}' >&2
  wait
}

# A run that does not follow its Job.
created() {
  job created "$(main <<<'echo hello')"
  record created --wait=false
}

# A second run follows the Job of the first.
attach() {
  job attach "$(main <<<'i=0; while [ $i -lt 8 ]; do i=$((i+1)); echo "step $i of 8"; sleep 1; done')"
  "$program" --manifest "$work/attach.yaml" --namespace $namespace >/dev/null 2>&1 &
  once attach
  sleep 3
  record attach --if-exists attach
  wait
}

timeout() {
  job timeout "$(main <<<'i=0; while :; do i=$((i+1)); echo "waiting for the lock ($i s)"; sleep 1; done')"
  record timeout --timeout 40s
}

hostile() {
  job hostile "$(main <<'SCRIPT'
printf '::error file=a.go,line=1::not ours\n##[group]x\n##vso[task.setvariable variable=PATH]/tmp\n::stop-commands::x\n'
printf '\033]0;title\007\033[2J\033[31mred\033[0m \033[?1049h\rover\rwritten\n'
printf 'not UTF-8: \377\376 \303\050, right to left: \342\200\256abc, nul: \000, bell: \007\n'
printf 'section_start:1:x\r\033[0Kheader\n##teamcity[message text=x]\n--- group\n<script>alert(1)</script> | [link](javascript:x) `code` ```\n'
head -c 3000 /dev/zero | tr '\0' 'x'
echo
printf '\033]8;;http://evil.example\007click\033]8;;\007\n' | tee /dev/termination-log
exit 3
SCRIPT
)"
  record hostile --result-from termination-message
}

[ $# -gt 0 ] || set -- success failure retries 100-indexes cancel image-pull gap suspended attach created timeout hostile
for run; do $run & done
wait
