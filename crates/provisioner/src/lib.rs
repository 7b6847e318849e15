//! Turns what was bought into objects of a cluster: the catalogue, the plan of objects, the cluster's port and the reactor.
//!
//! Observe → plan → apply → report. What is sold comes from the instance's specification; how a program wants to be
//! run comes from `catalog/<offering>/`; what happened goes back to the domain as commands.

pub mod catalog;
pub mod cluster;
pub mod contract;
pub mod credentials;
pub mod dns;
pub mod domains;
pub mod keeping;
pub mod kubernetes;
pub mod log_lines;
pub mod names;
pub mod nodes;
mod numbers;
pub mod options;
pub mod plan;
mod planning;
pub mod progress;
pub mod promises;
#[cfg(test)]
mod properties;
pub mod reactor;
mod resting;
pub mod sampling;
pub mod watch;

pub use cluster::{Cluster, ClusterError};
pub use dns::NameServers;
pub use keeping::{Desired, DriftWatch, KeepingSettings, Listed};
pub use kubernetes::{KubeCluster, KubeConnection};
pub use minispod_domain::{ports::fleet, quantity};
pub use nodes::{KnownNode, NodeBook, NodeWatch};
pub use options::{PlanOptions, RestingPage, Tls};
pub use plan::{Plan, PlanError, plan};
pub use promises::{Books, Heads, PromiseSettings, PromiseWatch};
pub use reactor::{Newest, ProvisionerReactor, ReactorSettings, Requests, Unheard};
pub use sampling::UsageSink;
pub use watch::{HealthWatch, ReportSink, WatchSettings};
