//! Whose it is what the cluster has: a read model may lag, so the log is asked about whatever looks like an orphan.

use std::collections::{BTreeMap, BTreeSet};

use minispod_domain::{
    Instance,
    instance::Holds,
    ports::fleet::{Belonging, BelongingKind, WorkloadSeen},
};
use minispod_kernel::ids::is_aggregate_id;
use minispod_projections::subscriptions;

use crate::{error::ApiError, refusals::read_failed, state::AppState};

/// Most instances that one request asks the log about; what is left of others is told as unchecked.
const LOG_READS_MAX: usize = 500;

const NOT_IN_THE_LOG: &str = "Its instance is not in the log";
const DELETED: &str = "Its instance is deleted";
const NAMES_NONE: &str = "It names no instance";

/// What instances may have in the cluster.
pub struct Claims(BTreeMap<String, Claim>);

enum Claim {
    /// The log says so; or the read model, and then only what leaves everything where it is.
    Known(Holds),
    /// More looked like orphans than one request asks about.
    Unchecked,
}

/// Whether something belongs to nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nobody owns it, for this reason.
    Orphan(&'static str),
    Owned,
    /// Nobody asked.
    Unchecked,
}

impl Verdict {
    /// Whether nobody owns it for certain.
    pub fn is_orphan(self) -> bool {
        matches!(self, Self::Orphan(_))
    }
}

impl Claims {
    /// The claims on these. The cluster was looked at before: whatever was there then was asked for in the log by now.
    pub async fn on(state: &AppState, workloads: &[WorkloadSeen], belongings: &[Belonging]) -> Result<Self, ApiError> {
        // By instance, whether more of it is there than its volumes.
        let mut there: BTreeMap<&str, bool> = BTreeMap::new();
        let workloads = workloads.iter().map(|one| (one.instance_id.as_deref(), true));
        let belongings = belongings.iter().map(|one| (one.instance_id.as_deref(), one.kind != BelongingKind::Volume));
        for (id, is_more) in workloads.chain(belongings) {
            if let Some(id) = id.filter(|id| is_aggregate_id(id)) {
                *there.entry(id).or_default() |= is_more;
            }
        }
        let ids: Vec<String> = there.keys().map(|id| (*id).to_owned()).collect();
        let mut claims = BTreeMap::new();
        for row in subscriptions::leftovers_of(state.pool(), &ids).await.map_err(read_failed)? {
            let is_more = there.get(row.id.as_str()).copied().unwrap_or(true);
            if !row.deleted {
                claims.insert(row.id, Claim::Known(Holds::Everything));
            } else if row.volume_kept && !is_more {
                claims.insert(row.id, Claim::Known(Holds::Volume));
            }
        }
        let asked: BTreeSet<String> = ids.into_iter().filter(|id| !claims.contains_key(id)).collect();
        for (number, id) in asked.into_iter().enumerate() {
            let claim = if number < LOG_READS_MAX {
                Claim::Known(state.store.event_store().state::<Instance>(&id).await?.holds())
            } else {
                Claim::Unchecked
            };
            claims.insert(id, claim);
        }
        Ok(Self(claims))
    }

    /// Whether nobody owns a workload.
    pub fn workload(&self, one: &WorkloadSeen) -> Verdict {
        match one.instance_id.as_deref() {
            Some(id) => self.verdict(id, false),
            None => Verdict::Orphan(NAMES_NONE),
        }
    }

    /// Whether nobody owns something else. What names no instance is somebody else's to explain.
    pub fn belonging(&self, one: &Belonging) -> Verdict {
        match one.instance_id.as_deref() {
            Some(id) => self.verdict(id, one.kind == BelongingKind::Volume),
            None => Verdict::Owned,
        }
    }

    fn verdict(&self, id: &str, is_volume: bool) -> Verdict {
        match self.0.get(id) {
            Some(Claim::Known(Holds::Unknown)) => Verdict::Orphan(NOT_IN_THE_LOG),
            // No instance can have such an id, so nobody was asked.
            None if !is_aggregate_id(id) => Verdict::Orphan(NOT_IN_THE_LOG),
            None | Some(Claim::Unchecked) => Verdict::Unchecked,
            Some(Claim::Known(Holds::Everything)) => Verdict::Owned,
            Some(Claim::Known(Holds::Volume)) if is_volume => Verdict::Owned,
            Some(Claim::Known(Holds::Volume | Holds::Nothing)) => Verdict::Orphan(DELETED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_volume_is_owned_and_nothing_else_of_what_is_deleted() {
        let (deleted, unknown) = (Verdict::Orphan(DELETED), Verdict::Orphan(NOT_IN_THE_LOG));
        for (claim, of_volume, of_others) in [
            (Claim::Known(Holds::Unknown), unknown, unknown),
            (Claim::Known(Holds::Everything), Verdict::Owned, Verdict::Owned),
            (Claim::Known(Holds::Volume), Verdict::Owned, deleted),
            (Claim::Known(Holds::Nothing), deleted, deleted),
            (Claim::Unchecked, Verdict::Unchecked, Verdict::Unchecked),
        ] {
            let claims = Claims(BTreeMap::from([("i".to_owned(), claim)]));
            assert_eq!((claims.verdict("i", true), claims.verdict("i", false)), (of_volume, of_others));
            assert_eq!(claims.verdict("nobody-asked-about-it", true), Verdict::Unchecked);
            assert_eq!(claims.verdict("no'id", true), unknown);
        }
    }
}
