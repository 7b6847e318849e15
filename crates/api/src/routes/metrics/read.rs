//! `GET /metrics`: Prometheus text of everything this process counts, for those who know the token.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use actix_web::{HttpRequest, HttpResponse, web};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use crate::{caller::bearer, error::ApiError, state::AppState};

/// How old the number of accounts may be: scrapes come often, and one may not ask the database each time.
const COUNT_FRESHNESS: Duration = Duration::from_secs(30);
/// Longest wait for that number; the old one stays.
const COUNT_DEADLINE: Duration = Duration::from_secs(1);

pub async fn handle(state: web::Data<AppState>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    match &state.config.metrics_token {
        Some(token) => {
            let given = bearer(&request)?;
            // Digests are compared, so that the time it takes says nothing of the token.
            if Sha256::digest(given.as_bytes()) != Sha256::digest(token.as_bytes()) {
                return Err(ApiError::unauthenticated("Invalid token"));
            }
        }
        // The port is the customers' too: without a token nothing is there.
        None if state.config.is_production() => return Err(ApiError::no_endpoint()),
        None => {}
    }
    count_accounts(&state).await;
    let text = state.metrics.render();
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text))
}

/// When the accounts are counted again, in milliseconds since 1970.
#[derive(Debug, Default)]
pub struct NextCount(AtomicI64);

impl NextCount {
    /// Whether it is time; true for one asker only.
    fn is_due(&self, now: i64) -> bool {
        let due = self.0.load(Ordering::Relaxed);
        let next = now.saturating_add(COUNT_FRESHNESS.as_millis() as i64);
        // A time too far ahead was set before the clock went back.
        (now >= due || due > next) && self.0.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// Asked when scraped, so that no task counts while nobody looks.
async fn count_accounts(state: &AppState) {
    if !state.next_count.is_due(state.clock.now().unix_millis()) {
        return;
    }
    let counts = minispod_projections::users::counts(state.pool());
    if let Ok(Ok(counts)) = timeout(COUNT_DEADLINE, counts).await {
        metrics::gauge!("active_users_total").set(counts.active as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_asker_counts_once_in_half_a_minute_even_when_the_clock_goes_back() {
        let next = NextCount::default();
        assert!(next.is_due(1_000_000) && !next.is_due(1_000_000) && !next.is_due(1_029_999));
        assert!(next.is_due(1_030_000));
        assert!(next.is_due(5_000) && !next.is_due(5_001));
    }
}
