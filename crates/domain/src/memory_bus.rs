//! A command bus in memory: aggregates, claims, timers, receipts and policies, for tests of whole processes.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::Range,
    time::Duration,
};

use minispod_events::Event;
use minispod_kernel::{Moment, RefusalKind, Timestamp};

use crate::{AnyCommand, CommandRequest, Wallet, policies::react};

mod claims;
mod states;
mod timers;

use claims::{Claims, Verdict};
use states::{Decided, States};
use timers::Timers;

pub use timers::Timer;

/// An aggregate: its type and id.
pub type Place = (&'static str, String);

/// Why a command wrote nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The refusal's code, `claim-taken`, or `key-reused`.
    pub code: String,
    pub kind: RefusalKind,
    pub message: String,
}

impl Refused {
    fn conflict(code: &str, message: String) -> Self {
        Self { code: code.to_owned(), kind: RefusalKind::Conflict, message }
    }
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
    /// Where each aggregate's events are in the log.
    histories: HashMap<Place, Vec<usize>>,
    states: States,
    claims: Claims,
    timers: Timers,
    receipts: HashMap<String, Receipt>,
    reacted: usize,
    lanes: BTreeMap<Place, VecDeque<(u64, CommandRequest)>>,
    tickets: u64,
    forgetful: bool,
    carried_out: u64,
    /// It goes down when so many commands have been carried out.
    down_after: Option<u64>,
}

/// How a command ended: where its events are in the log, or why there are none.
struct Receipt {
    place: Place,
    outcome: Result<Range<usize>, Refused>,
}

/// What became of a command that follows from something.
#[derive(Default)]
struct Carried {
    /// Its events, and those of the word to its process when it was refused.
    written: Vec<usize>,
    refused: Option<Refused>,
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

impl MemoryBus {
    /// An empty log at `now`.
    pub fn new(now: Timestamp) -> Self {
        Self {
            now,
            log: Vec::new(),
            histories: HashMap::new(),
            states: States::default(),
            claims: Claims::default(),
            timers: Timers::default(),
            receipts: HashMap::new(),
            reacted: 0,
            lanes: BTreeMap::new(),
            tickets: 0,
            forgetful: false,
            carried_out: 0,
            down_after: None,
        }
    }

    /// Keeps no receipts and carries every reaction out twice: what then still holds, the domain holds by itself.
    pub fn forgetful(mut self) -> Self {
        self.forgetful = true;
        self
    }

    /// A client's command; its inline reactions are carried out at once, as the api does.
    /// The first refusal on the way is the answer. The same key again is answered, and goes on, as the first time.
    pub fn ask(&mut self, key: &str, aggregate_id: &str, command: AnyCommand) -> Result<Vec<Event>, Refused> {
        let first = self.execute(&request(key, aggregate_id, command))?;
        let mut refusals = Vec::new();
        let mut queue: VecDeque<usize> = first.clone().collect();
        while let Some(place) = queue.pop_front() {
            let Logged { event_id, aggregate_id, event } = self.log[place].clone();
            for reaction in react(&aggregate_id, &event).into_iter().filter(|reaction| reaction.inline) {
                let carried = self.carry_out(&reaction.to_request(&event_id));
                queue.extend(carried.written);
                refusals.extend(carried.refused);
            }
        }
        let events = self.events(first);
        refusals.into_iter().next().map_or(Ok(events), Err)
    }

    /// A role's command, without inline reactions.
    pub fn tell(&mut self, key: &str, aggregate_id: &str, command: AnyCommand) -> Result<Vec<Event>, Refused> {
        self.execute(&request(key, aggregate_id, command)).map(|written| self.events(written))
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
        if self.is_down() {
            return false;
        }
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

    /// Moves the clock and fires what is due, before anybody reacts to any of it: the roles stood still meanwhile.
    pub fn advance(&mut self, by: Duration) {
        self.now = self.now.plus(by);
        for timer in self.timers.due(self.now) {
            self.fire(&timer);
        }
    }

    /// Moves the clock to `instant`: each timer is fired at its own instant, and all reactions are carried out
    /// before the next. An instant that is over changes nothing.
    pub fn advance_to(&mut self, instant: Timestamp, order: Order) {
        while let Some(timer) = self.timers.next_due(instant).filter(|_| !self.is_down()) {
            self.now = self.now.max(timer.due);
            self.fire(&timer);
            self.settle(order);
        }
        if !self.is_down() {
            self.now = self.now.max(instant);
        }
    }

    fn fire(&mut self, timer: &Timer) {
        self.carry_out(&request(&timer.command_key(), &timer.aggregate_id, timer.command.clone()));
        if !self.is_down() {
            self.timers.done(timer);
        }
    }

    /// Goes down when `commands` more have been carried out: from then on nothing is done until it is restarted.
    pub fn go_down_after(&mut self, commands: u64) {
        self.down_after = Some(self.carried_out + commands);
    }

    /// Whether it went down.
    pub fn is_down(&self) -> bool {
        self.down_after.is_some_and(|limit| self.carried_out >= limit)
    }

    /// Starts again with what a disk keeps: log, claims, timers and receipts. What waited in memory is gone, and what
    /// follows from the whole log is asked for again.
    pub fn restart(&mut self) {
        self.down_after = None;
        self.lanes.clear();
        self.reacted = 0;
    }

    /// How many commands have been carried out, refused ones and repeats included.
    pub fn carried_out(&self) -> u64 {
        self.carried_out
    }

    /// The clock.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Everything that happened, in order.
    pub fn log(&self) -> &[Logged] {
        &self.log
    }

    /// The names of everything that happened to one aggregate.
    pub fn names(&self, aggregate_type: &'static str, id: &str) -> Vec<&'static str> {
        let places = self.histories.get(&(aggregate_type, id.to_owned()));
        places.into_iter().flatten().map(|place| self.log[*place].event.name()).collect()
    }

    /// Every aggregate's events in their order, whatever came between them.
    pub fn histories(&self) -> BTreeMap<&Place, Vec<&Event>> {
        let events = |places: &Vec<usize>| places.iter().map(|place| &self.log[*place].event).collect();
        self.histories.iter().map(|(place, places)| (place, events(places))).collect()
    }

    /// How often something happened.
    pub fn count(&self, name: &str) -> usize {
        self.log.iter().filter(|logged| logged.event.name() == name).count()
    }

    /// Who holds a claim.
    pub fn holder(&self, key: &str) -> Option<&str> {
        self.claims.holder(key).map(|(_, id)| id.as_str())
    }

    /// The claims from the key `first` on, in order, and their holders.
    pub fn claims_from(&self, first: &str) -> impl Iterator<Item = (&str, &Place)> {
        self.claims.from(first)
    }

    /// The ids of the timers that wait.
    pub fn timers(&self) -> Vec<&str> {
        self.timers.all().map(|timer| timer.id.as_str()).collect()
    }

    /// When the first timer that waits is due.
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.timers.first()
    }

    /// The timers that wait, by id.
    pub fn waiting(&self) -> impl Iterator<Item = &Timer> {
        self.timers.all()
    }

    /// The state of a wallet.
    pub fn wallet(&self, id: &str) -> Wallet {
        self.states.get::<Wallet>(id).cloned().unwrap_or_default()
    }

    fn events(&self, written: Range<usize>) -> Vec<Event> {
        self.log[written].iter().map(|logged| logged.event.clone()).collect()
    }

    fn queue_reactions(&mut self) {
        while let Some(Logged { event_id, aggregate_id, event }) = self.log.get(self.reacted) {
            self.reacted += 1;
            for reaction in react(aggregate_id, event) {
                let lane = (reaction.command.aggregate_type(), reaction.aggregate_id.clone());
                self.tickets += 1;
                self.lanes.entry(lane).or_default().push_back((self.tickets, reaction.to_request(event_id)));
            }
        }
    }

    /// Carries a request out and feeds a refusal back to its process, as an effect's reports are.
    pub fn follow(&mut self, request: &CommandRequest) -> Option<Refused> {
        let Carried { refused, .. } = self.carry_out(request);
        self.queue_reactions();
        refused
    }

    /// A refusal is fed back to its process. One that went down feeds nothing back.
    fn carry_out(&mut self, request: &CommandRequest) -> Carried {
        match self.execute(request) {
            Ok(written) => Carried { written: written.collect(), refused: None },
            Err(_) if self.is_down() => Carried::default(),
            Err(refused) => {
                let word = request.on_refusal.as_ref().map(|word| word.to_request(&request.key, &refused.code));
                let written = word.and_then(|word| self.execute(&word).ok());
                Carried { written: written.into_iter().flatten().collect(), refused: Some(refused) }
            }
        }
    }

    fn execute(&mut self, request: &CommandRequest) -> Result<Range<usize>, Refused> {
        if self.is_down() {
            return Err(Refused::conflict("down", "nobody is there".to_owned()));
        }
        self.carried_out += 1;
        let place = (request.command.aggregate_type(), request.aggregate_id.clone());
        if let Some(receipt) = self.receipts.get(&request.key) {
            if receipt.place != place {
                return Err(Refused::conflict("key-reused", format!("{} was used for another", request.key)));
            }
            return receipt.outcome.clone();
        }
        let moment = Moment { aggregate_id: request.aggregate_id.clone(), now: self.now };
        let outcome = match self.states.decide(&request.command, &moment) {
            Ok(decided) => self.commit(&place, &request.command, decided),
            Err(refused) => Err(refused),
        };
        if !self.forgetful {
            self.receipts.insert(request.key.clone(), Receipt { place, outcome: outcome.clone() });
        }
        outcome
    }

    fn commit(&mut self, place: &Place, command: &AnyCommand, decided: Decided) -> Result<Range<usize>, Refused> {
        let first = self.log.len();
        match self.claims.play(place, &decided.consequences) {
            Verdict::Allowed if decided.events.is_empty() => return Ok(first..first),
            Verdict::Allowed => {}
            Verdict::DoneBefore => return Ok(first..first),
            Verdict::Taken(key) => return Err(Refused::conflict("claim-taken", format!("{key} is held by another"))),
        }
        self.timers.play(decided.consequences);
        for event in decided.events {
            let (event_id, aggregate_id) = (format!("e{}", self.log.len() + 1), place.1.clone());
            self.log.push(Logged { event_id, aggregate_id, event });
        }
        let written = first..self.log.len();
        self.states.keep(place.clone(), decided.next);
        let history = self.histories.entry(place.clone()).or_default();
        history.extend(written.clone());
        // Often while it is short, seldom when it is long.
        if history.len().is_power_of_two() || history.len().is_multiple_of(97) {
            let history: Vec<&Event> = history.iter().map(|at| &self.log[*at].event).collect();
            self.states.check(command, &place.1, &history);
        }
        Ok(written)
    }
}

fn request(key: &str, aggregate_id: &str, command: AnyCommand) -> CommandRequest {
    CommandRequest { key: key.to_owned(), aggregate_id: aggregate_id.to_owned(), command, on_refusal: None }
}

/// xorshift64*: chance that repeats itself.
fn next_random(state: &mut u64) -> u32 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as u32
}
