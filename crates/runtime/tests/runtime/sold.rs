//! The real store is put through what every command bus must do, and through simulated months with every rule checked.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::StreamExt;
use minispod_domain::{AnyCommand, SubscriptionCommand, ports::Reactor};
use minispod_events::Fact;
use minispod_kernel::{Clock, LogPosition, Timestamp};
use minispod_runtime::{Cause, timers};
use minispod_store::{CommandContext, CommandError, CommandKey};
use minispod_testkit::require;

use crate::{
    dispatching::{BILLING, policies},
    rehearsed::{
        bus_contract::{self, Answer, Bus, CASES},
        simulation::{
            Size, play,
            world::{Happening, Waiting, World},
        },
    },
    stage::Stage,
};

/// The real store with its dispatcher and timers.
struct StoreWorld {
    stage: Stage,
    reactor: Arc<dyn Reactor>,
    /// How far the news have been told, and reacted to where nobody runs the role.
    told: LogPosition,
    reacted: LogPosition,
}

impl StoreWorld {
    async fn new() -> Self {
        let (told, reacted) = (LogPosition(0), LogPosition(0));
        Self { stage: Stage::new().await, reactor: policies(), told, reacted }
    }

    async fn send(&self, key: &str, id: &str, command: AnyCommand, drive: bool) -> Answer {
        let key = CommandKey::Derived(key.to_owned());
        let context = CommandContext::new(key, self.stage.cause.actor.clone(), "test");
        let first = self.stage.dispatcher.dispatch_as(id, command, context).await.map_err(code)?;
        let events = first.events.iter().map(|(_, event)| event.clone()).collect();
        if drive {
            let driven = self.stage.dispatcher.drive(first, &self.stage.cause).await.expect("drives");
            if let Some((_, refused)) = driven.refusals.first() {
                return Err(refused.code.clone());
            }
        }
        Ok(events)
    }

    async fn fire(&self) {
        while timers::fire_due(&self.stage.dispatcher).await.expect("looks").fired > 0 {}
    }

    fn move_clock(&self, by: Duration) {
        self.stage.clock.advance(by);
    }

    /// The facts after `after`, once all that has committed is numbered.
    async fn facts(&self, after: LogPosition) -> Vec<Fact> {
        let store = &self.stage.store;
        while store.log().head().await.expect("answers").ins_seq != store.log().last_ins_seq().await.expect("answers") {
            let _ = store.numbering().catch_up().await;
        }
        let recorded = store.log().read_after(after, 10_000).await.expect("reads");
        recorded.into_iter().map(|recorded| Fact::read(recorded).expect("can be read")).collect()
    }

    /// What the billing role does, one command after the other: its loops save their checkpoint once a second, which
    /// would take longer than the months.
    /// It is killed after `most` commands.
    async fn react(&mut self, most: usize) {
        let mut left = most;
        loop {
            let facts = self.facts(self.reacted).await;
            let Some(last) = facts.last() else { return };
            self.reacted = last.recorded.position;
            for fact in &facts {
                let cause = Cause::reacting(BILLING, &fact.recorded.metadata);
                for reaction in minispod_domain::policies::react(&fact.recorded.aggregate_id, &fact.event) {
                    if left == 0 {
                        return;
                    }
                    left -= 1;
                    let request = reaction.to_request(&fact.recorded.metadata.event_id);
                    match self.stage.dispatcher.dispatch(request, &cause).await {
                        Ok(_) | Err(CommandError::Refused(_)) => {}
                        Err(error) => panic!("a reaction was not carried out: {error}"),
                    }
                }
            }
        }
    }
}

fn code(error: CommandError) -> String {
    match error {
        CommandError::Refused(refused) => refused.code,
        CommandError::ClaimTaken { .. } => "claim-taken".to_owned(),
        CommandError::KeyReused => "key-reused".to_owned(),
        other => panic!("a command was not carried out: {other}"),
    }
}

#[async_trait]
impl Bus for StoreWorld {
    async fn ask(&mut self, key: &str, id: &str, command: AnyCommand) -> Answer {
        self.send(key, id, command, true).await
    }

    async fn tell(&mut self, key: &str, id: &str, command: AnyCommand) -> Answer {
        self.send(key, id, command, false).await
    }

    async fn settle(&mut self) {
        let running = self.stage.run(&self.reactor, 1);
        self.stage.quiet(BILLING).await;
        running.stop().await;
    }

    async fn advance(&mut self, by: Duration) {
        self.move_clock(by);
        self.fire().await;
    }

    async fn history(&mut self, aggregate_type: &'static str, id: &str) -> Vec<String> {
        self.stage.history(aggregate_type, id).await
    }

    async fn holder(&mut self, claim: &str) -> Option<String> {
        self.stage.store.claim_holder(claim).await.expect("answers")
    }

    async fn timers(&mut self) -> Vec<String> {
        World::timers(self).await.into_iter().map(|timer| timer.id).collect()
    }
}

#[async_trait]
impl World for StoreWorld {
    fn now(&self) -> Timestamp {
        self.stage.clock.now()
    }

    async fn next_timer(&mut self) -> Option<Timestamp> {
        let first = "SELECT (extract(epoch FROM min(due)) * 1000)::bigint FROM ops.timers";
        let first = sqlx::query_scalar::<_, Option<i64>>(first).fetch_one(self.stage.store.pool());
        first.await.expect("answers").map(Timestamp::from_unix_millis)
    }

    async fn advance_to(&mut self, instant: Timestamp) {
        let millis = instant.unix_millis() - self.now().unix_millis();
        self.move_clock(Duration::from_millis(u64::try_from(millis).unwrap_or_default()));
        self.fire().await;
    }

    async fn ask(&mut self, key: &str, id: &str, command: AnyCommand) -> Result<(), String> {
        self.send(key, id, command, true).await.map(|_| ())
    }

    async fn tell(&mut self, key: &str, id: &str, command: AnyCommand) -> Result<(), String> {
        self.send(key, id, command, false).await.map(|_| ())
    }

    async fn settle(&mut self, _: u64) {
        self.react(usize::MAX).await;
    }

    async fn news(&mut self) -> Vec<Happening> {
        let facts = self.facts(self.told).await;
        self.told = facts.last().map_or(self.told, |fact| fact.recorded.position);
        let happening = |fact: Fact| Happening { id: fact.recorded.aggregate_id, event: fact.event };
        facts.into_iter().map(happening).collect()
    }

    async fn claims(&mut self, prefix: &str) -> BTreeMap<String, String> {
        let claims = sqlx::query_as("SELECT key, holder_id FROM log.claims WHERE starts_with(key, $1)").bind(prefix);
        let rows: Vec<(String, String)> = claims.fetch_all(self.stage.store.pool()).await.expect("answers");
        rows.into_iter().collect()
    }

    async fn timers(&mut self) -> Vec<Waiting> {
        let all = "SELECT id, (extract(epoch FROM due) * 1000)::bigint, aggregate_id FROM ops.timers ORDER BY id";
        let rows: Vec<(String, i64, String)> =
            sqlx::query_as(all).fetch_all(self.stage.store.pool()).await.expect("answers");
        let waiting = |(id, due, aggregate_id)| Waiting { id, due: Timestamp::from_unix_millis(due), aggregate_id };
        rows.into_iter().map(waiting).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_store_does_what_every_bus_must() {
    if !require("pg") {
        return;
    }
    let cases = futures::stream::iter(CASES).for_each_concurrent(4, |case| async move {
        let mut world = StoreWorld::new().await;
        println!("{}", case.name);
        (case.run)(&mut world).await;
    });
    cases.await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_customers_live_two_months_by_the_rules_on_the_real_store() {
    if !require("pg") {
        return;
    }
    let world = StoreWorld::new().await;
    let size = Size { customers: 20, from: world.now(), days: 61, arrivals: 20, lag: 500, rushes: Vec::new() };
    let (world, tally) = play(world, &size, 1).await;
    tally.expect(&[
        ("SubscriptionActivated", 10),
        ("SubscriptionRenewed", 1),
        ("SubscriptionProvisioningFailed", 1),
        ("WalletCredited", 20),
        ("WalletReversed", 1),
        ("InvoiceIssued", 30),
    ]);
    let events = world.stage.contents().await.len() as u64;
    assert!(events > 300, "{events} events\n{tally}");
}

/// Does `command` as the roles do, killed after `kill` of its steps: what was in memory is gone, and it is asked again.
async fn killed_once(world: &mut StoreWorld, kill: usize, key: &str, id: &str, command: AnyCommand) {
    let from = world.stage.store.log().head().await.expect("answers").position;
    for most in [kill, usize::MAX] {
        Bus::tell(world, key, id, command.clone()).await.expect("accepted");
        world.reacted = from;
        world.react(most).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_any_step_subscribing_and_renewing_end_as_if_nobody_had_been_killed() {
    if !require("pg") {
        return;
    }
    let mut world = StoreWorld::new().await;
    bus_contract::shop(&mut world, 100, 0).await;
    let mut ends = Vec::new();
    for kill in 0..16 {
        let (user, id, instance) = (format!("user-{kill}"), format!("s{kill}"), format!("s{kill}-i"));
        let order = format!("TU-t{kill}.1");
        let pay = bus_contract::credit(&order, 60_000);
        killed_once(&mut world, kill, &format!("pay-{kill}"), &user, pay).await;
        let request = bus_contract::request(&id, &user);
        killed_once(&mut world, kill, &format!("request-{kill}"), &id, request).await;
        for (name, report) in [("applied", bus_contract::applied()), ("ready", bus_contract::ready())] {
            let report = AnyCommand::Instance(report);
            killed_once(&mut world, kill, &format!("{name}-{kill}"), &instance, report).await;
        }
        let renew = AnyCommand::Subscription(SubscriptionCommand::StartRenewal);
        killed_once(&mut world, kill, &format!("renew-{kill}"), &id, renew).await;
        let histories = [("subscription", &id), ("wallet", &user), ("instance", &instance)];
        let mut end = Vec::new();
        for (kind, id) in histories {
            end.push(world.stage.history(kind, id).await);
        }
        end.push(vec![world.stage.contents().await.len().to_string()]);
        ends.push(end);
    }
    let grown: Vec<usize> = ends.iter().map(|end| end[3][0].parse().expect("a number")).collect();
    let first = grown[1] - grown[0];
    for (kill, end) in ends.iter().enumerate().skip(1) {
        assert_eq!(end[..3], ends[0][..3], "killed after {kill} steps");
        assert_eq!(grown[kill] - grown[kill - 1], first, "events, killed after {kill} steps");
    }
}
