//! The rows of coupons and of their uses.

use minispod_events::{CouponEvent, CouponKind, CouponScope, CouponStatus, CouponWindow, Discount};
use minispod_kernel::{Rupiah, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    page::{Place, Placed},
    rows::Row,
    words::words,
};

words! {
    /// What a coupon is, in the web client's words.
    CouponKindWord {
        Credit = "CREDIT_TOPUP",
        Welcome = "WELCOME_BONUS",
        Discount = "SUBSCRIPTION_DISCOUNT",
        FreePeriod = "FREE_SERVICE",
    }
}

words! {
    /// How a coupon stands, in the web client's words. `UsedUp` is seen from its uses and never said by anybody.
    CouponStanding { Active = "ACTIVE", Disabled = "DISABLED", Expired = "EXPIRED", UsedUp = "USED_UP" }
}

/// The word of what a coupon is worth.
pub const fn kind_of(worth: CouponKind) -> CouponKindWord {
    match worth {
        CouponKind::Credit { .. } => CouponKindWord::Credit,
        CouponKind::Welcome { .. } => CouponKindWord::Welcome,
        CouponKind::Discount { less: Discount::FreePeriod } => CouponKindWord::FreePeriod,
        CouponKind::Discount { .. } => CouponKindWord::Discount,
    }
}

/// One coupon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CouponRow {
    pub id: String,
    pub code: String,
    pub name: String,
    pub description: String,
    pub kind: CouponKindWord,
    pub worth: CouponKind,
    pub offering: Option<String>,
    pub variant: Option<String>,
    pub uses: u32,
    pub uses_each: u32,
    /// Uses that stand or are kept for somebody now.
    pub used: u32,
    /// It was used once, so it cannot be deleted.
    pub was_used: bool,
    /// What an administrator said last.
    pub status: CouponStatus,
    pub valid_from: Timestamp,
    pub valid_until: Option<Timestamp>,
    pub is_deleted: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl CouponRow {
    /// A coupon as it was made; `None` of any other event.
    pub fn created(id: &str, event: &CouponEvent) -> Option<Self> {
        let CouponEvent::CouponCreated { code, name, description, worth, scope, limits, window, occurred_at } = event
        else {
            return None;
        };
        Some(Self {
            id: id.to_owned(),
            code: code.clone(),
            name: name.clone(),
            description: description.clone(),
            kind: kind_of(*worth),
            worth: *worth,
            offering: scope.offering.clone(),
            variant: scope.variant.clone(),
            uses: limits.uses,
            uses_each: limits.uses_each,
            used: 0,
            was_used: false,
            status: CouponStatus::Active,
            valid_from: window.from,
            valid_until: window.until,
            is_deleted: false,
            created_at: *occurred_at,
            updated_at: *occurred_at,
        })
    }

    /// When it can be used.
    pub const fn window(&self) -> CouponWindow {
        CouponWindow { from: self.valid_from, until: self.valid_until }
    }

    /// Which sales it is for.
    pub fn scope(&self) -> CouponScope {
        CouponScope { offering: self.offering.clone(), variant: self.variant.clone() }
    }

    /// How it stands at `now`.
    pub fn standing(&self, now: Timestamp) -> CouponStanding {
        match self.status {
            CouponStatus::Disabled => CouponStanding::Disabled,
            CouponStatus::Expired => CouponStanding::Expired,
            CouponStatus::Active if self.valid_until.is_some_and(|until| until <= now) => CouponStanding::Expired,
            CouponStatus::Active if self.used >= self.uses => CouponStanding::UsedUp,
            CouponStatus::Active => CouponStanding::Active,
        }
    }
}

impl Row for CouponRow {
    const TABLE: &'static str = "coupons";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "code",
        "name",
        "description",
        "kind",
        "worth",
        "offering",
        "variant",
        "uses",
        "uses_each",
        "used",
        "was_used",
        "status",
        "valid_from",
        "valid_until",
        "is_deleted",
        "created_at",
        "updated_at",
    ];
    fn key(&self) -> &str {
        &self.id
    }
}

impl Placed for CouponRow {
    fn place(&self) -> Place {
        Place { at: self.created_at, id: self.id.clone() }
    }
}

/// One use of a coupon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UseRow {
    pub id: String,
    pub coupon_id: String,
    pub user_id: String,
    /// As the coupon was called then.
    pub code: String,
    pub name: String,
    pub kind: CouponKindWord,
    /// What the wallet got.
    pub credit: Option<Rupiah>,
    /// What the sale cost less; `None` until it is known.
    pub discount: Option<Rupiah>,
    pub subscription_id: Option<String>,
    /// The sale came to nothing.
    pub returned_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

impl Row for UseRow {
    const TABLE: &'static str = "coupon_uses";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "coupon_id",
        "user_id",
        "code",
        "name",
        "kind",
        "credit",
        "discount",
        "subscription_id",
        "returned_at",
        "created_at",
    ];
    fn key(&self) -> &str {
        &self.id
    }
}

impl Placed for UseRow {
    fn place(&self) -> Place {
        Place { at: self.created_at, id: self.id.clone() }
    }
}
