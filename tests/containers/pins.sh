# Which programs make the real cluster, and where they are kept. Sourced by the other scripts.
# Kubernetes has its version in tests/kubernetes/go.mod; Go's checksum database and the go.sum files hold the hashes.
CONTAINERD=v2.3.7
KUBE_ROUTER=v2.1.0
COREDNS=v1.14.7 # as in dns/go.mod
TRAEFIK=v3.7.13 # as in traefik/go.mod
LEGO=v5.4.1     # as in traefik/go.mod
# Unpacked beside the machine's own, never installed; with the libraries that a small system lacks.
DEBIAN_PACKAGES="runc libseccomp2 containernetworking-plugins iptables libxtables12 libip4tc2 libip6tc2 libmnl0
  libnftnl11 libnetfilter-conntrack3 libnfnetlink0 ipset libipset13 conntrack nftables libnftables1 libjansson4
  libedit2 libbsd0"

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
KUBERNETES=$(sed -n 's,^\tk8s.io/kubernetes \(v[0-9.]*\).*,\1,p' "$HERE/../kubernetes/go.mod")
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/minispod
KUBERNETES_PROGRAMS=$CACHE/kubernetes-$KUBERNETES
CONTAINERD_PROGRAMS=$CACHE/containerd-$CONTAINERD
KUBE_ROUTER_PROGRAM=$CACHE/kube-router-$KUBE_ROUTER/kube-router
COREDNS_PROGRAM=$CACHE/coredns-$COREDNS/coredns
TRAEFIK_PROGRAM=$CACHE/traefik-$TRAEFIK/traefik
OWN_PROGRAMS=$CACHE/containers-own
SYSTEM=$CACHE/containers-system
