//! One file per endpoint, and where each is found.

pub mod admin;
pub mod auth;
pub mod balance;
pub mod coupons;
pub mod dashboard;
pub mod health;
pub mod invoices;
pub mod manual_topups;
pub mod metrics;
pub mod openapi;
pub mod plan_changes;
pub mod services;
pub mod statement;
pub mod status;
pub mod subscriptions;
pub mod topups;
pub mod transactions;
pub mod webhooks;
pub mod workers;

use actix_web::web::{ServiceConfig, get, resource, scope};

/// Every path; what stands under `/api/v1` is listed by its resource.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/health").route(get().to(health::live::handle)))
        .service(resource("/health/ready").route(get().to(health::ready::handle)))
        .service(resource("/metrics").route(get().to(metrics::read::handle)))
        .configure(openapi::page)
        .service(
            scope("/api/v1")
                .service(resource("/status").route(get().to(status::read::handle)))
                .configure(openapi::configure)
                .configure(auth::configure)
                .configure(services::configure)
                .configure(admin::users::configure)
                .configure(admin::audit::configure)
                .configure(admin::subscriptions::configure)
                .configure(admin::billing::configure)
                .service(resource("/billing/health").route(get().to(health::billing::handle)))
                .configure(admin::pods::configure)
                .configure(admin::domains::configure)
                .configure(admin::differences::configure)
                .configure(admin::workers::configure)
                .configure(workers::configure)
                .configure(balance::configure)
                .configure(coupons::configure)
                .configure(admin::coupons::configure)
                .configure(dashboard::configure)
                .configure(topups::configure)
                .configure(manual_topups::configure)
                .configure(transactions::configure)
                .configure(invoices::configure)
                .configure(statement::configure)
                .configure(webhooks::configure)
                .configure(plan_changes::configure)
                .configure(subscriptions::configure),
        );
}
