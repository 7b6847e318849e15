//! What a coupon may be like.

use minispod_events::{CouponKind, CouponLimits, CouponScope, CouponWindow, Discount};
use minispod_kernel::{Rupiah, Timestamp};

use super::CouponRefusal;

/// Shortest and longest code.
pub const CODE_LENGTH: std::ops::RangeInclusive<usize> = 3..=50;
/// Longest name, in characters.
pub const NAME_MAX: usize = 100;
/// Longest description, in characters.
pub const DESCRIPTION_MAX: usize = 500;
/// The smallest sum that a coupon gives or takes off.
pub const AMOUNT_LEAST: Rupiah = Rupiah::new(1_000);
/// The largest one.
pub const AMOUNT_MOST: Rupiah = Rupiah::new(10_000_000);
/// Most uses by all customers.
pub const USES_MOST: u32 = 1_000_000;
/// Most uses by one customer.
pub const USES_EACH_MOST: u32 = 100;

/// 3 to 50 of A-Z, 0-9, hyphen and underscore.
pub fn is_code(text: &str) -> bool {
    let is_letter = |letter: u8| letter.is_ascii_uppercase() || letter.is_ascii_digit() || b"-_".contains(&letter);
    CODE_LENGTH.contains(&text.len()) && text.bytes().all(is_letter)
}

pub(super) fn check(code: &str, worth: CouponKind, scope: &CouponScope) -> Result<(), CouponRefusal> {
    if !is_code(code) {
        return Err(CouponRefusal::InvalidCode);
    }
    let is_sum = |amount: Rupiah| (AMOUNT_LEAST..=AMOUNT_MOST).contains(&amount);
    let (is_fit, is_at_home) = match worth {
        CouponKind::Credit { amount } | CouponKind::Welcome { amount } => {
            (is_sum(amount), *scope == CouponScope::default())
        }
        CouponKind::Discount { less: Discount::Fixed { amount } } => (is_sum(amount), true),
        CouponKind::Discount { less: Discount::Percent { percent } } => ((1..=100).contains(&percent), true),
        CouponKind::Discount { less: Discount::FreePeriod } => (true, scope.offering.is_some()),
    };
    if !is_fit {
        return Err(CouponRefusal::InvalidWorth);
    }
    if is_at_home { Ok(()) } else { Err(CouponRefusal::InvalidScope) }
}

pub(super) fn check_text(name: &str, description: &str) -> Result<(), CouponRefusal> {
    let is_named = !name.trim().is_empty() && name.chars().count() <= NAME_MAX;
    if is_named && description.chars().count() <= DESCRIPTION_MAX { Ok(()) } else { Err(CouponRefusal::InvalidText) }
}

pub(super) fn check_limits(limits: CouponLimits, worth: CouponKind) -> Result<(), CouponRefusal> {
    let each = if matches!(worth, CouponKind::Welcome { .. }) { 1 } else { USES_EACH_MOST };
    let is_fit = (1..=USES_MOST).contains(&limits.uses) && (1..=each).contains(&limits.uses_each);
    if is_fit { Ok(()) } else { Err(CouponRefusal::InvalidLimits) }
}

pub(super) fn check_window(window: CouponWindow, now: Timestamp) -> Result<(), CouponRefusal> {
    let is_fit = window.until.is_none_or(|until| until > window.from && until > now);
    if is_fit { Ok(()) } else { Err(CouponRefusal::InvalidWindow) }
}
