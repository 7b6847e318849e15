//! The only room with business rules: aggregates that decide, policies that react, ports to the world.

// Tests that run here over the memory bus and in the runtime over the real store name this room by its name.
#[cfg(test)]
extern crate self as minispod_domain;

pub mod admin_roster;
pub mod audit;
pub mod bridge;
#[cfg(test)]
pub mod bus_contract;
pub mod capacity;
pub mod command;
mod consequences;
pub mod coupon;
pub mod custom_domains;
pub mod difference;
pub mod image;
pub mod instance;
pub mod invoice;
pub mod invoice_book;
pub mod join_token;
pub mod mail;
pub mod manual_topup;
#[cfg(test)]
pub mod memory_bus;
pub mod node;
pub mod plan;
pub mod plan_change;
pub mod policies;
pub mod ports;
pub mod promises;
#[cfg(test)]
mod properties;
pub mod proration;
pub mod quantity;
#[cfg(test)]
mod rehearsals;
pub mod session;
#[cfg(test)]
pub mod simulation;
#[cfg(test)]
mod story;
pub mod subscription;
pub mod tax;
pub mod topup;
pub mod user;
#[cfg(test)]
mod walks;
pub mod wallet;
pub mod whatif;

pub use admin_roster::{AdminRoster, AdminRosterCommand, AdminRosterRefusal};
pub use capacity::{Amounts, Capacity};
pub use command::{AnyCommand, CommandRequest, OnRefusal, Settings};
pub use consequences::consequences_of;
pub use coupon::{
    Coupon, CouponCommand, CouponRefusal, CouponRevision,
    uses::{CouponUseCommand, CouponUseRefusal, CouponUses},
    welcome::{Welcome, WelcomeCommand, WelcomeRefusal},
};
pub use custom_domains::{CustomDomains, CustomDomainsCommand, CustomDomainsRefusal};
pub use difference::{Difference, DifferenceCommand, DifferenceRefusal};
pub use instance::{Instance, InstanceCommand, InstanceRefusal};
pub use invoice::{Invoice, InvoiceCommand, InvoiceRefusal, InvoiceTerms};
pub use invoice_book::{InvoiceBook, InvoiceBookCommand, InvoiceBookRefusal};
pub use join_token::{JoinToken, JoinTokenCommand, JoinTokenRefusal};
pub use mail::{Mail, MailCommand, MailRefusal};
pub use manual_topup::{ManualTopUp, ManualTopUpCommand, ManualTopUpRefusal};
pub use node::{Node, NodeCommand, NodeRefusal};
pub use plan::{Plan, PlanCommand, PlanRefusal};
pub use plan_change::{Objection, Offer, PlanChange};
pub use proration::{Direction, Proration};
pub use session::{Session, SessionCommand, SessionRefusal};
pub use subscription::{Subscription, SubscriptionCommand, SubscriptionRefusal};
pub use topup::{
    GatewayRefund, GatewayStatus, NotificationSays, TopUp, TopUpCommand, TopUpRefusal, refunds::RefundCommand,
};
pub use user::{AccessCommand, SecondFactor, User, UserCommand, UserRefusal};
pub use wallet::{Wallet, WalletCommand, WalletRefusal};
