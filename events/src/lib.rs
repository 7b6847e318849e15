//! What has happened: one enum per aggregate, their sum, and nothing that behaves.

mod contract;
pub mod coupon;
pub mod custom_domains;
pub mod difference;
pub mod fact;
pub mod identity;
pub mod instance;
pub mod invoice;
pub mod mail;
pub mod manual_topup;
pub mod node;
pub mod plan;
pub mod subscription;
pub mod topup;
pub mod upcast;
pub mod wallet;

pub use coupon::{
    CouponEvent, CouponKind, CouponLimits, CouponPurpose, CouponScope, CouponStatus, CouponUse, CouponUseEvent,
    CouponWindow, Discount, WelcomeEvent,
};
pub use custom_domains::CustomDomainsEvent;
pub use difference::{DifferenceEvent, DifferenceKind};
pub use fact::{DecodeError, Event, Fact, subject_name};
pub use identity::{AdminRosterEvent, ApiScope, Role, SessionEvent, SignUpMethod, UserEvent};
pub use instance::{DriftFinding, InstanceEvent, InstanceSpec};
pub use invoice::{InvoiceBookEvent, InvoiceEvent, InvoiceKind, InvoiceLine, IssuedTerms, SellerSnapshot, TaxSnapshot};
pub use mail::{MailEvent, MailTemplate};
pub use manual_topup::{ManualTopUpEvent, Proof};
pub use node::{JoinTokenEvent, NodeEvent, NodeFacts, NodeTaint};
pub use plan::{Capacity, PlanDetails, PlanEvent};
pub use subscription::{
    BillingCycle, CancelReason, CouponAsked, ExpiryCause, Period, PlanChangeDirection, PlanSnapshot, ProrationFigures,
    SubscriptionEvent,
};
pub use topup::{RefundMethod, TopUpEvent};
pub use wallet::{Account, EntryCause, WalletEvent};
