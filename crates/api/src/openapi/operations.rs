//! Every operation, by resource; a test compares them with the routes.

pub mod accounts;
pub mod admin_billing;
pub mod admin_desk;
pub mod admin_subscriptions;
pub mod admin_writes;
pub mod audit;
pub mod catalogue;
pub mod coupons;
pub mod custom_domains;
pub mod differences;
pub mod money;
pub mod people;
pub mod plan_changes;
pub mod pods;
pub mod reports;
pub mod subscriptions;
pub mod system;
pub mod workers;

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
        ("Logs", "What a service prints", subscriptions::logs()),
        ("Domains", "Hosts of one's own for a service", custom_domains::operations()),
        ("Domains of all", "Whose a brought host is", custom_domains::of_all()),
        ("Plan changes", "Moving a subscription to another plan", plan_changes::operations()),
        ("Subscriptions of all", "What everybody runs", admin_subscriptions::operations()),
        ("Pods", "Everybody's instances", pods::operations()),
        ("Logs of all", "What instances print and what happens to them", pods::sights()),
        ("Differences", "Where what is sold and what runs are not the same", differences::operations()),
        ("Workers", "The cluster's nodes", workers::operations()),
        ("Joining", "Nodes that join by themselves", workers::of_machines()),
        ("Billing", "Wallet, top-ups, history and invoices", money::operations()),
        ("Bank transfers", "Top-ups with a proof instead of a gateway", admin_desk::of_customers()),
        ("Coupons", "Codes for promotional money or a cheaper first period", coupons::of_customers()),
        ("Coupons of all", "What codes there are, and what was made of them", coupons::operations()),
        ("Billing of all", "Everybody's money", admin_billing::operations()),
        ("Refund desk", "What a person must look at, and what goes back", admin_desk::operations()),
        ("Books", "Statements and reports out of the double-entry books", reports::operations()),
        ("Keeping", "What administrators do to subscriptions and balances", admin_writes::operations()),
        ("Audit", "Who asked for what is somebody else's", audit::operations()),
        ("System", "Probes, metrics and this document", system::operations()),
    ]
}
