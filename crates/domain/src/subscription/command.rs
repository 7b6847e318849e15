//! What can be asked of a subscription, and the rules that say no.

use minispod_events::{BillingCycle, CancelReason, Discount, ExpiryCause, PlanSnapshot};
use minispod_kernel::Sensitive;
use serde::{Deserialize, Serialize};

use crate::bridge::refusals;

/// Requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum SubscriptionCommand {
    Request {
        user_id: String,
        instance_id: String,
        plan: PlanSnapshot,
        cycle: BillingCycle,
        subdomain: String,
        /// Names of the variables the customer set; the values ride beside the command into the vault.
        overrides: Vec<String>,
        auto_renew: bool,
        /// The first period shall cost less by this coupon.
        #[serde(default)]
        coupon_id: Option<String>,
    },
    /// The coupon may be used for it.
    ApplyDiscount {
        coupon_id: String,
        less: Discount,
    },
    /// A plan gave a slot. Absent: the plan that was sold.
    ConfirmSlot {
        #[serde(default)]
        plan_id: Option<String>,
    },
    /// The wallet paid period 1.
    ConfirmCharge,
    /// A first step was refused: compensate and end.
    Reject {
        reason: CancelReason,
    },
    /// The service answers.
    Activate {
        external_url: String,
    },
    FailProvisioning {
        detail: String,
    },
    /// Timer: the deadline for provisioning passed. No event when it is active or over.
    PassDeadline,
    /// The wallet has the money back.
    ConfirmRefund {
        period: u32,
    },
    StartRenewal,
    ConfirmRenewal {
        period: u32,
    },
    FailRenewal {
        period: u32,
        code: String,
    },
    Cancel {
        reason: CancelReason,
    },
    /// It ends when its paid time does.
    ScheduleCancellation {
        reason: CancelReason,
    },
    /// Timer: a notice, an end or a purge is due; which one the state says.
    PassMilestone,
    /// The wallet covers what this waits for. No event when it waits no longer.
    RenewFunded,
    /// Another plan of the same offering, now.
    ChangePlan {
        to: PlanSnapshot,
        by_administrator: bool,
        reason: Option<Sensitive<String>>,
    },
    /// A cheaper plan of the same offering from the next period on.
    ScheduleDowngrade {
        to: PlanSnapshot,
        reason: Option<Sensitive<String>>,
    },
    WithdrawDowngrade,
    /// The wallet paid for the change of plan.
    ConfirmPlanCharge {
        change: u32,
    },
    /// The instance has what the new plan gives.
    ConfirmResize {
        change: u32,
    },
    /// No slot, no money, no room or no time: back to where it was.
    FailPlanChange {
        change: u32,
        code: String,
    },
    Suspend {
        reason: Sensitive<String>,
    },
    /// It shall run again, if the plan has a slot for it.
    StartResume {
        reason: Sensitive<String>,
    },
    /// No slot could be had, or none in time.
    FailResume {
        code: String,
    },
    /// Days without payment. What has expired is resumed with them.
    Extend {
        days: u16,
        reason: Sensitive<String>,
    },
    Expire {
        cause: ExpiryCause,
    },
    /// `None` stays as it is.
    Configure {
        auto_renew: Option<bool>,
        /// Names of all variables the customer sets; the values ride beside the command into the vault.
        overrides: Option<Vec<String>>,
    },
}

/// Rules that say no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubscriptionRefusal {
    #[error("this subscription exists already")]
    AlreadyRequested,
    #[error("there is no such subscription")]
    NotFound,
    #[error("the subscription's state does not allow this")]
    WrongState,
    #[error("a subdomain is 3 to 40 of a-z, 0-9 and inner hyphens")]
    InvalidSubdomain,
    #[error("a price is zero or more")]
    NegativePrice,
    #[error("overrides are at most 100 names of environment variables, sorted, each once")]
    InvalidOverrides,
    #[error("a subscription is extended by 1 to 365 days")]
    InvalidDays,
    #[error("the paid period is over; extend it to let it run again")]
    PeriodOver,
    #[error("a renewal is under way; try again in a moment")]
    RenewalUnderWay,
    #[error("a change of plan is under way; try again in a moment")]
    PlanChangeUnderWay,
    #[error("this is the current plan")]
    SamePlan,
    #[error("a subscription can only move to another plan of the same service")]
    OtherOffering,
    #[error("the plan can be changed when the period with the discount is over")]
    DiscountedPeriod,
    #[error("a cheaper plan begins with the next period")]
    CheaperPlan,
    #[error("this plan is not cheaper; move to it now")]
    NotCheaper,
    #[error("the difference between the plans cannot be counted")]
    Uncountable,
}

refusals!(SubscriptionRefusal {
    AlreadyRequested => Conflict, "subscription-already-requested";
    NotFound => NotFound, "subscription-not-found";
    WrongState => Conflict, "subscription-wrong-state";
    InvalidSubdomain => Invalid, "subscription-invalid-subdomain";
    NegativePrice => Invalid, "subscription-negative-price";
    InvalidOverrides => Invalid, "subscription-invalid-overrides";
    InvalidDays => Invalid, "subscription-invalid-days";
    PeriodOver => Conflict, "subscription-period-over";
    RenewalUnderWay => Conflict, "subscription-renewal-under-way";
    PlanChangeUnderWay => Conflict, "subscription-plan-change-under-way";
    SamePlan => Conflict, "subscription-same-plan";
    OtherOffering => Conflict, "subscription-other-offering";
    DiscountedPeriod => Conflict, "subscription-discounted-period";
    CheaperPlan => Conflict, "subscription-cheaper-plan";
    NotCheaper => Conflict, "subscription-not-cheaper";
    Uncountable => Invalid, "subscription-uncountable";
});
