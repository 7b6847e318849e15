//! The sum of all events, and how a recorded event becomes one.

use cqrs_es::persist::SerializedEvent;
use minispod_kernel::{Event as EventContract, Recorded, SensitiveSlot, Timestamp};
use serde_json::Value;

use crate::{
    AdminRosterEvent, CouponEvent, CouponUseEvent, CustomDomainsEvent, DifferenceEvent, InstanceEvent,
    InvoiceBookEvent, InvoiceEvent, JoinTokenEvent, MailEvent, ManualTopUpEvent, NodeEvent, PlanEvent, SessionEvent,
    SubscriptionEvent, TopUpEvent, UserEvent, WalletEvent, WelcomeEvent,
};

/// A recorded event that cannot be read.
#[derive(Debug)]
pub enum DecodeError {
    /// An aggregate type this build does not know.
    UnknownAggregate(String),
    /// The payload does not fit the type it names.
    Payload { event_type: String, source: serde_json::Error },
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UnknownAggregate(kind) => write!(f, "no aggregate is called {kind:?}"),
            Self::Payload { event_type, .. } => write!(f, "the payload is not a {event_type}"),
        }
    }
}

impl std::error::Error for DecodeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::UnknownAggregate(_) => None,
            Self::Payload { source, .. } => Some(source),
        }
    }
}

macro_rules! sum {
    ($($variant:ident($event:ty)),+ $(,)?) => {
        /// Any event of any aggregate.
        #[derive(Debug, Clone, PartialEq)]
        #[expect(clippy::large_enum_variant, reason = "events are read one at a time; boxing would only cost reading")]
        pub enum Event { $($variant($event)),+ }

        impl Event {
            /// `(context, aggregate type, event names)` of everything that can happen.
            pub const CATALOGUE: &'static [(&'static str, &'static str, &'static [&'static str])] =
                &[$((<$event as EventContract>::CONTEXT, <$event as EventContract>::AGGREGATE, <$event>::NAMES)),+];

            /// Reads a payload (any known version) of `aggregate_type`. Personal fields stay sealed.
            pub fn decode(aggregate_type: &str, event_type: &str, event_version: &str, payload: Value) -> Result<Self, DecodeError> {
                let payload = current(aggregate_type, event_type, event_version, payload);
                match aggregate_type {
                    $(<$event as EventContract>::AGGREGATE => serde_json::from_value(payload)
                        .map(Self::$variant)
                        .map_err(|source| DecodeError::Payload { event_type: event_type.to_owned(), source }),)+
                    other => Err(DecodeError::UnknownAggregate(other.to_owned())),
                }
            }

            /// The permanent name.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(event) => event.name()),+ }
            }

            /// When it happened.
            pub fn occurred_at(&self) -> Timestamp {
                match self { $(Self::$variant(event) => event.occurred_at()),+ }
            }

            /// The personal fields.
            pub fn sensitive(&mut self) -> Vec<SensitiveSlot<'_>> {
                match self { $(Self::$variant(event) => event.sensitive()),+ }
            }
        }

        /// The context of an aggregate type.
        pub fn context_of(aggregate_type: &str) -> Option<&'static str> {
            match aggregate_type {
                $(<$event as EventContract>::AGGREGATE => Some(<$event as EventContract>::CONTEXT),)+
                _ => None,
            }
        }

        /// JSON schemas by aggregate type.
        pub fn schemas() -> Vec<(&'static str, schemars::Schema)> {
            vec![$((<$event as EventContract>::AGGREGATE, schemars::schema_for!($event))),+]
        }
    };
}

sum! {
    User(UserEvent),
    AdminRoster(AdminRosterEvent),
    Session(SessionEvent),
    Plan(PlanEvent),
    Wallet(WalletEvent),
    TopUp(TopUpEvent),
    Invoice(InvoiceEvent),
    InvoiceBook(InvoiceBookEvent),
    Subscription(SubscriptionEvent),
    Instance(InstanceEvent),
    Mail(MailEvent),
    ManualTopUp(ManualTopUpEvent),
    Coupon(CouponEvent),
    CouponUses(CouponUseEvent),
    Welcome(WelcomeEvent),
    Node(NodeEvent),
    JoinToken(JoinTokenEvent),
    CustomDomains(CustomDomainsEvent),
    Difference(DifferenceEvent),
}

/// The payload in its current shape.
fn current(aggregate_type: &str, event_type: &str, event_version: &str, payload: Value) -> Value {
    crate::upcast::upcasters().iter().filter(|upcaster| upcaster.can_upcast(event_type, event_version)).fold(
        payload,
        |payload, upcaster| {
            let event = SerializedEvent::new(
                String::new(),
                0,
                aggregate_type.to_owned(),
                event_type.to_owned(),
                event_version.to_owned(),
                payload,
                Value::Null,
            );
            upcaster.upcast(event).payload
        },
    )
}

/// A recorded event and what it says.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    pub recorded: Recorded,
    pub event: Event,
}

impl Fact {
    /// Decodes; personal fields stay sealed.
    pub fn read(recorded: Recorded) -> Result<Self, DecodeError> {
        let event = Event::decode(
            &recorded.aggregate_type,
            &recorded.event_type,
            &recorded.event_version,
            recorded.payload.clone(),
        )?;
        Ok(Self { recorded, event })
    }
}

/// `TopUpPaymentTokenIssued` → `top_up_payment_token_issued`: the last subject token.
pub fn subject_name(event_type: &str) -> String {
    let mut out = String::with_capacity(event_type.len() + 8);
    for (index, letter) in event_type.chars().enumerate() {
        if letter.is_ascii_uppercase() && index > 0 {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}
