//! What every command bus must do, said once: keys, claims, timers, reactions and refusals.
//!
//! The cases run over the memory bus here and over the real store with its roles in the runtime's tests.

use std::{future::Future, pin::Pin, time::Duration};

use async_trait::async_trait;
use minispod_domain::{
    AnyCommand, InstanceCommand, PlanCommand, SubscriptionCommand, WalletCommand,
    plan::details,
    subscription::{PROVISIONING_DEADLINE, RESUME_DEADLINE, deadline_timer, resume_timer},
};
use minispod_events::{BillingCycle, CancelReason, Capacity, EntryCause, Event};
use minispod_kernel::{Rupiah, Sensitive};

use super::simulation::catalogue::details_of;

/// The events of a command, or the code of the rule that said no.
pub type Answer = Result<Vec<Event>, String>;

/// A bus under test. Nobody reacts and no timer fires but when it says so.
#[async_trait]
pub trait Bus: Send {
    /// A client's command under `key`, with the reactions that may run at once.
    async fn ask(&mut self, key: &str, id: &str, command: AnyCommand) -> Answer;
    /// A role's command under `key`.
    async fn tell(&mut self, key: &str, id: &str, command: AnyCommand) -> Answer;
    /// Carries out all reactions.
    async fn settle(&mut self);
    /// Moves the clock and fires what is due.
    async fn advance(&mut self, by: Duration);
    /// The names of an aggregate's events.
    async fn history(&mut self, aggregate_type: &'static str, id: &str) -> Vec<String>;
    /// Who holds a claim.
    async fn holder(&mut self, claim: &str) -> Option<String>;
    /// The ids of the timers that wait, in order.
    async fn timers(&mut self) -> Vec<String>;
}

/// One thing that every bus must do.
pub struct Case {
    pub name: &'static str,
    pub run: for<'a> fn(&'a mut dyn Bus) -> Running<'a>,
}

/// A case at work.
pub type Running<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

macro_rules! cases {
    ($($name:ident),+ $(,)?) => {
        /// All of it; each case wants an empty bus.
        pub const CASES: &[Case] = &[$(Case { name: stringify!($name), run: |bus| Box::pin($name(bus)) }),+];
    };
}

cases!(
    one_key_has_one_outcome_and_keeps_it,
    a_key_that_was_used_for_another_aggregate_is_refused,
    a_cause_counts_once_whatever_key_and_whatever_aggregate,
    a_claim_has_one_holder_and_is_free_again_when_it_is_given_back,
    what_is_required_and_not_held_makes_the_command_nothing,
    a_refusal_on_the_way_is_the_answer_and_is_fed_back,
    without_a_client_the_roles_feed_a_refusal_back_too,
    what_may_be_done_at_once_is_done_at_once_and_the_rest_by_the_roles,
    a_request_that_comes_again_goes_on_like_the_first,
    a_timer_fires_once_at_its_instant_and_never_early,
    a_timer_that_is_cancelled_never_fires,
    a_timer_that_is_set_again_fires_at_its_new_instant_only,
    reactions_reach_one_aggregate_in_the_order_of_what_they_follow_from,
    invoices_are_numbered_in_the_order_in_which_they_were_drafted,
);

const PRICE: i64 = 25_000;
const PLAN: &str = "plan";

fn wallet(command: WalletCommand) -> AnyCommand {
    AnyCommand::Wallet(command)
}

/// Money for an order.
pub fn credit(order: &str, amount: i64) -> AnyCommand {
    let cause = EntryCause::TopUp { topup_id: "t".to_owned(), order_id: order.to_owned() };
    wallet(WalletCommand::Credit { amount: Rupiah::new(amount), cause })
}

fn slot(subscription_id: &str) -> AnyCommand {
    AnyCommand::Plan(PlanCommand::AllocateSlot { subscription_id: subscription_id.to_owned() })
}

fn release(subscription_id: &str) -> AnyCommand {
    AnyCommand::Plan(PlanCommand::ReleaseSlot { subscription_id: subscription_id.to_owned() })
}

fn why() -> Sensitive<String> {
    Sensitive::Open("a reason".to_owned())
}

fn of(command: SubscriptionCommand) -> AnyCommand {
    AnyCommand::Subscription(command)
}

fn suspend() -> AnyCommand {
    of(SubscriptionCommand::Suspend { reason: why() })
}

fn resume() -> AnyCommand {
    of(SubscriptionCommand::StartResume { reason: why() })
}

fn cancel() -> AnyCommand {
    of(SubscriptionCommand::Cancel { reason: CancelReason::Customer { text: why() } })
}

/// A subscription of the plan.
pub fn request(id: &str, user: &str) -> AnyCommand {
    let details = details_of("n8n", "basic");
    let plan = details::snapshot(PLAN, &details, Rupiah::new(PRICE), BillingCycle::Monthly).expect("counts");
    of(SubscriptionCommand::Request {
        user_id: user.to_owned(),
        instance_id: format!("{id}-i"),
        plan,
        cycle: BillingCycle::Monthly,
        subdomain: format!("{id}-flows"),
        overrides: Vec::new(),
        auto_renew: true,
        coupon_id: None,
    })
}

/// A plan of `slots` and two customers with `balance`.
pub async fn shop(bus: &mut dyn Bus, slots: i64, balance: i64) {
    let (details, monthly_price) = (details_of("n8n", "basic"), Rupiah::new(PRICE));
    let publish = PlanCommand::Publish { details, monthly_price, capacity: Capacity(slots) };
    bus.tell("publish", PLAN, AnyCommand::Plan(publish)).await.expect("published");
    for user in ["ani", "budi"] {
        bus.tell(&format!("open-{user}"), user, wallet(WalletCommand::Open)).await.expect("opened");
        if balance > 0 {
            bus.tell(&format!("pay-{user}"), user, credit(&format!("TU-{user}.1"), balance)).await.expect("credited");
        }
    }
}

async fn active(bus: &mut dyn Bus, id: &str) {
    bus.ask(&format!("request-{id}"), id, request(id, "ani")).await.expect("requested");
    bus.settle().await;
    for (name, report) in [("applied", applied()), ("ready", ready())] {
        bus.tell(&format!("{name}-{id}"), &format!("{id}-i"), AnyCommand::Instance(report)).await.expect("reported");
    }
    bus.settle().await;
    assert_eq!(last(bus, "subscription", id).await, "SubscriptionActivated");
}

/// The cluster took the first generation.
pub fn applied() -> InstanceCommand {
    InstanceCommand::RecordApplied {
        generation: 1,
        namespace: "customer".to_owned(),
        workload: "flows".to_owned(),
        internal_url: "http://flows".to_owned(),
        external_url: "https://flows".to_owned(),
        volume_claim: None,
        simulated: true,
        program: None,
    }
}

/// The first generation runs.
pub fn ready() -> InstanceCommand {
    InstanceCommand::RecordReady { generation: 1, external_url: "https://flows".to_owned() }
}

async fn last(bus: &mut dyn Bus, aggregate_type: &'static str, id: &str) -> String {
    bus.history(aggregate_type, id).await.pop().unwrap_or_default()
}

async fn count(bus: &mut dyn Bus, aggregate_type: &'static str, id: &str, name: &str) -> usize {
    bus.history(aggregate_type, id).await.iter().filter(|event| *event == name).count()
}

async fn one_key_has_one_outcome_and_keeps_it(bus: &mut dyn Bus) {
    let cause = EntryCause::SubscriptionPeriod { subscription_id: "s".to_owned(), period: 1 };
    let debit = wallet(WalletCommand::Debit { amount: Rupiah::new(50), cause });
    bus.tell("open", "ani", wallet(WalletCommand::Open)).await.expect("opened");
    for _ in 0..2 {
        assert_eq!(bus.ask("debit", "ani", debit.clone()).await, Err("wallet-insufficient-balance".to_owned()));
    }
    let first = bus.ask("credit", "ani", credit("TU-t.1", 100)).await.expect("credited");
    assert_eq!(first.len(), 1);
    assert_eq!(bus.ask("credit", "ani", credit("TU-t.1", 100)).await, Ok(first), "answered like the first time");
    let again = bus.ask("debit", "ani", debit.clone()).await;
    assert_eq!(again, Err("wallet-insufficient-balance".to_owned()), "a no under a key stays, whatever came since");
    bus.tell("another debit", "ani", debit).await.expect("another key is another request");
    assert_eq!(bus.history("wallet", "ani").await, ["WalletOpened", "WalletCredited", "WalletDebited"]);
}

async fn a_key_that_was_used_for_another_aggregate_is_refused(bus: &mut dyn Bus) {
    bus.tell("open", "ani", wallet(WalletCommand::Open)).await.expect("opened");
    assert_eq!(bus.tell("open", "budi", wallet(WalletCommand::Open)).await, Err("key-reused".to_owned()));
    assert!(bus.history("wallet", "budi").await.is_empty());
}

async fn a_cause_counts_once_whatever_key_and_whatever_aggregate(bus: &mut dyn Bus) {
    bus.tell("first", "ani", credit("TU-t.1", 100)).await.expect("credited");
    for (key, user) in [("second", "ani"), ("third", "budi"), ("third", "budi")] {
        assert_eq!(bus.tell(key, user, credit("TU-t.1", 100)).await, Ok(Vec::new()), "{key}");
    }
    assert_eq!(bus.history("wallet", "ani").await, ["WalletOpened", "WalletCredited"]);
    assert!(bus.history("wallet", "budi").await.is_empty(), "nothing of the command is written, no opening either");
    assert_eq!(bus.holder("entry/topup/TU-t.1").await.as_deref(), Some("ani"));
}

async fn a_claim_has_one_holder_and_is_free_again_when_it_is_given_back(bus: &mut dyn Bus) {
    shop(bus, 5, 200_000).await;
    bus.ask("request-s1", "s1", request("s1", "ani")).await.expect("requested");
    for _ in 0..2 {
        assert_eq!(bus.ask("request-s2", "s2", request("s2", "ani")).await, Err("claim-taken".to_owned()));
    }
    assert!(bus.history("subscription", "s2").await.is_empty());
    assert_eq!(bus.holder("live/ani/n8n").await.as_deref(), Some("s1"));
    assert_eq!(bus.holder("subdomain/n8n/s2-flows").await, None, "a refused command takes none of its claims");
    bus.ask("cancel-s1", "s1", cancel()).await.expect("cancelled");
    assert_eq!(bus.holder("live/ani/n8n").await, None);
    bus.ask("request-s3", "s3", request("s3", "ani")).await.expect("free again");
    let kept = bus.ask("request-s2", "s2", request("s2", "ani")).await;
    assert_eq!(kept, Err("claim-taken".to_owned()), "a keyed answer stays");
}

async fn what_is_required_and_not_held_makes_the_command_nothing(bus: &mut dyn Bus) {
    shop(bus, 5, 0).await;
    bus.tell("a", PLAN, slot("s1")).await.expect("allocated");
    assert_eq!(bus.tell("b", PLAN, slot("s1")).await, Ok(Vec::new()), "it has one");
    assert_eq!(bus.tell("c", PLAN, release("s2")).await, Ok(Vec::new()), "it has none");
    assert_eq!(bus.tell("d", PLAN, release("s1")).await.expect("released").len(), 1);
    assert_eq!(bus.tell("e", PLAN, release("s1")).await, Ok(Vec::new()), "it has none any more");
    assert_eq!(bus.tell("f", PLAN, slot("s1")).await.expect("allocated").len(), 1, "a released key is used anew");
    let slots = ["PlanPublished", "PlanSlotAllocated", "PlanSlotReleased", "PlanSlotAllocated"];
    assert_eq!(bus.history("plan", PLAN).await, slots);
}

async fn a_refusal_on_the_way_is_the_answer_and_is_fed_back(bus: &mut dyn Bus) {
    shop(bus, 1, PRICE - 1).await;
    for _ in 0..2 {
        let refused = bus.ask("request-s", "s", request("s", "ani")).await;
        assert_eq!(refused, Err("wallet-insufficient-balance".to_owned()));
    }
    let steps = ["SubscriptionRequested", "SubscriptionSlotHeld", "SubscriptionCancelled"];
    assert_eq!(bus.history("subscription", "s").await, steps);
    assert_eq!(last(bus, "plan", PLAN).await, "PlanSlotReleased", "at once");
    bus.settle().await;
    assert_eq!(bus.history("subscription", "s").await, steps);
    assert_eq!(count(bus, "plan", PLAN, "PlanSlotReleased").await, 1);
}

async fn without_a_client_the_roles_feed_a_refusal_back_too(bus: &mut dyn Bus) {
    shop(bus, 0, PRICE).await;
    bus.tell("request-s", "s", request("s", "ani")).await.expect("accepted");
    assert_eq!(bus.history("subscription", "s").await, ["SubscriptionRequested"], "nobody has reacted");
    bus.settle().await;
    assert_eq!(bus.history("subscription", "s").await, ["SubscriptionRequested", "SubscriptionCancelled"]);
    assert_eq!(count(bus, "wallet", "ani", "WalletDebited").await, 0);
}

async fn what_may_be_done_at_once_is_done_at_once_and_the_rest_by_the_roles(bus: &mut dyn Bus) {
    shop(bus, 1, PRICE).await;
    bus.ask("request-s", "s", request("s", "ani")).await.expect("requested");
    assert_eq!(last(bus, "subscription", "s").await, "SubscriptionProvisioningStarted");
    assert_eq!(last(bus, "wallet", "ani").await, "WalletDebited");
    assert!(bus.history("instance", "s-i").await.is_empty(), "what runs follows the order of the log");
    bus.settle().await;
    assert_eq!(bus.history("instance", "s-i").await, ["InstanceProvisionRequested"]);
    for (kind, id, name) in [("wallet", "ani", "WalletDebited"), ("plan", PLAN, "PlanSlotAllocated")] {
        assert_eq!(count(bus, kind, id, name).await, 1, "{name}: the roles find the receipts");
    }
}

async fn a_request_that_comes_again_goes_on_like_the_first(bus: &mut dyn Bus) {
    shop(bus, 1, PRICE).await;
    let first = bus.tell("request-s", "s", request("s", "ani")).await.expect("accepted");
    assert_eq!(bus.ask("request-s", "s", request("s", "ani")).await, Ok(first));
    assert_eq!(last(bus, "subscription", "s").await, "SubscriptionProvisioningStarted");
}

async fn a_timer_fires_once_at_its_instant_and_never_early(bus: &mut dyn Bus) {
    shop(bus, 1, PRICE).await;
    bus.ask("request-s", "s", request("s", "ani")).await.expect("requested");
    bus.settle().await;
    assert_eq!(bus.timers().await, [deadline_timer("s")]);
    bus.advance(PROVISIONING_DEADLINE.saturating_sub(Duration::from_millis(1))).await;
    assert_eq!(last(bus, "subscription", "s").await, "SubscriptionProvisioningStarted");
    for wait in [Duration::from_millis(1), PROVISIONING_DEADLINE] {
        bus.advance(wait).await;
        assert_eq!(count(bus, "subscription", "s", "SubscriptionProvisioningFailed").await, 1);
        assert!(bus.timers().await.is_empty());
    }
    bus.settle().await;
    assert_eq!(last(bus, "subscription", "s").await, "SubscriptionCancelled");
    assert_eq!(count(bus, "wallet", "ani", "WalletRefunded").await, 1);
}

async fn a_timer_that_is_cancelled_never_fires(bus: &mut dyn Bus) {
    shop(bus, 1, PRICE).await;
    active(bus, "s").await;
    assert!(!bus.timers().await.contains(&deadline_timer("s")));
    bus.advance(PROVISIONING_DEADLINE * 2).await;
    assert_eq!(count(bus, "subscription", "s", "SubscriptionProvisioningFailed").await, 0);
}

async fn a_timer_that_is_set_again_fires_at_its_new_instant_only(bus: &mut dyn Bus) {
    shop(bus, 1, PRICE).await;
    active(bus, "s").await;
    bus.tell("suspend", "s", suspend()).await.expect("suspended");
    bus.tell("resume-1", "s", resume()).await.expect("begun");
    bus.advance(RESUME_DEADLINE / 2).await;
    let fail = of(SubscriptionCommand::FailResume { code: "nobody".to_owned() });
    bus.tell("fail", "s", fail).await.expect("ended");
    assert!(!bus.timers().await.contains(&resume_timer("s")));
    bus.tell("resume-2", "s", resume()).await.expect("begun again");
    bus.advance(RESUME_DEADLINE / 2).await;
    assert_eq!(count(bus, "subscription", "s", "SubscriptionResumeFailed").await, 1, "the first instant is over");
    bus.advance(RESUME_DEADLINE / 2).await;
    assert_eq!(count(bus, "subscription", "s", "SubscriptionResumeFailed").await, 2);
}

async fn reactions_reach_one_aggregate_in_the_order_of_what_they_follow_from(bus: &mut dyn Bus) {
    shop(bus, 1, PRICE).await;
    active(bus, "s").await;
    for (key, command) in [("suspend-1", suspend()), ("resume-1", resume()), ("suspend-2", suspend())] {
        bus.ask(key, "s", command).await.expect("accepted");
    }
    bus.settle().await;
    let steps = bus.history("instance", "s-i").await;
    let since: Vec<&str> =
        steps.iter().map(String::as_str).skip_while(|name| *name != "InstanceStopRequested").collect();
    let stop = ["InstanceStopRequested", "InstanceLocked"];
    let start = ["InstanceUnlocked", "InstanceStartRequested"];
    assert_eq!(since, [stop, start, stop].concat());
}

async fn invoices_are_numbered_in_the_order_in_which_they_were_drafted(bus: &mut dyn Bus) {
    shop(bus, 2, PRICE).await;
    for (id, user) in [("s1", "ani"), ("s2", "budi")] {
        bus.ask(&format!("request-{id}"), id, request(id, user)).await.expect("requested");
    }
    bus.settle().await;
    bus.settle().await;
    let year = ["2026", "2027"];
    let mut numbered = 0;
    for book in year {
        numbered += count(bus, "invoice_book", book, "InvoiceNumberAssigned").await;
    }
    assert_eq!(numbered, 2);
}
