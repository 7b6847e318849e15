//! Everybody's subscriptions, for administrators.

use actix_web::web::ServiceConfig;

/// Paths under `/admin/subscriptions`. Fixed segments stand before `{id}`.
pub fn configure(_app: &mut ServiceConfig) {}
