//! The provisioner against a real control plane; one for the run, one customer per test.

mod bench;
mod guards;
mod life;
mod objects;
