//! Any command of any aggregate, and a command on its way to one.

use serde::{Deserialize, Serialize};

use crate::{
    AdminRosterCommand, CouponCommand, CouponUseCommand, CustomDomainsCommand, DifferenceCommand, InstanceCommand,
    InvoiceBookCommand, InvoiceCommand, JoinTokenCommand, MailCommand, ManualTopUpCommand, NodeCommand, PlanCommand,
    RefundCommand, SessionCommand, SubscriptionCommand, TopUpCommand, UserCommand, WalletCommand, WelcomeCommand,
    coupon::uses::uses_id, invoice::InvoiceTerms,
};
use minispod_events::{CancelReason, CouponUse, EntryCause};
use minispod_kernel::{Rupiah, ids::derived_id};

/// Any command. Serialises for the effects ledger and timers; commands that carry open personal data refuse to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "aggregate", content = "command", rename_all = "snake_case")]
pub enum AnyCommand {
    User(UserCommand),
    AdminRoster(AdminRosterCommand),
    Session(SessionCommand),
    Plan(PlanCommand),
    Wallet(WalletCommand),
    #[serde(rename = "topup")]
    TopUp(TopUpCommand),
    Invoice(InvoiceCommand),
    InvoiceBook(InvoiceBookCommand),
    Subscription(SubscriptionCommand),
    Instance(InstanceCommand),
    Mail(MailCommand),
    #[serde(rename = "manual_topup")]
    ManualTopUp(ManualTopUpCommand),
    Coupon(CouponCommand),
    #[serde(rename = "coupon_use")]
    CouponUses(CouponUseCommand),
    Welcome(WelcomeCommand),
    Node(NodeCommand),
    #[serde(rename = "join_token")]
    JoinToken(JoinTokenCommand),
    #[serde(rename = "custom_domains")]
    CustomDomains(CustomDomainsCommand),
    Difference(DifferenceCommand),
}

impl AnyCommand {
    /// The aggregate type it is for: the `aggregate_type` column.
    pub const fn aggregate_type(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::AdminRoster(_) => "admin_roster",
            Self::Session(_) => "session",
            Self::Plan(_) => "plan",
            Self::Wallet(_) => "wallet",
            Self::TopUp(_) => "topup",
            Self::Invoice(_) => "invoice",
            Self::InvoiceBook(_) => "invoice_book",
            Self::Subscription(_) => "subscription",
            Self::Instance(_) => "instance",
            Self::Mail(_) => "mail",
            Self::ManualTopUp(_) => "manual_topup",
            Self::Coupon(_) => "coupon",
            Self::CouponUses(_) => "coupon_use",
            Self::Welcome(_) => "welcome",
            Self::Node(_) => "node",
            Self::JoinToken(_) => "join_token",
            Self::CustomDomains(_) => "custom_domains",
            Self::Difference(_) => "difference",
        }
    }
}

/// A command that follows from an event, a timer or an effect, addressed and keyed so that repeating it is harmless.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandRequest {
    /// Idempotency key: derived from what caused it, never random.
    pub key: String,
    pub aggregate_id: String,
    pub command: AnyCommand,
    /// What to send when a rule says no, so that no process hangs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_refusal: Option<OnRefusal>,
}

/// What an installation decides and facts must keep; out of its configuration, so policies do not know it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Settings {
    /// For documents; `None`: they keep nothing.
    pub invoice: Option<InvoiceTerms>,
}

impl CommandRequest {
    /// The command as this installation gives it.
    pub fn under(mut self, settings: &Settings) -> Self {
        if let AnyCommand::Invoice(InvoiceCommand::Issue { terms, .. }) = &mut self.command {
            terms.clone_from(&settings.invoice);
        }
        self
    }
}

/// How a refusal is fed back to its process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "feed_back", rename_all = "snake_case")]
pub enum OnRefusal {
    /// A first step failed: the subscription is rejected and compensates.
    RejectSubscription { subscription_id: String },
    /// The renewal's charge failed.
    FailRenewal { subscription_id: String, period: u32 },
    /// No slot to run again in.
    FailResume { subscription_id: String },
    /// The subscription was over before its slot came: the slot goes back.
    ReleaseSlot { plan_id: String, subscription_id: String },
    /// The subscription was over before its charge came: the money goes back.
    RefundCharge { user_id: String, subscription_id: String, period: u32, amount: Rupiah },
    /// A step of a change of plan was refused: it is taken back.
    FailPlanChange { subscription_id: String, change: u32 },
    /// The change of plan was over before its charge came: the money goes back.
    RefundPlanCharge { user_id: String, subscription_id: String, change: u32, amount: Rupiah },
    /// The subscription was over before its instance was ready: it must not run.
    StopInstance { instance_id: String },
    /// The answer may be older than one that is applied already: the gateway is asked again.
    AskGatewayAgain { topup_id: String, order_id: String },
    /// The wallet does not hold the refund's money.
    FailRefund { topup_id: String, refund_key: String },
    /// The customer has no use of this coupon left: the one it kept is free again.
    ReleaseCoupon { coupon_id: String, used: CouponUse },
    /// The sale was over before its discount came: the customer has the use again.
    ReturnCouponUse { coupon_id: String, user_id: String, use_id: String },
    /// Another instance answers to the host: it is not waited for any more.
    RejectDomain { instance_id: String, host: String, challenge: String },
}

impl OnRefusal {
    /// The command that tells the process; `code` is the refusal's, `key` the refused command's key.
    pub fn to_request(&self, key: &str, code: &str) -> CommandRequest {
        let (aggregate_id, command) = match self {
            Self::RejectSubscription { subscription_id } => {
                let reason = match code {
                    "plan-sold-out" => CancelReason::SoldOut,
                    "wallet-insufficient-balance" => CancelReason::InsufficientBalance,
                    other => CancelReason::Refused { code: other.to_owned() },
                };
                (subscription_id.clone(), AnyCommand::Subscription(SubscriptionCommand::Reject { reason }))
            }
            Self::FailRenewal { subscription_id, period } => (
                subscription_id.clone(),
                AnyCommand::Subscription(SubscriptionCommand::FailRenewal { period: *period, code: code.to_owned() }),
            ),
            Self::FailResume { subscription_id } => (
                subscription_id.clone(),
                AnyCommand::Subscription(SubscriptionCommand::FailResume { code: code.to_owned() }),
            ),
            Self::ReleaseSlot { plan_id, subscription_id } => {
                let subscription_id = subscription_id.clone();
                (plan_id.clone(), AnyCommand::Plan(PlanCommand::ReleaseSlot { subscription_id }))
            }
            Self::RefundCharge { user_id, subscription_id, period, amount } => {
                let cause =
                    EntryCause::SubscriptionPeriodRefund { subscription_id: subscription_id.clone(), period: *period };
                (user_id.clone(), AnyCommand::Wallet(WalletCommand::Refund { amount: *amount, cause }))
            }
            Self::FailPlanChange { subscription_id, change } => {
                let fail = SubscriptionCommand::FailPlanChange { change: *change, code: code.to_owned() };
                (subscription_id.clone(), AnyCommand::Subscription(fail))
            }
            Self::RefundPlanCharge { user_id, subscription_id, change, amount } => {
                let cause = EntryCause::PlanChangeRefund { subscription_id: subscription_id.clone(), change: *change };
                (user_id.clone(), AnyCommand::Wallet(WalletCommand::Refund { amount: *amount, cause }))
            }
            Self::AskGatewayAgain { topup_id, order_id } => {
                // Not a notification in the inbox: the refused command's key stands for its place there.
                let inbox_id = derived_id(&["asked-again", key]);
                let ask = TopUpCommand::RecordNotification { order_id: order_id.clone(), inbox_id };
                (topup_id.clone(), AnyCommand::TopUp(ask))
            }
            Self::FailRefund { topup_id, refund_key } => {
                let fail = RefundCommand::Fail { refund_key: refund_key.clone(), reason: code.to_owned() };
                (topup_id.clone(), AnyCommand::TopUp(TopUpCommand::Desk(fail)))
            }
            Self::RejectDomain { instance_id, host, challenge } => {
                let (host, challenge, reason) = (host.clone(), challenge.clone(), code.to_owned());
                let reject = CustomDomainsCommand::Reject { host, challenge, reason };
                (instance_id.clone(), AnyCommand::CustomDomains(reject))
            }
            Self::ReleaseCoupon { coupon_id, used } => {
                let release = CouponCommand::Release { used: used.clone(), refused: Some(code.to_owned()) };
                (coupon_id.clone(), AnyCommand::Coupon(release))
            }
            Self::ReturnCouponUse { coupon_id, user_id, use_id } => {
                let give_back = CouponUseCommand::Return { coupon_id: coupon_id.clone(), use_id: use_id.clone() };
                (uses_id(coupon_id, user_id), AnyCommand::CouponUses(give_back))
            }
            Self::StopInstance { instance_id } => (instance_id.clone(), AnyCommand::Instance(InstanceCommand::Stop)),
        };
        CommandRequest { key: format!("{key}.refused"), aggregate_id, command, on_refusal: None }
    }
}
