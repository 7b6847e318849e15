//! Facts about the hosts that a customer brings to an instance.

use minispod_kernel::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{contract, is_zero};

/// Facts about an instance's own hosts; the aggregate id is the instance id. `hosts` are always all that it is to answer to
/// from then on besides the platform's, `preferred` the one of its public address where that is not the platform's, and
/// `edition` counts the changes of the two (0 in facts from before they were counted).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub enum CustomDomainsEvent {
    CustomDomainRequested {
        subscription_id: String,
        user_id: String,
        /// In lower case, without a dot at the end.
        host: String,
        /// What the host's TXT record must say; no secret, as DNS is public.
        challenge: String,
        /// Until then it is looked for.
        expires_at: Timestamp,
        occurred_at: Timestamp,
    },
    /// The customer says that the record is there now.
    CustomDomainCheckRequested { host: String, challenge: String, expires_at: Timestamp, occurred_at: Timestamp },
    /// The record is not there, or says something else.
    CustomDomainUnproved { host: String, finding: String, occurred_at: Timestamp },
    /// It is the customer's: the instance answers to it.
    CustomDomainVerified {
        host: String,
        hosts: Vec<String>,
        preferred: Option<String>,
        #[serde(default, skip_serializing_if = "is_zero")]
        edition: u32,
        occurred_at: Timestamp,
    },
    /// It was not proved in time, or another instance answers to it.
    CustomDomainRejected { host: String, reason: String, occurred_at: Timestamp },
    /// The public address has another host.
    CustomDomainPreferred {
        hosts: Vec<String>,
        preferred: Option<String>,
        #[serde(default, skip_serializing_if = "is_zero")]
        edition: u32,
        occurred_at: Timestamp,
    },
    /// It is not wanted any more; until the cluster has let it go nobody else has it.
    CustomDomainRemoved {
        host: String,
        hosts: Vec<String>,
        preferred: Option<String>,
        #[serde(default, skip_serializing_if = "is_zero")]
        edition: u32,
        occurred_at: Timestamp,
    },
    /// Nothing answers to it any more: others may prove it.
    CustomDomainReleased { host: String, occurred_at: Timestamp },
    /// The instance is gone with its data: it takes no host any more.
    CustomDomainsClosed { occurred_at: Timestamp },
}

contract!(
    CustomDomainsEvent,
    "compute",
    "custom_domains",
    [
        CustomDomainRequested,
        CustomDomainCheckRequested,
        CustomDomainUnproved,
        CustomDomainVerified,
        CustomDomainRejected,
        CustomDomainPreferred,
        CustomDomainRemoved,
        CustomDomainReleased,
        CustomDomainsClosed,
    ]
);
