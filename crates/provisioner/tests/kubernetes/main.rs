//! The provisioner against a real control plane; one for the run, one customer per test.

mod bench;
mod fleet;
mod guards;
mod keeping;
mod kubelet;
mod life;
mod many;
mod measures;
mod objects;
mod reviewer;
mod seldom;
