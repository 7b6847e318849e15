//! The hosts that a customer brings to an instance: each is proved by a record in its DNS before it is served.

use std::{collections::BTreeMap, time::Duration};

use minispod_events::CustomDomainsEvent;
use minispod_kernel::{Aggregate, Consequence, Moment, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bridge::{bridge, refusals};

pub mod host;
#[cfg(test)]
mod tests;

/// Most hosts of one instance, proved or not.
pub const MOST_HOSTS: usize = 10;
/// How long the proof is waited for.
pub const PROOF_LIFE: Duration = Duration::from_hours(7 * 24);
/// Asking again within this changes nothing: the look that was asked for is on its way.
pub const CHECK_PAUSE: Duration = Duration::from_secs(10);
/// The label before the host whose TXT record is the proof (an underscored name, RFC 8552).
pub const PROOF_LABEL: &str = "_minispod-challenge";
/// Before the challenge in the record, so that it says what it is for.
const PROOF_PREFIX: &str = "minispod-verification=";

/// Where the proof stands.
pub fn proof_name(host: &str) -> String {
    format!("{PROOF_LABEL}.{host}")
}

/// What the record says.
pub fn proof_value(challenge: &str) -> String {
    format!("{PROOF_PREFIX}{challenge}")
}

/// State.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct CustomDomains {
    wanted: Vec<Wanted>,
    /// Proved ones, in the order of their proofs.
    served: Vec<String>,
    /// The one of the public address.
    preferred: Option<String>,
    /// Not wanted any more since an edition, but the cluster may still answer to them.
    leaving: BTreeMap<String, u32>,
    /// Counts the changes of what is to be served.
    edition: u32,
    /// Not waited for any more; kept until somebody takes them off the list.
    rejected: Vec<String>,
    closed: bool,
}

/// A host that waits for its proof.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Wanted {
    host: String,
    challenge: String,
    expires_at: Timestamp,
    checked_at: Timestamp,
    finding: Option<String>,
}

/// Requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum CustomDomainsCommand {
    /// `platform` is the domain that the platform gives hosts under.
    Request {
        subscription_id: String,
        user_id: String,
        host: String,
        challenge: String,
        platform: String,
    },
    /// Look for the proof now.
    Check {
        host: String,
    },
    /// The proof was looked for and not found.
    RecordUnproved {
        host: String,
        challenge: String,
        finding: String,
    },
    /// The proof is there.
    Verify {
        host: String,
        challenge: String,
    },
    /// It is not waited for any more; `reason` as [`CustomDomainsRefusal`]'s code.
    Reject {
        host: String,
        challenge: String,
        reason: String,
    },
    /// The public address has this one; none: the platform's.
    Prefer {
        host: Option<String>,
    },
    Remove {
        host: String,
    },
    /// The instance answers to these and to no others, as of an edition; 0: of the newest.
    RecordServed {
        hosts: Vec<String>,
        #[serde(default)]
        edition: u32,
    },
    /// The instance goes with its data.
    Close,
}

/// Rules that say no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CustomDomainsRefusal {
    #[error("this is not a host name of the public DNS; write international names in their xn-- form")]
    BadHost,
    #[error("hosts under the platform's own domain are given by the platform")]
    PlatformHost,
    #[error("the service has this host already")]
    AlreadyServed,
    #[error("a service has at most {MOST_HOSTS} hosts of its own")]
    TooMany,
    #[error("the service has no such host")]
    NotFound,
    #[error("the host is not proved to be yours yet")]
    Unproved,
    #[error("the proof came too late")]
    TooLate,
    #[error("the service is gone")]
    Closed,
}

refusals!(CustomDomainsRefusal {
    BadHost => Invalid, "custom-domains-bad-host";
    PlatformHost => Invalid, "custom-domains-platform-host";
    AlreadyServed => Conflict, "custom-domains-already-served";
    TooMany => Conflict, "custom-domains-too-many";
    NotFound => NotFound, "custom-domains-not-found";
    Unproved => Conflict, "custom-domains-unproved";
    TooLate => Conflict, "custom-domains-too-late";
    Closed => Conflict, "custom-domains-closed";
});

/// The reason of a host whose proof never came.
pub const LAPSED: &str = "lapsed";

impl Aggregate for CustomDomains {
    type Event = CustomDomainsEvent;
    type Command = CustomDomainsCommand;
    type Refusal = CustomDomainsRefusal;
    const FINGERPRINT: &'static str = "custom-domains-2";

    fn decide(
        &self,
        command: CustomDomainsCommand,
        at: &Moment,
    ) -> Result<Vec<CustomDomainsEvent>, CustomDomainsRefusal> {
        let occurred_at = at.now;
        match command {
            CustomDomainsCommand::Request { subscription_id, user_id, host, challenge, platform } => {
                let host = self.admit(&host, &platform, occurred_at)?;
                // Asked for twice: the record that was named first is the one to be set.
                if self.want(&host).is_some_and(|wanted| wanted.expires_at > occurred_at) {
                    return Ok(Vec::new());
                }
                let expires_at = occurred_at.plus(PROOF_LIFE);
                Ok(vec![CustomDomainsEvent::CustomDomainRequested {
                    subscription_id,
                    user_id,
                    host,
                    challenge,
                    expires_at,
                    occurred_at,
                }])
            }
            CustomDomainsCommand::Check { host } => self.check(&host, occurred_at),
            CustomDomainsCommand::RecordUnproved { host, challenge, finding } => {
                let news = self.waiting(&host, &challenge)?.finding.as_ref() != Some(&finding);
                let unproved = CustomDomainsEvent::CustomDomainUnproved { host, finding, occurred_at };
                Ok(news.then_some(unproved).into_iter().collect())
            }
            CustomDomainsCommand::Verify { host, .. } if self.serves(&host) => Ok(Vec::new()),
            CustomDomainsCommand::Verify { host, challenge } => {
                if self.waiting(&host, &challenge)?.expires_at <= occurred_at {
                    return Err(CustomDomainsRefusal::TooLate);
                }
                if self.served.len() >= MOST_HOSTS {
                    return Err(CustomDomainsRefusal::TooMany);
                }
                let hosts = self.served.iter().chain([&host]).cloned().collect();
                let (preferred, edition) = (self.preferred.clone(), self.next());
                Ok(vec![CustomDomainsEvent::CustomDomainVerified { host, hosts, preferred, edition, occurred_at }])
            }
            CustomDomainsCommand::Reject { host, challenge, reason } => {
                self.waiting(&host, &challenge)?;
                Ok(vec![CustomDomainsEvent::CustomDomainRejected { host, reason, occurred_at }])
            }
            CustomDomainsCommand::Prefer { host } => self.prefer(host, occurred_at),
            CustomDomainsCommand::Remove { host } => {
                self.known(&host)?;
                Ok(vec![self.removed(host, &[], occurred_at)])
            }
            CustomDomainsCommand::RecordServed { hosts, edition } => {
                // What left later may have been served meanwhile.
                let knows = |since: u32| edition == 0 || since <= edition;
                let gone = self.leaving.iter().filter(|(host, since)| knows(**since) && !hosts.contains(host));
                let released =
                    |host: &String| CustomDomainsEvent::CustomDomainReleased { host: host.clone(), occurred_at };
                Ok(gone.map(|(host, _)| released(host)).collect())
            }
            CustomDomainsCommand::Close => Ok(self.close(occurred_at)),
        }
    }

    fn apply(&mut self, event: &CustomDomainsEvent) {
        match event {
            CustomDomainsEvent::CustomDomainRequested { host, challenge, expires_at, occurred_at, .. } => {
                self.forget(host);
                let (host, challenge) = (host.clone(), challenge.clone());
                let (expires_at, checked_at) = (*expires_at, *occurred_at);
                self.wanted.push(Wanted { host, challenge, expires_at, checked_at, finding: None });
            }
            CustomDomainsEvent::CustomDomainCheckRequested { host, occurred_at, .. } => {
                self.edit(host, |wanted| wanted.checked_at = *occurred_at);
            }
            CustomDomainsEvent::CustomDomainUnproved { host, finding, .. } => {
                self.edit(host, |wanted| wanted.finding = Some(finding.clone()));
            }
            CustomDomainsEvent::CustomDomainVerified { host, hosts, preferred, .. } => {
                self.forget(host);
                self.leaving.remove(host);
                self.serve(hosts, preferred.as_ref());
            }
            CustomDomainsEvent::CustomDomainPreferred { hosts, preferred, .. } => {
                self.serve(hosts, preferred.as_ref());
            }
            CustomDomainsEvent::CustomDomainRemoved { host, hosts, preferred, .. } => {
                self.forget(host);
                let left = self.serves(host);
                self.serve(hosts, preferred.as_ref());
                if left {
                    self.leaving.insert(host.clone(), self.edition);
                }
            }
            CustomDomainsEvent::CustomDomainReleased { host, .. } => {
                self.leaving.remove(host);
            }
            CustomDomainsEvent::CustomDomainRejected { host, .. } => {
                self.forget(host);
                self.rejected.push(host.clone());
            }
            CustomDomainsEvent::CustomDomainsClosed { .. } => self.closed = true,
        }
    }

    /// One instance answers to a host, whoever else proves it: from the proof until the cluster has let it go.
    fn consequences(_id: &str, event: &CustomDomainsEvent) -> Vec<Consequence> {
        match event {
            CustomDomainsEvent::CustomDomainVerified { host, .. } => vec![Consequence::Hold { key: host_key(host) }],
            CustomDomainsEvent::CustomDomainReleased { host, .. } => vec![Consequence::Release { key: host_key(host) }],
            _ => Vec::new(),
        }
    }
}

impl CustomDomains {
    /// The host as it is kept, when it may be asked for.
    fn admit(&self, text: &str, platform: &str, now: Timestamp) -> Result<String, CustomDomainsRefusal> {
        let host = host::normalised(text).ok_or(CustomDomainsRefusal::BadHost)?;
        let waits = |wanted: &&Wanted| wanted.host != host && wanted.expires_at > now;
        if self.closed {
            Err(CustomDomainsRefusal::Closed)
        } else if host::is_in(&host, platform) {
            Err(CustomDomainsRefusal::PlatformHost)
        } else if self.serves(&host) {
            Err(CustomDomainsRefusal::AlreadyServed)
        } else if self.served.len() + self.wanted.iter().filter(waits).count() >= MOST_HOSTS {
            Err(CustomDomainsRefusal::TooMany)
        } else {
            Ok(host)
        }
    }

    fn check(&self, host: &str, occurred_at: Timestamp) -> Result<Vec<CustomDomainsEvent>, CustomDomainsRefusal> {
        if self.serves(host) {
            return Ok(Vec::new());
        }
        let wanted = self.want(host).ok_or(CustomDomainsRefusal::NotFound)?;
        if occurred_at < wanted.checked_at.plus(CHECK_PAUSE) {
            return Ok(Vec::new());
        }
        let (host, challenge, expires_at) = (wanted.host.clone(), wanted.challenge.clone(), wanted.expires_at);
        Ok(vec![CustomDomainsEvent::CustomDomainCheckRequested { host, challenge, expires_at, occurred_at }])
    }

    fn prefer(
        &self,
        host: Option<String>,
        occurred_at: Timestamp,
    ) -> Result<Vec<CustomDomainsEvent>, CustomDomainsRefusal> {
        if let Some(host) = &host {
            self.known(host)?;
            if !self.serves(host) {
                return Err(CustomDomainsRefusal::Unproved);
            }
        }
        if self.preferred == host {
            return Ok(Vec::new());
        }
        let (hosts, edition) = (self.served.clone(), self.next());
        Ok(vec![CustomDomainsEvent::CustomDomainPreferred { hosts, preferred: host, edition, occurred_at }])
    }

    /// Nothing for an instance that never had a host: there is nothing to give back.
    fn close(&self, occurred_at: Timestamp) -> Vec<CustomDomainsEvent> {
        if self.closed || *self == Self::default() {
            return Vec::new();
        }
        let wanted = self.wanted.iter().map(|wanted| &wanted.host);
        let all: Vec<_> = self.served.iter().chain(wanted).chain(&self.rejected).cloned().collect();
        let removed = (0..all.len()).map(|gone| self.removed(all[gone].clone(), &all[..gone], occurred_at));
        removed.chain([CustomDomainsEvent::CustomDomainsClosed { occurred_at }]).collect()
    }

    /// `host` goes, after `gone`.
    fn removed(&self, host: String, gone: &[String], occurred_at: Timestamp) -> CustomDomainsEvent {
        let stays = |served: &&String| **served != host && !gone.contains(served);
        let hosts = self.served.iter().filter(stays).cloned().collect();
        let preferred = self.preferred.clone().filter(|preferred| stays(&preferred));
        let edition = self.next().saturating_add(u32::try_from(gone.len()).unwrap_or(u32::MAX));
        CustomDomainsEvent::CustomDomainRemoved { host, hosts, preferred, edition, occurred_at }
    }

    const fn next(&self) -> u32 {
        self.edition.saturating_add(1)
    }

    fn serves(&self, host: &str) -> bool {
        self.served.iter().any(|served| served == host)
    }

    fn want(&self, host: &str) -> Option<&Wanted> {
        self.wanted.iter().find(|wanted| wanted.host == host)
    }

    fn known(&self, host: &str) -> Result<(), CustomDomainsRefusal> {
        let known = self.serves(host) || self.want(host).is_some() || self.rejected.iter().any(|one| one == host);
        known.then_some(()).ok_or(CustomDomainsRefusal::NotFound)
    }

    /// What waits for this very challenge: one that was asked for anew has another.
    fn waiting(&self, host: &str, challenge: &str) -> Result<&Wanted, CustomDomainsRefusal> {
        let wanted = self.want(host).filter(|wanted| wanted.challenge == challenge);
        wanted.ok_or(CustomDomainsRefusal::NotFound)
    }

    fn forget(&mut self, host: &str) {
        self.wanted.retain(|wanted| wanted.host != host);
        self.rejected.retain(|rejected| rejected != host);
    }

    fn serve(&mut self, hosts: &[String], preferred: Option<&String>) {
        self.edition = self.next();
        self.served = hosts.to_vec();
        self.preferred = preferred.cloned();
    }

    fn edit(&mut self, host: &str, change: impl FnOnce(&mut Wanted)) {
        if let Some(wanted) = self.wanted.iter_mut().find(|wanted| wanted.host == host) {
            change(wanted);
        }
    }
}

fn host_key(host: &str) -> String {
    format!("host/{host}")
}

bridge!(CustomDomains);
