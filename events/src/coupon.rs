//! Facts about coupons: what each is worth, how often it was used, and what each customer made of it.

use minispod_kernel::{Rupiah, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{BillingCycle, contract::contract};

/// What the first period of a sale costs less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "discount", rename_all = "snake_case")]
pub enum Discount {
    Fixed {
        amount: Rupiah,
    },
    /// Whole percent of the price, rounded down to whole rupiah.
    Percent {
        percent: u8,
    },
    /// All of it.
    FreePeriod,
}

/// What a coupon is worth, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CouponKind {
    /// Promotional money for who enters the code.
    Credit { amount: Rupiah },
    /// Promotional money for every new customer whose address is proved; nobody enters it.
    Welcome { amount: Rupiah },
    /// Less to pay at a sale.
    Discount { less: Discount },
}

/// Which sales a coupon is for; absent: every one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct CouponScope {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offering: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// How often a coupon can be used, by all customers together and by each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CouponLimits {
    pub uses: u32,
    pub uses_each: u32,
}

/// When a coupon can be used; `until` is the first instant at which it cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CouponWindow {
    pub from: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// What an administrator says of a coupon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CouponStatus {
    #[default]
    Active,
    Disabled,
    Expired,
}

/// What a coupon is used for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "purpose", rename_all = "snake_case")]
pub enum CouponPurpose {
    /// A customer entered the code for the wallet.
    Redemption,
    /// A new customer's bonus.
    Welcome,
    /// The first period of a subscription; `price` is the plan's.
    Sale { subscription_id: String, offering: String, variant: String, cycle: BillingCycle, price: Rupiah },
}

/// One use of a coupon. `use_id` is unique; of a sale it is the subscription's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CouponUse {
    pub use_id: String,
    pub user_id: String,
    pub purpose: CouponPurpose,
}

/// Facts about one coupon; the aggregate id is its id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub enum CouponEvent {
    /// `code` is upper case and unique among coupons that are not deleted.
    CouponCreated {
        code: String,
        name: String,
        description: String,
        worth: CouponKind,
        scope: CouponScope,
        limits: CouponLimits,
        window: CouponWindow,
        occurred_at: Timestamp,
    },
    CouponRevised {
        name: String,
        description: String,
        limits: CouponLimits,
        window: CouponWindow,
        occurred_at: Timestamp,
    },
    CouponStatusChanged {
        status: CouponStatus,
        worth: CouponKind,
        occurred_at: Timestamp,
    },
    /// One of its uses is kept for `used`; whether the customer has one left is decided next.
    CouponReserved {
        used: CouponUse,
        code: String,
        name: String,
        worth: CouponKind,
        uses_each: u32,
        occurred_at: Timestamp,
    },
    /// The use is free again. `refused`: why the customer could not have it; absent: what it was for came to nothing.
    CouponReleased {
        used: CouponUse,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<String>,
        occurred_at: Timestamp,
    },
    /// Only what was never used is deleted.
    CouponDeleted {
        code: String,
        worth: CouponKind,
        occurred_at: Timestamp,
    },
}

contract!(
    CouponEvent,
    "billing",
    "coupon",
    [CouponCreated, CouponRevised, CouponStatusChanged, CouponReserved, CouponReleased, CouponDeleted]
);

/// Facts about what one customer made of one coupon; the aggregate id is derived from both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub enum CouponUseEvent {
    CouponUseTaken {
        coupon_id: String,
        used: CouponUse,
        code: String,
        name: String,
        worth: CouponKind,
        occurred_at: Timestamp,
    },
    /// The sale came to nothing.
    CouponUseReturned { coupon_id: String, used: CouponUse, occurred_at: Timestamp },
}

contract!(CouponUseEvent, "billing", "coupon_use", [CouponUseTaken, CouponUseReturned]);

/// Facts about the welcome that new customers get; there is one of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub enum WelcomeEvent {
    WelcomeCouponAdded {
        coupon_id: String,
        occurred_at: Timestamp,
    },
    WelcomeCouponRemoved {
        coupon_id: String,
        occurred_at: Timestamp,
    },
    /// This customer shall have this bonus, if the coupon has a use left.
    WelcomeCouponOffered {
        coupon_id: String,
        user_id: String,
        occurred_at: Timestamp,
    },
}

contract!(WelcomeEvent, "billing", "welcome", [WelcomeCouponAdded, WelcomeCouponRemoved, WelcomeCouponOffered]);
