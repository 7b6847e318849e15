//! The subject grammar: `minispod.evt.<context>.<aggregate>.<aggregate_id>.<event>`, always six tokens of lower snake case.

use minispod_events::{fact, subject_name};
use minispod_kernel::ids::is_aggregate_id;

/// Everything that events are published under.
pub const EVENTS: &str = "minispod.evt.>";
/// Core-NATS hint: something was appended; wakes the relay.
pub const HINT_APPENDED: &str = "minispod.hint.appended";
const EVENT_PREFIX: &str = "minispod.evt.";
const DEAD_LETTER_PREFIX: &str = "minispod.dlq.";
const CHECKPOINT_PREFIX: &str = "minispod.ckpt.";
/// Longest lane token of a dead-letter subject.
const LANE_TOKEN_MAX: usize = 128;

/// Subject of an event; `id` is an aggregate id (`[a-z0-9_-]{1,64}`), `event_type` its Pascal-case name.
pub fn of(context: &str, aggregate: &str, id: &str, event_type: &str) -> String {
    format!("{EVENT_PREFIX}{context}.{aggregate}.{id}.{}", subject_name(event_type))
}

/// Subject of an event of `aggregate_type`, its context looked up; `None` when the type is unknown or the id is no token.
pub fn of_recorded(aggregate_type: &str, id: &str, event_type: &str) -> Option<String> {
    let context = fact::context_of(aggregate_type)?;
    is_aggregate_id(id).then(|| of(context, aggregate_type, id, event_type))
}

/// The tokens of an event subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventSubject<'a> {
    pub context: &'a str,
    pub aggregate: &'a str,
    pub id: &'a str,
    /// Lower snake case.
    pub event: &'a str,
}

/// Takes an event subject apart; `None` when it is not one.
pub fn parse(subject: &str) -> Option<EventSubject<'_>> {
    let mut tokens = subject.strip_prefix(EVENT_PREFIX)?.split('.');
    let (context, aggregate, id, event) = (tokens.next()?, tokens.next()?, tokens.next()?, tokens.next()?);
    let whole = tokens.next().is_none() && is_aggregate_id(id) && ![context, aggregate, event].contains(&"");
    whole.then_some(EventSubject { context, aggregate, id, event })
}

/// Subject of the hint that a projection's checkpoint has moved.
pub fn checkpoint(projection: &str) -> String {
    format!("{CHECKPOINT_PREFIX}{projection}")
}

/// The projection a checkpoint hint speaks of.
pub fn projection_of(subject: &str) -> Option<&str> {
    subject.strip_prefix(CHECKPOINT_PREFIX)
}

/// Subject of a dead letter: `minispod.dlq.<role>.<lane>`, the lane reduced to one token.
pub fn dead_letter(role: &str, lane: &str) -> String {
    let token: String = lane
        .chars()
        .take(LANE_TOKEN_MAX)
        .map(|letter| match letter {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' => letter,
            _ => '_',
        })
        .collect();
    format!("{DEAD_LETTER_PREFIX}{role}.{}", if token.is_empty() { "_" } else { &token })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_of_the_catalogue_has_a_subject_of_six_tokens_that_parses_back() {
        for (context, aggregate, names) in minispod_events::Event::CATALOGUE {
            for name in *names {
                let subject = of_recorded(aggregate, "c123", name).expect("known aggregate");
                assert_eq!(subject.split('.').count(), 6, "{subject}");
                let parsed = parse(&subject).expect("parses");
                assert_eq!((parsed.context, parsed.aggregate, parsed.id), (*context, *aggregate, "c123"));
            }
        }
    }

    #[test]
    fn an_id_that_is_no_token_has_no_subject() {
        for id in ["", "a.b", "a b", "a*", ">"] {
            assert_eq!(of_recorded("wallet", id, "WalletOpened"), None, "{id:?}");
        }
        assert_eq!(of_recorded("nobody", "c1", "X"), None);
    }

    #[test]
    fn strangers_do_not_parse() {
        for text in ["minispod.evt.a.b.c", "minispod.evt.a.b.c.d.e", "other.evt.a.b.c.d", "minispod.evt.a..c.d"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_lane_becomes_one_token() {
        assert_eq!(dead_letter("mailer", "user/c1 x.y"), "minispod.dlq.mailer.user_c1_x_y");
    }
}
