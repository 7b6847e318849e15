//! Hundreds of customers for two years, with every rule checked every day.

use minispod_kernel::Timestamp;
use time::macros::datetime;

use super::memory_world::{MemoryWorld, run};
use crate::simulation::{Size, findings::Tally, play};

/// What must have happened at least so often, or the years prove nothing about it.
const REACHED: &[(&str, u64)] = &[
    ("SubscriptionActivated", 300),
    ("SubscriptionRenewed", 300),
    ("SubscriptionRenewalFailed", 20),
    ("SubscriptionProvisioningFailed", 20),
    ("SubscriptionRefunded", 20),
    ("SubscriptionSuspended", 20),
    ("SubscriptionResumed", 20),
    ("SubscriptionResumeFailed", 1),
    ("SubscriptionExtended", 20),
    ("SubscriptionExpired", 20),
    ("SubscriptionCancelled", 50),
    ("SubscriptionEndApproaching", 500),
    ("SubscriptionGraceStarted", 50),
    ("WalletFundsArrived", 20),
    ("SubscriptionDataEndApproaching", 50),
    ("SubscriptionPurged", 50),
    ("SubscriptionCancellationScheduled", 20),
    ("SubscriptionCancellationWithdrawn", 1),
    ("SubscriptionDowngradeScheduled", 10),
    ("SubscriptionDowngradeWithdrawn", 1),
    ("SubscriptionPlanChanged", 20),
    ("SubscriptionPlanChangeFailed", 10),
    ("SubscriptionPlanChangeReverted", 5),
    ("wanted a service: refused, plan-sold-out", 20),
    ("wanted a service: refused, wallet-insufficient-balance", 20),
    ("wanted a service: refused, claim-taken", 5),
    ("WalletCredited", 1_000),
    ("WalletReversed", 50),
    ("TopUpReversed", 10),
    ("TopUpRefunded", 10),
    ("TopUpRefundConfirmed", 5),
    ("TopUpChargedBack", 10),
    ("TopUpDenied", 50),
    ("TopUpExpired", 50),
    ("TopUpCancelled", 10),
    ("TopUpHeld", 20),
    ("TopUpAttemptStarted", 10),
    ("the gateway is asked again", 1),
    ("a wallet was adjusted: refused, wallet-insufficient-balance", 1),
    ("SubscriptionDiscounted", 50),
    ("CouponUseReturned", 5),
    ("WelcomeCouponOffered", 100),
    ("entered a code: refused, coupon-used-up", 1),
    ("PlanRetired", 1),
    ("PlanCapacityChanged", 1),
];

/// From June 2027, so that a leap day and two turns of the year are inside.
fn size(customers: usize, days: u32) -> Size {
    let from = Timestamp::new(datetime!(2027-06-15 00:00 +7));
    let rushes = [
        datetime!(2027-07-31 00:00 +7),
        datetime!(2027-08-29 00:00 +7),
        datetime!(2027-08-30 00:00 +7),
        datetime!(2027-12-31 00:00 +7),
        datetime!(2028-01-30 00:00 +7),
        datetime!(2028-01-31 00:00 +7),
        datetime!(2028-02-29 00:00 +7),
    ];
    let rushes = rushes.into_iter().map(Timestamp::new).collect();
    Size { customers, from, days, arrivals: days * 6 / 10, lag: 150, rushes }
}

#[expect(clippy::disallowed_methods, reason = "a failure is replayed by its seed, and the long run is asked for")]
fn asked(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

fn simulate(size: &Size, seed: u64) -> Tally {
    let (world, tally) = run(play(MemoryWorld::new(size.from), size, seed));
    println!("seed {seed}: {} events, {} commands\n{tally}", world.bus.log().len(), world.bus.carried_out());
    tally
}

#[test]
fn four_hundred_customers_live_two_years_by_the_rules() {
    let seed = asked("MINISPOD_SIM_SEED").unwrap_or(2_027);
    simulate(&size(400, 731), seed).expect(REACHED);
}

#[test]
fn smaller_shops_live_by_the_rules_whatever_the_seed() {
    let seeds = if asked("MINISPOD_LONG").is_some() { 200 } else { 8 };
    for seed in 0..seeds {
        simulate(&size(25, 300), seed);
    }
}

#[test]
fn the_same_seed_is_the_same_story() {
    let story = |seed| {
        let size = size(10, 60);
        let (world, _) = run(play(MemoryWorld::new(size.from), &size, seed));
        world.bus.log().to_vec()
    };
    assert_eq!(story(7), story(7));
    assert_ne!(story(7), story(8));
}
