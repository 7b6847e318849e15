//! Everybody's money, for administrators.

use actix_web::web::ServiceConfig;

/// Paths under `/admin/billing`.
pub fn configure(_app: &mut ServiceConfig) {}
