//! The forms of coupons: what each kind needs, and what of one can be changed later.

use minispod_domain::{
    CouponCommand, CouponRevision,
    coupon::{AMOUNT_LEAST, AMOUNT_MOST, DESCRIPTION_MAX, NAME_MAX, USES_EACH_MOST, USES_MOST, is_code},
};
use minispod_events::{CouponKind, CouponLimits, CouponScope, CouponStatus, CouponWindow, Discount};
use minispod_kernel::{Rupiah, Timestamp};
use minispod_projections::coupons::{CouponKindWord, CouponRow};
use serde_json::Value;

use crate::{
    error::ApiError,
    input::{Fields, Unknown},
};

/// What a discount can be.
pub const DISCOUNTS: [&str; 2] = ["FIXED_AMOUNT", "PERCENTAGE"];
/// What an administrator can say of a coupon.
pub const STATUSES: [&str; 3] = ["ACTIVE", "DISABLED", "EXPIRED"];

/// A new coupon.
pub fn create(body: &Value, now: Timestamp) -> Result<CouponCommand, ApiError> {
    let mut fields = Fields::of(body)?;
    let code = fields.text("code", "Code").map(|code| code.trim().to_ascii_uppercase()).unwrap_or_default();
    if !fields.is_faulty("code") && !is_code(&code) {
        fields.fault("code", "Code must be 3 to 50 letters, digits, hyphens and underscores");
    }
    let name = fields.text("name", "Name").map(|name| name.trim().to_owned()).unwrap_or_default();
    check_name(&mut fields, &name);
    let description = read_description(&mut fields).unwrap_or_default();
    let kind = fields.text("type", "Type").map(str::to_owned);
    let worth = read_worth(&mut fields, kind.as_deref());
    let scope =
        CouponScope { offering: read_slug(&mut fields, "serviceName"), variant: read_slug(&mut fields, "variant") };
    check_scope(&mut fields, worth, &scope);
    let uses = read_count(&mut fields, "maxUses", USES_MOST).unwrap_or(1);
    let uses_each = read_count(&mut fields, "maxUsesPerUser", USES_EACH_MOST).unwrap_or(1);
    if matches!(worth, Some(CouponKind::Welcome { .. })) && uses_each != 1 {
        fields.fault("maxUsesPerUser", "A welcome bonus is given once");
    }
    let window = CouponWindow {
        from: fields.optional_instant("validFrom", false).unwrap_or(now),
        until: fields.optional_instant("validUntil", true),
    };
    check_window(&mut fields, window, now);
    if fields.optional_text("status", "Status").is_some_and(|status| status != "ACTIVE") {
        fields.fault("status", "A new coupon is ACTIVE; disable it afterwards");
    }
    fields.finish(Unknown::Refused)?;
    let Some(worth) = worth else { return Err(ApiError::invalid_field("type", "Type is not valid")) };
    let limits = CouponLimits { uses, uses_each };
    Ok(CouponCommand::Create { code, name, description, worth, scope, limits, window })
}

/// What becomes different of `row`. The client sends its whole form, so what cannot change may be there as it was.
pub fn revision(body: &Value, row: &CouponRow, now: Timestamp) -> Result<CouponRevision, ApiError> {
    let mut fields = Fields::of(body)?;
    let name = fields.optional_text("name", "Name").map(|name| name.trim().to_owned());
    if let Some(name) = &name {
        check_name(&mut fields, name);
    }
    let description = read_description(&mut fields);
    let uses = read_count(&mut fields, "maxUses", USES_MOST);
    let uses_each = read_count(&mut fields, "maxUsesPerUser", USES_EACH_MOST);
    if row.kind == CouponKindWord::Welcome && uses_each.is_some_and(|each| each != 1) {
        fields.fault("maxUsesPerUser", "A welcome bonus is given once");
    }
    let from = fields.optional_instant("validFrom", false).filter(|from| !same_second(*from, row.valid_from));
    let until = fields.optional_instant("validUntil", true);
    let until = until.filter(|until| row.valid_until.is_none_or(|before| !same_second(*until, before)));
    if from.is_some() || until.is_some() {
        let window = CouponWindow { from: from.unwrap_or(row.valid_from), until: until.or(row.valid_until) };
        check_window(&mut fields, window, now);
    }
    let status = fields.optional_text("status", "Status").map(str::to_owned);
    // The client sends back the standing that it was shown; what is used up is so by its uses alone.
    let standing = row.standing(now).as_str();
    let status = status
        .filter(|status| status != standing && status != "USED_UP")
        .and_then(|status| read_status(&mut fields, &status));
    refuse_fixed(&mut fields, row);
    fields.finish(Unknown::Refused)?;
    Ok(CouponRevision { name, description, uses, uses_each, from, until, status })
}

/// A status by its word.
pub fn read_status(fields: &mut Fields<'_>, word: &str) -> Option<CouponStatus> {
    match word {
        "ACTIVE" => Some(CouponStatus::Active),
        "DISABLED" => Some(CouponStatus::Disabled),
        "EXPIRED" => Some(CouponStatus::Expired),
        _ => {
            fields.fault("status", format!("Status must be one of {}", STATUSES.join(", ")));
            None
        }
    }
}

fn check_name(fields: &mut Fields<'_>, name: &str) {
    if !fields.is_faulty("name") && (name.is_empty() || name.chars().count() > NAME_MAX || name.contains('\0')) {
        fields.fault("name", format!("Name must be 1 to {NAME_MAX} characters"));
    }
}

fn read_description(fields: &mut Fields<'_>) -> Option<String> {
    let text = fields.optional_text("description", "Description").map(|text| text.trim().to_owned())?;
    if text.chars().count() > DESCRIPTION_MAX || text.contains('\0') {
        fields.fault("description", format!("Description must be at most {DESCRIPTION_MAX} characters"));
    }
    Some(text)
}

/// What the kind needs must be there; what it does not use is refused, so that nobody believes in it.
fn read_worth(fields: &mut Fields<'_>, kind: Option<&str>) -> Option<CouponKind> {
    let amount = fields.optional_whole_number("creditAmount", "Credit amount").map(Rupiah::new);
    let percent = fields.optional_whole_number("discountPercent", "Discount percent");
    let discount = fields.optional_text("discountType", "Discount type").map(str::to_owned);
    if amount.is_some_and(|amount| !(AMOUNT_LEAST..=AMOUNT_MOST).contains(&amount)) {
        fields.fault("creditAmount", format!("Credit amount must be {AMOUNT_LEAST} to {AMOUNT_MOST} rupiah"));
    }
    let share = percent.and_then(|percent| u8::try_from(percent).ok()).filter(|share| (1..=100).contains(share));
    if percent.is_some() && share.is_none() {
        fields.fault("discountPercent", "Discount percent must be 1 to 100");
    }
    let kind = kind?;
    let Some(word) = CouponKindWord::parse(kind) else {
        let known: Vec<_> = CouponKindWord::ALL.iter().map(|kind| kind.as_str()).collect();
        fields.fault("type", format!("Type must be one of {}", known.join(", ")));
        return None;
    };
    let needs_discount = word == CouponKindWord::Discount;
    let (fixed, by_share) = match discount.as_deref() {
        Some("FIXED_AMOUNT") => (needs_discount, false),
        Some("PERCENTAGE") => (false, needs_discount),
        None => (false, false),
        Some(_) => {
            fields.fault("discountType", format!("Discount type must be one of {}", DISCOUNTS.join(", ")));
            return None;
        }
    };
    if needs_discount && discount.is_none() {
        fields.fault("discountType", "Discount type is required for this type");
        return None;
    }
    let needs_amount = fixed || matches!(word, CouponKindWord::Credit | CouponKindWord::Welcome);
    for (field, is_needed, is_there) in [
        ("creditAmount", needs_amount, amount.is_some()),
        ("discountPercent", by_share, percent.is_some()),
        ("discountType", needs_discount, discount.is_some()),
    ] {
        match (is_needed, is_there) {
            (true, false) => fields.fault(field, format!("{field} is required for this type")),
            (false, true) => fields.fault(field, format!("{field} has no meaning for this type")),
            _ => {}
        }
    }
    match word {
        CouponKindWord::Credit => amount.map(|amount| CouponKind::Credit { amount }),
        CouponKindWord::Welcome => amount.map(|amount| CouponKind::Welcome { amount }),
        CouponKindWord::FreePeriod => Some(CouponKind::Discount { less: Discount::FreePeriod }),
        CouponKindWord::Discount if fixed => {
            amount.map(|amount| CouponKind::Discount { less: Discount::Fixed { amount } })
        }
        CouponKindWord::Discount => share.map(|percent| CouponKind::Discount { less: Discount::Percent { percent } }),
    }
}

fn read_slug(fields: &mut Fields<'_>, field: &'static str) -> Option<String> {
    let slug = fields.optional_text(field, field).map(str::trim).filter(|slug| !slug.is_empty())?;
    let is_slug =
        slug.len() <= 40 && slug.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !is_slug {
        fields.fault(field, format!("{field} must be at most 40 of a-z, 0-9 and hyphens"));
        return None;
    }
    Some(slug.to_owned())
}

fn check_scope(fields: &mut Fields<'_>, worth: Option<CouponKind>, scope: &CouponScope) {
    match worth {
        Some(CouponKind::Credit { .. } | CouponKind::Welcome { .. }) if *scope != CouponScope::default() => {
            fields.fault("serviceName", "Money for the wallet is for no service; leave serviceName and variant out");
        }
        Some(CouponKind::Discount { less: Discount::FreePeriod }) if scope.offering.is_none() => {
            fields.fault("serviceName", "serviceName is required for this type");
        }
        _ => {}
    }
}

fn read_count(fields: &mut Fields<'_>, field: &'static str, most: u32) -> Option<u32> {
    let number = fields.optional_whole_number(field, field)?;
    let count = u32::try_from(number).ok().filter(|count| (1..=most).contains(count));
    if count.is_none() {
        fields.fault(field, format!("{field} must be 1 to {most}"));
    }
    count
}

fn check_window(fields: &mut Fields<'_>, window: CouponWindow, now: Timestamp) {
    if window.until.is_some_and(|until| until <= window.from || until <= now) {
        fields.fault("validUntil", "validUntil must be in the future and after validFrom");
    }
}

/// What customers have read stays: the same value may be sent back, another one is refused.
fn refuse_fixed(fields: &mut Fields<'_>, row: &CouponRow) {
    let now = crate::views::coupons::full(row, row.created_at);
    for field in ["code", "type", "discountType", "serviceName", "variant"] {
        let sent = fields.optional_text(field, field).map(str::to_owned);
        let is_other = sent.is_some_and(|sent| now[field].as_str() != Some(sent.as_str()) && !sent.is_empty());
        if is_other {
            fields.fault(field, format!("{field} cannot be changed; make another coupon"));
        }
    }
    for field in ["creditAmount", "discountPercent"] {
        let sent = fields.optional_whole_number(field, field);
        if sent.is_some_and(|sent| now[field].as_i64() != Some(sent)) {
            fields.fault(field, format!("{field} cannot be changed; make another coupon"));
        }
    }
}

/// The client's forms know seconds at most.
fn same_second(one: Timestamp, other: Timestamp) -> bool {
    one.unix_millis().div_euclid(1_000) == other.unix_millis().div_euclid(1_000)
}
