//! Whether the cluster has room for what is asked for: what its nodes gave when last measured, and what is sold of it.

use std::time::Duration;

use minispod_domain::{Amounts, Capacity, quantity::QuantityError};
use minispod_projections::{ProjectionError, catalogue::PlanRow, subscriptions};
use sqlx::PgPool;

use crate::{error::ApiError, ports::Offerings, refusals::read_failed, state::AppState};

/// A measurement is believed for so long; it is made twice a minute.
const BELIEVED: Duration = Duration::from_mins(10);

/// The cluster's room, when it is known and counts. The answer is a courtesy: two who ask at once may both be told that
/// there is room, and what the cluster then does not take is given back with its money.
pub async fn capacity(state: &AppState) -> Result<Option<Capacity>, ApiError> {
    let percent = state.config.sell_percent;
    if percent == 0 {
        return Ok(None);
    }
    let measured = state.store.telemetry().room().await.map_err(read_failed)?;
    let Some(measured) = measured.filter(|room| room.at.plus(BELIEVED) >= state.clock.now()) else { return Ok(None) };
    let whole = |amount: i64| u64::try_from(amount).unwrap_or_default();
    let room = Amounts { cpu_millis: whole(measured.cpu_millis), memory_bytes: whole(measured.memory_bytes) };
    let sold = sold(state.pool(), state.offerings.as_ref()).await?;
    Ok(Some(Capacity { room, sold, percent }))
}

/// Why it is not known what is sold.
#[derive(Debug, thiserror::Error)]
pub enum SoldError {
    #[error("what is sold cannot be read")]
    Read(#[source] ProjectionError),
    #[error("what {offering} requests is no amount")]
    Quantity {
        offering: String,
        #[source]
        source: QuantityError,
    },
}

impl From<SoldError> for ApiError {
    fn from(error: SoldError) -> Self {
        match error {
            SoldError::Read(source) => read_failed(source),
            SoldError::Quantity { .. } => Self::internal(error),
        }
    }
}

/// What everything requests that is sold and to run, each with its own database where `offerings` say that it has one.
pub async fn sold(pool: &PgPool, offerings: &dyn Offerings) -> Result<Amounts, SoldError> {
    let mut sum = Amounts::default();
    for row in subscriptions::sold(pool).await.map_err(SoldError::Read)? {
        let one = requests(offerings, &row.offering, &row.cpu_request, &row.mem_request)
            .map_err(|source| SoldError::Quantity { offering: row.offering.clone(), source })?;
        sum = sum.plus(one.times(row.count.unsigned_abs()));
    }
    Ok(sum)
}

/// What one instance requests, with its own database: `cpu` and `memory` are the program's, in the cluster's quantities.
pub fn requests(offerings: &dyn Offerings, offering: &str, cpu: &str, memory: &str) -> Result<Amounts, QuantityError> {
    let program = Amounts::parse(cpu, memory)?;
    match offerings.beside(offering) {
        Some([cpu, memory]) => Ok(program.plus(Amounts::parse(&cpu, &memory)?)),
        None => Ok(program),
    }
}

/// Whether another instance of `plan` may be sold.
pub async fn fits(state: &AppState, plan: &PlanRow) -> Result<bool, ApiError> {
    let Some(capacity) = capacity(state).await? else { return Ok(true) };
    let of = &plan.details;
    let wish = requests(state.offerings.as_ref(), &of.offering, &of.cpu_request, &of.mem_request)
        .map_err(ApiError::internal)?;
    Ok(capacity.fits(wish))
}

/// Whether an instance of the plan with these requests may have those of `plan` instead.
pub async fn fits_instead(state: &AppState, plan: &PlanRow, cpu: &str, memory: &str) -> Result<bool, ApiError> {
    let Some(capacity) = capacity(state).await? else { return Ok(true) };
    let of = &plan.details;
    let now = Amounts::parse(cpu, memory).map_err(ApiError::internal)?;
    let then = Amounts::parse(&of.cpu_request, &of.mem_request).map_err(ApiError::internal)?;
    Ok(capacity.fits(then.beyond(now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct BlogsHaveDatabases;

    impl Offerings for BlogsHaveDatabases {
        fn overrides(&self, _: &str) -> Vec<String> {
            Vec::new()
        }
        fn beside(&self, offering: &str) -> Option<[String; 2]> {
            (offering == "blog").then(|| ["0.25".to_owned(), "256Mi".to_owned()])
        }
        fn speaks_http(&self, _: &str) -> bool {
            true
        }
    }

    #[test]
    fn an_instance_requests_what_its_own_database_does_too() {
        let of = |offering, cpu| requests(&BlogsHaveDatabases, offering, cpu, "512Mi").ok();
        assert_eq!(of("n8n", "0.25"), Some(Amounts { cpu_millis: 250, memory_bytes: 512 << 20 }));
        assert_eq!(of("blog", "0.25"), Some(Amounts { cpu_millis: 500, memory_bytes: 768 << 20 }));
        assert_eq!(of("n8n", "much"), None);
    }
}
