//! The books: balanced transactions, and what is refused as none.

use minispod_events::{Account, EntryCause, Fact, WalletEvent};
use minispod_kernel::Rupiah;
use minispod_projections::{
    Projection as _, ProjectionError,
    ledger::{self, Booked, EntryKind, Ledger},
};
use minispod_testkit::require;
use sqlx::Executor;

use crate::{
    facts::{SUBSCRIPTION, USER, journey},
    world::{Log, World},
};

async fn booked(world: &World) -> Vec<Booked> {
    let mut db = world.pool.acquire().await.expect("a connection");
    ledger::booked_after(&mut db, 0, 100).await.expect("answers")
}

async fn balance_of(world: &World, account: &str) -> i64 {
    let sql = "SELECT coalesce(sum(balance), 0)::bigint FROM read.ledger_balances WHERE account = $1";
    sqlx::query_scalar(sql).bind(account).fetch_one(&world.pool).await.expect("answers")
}

/// Why the books do not take `facts`.
async fn refusal(world: &World, facts: &[Fact]) -> String {
    let mut tx = world.pool.begin().await.expect("a transaction begins");
    tx.execute("SET LOCAL search_path TO generation").await.expect("the search path is set");
    match Ledger.apply(&mut tx, facts).await.expect_err("the books refuse it") {
        ProjectionError::Contradiction { what } => what,
        other @ ProjectionError::Database { .. } => panic!("another refusal: {other}"),
    }
}

fn refunded(log: &mut Log, balance: i64) {
    log.wallet(|occurred_at| WalletEvent::WalletRefunded {
        amount: Rupiah::new(25_000),
        balance: Rupiah::new(balance),
        promotional: Rupiah::ZERO,
        cause: EntryCause::SubscriptionPeriodRefund { subscription_id: SUBSCRIPTION.to_owned(), period: 1 },
        counter_account: Account::Refunds,
        occurred_at,
    });
}

#[tokio::test]
async fn every_movement_is_a_transaction_of_two_legs_and_the_accounts_are_their_sums() {
    if !require("pg") {
        return;
    }
    let mut log = journey();
    refunded(&mut log, 100_000);
    let world = World::after(&log, 4).await;
    let booked = booked(&world).await;
    let told: Vec<_> = booked.iter().map(|one| (one.row.kind, one.row.amount.amount(), one.legs.len())).collect();
    assert_eq!(told, [(EntryKind::TopUp, 100_000, 2), (EntryKind::Charge, -25_000, 2), (EntryKind::Refund, 25_000, 2)]);
    let balances: Vec<_> = booked.iter().map(|one| (one.row.balance_before, one.row.balance_after)).collect();
    assert_eq!(balances.iter().map(|(_, after)| after.amount()).collect::<Vec<_>>(), [100_000, 75_000, 100_000]);
    assert!(balances.windows(2).all(|pair| pair[0].1 == pair[1].0), "each begins where the one before ended");
    assert_eq!(booked[0].row.day, "2027-01-15");
    let wallet = ledger::wallet_account(USER);
    for (account, holds) in
        [(wallet.as_str(), 100_000), ("gateway_clearing", -100_000), ("revenue", 25_000), ("refunds", -25_000)]
    {
        assert_eq!(balance_of(&world, account).await, holds, "{account}");
    }
    let mut db = world.pool.acquire().await.expect("a connection");
    let totals = ledger::totals(&mut db).await.expect("answers");
    assert_eq!((totals.transactions, totals.legs, totals.sum, totals.balances), (3, 6, Rupiah::ZERO, Rupiah::ZERO));
}

#[tokio::test]
async fn what_was_given_is_an_account_of_its_own_and_revenue_tells_how_much_of_it_was_given() {
    if !require("pg") {
        return;
    }
    let mut log = journey();
    let before = World::after(&log, log.facts.len()).await;
    let (balance, revenue) = (held(&before).await, earned(&before).await);
    let (given, price) = (20_000, 25_000);
    log.wallet(|occurred_at| WalletEvent::WalletCredited {
        amount: Rupiah::new(given),
        balance: Rupiah::new(balance + given),
        promotional: Rupiah::new(given),
        cause: EntryCause::Coupon { coupon_id: "c".to_owned(), use_id: "u".to_owned() },
        counter_account: Account::Promotions,
        occurred_at,
    });
    log.wallet(|occurred_at| WalletEvent::WalletDebited {
        amount: Rupiah::new(price),
        balance: Rupiah::new(balance + given - price),
        promotional: Rupiah::new(given),
        cause: EntryCause::SubscriptionPeriod { subscription_id: "other".to_owned(), period: 1 },
        counter_account: Account::Revenue,
        occurred_at,
    });
    let world = World::after(&log, log.facts.len()).await;
    let paid = balance - (price - given);
    for (account, holds) in [
        (ledger::wallet_account(USER), paid),
        (ledger::promotional_account(USER), 0),
        ("promotions".to_owned(), -given),
    ] {
        assert_eq!(balance_of(&world, &account).await, holds, "{account}");
    }
    let (gross, promotional) = earned(&world).await;
    assert_eq!((gross, promotional), (revenue.0 + price, revenue.1 + given));
    let shown = minispod_projections::billing::wallet(&world.pool, USER).await.expect("answers").expect("a wallet");
    assert_eq!((shown.balance.amount(), shown.promotional.amount()), (paid, 0));
}

async fn held(world: &World) -> i64 {
    balance_of(world, &ledger::wallet_account(USER)).await
}

/// Gross revenue, and how much of it was given.
async fn earned(world: &World) -> (i64, i64) {
    let rows = ledger::revenue(&world.pool, &ledger::Days::default(), ledger::Step::Month).await.expect("answers");
    rows.iter().fold((0, 0), |(gross, given), row| (gross + row.gross.amount(), given + row.promotional.amount()))
}

#[tokio::test]
async fn an_event_that_drifts_from_the_books_is_named_with_its_ids_and_amounts() {
    if !require("pg") {
        return;
    }
    let world = World::after(&journey(), 9).await;
    let mut log = journey();
    let known = log.facts.len();
    refunded(&mut log, 100_001);
    let what = refusal(&world, &log.facts[known..]).await;
    for part in [USER, "position", "WalletRefunded", "100001", "75000", "25000"] {
        assert!(what.contains(part), "{part} is not in: {what}");
    }
    assert_eq!(booked(&world).await.len(), 2, "nothing of it is booked");
}

#[tokio::test]
async fn a_cause_is_booked_once_and_money_never_the_wrong_way() {
    if !require("pg") {
        return;
    }
    let world = World::after(&journey(), 9).await;
    let mut log = journey();
    let known = log.facts.len();
    log.credited("t1", 1, 100_000, 175_000);
    let what = refusal(&world, &log.facts[known..]).await;
    assert!(what.contains("topup/TU-t1.1") && what.contains("again"), "{what}");
    let mut log = journey();
    log.debited(SUBSCRIPTION, 2, -5_000, 80_000);
    let what = refusal(&world, &log.facts[known..]).await;
    assert!(what.contains("-5000") && what.contains("not above zero"), "{what}");
}

#[tokio::test]
async fn the_database_itself_refuses_legs_that_do_not_add_up() {
    if !require("pg") {
        return;
    }
    let world = World::after(&journey(), 9).await;
    let id = booked(&world).await[0].row.id.clone();
    let changes = [
        format!("UPDATE generation.ledger_legs SET amount = amount + 1 WHERE id = '{id}/0'"),
        format!("DELETE FROM generation.ledger_legs WHERE id = '{id}/0'"),
        format!("DELETE FROM generation.ledger_legs WHERE transaction_id = '{id}'"),
        "INSERT INTO generation.ledger_transactions SELECT 'x', 99, 'x', user_id, kind, 'x', amount, promotional, balance_before, \
         balance_after, counter_account, NULL, NULL, NULL, NULL, NULL, day, created_at \
         FROM generation.ledger_transactions LIMIT 1"
            .to_owned(),
    ];
    for change in changes {
        let refused = world.pool.execute(change.as_str()).await.expect_err(&change).to_string();
        assert!(refused.contains("legs that add up to"), "{change}: {refused}");
    }
    let both = format!(
        "WITH one AS (UPDATE generation.ledger_legs SET amount = amount + 1 WHERE id = '{id}/0') \
         UPDATE generation.ledger_legs SET amount = amount - 1 WHERE id = '{id}/1'"
    );
    world.pool.execute(both.as_str()).await.expect("both legs together balance");
}
