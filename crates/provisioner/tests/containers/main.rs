//! Offerings as real containers: a kubelet, a network with policies, an ingress controller. The programs in the
//! containers are stand-ins that bear the names of the catalogue's images.
//!
//! `cargo xtask test --only containers` makes the cluster (`tests/containers/`) and runs this beside it.

#[path = "../kubernetes/bench.rs"]
#[allow(dead_code, reason = "the tests on a played node use the rest of it")]
mod bench;
mod ground;
mod life;
mod logs;
mod reviewer;
