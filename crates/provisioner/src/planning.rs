//! The plan of one instance with its credentials: what the reactor applies and what the drift watch compares with.

use minispod_domain::ports::{PortError, Secrets};
use minispod_events::InstanceSpec;
use minispod_kernel::IdSource;

use crate::{
    credentials,
    options::PlanOptions,
    plan::{self, Plan, PlanError, Wish},
};

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanningError {
    /// Never passes by itself.
    #[error("the plan cannot be made")]
    Plan(#[from] PlanError),
    /// Passes.
    #[error("the vault did not answer")]
    Vault(#[from] PortError),
}

/// Draws the credentials that are not there yet.
pub(crate) async fn plan(
    secrets: &dyn Secrets,
    ids: &dyn IdSource,
    options: &PlanOptions,
    spec: &InstanceSpec,
    wish: Wish,
) -> Result<Plan, PlanningError> {
    let offering = plan::offering_of(spec, options)?;
    let credentials = credentials::find_or_generate(secrets, ids, &spec.instance_id, &offering.secrets).await?;
    let overrides = credentials::find_overrides(secrets, &spec.instance_id, &spec.overrides).await?;
    Ok(plan::plan(spec, wish, options, &credentials.with_overrides(overrides))?)
}
