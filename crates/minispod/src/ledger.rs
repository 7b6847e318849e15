//! `minispod ledger verify`: the money of the log is replayed, and the books of the read model compared entry by entry.

use minispod_domain::audit::{AUDITED, Audit, Audited, Movement, TOLD_MAX, claim_prefix};
use minispod_events::{DecodeError, Fact};
use minispod_kernel::{InsSeq, LogPosition, Rupiah};
use minispod_projections::{
    Projection as _, ProjectionError,
    ledger::{self, Booked, Ledger, account_name, promotional_account, wallet_account},
};
use minispod_store::{Snapshot, StoreError};

use crate::{
    cli::Source,
    roles::{Parts, RoleError},
    state::StateError,
};

/// Rows of the read model read at once.
const PAGE: i64 = 5_000;
/// Insertion numbers between two lines of progress.
const TELL_EVERY: i64 = 200_000;

/// Why the books could not be verified, or what is wrong with them.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Role(#[from] RoleError),
    #[error("the log could not be read")]
    Store(#[from] StoreError),
    #[error("an event could not be read")]
    Event(#[from] DecodeError),
    #[error("the books could not be read")]
    Books(#[from] ProjectionError),
    #[error("the books are not as the log says: {0} differences")]
    Differences(usize),
}

/// Checks and prints; an error when anything differs.
pub async fn verify(source: Source) -> Result<(), LedgerError> {
    let parts = Parts::connect(source.load_checked()?).await?;
    let mut snapshot = Snapshot::take(&parts.store).await?;
    // Read after the snapshot was taken: what it does not show yet is younger than this.
    let now = parts.clock.now();
    let last = snapshot.last().await?;
    let shown = snapshot.checkpoint(Ledger.name()).await?;
    let mut comparison = Comparison { shown: shown.unwrap_or(LogPosition(0)), ..Comparison::default() };
    let mut audit = Audit::default();
    let (mut at, mut told) = (InsSeq(0), 0);
    while at < last {
        let (events, reached) = snapshot.events(&AUDITED, at).await?;
        for recorded in events {
            let (id, position) = (recorded.aggregate_id.clone(), recorded.position);
            let fact = Fact::read(recorded)?;
            if let Some(movement) = audit.enter(&id, position.0, &fact.event) {
                comparison.next(&mut snapshot, position, &movement).await?;
            }
        }
        at = reached;
        if at.0 - told >= TELL_EVERY && at < last {
            told = at.0;
            eprintln!("{} of {} events are read", at.0, last.0);
        }
    }
    comparison.end(&mut snapshot).await?;
    claims(&mut snapshot, &mut audit).await?;
    let audited = audit.finish(now);
    let totals = ledger::totals(snapshot.connection()).await?;
    comparison.check_totals(&totals);
    comparison.check_balances(&mut snapshot).await?;
    if shown.is_none() {
        comparison.tell(format!("the read model {} does not exist", Ledger.name()));
    }
    print(&audited, &comparison, &totals);
    let count = audited.count + comparison.count;
    if count > 0 { Err(LedgerError::Differences(count)) } else { Ok(()) }
}

async fn claims(snapshot: &mut Snapshot, audit: &mut Audit) -> Result<(), LedgerError> {
    let (prefix, mut after) = (claim_prefix(), String::new());
    loop {
        let page = snapshot.claims(&prefix, &after).await?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after.clone_from(last);
        for (claim, holder) in &page {
            audit.enter_claim(claim, holder);
        }
    }
}

fn print(audited: &Audited, comparison: &Comparison, totals: &ledger::Totals) {
    let held = audited.wallets.values().map(|balance| i128::from(balance.amount())).sum::<i128>();
    println!("wallets       {:>9} hold {held} rupiah, each the sum of its entries", audited.wallets.len());
    println!("entries       {:>9} in the log, each with a claim of its own", audited.entries);
    println!("orders        {:>9} credited, none twice", audited.orders);
    println!("periods       {:>9} charged, none twice", audited.periods);
    println!("invoices      {:>9} numbered", audited.invoices);
    for (year, last) in &audited.numbers {
        println!("              {last:>9} is the last number of {year}, without a gap");
    }
    println!(
        "read model    {:>9} transactions of {} legs that add up to {}, up to position {}",
        totals.transactions, totals.legs, totals.sum, comparison.shown.0
    );
    println!(
        "              {:>9} of them compared with the log, {} accounts",
        comparison.compared, comparison.accounts
    );
    if audited.pending > 0 {
        println!("on its way    {:>9} facts whose entry, claim or number is still to come", audited.pending);
    }
    let (of_log, of_books) = (&audited.discrepancies, &comparison.differences);
    for found in of_log {
        println!("DIFFERENCE    {found}");
    }
    for found in of_books {
        println!("DIFFERENCE    {found}");
    }
    let untold = audited.count + comparison.count - of_log.len() - of_books.len();
    if untold > 0 {
        println!("              {untold:>9} differences more");
    }
    if audited.count + comparison.count == 0 {
        println!("the books are as the log says");
    }
}

/// The read model walked through beside the log.
#[derive(Default)]
struct Comparison {
    /// Up to here the read model knows the log.
    shown: LogPosition,
    page: std::collections::VecDeque<Booked>,
    /// The last row that was read.
    read: i64,
    compared: usize,
    accounts: usize,
    /// What each account must hold: the sum of its legs, and how many they are.
    sums: std::collections::BTreeMap<String, (i128, i64)>,
    differences: Vec<String>,
    count: usize,
}

impl Comparison {
    fn tell(&mut self, difference: String) {
        self.count += 1;
        if self.differences.len() < TOLD_MAX {
            self.differences.push(difference);
        }
    }

    async fn row(&mut self, snapshot: &mut Snapshot) -> Result<Option<&Booked>, LedgerError> {
        if self.page.is_empty() {
            let rows = ledger::booked_after(snapshot.connection(), self.read, PAGE).await?;
            self.read = rows.last().map_or(self.read, |row| row.row.position);
            self.page = rows.into();
        }
        Ok(self.page.front())
    }

    /// The log's next movement against the read model's next row.
    async fn next(
        &mut self,
        snapshot: &mut Snapshot,
        position: LogPosition,
        movement: &Movement,
    ) -> Result<(), LedgerError> {
        if position.0 == 0 || position > self.shown {
            return Ok(());
        }
        self.add(movement);
        while self.row(snapshot).await?.is_some_and(|row| row.row.position < position.0) {
            self.surplus();
        }
        let is_there = self.row(snapshot).await?.is_some_and(|row| row.row.position == position.0);
        match self.page.pop_front().filter(|_| is_there) {
            Some(row) => {
                self.compared += 1;
                if let Some(what) = unlike(movement, &row) {
                    self.tell(format!("{} at position {}: {what}", movement.cause, position.0));
                }
            }
            None => self.tell(format!("{} at position {} is not in the read model", movement.cause, position.0)),
        }
        Ok(())
    }

    fn add(&mut self, movement: &Movement) {
        for (account, amount) in legs(movement) {
            let sum = self.sums.entry(account).or_default();
            *sum = (sum.0 + amount, sum.1 + 1);
        }
    }

    fn surplus(&mut self) {
        if let Some(row) = self.page.pop_front() {
            self.tell(format!("{} at position {} is in the read model only", row.row.cause, row.row.position));
        }
    }

    async fn end(&mut self, snapshot: &mut Snapshot) -> Result<(), LedgerError> {
        while self.row(snapshot).await?.is_some() {
            self.surplus();
        }
        Ok(())
    }

    fn check_totals(&mut self, totals: &ledger::Totals) {
        for (what, sum) in [("legs", totals.sum), ("accounts", totals.balances)] {
            if sum != Rupiah::ZERO {
                self.tell(format!("all {what} of the read model add up to {sum} instead of 0"));
            }
        }
    }

    async fn check_balances(&mut self, snapshot: &mut Snapshot) -> Result<(), LedgerError> {
        let mut sums = std::mem::take(&mut self.sums);
        let mut after = String::new();
        loop {
            let page = ledger::balances_after(snapshot.connection(), &after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.account);
            for row in page {
                self.accounts += 1;
                let (sum, entries) = sums.remove(&row.account).unwrap_or_default();
                if (i128::from(row.balance.amount()), row.entries) != (sum, entries) {
                    let (held, count) = (row.balance, row.entries);
                    self.tell(format!(
                        "account {} holds {held} of {count} entries, the log has {sum} of {entries}",
                        row.account
                    ));
                }
            }
        }
        for (account, (sum, entries)) in sums {
            self.tell(format!("account {account} with {sum} of {entries} entries is not in the read model"));
        }
        Ok(())
    }
}

/// What was paid in, what was given, and our side; what moves nothing is no leg.
fn legs(movement: &Movement) -> Vec<(String, i128)> {
    let whole = i128::from(movement.amount.amount());
    let given = i128::from(movement.promotional.amount());
    let legs = [
        (wallet_account(&movement.wallet), whole - given),
        (promotional_account(&movement.wallet), given),
        (account_name(movement.counter_account).to_owned(), -whole),
    ];
    legs.into_iter().filter(|(_, amount)| *amount != 0).collect()
}

/// What of a row differs from the movement that it is to show.
fn unlike(movement: &Movement, booked: &Booked) -> Option<String> {
    let row = &booked.row;
    let shown = (row.user_id.as_str(), row.cause.as_str(), row.counter_account.as_str());
    let said = (movement.wallet.as_str(), movement.cause.as_str(), account_name(movement.counter_account));
    if shown != said {
        return Some(format!("the read model has {shown:?} instead of {said:?}"));
    }
    let shown = [row.balance_before, row.amount, row.balance_after];
    let said = [movement.before, movement.amount, movement.after];
    if shown != said {
        return Some(format!("the read model has balance, amount and balance {shown:?} instead of {said:?}"));
    }
    let mut shown: Vec<(String, i128)> =
        booked.legs.iter().map(|leg| (leg.account.clone(), i128::from(leg.amount.amount()))).collect();
    let mut said = legs(movement);
    shown.sort();
    said.sort();
    (shown != said).then(|| format!("the read model has the legs {shown:?} instead of {said:?}"))
}
