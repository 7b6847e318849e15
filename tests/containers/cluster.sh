#!/usr/bin/env bash
# cluster.sh COMMAND...: runs COMMAND beside a real cluster of one node, which lives in namespaces of its own.
# When COMMAND has ended, or this script is killed, every process of the cluster dies with the process namespace, and
# mounts, network and packet filter go with theirs. What is left on the machine is removed at the end: cgroups and one
# folder, which a SIGKILL leaves behind.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/pins.sh"

WORK=$(mktemp -d "${TMPDIR:-/tmp}/minispod-containers-XXXXXX")
LOGS=${MINISPOD_TEST_CONTAINERS_LOGS:-}
groups=()
cluster=

# A group for the cluster in each hierarchy of cgroups, below our own, so that limits on us hold for it, too.
while IFS=: read -r _ controllers path; do
  hierarchy=/sys/fs/cgroup/${controllers#name=}
  [ -n "$controllers" ] || hierarchy=/sys/fs/cgroup/unified
  [ -d "$hierarchy" ] || continue
  group=${hierarchy}${path%/}/$(basename "$WORK")
  mkdir "$group"
  groups+=("$group")
  if [ "$controllers" = cpuset ]; then
    for file in cpuset.cpus cpuset.mems; do cat "$(dirname "$group")/$file" > "$group/$file"; done
    echo 1 > "$group/cgroup.clone_children"
  fi
done < /proc/self/cgroup

cleanup() {
  local group
  if [ -n "$cluster" ]; then
    kill -KILL "$cluster" 2> /dev/null || true
    wait "$cluster" 2> /dev/null || true
  fi
  for group in "${groups[@]}"; do
    # The kernel needs a moment to let go of what died.
    for _ in $(seq 50); do
      find "$group" -depth -type d -exec rmdir {} + 2> /dev/null || true
      [ -d "$group" ] || break
      sleep 0.1
    done
    [ ! -d "$group" ] || echo "left behind: $group" >&2
  done
  if [ -n "$LOGS" ]; then
    rm -rf "$LOGS"
    mv "$WORK/logs" "$LOGS" || true
  fi
  rm -rf "$WORK"
}
trap cleanup EXIT
# Without these the shell would wait for the cluster before it heeds a signal.
trap 'exit 130' INT
trap 'exit 143' TERM HUP

(
  for group in "${groups[@]}"; do echo "$BASHPID" > "$group/cgroup.procs"; done
  exec setpriv --pdeathsig KILL \
    unshare --mount --net --pid --ipc --uts --cgroup --fork --kill-child --mount-proc --propagation private \
    bash "$HERE/inside.sh" "$WORK" "$@"
) &
cluster=$!
wait "$cluster"
