//! A top-up: attempts at the gateway, at most one credit per order.

use std::collections::BTreeMap;

use minispod_events::TopUpEvent;
use minispod_kernel::{Aggregate, Consequence, Moment, Rupiah, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bridge::{bridge, refusals};

pub mod channels;
mod order;
pub mod refunds;
#[cfg(test)]
mod rows;
#[cfg(test)]
mod tests;
mod verdict;

use order::{Order, Payment, Phase, Taken};
use refunds::{DeskRefund, RefundCommand};

/// Least rupiah of one top-up.
pub const LEAST_AMOUNT: Rupiah = Rupiah::new(10_000);
/// Most rupiah of one top-up.
pub const MOST_AMOUNT: Rupiah = Rupiah::new(10_000_000);
/// Most attempts of one top-up: two digits of the order id.
pub const MAX_ATTEMPTS: u32 = 99;

/// State: what was asked for, and how far each attempt got.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TopUp {
    asked: Option<Asked>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Asked {
    user_id: String,
    amount: Rupiah,
    orders: Vec<Order>,
    /// Events so far that are the gateway's word.
    verdicts: u64,
    /// What the refund desk was asked for, by refund key.
    desk: BTreeMap<String, DeskRefund>,
}

/// What GET status said of one order, parsed strictly at the edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayStatus {
    pub order_id: String,
    /// `settlement`, `capture`, `pending`, `deny`, `cancel`, `expire`, `failure`, `refund` …
    pub transaction_status: String,
    /// `200`, `201`, `202`, `407` …
    pub status_code: String,
    pub fraud_status: Option<String>,
    /// `None`: not of the form `^[0-9]+[.]00$`.
    pub gross_amount: Option<Rupiah>,
    pub currency: String,
    /// Whether the merchant id is ours (true when none is configured).
    pub merchant_matches: bool,
    pub payment_type: String,
    pub transaction_id: String,
    pub refunds: Vec<GatewayRefund>,
}

/// One refund or chargeback inside a status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayRefund {
    /// `refund_key`, or the gateway's own refund id when no key is given.
    pub refund_key: String,
    pub amount: Rupiah,
    pub bank_confirmed: bool,
}

/// What a signed notification says of itself. It moves no money, but one that does not fit the order is shown to a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationSays {
    /// `None`: not of the form `^[0-9]+[.]00$`.
    pub gross_amount: Option<Rupiah>,
    /// `None`: it names none.
    pub currency: Option<String>,
    /// Whether the merchant id is ours (true when none is configured or named).
    pub merchant_matches: bool,
}

/// Requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum TopUpCommand {
    /// Attempt 1; the order id is `TU-<id>.1`.
    Request {
        user_id: String,
        amount: Rupiah,
        expires_at: Timestamp,
    },
    /// Pay again: no event while the current attempt is open, a new attempt after it ended.
    StartAttempt {
        expires_at: Timestamp,
    },
    /// The gateway gave a page; the token goes into the vault beside this command.
    RecordPaymentToken {
        order_id: String,
    },
    RecordNotification {
        order_id: String,
        inbox_id: String,
    },
    /// [`TopUpCommand::RecordNotification`] of one that came in signed: what it says is compared with the order.
    ReceiveNotification {
        order_id: String,
        inbox_id: String,
        said: NotificationSays,
    },
    /// The gateway's own word by GET status: the only thing that moves money.
    /// `after`: how many verdicts the top-up had when the gateway was asked. An answer that another one has overtaken
    /// may be the older of the two, so it is refused and the gateway is asked again.
    ApplyGatewayStatus {
        status: GatewayStatus,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<u64>,
    },
    Quarantine {
        order_id: String,
        reason: String,
    },
    /// The customer does not want to pay the current order any more.
    Withdraw,
    /// The refund desk.
    Desk(RefundCommand),
    /// Our own expiry, when the gateway never saw the order.
    Expire {
        order_id: String,
    },
}

/// Rules that say no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopUpRefusal {
    #[error("this top-up exists already")]
    AlreadyRequested,
    #[error("there is no such top-up")]
    NotFound,
    #[error("a top-up is 10,000 to 10,000,000 rupiah")]
    AmountOutOfRange,
    #[error("this order is not of this top-up")]
    UnknownOrder,
    #[error("this top-up is paid already")]
    AlreadyPaid,
    #[error("this order may still be paid")]
    OrderStillOpen,
    #[error("this top-up was tried too often")]
    TooManyAttempts,
    #[error("another answer of the gateway came first")]
    StatusOvertaken,
    #[error("the gateway is looking at this payment; it cannot be cancelled now")]
    UnderReview,
    #[error("this top-up was never paid")]
    NotPaid,
    #[error("a refund is at least one rupiah and at most what is left of the payment")]
    RefundBeyondPayment,
    #[error("what was paid this way is not given back by the payment gateway; a bank transfer is possible")]
    RefundChannel,
    #[error("the payment gateway's time for giving this back is over; a bank transfer is possible")]
    RefundWindowOver,
    #[error("what was paid this way is given back as a whole only; a bank transfer is possible")]
    RefundInParts,
    #[error("this top-up has too many refunds")]
    TooManyRefunds,
    #[error("nothing of this top-up is in doubt")]
    NotInDoubt,
    #[error("there is no such refund")]
    NoSuchRefund,
    #[error("another administrator than the one who asked must approve")]
    SameAdministrator,
    #[error("the state of the refund does not allow this")]
    RefundState,
}

refusals!(TopUpRefusal {
    AlreadyRequested => Conflict, "topup-already-requested";
    NotFound => NotFound, "topup-not-found";
    AmountOutOfRange => Invalid, "topup-amount-out-of-range";
    UnknownOrder => NotFound, "topup-unknown-order";
    AlreadyPaid => Conflict, "topup-already-paid";
    OrderStillOpen => Conflict, "topup-order-still-open";
    TooManyAttempts => Conflict, "topup-too-many-attempts";
    StatusOvertaken => Conflict, "topup-status-overtaken";
    UnderReview => Conflict, "topup-under-review";
    NotPaid => Conflict, "topup-not-paid";
    RefundBeyondPayment => Conflict, "topup-refund-beyond-payment";
    RefundChannel => Conflict, "topup-refund-channel";
    RefundWindowOver => Conflict, "topup-refund-window-over";
    RefundInParts => Conflict, "topup-refund-in-parts";
    TooManyRefunds => Conflict, "topup-too-many-refunds";
    NotInDoubt => Conflict, "topup-not-in-doubt";
    NoSuchRefund => NotFound, "topup-no-such-refund";
    SameAdministrator => Forbidden, "topup-refund-same-administrator";
    RefundState => Conflict, "topup-refund-state";
});

impl Aggregate for TopUp {
    type Event = TopUpEvent;
    type Command = TopUpCommand;
    type Refusal = TopUpRefusal;
    const FINGERPRINT: &'static str = "topup-6";

    fn decide(&self, command: TopUpCommand, at: &Moment) -> Result<Vec<TopUpEvent>, TopUpRefusal> {
        let Some(asked) = &self.asked else {
            return match command {
                TopUpCommand::Request { user_id, amount, expires_at } => {
                    if !(LEAST_AMOUNT..=MOST_AMOUNT).contains(&amount) {
                        return Err(TopUpRefusal::AmountOutOfRange);
                    }
                    let order_id = order_id(&at.aggregate_id, 1);
                    Ok(vec![TopUpEvent::TopUpRequested { user_id, amount, order_id, expires_at, occurred_at: at.now }])
                }
                _ => Err(TopUpRefusal::NotFound),
            };
        };
        asked.decide(command, at)
    }

    fn apply(&mut self, event: &TopUpEvent) {
        if let TopUpEvent::TopUpRequested { user_id, amount, order_id, expires_at, .. } = event {
            let orders = vec![Order::new(order_id.clone(), *expires_at)];
            self.asked =
                Some(Asked { user_id: user_id.clone(), amount: *amount, orders, verdicts: 0, desk: BTreeMap::new() });
        }
        if let Some(asked) = &mut self.asked {
            asked.apply(event);
        }
    }

    fn consequences(_id: &str, event: &TopUpEvent) -> Vec<Consequence> {
        match event {
            TopUpEvent::TopUpRequested { order_id, .. } | TopUpEvent::TopUpAttemptStarted { order_id, .. } => {
                vec![Consequence::Hold { key: order_key(order_id) }]
            }
            TopUpEvent::TopUpNotificationRecorded { inbox_id, .. } => {
                vec![Consequence::Once { key: format!("notification/{inbox_id}") }]
            }
            TopUpEvent::TopUpPaymentTokenIssued { .. }
            | TopUpEvent::TopUpAwaitingPayment { .. }
            | TopUpEvent::TopUpHeld { .. }
            | TopUpEvent::TopUpConfirmed { .. }
            | TopUpEvent::TopUpDenied { .. }
            | TopUpEvent::TopUpExpired { .. }
            | TopUpEvent::TopUpCancelled { .. }
            | TopUpEvent::TopUpReversed { .. }
            | TopUpEvent::TopUpRefundRequested { .. }
            | TopUpEvent::TopUpRefunded { .. }
            | TopUpEvent::TopUpRefundConfirmed { .. }
            | TopUpEvent::TopUpChargedBack { .. }
            | TopUpEvent::TopUpQuarantined { .. }
            | TopUpEvent::TopUpQuarantineClosed { .. }
            | TopUpEvent::TopUpWithdrawn { .. }
            | TopUpEvent::TopUpRefundOpened { .. }
            | TopUpEvent::TopUpRefundApproved { .. }
            | TopUpEvent::TopUpRefundDeclined { .. }
            | TopUpEvent::TopUpRefundReserved { .. }
            | TopUpEvent::TopUpRefundReady { .. }
            | TopUpEvent::TopUpRefundSubmitted { .. }
            | TopUpEvent::TopUpRefundFailed { .. } => Vec::new(),
        }
    }
}

impl Asked {
    fn decide(&self, command: TopUpCommand, at: &Moment) -> Result<Vec<TopUpEvent>, TopUpRefusal> {
        let occurred_at = at.now;
        match command {
            TopUpCommand::Request { .. } => Err(TopUpRefusal::AlreadyRequested),
            TopUpCommand::StartAttempt { expires_at } => self.start_attempt(expires_at, at),
            TopUpCommand::RecordPaymentToken { order_id } if self.find(&order_id)?.token_issued => Ok(Vec::new()),
            TopUpCommand::RecordPaymentToken { order_id } => {
                Ok(vec![TopUpEvent::TopUpPaymentTokenIssued { order_id, occurred_at }])
            }
            TopUpCommand::RecordNotification { order_id, inbox_id } => {
                self.find(&order_id)?;
                Ok(vec![TopUpEvent::TopUpNotificationRecorded { order_id, inbox_id, occurred_at }])
            }
            TopUpCommand::ReceiveNotification { order_id, inbox_id, said } => {
                let order = self.find(&order_id)?;
                let doubt = verdict::doubt_of(&said, self.amount);
                let quarantined = doubt.map(|reason| order.quarantine(reason, occurred_at)).unwrap_or_default();
                let recorded = TopUpEvent::TopUpNotificationRecorded { order_id, inbox_id, occurred_at };
                Ok([recorded].into_iter().chain(quarantined).collect())
            }
            TopUpCommand::ApplyGatewayStatus { after: Some(after), .. } if after != self.verdicts => {
                Err(TopUpRefusal::StatusOvertaken)
            }
            TopUpCommand::ApplyGatewayStatus { status, .. } => {
                let order = self.find(&status.order_id)?;
                let payment = Payment { user_id: &self.user_id, amount: self.amount, occurred_at };
                Ok(order.advance(verdict::verdict(&status, self.amount), &status, &payment))
            }
            TopUpCommand::Quarantine { order_id, reason } => Ok(self.find(&order_id)?.quarantine(reason, occurred_at)),
            TopUpCommand::Withdraw => self.withdraw(occurred_at),
            TopUpCommand::Desk(command) => self.decide_refund(command, at),
            TopUpCommand::Expire { order_id } => {
                let order = self.find(&order_id)?;
                match order.phase {
                    Phase::Paid | Phase::Reversed => Err(TopUpRefusal::AlreadyPaid),
                    Phase::Denied | Phase::Cancelled | Phase::Expired => Ok(Vec::new()),
                    Phase::Created if order.expires_at <= at.now => {
                        Ok(vec![TopUpEvent::TopUpExpired { order_id, occurred_at }])
                    }
                    // What the gateway has seen, the gateway ends.
                    Phase::Created | Phase::Pending | Phase::Held => Err(TopUpRefusal::OrderStillOpen),
                }
            }
        }
    }

    fn start_attempt(&self, expires_at: Timestamp, at: &Moment) -> Result<Vec<TopUpEvent>, TopUpRefusal> {
        if self.orders.iter().any(Order::is_credited) {
            return Err(TopUpRefusal::AlreadyPaid);
        }
        if self.orders.last().is_some_and(|order| order.is_open(at.now)) {
            return Ok(Vec::new());
        }
        let attempt = self.orders.len() as u32 + 1;
        if attempt > MAX_ATTEMPTS {
            return Err(TopUpRefusal::TooManyAttempts);
        }
        let order_id = order_id(&at.aggregate_id, attempt);
        Ok(vec![TopUpEvent::TopUpAttemptStarted { attempt, order_id, expires_at, occurred_at: at.now }])
    }

    /// Ends the current order for us; the gateway's own word about it still counts.
    fn withdraw(&self, occurred_at: Timestamp) -> Result<Vec<TopUpEvent>, TopUpRefusal> {
        let order = self.orders.last().ok_or(TopUpRefusal::NotFound)?;
        match order.phase {
            Phase::Paid | Phase::Reversed => Err(TopUpRefusal::AlreadyPaid),
            Phase::Held => Err(TopUpRefusal::UnderReview),
            Phase::Cancelled | Phase::Expired => Ok(Vec::new()),
            // Also what was denied: its page could still be paid in another way.
            Phase::Created | Phase::Pending | Phase::Denied => {
                Ok(vec![TopUpEvent::TopUpWithdrawn { order_id: order.order_id.clone(), occurred_at }])
            }
        }
    }

    fn find(&self, order_id: &str) -> Result<&Order, TopUpRefusal> {
        self.orders.iter().find(|order| order.order_id == order_id).ok_or(TopUpRefusal::UnknownOrder)
    }

    fn change(&mut self, order_id: &str, change: impl FnOnce(&mut Order)) {
        if let Some(order) = self.orders.iter_mut().find(|order| order.order_id == order_id) {
            change(order);
        }
    }

    fn apply(&mut self, event: &TopUpEvent) {
        self.verdicts += u64::from(is_verdict(event));
        self.apply_refund(event);
        match event {
            TopUpEvent::TopUpRequested { .. }
            | TopUpEvent::TopUpNotificationRecorded { .. }
            | TopUpEvent::TopUpRefundRequested { .. }
            // The desk's own book is kept above.
            | TopUpEvent::TopUpRefundOpened { .. }
            | TopUpEvent::TopUpRefundApproved { .. }
            | TopUpEvent::TopUpRefundDeclined { .. }
            | TopUpEvent::TopUpRefundReserved { .. }
            | TopUpEvent::TopUpRefundReady { .. }
            | TopUpEvent::TopUpRefundSubmitted { .. }
            | TopUpEvent::TopUpRefundFailed { .. } => {}
            TopUpEvent::TopUpAttemptStarted { order_id, expires_at, .. } => {
                self.orders.push(Order::new(order_id.clone(), *expires_at));
            }
            TopUpEvent::TopUpPaymentTokenIssued { order_id, .. } => {
                self.change(order_id, |order| order.token_issued = true);
            }
            TopUpEvent::TopUpAwaitingPayment { order_id, .. } => self.change(order_id, |o| o.phase = Phase::Pending),
            TopUpEvent::TopUpHeld { order_id, .. } => self.change(order_id, |o| o.phase = Phase::Held),
            TopUpEvent::TopUpConfirmed { order_id, transaction_id, payment_type, occurred_at, .. } => {
                self.change(order_id, |order| {
                    order.phase = Phase::Paid;
                    order.paid_by.clone_from(transaction_id);
                    order.payment_type.clone_from(payment_type);
                    order.paid_at = Some(*occurred_at);
                });
            }
            TopUpEvent::TopUpDenied { order_id, .. } => self.change(order_id, |o| o.phase = Phase::Denied),
            TopUpEvent::TopUpExpired { order_id, .. } => self.change(order_id, |o| o.phase = Phase::Expired),
            TopUpEvent::TopUpCancelled { order_id, .. } | TopUpEvent::TopUpWithdrawn { order_id, .. } => {
                self.change(order_id, |o| o.phase = Phase::Cancelled);
            }
            TopUpEvent::TopUpReversed { order_id, .. } => self.change(order_id, |o| o.phase = Phase::Reversed),
            TopUpEvent::TopUpRefunded { order_id, refund_key: key, amount, .. }
            | TopUpEvent::TopUpChargedBack { order_id, key, amount, .. } => {
                let taken = Taken { amount: *amount, confirmed: false };
                self.change(order_id, |order| {
                    order.taken.insert(key.clone(), taken);
                });
            }
            TopUpEvent::TopUpRefundConfirmed { order_id, refund_key, .. } => self.change(order_id, |order| {
                if let Some(taken) = order.taken.get_mut(refund_key) {
                    taken.confirmed = true;
                }
            }),
            TopUpEvent::TopUpQuarantined { order_id, reason, .. } => {
                self.change(order_id, |order| {
                    order.quarantined = Some(reason.clone());
                    order.looked_at = false;
                });
            }
            TopUpEvent::TopUpQuarantineClosed { order_id, .. } => self.change(order_id, |order| order.looked_at = true),
        }
    }
}

/// Whether the event is the gateway's word about an order. Exhaustive: a new event must be decided on.
pub const fn is_verdict(event: &TopUpEvent) -> bool {
    match event {
        TopUpEvent::TopUpAwaitingPayment { .. }
        | TopUpEvent::TopUpHeld { .. }
        | TopUpEvent::TopUpConfirmed { .. }
        | TopUpEvent::TopUpDenied { .. }
        | TopUpEvent::TopUpExpired { .. }
        | TopUpEvent::TopUpCancelled { .. }
        | TopUpEvent::TopUpReversed { .. }
        | TopUpEvent::TopUpRefunded { .. }
        | TopUpEvent::TopUpRefundConfirmed { .. }
        | TopUpEvent::TopUpChargedBack { .. }
        | TopUpEvent::TopUpQuarantined { .. } => true,
        TopUpEvent::TopUpRequested { .. }
        | TopUpEvent::TopUpAttemptStarted { .. }
        | TopUpEvent::TopUpPaymentTokenIssued { .. }
        | TopUpEvent::TopUpNotificationRecorded { .. }
        | TopUpEvent::TopUpQuarantineClosed { .. }
        | TopUpEvent::TopUpRefundRequested { .. }
        | TopUpEvent::TopUpWithdrawn { .. }
        | TopUpEvent::TopUpRefundOpened { .. }
        | TopUpEvent::TopUpRefundApproved { .. }
        | TopUpEvent::TopUpRefundDeclined { .. }
        | TopUpEvent::TopUpRefundReserved { .. }
        | TopUpEvent::TopUpRefundReady { .. }
        | TopUpEvent::TopUpRefundSubmitted { .. }
        | TopUpEvent::TopUpRefundFailed { .. } => false,
    }
}

/// The order id of an attempt: `TU-<top-up id>.<attempt>`.
pub fn order_id(topup_id: &str, attempt: u32) -> String {
    format!("TU-{topup_id}.{attempt}")
}

/// The top-up that an order id names; `None` when it is not one of ours.
pub fn topup_of(order_id: &str) -> Option<&str> {
    let (topup_id, attempt) = order_id.strip_prefix("TU-")?.rsplit_once('.')?;
    let counts = (1..=2).contains(&attempt.len())
        && attempt.bytes().all(|byte| byte.is_ascii_digit())
        && !attempt.starts_with('0');
    (counts && minispod_kernel::ids::is_aggregate_id(topup_id)).then_some(topup_id)
}

/// The claim of an order id.
pub fn order_key(order_id: &str) -> String {
    format!("order/{order_id}")
}

bridge!(TopUp);
