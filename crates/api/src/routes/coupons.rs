//! Coupons as customers use them: what a code is worth, its money for the wallet, and what was used before.

pub mod history;
pub mod redeem;
pub mod validate;

use actix_web::web::{ServiceConfig, get, post, resource};
use minispod_domain::coupon::{self, CouponRefusal, is_code};
use minispod_events::{CouponKind, CouponPurpose};
use minispod_kernel::Rupiah;
use minispod_projections::coupons::{self as read, CouponRow};

use crate::{error::ApiError, input::Fields, refusals::read_failed, state::AppState};

/// The read models that show what a coupon did.
pub const SHOWN_BY: &[&str] = &["billing", "coupons"];

/// What is said of a code that nobody issued.
pub const UNKNOWN: &str = "There is no such coupon";

/// Paths under `/wallet`, the web client's words for it.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/wallet/validate-coupon").route(post().to(validate::handle)))
        .service(resource("/wallet/redeem-coupon").route(post().to(redeem::handle)))
        .service(resource("/wallet/coupon-history").route(get().to(history::handle)));
}

/// `couponCode` of a form: in any case, with blanks around it.
pub fn read_code(fields: &mut Fields<'_>) -> Option<String> {
    let code = fields.text("couponCode", "Coupon code").map(shaped);
    checked(fields, code)
}

/// The same where it may be missing.
pub fn read_optional_code(fields: &mut Fields<'_>) -> Option<String> {
    let code = fields.optional_text("couponCode", "Coupon code").map(shaped);
    checked(fields, code)
}

fn shaped(text: &str) -> String {
    text.trim().to_ascii_uppercase()
}

fn checked(fields: &mut Fields<'_>, code: Option<String>) -> Option<String> {
    let code = code?;
    if is_code(&code) {
        return Some(code);
    }
    fields.fault("couponCode", "A coupon code is 3 to 50 letters, digits, hyphens and underscores");
    None
}

/// The coupon of a code, else a fault of the field.
pub async fn of_code(state: &AppState, code: &str) -> Result<CouponRow, ApiError> {
    let found = read::by_code(state.pool(), code).await.map_err(read_failed)?;
    found.ok_or_else(|| ApiError::invalid_field("couponCode", UNKNOWN))
}

/// What the read models have against `user_id` using `coupon` for `purpose`, by the rules that decide. `None` of
/// `purpose`: whether it can be used at all.
pub async fn objection(
    state: &AppState,
    coupon: &CouponRow,
    user_id: &str,
    purpose: Option<&CouponPurpose>,
) -> Result<Option<String>, ApiError> {
    let now = state.clock.now();
    let usable = coupon::check_usable(coupon.status, coupon.window(), coupon.uses, coupon.used, now);
    let fits = |purpose| coupon::check_purpose(coupon.worth, &coupon.scope(), purpose);
    if let Err(no) = usable.and_then(|()| purpose.map_or(Ok(()), fits)) {
        return Ok(Some(said(&no)));
    }
    let used = read::uses_of(state.pool(), &coupon.id, user_id).await.map_err(read_failed)?;
    let is_left = used < i64::from(coupon.uses_each);
    Ok((!is_left).then(|| said(&minispod_domain::CouponUseRefusal::UsedBefore)))
}

/// A rule's words as a sentence.
pub fn said(no: &impl std::fmt::Display) -> String {
    let text = no.to_string();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// How much `coupon` takes off `price`; `None`: it takes nothing off any price.
pub fn off(coupon: &CouponRow, price: Rupiah) -> Option<Rupiah> {
    match coupon.worth {
        CouponKind::Discount { less } => Some(coupon::discount(less, price)),
        CouponKind::Credit { .. } | CouponKind::Welcome { .. } => None,
    }
}

/// Whether a refusal's code is one of a coupon's rules.
pub fn is_of_coupon(code: &str) -> bool {
    code.starts_with("coupon-")
}

/// The words of a coupon's rule by its code, for who has only that.
pub fn words_of(code: &str) -> Option<String> {
    use minispod_kernel::Refusal as _;
    let rules = [
        CouponRefusal::NotFound,
        CouponRefusal::NotActive,
        CouponRefusal::NotYet,
        CouponRefusal::Expired,
        CouponRefusal::UsedUp,
        CouponRefusal::OtherKind,
        CouponRefusal::OtherPlan,
        CouponRefusal::OtherCycle,
        CouponRefusal::NothingToDiscount,
    ];
    let used_before = minispod_domain::CouponUseRefusal::UsedBefore;
    let of_coupon = rules.iter().find(|rule| rule.code() == code).map(said);
    of_coupon.or_else(|| (used_before.code() == code).then(|| said(&used_before)))
}
