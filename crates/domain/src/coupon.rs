//! A coupon: what it is worth, where, when and how often; it counts its uses and knows no customer.

use minispod_events::{
    BillingCycle, CouponEvent, CouponKind, CouponLimits, CouponPurpose, CouponScope, CouponStatus, CouponUse,
    CouponWindow, Discount,
};
use minispod_kernel::{Aggregate, Consequence, Moment, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bridge::{bridge, refusals};

mod terms;
#[cfg(test)]
mod tests;
pub mod uses;
pub mod welcome;
mod worth;

pub use terms::{
    AMOUNT_LEAST, AMOUNT_MOST, CODE_LENGTH, DESCRIPTION_MAX, NAME_MAX, USES_EACH_MOST, USES_MOST, is_code,
};
pub use worth::discount;

/// State: what it is worth and how many of its uses are taken. Who took them is each customer's.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Coupon {
    issued: Option<Issued>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Issued {
    code: String,
    name: String,
    description: String,
    worth: CouponKind,
    scope: CouponScope,
    limits: CouponLimits,
    window: CouponWindow,
    status: CouponStatus,
    /// Uses that are taken or kept for somebody now.
    used: u32,
    /// It was used once, so it has a history and stays.
    was_used: bool,
    is_deleted: bool,
}

/// Requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum CouponCommand {
    /// `code` in upper case.
    Create {
        code: String,
        name: String,
        description: String,
        worth: CouponKind,
        scope: CouponScope,
        limits: CouponLimits,
        window: CouponWindow,
    },
    Revise(CouponRevision),
    SetStatus {
        status: CouponStatus,
    },
    Delete,
    /// Keep a use for this.
    Reserve {
        used: CouponUse,
    },
    /// A use that was kept or taken is free again.
    Release {
        used: CouponUse,
        refused: Option<String>,
    },
}

/// What becomes different; `None` stays as it is. What a coupon is worth and where never changes: customers have read it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CouponRevision {
    pub name: Option<String>,
    pub description: Option<String>,
    pub uses: Option<u32>,
    pub uses_each: Option<u32>,
    pub from: Option<Timestamp>,
    pub until: Option<Timestamp>,
    pub status: Option<CouponStatus>,
}

/// Rules that say no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CouponRefusal {
    #[error("this coupon exists already")]
    AlreadyCreated,
    #[error("there is no such coupon")]
    NotFound,
    #[error("a code is 3 to 50 of A-Z, 0-9, hyphen and underscore")]
    InvalidCode,
    #[error("a name has 1 to 100 characters, a description at most 500")]
    InvalidText,
    #[error("an amount is 1,000 to 10,000,000 rupiah, a percentage 1 to 100")]
    InvalidWorth,
    #[error("a coupon is used 1 to 1,000,000 times, by one customer 1 to 100 times; a welcome bonus once")]
    InvalidLimits,
    #[error("a coupon ends after its beginning and not in the past")]
    InvalidWindow,
    #[error("promotional money is for no service; a free period is for one")]
    InvalidScope,
    #[error("a coupon that was used stays; disable it instead")]
    WasUsed,
    #[error("this coupon cannot be used any more")]
    NotActive,
    #[error("this coupon cannot be used yet")]
    NotYet,
    #[error("this coupon has expired")]
    Expired,
    #[error("this coupon has been used up")]
    UsedUp,
    #[error("this coupon is not for this")]
    OtherKind,
    #[error("this coupon is for another service or plan")]
    OtherPlan,
    #[error("a free period is one month, not a year")]
    OtherCycle,
    #[error("this coupon makes nothing cheaper here")]
    NothingToDiscount,
}

refusals!(CouponRefusal {
    AlreadyCreated => Conflict, "coupon-already-created";
    NotFound => NotFound, "coupon-not-found";
    InvalidCode => Invalid, "coupon-invalid-code";
    InvalidText => Invalid, "coupon-invalid-text";
    InvalidWorth => Invalid, "coupon-invalid-worth";
    InvalidLimits => Invalid, "coupon-invalid-limits";
    InvalidWindow => Invalid, "coupon-invalid-window";
    InvalidScope => Invalid, "coupon-invalid-scope";
    WasUsed => Invalid, "coupon-was-used";
    NotActive => Invalid, "coupon-not-active";
    NotYet => Invalid, "coupon-not-yet";
    Expired => Invalid, "coupon-expired";
    UsedUp => Invalid, "coupon-used-up";
    OtherKind => Invalid, "coupon-other-kind";
    OtherPlan => Invalid, "coupon-other-plan";
    OtherCycle => Invalid, "coupon-other-cycle";
    NothingToDiscount => Invalid, "coupon-nothing-to-discount";
});

impl Aggregate for Coupon {
    type Event = CouponEvent;
    type Command = CouponCommand;
    type Refusal = CouponRefusal;
    const FINGERPRINT: &'static str = "coupon-1";

    fn decide(&self, command: CouponCommand, at: &Moment) -> Result<Vec<CouponEvent>, CouponRefusal> {
        let occurred_at = at.now;
        match (self.issued(), command) {
            (None, CouponCommand::Create { code, name, description, worth, scope, limits, window }) => {
                if self.issued.is_some() {
                    return Err(CouponRefusal::AlreadyCreated);
                }
                terms::check(&code, worth, &scope)?;
                terms::check_text(&name, &description)?;
                terms::check_limits(limits, worth)?;
                terms::check_window(window, occurred_at)?;
                Ok(vec![CouponEvent::CouponCreated {
                    code,
                    name,
                    description,
                    worth,
                    scope,
                    limits,
                    window,
                    occurred_at,
                }])
            }
            (None, _) => Err(CouponRefusal::NotFound),
            (Some(_), CouponCommand::Create { .. }) => Err(CouponRefusal::AlreadyCreated),
            (Some(issued), command) => issued.decide(command, occurred_at),
        }
    }

    fn apply(&mut self, event: &CouponEvent) {
        if let CouponEvent::CouponCreated { code, name, description, worth, scope, limits, window, .. } = event {
            self.issued = Some(Issued {
                code: code.clone(),
                name: name.clone(),
                description: description.clone(),
                worth: *worth,
                scope: scope.clone(),
                limits: *limits,
                window: *window,
                status: CouponStatus::Active,
                used: 0,
                was_used: false,
                is_deleted: false,
            });
        }
        if let Some(issued) = &mut self.issued {
            issued.apply(event);
        }
    }

    fn consequences(_id: &str, event: &CouponEvent) -> Vec<Consequence> {
        match event {
            CouponEvent::CouponCreated { code, .. } => vec![Consequence::Hold { key: code_key(code) }],
            CouponEvent::CouponDeleted { code, .. } => vec![Consequence::Release { key: code_key(code) }],
            CouponEvent::CouponRevised { .. }
            | CouponEvent::CouponStatusChanged { .. }
            | CouponEvent::CouponReserved { .. }
            | CouponEvent::CouponReleased { .. } => Vec::new(),
        }
    }
}

impl Coupon {
    fn issued(&self) -> Option<&Issued> {
        self.issued.as_ref().filter(|issued| !issued.is_deleted)
    }
}

impl Issued {
    fn decide(&self, command: CouponCommand, occurred_at: Timestamp) -> Result<Vec<CouponEvent>, CouponRefusal> {
        match command {
            CouponCommand::Create { .. } => Err(CouponRefusal::AlreadyCreated),
            CouponCommand::Revise(revision) => self.revise(revision, occurred_at),
            CouponCommand::SetStatus { status } => Ok(self.status_changed(status, occurred_at).into_iter().collect()),
            CouponCommand::Delete if self.was_used => Err(CouponRefusal::WasUsed),
            CouponCommand::Delete => {
                Ok(vec![CouponEvent::CouponDeleted { code: self.code.clone(), worth: self.worth, occurred_at }])
            }
            CouponCommand::Reserve { used } => {
                self.check_usable(occurred_at)?;
                check_purpose(self.worth, &self.scope, &used.purpose)?;
                Ok(vec![CouponEvent::CouponReserved {
                    used,
                    code: self.code.clone(),
                    name: self.name.clone(),
                    worth: self.worth,
                    uses_each: self.limits.uses_each,
                    occurred_at,
                }])
            }
            CouponCommand::Release { used, refused } => {
                Ok(vec![CouponEvent::CouponReleased { used, refused, occurred_at }])
            }
        }
    }

    fn revise(&self, revision: CouponRevision, occurred_at: Timestamp) -> Result<Vec<CouponEvent>, CouponRefusal> {
        let CouponRevision { name, description, uses, uses_each, from, until, status } = revision;
        let (name, description) =
            (name.unwrap_or_else(|| self.name.clone()), description.unwrap_or_else(|| self.description.clone()));
        let limits = CouponLimits {
            uses: uses.unwrap_or(self.limits.uses),
            uses_each: uses_each.unwrap_or(self.limits.uses_each),
        };
        let window = CouponWindow { from: from.unwrap_or(self.window.from), until: until.or(self.window.until) };
        terms::check_text(&name, &description)?;
        terms::check_limits(limits, self.worth)?;
        // An end that stays as it was may be over already.
        if window != self.window {
            terms::check_window(window, occurred_at)?;
        }
        let is_same =
            (&name, &description, limits, window) == (&self.name, &self.description, self.limits, self.window);
        let revised =
            (!is_same).then_some(CouponEvent::CouponRevised { name, description, limits, window, occurred_at });
        let status_changed = status.and_then(|status| self.status_changed(status, occurred_at));
        Ok(revised.into_iter().chain(status_changed).collect())
    }

    fn status_changed(&self, status: CouponStatus, occurred_at: Timestamp) -> Option<CouponEvent> {
        let worth = self.worth;
        (status != self.status).then_some(CouponEvent::CouponStatusChanged { status, worth, occurred_at })
    }

    fn check_usable(&self, now: Timestamp) -> Result<(), CouponRefusal> {
        check_usable(self.status, self.window, self.limits.uses, self.used, now)
    }

    fn apply(&mut self, event: &CouponEvent) {
        match event {
            CouponEvent::CouponCreated { .. } => {}
            CouponEvent::CouponRevised { name, description, limits, window, .. } => {
                self.name.clone_from(name);
                self.description.clone_from(description);
                self.limits = *limits;
                self.window = *window;
            }
            CouponEvent::CouponStatusChanged { status, .. } => self.status = *status,
            CouponEvent::CouponReserved { .. } => {
                self.used = self.used.saturating_add(1);
                self.was_used = true;
            }
            CouponEvent::CouponReleased { .. } => self.used = self.used.saturating_sub(1),
            CouponEvent::CouponDeleted { .. } => self.is_deleted = true,
        }
    }
}

/// Whether a coupon can be used at all now: what the coupon decides by, and what a customer is told beforehand.
pub fn check_usable(
    status: CouponStatus,
    window: CouponWindow,
    uses: u32,
    used: u32,
    now: Timestamp,
) -> Result<(), CouponRefusal> {
    if status == CouponStatus::Disabled {
        return Err(CouponRefusal::NotActive);
    }
    if status == CouponStatus::Expired || window.until.is_some_and(|until| until <= now) {
        return Err(CouponRefusal::Expired);
    }
    if now < window.from {
        return Err(CouponRefusal::NotYet);
    }
    if used >= uses { Err(CouponRefusal::UsedUp) } else { Ok(()) }
}

/// Whether what a coupon is worth fits what it shall be used for.
pub fn check_purpose(worth: CouponKind, scope: &CouponScope, purpose: &CouponPurpose) -> Result<(), CouponRefusal> {
    let less = match (worth, purpose) {
        (CouponKind::Credit { .. }, CouponPurpose::Redemption)
        | (CouponKind::Welcome { .. }, CouponPurpose::Welcome) => {
            return Ok(());
        }
        (CouponKind::Discount { less }, CouponPurpose::Sale { .. }) => less,
        _ => return Err(CouponRefusal::OtherKind),
    };
    let CouponPurpose::Sale { offering, variant, cycle, price, .. } = purpose else {
        return Err(CouponRefusal::OtherKind);
    };
    let fits = |wanted: &Option<String>, sold: &String| wanted.as_ref().is_none_or(|wanted| wanted == sold);
    if !fits(&scope.offering, offering) || !fits(&scope.variant, variant) {
        return Err(CouponRefusal::OtherPlan);
    }
    if less == Discount::FreePeriod && *cycle == BillingCycle::Yearly {
        return Err(CouponRefusal::OtherCycle);
    }
    if discount(less, *price).is_positive() { Ok(()) } else { Err(CouponRefusal::NothingToDiscount) }
}

/// The claim that keeps a code unique.
pub fn code_key(code: &str) -> String {
    format!("coupon-code/{code}")
}

bridge!(Coupon);
