//! A shop and its customers over simulated years: everybody acts by a seed, and every rule is checked every day.
//!
//! It runs over the memory bus here and over the real store in the runtime's tests, so it knows only the public domain.

use std::{collections::BTreeMap, time::Duration};

use minispod_domain::{AnyCommand, InstanceCommand, TopUpCommand};
use minispod_events::Event;
use minispod_kernel::Timestamp;

pub mod administrators;
pub mod books;
pub mod catalogue;
pub mod chance;
pub mod cluster;
pub mod coupons;
pub mod customers;
pub mod findings;
pub mod gateway;
pub mod lives;
pub mod papers;
pub mod world;

use books::Books;
use catalogue::Catalogue;
use chance::Chance;
use coupons::Coupons;
use customers::{Customer, Deed, View};
use findings::{Findings, Tally};
use gateway::{Gateway, Step};
use lives::Lives;
use papers::Papers;
use world::{Happening, World};

const DAY: Duration = Duration::from_hours(24);

/// How much is simulated.
#[derive(Debug, Clone)]
pub struct Size {
    pub customers: usize,
    pub from: Timestamp,
    pub days: u32,
    /// Within so many days everybody has signed up.
    pub arrivals: u32,
    /// How often in a thousand the roles do nothing before the next act.
    pub lag: u32,
    /// Days on which more people sign up than on others.
    pub rushes: Vec<Timestamp>,
}

/// What is to be done at some instant.
#[derive(Debug)]
enum Act {
    SignUp(usize),
    /// Somebody looks at what they have; `again` and again.
    Look {
        number: usize,
        again: bool,
    },
    Gateway {
        order_id: String,
        step: Step,
    },
    Cluster {
        instance_id: String,
        report: Box<InstanceCommand>,
    },
    Administrate,
}

/// Everybody and everything.
pub struct Simulation<W> {
    world: W,
    seed: u64,
    lag: u32,
    chance: Chance,
    agenda: BTreeMap<(Timestamp, u64), Act>,
    planned: u64,
    keys: u64,
    customers: Vec<Customer>,
    numbers: BTreeMap<String, usize>,
    owners: BTreeMap<String, usize>,
    catalogue: Catalogue,
    gateway: Gateway,
    books: Books,
    coupons: Coupons,
    lives: Lives,
    papers: Papers,
    findings: Findings,
    tally: Tally,
}

/// Plays `size` in `world` by `seed`; panics with the seed when a rule is broken.
pub async fn play<W: World>(world: W, size: &Size, seed: u64) -> (W, Tally) {
    let mut simulation = Simulation::new(world, size, seed);
    simulation.open(size.customers).await;
    for day in 1..=size.days {
        let end = size.from.plus(DAY * day);
        simulation.live_until(end).await;
        simulation.check(day % 30 == 0 || day == size.days).await;
    }
    (simulation.world, simulation.tally)
}

impl<W: World> Simulation<W> {
    fn new(world: W, size: &Size, seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let customers: Vec<Customer> = (0..size.customers).map(|number| Customer::new(number, &mut chance)).collect();
        let numbers = customers.iter().enumerate().map(|(number, customer)| (customer.id.clone(), number)).collect();
        let mut simulation = Self {
            world,
            seed,
            lag: size.lag,
            chance,
            agenda: BTreeMap::new(),
            planned: 0,
            keys: 0,
            customers,
            numbers,
            owners: BTreeMap::new(),
            catalogue: Catalogue::default(),
            gateway: Gateway::default(),
            books: Books::default(),
            coupons: Coupons::default(),
            lives: Lives::default(),
            papers: Papers::default(),
            findings: Findings::default(),
            tally: Tally::default(),
        };
        for number in 0..size.customers {
            let rush = (number % 4 == 0 && !size.rushes.is_empty()).then(|| *simulation.chance.pick(&size.rushes));
            let arrivals = DAY * size.arrivals;
            let at = match rush {
                Some(day) => day.plus(simulation.chance.between(Duration::ZERO, DAY)),
                None => size.from.plus(simulation.chance.between(Duration::ZERO, arrivals)),
            };
            simulation.plan(at, Act::SignUp(number));
        }
        for day in 0..size.days {
            for _ in 0..=size.customers / 200 {
                let at = size.from.plus(DAY * day + simulation.chance.between(Duration::ZERO, DAY));
                simulation.plan(at, Act::Administrate);
            }
        }
        simulation
    }

    fn plan(&mut self, at: Timestamp, act: Act) {
        self.planned += 1;
        self.agenda.insert((at, self.planned), act);
    }

    async fn open(&mut self, customers: usize) {
        for (id, command) in catalogue::publish(customers) {
            self.send(Deed { id, command, what: "a plan was published" }, false).await;
        }
        for (id, command) in coupons::issue(customers, self.world.now()) {
            self.send(Deed { id, command, what: "a coupon was made" }, false).await;
        }
        self.settle().await;
    }

    /// One act after the other until `end`, then everything that follows from them.
    async fn live_until(&mut self, end: Timestamp) {
        while let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 < end) {
            let ((at, _), act) = entry.remove_entry();
            self.move_to(at).await;
            self.act(act).await;
            // Mostly everybody is quick; now and then the roles lag behind.
            if !self.chance.per_mille(self.lag) {
                self.settle().await;
            }
        }
        self.settle().await;
        self.move_to(end).await;
        self.settle().await;
    }

    /// Timers that fire on the way make news at their own instants: what they cause is planned from there.
    async fn move_to(&mut self, at: Timestamp) {
        while let Some(due) = self.world.next_timer().await.filter(|due| *due < at) {
            self.world.advance_to(due).await;
            self.settle().await;
        }
        self.world.advance_to(at).await;
        self.observe().await;
    }

    async fn settle(&mut self) {
        let mood = self.chance.number();
        self.world.settle(mood).await;
        self.observe().await;
    }

    async fn act(&mut self, act: Act) {
        match act {
            Act::SignUp(number) => {
                let deed = self.customers[number].register();
                self.send(deed, true).await;
                if self.chance.per_mille(800) {
                    let deed = self.customers[number].verify();
                    self.send(deed, true).await;
                }
                let soon = self.world.now().plus(self.chance.between(Duration::from_mins(1), DAY));
                self.plan(soon, Act::Look { number, again: true });
            }
            Act::Look { number, again } => {
                let now = self.world.now();
                let view = View { catalogue: &self.catalogue, lives: &self.lives, books: &self.books, now };
                let deeds = self.customers[number].choose(&view, &mut self.chance);
                for deed in deeds {
                    self.owners.insert(deed.id.clone(), number);
                    self.send(deed, true).await;
                }
                if again {
                    let next = now.plus(self.customers[number].pause(&mut self.chance));
                    self.plan(next, Act::Look { number, again });
                }
            }
            Act::Gateway { order_id, step } => self.pay(&order_id, step).await,
            Act::Cluster { instance_id, report } => {
                let command = AnyCommand::Instance(*report);
                self.send(Deed { id: instance_id, command, what: "the cluster reported" }, false).await;
            }
            Act::Administrate => {
                let now = self.world.now();
                let view = View { catalogue: &self.catalogue, lives: &self.lives, books: &self.books, now };
                if let Some(deed) = administrators::choose(&view, &mut self.chance) {
                    self.send(deed, true).await;
                }
            }
        }
    }

    async fn pay(&mut self, order_id: &str, step: Step) {
        let Some(topup_id) = self.gateway.topup_of(order_id).map(str::to_owned) else { return };
        let order_id = order_id.to_owned();
        let (command, what) = match step {
            Step::Token => (TopUpCommand::RecordPaymentToken { order_id }, "a payment page was made"),
            Step::Deliver { inbox_id } => {
                (TopUpCommand::RecordNotification { order_id, inbox_id }, "a notification arrived")
            }
            Step::Expire => (TopUpCommand::Expire { order_id }, "an order's time was over"),
            Step::Ask => {
                let planned = self.gateway.ask(&order_id, self.world.now(), &mut self.chance);
                if let Some((at, order_id, step)) = planned {
                    self.plan(at, Act::Gateway { order_id, step });
                }
                return;
            }
            Step::Answer { status, after } => {
                let command = TopUpCommand::ApplyGatewayStatus { status: *status, after: Some(after) };
                let id = topup_id.clone();
                let answered = Deed { id, command: AnyCommand::TopUp(command), what: "the gateway answered" };
                if self.send(answered, false).await != Some("topup-status-overtaken".to_owned()) {
                    return;
                }
                let inbox_id = self.gateway.asked_again();
                (TopUpCommand::RecordNotification { order_id, inbox_id }, "the gateway is asked again")
            }
        };
        self.send(Deed { id: topup_id, command: AnyCommand::TopUp(command), what }, false).await;
    }

    /// Sends a command, now and then twice, and notes what came of it. The refusal's code when a rule said no.
    async fn send(&mut self, deed: Deed, by_a_client: bool) -> Option<String> {
        self.keys += 1;
        let key = format!("sim-{}", self.keys);
        let tries = 1 + usize::from(self.chance.per_mille(30));
        let mut answers = Vec::new();
        for _ in 0..tries {
            let command = deed.command.clone();
            answers.push(if by_a_client {
                self.world.ask(&key, &deed.id, command).await.err()
            } else {
                self.world.tell(&key, &deed.id, command).await.err()
            });
        }
        self.observe().await;
        let (same, what) = (answers.iter().all(|answer| *answer == answers[0]), deed.what);
        self.findings.expect(same, || format!("{} {what}: answered {answers:?} under one key", deed.id));
        match &answers[0] {
            None => self.tally.count(what),
            Some(code) => self.tally.count(&format!("{what}: refused, {code}")),
        }
        answers.swap_remove(0)
    }

    async fn observe(&mut self) {
        for Happening { id, event } in self.world.news().await {
            self.tally.count(event.name());
            self.follow(&id, &event, event.occurred_at());
        }
        self.findings.stop_if_any(self.seed, self.world.now());
    }

    fn follow(&mut self, id: &str, event: &Event, now: Timestamp) {
        let Self { catalogue, gateway, books, coupons, lives, papers, findings, chance, .. } = self;
        let mut planned: Vec<(Timestamp, Act)> = Vec::new();
        match event {
            Event::Plan(event) => catalogue.observe(id, event, findings),
            Event::Wallet(event) => books.observe(id, event, findings),
            Event::TopUp(event) => {
                books.observe_topup(event, findings);
                papers.observe_topup(event);
                let steps = gateway.observe(id, event, now, chance);
                planned.extend(steps.into_iter().map(|(at, order_id, step)| (at, Act::Gateway { order_id, step })));
                let number = self.owners.get(id).copied();
                let told = number.and_then(|number| Some((number, self.customers[number].told(id, event, chance)?)));
                planned.extend(told.map(|(number, wait)| (now.plus(wait), Act::Look { number, again: false })));
            }
            Event::Subscription(event) => {
                lives.observe(id, event, now, findings);
                coupons.observe_subscription(id, event, findings);
                papers.observe_subscription(id, event);
                let number = lives.all.get(id).and_then(|life| self.numbers.get(&life.user)).copied();
                let alarmed = number.and_then(|number| Some((number, Customer::alarmed(event, chance)?)));
                planned.extend(alarmed.map(|(number, wait)| (now.plus(wait), Act::Look { number, again: false })));
            }
            Event::Instance(event) => {
                lives.observe_instance(id, event);
                let reports = cluster::reports(id, event, now, chance);
                let act = |instance_id, report| Act::Cluster { instance_id, report: Box::new(report) };
                planned.extend(reports.into_iter().map(|(at, instance_id, report)| (at, act(instance_id, report))));
            }
            Event::Invoice(event) => papers.observe(id, event, findings),
            Event::InvoiceBook(event) => papers.observe_book(id, event, findings),
            Event::Coupon(event) => coupons.observe(id, event, findings),
            Event::CouponUses(event) => coupons.observe_use(event, findings),
            // Nobody transfers by hand here.
            Event::ManualTopUp(_)
            | Event::Welcome(_)
            | Event::Node(_)
            | Event::JoinToken(_)
            | Event::CustomDomains(_)
            | Event::Difference(_)
            | Event::User(_)
            | Event::AdminRoster(_)
            | Event::Session(_)
            | Event::Mail(_) => {}
        }
        for (at, act) in planned {
            self.plan(at, act);
        }
    }

    /// Every rule. What grows with all that ever happened is looked through now and then.
    async fn check(&mut self, everything: bool) {
        let now = self.world.now();
        self.books.check(&mut self.findings);
        self.papers.check(&mut self.findings);
        self.coupons.check(&self.books.granted, &mut self.findings);
        self.lives.check(now, &self.books, &mut self.findings);
        let timers = self.world.timers().await;
        self.lives.check_timers(&timers, now, &mut self.findings);
        let slots = self.catalogue.slots();
        let held = self.world.claims("slot/").await;
        self.findings.expect(held == slots, || format!("slots by claims {held:?}, by events {slots:?}"));
        let by_plan = self.catalogue.plans.values().flat_map(|p| p.holders.iter().map(|h| (p.id.clone(), h.clone())));
        let (by_plan, by_life) = (by_plan.collect::<std::collections::BTreeSet<_>>(), self.lives.slot_holders());
        self.findings.expect(by_plan == by_life, || {
            let differ: Vec<_> = by_plan.symmetric_difference(&by_life).collect();
            format!("slots that only plans or only subscriptions know: {differ:?}")
        });
        let mut names = self.world.claims("live/").await;
        names.extend(self.world.claims("subdomain/").await);
        let wanted = self.lives.claims();
        self.findings.expect(names == wanted, || format!("names by claims {names:?}, by events {wanted:?}"));
        if everything {
            self.gateway.check(now, &self.books, &mut self.findings);
            let entries = self.world.claims("entry/").await;
            let causes = &self.books.causes;
            self.findings.expect(entries == *causes, || format!("{} claims, {} entries", entries.len(), causes.len()));
        }
        self.findings.stop_if_any(self.seed, now);
    }
}
