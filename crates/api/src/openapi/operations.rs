//! Every operation, by resource; a test compares them with the routes.

pub mod accounts;
pub mod admin_billing;
pub mod admin_subscriptions;
pub mod catalogue;
pub mod money;
pub mod people;
pub mod plan_changes;
pub mod subscriptions;
pub mod system;

use super::operation::Operation;

/// Tag, what it is about, its operations.
pub type Group = (&'static str, &'static str, Vec<Operation>);

/// All groups in the order of the document.
pub fn all() -> Vec<Group> {
    vec![
        ("Accounts", "Sign-up, sign-in and one's own account", accounts::operations()),
        ("Services", "The catalogue", catalogue::operations()),
        ("Users", "Everybody's accounts", people::operations()),
        ("Subscriptions", "What a customer runs", subscriptions::operations()),
        ("Plan changes", "Moving a subscription to another plan", plan_changes::operations()),
        ("Subscriptions of all", "What everybody runs", admin_subscriptions::operations()),
        ("Billing", "Wallet, top-ups, history and invoices", money::operations()),
        ("Billing of all", "Everybody's money", admin_billing::operations()),
        ("System", "Probes, metrics and this document", system::operations()),
    ]
}
