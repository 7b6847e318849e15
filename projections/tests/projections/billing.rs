//! Money as the customer sees it: balance, history, top-ups, invoices.

use minispod_events::{Account, EntryCause, SubscriptionEvent, TopUpEvent, WalletEvent};
use minispod_kernel::Rupiah;
use minispod_projections::{
    PageRequest,
    billing::{
        self, InvoiceFilter, TopUpStatus, TransactionFilter, TransactionRow, TransactionStatus, TransactionType,
    },
};
use minispod_testkit::require;

use crate::{
    facts::{SUBSCRIPTION, USER, journey, of_period, of_topup, order},
    world::{Log, World},
};

async fn history(world: &World) -> Vec<billing::TransactionView> {
    let filter = TransactionFilter { user_id: Some(USER.to_owned()), ..TransactionFilter::default() };
    billing::transactions(&world.pool, &filter, PageRequest::new(1, 50)).await.expect("answers").rows
}

/// Successful lines with their signs.
async fn sum_of_history(world: &World) -> i64 {
    history(world)
        .await
        .iter()
        .filter(|line| line.row.status == TransactionStatus::Success)
        .map(|line| match line.row.kind {
            TransactionType::ServicePurchase => -line.row.amount.amount(),
            _ => line.row.amount.amount(),
        })
        .sum()
}

async fn balance(world: &World) -> i64 {
    billing::wallet(&world.pool, USER).await.expect("answers").expect("a wallet").balance.amount()
}

#[tokio::test]
async fn a_top_up_is_pending_history_from_its_request_and_success_once_credited() {
    if !require("pg") {
        return;
    }
    let mut log = Log::default();
    log.registered().topup_requested("t1", 50_000);
    let world = World::after(&log, 1).await;
    let before = history(&world).await;
    assert_eq!(before.len(), 1);
    assert_eq!(before[0].row.status, TransactionStatus::Pending);
    assert_eq!(before[0].row.reference_id, order("t1", 1));
    assert_eq!(before[0].row.id, TransactionRow::id_of_topup("t1"));
    assert_eq!(billing::pending_topups(&world.pool, USER).await.expect("answers").amount, Rupiah::new(50_000));

    let known = log.facts.len();
    log.topup_confirmed("t1", 1, 50_000).credited("t1", 1, 50_000, 50_000);
    world.follow(&log.facts[known..], 1).await;
    let after = history(&world).await;
    assert_eq!(after.len(), 1, "the same line, not another one");
    assert_eq!(
        (after[0].row.status, after[0].row.payment_method.as_deref()),
        (TransactionStatus::Success, Some("qris"))
    );
    assert_eq!(after[0].row.created_at, before[0].row.created_at);
    let topup = billing::topup_by_order(&world.pool, &order("t1", 1)).await.expect("answers").expect("is known");
    assert_eq!(topup.row.status, TopUpStatus::Paid);
    assert_eq!(sum_of_history(&world).await, balance(&world).await);
}

#[tokio::test]
async fn two_paid_attempts_of_one_top_up_are_two_lines_that_add_up() {
    if !require("pg") {
        return;
    }
    let mut log = Log::default();
    log.registered()
        .topup_requested("t1", 50_000)
        .topup("t1", |occurred_at| TopUpEvent::TopUpExpired { order_id: order("t1", 1), occurred_at })
        .topup("t1", |occurred_at| TopUpEvent::TopUpAttemptStarted {
            attempt: 2,
            order_id: order("t1", 2),
            expires_at: occurred_at,
            occurred_at,
        })
        .topup_confirmed("t1", 2, 50_000)
        .credited("t1", 2, 50_000, 50_000)
        .topup_confirmed("t1", 1, 50_000)
        // The invoice of the second payment overtakes its credit.
        .drafted("i1", of_topup("t1", 1), 50_000)
        .issued("i1", "INV-2027-000001", of_topup("t1", 1), 50_000)
        .credited("t1", 1, 50_000, 100_000);
    let world = World::after(&log, 4).await;
    let lines = history(&world).await;
    let orders: Vec<&str> = lines.iter().map(|line| line.row.reference_id.as_str()).collect();
    assert_eq!(orders, [order("t1", 1), order("t1", 2)]);
    assert!(lines.iter().all(|line| line.row.status == TransactionStatus::Success));
    assert_eq!(lines[0].invoice.as_ref().map(|invoice| invoice.id.as_str()), Some("i1"));
    assert_eq!(lines[1].invoice, None);
    assert_eq!((sum_of_history(&world).await, balance(&world).await), (100_000, 100_000));
    for attempt in [1, 2] {
        let found = billing::topup_by_order(&world.pool, &order("t1", attempt)).await.expect("answers");
        assert_eq!(found.map(|topup| topup.row.order_id), Some(order("t1", 2)), "the order that paid it first");
    }
}

#[tokio::test]
async fn a_late_word_about_an_older_order_does_not_undo_a_paid_top_up() {
    if !require("pg") {
        return;
    }
    let mut log = Log::default();
    log.registered()
        .topup_requested("t1", 50_000)
        .topup_confirmed("t1", 1, 50_000)
        .credited("t1", 1, 50_000, 50_000)
        .topup("t1", |occurred_at| TopUpEvent::TopUpExpired { order_id: order("t1", 1), occurred_at });
    let world = World::after(&log, 2).await;
    let topup = billing::topup(&world.pool, "t1", Some(USER)).await.expect("answers").expect("is there");
    assert_eq!(topup.row.status, TopUpStatus::Paid);
    assert_eq!(history(&world).await[0].row.status, TransactionStatus::Success);
}

#[tokio::test]
async fn an_expired_top_up_shows_as_expired_in_the_history_too() {
    if !require("pg") {
        return;
    }
    let mut log = Log::default();
    log.registered()
        .topup_requested("t1", 50_000)
        .topup("t1", |occurred_at| TopUpEvent::TopUpExpired { order_id: order("t1", 1), occurred_at });
    let world = World::after(&log, 9).await;
    assert_eq!(history(&world).await[0].row.status, TransactionStatus::Expired);
    assert_eq!(billing::pending_topups(&world.pool, USER).await.expect("answers").count, 0);
}

#[tokio::test]
async fn a_free_period_is_booked_with_amount_zero_and_its_invoice() {
    if !require("pg") {
        return;
    }
    let mut log = Log::default();
    log.registered()
        .requested(SUBSCRIPTION, 0)
        .charged(SUBSCRIPTION, 0)
        .drafted("i1", of_period(SUBSCRIPTION, 1), 0)
        .issued("i1", "INV-2027-000001", of_period(SUBSCRIPTION, 1), 0);
    let world = World::after(&log, 1).await;
    let lines = history(&world).await;
    assert_eq!(lines.len(), 1);
    assert_eq!((lines[0].row.kind, lines[0].row.amount), (TransactionType::ServicePurchase, Rupiah::ZERO));
    assert_eq!(lines[0].row.status, TransactionStatus::Success);
    assert_eq!(lines[0].invoice.as_ref().map(|invoice| invoice.number.as_str()), Some("INV-2027-000001"));
}

#[tokio::test]
async fn the_history_adds_up_to_the_balance_through_refunds_reversals_and_adjustments() {
    if !require("pg") {
        return;
    }
    let mut log = journey();
    let entry = |amount: i64, balance: i64| (Rupiah::new(amount), Rupiah::new(balance));
    log.wallet(|occurred_at| {
        let (amount, balance) = entry(25_000, 100_000);
        let cause = EntryCause::SubscriptionPeriodRefund { subscription_id: SUBSCRIPTION.to_owned(), period: 1 };
        WalletEvent::WalletRefunded {
            amount,
            balance,
            promotional: Rupiah::ZERO,
            cause,
            counter_account: Account::Refunds,
            occurred_at,
        }
    })
    .subscription(SUBSCRIPTION, |occurred_at| SubscriptionEvent::SubscriptionRefunded {
        user_id: USER.to_owned(),
        display_name: "n8n - basic".to_owned(),
        amount: Rupiah::new(25_000),
        period: 1,
        occurred_at,
    })
    .wallet(|occurred_at| {
        let (amount, balance) = entry(-30_000, 70_000);
        let cause = EntryCause::Adjustment { key: "k".to_owned(), reason: "correction".to_owned() };
        WalletEvent::WalletAdjusted {
            amount,
            balance,
            promotional: Rupiah::ZERO,
            cause,
            counter_account: Account::Adjustments,
            occurred_at,
        }
    })
    .wallet(|occurred_at| {
        let (amount, balance) = entry(100_000, -30_000);
        let (topup_id, order_id) = ("t1".to_owned(), order("t1", 1));
        let cause = EntryCause::TopUpTakenBack { topup_id, order_id, key: "cb".to_owned() };
        WalletEvent::WalletReversed { amount, balance, cause, counter_account: Account::Disputes, occurred_at }
    });
    let world = World::after(&log, 3).await;
    assert_eq!((sum_of_history(&world).await, balance(&world).await), (-30_000, -30_000));
    let refund = &history(&world).await[2].row;
    assert_eq!((refund.kind, refund.description.as_str()), (TransactionType::Refund, "Refund: n8n - basic"));
    let totals = billing::totals(&world.pool, &TransactionFilter::default()).await.expect("answers");
    assert_eq!((totals.total, totals.successful), (5, 5));
    assert_eq!((totals.topup_amount, totals.adjustment_amount), (Rupiah::new(100_000), Rupiah::new(-130_000)));
}

#[tokio::test]
async fn others_cannot_see_a_customers_money_and_unnumbered_invoices_nobody() {
    if !require("pg") {
        return;
    }
    let mut log = journey();
    log.drafted("i3", of_period(SUBSCRIPTION, 2), 25_000);
    let world = World::after(&log, 100).await;
    let pool = &world.pool;
    let line = TransactionRow::id_of_topup("t1");
    assert!(billing::transaction(pool, &line, Some(USER)).await.expect("answers").is_some());
    assert!(billing::transaction(pool, &line, Some("somebody")).await.expect("answers").is_none());
    assert!(billing::topup(pool, "t1", Some("somebody")).await.expect("answers").is_none());
    assert!(billing::invoice(pool, "i1", Some("somebody")).await.expect("answers").is_none());
    assert!(billing::invoice(pool, "i3", Some(USER)).await.expect("answers").is_none());
    let filter = InvoiceFilter { user_id: Some(USER.to_owned()), ..InvoiceFilter::default() };
    let invoices = billing::invoices(pool, &filter, PageRequest::new(1, 10)).await.expect("answers");
    let numbers: Vec<_> = invoices.rows.iter().filter_map(|invoice| invoice.number.clone()).collect();
    assert_eq!((invoices.total, numbers), (2, vec!["INV-2027-000002".to_owned(), "INV-2027-000001".to_owned()]));
    assert_eq!(invoices.rows[0].lines.len(), 1);
}

#[tokio::test]
async fn each_account_brings_its_own_newest_lines_and_no_more_than_asked_for() {
    if !require("pg") {
        return;
    }
    let mut log = Log::default();
    log.registered();
    for number in 1..=3 {
        log.topup_requested(&format!("t{number}"), 10_000 * number);
    }
    let world = World::after(&log, 2).await;
    let ids = [USER.to_owned(), "nobody".to_owned()];
    let lines = billing::newest_of_users(&world.pool, &ids, 2).await.expect("answers");
    let amounts: Vec<i64> = lines.iter().map(|line| line.amount.amount()).collect();
    assert_eq!(amounts, [30_000, 20_000]);
    assert!(billing::newest_of_users(&world.pool, &ids[1..], 2).await.expect("answers").is_empty());
}

#[tokio::test]
async fn what_is_earned_is_bought_and_not_given_back_w31() {
    if !require("pg") {
        return;
    }
    let world = World::after(&journey(), 50).await;
    let totals = billing::totals(&world.pool, &TransactionFilter::default()).await.expect("answers");
    assert!(totals.topup_amount > totals.purchase_amount, "the journey pays in more than it spends");
    assert_eq!(totals.earned().amount(), totals.purchase_amount.amount() - totals.refund_amount.amount());
    let nothing = TransactionFilter { user_id: Some("nobody".to_owned()), ..TransactionFilter::default() };
    let nothing = billing::totals(&world.pool, &nothing).await.expect("answers");
    assert_eq!((nothing.total, nothing.earned()), (0, Rupiah::ZERO));
}
