//! The money of the log, audited against its own rules: replayed event by event, without any read model.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use minispod_events::{
    Account, CouponKind, CouponUseEvent, EntryCause, Event, InvoiceBookEvent, InvoiceEvent, InvoiceKind,
    SubscriptionEvent, TopUpEvent, WalletEvent,
};
use minispod_kernel::{Aggregate as _, Rupiah, Timestamp};

use crate::{Wallet, invoice_book, wallet::entry_key};

/// The types of aggregates that an audit reads.
pub const AUDITED: [&str; 6] = ["wallet", "topup", "subscription", "invoice", "invoice_book", "coupon_use"];
/// Discrepancies that are told; more are only counted.
pub const TOLD_MAX: usize = 1_000;
/// What follows from a fact may be on its way for so long.
const GRACE: Duration = Duration::from_mins(10);

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Discrepancy {
    #[error("wallet {wallet}: the event at position {at} states a balance of {stated}, its entries add up to {sum}")]
    Balance { wallet: String, at: i64, stated: Rupiah, sum: Rupiah },
    #[error("wallet {wallet}: its entries add up to {sum}, its state holds {held}")]
    State { wallet: String, sum: Rupiah, held: Rupiah },
    #[error("wallet {wallet}: the entry at position {at} moves {amount}, which is not above zero")]
    NotPositive { wallet: String, at: i64, amount: Rupiah },
    #[error(
        "wallet {wallet}: the entry at position {at} moves {amount}, {part} of it promotional, and {left} were left"
    )]
    Promotional { wallet: String, at: i64, amount: Rupiah, part: Rupiah, left: Rupiah },
    #[error("use {use_id} of a coupon is credited at position {at}, and nobody took it")]
    GrantUnfounded { use_id: String, at: i64 },
    #[error("order {order} is credited twice, at positions {first} and {at}")]
    CreditedTwice { order: String, first: i64, at: i64 },
    #[error("period {period} of subscription {subscription} is charged twice, at positions {first} and {at}")]
    ChargedTwice { subscription: String, period: u32, first: i64, at: i64 },
    #[error("{cause} is booked twice, at positions {first} and {at}")]
    BookedTwice { cause: String, first: i64, at: i64 },
    #[error("order {order} is credited at position {at}, and its payment was never confirmed")]
    CreditUnfounded { order: String, at: i64 },
    #[error("{cause}: {amount} go back at position {at}, {charged} were charged")]
    RefundTooLarge { cause: String, at: i64, amount: Rupiah, charged: Rupiah },
    #[error("{owed} says {amount}, and the books have no {cause}")]
    NotBooked { owed: Owed, cause: String, amount: Rupiah },
    #[error("{owed} says {amount}, and {cause} is booked with {booked}")]
    BookedOtherwise { owed: Owed, cause: String, amount: Rupiah, booked: Rupiah },
    #[error("invoice numbers of {year}: {found} follows {before}")]
    NumberGap { year: String, before: u32, found: u32 },
    #[error("invoice {invoice} has two numbers, {first} and {second}")]
    NumberedTwice { invoice: String, first: String, second: String },
    #[error("invoice {invoice} is issued as {issued} and numbered {}", .numbered.as_deref().unwrap_or("never"))]
    IssuedOtherwise { invoice: String, issued: String, numbered: Option<String> },
    #[error("invoice {invoice} was numbered {number} and never issued")]
    NotIssued { invoice: String, number: String },
    #[error("the claim {claim} has no entry")]
    ClaimUnfounded { claim: String },
    #[error("the claim {claim} is held by {holder}, its entry is of wallet {wallet}")]
    ClaimDiffers { claim: String, holder: String, wallet: String },
    #[error("the entry {cause} of wallet {wallet} has no claim")]
    ClaimMissing { cause: String, wallet: String },
}

/// Who says that an entry must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owed {
    /// A confirmed payment.
    Credit { order: String },
    /// A period that the subscription says is paid.
    Charge { subscription: String, period: u32 },
    /// A draft.
    Invoice { id: String },
    /// A use of a coupon that gives money.
    Coupon { use_id: String },
}

impl std::fmt::Display for Owed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Credit { order } => write!(f, "the payment of order {order}"),
            Self::Charge { subscription, period } => write!(f, "period {period} of subscription {subscription}"),
            Self::Invoice { id } => write!(f, "invoice {id}"),
            Self::Coupon { use_id } => write!(f, "use {use_id} of a coupon"),
        }
    }
}

/// One movement of a wallet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    pub wallet: String,
    /// `EntryCause::key`.
    pub cause: String,
    pub counter_account: Account,
    /// What the wallet gains, or loses when negative.
    pub amount: Rupiah,
    /// How much of it is money that was given and not paid in.
    pub promotional: Rupiah,
    pub before: Rupiah,
    pub after: Rupiah,
}

/// What a whole audit found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audited {
    /// Balance by wallet: the sum of its entries.
    pub wallets: BTreeMap<String, Rupiah>,
    pub entries: usize,
    pub orders: usize,
    pub periods: usize,
    pub invoices: usize,
    /// The last number by year.
    pub numbers: BTreeMap<String, u32>,
    /// Not there yet, and young enough to be on its way.
    pub pending: usize,
    /// The first [`TOLD_MAX`].
    pub discrepancies: Vec<Discrepancy>,
    pub count: usize,
}

#[derive(Default)]
struct Books {
    state: Wallet,
    sum: Rupiah,
    promotional: Rupiah,
}

struct Entry {
    wallet: String,
    amount: Rupiah,
    at: i64,
    claimed: bool,
}

struct Claim {
    owed: Owed,
    cause: String,
    amount: Rupiah,
    since: Timestamp,
}

struct Numbered {
    number: String,
    since: Timestamp,
    issued: bool,
}

/// An audit under way; events are entered in log order.
#[derive(Default)]
pub struct Audit {
    wallets: BTreeMap<String, Books>,
    entries: HashMap<String, Entry>,
    confirmed: HashSet<String>,
    /// Uses of coupons.
    taken: HashSet<String>,
    owed: Vec<Claim>,
    last_numbers: BTreeMap<String, u32>,
    numbered: HashMap<String, Numbered>,
    discrepancies: Vec<Discrepancy>,
    count: usize,
}

impl Audit {
    /// The next event of aggregate `id`, at log position `at` (0: not numbered yet). The movement, when it is one.
    pub fn enter(&mut self, id: &str, at: i64, event: &Event) -> Option<Movement> {
        match event {
            Event::Wallet(event) => return self.enter_wallet(id, at, event),
            Event::TopUp(TopUpEvent::TopUpConfirmed { order_id, amount, occurred_at, .. }) => {
                self.confirmed.insert(order_id.clone());
                let owed = Owed::Credit { order: order_id.clone() };
                self.owe(owed, topup_key(order_id), *amount, *occurred_at);
            }
            Event::Subscription(
                SubscriptionEvent::SubscriptionCharged { amount, period, occurred_at, .. }
                | SubscriptionEvent::SubscriptionRenewed { amount, period, occurred_at, .. },
            ) => {
                let owed = Owed::Charge { subscription: id.to_owned(), period: period.number };
                self.owe(owed, charge_key(id, period.number), *amount, *occurred_at);
            }
            Event::CouponUses(CouponUseEvent::CouponUseTaken { used, worth, occurred_at, .. }) => {
                self.taken.insert(used.use_id.clone());
                if let CouponKind::Credit { amount } | CouponKind::Welcome { amount } = worth {
                    let owed = Owed::Coupon { use_id: used.use_id.clone() };
                    self.owe(owed, coupon_key(&used.use_id), *amount, *occurred_at);
                }
            }
            Event::Invoice(event) => self.enter_invoice(id, event),
            Event::InvoiceBook(event) => self.enter_number(id, event),
            _ => {}
        }
        None
    }

    /// A claim of the log on an entry (`entry/…`), and the wallet that holds it.
    pub fn enter_claim(&mut self, claim: &str, holder: &str) {
        let Some(entry) = claim.strip_prefix("entry/").and_then(|cause| self.entries.get_mut(cause)) else {
            self.tell(Discrepancy::ClaimUnfounded { claim: claim.to_owned() });
            return;
        };
        entry.claimed = true;
        if entry.wallet != holder {
            let (holder, wallet) = (holder.to_owned(), entry.wallet.clone());
            self.tell(Discrepancy::ClaimDiffers { claim: claim.to_owned(), holder, wallet });
        }
    }

    /// What was found, at `now`: what must follow and has not is a discrepancy once it had time enough.
    pub fn finish(mut self, now: Timestamp) -> Audited {
        let mut pending = 0;
        let is_young = |since: Timestamp| since.plus(GRACE) > now;
        for Claim { owed, cause, amount, since } in std::mem::take(&mut self.owed) {
            let booked = self.entries.get(&cause).map(|entry| Rupiah::new(entry.amount.amount().abs()));
            match booked {
                Some(booked) if booked == amount => {}
                Some(booked) => self.tell(Discrepancy::BookedOtherwise { owed, cause, amount, booked }),
                None if is_young(since) => pending += 1,
                None => self.tell(Discrepancy::NotBooked { owed, cause, amount }),
            }
        }
        let mut numbered: Vec<_> = self.numbered.iter().filter(|(_, number)| !number.issued).collect();
        numbered.sort_by(|one, other| one.0.cmp(other.0));
        let late = numbered.iter().filter(|(_, number)| !is_young(number.since));
        let late: Vec<_> = late
            .map(|(invoice, one)| Discrepancy::NotIssued { invoice: (*invoice).clone(), number: one.number.clone() })
            .collect();
        pending += numbered.len() - late.len();
        let unclaimed = self.entries.iter().filter(|(_, entry)| !entry.claimed);
        let mut unclaimed: Vec<_> = unclaimed
            .map(|(cause, entry)| Discrepancy::ClaimMissing { cause: cause.clone(), wallet: entry.wallet.clone() })
            .collect();
        unclaimed.sort_by_key(ToString::to_string);
        let differs =
            |books: &Books| books.state.balance() != books.sum || books.state.promotional() != books.promotional;
        let states = self.wallets.iter().filter(|(_, books)| differs(books));
        let states: Vec<_> = states
            .map(|(wallet, books)| Discrepancy::State {
                wallet: wallet.clone(),
                sum: books.sum,
                held: books.state.balance(),
            })
            .collect();
        late.into_iter().chain(unclaimed).chain(states).for_each(|found| self.tell(found));
        let of_kind = |prefix: &str| self.entries.keys().filter(|cause| cause.starts_with(prefix)).count();
        Audited {
            entries: self.entries.len(),
            orders: of_kind("topup/"),
            periods: of_kind("charge/"),
            invoices: self.numbered.len(),
            wallets: self.wallets.into_iter().map(|(wallet, books)| (wallet, books.sum)).collect(),
            numbers: self.last_numbers,
            pending,
            discrepancies: self.discrepancies,
            count: self.count,
        }
    }

    fn tell(&mut self, found: Discrepancy) {
        self.count += 1;
        if self.discrepancies.len() < TOLD_MAX {
            self.discrepancies.push(found);
        }
    }

    /// Nothing is booked where nothing is due.
    fn owe(&mut self, owed: Owed, cause: String, amount: Rupiah, since: Timestamp) {
        if amount != Rupiah::ZERO {
            self.owed.push(Claim { owed, cause, amount, since });
        }
    }

    fn enter_wallet(&mut self, wallet: &str, at: i64, event: &WalletEvent) -> Option<Movement> {
        let books = self.wallets.entry(wallet.to_owned()).or_default();
        books.state.apply(event);
        let moved = moved(event)?;
        let before = books.sum;
        let after = Rupiah::new(before.amount().saturating_add(moved.amount.amount()));
        books.sum = after;
        let (left, part) = (books.promotional, moved.promotional);
        books.promotional = Rupiah::new(left.amount().saturating_add(part.amount()));
        let is_part = (part.amount() < 0) == (moved.amount.amount() < 0) || part == Rupiah::ZERO;
        if !is_part || part.amount().abs() > moved.amount.amount().abs() || books.promotional < Rupiah::ZERO {
            let (wallet, amount) = (wallet.to_owned(), moved.amount);
            self.tell(Discrepancy::Promotional { wallet, at, amount, part, left });
        }
        if moved.is_wrong_way {
            let amount = Rupiah::new(-moved.amount.amount().abs());
            self.tell(Discrepancy::NotPositive { wallet: wallet.to_owned(), at, amount });
        }
        if moved.stated != after {
            self.tell(Discrepancy::Balance { wallet: wallet.to_owned(), at, stated: moved.stated, sum: after });
        }
        self.enter_cause(wallet, at, &moved);
        Some(Movement {
            wallet: wallet.to_owned(),
            cause: moved.cause.key(),
            counter_account: moved.counter_account,
            amount: moved.amount,
            promotional: moved.promotional,
            before,
            after,
        })
    }

    fn enter_cause(&mut self, wallet: &str, at: i64, moved: &Moved<'_>) {
        let key = moved.cause.key();
        if let Some(first) = self.entries.get(&key).map(|entry| entry.at) {
            self.tell(twice(moved.cause, key, first, at));
            return;
        }
        match moved.cause {
            EntryCause::TopUp { order_id, .. } if !self.confirmed.contains(order_id) => {
                self.tell(Discrepancy::CreditUnfounded { order: order_id.clone(), at });
            }
            EntryCause::Coupon { use_id, .. } if !self.taken.contains(use_id) => {
                self.tell(Discrepancy::GrantUnfounded { use_id: use_id.clone(), at });
            }
            EntryCause::SubscriptionPeriodRefund { subscription_id, period } => {
                let charge = self.entries.get(&charge_key(subscription_id, *period));
                let charged = Rupiah::new(charge.map_or(0, |charge| charge.amount.amount().abs()));
                if moved.amount > charged {
                    let (cause, amount) = (key.clone(), moved.amount);
                    self.tell(Discrepancy::RefundTooLarge { cause, at, amount, charged });
                }
            }
            EntryCause::PlanChangeRefund { subscription_id, change } => {
                let paid = EntryCause::PlanChange { subscription_id: subscription_id.clone(), change: *change }.key();
                let charged = self.entries.get(&paid).map(|charge| Rupiah::new(charge.amount.amount().abs()));
                // Without a charge it is the difference to a cheaper plan.
                if let Some(charged) = charged.filter(|charged| moved.amount > *charged) {
                    let (cause, amount) = (key.clone(), moved.amount);
                    self.tell(Discrepancy::RefundTooLarge { cause, at, amount, charged });
                }
            }
            EntryCause::TopUp { .. }
            | EntryCause::TopUpTakenBack { .. }
            | EntryCause::TopUpRefund { .. }
            | EntryCause::TopUpRefundReturned { .. }
            | EntryCause::TopUpCreditedByHand { .. }
            | EntryCause::ManualTopUp { .. }
            | EntryCause::SubscriptionPeriod { .. }
            | EntryCause::PlanChange { .. }
            | EntryCause::Coupon { .. }
            | EntryCause::Adjustment { .. } => {}
        }
        self.entries.insert(key, Entry { wallet: wallet.to_owned(), amount: moved.amount, at, claimed: false });
    }

    fn enter_invoice(&mut self, id: &str, event: &InvoiceEvent) {
        match event {
            InvoiceEvent::InvoiceDrafted { subject, total, occurred_at, .. } => {
                self.owe(Owed::Invoice { id: id.to_owned() }, invoiced_key(subject), *total, *occurred_at);
            }
            InvoiceEvent::InvoiceIssued { number, .. } => {
                let issued = number.clone();
                match self.numbered.get_mut(id) {
                    Some(numbered) if numbered.number == issued => numbered.issued = true,
                    other => {
                        let numbered = other.map(|numbered| numbered.number.clone());
                        self.tell(Discrepancy::IssuedOtherwise { invoice: id.to_owned(), issued, numbered });
                    }
                }
            }
            InvoiceEvent::InvoicePaid { .. }
            | InvoiceEvent::InvoiceVoided { .. }
            | InvoiceEvent::InvoiceDownloaded { .. } => {}
        }
    }

    fn enter_number(&mut self, year: &str, event: &InvoiceBookEvent) {
        let InvoiceBookEvent::InvoiceNumberAssigned { invoice_id, number, occurred_at } = event;
        let before = self.last_numbers.insert(year.to_owned(), *number).unwrap_or(0);
        if *number != before + 1 {
            self.tell(Discrepancy::NumberGap { year: year.to_owned(), before, found: *number });
        }
        let printed = invoice_book::printed(year, *number);
        if let Some(first) = self.numbered.get(invoice_id).map(|one| one.number.clone()) {
            self.tell(Discrepancy::NumberedTwice { invoice: invoice_id.clone(), first, second: printed });
            return;
        }
        self.numbered.insert(invoice_id.clone(), Numbered { number: printed, since: *occurred_at, issued: false });
    }
}

/// What a wallet event does to the balance.
struct Moved<'a> {
    cause: &'a EntryCause,
    counter_account: Account,
    amount: Rupiah,
    promotional: Rupiah,
    stated: Rupiah,
    is_wrong_way: bool,
}

fn moved(event: &WalletEvent) -> Option<Moved<'_>> {
    let (sign, amount, promotional, stated, cause, counter_account) = match event {
        WalletEvent::WalletOpened { .. }
        | WalletEvent::WalletFundsAwaited { .. }
        | WalletEvent::WalletFundsNoLongerAwaited { .. }
        | WalletEvent::WalletFundsArrived { .. } => return None,
        WalletEvent::WalletCredited { amount, promotional, balance, cause, counter_account, .. }
        | WalletEvent::WalletRefunded { amount, promotional, balance, cause, counter_account, .. } => {
            (1, *amount, *promotional, *balance, cause, counter_account)
        }
        WalletEvent::WalletDebited { amount, promotional, balance, cause, counter_account, .. } => {
            (-1, *amount, *promotional, *balance, cause, counter_account)
        }
        WalletEvent::WalletReversed { amount, balance, cause, counter_account, .. } => {
            (-1, *amount, Rupiah::ZERO, *balance, cause, counter_account)
        }
        WalletEvent::WalletAdjusted { amount, promotional, balance, cause, counter_account, .. } => {
            (0, *amount, *promotional, *balance, cause, counter_account)
        }
    };
    let is_wrong_way = if sign == 0 { amount == Rupiah::ZERO } else { !amount.is_positive() };
    let signed = |sum: Rupiah| Rupiah::new(if sign < 0 { sum.amount().saturating_neg() } else { sum.amount() });
    let (amount, promotional) = (signed(amount), signed(promotional));
    Some(Moved { cause, counter_account: *counter_account, amount, promotional, stated, is_wrong_way })
}

fn twice(cause: &EntryCause, key: String, first: i64, at: i64) -> Discrepancy {
    match cause {
        EntryCause::TopUp { order_id, .. } => Discrepancy::CreditedTwice { order: order_id.clone(), first, at },
        EntryCause::SubscriptionPeriod { subscription_id, period } => {
            Discrepancy::ChargedTwice { subscription: subscription_id.clone(), period: *period, first, at }
        }
        EntryCause::TopUpTakenBack { .. }
        | EntryCause::TopUpRefund { .. }
        | EntryCause::TopUpRefundReturned { .. }
        | EntryCause::TopUpCreditedByHand { .. }
        | EntryCause::ManualTopUp { .. }
        | EntryCause::SubscriptionPeriodRefund { .. }
        | EntryCause::PlanChange { .. }
        | EntryCause::PlanChangeRefund { .. }
        | EntryCause::Coupon { .. }
        | EntryCause::Adjustment { .. } => Discrepancy::BookedTwice { cause: key, first, at },
    }
}

fn topup_key(order_id: &str) -> String {
    EntryCause::TopUp { topup_id: String::new(), order_id: order_id.to_owned() }.key()
}

fn coupon_key(use_id: &str) -> String {
    EntryCause::Coupon { coupon_id: String::new(), use_id: use_id.to_owned() }.key()
}

fn charge_key(subscription_id: &str, period: u32) -> String {
    EntryCause::SubscriptionPeriod { subscription_id: subscription_id.to_owned(), period }.key()
}

/// The entry that an invoice is about.
fn invoiced_key(subject: &InvoiceKind) -> String {
    match subject {
        InvoiceKind::TopUp { order_id, .. } => topup_key(order_id),
        InvoiceKind::Subscription { subscription_id, period, .. } => charge_key(subscription_id, period.number),
        InvoiceKind::PlanChange { subscription_id, change, .. } => {
            EntryCause::PlanChange { subscription_id: subscription_id.clone(), change: *change }.key()
        }
    }
}

/// The prefix of all claims on entries.
pub fn claim_prefix() -> String {
    entry_key(&EntryCause::Adjustment { key: String::new(), reason: String::new() })
        .split_once('/')
        .map_or_else(String::new, |(prefix, _)| format!("{prefix}/"))
}

#[cfg(test)]
mod tests;
