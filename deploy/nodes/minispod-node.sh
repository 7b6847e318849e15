#!/bin/sh
# Joins this machine to Minispod as a node and gives signs of life; for operators. Needs curl and a POSIX shell.
#
#   minispod-node.sh join  --url https://api.example.com --token-file FILE   once: registers, keeps the node's own key
#   minispod-node.sh beat                                                  one sign of life
#   minispod-node.sh run                                                   a sign of life every 30 seconds, until stopped
#   minispod-node.sh unit                                                  prints a systemd unit that does the last
#
# A token is made by an administrator (POST /api/v1/admin/workers/join-tokens) and works once. The node's key is kept in
# $MINISPOD_NODE_HOME (default /etc/minispod-node), readable by its owner only. FILE may be - for standard input. Tokens and
# keys are handed to curl in a file, so no other user sees them in the list of processes; with --token one would.
set -eu
# Numbers with a point, whatever the machine speaks.
LC_ALL=C
export LC_ALL

home=${MINISPOD_NODE_HOME:-/etc/minispod-node}
interval=${MINISPOD_NODE_INTERVAL:-30}

fail() { echo "minispod-node: $*" >&2; exit 1; }

# A JSON string of the argument.
text() { printf '"%s"' "$(printf '%s' "$1" | sed 's/\\/\\\\/g; s/"/\\"/g' | tr -d '\000-\037')"; }

# The first value of a string field of a JSON answer.
field() { sed -n "s/.*\"$1\"[[:space:]]*:[[:space:]]*\"\([^\"]*\)\".*/\1/p" "$2" | head -n 1; }

# call METHOD URL BEARER-FILE BODY-FILE ANSWER-FILE: prints the HTTP status, 000 when nobody answers.
call() {
  printf 'header = "Authorization: Bearer %s"\n' "$(cat "$3")" |
    curl --silent --show-error --config - --max-time 20 --request "$1" --header 'Content-Type: application/json' \
      --data-binary "@$4" --output "$5" --write-out '%{http_code}' "$2" || true
}

memory_kib() { sed -n 's/^MemTotal:[[:space:]]*\([0-9]*\) kB/\1/p' /proc/meminfo; }
memory_used_mb() {
  awk '/^MemTotal:/ { total = $2 } /^MemAvailable:/ { free = $2 } END { print int((total - free) / 1024) }' /proc/meminfo
}
storage_kib() { df -Pk / | awk 'NR == 2 { print $2 }'; }
storage_used_gb() { df -Pk / | awk 'NR == 2 { print int($3 / 1048576) }'; }
cores() { getconf _NPROCESSORS_ONLN; }
architecture() {
  case $(uname -m) in
    x86_64) echo amd64 ;;
    aarch64) echo arm64 ;;
    *) fail "$(uname -m) is neither amd64 nor arm64" ;;
  esac
}
address() { hostname -I 2>/dev/null | awk '{ print $1 }'; }
system() { (. /etc/os-release && echo "$PRETTY_NAME") 2>/dev/null || uname -s; }

join() {
  url='' token='' name=$(hostname) ip=$(address)
  host=$name
  while [ $# -gt 0 ]; do
    case $1 in
      --url) url=${2:?}; shift 2 ;;
      --token) token=${2:?}; shift 2 ;;
      --token-file) token=$(if [ "${2:?}" = - ]; then cat; else cat "$2"; fi); shift 2 ;;
      --name) name=${2:?}; shift 2 ;;
      --address) ip=${2:?}; shift 2 ;;
      *) fail "unknown option $1" ;;
    esac
  done
  [ -n "$url" ] || fail "--url is needed"
  [ -n "$token" ] || fail "--token or --token-file is needed"
  [ -n "$name" ] || fail "this machine has no host name: give --name"
  [ -n "$host" ] || host=$name
  [ -n "$ip" ] || fail "the address of this machine is not known: give --address"
  umask 077
  mkdir -p "$home"
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  printf '%s' "$token" >"$work/token"
  cat >"$work/body" <<BODY
{"name": $(text "$name"), "hostname": $(text "$host"), "ipAddress": $(text "$ip"),
 "cpuCores": $(cores), "cpuArchitecture": $(text "$(uname -m)"), "architecture": $(text "$(architecture)"),
 "totalMemory": "$(memory_kib)Ki", "totalStorage": "$(storage_kib)Ki", "operatingSystem": "linux",
 "kernelVersion": $(text "$(uname -r)"), "osImage": $(text "$(system)")}
BODY
  status=$(call POST "${url%/}/api/v1/workers/register" "$work/token" "$work/body" "$work/answer")
  case $status in
    200 | 201) ;;
    *) fail "the server said $status: $(cat "$work/answer" 2>/dev/null)" ;;
  esac
  key=$(field heartbeatToken "$work/answer")
  [ -n "$key" ] || fail "the answer has no heartbeatToken"
  printf '%s' "$key" >"$home/key"
  printf '%s' "${url%/}" >"$home/url"
  field name "$work/answer" | tr -d '\n' >"$home/name"
  echo "joined as $(cat "$home/name")"
}

beat() {
  [ -r "$home/key" ] || fail "this machine has not joined: $home/key is not there"
  umask 077
  work=$(mktemp -d)
  ready=true
  # A kubelet that is installed and does not run is not ready; without one, the machine speaks for itself.
  if command -v systemctl >/dev/null 2>&1; then
    for unit in kubelet k3s k3s-agent; do
      if systemctl is-enabled --quiet "$unit" 2>/dev/null && ! systemctl is-active --quiet "$unit"; then ready=false; fi
    done
  fi
  used=$(awk -v cores="$(cores)" '{ used = $1 > cores ? cores : $1; printf "%.2f", used }' /proc/loadavg)
  cat >"$work/body" <<BODY
{"allocatedCPU": $used, "allocatedMemory": $(memory_used_mb), "allocatedStorage": $(storage_used_gb), "isReady": $ready}
BODY
  status=$(call PUT "$(cat "$home/url")/api/v1/workers/$(cat "$home/name")/heartbeat" "$home/key" "$work/body" "$work/answer")
  answer=$(cat "$work/answer" 2>/dev/null || true)
  rm -rf "$work"
  [ "$status" = 200 ] || { echo "minispod-node: the server said $status: $answer" >&2; return 1; }
}

run() {
  trap 'exit 0' INT TERM
  while :; do
    beat || true
    sleep "$interval" &
    wait $!
  done
}

unit() {
  cat <<UNIT
[Unit]
Description=Signs of life of this node for Minispod
After=network-online.target
Wants=network-online.target

[Service]
ExecStart=$(cd "$(dirname "$0")" && pwd)/$(basename "$0") run
Environment=MINISPOD_NODE_HOME=$home
Restart=always
RestartSec=5
NoNewPrivileges=true
ProtectHome=true
ProtectSystem=strict
PrivateTmp=true

[Install]
WantedBy=multi-user.target
UNIT
}

command=${1:-help}
[ $# -eq 0 ] || shift
case $command in
  join) join "$@" ;;
  beat) beat ;;
  run) run ;;
  unit) unit ;;
  *) sed -n '2,12s/^# \{0,1\}//p' "$0" ;;
esac
