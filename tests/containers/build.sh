#!/usr/bin/env bash
# Gets every program of the real cluster that is not in the cache yet. 30 CPU-minutes the first time, a second later.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/pins.sh"
export CGO_ENABLED=0 GOFLAGS=-mod=readonly
UNFINISHED=$CACHE/containers-unfinished

# get FILE COMMAND...: unless FILE is there, runs COMMAND, which makes $UNFINISHED/<its name>, and moves it there.
get() {
  local file=$1 started=$SECONDS
  shift
  [ -e "$file" ] && return
  rm -rf "$UNFINISHED"
  mkdir -p "$UNFINISHED" "$(dirname "$file")"
  echo "build $(basename "$file")"
  "$@"
  mv "$UNFINISHED/$(basename "$file")" "$file"
  rm -rf "$UNFINISHED"
  echo "built $(basename "$file") in $((SECONDS - started)) s"
}

kubernetes() {
  local names="-X k8s.io/component-base/version.git" number=${KUBERNETES#v}
  local major=${number%%.*} rest=${number#*.}
  (cd "$HERE/../kubernetes" && go build -trimpath -o "$UNFINISHED/$1" \
    -ldflags "-s -w ${names}Version=$KUBERNETES ${names}Major=$major ${names}Minor=${rest%%.*}" "k8s.io/kubernetes/cmd/$1")
}

containerd() {
  local module=github.com/containerd/containerd/v2
  GOFLAGS='' GOBIN=$UNFINISHED go install -trimpath -tags "no_btrfs no_devmapper no_zfs" \
    -ldflags "-s -w -X $module/version.Version=$CONTAINERD" "$module/cmd/$1@$CONTAINERD"
}

kube_router() {
  GOFLAGS='' GOBIN=$UNFINISHED go install -trimpath -ldflags "-s -w" \
    "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router@$KUBE_ROUTER"
}

coredns() {
  (cd "$HERE/dns" && go build -trimpath -ldflags "-s -w" -o "$UNFINISHED/coredns" .)
}

# Traefik's module leaves out a nested module of its own, and links the clients of 200 DNS providers that no test
# asks: both are put in the place of the module's own by go.mod.
traefik() {
  local lego
  cp -r "$HERE/traefik/." "$UNFINISHED"
  lego=$(cd "$UNFINISHED" && GOFLAGS='' go mod download -json "github.com/go-acme/lego/v5@$LEGO" |
    sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
  cp -r "$lego" "$UNFINISHED/lego"
  chmod -R u+w "$UNFINISHED/lego"
  find "$UNFINISHED/lego/providers/dns" -mindepth 1 -maxdepth 1 -type d -exec rm -r {} +
  cp "$UNFINISHED/no_providers.go.txt" "$UNFINISHED/lego/providers/dns/zz_gen_dns_providers.go"
  (cd "$UNFINISHED" && go build -trimpath -o "$UNFINISHED/traefik" \
    -ldflags "-s -w -X github.com/traefik/traefik/v3/pkg/version.Version=$TRAEFIK" github.com/traefik/traefik/v3/cmd/traefik)
}

# What the system packs: runc, the bridge of the pods, and the tools of the kernel's packet filter.
system() {
  local to=$UNFINISHED/containers-system file
  mkdir -p "$to/packages" "$to/usr/sbin"
  command -v apt-get dpkg-deb > /dev/null || {
    echo "the packages of Debian are needed: $DEBIAN_PACKAGES" >&2
    exit 1
  }
  # shellcheck disable=SC2086
  (cd "$to/packages" && { apt-get download -q $DEBIAN_PACKAGES || { apt-get update -q && apt-get download -q $DEBIAN_PACKAGES; }; })
  for file in "$to/packages"/*.deb; do dpkg-deb -x "$file" "$to"; done
  rm -r "$to/packages"
  for file in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
    ln -sf xtables-nft-multi "$to/usr/sbin/$file"
  done
}

get "$SYSTEM" system
for name in kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy; do get "$KUBERNETES_PROGRAMS/$name" kubernetes "$name"; done
for name in containerd containerd-shim-runc-v2 ctr; do get "$CONTAINERD_PROGRAMS/$name" containerd "$name"; done
get "$KUBE_ROUTER_PROGRAM" kube_router
get "$COREDNS_PROGRAM" coredns
get "$TRAEFIK_PROGRAM" traefik
# Our own are small and change with the sources.
mkdir -p "$OWN_PROGRAMS"
(cd "$HERE/programs" && go build -trimpath -ldflags "-s -w" -o "$OWN_PROGRAMS/" ./pause ./standin)
