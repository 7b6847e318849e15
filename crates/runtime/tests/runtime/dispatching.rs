//! Commands and what follows from them, in-line and by the billing role.

use std::{sync::Arc, time::Duration};

use minispod_domain::{AnyCommand, PlanCommand, SubscriptionCommand, WalletCommand, ports::Reactor};
use minispod_events::{BillingCycle, EntryCause, PlanSnapshot};
use minispod_kernel::Rupiah;
use minispod_runtime::{Dispatched, PolicyReactor};
use minispod_store::{CommandContext, CommandError, CommandKey};
use minispod_testkit::require;

use crate::stage::{Stage, details};

pub const BILLING: &str = "billing";

pub fn policies() -> Arc<dyn Reactor> {
    Arc::new(PolicyReactor::alone(BILLING))
}

/// A customer with money and a plan with one slot.
pub async fn customer(stage: &Stage, balance: i64) {
    stage.publish("plan", 25_000, 1).await;
    stage.send("user", AnyCommand::Wallet(WalletCommand::Open)).await.expect("opens");
    if balance > 0 {
        let cause = EntryCause::TopUp { topup_id: "t".to_owned(), order_id: "TU-t.1".to_owned() };
        let credit = WalletCommand::Credit { amount: Rupiah::new(balance), cause };
        stage.send("user", AnyCommand::Wallet(credit)).await.expect("credits");
    }
}

pub async fn subscribe(stage: &Stage, id: &str) -> Result<Dispatched, CommandError> {
    let sold = details("plan");
    let plan = PlanSnapshot {
        plan_id: "plan".to_owned(),
        offering: sold.offering,
        variant: sold.variant,
        display_name: sold.display_name,
        price: Rupiah::new(25_000),
        docker_image: sold.docker_image,
        container_port: sold.container_port,
        environment: sold.environment,
        cpu_request: sold.cpu_request,
        cpu_limit: sold.cpu_limit,
        mem_request: sold.mem_request,
        mem_limit: sold.mem_limit,
        volume_size: None,
        volume_mount_path: None,
        storage_class: sold.storage_class,
        access_mode: sold.access_mode,
    };
    let request = SubscriptionCommand::Request {
        user_id: "user".to_owned(),
        instance_id: format!("instance-{id}"),
        plan,
        cycle: BillingCycle::Monthly,
        subdomain: format!("flow-{id}"),
        overrides: Vec::new(),
        auto_renew: true,
        coupon_id: None,
    };
    let context = CommandContext::new(CommandKey::Derived(format!("ask-{id}")), stage.cause.actor.clone(), "test");
    stage.dispatcher.dispatch_as(id, AnyCommand::Subscription(request), context).await
}

#[tokio::test(flavor = "multi_thread")]
async fn driving_a_request_inline_ends_where_the_billing_role_alone_would_end() {
    if !require("pg") {
        return;
    }
    let mut ends = Vec::new();
    for inline in [true, false] {
        let stage = Stage::new().await;
        customer(&stage, 100_000).await;
        let first = subscribe(&stage, "sub").await.expect("the request is taken");
        if inline {
            let driven = stage.dispatcher.drive(first, &stage.cause).await.expect("drives");
            assert!(driven.refusals.is_empty(), "{:?}", driven.refusals);
            assert_eq!(driven.ins_seq, stage.store.log().last_ins_seq().await.expect("answers"));
            let names: Vec<&str> = driven.events.iter().map(|(_, event)| event.name()).collect();
            assert!(names.contains(&"WalletDebited") && names.contains(&"SubscriptionCharged"), "{names:?}");
        }
        let running = stage.run(&policies(), 1);
        stage.quiet(BILLING).await;
        running.stop().await;
        ends.push(stage.contents().await);
    }
    assert!(ends[0].iter().any(|row| row.3 == "InvoiceIssued"), "the rest was done by the role");
    assert_eq!(ends[0], ends[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn driving_and_the_billing_role_at_the_same_time_do_everything_once() {
    if !require("pg") {
        return;
    }
    let stage = Stage::new().await;
    customer(&stage, 100_000).await;
    let running = stage.run(&policies(), 2);
    let first = subscribe(&stage, "sub").await.expect("the request is taken");
    stage.dispatcher.drive(first, &stage.cause).await.expect("drives");
    stage.quiet(BILLING).await;
    running.stop().await;
    for (kind, id, name) in [("wallet", "user", "WalletDebited"), ("plan", "plan", "PlanSlotAllocated")] {
        let count = stage.history(kind, id).await.iter().filter(|event| *event == name).count();
        assert_eq!(count, 1, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_step_is_answered_at_once_and_fed_back_to_its_process() {
    if !require("pg") {
        return;
    }
    let stage = Stage::new().await;
    customer(&stage, 10_000).await;
    let first = subscribe(&stage, "sub").await.expect("the request is taken");
    let driven = stage.dispatcher.drive(first.clone(), &stage.cause).await.expect("drives");
    let codes: Vec<&str> = driven.refusals.iter().map(|(_, refused)| refused.code.as_str()).collect();
    assert_eq!(codes, ["wallet-insufficient-balance"]);
    assert_eq!(stage.history("subscription", "sub").await.last().map(String::as_str), Some("SubscriptionCancelled"));
    assert_eq!(stage.history("plan", "plan").await.last().map(String::as_str), Some("PlanSlotReleased"));

    let before = stage.contents().await;
    let repeated = subscribe(&stage, "sub").await.expect("the receipt answers");
    assert!(repeated.replayed);
    assert_eq!(repeated.events, first.events, "a repeated request can be driven like its first");
    let again = stage.dispatcher.drive(repeated, &stage.cause).await.expect("drives");
    let codes: Vec<&str> = again.refusals.iter().map(|(_, refused)| refused.code.as_str()).collect();
    assert_eq!(codes, ["wallet-insufficient-balance"], "the receipts answer as the rules did");
    assert_eq!(stage.contents().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_billing_role_alone_feeds_a_refusal_back_too() {
    if !require("pg") {
        return;
    }
    let stage = Stage::new().await;
    customer(&stage, 100_000).await;
    let _ =
        stage.send("plan", AnyCommand::Plan(PlanCommand::AllocateSlot { subscription_id: "other".to_owned() })).await;
    subscribe(&stage, "sub").await.expect("the request is taken");
    let running = stage.run(&policies(), 1);
    stage.quiet(BILLING).await;
    running.stop().await;
    assert_eq!(stage.history("subscription", "sub").await, ["SubscriptionRequested", "SubscriptionCancelled"]);
    assert!(!stage.history("wallet", "user").await.contains(&"WalletDebited".to_owned()));
    stage.clock.advance(Duration::from_secs(1));
    assert!(subscribe(&stage, "sub-2").await.is_ok(), "the claims are free again");
}
