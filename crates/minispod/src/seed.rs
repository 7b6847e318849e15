//! The first catalogue and the first administrator, written as ordinary commands whose keys make repeats harmless.

use std::collections::BTreeMap;

use minispod_auth::Passwords;
use minispod_domain::{AnyCommand, CommandRequest, PlanCommand, UserCommand};
use minispod_events::{Capacity, PlanDetails, Role, SignUpMethod};
use minispod_kernel::{Actor, Rupiah, Sensitive, ids::derived_id};
use minispod_runtime::{Cause, Dispatcher};
use minispod_store::{CommandContext, CommandError, CommandKey, Store, VaultWrite};
use serde::Deserialize;

const CATALOGUE: &str = include_str!("../seed/catalogue.toml");

/// Why seeding stopped.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    #[error("the catalogue to start with is not valid")]
    Catalogue {
        #[source]
        source: toml::de::Error,
    },
    #[error("the offering {0} of the catalogue to start with is not known to the provisioner")]
    UnknownOffering(String),
    #[error("{what} was refused")]
    Command {
        what: String,
        #[source]
        source: CommandError,
    },
    #[error("the password could not be hashed")]
    Hash {
        #[source]
        source: minispod_auth::PasswordError,
    },
    #[error("an account with this e-mail address exists already")]
    EmailTaken,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalogue {
    plan: Vec<SeedPlan>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedPlan {
    offering: String,
    variant: String,
    variant_display_name: String,
    display_name: String,
    description: String,
    monthly_price: i64,
    capacity: i64,
    /// Request and limit.
    cpu: [String; 2],
    memory: [String; 2],
    volume_size: Option<String>,
    category: String,
    tags: Vec<String>,
    features: Vec<String>,
    sort_order: u16,
    default: bool,
}

/// What the provisioner knows about an offering that its plans repeat.
pub struct OfferingFacts {
    pub image: String,
    pub port: u16,
    pub mount_path: Option<String>,
    pub version: String,
    pub storage_class: String,
}

/// Publishes the plans that are not there yet; returns how many there are.
pub async fn catalogue(
    dispatcher: &Dispatcher,
    offering: impl Fn(&str) -> Option<OfferingFacts>,
) -> Result<usize, SeedError> {
    let catalogue: Catalogue = toml::from_str(CATALOGUE).map_err(|source| SeedError::Catalogue { source })?;
    let count = catalogue.plan.len();
    for plan in catalogue.plan {
        let facts = offering(&plan.offering).ok_or_else(|| SeedError::UnknownOffering(plan.offering.clone()))?;
        let id = derived_id(&["plan", &plan.offering, &plan.variant]);
        let request = CommandRequest {
            key: format!("seed.plan.{}.{}", plan.offering, plan.variant),
            aggregate_id: id,
            command: AnyCommand::Plan(PlanCommand::Publish {
                monthly_price: Rupiah::new(plan.monthly_price),
                capacity: Capacity(plan.capacity),
                details: details(plan, facts),
            }),
            on_refusal: None,
        };
        let what = request.key.clone();
        match dispatcher.dispatch(request, &cause("seed")).await {
            Ok(_) => {}
            // An administrator made it something else, deleted it, or sells the variant under another id.
            Err(CommandError::Refused(refused))
                if ["plan-already-published", "claim-taken"].contains(&refused.code.as_str()) => {}
            Err(source) => return Err(SeedError::Command { what, source }),
        }
    }
    Ok(count)
}

fn details(plan: SeedPlan, facts: OfferingFacts) -> PlanDetails {
    let [cpu_request, cpu_limit] = plan.cpu;
    let [mem_request, mem_limit] = plan.memory;
    PlanDetails {
        icon: format!("{}-icon.svg", plan.offering),
        volume_name: plan.volume_size.as_ref().map(|_| format!("{}-data", plan.offering)),
        volume_mount_path: plan.volume_size.as_ref().and(facts.mount_path),
        offering: plan.offering,
        variant: plan.variant,
        variant_display_name: plan.variant_display_name,
        display_name: plan.display_name,
        description: plan.description,
        version: facts.version,
        cpu_request,
        cpu_limit,
        mem_request,
        mem_limit,
        docker_image: facts.image,
        container_port: facts.port,
        environment: BTreeMap::new(),
        category: plan.category,
        tags: plan.tags,
        features: plan.features,
        sort_order: plan.sort_order,
        is_default_variant: plan.default,
        volume_size: plan.volume_size,
        storage_class: facts.storage_class,
        access_mode: "ReadWriteOnce".into(),
        yearly_discount_percent: 0,
    }
}

/// A person to be made an account for.
pub struct NewAccount {
    pub name: String,
    pub email: String,
    pub password: String,
    pub role: Role,
}

/// Registers an account from the command line; the operator vouches for it. Returns the user id.
pub async fn account(
    store: &Store,
    dispatcher: &Dispatcher,
    hasher: &Passwords,
    account: NewAccount,
) -> Result<String, SeedError> {
    let hash = hasher.hash(account.password).await.map_err(|source| SeedError::Hash { source })?;
    let id = store.ids().next_id();
    let cause = cause("operator");
    let context = CommandContext {
        key: CommandKey::Derived(format!("operator.register.{id}")),
        actor: cause.actor.clone(),
        correlation_id: id.clone(),
        causation_id: None,
        traceparent: None,
        reason: None,
        expected_version: None,
        vault: vec![VaultWrite::Put { owner: format!("user/{id}"), name: "password".into(), value: hash.into_bytes() }],
    };
    let command = AnyCommand::User(UserCommand::Register {
        name: Sensitive::Open(account.name),
        email_claim: store.email_claim(&account.email),
        email: Sensitive::Open(account.email.trim().to_lowercase()),
        role: account.role,
        method: SignUpMethod::Operator,
    });
    let registered = dispatcher.dispatch_as(&id, command, context).await.map_err(|source| match source {
        CommandError::ClaimTaken { .. } => SeedError::EmailTaken,
        source => SeedError::Command { what: "the account".into(), source },
    })?;
    dispatcher
        .drive(registered, &cause)
        .await
        .map_err(|source| SeedError::Command { what: "the account's first steps".into(), source })?;
    Ok(id)
}

fn cause(name: &str) -> Cause {
    Cause { actor: Actor::system(name), correlation_id: name.to_owned(), causation_id: None, traceparent: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_to_start_with_reads_and_has_one_default_per_offering() {
        let catalogue: Catalogue = toml::from_str(CATALOGUE).expect("reads");
        for offering in ["n8n", "ghost", "wordpress", "postgresql", "redis", "vaultwarden"] {
            let defaults = catalogue.plan.iter().filter(|plan| plan.offering == offering && plan.default).count();
            assert_eq!(defaults, 1, "{offering}");
        }
    }
}
