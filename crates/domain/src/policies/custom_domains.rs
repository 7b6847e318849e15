//! What follows when the hosts of an instance change, and what becomes of them when the instance goes.

use minispod_events::{CustomDomainsEvent, InstanceEvent};

use super::{Reaction, subscriptions::to_instance};
use crate::{AnyCommand, CustomDomainsCommand, InstanceCommand};

/// Never in-line, so that what is served follows the order of the log.
pub fn after_domains(instance_id: &str, event: &CustomDomainsEvent) -> Vec<Reaction> {
    match event {
        CustomDomainsEvent::CustomDomainVerified { hosts, preferred, .. }
        | CustomDomainsEvent::CustomDomainPreferred { hosts, preferred, .. }
        | CustomDomainsEvent::CustomDomainRemoved { hosts, preferred, .. } => {
            let serve = InstanceCommand::Serve { hosts: hosts.clone(), public_host: preferred.clone() };
            vec![to_instance("serve-hosts", instance_id, serve)]
        }
        CustomDomainsEvent::CustomDomainRequested { .. }
        | CustomDomainsEvent::CustomDomainCheckRequested { .. }
        | CustomDomainsEvent::CustomDomainUnproved { .. }
        | CustomDomainsEvent::CustomDomainRejected { .. }
        | CustomDomainsEvent::CustomDomainReleased { .. }
        | CustomDomainsEvent::CustomDomainsClosed { .. } => Vec::new(),
    }
}

/// While its data is kept it may come back, and its hosts stay its own. What it was asked to let go is free for others only
/// when the cluster has let it go.
pub fn after_instance(instance_id: &str, event: &InstanceEvent) -> Vec<Reaction> {
    match event {
        InstanceEvent::InstanceDeletionRequested { purge_volume: true, .. } => {
            let close = AnyCommand::CustomDomains(CustomDomainsCommand::Close);
            vec![Reaction::new("close-domains", instance_id, close)]
        }
        InstanceEvent::InstanceHostsChanged { hosts, .. } => {
            let served = AnyCommand::CustomDomains(CustomDomainsCommand::RecordServed { hosts: hosts.clone() });
            vec![Reaction::new("release-hosts", instance_id, served)]
        }
        _ => Vec::new(),
    }
}
