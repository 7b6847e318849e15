//! The folded state of each aggregate, kept beside its history and compared with it now and then.

use std::{any::Any, collections::HashMap, fmt};

use minispod_events::Event;
use minispod_kernel::{Aggregate, Consequence, Moment, Refusal};

use super::{Place, Refused};
use crate::{
    AdminRoster, AnyCommand, Coupon, CouponUses, CustomDomains, Difference, Instance, Invoice, InvoiceBook, JoinToken,
    Mail, ManualTopUp, Node, Plan, Session, Subscription, TopUp, User, Wallet, Welcome,
};

/// A state of some aggregate.
pub(super) type AnyState = Box<dyn Any + Send + Sync>;

/// The states by place.
#[derive(Default)]
pub(super) struct States {
    held: HashMap<Place, AnyState>,
}

/// What a command has come to.
pub(super) struct Decided {
    pub events: Vec<Event>,
    pub consequences: Vec<Consequence>,
    /// The state after the events.
    pub next: AnyState,
}

/// An aggregate whose events are among those of all.
trait Summed: Aggregate + PartialEq + fmt::Debug {
    fn pick(event: &Event) -> Option<&Self::Event>;
    fn wrap(event: Self::Event) -> Event;
}

macro_rules! summed {
    ($($variant:ident),+ $(,)?) => {
        $(impl Summed for $variant {
            fn pick(event: &Event) -> Option<&Self::Event> {
                if let Event::$variant(event) = event { Some(event) } else { None }
            }
            fn wrap(event: Self::Event) -> Event {
                Event::$variant(event)
            }
        })+

        impl States {
            /// What `command` comes to at `at`.
            pub(super) fn decide(&self, command: &AnyCommand, at: &Moment) -> Result<Decided, Refused> {
                match command {
                    $(AnyCommand::$variant(command) => self.decide_as::<$variant>(command.clone(), at),)+
                }
            }

            /// Compares the state that is held with the fold of the whole history.
            pub(super) fn check(&self, command: &AnyCommand, id: &str, history: &[&Event]) {
                match command {
                    $(AnyCommand::$variant(_) => self.check_as::<$variant>(id, history),)+
                }
            }
        }
    };
}

summed!(
    User,
    AdminRoster,
    Session,
    Plan,
    Wallet,
    TopUp,
    ManualTopUp,
    Invoice,
    InvoiceBook,
    Subscription,
    Instance,
    Mail,
    Coupon,
    CouponUses,
    Welcome,
    Node,
    JoinToken,
    CustomDomains,
    Difference,
);

impl States {
    /// Takes the state after events that were written.
    pub(super) fn keep(&mut self, place: Place, state: AnyState) {
        self.held.insert(place, state);
    }

    /// The state of `A` at `id`, when anything has happened there.
    pub(super) fn get<A: Aggregate>(&self, id: &str) -> Option<&A> {
        let place = (<A::Event as minispod_kernel::Event>::AGGREGATE, id.to_owned());
        self.held.get(&place).and_then(|state| state.downcast_ref())
    }

    fn decide_as<A: Summed>(&self, command: A::Command, at: &Moment) -> Result<Decided, Refused> {
        let nothing = A::default();
        let state: &A = self.get(&at.aggregate_id).unwrap_or(&nothing);
        let events = state.decide(command, at).map_err(|refusal| Refused {
            code: refusal.code().to_owned(),
            kind: refusal.kind(),
            message: refusal.to_string(),
        })?;
        let mut next = state.clone();
        for event in &events {
            next.apply(event);
        }
        let consequences = events.iter().flat_map(|event| A::consequences(&at.aggregate_id, event)).collect();
        Ok(Decided { events: events.into_iter().map(A::wrap).collect(), consequences, next: Box::new(next) })
    }

    fn check_as<A: Summed>(&self, id: &str, history: &[&Event]) {
        let mut fold = A::default();
        history.iter().filter_map(|event| A::pick(event)).for_each(|event| fold.apply(event));
        assert_eq!(self.get::<A>(id), Some(&fold), "the state of {id} and the fold of {} events", history.len());
    }
}
