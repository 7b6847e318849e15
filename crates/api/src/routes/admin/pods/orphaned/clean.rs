//! `DELETE /admin/pods/orphaned`: deletes workloads that belong to no instance; each is looked at again first.

use actix_web::web;
use minispod_auth::Action;
use minispod_domain::ports::fleet::WorkloadSeen;
use serde_json::{Value, json};

use super::{Cleaned, confirmed, orphans_of};
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
    let workloads = fleet.workloads().await.map_err(fleet_failed)?;
    let orphans = orphans_of(&state, &workloads).await?;
    let mut cleaned = Cleaned::default();
    for (name, namespace) in wish.deployments.iter().flatten() {
        if !orphans.iter().any(|one| one.name == *name && one.namespace == *namespace) {
            let is_there = workloads.iter().any(|one| one.name == *name && one.namespace == *namespace);
            let why = if is_there { "It belongs to an instance" } else { "There is no such workload" };
            cleaned.fault(name, namespace, why);
        }
    }
    let wanted: Vec<&WorkloadSeen> = orphans.iter().filter(|one| wish.wants(one)).collect();
    for workload in wanted.iter().take(TARGETS_MAX) {
        if let Err(error) = cleaned.take(fleet, &caller, workload).await {
            cleaned.fault(&workload.name, &workload.namespace, error.message());
        }
    }
    let data = json!({
        "cleanupResults": cleaned.results(),
        "summary": cleaned.summary(),
        "remaining": wanted.len().saturating_sub(TARGETS_MAX),
        "simulated": fleet.is_simulated(),
    });
    Ok(Answer::ok("Orphaned pods cleaned up", data))
}

/// Which orphans shall go; without a word about it, all.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    namespaces: Option<Vec<String>>,
    /// Name and namespace.
    deployments: Option<Vec<(String, String)>>,
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
        fields.finish(Unknown::Ignored)?;
        Ok(Self { namespaces, deployments })
    }

    fn wants(&self, workload: &WorkloadSeen) -> bool {
        let in_namespace = self.namespaces.as_ref().is_none_or(|list| list.contains(&workload.namespace));
        let is_named = |list: &Vec<(String, String)>| {
            list.iter().any(|(name, namespace)| *name == workload.name && *namespace == workload.namespace)
        };
        in_namespace && self.deployments.as_ref().is_none_or(is_named)
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
            json!({"confirm": true, "deployments": {}}),
            json!({"confirm": true, "deployments": [{"deploymentName": "a"}]}),
            json!({"confirm": true, "deployments": vec![json!({}); 101]}),
        ] {
            assert!(Wish::read(&bad).is_err(), "{bad}");
        }
        let all = Wish::read(&json!({"confirm": true})).expect("reads");
        assert_eq!(all, Wish { namespaces: None, deployments: None });
    }
}
