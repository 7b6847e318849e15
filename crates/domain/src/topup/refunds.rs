//! The refund desk: money of a paid order goes back by a person's decision, reserved first and never twice.

use minispod_events::{RefundMethod, TopUpEvent};
use minispod_kernel::{Moment, Rupiah, Sensitive, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Asked, TopUpRefusal, channels, order::Order};

/// Most refunds of one top-up that the desk opens.
pub const MAX_DESK_REFUNDS: usize = 99;
/// Why a refund fails whose money came too late.
const LATE: &str = "it was over before its money was reserved";
/// Why a bank transfer fails.
const NOT_TRANSFERRED: &str = "the bank transfer was not possible";

/// What is asked of the desk, and what is reported to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "refund", rename_all = "snake_case")]
pub enum RefundCommand {
    /// Without an order: of the first paid one that still holds the sum. Without a method: through the gateway where its
    /// channel gives back, else by bank transfer.
    Open {
        order_id: Option<String>,
        amount: Rupiah,
        method: Option<RefundMethod>,
        reason: Sensitive<String>,
        by: String,
        /// A larger sum needs another administrator.
        approval_above: Rupiah,
    },
    Approve {
        refund_key: String,
        by: String,
    },
    Decline {
        refund_key: String,
        by: String,
        reason: Sensitive<String>,
    },
    /// The wallet's money for it is taken.
    RecordReserved {
        refund_key: String,
    },
    /// The gateway has taken it.
    RecordSubmitted {
        refund_key: String,
    },
    /// The money has arrived, as far as we know.
    Complete {
        refund_key: String,
    },
    /// It was not possible.
    Fail {
        refund_key: String,
        reason: String,
    },
    /// Nothing is left to do about what a person had to look at.
    CloseQuarantine {
        by: String,
        reason: Sensitive<String>,
    },
    /// What a person says of a bank transfer: made, or not possible.
    RecordTransfer {
        refund_key: String,
        made: bool,
    },
}

/// One refund of the desk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeskRefund {
    order_id: String,
    amount: Rupiah,
    method: RefundMethod,
    payment_type: String,
    requested_by: String,
    /// Another administrator must still approve.
    waits_for_approval: bool,
    phase: Phase,
}

/// How far a refund got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    Opened,
    Reserved,
    Ready,
    Submitted,
    Confirmed,
    /// Failed or declined.
    Over,
}

impl DeskRefund {
    /// Whether the wallet's money for it is taken and not given back.
    const fn holds_money(&self) -> bool {
        !matches!(self.phase, Phase::Opened | Phase::Over) && !matches!(self.method, RefundMethod::WalletCredit)
    }

    /// Whether it credits money of this order by hand, or has.
    fn credits(&self, order_id: &str) -> bool {
        self.method == RefundMethod::WalletCredit && self.phase != Phase::Over && self.order_id == order_id
    }
}

impl Asked {
    pub(super) fn decide_refund(&self, command: RefundCommand, at: &Moment) -> Result<Vec<TopUpEvent>, TopUpRefusal> {
        let occurred_at = at.now;
        match command {
            RefundCommand::Open { order_id, amount, method, reason, by, approval_above } => {
                let order = self.refundable(order_id.as_deref(), amount, method)?;
                let method = self.method(order, amount, method, occurred_at)?;
                let number = self.desk.len() + 1;
                if number > MAX_DESK_REFUNDS {
                    return Err(TopUpRefusal::TooManyRefunds);
                }
                let key = refund_key(&at.aggregate_id, number);
                let refund = DeskRefund {
                    order_id: order.order_id.clone(),
                    amount,
                    method,
                    payment_type: order.payment_type.clone(),
                    requested_by: by,
                    waits_for_approval: amount > approval_above,
                    phase: Phase::Opened,
                };
                // Nothing is reserved for what comes in.
                let is_ready = method == RefundMethod::WalletCredit && !refund.waits_for_approval;
                let ready = is_ready.then(|| self.ready(&key, &refund, occurred_at));
                Ok([self.opened(key, refund, reason, occurred_at)].into_iter().chain(ready).collect())
            }
            RefundCommand::Approve { refund_key, by } => self.approve(&refund_key, by, occurred_at),
            RefundCommand::Decline { refund_key, by, reason } => self.decline(&refund_key, by, reason, occurred_at),
            RefundCommand::RecordReserved { refund_key } => self.reserved(refund_key, occurred_at),
            RefundCommand::RecordSubmitted { refund_key } => match self.refund(&refund_key)?.phase {
                Phase::Ready => Ok(vec![TopUpEvent::TopUpRefundSubmitted { refund_key, occurred_at }]),
                Phase::Submitted | Phase::Confirmed => Ok(Vec::new()),
                Phase::Opened | Phase::Reserved | Phase::Over => Err(TopUpRefusal::RefundState),
            },
            RefundCommand::Complete { refund_key } => match self.refund(&refund_key)?.phase {
                Phase::Ready | Phase::Submitted => Ok(vec![self.arrived(refund_key, occurred_at)?]),
                Phase::Confirmed => Ok(Vec::new()),
                Phase::Opened | Phase::Reserved | Phase::Over => Err(TopUpRefusal::RefundState),
            },
            RefundCommand::CloseQuarantine { by, reason } => self.close_quarantine(&by, &reason, occurred_at),
            RefundCommand::Fail { refund_key, reason } => self.fail(&refund_key, reason, occurred_at),
            RefundCommand::RecordTransfer { refund_key, made } => {
                let refund = self.refund(&refund_key)?;
                match (refund.phase, refund.method, made) {
                    (Phase::Confirmed, RefundMethod::BankTransfer, true)
                    | (Phase::Over, RefundMethod::BankTransfer, false) => Ok(Vec::new()),
                    (Phase::Ready, RefundMethod::BankTransfer, true) => {
                        Ok(vec![self.arrived(refund_key, occurred_at)?])
                    }
                    (Phase::Ready, RefundMethod::BankTransfer, false) => {
                        self.fail(&refund_key, NOT_TRANSFERRED.to_owned(), occurred_at)
                    }
                    _ => Err(TopUpRefusal::RefundState),
                }
            }
        }
    }

    fn reserved(&self, refund_key: String, occurred_at: Timestamp) -> Result<Vec<TopUpEvent>, TopUpRefusal> {
        let refund = self.refund(&refund_key)?;
        match refund.phase {
            Phase::Opened => {
                let ready = (!refund.waits_for_approval).then(|| self.ready(&refund_key, refund, occurred_at));
                let reserved = TopUpEvent::TopUpRefundReserved { refund_key, occurred_at };
                Ok([reserved].into_iter().chain(ready).collect())
            }
            // Its money came when it was over already: back.
            Phase::Over => Ok(vec![self.failed(&refund_key, refund, true, LATE.to_owned(), occurred_at)]),
            Phase::Reserved | Phase::Ready | Phase::Submitted | Phase::Confirmed => Ok(Vec::new()),
        }
    }

    fn arrived(&self, refund_key: String, occurred_at: Timestamp) -> Result<TopUpEvent, TopUpRefusal> {
        let order_id = self.refund(&refund_key)?.order_id.clone();
        Ok(TopUpEvent::TopUpRefundConfirmed { order_id, refund_key, occurred_at })
    }

    fn opened(
        &self,
        refund_key: String,
        refund: DeskRefund,
        reason: Sensitive<String>,
        occurred_at: Timestamp,
    ) -> TopUpEvent {
        TopUpEvent::TopUpRefundOpened {
            user_id: self.user_id.clone(),
            order_id: refund.order_id,
            refund_key,
            amount: refund.amount,
            method: refund.method,
            payment_type: refund.payment_type,
            reason,
            requested_by: refund.requested_by,
            needs_approval: refund.waits_for_approval,
            occurred_at,
        }
    }

    /// The order that is named, or the first paid one that still holds the sum.
    fn refundable(
        &self,
        order_id: Option<&str>,
        amount: Rupiah,
        method: Option<RefundMethod>,
    ) -> Result<&Order, TopUpRefusal> {
        if !amount.is_positive() {
            return Err(TopUpRefusal::RefundBeyondPayment);
        }
        if method == Some(RefundMethod::WalletCredit) {
            let order = match order_id {
                Some(order_id) => self.find(order_id)?,
                None => self.orders.iter().find(|order| order.is_in_doubt()).ok_or(TopUpRefusal::NotInDoubt)?,
            };
            if !order.is_in_doubt() {
                return Err(TopUpRefusal::NotInDoubt);
            }
            // One order's doubt is worth the order's sum at most, however often somebody asks.
            let mut credited = self.desk.values().filter(|refund| refund.credits(&order.order_id));
            let all = credited.try_fold(amount, |sum, refund| sum.checked_add(refund.amount));
            let fits = all.is_some_and(|all| all <= self.amount);
            return Some(order).filter(|_| fits).ok_or(TopUpRefusal::RefundBeyondPayment);
        }
        let holds = |order: &&Order| order.is_credited() && amount <= order.left_of(self.amount);
        if let Some(order_id) = order_id {
            let order = self.find(order_id)?;
            if !order.is_credited() {
                return Err(TopUpRefusal::NotPaid);
            }
            return Some(order).filter(holds).ok_or(TopUpRefusal::RefundBeyondPayment);
        }
        if !self.orders.iter().any(Order::is_credited) {
            return Err(TopUpRefusal::NotPaid);
        }
        self.orders.iter().find(holds).ok_or(TopUpRefusal::RefundBeyondPayment)
    }

    fn method(
        &self,
        order: &Order,
        amount: Rupiah,
        asked: Option<RefundMethod>,
        now: Timestamp,
    ) -> Result<RefundMethod, TopUpRefusal> {
        let paid_at = order.paid_at.unwrap_or(now);
        let objection = || channels::objection(&order.payment_type, paid_at, amount, self.amount, now);
        match asked {
            Some(RefundMethod::Gateway) => objection().map_or(Ok(RefundMethod::Gateway), Err),
            Some(other) => Ok(other),
            None if objection().is_none() => Ok(RefundMethod::Gateway),
            None => Ok(RefundMethod::BankTransfer),
        }
    }

    fn approve(&self, key: &str, by: String, occurred_at: Timestamp) -> Result<Vec<TopUpEvent>, TopUpRefusal> {
        let refund = self.refund(key)?;
        if !matches!(refund.phase, Phase::Opened | Phase::Reserved) {
            return Err(TopUpRefusal::RefundState);
        }
        if !refund.waits_for_approval {
            return Ok(Vec::new());
        }
        if refund.requested_by == by {
            return Err(TopUpRefusal::SameAdministrator);
        }
        let approved = TopUpEvent::TopUpRefundApproved { refund_key: key.to_owned(), approved_by: by, occurred_at };
        let is_next = refund.phase == Phase::Reserved || refund.method == RefundMethod::WalletCredit;
        let ready = is_next.then(|| self.ready(key, refund, occurred_at));
        Ok([approved].into_iter().chain(ready).collect())
    }

    /// Every order of it that is in doubt.
    fn close_quarantine(
        &self,
        by: &str,
        reason: &Sensitive<String>,
        occurred_at: Timestamp,
    ) -> Result<Vec<TopUpEvent>, TopUpRefusal> {
        let closed = |order: &Order| TopUpEvent::TopUpQuarantineClosed {
            user_id: self.user_id.clone(),
            order_id: order.order_id.clone(),
            reason: reason.clone(),
            closed_by: by.to_owned(),
            occurred_at,
        };
        let events: Vec<_> = self.orders.iter().filter(|order| order.is_in_doubt()).map(closed).collect();
        if events.is_empty() { Err(TopUpRefusal::NotInDoubt) } else { Ok(events) }
    }

    /// Only what waits for approval, and not while its money is on its way out of the wallet.
    fn decline(
        &self,
        key: &str,
        by: String,
        reason: Sensitive<String>,
        occurred_at: Timestamp,
    ) -> Result<Vec<TopUpEvent>, TopUpRefusal> {
        let refund = self.refund(key)?;
        let waits = refund.phase == Phase::Reserved
            || (refund.phase == Phase::Opened && refund.method == RefundMethod::WalletCredit);
        if !waits {
            return Err(TopUpRefusal::RefundState);
        }
        let declined = TopUpEvent::TopUpRefundDeclined {
            user_id: self.user_id.clone(),
            order_id: refund.order_id.clone(),
            refund_key: key.to_owned(),
            amount: refund.amount,
            method: refund.method,
            declined_by: by,
            reason,
            occurred_at,
        };
        let lost = self.lost_meanwhile(key, refund, occurred_at);
        Ok([declined].into_iter().chain(lost).collect())
    }

    fn fail(&self, key: &str, reason: String, occurred_at: Timestamp) -> Result<Vec<TopUpEvent>, TopUpRefusal> {
        let refund = self.refund(key)?;
        match refund.phase {
            Phase::Over => return Ok(Vec::new()),
            Phase::Confirmed => return Err(TopUpRefusal::RefundState),
            Phase::Opened | Phase::Reserved | Phase::Ready | Phase::Submitted => {}
        }
        let failed = self.failed(key, refund, refund.holds_money(), reason, occurred_at);
        let lost = self.lost_meanwhile(key, refund, occurred_at);
        Ok([failed].into_iter().chain(lost).collect())
    }

    fn failed(
        &self,
        key: &str,
        refund: &DeskRefund,
        returned: bool,
        reason: String,
        occurred_at: Timestamp,
    ) -> TopUpEvent {
        TopUpEvent::TopUpRefundFailed {
            user_id: self.user_id.clone(),
            order_id: refund.order_id.clone(),
            refund_key: key.to_owned(),
            amount: refund.amount,
            method: refund.method,
            returned,
            reason,
            occurred_at,
        }
    }

    /// The gateway took the payment back while its refund was under way: what comes back into the wallet is not there.
    fn lost_meanwhile(&self, key: &str, refund: &DeskRefund, occurred_at: Timestamp) -> Option<TopUpEvent> {
        let order = self.find(&refund.order_id).ok()?;
        (order.is_reversed() && refund.holds_money()).then(|| TopUpEvent::TopUpReversed {
            user_id: self.user_id.clone(),
            order_id: refund.order_id.clone(),
            amount: refund.amount,
            key: format!("reversal:{key}"),
            occurred_at,
        })
    }

    fn ready(&self, key: &str, refund: &DeskRefund, occurred_at: Timestamp) -> TopUpEvent {
        TopUpEvent::TopUpRefundReady {
            user_id: self.user_id.clone(),
            order_id: refund.order_id.clone(),
            refund_key: key.to_owned(),
            amount: refund.amount,
            method: refund.method,
            payment_type: refund.payment_type.clone(),
            occurred_at,
        }
    }

    fn refund(&self, key: &str) -> Result<&DeskRefund, TopUpRefusal> {
        self.desk.get(key).ok_or(TopUpRefusal::NoSuchRefund)
    }

    /// What the desk's own events change; others change nothing here.
    pub(super) fn apply_refund(&mut self, event: &TopUpEvent) {
        match event {
            TopUpEvent::TopUpRefundOpened {
                order_id,
                refund_key,
                amount,
                method,
                payment_type,
                requested_by,
                needs_approval,
                ..
            } => {
                if *method != RefundMethod::WalletCredit {
                    self.change(order_id, |order| order.reserve(refund_key, *amount));
                }
                let refund = DeskRefund {
                    order_id: order_id.clone(),
                    amount: *amount,
                    method: *method,
                    payment_type: payment_type.clone(),
                    requested_by: requested_by.clone(),
                    waits_for_approval: *needs_approval,
                    phase: Phase::Opened,
                };
                self.desk.insert(refund_key.clone(), refund);
            }
            TopUpEvent::TopUpRefundApproved { refund_key, .. } => {
                self.change_refund(refund_key, |refund| refund.waits_for_approval = false);
            }
            TopUpEvent::TopUpRefundReserved { refund_key, .. } => self.advance_refund(refund_key, Phase::Reserved),
            TopUpEvent::TopUpRefundReady { refund_key, .. } => self.advance_refund(refund_key, Phase::Ready),
            TopUpEvent::TopUpRefundSubmitted { refund_key, .. } => self.advance_refund(refund_key, Phase::Submitted),
            TopUpEvent::TopUpRefundConfirmed { refund_key, .. } => self.advance_refund(refund_key, Phase::Confirmed),
            TopUpEvent::TopUpRefundDeclined { order_id, refund_key, .. }
            | TopUpEvent::TopUpRefundFailed { order_id, refund_key, .. } => {
                self.advance_refund(refund_key, Phase::Over);
                self.change(order_id, |order| order.free(refund_key));
            }
            _ => {}
        }
    }

    fn advance_refund(&mut self, key: &str, phase: Phase) {
        self.change_refund(key, |refund| refund.phase = phase);
    }

    fn change_refund(&mut self, key: &str, change: impl FnOnce(&mut DeskRefund)) {
        if let Some(refund) = self.desk.get_mut(key) {
            change(refund);
        }
    }
}

/// `RF-<top-up id>-<number>`: letters, digits and hyphens, derived, the same at every try.
pub fn refund_key(topup_id: &str, number: usize) -> String {
    format!("RF-{topup_id}-{number:02}")
}

#[cfg(test)]
mod tests;
