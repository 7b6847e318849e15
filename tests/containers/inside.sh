#!/usr/bin/env bash
# inside.sh WORK COMMAND...: process 1 of the namespaces that cluster.sh made. Starts the cluster, then runs COMMAND.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/pins.sh"
WORK=$1
shift
NODE=real ADDRESS=10.91.0.1 PODS=10.92.0.0/24 SERVICES=10.240.0.0/16
export PATH=$CONTAINERD_PROGRAMS:$SYSTEM/usr/sbin:$PATH
libraries=$(find "$SYSTEM/usr/lib" -name 'libnftnl.so*' -printf '%h\n' | head -1)
export LD_LIBRARY_PATH=$libraries XTABLES_LIBDIR=$libraries/xtables

say() { printf '   cluster  %s s  %s\n' "$SECONDS" "$*"; }
run() {
  local name=$1
  shift
  "$@" > "$WORK/logs/$name.log" 2>&1 &
}
# wait_for WHAT COMMAND...: until COMMAND succeeds, a minute at most.
wait_for() {
  local what=$1
  shift
  for _ in $(seq 600); do
    if "$@" > /dev/null 2>&1; then
      say "$what"
      return
    fi
    sleep 0.1
  done
  echo "not within a minute: $what; the ends of the logs:" >&2
  tail -n 4 "$WORK"/logs/*.log >&2
  exit 1
}

file_systems() {
  mkdir -p "$WORK"/{var,var-work,kubelet,containerd,logs,keys,network}
  mount -t tmpfs -o mode=755 run /run
  # What is written to /var goes to WORK.
  mount -t overlay var -o "lowerdir=/var,upperdir=$WORK/var,workdir=$WORK/var-work" /var
  mkdir -p /var/lib/kubelet
  mount --bind "$WORK/kubelet" /var/lib/kubelet
  mount --make-shared /var/lib/kubelet
  # The folders of objects.yaml's volumes.
  mkdir -p /var/lib/minispod-volumes/{1..30}
  # kubelet asks for these settings of the kernel. It is shown files instead of changing the machine's.
  local setting file
  for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
    kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
    file=/run/setting-$(echo "${setting%=*}" | tr / -)
    echo "${setting#*=}" > "$file"
    mount --bind "$file" "/proc/sys/${setting%=*}"
  done
}

# The hierarchies again, as this namespace sees them: its own group is their root.
control_groups() {
  local controllers controller options
  controllers=$(cut -d: -f2 /proc/self/cgroup | sed 's/^name=//; /^$/d')
  umount -R /sys/fs/cgroup
  mount -t sysfs sys /sys
  mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
  for controller in $controllers; do
    mkdir "/sys/fs/cgroup/$controller"
    options=$controller
    [ "$controller" != systemd ] || options=none,name=systemd
    mount -t cgroup -o "$options" cgroup "/sys/fs/cgroup/$controller"
  done
}

# A node with an address and a default route that leads nowhere.
network() {
  ip link set lo up
  ip link add node0 type veth peer name node1
  ip link set node0 up
  ip link set node1 up
  ip address add "$ADDRESS/24" dev node0
  ip route add default via 10.91.0.2 dev node0
  # Stand-ins for the world: a cloud's metadata service, and an address of the internet (RFC 5737).
  ip address add 169.254.169.254/32 dev lo
  ip address add 203.0.113.10/32 dev lo
  echo 1 > /proc/sys/net/ipv4/ip_forward
  # Pods of one node share a bridge; without this their packets pass no filter.
  echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables
  hostname "$NODE"
}

# sign NAME SUBJECT EXTENSION: a key and a certificate of the throw-away authority.
sign() {
  openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"
  openssl req -new -key "$1.key" -subj "$2" |
    openssl x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -extensions "$3" -out "$1.crt"
}
# kubeconfig TOKEN
kubeconfig() {
  cat << END
apiVersion: v1
kind: Config
current-context: test
clusters: [{name: test, cluster: {server: "https://$ADDRESS:6443", certificate-authority: $WORK/keys/ca.crt}}]
users: [{name: test, user: {token: $1}}]
contexts: [{name: test, context: {cluster: test, user: test}}]
END
}
keys() {
  cd "$WORK/keys"
  cat > extensions << END
[authority]
basicConstraints=critical,CA:true
keyUsage=critical,keyCertSign,digitalSignature
[server]
subjectAltName=DNS:localhost,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:$ADDRESS,IP:10.240.0.1
extendedKeyUsage=serverAuth
[client]
extendedKeyUsage=clientAuth
END
  {
    openssl ecparam -name prime256v1 -genkey -noout -out ca.key
    openssl req -new -key ca.key -subj /CN=authority |
      openssl x509 -req -signkey ca.key -days 2 -extfile extensions -extensions authority -out ca.crt
    sign server /CN=kube-apiserver server
    sign to-kubelet /O=system:masters/CN=kube-apiserver client
    openssl ecparam -name prime256v1 -genkey -noout -out accounts.key
    openssl ec -in accounts.key -pubout -out accounts.pub
  } 2> /dev/null
  TOKEN=$(openssl rand -hex 16)
  local of_node
  of_node=$(openssl rand -hex 16)
  printf '%s,administrator,1,system:masters\n%s,system:node:%s,2,"system:nodes"\n' "$TOKEN" "$of_node" "$NODE" > tokens.csv
  kubeconfig "$TOKEN" > "$WORK/kubeconfig"
  kubeconfig "$of_node" > "$WORK/kubeconfig-of-node"
  cd "$WORK"
}

# As the test kit starts it, but for a node that is real: it has rights of its own, and an address to be called at.
control_plane() {
  local k=$WORK/keys etcd=http://127.0.0.1:2379 peer=http://127.0.0.1:2380
  run etcd etcd "--data-dir=$WORK/etcd" "--listen-client-urls=$etcd" "--advertise-client-urls=$etcd" \
    "--listen-peer-urls=$peer" "--initial-advertise-peer-urls=$peer" "--initial-cluster=default=$peer"
  run api "$KUBERNETES_PROGRAMS/kube-apiserver" "--etcd-servers=$etcd" --secure-port=6443 --bind-address=0.0.0.0 \
    "--advertise-address=$ADDRESS" "--cert-dir=$WORK/api" "--tls-cert-file=$k/server.crt" \
    "--tls-private-key-file=$k/server.key" "--service-account-key-file=$k/accounts.pub" \
    "--service-account-signing-key-file=$k/accounts.key" --service-account-issuer=https://kubernetes.default.svc \
    "--token-auth-file=$k/tokens.csv" --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
    "--service-cluster-ip-range=$SERVICES" --allow-privileged=true "--client-ca-file=$k/ca.crt" \
    "--kubelet-client-certificate=$k/to-kubelet.crt" "--kubelet-client-key=$k/to-kubelet.key" \
    --kubelet-preferred-address-types=InternalIP
}
ask() { curl -sSf --cacert "$WORK/keys/ca.crt" -H "Authorization: Bearer $TOKEN" "https://127.0.0.1:6443$1"; }
controllers() {
  run controllers "$KUBERNETES_PROGRAMS/kube-controller-manager" "--kubeconfig=$WORK/kubeconfig" --leader-elect=false \
    --secure-port=0 "--service-account-private-key-file=$WORK/keys/accounts.key" "--root-ca-file=$WORK/keys/ca.crt" \
    --kube-api-qps=200 --kube-api-burst=400
  run scheduler "$KUBERNETES_PROGRAMS/kube-scheduler" "--kubeconfig=$WORK/kubeconfig" --leader-elect=false --secure-port=0
}

# Images are made here and imported: nothing is pulled from anywhere.
container_runtime() {
  cat > network/pods.conflist << END
{"cniVersion": "1.0.0", "name": "pods", "plugins": [{
  "type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
  "ipam": {"type": "host-local", "dataDir": "/run/addresses", "ranges": [[{"subnet": "$PODS"}]], "routes": [{"dst": "0.0.0.0/0"}]}
}]}
END
  # Neither AppArmor nor a better place than ours before the out-of-memory killer is to be had in every machine.
  cat > containerd.toml << END
version = 3
root = "$WORK/containerd"
state = "/run/containerd"
oom_score = 0
disabled_plugins = ["io.containerd.nri.v1.nri"]
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "minispod.test/pause:1"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["$SYSTEM/usr/lib/cni"]
    conf_dir = "$WORK/network"
  [plugins."io.containerd.cri.v1.runtime".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
        BinaryName = "$SYSTEM/usr/sbin/runc"
        SystemdCgroup = false
END
  run containerd containerd --config "$WORK/containerd.toml"
}
in_containerd() { ctr --address /run/containerd/containerd.sock --namespace k8s.io "$@"; }
# image NAME PROGRAM [PORT [LINK...]]
image() {
  python3 "$HERE/image.py" "$WORK/image.tar" "$@"
  in_containerd images import "$WORK/image.tar" >> "$WORK/logs/images.log" 2>&1
  rm "$WORK/image.tar"
}
# Every image that the catalogue names, under its own name, so that the manifests are what customers get; the program in
# it is a stand-in. It is also found under the names of the programs that manifests execute.
standins() {
  local name port full
  awk -F ' = ' '/^image = "/ { gsub(/"/, "", $2); image = $2 } /^port = / && image { print image, $2; image = "" }' \
    "$HERE"/../../crates/provisioner/catalog/*/offering.toml | while read -r name port; do
    full=docker.io/library/$name
    [ "$name" = "${name#*/}" ] || full=docker.io/$name
    image "$full" "$OWN_PROGRAMS/standin" "$port" bin/sh usr/local/bin/{pg_isready,healthcheck.sh}
    say "STAND-IN for $name"
  done
}
images() {
  image minispod.test/pause:1 "$OWN_PROGRAMS/pause"
  image minispod.test/coredns:1 "$COREDNS_PROGRAM"
  image minispod.test/traefik:1 "$TRAEFIK_PROGRAM"
  image minispod.test/standin:1 "$OWN_PROGRAMS/standin" 8080
  standins
  say "images imported"
}

node() {
  cat > kubelet.yaml << END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
oomScoreAdj: 0
failSwapOn: false
protectKernelDefaults: true
makeIPTablesUtilChains: false
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $WORK/keys/ca.crt}}
authorization: {mode: Webhook}
podPidsLimit: 256
evictionHard: {memory.available: 50Mi, nodefs.available: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
resolvConf: /dev/null
clusterDNS: [10.240.0.10]
clusterDomain: cluster.local
volumePluginDir: $WORK/volume-plugins
nodeStatusUpdateFrequency: 2s
syncFrequency: 5s
podLogsDir: $WORK/pod-logs
END
  run kubelet "$KUBERNETES_PROGRAMS/kubelet" "--config=$WORK/kubelet.yaml" "--kubeconfig=$WORK/kubeconfig-of-node" \
    "--hostname-override=$NODE" "--node-ip=$ADDRESS" --root-dir=/var/lib/kubelet --cert-dir=/run/kubelet-keys
  cat > proxy.yaml << END
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
oomScoreAdj: 0
hostnameOverride: $NODE
clusterCIDR: $PODS
clientConnection: {kubeconfig: $WORK/kubeconfig}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
END
  run proxy "$KUBERNETES_PROGRAMS/kube-proxy" "--config=$WORK/proxy.yaml"
}
is_ready() {
  ask "/api/v1/nodes/$NODE" | python3 -c '
import json, sys
node = json.load(sys.stdin)
ready = any(one["type"] == "Ready" and one["status"] == "True" for one in node["status"]["conditions"])
sys.exit(0 if ready and not node["spec"].get("taints") else 1)'
}

# Enforces NetworkPolicies and does nothing else. It looks for its node at once and ends when there is none.
policies() {
  run policies "$KUBE_ROUTER_PROGRAM" "--kubeconfig=$WORK/kubeconfig" "--hostname-override=$NODE" --run-router=false \
    --run-service-proxy=false --run-firewall=true "--service-cluster-ip-range=$SERVICES" --health-port=0
}
enforces() { iptables -S FORWARD | grep -q KUBE-ROUTER; }

file_systems
control_groups
network
keys
control_plane
container_runtime
wait_for "containerd answers" in_containerd version
images
wait_for "the API server answers" ask /readyz
controllers
node
wait_for "the node is ready" is_ready
policies
wait_for "policies are enforced" enforces

# When this process ends, the kernel ends all others.
cd "$HERE/../../crates/provisioner"
unset LD_LIBRARY_PATH XTABLES_LIBDIR
MINISPOD_TEST_KUBECONFIG=$WORK/kubeconfig MINISPOD_TEST_CONTAINERS=$ADDRESS "$@"
