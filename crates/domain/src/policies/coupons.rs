//! The process of a coupon: kept by the coupon, taken by the customer, spent by wallet or sale; and the way back.

use minispod_events::{
    CancelReason, CouponAsked, CouponEvent, CouponKind, CouponPurpose, CouponStatus, CouponUse, CouponUseEvent,
    EntryCause, MailTemplate, WelcomeEvent,
};
use minispod_kernel::Rupiah;

use super::{Reaction, documents::mail, subscriptions::to_subscription};
use crate::{
    AnyCommand, CouponCommand, CouponUseCommand, OnRefusal, SubscriptionCommand, WalletCommand, WelcomeCommand,
    coupon::{
        uses::uses_id,
        welcome::{WELCOME, bonus_use_id},
    },
};

pub fn after_coupon(coupon_id: &str, event: &CouponEvent) -> Vec<Reaction> {
    match event {
        CouponEvent::CouponReserved { used, code, name, worth, uses_each, .. } => {
            let take = CouponUseCommand::Take {
                coupon_id: coupon_id.to_owned(),
                used: used.clone(),
                code: code.clone(),
                name: name.clone(),
                worth: *worth,
                most: *uses_each,
            };
            let release = OnRefusal::ReleaseCoupon { coupon_id: coupon_id.to_owned(), used: used.clone() };
            vec![to_uses("take-coupon-use", coupon_id, &used.user_id, take).or(release)]
        }
        CouponEvent::CouponReleased { used, refused: Some(code), .. } => {
            not_discounted(used, code).into_iter().collect()
        }
        CouponEvent::CouponCreated { worth, .. } => bonus(coupon_id, *worth, true).into_iter().collect(),
        CouponEvent::CouponStatusChanged { worth, status, .. } => {
            bonus(coupon_id, *worth, *status == CouponStatus::Active).into_iter().collect()
        }
        CouponEvent::CouponDeleted { worth, .. } => bonus(coupon_id, *worth, false).into_iter().collect(),
        CouponEvent::CouponRevised { .. } | CouponEvent::CouponReleased { refused: None, .. } => Vec::new(),
    }
}

pub fn after_use(event: &CouponUseEvent) -> Vec<Reaction> {
    match event {
        CouponUseEvent::CouponUseTaken { coupon_id, used, name, worth, .. } => {
            spend(coupon_id, used, *worth).into_iter().chain(told_of_bonus(used, name, *worth)).collect()
        }
        CouponUseEvent::CouponUseReturned { coupon_id, used, .. } => {
            let release = CouponCommand::Release { used: used.clone(), refused: None };
            vec![to_coupon("release-coupon", coupon_id, release)]
        }
    }
}

pub fn after_welcome(event: &WelcomeEvent) -> Vec<Reaction> {
    match event {
        WelcomeEvent::WelcomeCouponOffered { coupon_id, user_id, .. } => {
            let used = CouponUse {
                use_id: bonus_use_id(coupon_id, user_id),
                user_id: user_id.clone(),
                purpose: CouponPurpose::Welcome,
            };
            vec![to_coupon("reserve-welcome", coupon_id, CouponCommand::Reserve { used })]
        }
        WelcomeEvent::WelcomeCouponAdded { .. } | WelcomeEvent::WelcomeCouponRemoved { .. } => Vec::new(),
    }
}

/// A customer's address is proved. Not in the request: a bonus that is used up is nothing that it failed at.
pub fn greet(user_id: &str) -> Reaction {
    let greet = WelcomeCommand::Greet { user_id: user_id.to_owned() };
    Reaction::new("greet", WELCOME, AnyCommand::Welcome(greet))
}

/// The slot is held, so the sale may use the coupon.
pub fn reserve_for_sale(subscription_id: &str, user_id: &str, price: Rupiah, asked: &CouponAsked) -> Reaction {
    let purpose = CouponPurpose::Sale {
        subscription_id: subscription_id.to_owned(),
        offering: asked.offering.clone(),
        variant: asked.variant.clone(),
        cycle: asked.cycle,
        price,
    };
    let used = CouponUse { use_id: subscription_id.to_owned(), user_id: user_id.to_owned(), purpose };
    let reject = OnRefusal::RejectSubscription { subscription_id: subscription_id.to_owned() };
    to_coupon("reserve-coupon", &asked.coupon_id, CouponCommand::Reserve { used }).or(reject)
}

/// The sale came to nothing.
pub fn give_back(coupon_id: &str, subscription_id: &str, user_id: &str) -> Reaction {
    let use_id = subscription_id.to_owned();
    let give_back = CouponUseCommand::Return { coupon_id: coupon_id.to_owned(), use_id };
    to_uses("return-coupon-use", coupon_id, user_id, give_back)
}

/// What the customer has now: money in the wallet, or less to pay.
fn spend(coupon_id: &str, used: &CouponUse, worth: CouponKind) -> Option<Reaction> {
    match (worth, &used.purpose) {
        (CouponKind::Credit { amount } | CouponKind::Welcome { amount }, _) => {
            let cause = EntryCause::Coupon { coupon_id: coupon_id.to_owned(), use_id: used.use_id.clone() };
            let grant = AnyCommand::Wallet(WalletCommand::Grant { amount, cause });
            Some(Reaction::new("grant-promotion", &used.user_id, grant).inline())
        }
        (CouponKind::Discount { less }, CouponPurpose::Sale { subscription_id, .. }) => {
            let apply = SubscriptionCommand::ApplyDiscount { coupon_id: coupon_id.to_owned(), less };
            let give_back = OnRefusal::ReturnCouponUse {
                coupon_id: coupon_id.to_owned(),
                user_id: used.user_id.clone(),
                use_id: used.use_id.clone(),
            };
            Some(to_subscription("apply-discount", subscription_id, apply).or(give_back).inline())
        }
        (CouponKind::Discount { .. }, CouponPurpose::Redemption | CouponPurpose::Welcome) => None,
    }
}

/// Nobody asked for a bonus, so nobody reads of it in an answer.
fn told_of_bonus(used: &CouponUse, name: &str, worth: CouponKind) -> Option<Reaction> {
    let CouponKind::Welcome { amount } = worth else { return None };
    let template = MailTemplate::WelcomeBonus { title: name.to_owned(), amount };
    Some(mail("welcome-bonus-mail", &["welcome-bonus", &used.use_id], &used.user_id, template))
}

/// The customer could not have the use, so the sale is off.
fn not_discounted(used: &CouponUse, code: &str) -> Option<Reaction> {
    let CouponPurpose::Sale { subscription_id, .. } = &used.purpose else { return None };
    let reason = CancelReason::Refused { code: code.to_owned() };
    Some(to_subscription("reject-undiscounted", subscription_id, SubscriptionCommand::Reject { reason }).inline())
}

/// A welcome bonus is among those that new customers get while it is active. Never in-line, so that the list follows the
/// order of the log and not whoever is quicker.
fn bonus(coupon_id: &str, worth: CouponKind, active: bool) -> Option<Reaction> {
    let coupon_id = coupon_id.to_owned();
    let command = if active { WelcomeCommand::Add { coupon_id } } else { WelcomeCommand::Remove { coupon_id } };
    matches!(worth, CouponKind::Welcome { .. })
        .then(|| Reaction::new("list-bonus", WELCOME, AnyCommand::Welcome(command)))
}

fn to_coupon(policy: &'static str, coupon_id: &str, command: CouponCommand) -> Reaction {
    Reaction::new(policy, coupon_id, AnyCommand::Coupon(command)).inline()
}

fn to_uses(policy: &'static str, coupon_id: &str, user_id: &str, command: CouponUseCommand) -> Reaction {
    Reaction::new(policy, &uses_id(coupon_id, user_id), AnyCommand::CouponUses(command)).inline()
}
