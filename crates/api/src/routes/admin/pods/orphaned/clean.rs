//! `DELETE /admin/pods/orphaned`: deletes what belongs to no instance; each is looked at again first.

use actix_web::web;
use minispod_auth::Action;
use minispod_domain::ports::fleet::{Belonging, BelongingKind, Fleet, FleetError, WorkloadSeen};
use serde_json::{Value, json};

use super::{
    Cleaned, confirmed,
    judging::{Claims, Verdict},
};
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    error::ApiError,
    fleet::{fleet, fleet_failed},
    input::{Fields, RequestBody, Unknown},
    state::AppState,
};

/// Most that one request deletes, and most that it may name; what is left goes with the next.
const TARGETS_MAX: usize = 100;

pub async fn handle(state: web::Data<AppState>, caller: Caller, body: RequestBody) -> Result {
    caller.may(Action::ManageInstances)?;
    let body = body.form().await?;
    let wish = Wish::read(&body.value)?;
    let fleet = fleet(&state)?;
    let mut workloads = fleet.workloads().await.map_err(fleet_failed)?;
    workloads.retain(|one| wish.wants(one));
    let mut belongings =
        if wish.deployments.is_none() { fleet.belongings().await.map_err(fleet_failed)? } else { Vec::new() };
    belongings.retain(|one| wish.wants_object(one));
    belongings.sort_by_key(|one| turn(one.kind));
    let claims = Claims::on(&state, &workloads, &belongings).await?;
    let mut cleaned = Cleaned::default();
    for (name, namespace) in wish.deployments.iter().flatten() {
        if !wish.is_in(namespace) {
            cleaned.fault(name, namespace, "It is not in one of the named namespaces");
            continue;
        }
        let named = workloads.iter().find(|one| one.name == *name && one.namespace == *namespace);
        match named.map(|one| claims.workload(one)) {
            Some(Verdict::Orphan(_)) => {}
            Some(Verdict::Owned) => cleaned.fault(name, namespace, "It belongs to an instance"),
            Some(Verdict::Unchecked) => cleaned.fault(name, namespace, "Too many were named at once"),
            None => cleaned.fault(name, namespace, "There is no such workload"),
        }
    }
    let (mut targets, mut unchecked) = (Vec::new(), 0_usize);
    let pods = workloads.iter().map(|one| (Target::Workload(one), claims.workload(one)));
    for (target, verdict) in pods.chain(belongings.iter().map(|one| (Target::Object(one), claims.belonging(one)))) {
        match verdict {
            Verdict::Orphan(_) => targets.push(target),
            Verdict::Owned => {}
            Verdict::Unchecked => unchecked += 1,
        }
    }
    let untried = take_all(&mut cleaned, fleet, &caller, &targets).await?;
    let mut summary = cleaned.summary();
    summary["unchecked"] = unchecked.into();
    let data = json!({
        "cleanupResults": cleaned.results(),
        "summary": summary,
        // The next request asks about what nobody asked about in this one.
        "remaining": untried + unchecked,
        "simulated": fleet.is_simulated(),
    });
    Ok(Answer::ok("Orphaned pods cleaned up", data))
}

/// What shall go.
enum Target<'a> {
    Workload(&'a WorkloadSeen),
    Object(&'a Belonging),
}

/// Deletes these in turn and gives how many were not tried. A cluster that stops answering is not asked again, as each
/// wait is half a minute; when nothing went yet, that is the answer.
async fn take_all(
    cleaned: &mut Cleaned,
    fleet: &dyn Fleet,
    caller: &Caller,
    targets: &[Target<'_>],
) -> std::result::Result<usize, ApiError> {
    for (before, target) in targets.iter().take(TARGETS_MAX).enumerate() {
        let (taken, name, namespace) = match target {
            Target::Workload(one) => (cleaned.take(fleet, caller, one).await, &one.name, &one.namespace),
            Target::Object(one) => (cleaned.take_object(fleet, caller, one).await, &one.name, &one.namespace),
        };
        let Err(error) = taken else { continue };
        let is_away = matches!(error, FleetError::Unreachable { .. });
        let error = fleet_failed(error);
        if is_away && cleaned.is_empty() {
            return Err(error);
        }
        cleaned.fault(name, namespace, error.message());
        if is_away {
            return Ok(targets.len() - before - 1);
        }
    }
    Ok(targets.len().saturating_sub(TARGETS_MAX))
}

/// Doors first, so that nobody is led to what is going; what cannot be had again last.
fn turn(kind: BelongingKind) -> u8 {
    match kind {
        BelongingKind::Ingress => 0,
        BelongingKind::Service => 1,
        BelongingKind::NetworkPolicy => 2,
        BelongingKind::Secret => 3,
        BelongingKind::Volume => 4,
    }
}

/// Which orphans shall go; without a word about it, all but volumes.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    namespaces: Option<Vec<String>>,
    /// Name and namespace; with any named, nothing else goes.
    deployments: Option<Vec<(String, String)>>,
    /// Volumes too: what is in them is gone for good.
    volumes: bool,
}

impl Wish {
    fn read(body: &Value) -> std::result::Result<Self, ApiError> {
        let mut fields = Fields::of(body)?;
        confirmed(&mut fields);
        let namespaces = fields.optional_list("namespaces", "Namespaces");
        if namespaces.as_ref().is_some_and(|list| list.len() > TARGETS_MAX) {
            fields.fault("namespaces", format!("At most {TARGETS_MAX} namespaces can be named"));
        }
        let deployments = match body.get("deployments") {
            None | Some(Value::Null) => None,
            Some(Value::Array(list)) if list.len() <= TARGETS_MAX => {
                let named: Option<Vec<_>> = list.iter().map(named).collect();
                if named.is_none() {
                    fields.fault("deployments", "Each deployment must have a deploymentName and a namespace");
                }
                named
            }
            Some(_) => {
                fields.fault("deployments", format!("Deployments must be a list of at most {TARGETS_MAX}"));
                None
            }
        };
        let volumes = fields.optional_flag("volumes", "Volumes") == Some(true);
        fields.finish(Unknown::Ignored)?;
        Ok(Self { namespaces, deployments, volumes })
    }

    fn is_in(&self, namespace: &str) -> bool {
        self.namespaces.as_ref().is_none_or(|list| list.iter().any(|one| one == namespace))
    }

    fn wants(&self, workload: &WorkloadSeen) -> bool {
        let is_named = |list: &Vec<(String, String)>| {
            list.iter().any(|(name, namespace)| *name == workload.name && *namespace == workload.namespace)
        };
        self.is_in(&workload.namespace) && self.deployments.as_ref().is_none_or(is_named)
    }

    fn wants_object(&self, one: &Belonging) -> bool {
        self.is_in(&one.namespace) && (self.volumes || one.kind != BelongingKind::Volume)
    }
}

fn named(value: &Value) -> Option<(String, String)> {
    let text = |name: &str| value[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    Some((text("deploymentName")?, text("namespace")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_goes_without_a_confirmation_or_by_a_wish_that_cannot_be_read() {
        for bad in [
            json!({}),
            json!({"confirm": false}),
            json!({"confirm": "perhaps"}),
            json!({"confirm": true, "namespaces": "customer-a"}),
            json!({"confirm": true, "namespaces": vec!["a"; 101]}),
            json!({"confirm": true, "volumes": "perhaps"}),
            json!({"confirm": true, "deployments": {}}),
            json!({"confirm": true, "deployments": [{"deploymentName": "a"}]}),
            json!({"confirm": true, "deployments": vec![json!({}); 101]}),
        ] {
            assert!(Wish::read(&bad).is_err(), "{bad}");
        }
        let all = Wish::read(&json!({"confirm": true})).expect("reads");
        assert_eq!(all, Wish { namespaces: None, deployments: None, volumes: false }, "no volumes without a word");
    }
}
