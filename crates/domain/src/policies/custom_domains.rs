//! What follows when the hosts of an instance change, and what becomes of them when the instance goes.

use minispod_events::{CustomDomainsEvent, InstanceEvent};

use super::{Reaction, subscriptions::to_instance};
use crate::{AnyCommand, CustomDomainsCommand, InstanceCommand};

/// Never in-line, so that what is served follows the order of the log.
pub fn after_domains(instance_id: &str, event: &CustomDomainsEvent) -> Vec<Reaction> {
    match event {
        CustomDomainsEvent::CustomDomainVerified { hosts, preferred, edition, .. }
        | CustomDomainsEvent::CustomDomainPreferred { hosts, preferred, edition, .. }
        | CustomDomainsEvent::CustomDomainRemoved { hosts, preferred, edition, .. } => {
            let (hosts, public_host, edition) = (hosts.clone(), preferred.clone(), *edition);
            vec![to_instance("serve-hosts", instance_id, InstanceCommand::Serve { hosts, public_host, edition })]
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
        InstanceEvent::InstanceHostsChanged { hosts, edition, .. } => {
            let served = CustomDomainsCommand::RecordServed { hosts: hosts.clone(), edition: *edition };
            vec![Reaction::new("release-hosts", instance_id, AnyCommand::CustomDomains(served))]
        }
        _ => Vec::new(),
    }
}
