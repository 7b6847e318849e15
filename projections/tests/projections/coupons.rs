//! Coupons, what is left of them, and who used them for what.

use minispod_events::{
    BillingCycle, CouponEvent, CouponKind, CouponPurpose, CouponStatus, CouponUse, CouponUseEvent, Discount, Event,
    SubscriptionEvent,
};
use minispod_kernel::Rupiah;
use minispod_projections::{
    PageRequest,
    coupons::{self, CouponFilter, CouponKindWord, CouponStanding, UseFilter},
};
use minispod_testkit::require;

use crate::{
    facts::{SUBSCRIPTION, USER},
    world::{Log, World, second},
};

const CREDIT: CouponKind = CouponKind::Credit { amount: Rupiah::new(20_000) };
const LESS: CouponKind = CouponKind::Discount { less: Discount::Percent { percent: 20 } };

fn used(id: &str, purpose: CouponPurpose) -> CouponUse {
    CouponUse { use_id: id.to_owned(), user_id: USER.to_owned(), purpose }
}

fn sale() -> CouponUse {
    used(
        SUBSCRIPTION,
        CouponPurpose::Sale {
            subscription_id: SUBSCRIPTION.to_owned(),
            offering: "n8n".to_owned(),
            variant: "basic".to_owned(),
            cycle: BillingCycle::Monthly,
            price: Rupiah::new(25_000),
        },
    )
}

/// Two coupons; one gave money, the other made a sale cheaper that came to nothing.
fn log() -> Log {
    let mut log = Log::default();
    log.offered("c1", "TOPUP20K", CREDIT).taken("c1", CREDIT, used("u1", CouponPurpose::Redemption));
    log.offered("c2", "SAVE20", LESS).taken("c2", LESS, sale());
    log.subscription(SUBSCRIPTION, |occurred_at| SubscriptionEvent::SubscriptionDiscounted {
        user_id: USER.to_owned(),
        coupon_id: "c2".to_owned(),
        less: Discount::Percent { percent: 20 },
        list_price: Rupiah::new(25_000),
        discount: Rupiah::new(5_000),
        price: Rupiah::new(20_000),
        occurred_at,
    });
    log
}

fn given_back(log: &mut Log) {
    log.add("coupon_use", "use-of-c2", |occurred_at| {
        Event::CouponUses(CouponUseEvent::CouponUseReturned { coupon_id: "c2".to_owned(), used: sale(), occurred_at })
    });
    log.coupon("c2", |occurred_at| CouponEvent::CouponReleased { used: sale(), refused: None, occurred_at });
}

#[tokio::test]
async fn a_use_is_counted_and_told_with_what_it_gave_until_it_goes_back() {
    if !require("pg") {
        return;
    }
    let mut log = log();
    let world = World::after(&log, log.facts.len()).await;
    let of_user = UseFilter { user_id: Some(USER.to_owned()), ..UseFilter::default() };
    let page = coupons::uses(&world.pool, &of_user, PageRequest::new(1, 10)).await.expect("answers");
    let told: Vec<_> = page.rows.iter().map(|row| (row.id.as_str(), row.credit, row.discount)).collect();
    assert_eq!(told, [(SUBSCRIPTION, None, Some(Rupiah::new(5_000))), ("u1", Some(Rupiah::new(20_000)), None)]);
    assert_eq!(coupons::uses_of(&world.pool, "c2", USER).await.expect("answers"), 1);

    given_back(&mut log);
    let world = World::after(&log, log.facts.len()).await;
    assert_eq!(coupons::uses_of(&world.pool, "c2", USER).await.expect("answers"), 0);
    let coupon = coupons::by_code(&world.pool, "SAVE20").await.expect("answers").expect("a coupon");
    assert_eq!((coupon.used, coupon.was_used), (0, true));
    let kept = coupons::uses(&world.pool, &of_user, PageRequest::new(1, 10)).await.expect("answers");
    assert!(kept.rows[0].returned_at.is_some(), "the history keeps it");
    let sums = coupons::statistics(&world.pool, second(0), second(9_999)).await.expect("answers");
    assert_eq!((sums.coupons, sums.active, sums.uses), (2, 2, 1));
    assert_eq!((sums.credited.amount(), sums.discounted.amount()), (20_000, 0), "what came to nothing cost nothing");
    let kinds = coupons::uses_by_kind(&world.pool, second(0)).await.expect("answers");
    assert_eq!(kinds.iter().map(|row| (row.kind, row.uses)).collect::<Vec<_>>(), [(CouponKindWord::Credit, 1)]);
    let top = coupons::top(&world.pool, second(0)).await.expect("answers");
    assert_eq!(top.iter().map(|row| (row.id.as_str(), row.uses)).collect::<Vec<_>>(), [("c1", 1)]);
    let later = coupons::statistics(&world.pool, second(9_999), second(9_999)).await.expect("answers");
    assert_eq!((later.uses, later.uses_since), (1, 0));
}

#[tokio::test]
async fn how_a_coupon_stands_is_seen_from_its_status_its_time_and_its_uses() {
    if !require("pg") {
        return;
    }
    let mut log = log();
    log.coupon("c1", |occurred_at| CouponEvent::CouponStatusChanged {
        status: CouponStatus::Disabled,
        worth: CREDIT,
        occurred_at,
    });
    log.coupon("c2", |occurred_at| CouponEvent::CouponRevised {
        name: "Other".to_owned(),
        description: "Text".to_owned(),
        limits: minispod_events::CouponLimits { uses: 1, uses_each: 1 },
        window: minispod_events::CouponWindow { from: second(0), until: Some(second(5_000)) },
        occurred_at,
    });
    log.offered("c3", "GONE", CREDIT);
    log.coupon("c3", |occurred_at| CouponEvent::CouponDeleted { code: "GONE".to_owned(), worth: CREDIT, occurred_at });
    let world = World::after(&log, log.facts.len()).await;
    let (early, late) = (second(100), second(6_000));
    for (standing, now, expected) in [
        (CouponStanding::Disabled, early, vec!["c1"]),
        (CouponStanding::UsedUp, early, vec!["c2"]),
        (CouponStanding::Expired, early, vec![]),
        (CouponStanding::Expired, late, vec!["c2"]),
        (CouponStanding::Active, early, vec![]),
    ] {
        let filter = CouponFilter { standing: Some((standing, now)), ..CouponFilter::default() };
        let page = coupons::page(&world.pool, &filter, PageRequest::new(1, 10)).await.expect("answers");
        let found: Vec<_> = page.rows.iter().map(|row| row.id.as_str()).collect();
        assert_eq!(found, expected, "{standing} at {now}");
        assert!(page.rows.iter().all(|row| row.standing(now) == standing), "one answer, two ways");
    }
    for (search, expected) in [("save", vec!["c2"]), ("OTHER", vec!["c2"]), ("%", vec![]), ("gone", vec![])] {
        let filter = CouponFilter { search: Some(search.to_owned()), ..CouponFilter::default() };
        let page = coupons::page(&world.pool, &filter, PageRequest::new(1, 10)).await.expect("answers");
        assert_eq!(page.rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), expected, "{search}");
    }
    assert_eq!(coupons::by_code(&world.pool, "GONE").await.expect("answers"), None);
    assert_eq!(coupons::find(&world.pool, "c3").await.expect("answers"), None);
}
