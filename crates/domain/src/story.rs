//! Given, when, then: the words in which the aggregates' tests are written.

use cqrs_es::test::{AggregateResultValidator, TestFramework};
use minispod_kernel::{Aggregate, Moment, Timestamp};
use time::macros::datetime;

/// The id of the aggregate under test unless a story says otherwise.
pub const ID: &str = "c0000000000000000000story";

/// The instant of a story unless it says otherwise: 22 November 2026, 10:00 in Jakarta.
pub fn noon() -> Timestamp {
    Timestamp::new(datetime!(2026-11-22 10:00 +7))
}

/// The past of a story.
pub struct Given<A: Aggregate> {
    events: Vec<A::Event>,
    moment: Moment,
}

/// These events have happened.
pub fn given<A: Aggregate>(events: Vec<A::Event>) -> Given<A> {
    Given { events, moment: Moment { aggregate_id: ID.to_owned(), now: noon() } }
}

/// Nothing has happened yet.
pub fn given_nothing<A: Aggregate>() -> Given<A> {
    given(Vec::new())
}

impl<A> Given<A>
where
    A: Aggregate
        + cqrs_es::Aggregate<
            Command = (<A as Aggregate>::Command, Moment),
            Event = <A as Aggregate>::Event,
            Error = <A as Aggregate>::Refusal,
            Services = (),
        >,
{
    /// The story is about the aggregate `id`.
    pub fn of(mut self, id: &str) -> Self {
        id.clone_into(&mut self.moment.aggregate_id);
        self
    }

    /// The story takes place at `now`.
    pub fn at(mut self, now: Timestamp) -> Self {
        self.moment.now = now;
        self
    }

    /// What is asked for.
    pub fn when(self, command: <A as Aggregate>::Command) -> Then<A> {
        Then(TestFramework::<A>::with(()).given(self.events).when((command, self.moment)))
    }
}

/// The outcome of a story.
pub struct Then<A: cqrs_es::Aggregate>(AggregateResultValidator<A>);

impl<A: cqrs_es::Aggregate> Then<A>
where
    A::Error: PartialEq,
{
    /// Exactly these events.
    pub fn then(self, events: Vec<A::Event>) {
        self.0.then_expect_events(events);
    }

    /// It is so already: no events, no refusal.
    pub fn then_nothing(self) {
        self.0.then_expect_events(Vec::new());
    }

    /// A rule says no.
    pub fn then_refused(self, refusal: A::Error) {
        self.0.then_expect_error(refusal);
    }

    /// The events, to look at more closely.
    pub fn events(self) -> Vec<A::Event> {
        self.0.inspect_result().unwrap_or_else(|refusal| panic!("refused: {refusal}"))
    }

    /// The refusal, to look at more closely.
    pub fn refusal(self) -> A::Error {
        match self.0.inspect_result() {
            Ok(events) => panic!("not refused, but: {events:?}"),
            Err(refusal) => refusal,
        }
    }
}
