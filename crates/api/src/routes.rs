//! One file per endpoint, and where each is found.

pub mod auth;
pub mod balance;
pub mod health;
pub mod invoices;
pub mod metrics;
pub mod services;
pub mod status;
pub mod subscriptions;
pub mod topups;
pub mod transactions;
pub mod webhooks;

use actix_web::web::{ServiceConfig, delete, get, post, put, resource, scope};

/// Every path. Fixed segments stand before `{id}`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/health").route(get().to(health::live::handle)))
        .service(resource("/health/ready").route(get().to(health::ready::handle)))
        .service(resource("/metrics").route(get().to(metrics::read::handle)))
        .service(
            scope("/api/v1")
                .service(resource("/status").route(get().to(status::read::handle)))
                .service(resource("/auth/register").route(post().to(auth::register::handle)))
                .service(resource("/auth/login").route(post().to(auth::login::handle)))
                .service(resource("/auth/me").route(get().to(auth::me::handle)))
                .service(resource("/services/grouped").route(get().to(services::grouped::handle)))
                .service(resource("/billing/balance").route(get().to(balance::read::handle)))
                .service(resource("/billing/topup").route(post().to(topups::create::handle)))
                .service(resource("/billing/topup/{id}").route(get().to(topups::read::handle)))
                .service(resource("/billing/transactions").route(get().to(transactions::list::handle)))
                .service(resource("/billing/transactions/{id}").route(get().to(transactions::read::handle)))
                .service(resource("/billing/transactions/{id}/pay").route(post().to(transactions::pay::handle)))
                .service(resource("/billing/invoices").route(get().to(invoices::list::handle)))
                .service(resource("/billing/invoices/{id}").route(get().to(invoices::read::handle)))
                .service(resource("/billing/invoices/{id}/pdf").route(get().to(invoices::pdf::handle)))
                .service(resource("/billing/webhooks/midtrans").route(post().to(webhooks::midtrans::handle)))
                .service(
                    resource("/subscriptions")
                        .route(get().to(subscriptions::list::handle))
                        .route(post().to(subscriptions::create::handle)),
                )
                .service(
                    resource("/subscriptions/{id}")
                        .route(get().to(subscriptions::read::handle))
                        .route(delete().to(subscriptions::cancel::handle)),
                )
                .service(resource("/subscriptions/{id}/renew").route(put().to(subscriptions::renew::handle))),
        );
}
