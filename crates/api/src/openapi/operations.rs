//! Every operation, by resource; a test compares them with the routes.

pub mod accounts;
pub mod admin_writes;
pub mod catalogue;
pub mod money;
pub mod people;
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
        ("Billing", "Wallet, top-ups, history and invoices", money::operations()),
        ("Keeping", "What administrators do to subscriptions and balances", admin_writes::operations()),
        ("System", "Probes, metrics and this document", system::operations()),
    ]
}
