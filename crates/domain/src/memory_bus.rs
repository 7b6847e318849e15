//! A command bus in memory: aggregates, claims, timers, receipts and policies, for tests of whole processes.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use minispod_events::Event;
use minispod_kernel::{Aggregate, Consequence, Moment, Refusal, RefusalKind, Timestamp};

use crate::{
    AdminRoster, AnyCommand, CommandRequest, Instance, Invoice, InvoiceBook, Mail, ManualTopUp, Plan, Session,
    Subscription, TopUp, User, Wallet, policies::react,
};

/// Why a command wrote nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The refusal's code, or `claim-taken`.
    pub code: String,
    pub kind: RefusalKind,
    pub message: String,
}

/// One event of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Logged {
    pub event_id: String,
    pub aggregate_id: String,
    pub event: Event,
}

/// In which order waiting commands of different aggregates are carried out; those of one aggregate keep theirs.
#[derive(Debug, Clone, Copy)]
pub enum Order {
    /// As they came.
    InTurn,
    /// By chance, the same for the same number.
    Shuffled(u64),
}

/// Everything in memory. Commands are carried out at once; reactions wait until [`MemoryBus::settle`].
pub struct MemoryBus {
    now: Timestamp,
    log: Vec<Logged>,
    histories: BTreeMap<(&'static str, String), Vec<Event>>,
    claims: BTreeMap<String, (&'static str, String)>,
    timers: BTreeMap<String, Timer>,
    receipts: BTreeMap<String, Result<(), Refused>>,
    reacted: usize,
    lanes: BTreeMap<(&'static str, String), VecDeque<(u64, CommandRequest)>>,
    tickets: u64,
    refusals: Vec<(String, Refused)>,
    forgetful: bool,
}

#[derive(Debug, Clone)]
struct Timer {
    due: Timestamp,
    aggregate_id: String,
    command: AnyCommand,
}

enum Chance {
    None,
    Of(u64),
}

impl Chance {
    fn of(order: Order) -> Self {
        match order {
            Order::InTurn => Self::None,
            Order::Shuffled(seed) => Self::Of(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
        }
    }
}

struct Decided {
    events: Vec<Event>,
    consequences: Vec<Consequence>,
}

impl MemoryBus {
    /// An empty log at `now`.
    pub fn new(now: Timestamp) -> Self {
        Self {
            now,
            log: Vec::new(),
            histories: BTreeMap::new(),
            claims: BTreeMap::new(),
            timers: BTreeMap::new(),
            receipts: BTreeMap::new(),
            reacted: 0,
            lanes: BTreeMap::new(),
            tickets: 0,
            refusals: Vec::new(),
            forgetful: false,
        }
    }

    /// Keeps no receipts and carries every reaction out twice: what then still holds, the domain holds by itself.
    pub fn forgetful(mut self) -> Self {
        self.forgetful = true;
        self
    }

    /// A client's command; its inline reactions are carried out at once, as the api does.
    /// The first refusal on the way is the answer.
    pub fn ask(&mut self, key: &str, aggregate_id: &str, command: AnyCommand) -> Result<Vec<Event>, Refused> {
        let (key, aggregate_id) = (key.to_owned(), aggregate_id.to_owned());
        let refused_before = self.refusals.len();
        let events = self.execute(&CommandRequest { key, aggregate_id, command, on_refusal: None })?;
        let mut next = self.log.len() - events.len();
        while next < self.log.len() {
            let Logged { event_id, aggregate_id, event } = self.log[next].clone();
            for reaction in react(&aggregate_id, &event).into_iter().filter(|reaction| reaction.inline) {
                self.carry_out(&reaction.to_request(&event_id));
            }
            next += 1;
        }
        self.refusals.get(refused_before).map_or(Ok(events), |(_, refused)| Err(refused.clone()))
    }

    /// A role's command, without inline reactions.
    pub fn tell(&mut self, key: &str, aggregate_id: &str, command: AnyCommand) -> Result<Vec<Event>, Refused> {
        let (key, aggregate_id) = (key.to_owned(), aggregate_id.to_owned());
        self.execute(&CommandRequest { key, aggregate_id, command, on_refusal: None })
    }

    /// Carries out every reaction, and theirs, until nothing is left.
    pub fn settle(&mut self, order: Order) {
        let mut chance = Chance::of(order);
        while self.carry_out_next(&mut chance) {}
    }

    /// Carries out one reaction.
    pub fn settle_one(&mut self, order: Order) {
        self.carry_out_next(&mut Chance::of(order));
    }

    fn carry_out_next(&mut self, chance: &mut Chance) -> bool {
        self.queue_reactions();
        let lane = match chance {
            Chance::None => self.lanes.iter().min_by_key(|(_, queue)| queue.front().map(|(ticket, _)| *ticket)),
            Chance::Of(state) => self.lanes.iter().nth(next_random(state) as usize % self.lanes.len().max(1)),
        };
        let Some(lane) = lane.map(|(lane, _)| lane.clone()) else { return false };
        let request = self.lanes.get_mut(&lane).and_then(VecDeque::pop_front);
        if self.lanes.get(&lane).is_some_and(VecDeque::is_empty) {
            self.lanes.remove(&lane);
        }
        if let Some((_, request)) = request {
            for _ in 0..=u8::from(self.forgetful) {
                self.carry_out(&request);
            }
        }
        true
    }

    /// Moves the clock and fires what is due; a timer that is set again for another instant fires again.
    pub fn advance(&mut self, by: Duration) {
        self.now = self.now.plus(by);
        let due: Vec<String> =
            self.timers.iter().filter(|(_, timer)| timer.due <= self.now).map(|(id, _)| id.clone()).collect();
        for id in due {
            if let Some(Timer { due, aggregate_id, command }) = self.timers.remove(&id) {
                let key = format!("{id}@{}", due.unix_millis());
                self.carry_out(&CommandRequest { key, aggregate_id, command, on_refusal: None });
            }
        }
    }

    /// Everything that happened, in order.
    pub fn log(&self) -> &[Logged] {
        &self.log
    }

    /// The names of everything that happened to one aggregate.
    pub fn names(&self, aggregate_type: &'static str, id: &str) -> Vec<&'static str> {
        self.history(aggregate_type, id).iter().map(Event::name).collect()
    }

    /// How often something happened.
    pub fn count(&self, name: &str) -> usize {
        self.log.iter().filter(|logged| logged.event.name() == name).count()
    }

    /// Who holds a claim.
    pub fn holder(&self, key: &str) -> Option<&str> {
        self.claims.get(key).map(|(_, id)| id.as_str())
    }

    /// The ids of the timers that wait.
    pub fn timers(&self) -> Vec<&str> {
        self.timers.keys().map(String::as_str).collect()
    }

    /// The state of a wallet.
    pub fn wallet(&self, id: &str) -> Wallet {
        self.fold(id, |event| if let Event::Wallet(event) = event { Some(event) } else { None })
    }

    fn history(&self, aggregate_type: &'static str, id: &str) -> &[Event] {
        self.histories.get(&(aggregate_type, id.to_owned())).map_or(&[], Vec::as_slice)
    }

    fn fold<A: Aggregate>(&self, id: &str, pick: impl Fn(&Event) -> Option<&A::Event>) -> A {
        let aggregate_type = <A::Event as minispod_kernel::Event>::AGGREGATE;
        let mut state = A::default();
        self.history(aggregate_type, id).iter().filter_map(pick).for_each(|event| state.apply(event));
        state
    }

    fn queue_reactions(&mut self) {
        while let Some(Logged { event_id, aggregate_id, event }) = self.log.get(self.reacted).cloned() {
            self.reacted += 1;
            for reaction in react(&aggregate_id, &event) {
                let lane = (reaction.command.aggregate_type(), reaction.aggregate_id.clone());
                self.tickets += 1;
                self.lanes.entry(lane).or_default().push_back((self.tickets, reaction.to_request(&event_id)));
            }
        }
    }

    /// A refusal is fed back to its process.
    fn carry_out(&mut self, request: &CommandRequest) {
        let is_first = !self.receipts.contains_key(&request.key);
        let Err(refused) = self.execute(request) else { return };
        if let Some(on_refusal) = &request.on_refusal {
            self.carry_out(&on_refusal.to_request(&request.key, &refused.code));
        }
        if is_first {
            self.refusals.push((request.key.clone(), refused));
        }
    }

    fn execute(&mut self, request: &CommandRequest) -> Result<Vec<Event>, Refused> {
        if let Some(receipt) = self.receipts.get(&request.key) {
            return receipt.clone().map(|()| Vec::new());
        }
        let outcome = self.decide(request).and_then(|decided| self.commit(request, decided));
        if !self.forgetful {
            self.receipts.insert(request.key.clone(), outcome.clone().map(|_| ()));
        }
        outcome
    }

    fn commit(&mut self, request: &CommandRequest, decided: Decided) -> Result<Vec<Event>, Refused> {
        let me = (request.command.aggregate_type(), request.aggregate_id.clone());
        for consequence in &decided.consequences {
            match consequence {
                Consequence::Once { key } if self.claims.contains_key(key) => return Ok(Vec::new()),
                Consequence::Require { key } if self.claims.get(key) != Some(&me) => return Ok(Vec::new()),
                Consequence::Hold { key } if self.claims.get(key).is_some_and(|holder| *holder != me) => {
                    let message = format!("{key} is held by another");
                    return Err(Refused { code: "claim-taken".to_owned(), kind: RefusalKind::Conflict, message });
                }
                _ => {}
            }
        }
        for consequence in decided.consequences {
            match consequence {
                Consequence::Hold { key } | Consequence::Once { key } => {
                    self.claims.insert(key, me.clone());
                }
                Consequence::Require { .. } => {}
                Consequence::Release { key } => {
                    if self.claims.get(&key) == Some(&me) {
                        self.claims.remove(&key);
                    }
                }
                Consequence::SetTimer { id, due, aggregate_id, command, .. } => {
                    let Ok(command) = serde_json::from_value(command) else { continue };
                    self.timers.insert(id, Timer { due, aggregate_id, command });
                }
                Consequence::CancelTimer { id } => {
                    self.timers.remove(&id);
                }
            }
        }
        for event in &decided.events {
            let (event_id, aggregate_id) = (format!("e{}", self.log.len() + 1), request.aggregate_id.clone());
            self.log.push(Logged { event_id, aggregate_id, event: event.clone() });
        }
        self.histories.entry(me).or_default().extend(decided.events.clone());
        Ok(decided.events)
    }

    fn decide(&self, request: &CommandRequest) -> Result<Decided, Refused> {
        macro_rules! by_type {
            ($($variant:ident($aggregate:ty)),+ $(,)?) => {
                match request.command.clone() {
                    $(AnyCommand::$variant(command) => {
                        fn picked(event: &Event) -> Option<&<$aggregate as Aggregate>::Event> {
                            if let Event::$variant(event) = event { Some(event) } else { None }
                        }
                        self.decide_as::<$aggregate>(&request.aggregate_id, command, picked, Event::$variant)
                    })+
                }
            };
        }
        by_type!(
            User(User),
            AdminRoster(AdminRoster),
            Session(Session),
            Plan(Plan),
            Wallet(Wallet),
            TopUp(TopUp),
            Invoice(Invoice),
            InvoiceBook(InvoiceBook),
            Subscription(Subscription),
            Instance(Instance),
            Mail(Mail),
            ManualTopUp(ManualTopUp),
        )
    }

    fn decide_as<A: Aggregate>(
        &self,
        id: &str,
        command: A::Command,
        pick: fn(&Event) -> Option<&A::Event>,
        wrap: fn(A::Event) -> Event,
    ) -> Result<Decided, Refused> {
        let state: A = self.fold(id, pick);
        let moment = Moment { aggregate_id: id.to_owned(), now: self.now };
        let events = state.decide(command, &moment).map_err(|refusal| Refused {
            code: refusal.code().to_owned(),
            kind: refusal.kind(),
            message: refusal.to_string(),
        })?;
        let consequences = events.iter().flat_map(|event| A::consequences(id, event)).collect();
        Ok(Decided { events: events.into_iter().map(wrap).collect(), consequences })
    }
}

/// xorshift64*: chance that repeats itself.
fn next_random(state: &mut u64) -> u32 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as u32
}
