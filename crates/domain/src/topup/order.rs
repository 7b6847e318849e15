//! One order of a top-up: how far it got, and what the gateway's next word changes.

use std::collections::BTreeMap;

use minispod_events::TopUpEvent;
use minispod_kernel::{Rupiah, Timestamp};
use serde::{Deserialize, Serialize};

use super::{GatewayRefund, GatewayStatus, verdict::Verdict};

/// The key of a denial or cancellation after payment.
const REVERSAL: &str = "reversal";
/// The key of what a whole refund or chargeback takes beyond what it lists.
const REMAINDER: &str = "remainder";

/// One attempt at the gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    pub order_id: String,
    pub expires_at: Timestamp,
    pub token_issued: bool,
    pub phase: Phase,
    /// The gateway's transaction that paid it; empty when the gateway named none.
    pub paid_by: String,
    /// What it was paid with, as the gateway calls it; empty until then.
    pub payment_type: String,
    pub paid_at: Option<Timestamp>,
    /// What was taken back of a paid order or is reserved for it, by refund or chargeback key.
    pub taken: BTreeMap<String, Taken>,
    /// Why a person must look, as last said.
    pub quarantined: Option<String>,
    /// A person has looked at that doubt.
    pub looked_at: bool,
}

/// One refund or chargeback.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Taken {
    pub amount: Rupiah,
    pub confirmed: bool,
}

/// How far it got. The order of the variants is their rank: news of a lower rank comes late and changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Phase {
    Created,
    Pending,
    /// Under review; may still be paid, denied or cancelled.
    Held,
    /// The page may still be paid in another way until it expires.
    Denied,
    Cancelled,
    Expired,
    /// Credited; what was taken back since is in `taken`.
    Paid,
    /// Credited and wholly taken back.
    Reversed,
}

/// Whom a paid order belongs to, how much it is, and when the answer is applied.
pub struct Payment<'a> {
    pub user_id: &'a str,
    pub amount: Rupiah,
    pub occurred_at: Timestamp,
}

impl Order {
    /// A new attempt.
    pub fn new(order_id: String, expires_at: Timestamp) -> Self {
        Self {
            order_id,
            expires_at,
            token_issued: false,
            phase: Phase::Created,
            paid_by: String::new(),
            payment_type: String::new(),
            paid_at: None,
            taken: BTreeMap::new(),
            quarantined: None,
            looked_at: false,
        }
    }

    /// Whether it was ever paid.
    pub fn is_credited(&self) -> bool {
        self.phase >= Phase::Paid
    }

    /// Whether the gateway took the whole payment back.
    pub fn is_reversed(&self) -> bool {
        self.phase == Phase::Reversed
    }

    /// The refund desk gives this much back: the gateway's own news of the key then takes nothing more.
    pub fn reserve(&mut self, refund_key: &str, amount: Rupiah) {
        self.taken.insert(refund_key.to_owned(), Taken { amount, confirmed: false });
    }

    /// The refund desk does not, after all.
    pub fn free(&mut self, refund_key: &str) {
        self.taken.remove(refund_key);
    }

    /// Whether the customer can still pay it at `now`.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.phase <= Phase::Held && now < self.expires_at
    }

    /// What `verdict` changes. Only upward, except what takes a payment back.
    pub fn advance(&self, verdict: Verdict, status: &GatewayStatus, payment: &Payment<'_>) -> Vec<TopUpEvent> {
        let occurred_at = payment.occurred_at;
        let order_id = self.order_id.clone();
        let payment_type = status.payment_type.clone();
        match (verdict, self.phase) {
            (Verdict::Unfit(reason), _) => self.quarantine(reason, occurred_at),
            (verdict, Phase::Paid) if self.is_of_another_payment(status) => match another_payment(&verdict) {
                Some(reason) => self.quarantine(reason.to_owned(), occurred_at),
                None => Vec::new(),
            },
            (Verdict::Expired | Verdict::Failed, Phase::Paid) => {
                self.quarantine(format!("{} after it was paid", status.transaction_status), occurred_at)
            }
            (Verdict::Paid, Phase::Reversed) => {
                self.quarantine("paid again after it was taken back".to_owned(), occurred_at)
            }
            (_, Phase::Reversed) | (Verdict::Paid, Phase::Paid) => Vec::new(),
            (Verdict::Denied | Verdict::Cancelled, Phase::Paid) => self.reverse(payment),
            (Verdict::Paid, _) => vec![self.confirm(status, payment)],
            (Verdict::Refunded { whole }, phase) => {
                let first = (phase < Phase::Paid).then(|| self.confirm(status, payment));
                first.into_iter().chain(self.take_back(&status.refunds, whole, Kind::Refund, payment)).collect()
            }
            (Verdict::ChargedBack { whole }, phase) => {
                let first = (phase < Phase::Paid).then(|| self.confirm(status, payment));
                first.into_iter().chain(self.take_back(&status.refunds, whole, Kind::Chargeback, payment)).collect()
            }
            (Verdict::Pending, Phase::Created) => {
                vec![TopUpEvent::TopUpAwaitingPayment { order_id, payment_type, occurred_at }]
            }
            (Verdict::Held, Phase::Created | Phase::Pending | Phase::Denied) => {
                vec![TopUpEvent::TopUpHeld { order_id, payment_type, occurred_at }]
            }
            (Verdict::Denied | Verdict::Failed, Phase::Created | Phase::Pending | Phase::Held) => {
                vec![TopUpEvent::TopUpDenied { order_id, occurred_at }]
            }
            (Verdict::Cancelled, phase) if phase < Phase::Cancelled => {
                vec![TopUpEvent::TopUpCancelled { order_id, occurred_at }]
            }
            (Verdict::Expired, phase) if phase < Phase::Cancelled => {
                vec![TopUpEvent::TopUpExpired { order_id, occurred_at }]
            }
            _ => Vec::new(),
        }
    }

    /// Whether the answer is of another transaction than the one that paid: a second attempt on the same page.
    fn is_of_another_payment(&self, status: &GatewayStatus) -> bool {
        let theirs = &status.transaction_id;
        !self.paid_by.is_empty() && !theirs.is_empty() && *theirs != self.paid_by
    }

    /// Whether a person must look at it.
    pub fn is_in_doubt(&self) -> bool {
        self.quarantined.is_some() && !self.looked_at
    }

    /// A person must look; said once per reason.
    pub fn quarantine(&self, reason: String, occurred_at: Timestamp) -> Vec<TopUpEvent> {
        if self.quarantined.as_ref() == Some(&reason) {
            return Vec::new();
        }
        vec![TopUpEvent::TopUpQuarantined { order_id: self.order_id.clone(), reason, occurred_at }]
    }

    fn confirm(&self, status: &GatewayStatus, payment: &Payment<'_>) -> TopUpEvent {
        TopUpEvent::TopUpConfirmed {
            user_id: payment.user_id.to_owned(),
            order_id: self.order_id.clone(),
            amount: payment.amount,
            payment_type: status.payment_type.clone(),
            transaction_id: status.transaction_id.clone(),
            occurred_at: payment.occurred_at,
        }
    }

    /// Everything that is left of the payment goes back.
    fn reverse(&self, payment: &Payment<'_>) -> Vec<TopUpEvent> {
        let amount = self.left_of(payment.amount);
        if !amount.is_positive() {
            return Vec::new();
        }
        vec![TopUpEvent::TopUpReversed {
            user_id: payment.user_id.to_owned(),
            order_id: self.order_id.clone(),
            amount,
            key: REVERSAL.to_owned(),
            occurred_at: payment.occurred_at,
        }]
    }

    /// Each refund or chargeback once by its key, never more than was paid; the whole of it when `whole`.
    fn take_back(&self, refunds: &[GatewayRefund], whole: bool, kind: Kind, payment: &Payment<'_>) -> Vec<TopUpEvent> {
        let occurred_at = payment.occurred_at;
        let mut known = self.taken.clone();
        let mut left = self.left_of(payment.amount);
        let mut events = Vec::new();
        let mut doubt = (refunds.is_empty() && !whole).then(|| format!("{} without an amount", kind.word()));
        for refund in refunds {
            let key = &refund.refund_key;
            match known.get(key).copied() {
                Some(taken) if taken.amount != refund.amount => doubt = Some("a refund changed its amount".to_owned()),
                Some(taken) => {
                    if refund.bank_confirmed && !taken.confirmed {
                        events.push(self.refund_confirmed(key, occurred_at));
                        known.insert(key.clone(), Taken { confirmed: true, ..taken });
                    }
                }
                // The whole is taken already: this only says in which parts.
                None if whole && left == Rupiah::ZERO => {}
                None if !refund.amount.is_positive() || refund.amount > left => {
                    doubt = Some("refunds beyond what was paid".to_owned());
                }
                None => {
                    events.push(self.taken_back(key, refund.amount, kind, payment));
                    if refund.bank_confirmed && kind == Kind::Refund {
                        events.push(self.refund_confirmed(key, occurred_at));
                    }
                    known.insert(key.clone(), Taken { amount: refund.amount, confirmed: refund.bank_confirmed });
                    left = left.checked_sub(refund.amount).unwrap_or(Rupiah::ZERO);
                }
            }
        }
        if whole && left.is_positive() {
            events.push(self.taken_back(REMAINDER, left, kind, payment));
        }
        events.extend(doubt.into_iter().flat_map(|reason| self.quarantine(reason, occurred_at)));
        events
    }

    fn taken_back(&self, key: &str, amount: Rupiah, kind: Kind, payment: &Payment<'_>) -> TopUpEvent {
        let (user_id, order_id) = (payment.user_id.to_owned(), self.order_id.clone());
        let (key, occurred_at) = (key.to_owned(), payment.occurred_at);
        match kind {
            Kind::Refund => TopUpEvent::TopUpRefunded { user_id, order_id, refund_key: key, amount, occurred_at },
            Kind::Chargeback => TopUpEvent::TopUpChargedBack { user_id, order_id, key, amount, occurred_at },
        }
    }

    fn refund_confirmed(&self, key: &str, occurred_at: Timestamp) -> TopUpEvent {
        TopUpEvent::TopUpRefundConfirmed { order_id: self.order_id.clone(), refund_key: key.to_owned(), occurred_at }
    }

    /// What is left of a payment of `amount`.
    pub fn left_of(&self, amount: Rupiah) -> Rupiah {
        self.taken.values().fold(amount, |left, taken| left.checked_sub(taken.amount).unwrap_or(Rupiah::ZERO))
    }
}

/// Why a person must look when a paid order hears of another transaction. An attempt without money is only old news.
const fn another_payment(verdict: &Verdict) -> Option<&'static str> {
    match verdict {
        Verdict::Paid => Some("paid again by another transaction"),
        Verdict::Refunded { .. } => Some("a refund of another transaction"),
        Verdict::ChargedBack { .. } => Some("a chargeback of another transaction"),
        Verdict::Pending
        | Verdict::Held
        | Verdict::Denied
        | Verdict::Cancelled
        | Verdict::Expired
        | Verdict::Failed
        | Verdict::Unfit(_) => None,
    }
}

/// By whom a payment is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Refund,
    Chargeback,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Refund => "a refund",
            Self::Chargeback => "a chargeback",
        }
    }
}
