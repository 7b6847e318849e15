//! One wallet event as a transaction of double-entry books; pure. Credits are positive, debits negative.

use minispod_events::{Account, EntryCause, WalletEvent};
use minispod_kernel::Rupiah;

use crate::words::words;

words! {
    /// What a transaction is.
    EntryKind {
        TopUp = "TOPUP",
        TopUpTakenBack = "TOPUP_TAKEN_BACK",
        Charge = "SUBSCRIPTION_CHARGE",
        Refund = "SUBSCRIPTION_REFUND",
        TopUpRefund = "TOPUP_REFUND",
        TopUpRefundReturned = "TOPUP_REFUND_RETURNED",
        TopUpCreditedByHand = "TOPUP_CREDITED_BY_HAND",
        ManualTopUp = "MANUAL_TOPUP",
        PlanChange = "PLAN_CHANGE",
        PlanChangeRefund = "PLAN_CHANGE_REFUND",
        Promotion = "PROMOTION",
        Adjustment = "ADJUSTMENT",
    }
}

impl EntryKind {
    /// The kind of a cause.
    pub const fn of(cause: &EntryCause) -> Self {
        match cause {
            EntryCause::TopUp { .. } => Self::TopUp,
            EntryCause::TopUpTakenBack { .. } => Self::TopUpTakenBack,
            EntryCause::SubscriptionPeriod { .. } => Self::Charge,
            EntryCause::SubscriptionPeriodRefund { .. } => Self::Refund,
            EntryCause::TopUpRefund { .. } => Self::TopUpRefund,
            EntryCause::TopUpRefundReturned { .. } => Self::TopUpRefundReturned,
            EntryCause::TopUpCreditedByHand { .. } => Self::TopUpCreditedByHand,
            EntryCause::ManualTopUp { .. } => Self::ManualTopUp,
            EntryCause::PlanChange { .. } => Self::PlanChange,
            EntryCause::PlanChangeRefund { .. } => Self::PlanChangeRefund,
            EntryCause::Coupon { .. } => Self::Promotion,
            EntryCause::Adjustment { .. } => Self::Adjustment,
        }
    }
}

/// One account's part of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    /// `wallet/<user id>`, `promotional/<user id>`, or [`account_name`].
    pub account: String,
    pub amount: Rupiah,
}

/// A transaction that balances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Booking<'a> {
    pub cause: &'a EntryCause,
    pub counter_account: Account,
    /// What the wallet gains, or loses when negative.
    pub amount: Rupiah,
    /// How much of it is money that was given and not paid in.
    pub promotional: Rupiah,
    /// The wallet's balance afterwards, as the event states it.
    pub balance: Rupiah,
    /// The wallet's first.
    pub legs: Vec<Leg>,
}

/// Why an event is no transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BookingFault {
    #[error("it has {legs} legs instead of two or more")]
    TooFewLegs { legs: usize },
    #[error("one of its legs moves nothing")]
    EmptyLeg,
    #[error("its legs add up to {rest} instead of 0")]
    Unbalanced { rest: i128 },
    #[error("{promotional} of {amount} cannot be promotional")]
    NoPart { amount: Rupiah, promotional: Rupiah },
    #[error("its amount {amount} is not above zero")]
    NotPositive { amount: Rupiah },
}

/// The account of what a customer was given.
pub fn promotional_account(user_id: &str) -> String {
    format!("promotional/{user_id}")
}

/// The account of what a customer has paid in.
pub fn wallet_account(user_id: &str) -> String {
    format!("wallet/{user_id}")
}

/// The name of one of our own accounts.
pub const fn account_name(account: Account) -> &'static str {
    match account {
        Account::GatewayClearing => "gateway_clearing",
        Account::BankClearing => "bank_clearing",
        Account::Revenue => "revenue",
        Account::Refunds => "refunds",
        Account::Promotions => "promotions",
        Account::Disputes => "disputes",
        Account::Adjustments => "adjustments",
    }
}

/// The transaction of a wallet event; `None` when it moves no money. Every event is named: what a new one books is to be
/// decided here before anything compiles.
pub fn booking<'a>(user_id: &str, event: &'a WalletEvent) -> Result<Option<Booking<'a>>, BookingFault> {
    let negative = |amount: Rupiah| Rupiah::new(amount.amount().saturating_neg());
    let (amount, promotional, balance, cause, counter_account) = match event {
        WalletEvent::WalletOpened { .. }
        | WalletEvent::WalletFundsAwaited { .. }
        | WalletEvent::WalletFundsNoLongerAwaited { .. }
        | WalletEvent::WalletFundsArrived { .. } => return Ok(None),
        WalletEvent::WalletCredited { amount, promotional, balance, cause, counter_account, .. }
        | WalletEvent::WalletRefunded { amount, promotional, balance, cause, counter_account, .. } => {
            (positive(*amount)?, *promotional, balance, cause, counter_account)
        }
        WalletEvent::WalletDebited { amount, promotional, balance, cause, counter_account, .. } => {
            (negative(positive(*amount)?), negative(*promotional), balance, cause, counter_account)
        }
        WalletEvent::WalletReversed { amount, balance, cause, counter_account, .. } => {
            (negative(positive(*amount)?), Rupiah::ZERO, balance, cause, counter_account)
        }
        WalletEvent::WalletAdjusted { amount, promotional, balance, cause, counter_account, .. } => {
            (*amount, *promotional, balance, cause, counter_account)
        }
    };
    let legs = balanced(legs(user_id, amount, promotional, *counter_account)?)?;
    Ok(Some(Booking { cause, counter_account: *counter_account, amount, promotional, balance: *balance, legs }))
}

/// What was paid in and what was given are accounts of their own.
fn legs(
    user_id: &str,
    amount: Rupiah,
    promotional: Rupiah,
    counter_account: Account,
) -> Result<Vec<Leg>, BookingFault> {
    let (whole, part) = (i128::from(amount.amount()), i128::from(promotional.amount()));
    if part.abs() > whole.abs() || part * whole < 0 {
        return Err(BookingFault::NoPart { amount, promotional });
    }
    let paid = Rupiah::new(amount.amount().saturating_sub(promotional.amount()));
    let counter = Rupiah::new(amount.amount().saturating_neg());
    // A whole entry of nothing keeps its empty leg, which is a fault; a part of nothing is no leg.
    let of_wallet =
        (promotional.is_zero() || !paid.is_zero()).then(|| Leg { account: wallet_account(user_id), amount: paid });
    let of_gifts = (!promotional.is_zero()).then(|| Leg { account: promotional_account(user_id), amount: promotional });
    let of_ours = Leg { account: account_name(counter_account).to_owned(), amount: counter };
    Ok(of_wallet.into_iter().chain(of_gifts).chain([of_ours]).collect())
}

fn positive(amount: Rupiah) -> Result<Rupiah, BookingFault> {
    if amount.is_positive() { Ok(amount) } else { Err(BookingFault::NotPositive { amount }) }
}

/// The legs, when they are a transaction.
fn balanced(legs: Vec<Leg>) -> Result<Vec<Leg>, BookingFault> {
    if legs.len() < 2 {
        return Err(BookingFault::TooFewLegs { legs: legs.len() });
    }
    if legs.iter().any(|leg| leg.amount == Rupiah::ZERO) {
        return Err(BookingFault::EmptyLeg);
    }
    match legs.iter().map(|leg| i128::from(leg.amount.amount())).sum() {
        0 => Ok(legs),
        rest => Err(BookingFault::Unbalanced { rest }),
    }
}

#[cfg(test)]
mod tests {
    use minispod_kernel::Timestamp;

    use super::*;

    fn at() -> Timestamp {
        Timestamp::from_unix_millis(1_800_000_000_000)
    }

    fn period() -> EntryCause {
        EntryCause::SubscriptionPeriod { subscription_id: "s".to_owned(), period: 1 }
    }

    fn order() -> EntryCause {
        EntryCause::TopUp { topup_id: "t".to_owned(), order_id: "TU-t.1".to_owned() }
    }

    fn legs_of(event: &WalletEvent) -> Vec<(String, i64)> {
        let booking = booking("ani", event).expect("it balances").expect("it moves money");
        booking.legs.into_iter().map(|leg| (leg.account, leg.amount.amount())).collect()
    }

    fn leg(account: &str, amount: i64) -> (String, i64) {
        (account.to_owned(), amount)
    }

    #[test]
    fn money_paid_in_credits_the_wallet_and_debits_the_gateway() {
        let event = WalletEvent::WalletCredited {
            amount: Rupiah::new(100),
            balance: Rupiah::new(100),
            promotional: Rupiah::ZERO,
            cause: order(),
            counter_account: Account::GatewayClearing,
            occurred_at: at(),
        };
        assert_eq!(legs_of(&event), [leg("wallet/ani", 100), leg("gateway_clearing", -100)]);
    }

    #[test]
    fn a_charge_debits_the_wallet_and_credits_revenue_and_a_refund_takes_it_from_refunds() {
        let (amount, occurred_at) = (Rupiah::new(25), at());
        let charge = WalletEvent::WalletDebited {
            amount,
            balance: Rupiah::new(75),
            promotional: Rupiah::ZERO,
            cause: period(),
            counter_account: Account::Revenue,
            occurred_at,
        };
        assert_eq!(legs_of(&charge), [leg("wallet/ani", -25), leg("revenue", 25)]);
        let refund = WalletEvent::WalletRefunded {
            amount,
            balance: Rupiah::new(100),
            promotional: Rupiah::ZERO,
            cause: EntryCause::SubscriptionPeriodRefund { subscription_id: "s".to_owned(), period: 1 },
            counter_account: Account::Refunds,
            occurred_at,
        };
        assert_eq!(legs_of(&refund), [leg("wallet/ani", 25), leg("refunds", -25)]);
    }

    #[test]
    fn what_is_taken_back_leaves_the_wallet_and_an_adjustment_goes_either_way() {
        let reversed = WalletEvent::WalletReversed {
            amount: Rupiah::new(150),
            balance: Rupiah::new(-50),
            cause: EntryCause::TopUpTakenBack {
                topup_id: "t".to_owned(),
                order_id: "TU-t.1".to_owned(),
                key: "k".to_owned(),
            },
            counter_account: Account::Disputes,
            occurred_at: at(),
        };
        assert_eq!(legs_of(&reversed), [leg("wallet/ani", -150), leg("disputes", 150)]);
        for amount in [7, -7] {
            assert_eq!(legs_of(&adjusted(amount)), [leg("wallet/ani", amount), leg("adjustments", -amount)]);
        }
    }

    #[test]
    fn what_was_given_has_an_account_of_its_own() {
        let spent = |amount: i64, promotional: i64| WalletEvent::WalletDebited {
            amount: Rupiah::new(amount),
            balance: Rupiah::new(75),
            promotional: Rupiah::new(promotional),
            cause: period(),
            counter_account: Account::Revenue,
            occurred_at: at(),
        };
        assert_eq!(legs_of(&spent(25, 10)), [leg("wallet/ani", -15), leg("promotional/ani", -10), leg("revenue", 25)]);
        assert_eq!(legs_of(&spent(25, 25)), [leg("promotional/ani", -25), leg("revenue", 25)]);
        let granted = WalletEvent::WalletCredited {
            amount: Rupiah::new(20),
            balance: Rupiah::new(20),
            promotional: Rupiah::new(20),
            cause: EntryCause::Coupon { coupon_id: "c".to_owned(), use_id: "u".to_owned() },
            counter_account: Account::Promotions,
            occurred_at: at(),
        };
        assert_eq!(legs_of(&granted), [leg("promotional/ani", 20), leg("promotions", -20)]);
        for (amount, promotional) in [(25, 26), (25, -1)] {
            assert!(matches!(booking("ani", &spent(amount, promotional)), Err(BookingFault::NoPart { .. })));
        }
    }

    #[test]
    fn opening_moves_nothing() {
        assert_eq!(booking("ani", &WalletEvent::WalletOpened { occurred_at: at() }), Ok(None));
    }

    #[test]
    fn an_event_that_would_not_balance_is_no_transaction() {
        let debit = WalletEvent::WalletDebited {
            amount: Rupiah::new(-25),
            balance: Rupiah::new(125),
            promotional: Rupiah::ZERO,
            cause: period(),
            counter_account: Account::Revenue,
            occurred_at: at(),
        };
        assert_eq!(booking("ani", &debit), Err(BookingFault::NotPositive { amount: Rupiah::new(-25) }));
        assert_eq!(booking("ani", &adjusted(0)), Err(BookingFault::EmptyLeg));
        assert!(matches!(booking("ani", &adjusted(i64::MIN)), Err(BookingFault::Unbalanced { .. })));
        let one = |amount| Leg { account: "revenue".to_owned(), amount: Rupiah::new(amount) };
        assert_eq!(balanced(vec![one(1)]), Err(BookingFault::TooFewLegs { legs: 1 }));
        assert_eq!(balanced(vec![one(2), one(-1)]), Err(BookingFault::Unbalanced { rest: 1 }));
        assert!(balanced(vec![one(2), one(-1), one(-1)]).is_ok());
    }

    fn adjusted(amount: i64) -> WalletEvent {
        WalletEvent::WalletAdjusted {
            amount: Rupiah::new(amount),
            balance: Rupiah::new(amount),
            promotional: Rupiah::ZERO,
            cause: EntryCause::Adjustment { key: "k".to_owned(), reason: "goodwill".to_owned() },
            counter_account: Account::Adjustments,
            occurred_at: at(),
        }
    }
}
