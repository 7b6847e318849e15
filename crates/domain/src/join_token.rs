//! A token that lets one node join: it works once, for a while, until it is taken back.

use std::time::Duration;

use minispod_events::{JoinTokenEvent, NodeFacts};
use minispod_kernel::{Aggregate, Moment, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bridge::{bridge, refusals};

/// Longest life of a token.
pub const LIFE_MAX: Duration = Duration::from_hours(7 * 24);

/// State.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct JoinToken {
    issued: Option<Issued>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Issued {
    hash: String,
    expires_at: Timestamp,
    over: Option<Over>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Over {
    Used,
    Revoked,
}

/// Requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum JoinTokenCommand {
    /// `hash` is the token's; the token itself is shown once and kept nowhere.
    Issue {
        hash: String,
        label: String,
        expires_at: Timestamp,
    },
    /// A node shows a token of this hash.
    Use {
        hash: String,
        node: String,
        facts: Box<NodeFacts>,
        key_hash: String,
    },
    Revoke,
}

/// Rules that say no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinTokenRefusal {
    #[error("there is no such join token")]
    NotFound,
    #[error("this join token exists already")]
    AlreadyIssued,
    #[error("a join token lives at most seven days, and not in the past")]
    BadLife,
    #[error("the join token has expired")]
    Expired,
    #[error("the join token was used already")]
    Used,
    #[error("the join token was taken back")]
    Revoked,
}

refusals!(JoinTokenRefusal {
    NotFound => NotFound, "join-token-not-found";
    AlreadyIssued => Conflict, "join-token-already-issued";
    BadLife => Invalid, "join-token-bad-life";
    Expired => Conflict, "join-token-expired";
    Used => Conflict, "join-token-used";
    Revoked => Conflict, "join-token-revoked";
});

impl Aggregate for JoinToken {
    type Event = JoinTokenEvent;
    type Command = JoinTokenCommand;
    type Refusal = JoinTokenRefusal;
    const FINGERPRINT: &'static str = "join-token-1";

    fn decide(&self, command: JoinTokenCommand, at: &Moment) -> Result<Vec<JoinTokenEvent>, JoinTokenRefusal> {
        let occurred_at = at.now;
        match (&self.issued, command) {
            (None, JoinTokenCommand::Issue { hash, label, expires_at }) => {
                if expires_at <= occurred_at || expires_at > occurred_at.plus(LIFE_MAX) {
                    return Err(JoinTokenRefusal::BadLife);
                }
                Ok(vec![JoinTokenEvent::JoinTokenIssued { hash, label, expires_at, occurred_at }])
            }
            (None, _) => Err(JoinTokenRefusal::NotFound),
            (Some(issued), JoinTokenCommand::Issue { hash, .. }) if issued.hash == hash => Ok(Vec::new()),
            (Some(_), JoinTokenCommand::Issue { .. }) => Err(JoinTokenRefusal::AlreadyIssued),
            // Whoever guesses an id learns nothing about its token.
            (Some(issued), JoinTokenCommand::Use { hash, .. }) if issued.hash != hash => {
                Err(JoinTokenRefusal::NotFound)
            }
            (Some(issued), JoinTokenCommand::Use { node, facts, key_hash, .. }) => match issued.over {
                Some(Over::Used) => Err(JoinTokenRefusal::Used),
                Some(Over::Revoked) => Err(JoinTokenRefusal::Revoked),
                None if occurred_at >= issued.expires_at => Err(JoinTokenRefusal::Expired),
                None => Ok(vec![JoinTokenEvent::JoinTokenUsed { node, facts, key_hash, occurred_at }]),
            },
            (Some(issued), JoinTokenCommand::Revoke) => match issued.over {
                Some(Over::Used) => Err(JoinTokenRefusal::Used),
                Some(Over::Revoked) => Ok(Vec::new()),
                None => Ok(vec![JoinTokenEvent::JoinTokenRevoked { occurred_at }]),
            },
        }
    }

    fn apply(&mut self, event: &JoinTokenEvent) {
        match event {
            JoinTokenEvent::JoinTokenIssued { hash, expires_at, .. } => {
                self.issued = Some(Issued { hash: hash.clone(), expires_at: *expires_at, over: None });
            }
            JoinTokenEvent::JoinTokenUsed { .. } => self.end(Over::Used),
            JoinTokenEvent::JoinTokenRevoked { .. } => self.end(Over::Revoked),
        }
    }
}

impl JoinToken {
    fn end(&mut self, over: Over) {
        if let Some(issued) = &mut self.issued {
            issued.over = Some(over);
        }
    }
}

bridge!(JoinToken);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        node::tests::facts,
        story::{given, given_nothing, noon},
    };

    const HOUR: Duration = Duration::from_hours(1);

    fn issue(life: Duration) -> JoinTokenCommand {
        JoinTokenCommand::Issue { hash: "h".into(), label: "rack 2".into(), expires_at: noon().plus(life) }
    }

    fn issued() -> JoinTokenEvent {
        let expires_at = noon().plus(HOUR);
        JoinTokenEvent::JoinTokenIssued { hash: "h".into(), label: "rack 2".into(), expires_at, occurred_at: noon() }
    }

    fn show(hash: &str) -> JoinTokenCommand {
        JoinTokenCommand::Use { hash: hash.into(), node: "n".into(), facts: Box::new(facts()), key_hash: "k".into() }
    }

    fn used() -> JoinTokenEvent {
        JoinTokenEvent::JoinTokenUsed {
            node: "n".into(),
            facts: Box::new(facts()),
            key_hash: "k".into(),
            occurred_at: noon(),
        }
    }

    #[test]
    fn a_token_lets_one_node_join_once() {
        given_nothing::<JoinToken>().when(issue(HOUR)).then(vec![issued()]);
        given::<JoinToken>(vec![issued()]).when(issue(HOUR)).then_nothing();
        given::<JoinToken>(vec![issued()]).when(show("h")).then(vec![used()]);
        given::<JoinToken>(vec![issued(), used()]).when(show("h")).then_refused(JoinTokenRefusal::Used);
    }

    #[test]
    fn another_secret_an_expired_one_and_one_taken_back_do_not_work() {
        given_nothing::<JoinToken>().when(show("h")).then_refused(JoinTokenRefusal::NotFound);
        given::<JoinToken>(vec![issued()]).when(show("x")).then_refused(JoinTokenRefusal::NotFound);
        given::<JoinToken>(vec![issued(), used()]).when(show("x")).then_refused(JoinTokenRefusal::NotFound);
        given::<JoinToken>(vec![issued()])
            .at(noon().plus(HOUR))
            .when(show("h"))
            .then_refused(JoinTokenRefusal::Expired);
        let revoked = JoinTokenEvent::JoinTokenRevoked { occurred_at: noon() };
        given::<JoinToken>(vec![issued()]).when(JoinTokenCommand::Revoke).then(vec![revoked.clone()]);
        given::<JoinToken>(vec![issued(), revoked.clone()]).when(JoinTokenCommand::Revoke).then_nothing();
        given::<JoinToken>(vec![issued(), revoked]).when(show("h")).then_refused(JoinTokenRefusal::Revoked);
        given::<JoinToken>(vec![issued(), used()]).when(JoinTokenCommand::Revoke).then_refused(JoinTokenRefusal::Used);
        given_nothing::<JoinToken>().when(JoinTokenCommand::Revoke).then_refused(JoinTokenRefusal::NotFound);
    }

    #[test]
    fn a_life_is_bounded_and_an_id_is_one_tokens() {
        for life in [Duration::ZERO, LIFE_MAX + Duration::from_secs(1)] {
            given_nothing::<JoinToken>().when(issue(life)).then_refused(JoinTokenRefusal::BadLife);
        }
        let other = JoinTokenCommand::Issue { hash: "x".into(), label: String::new(), expires_at: noon().plus(HOUR) };
        given::<JoinToken>(vec![issued()]).when(other).then_refused(JoinTokenRefusal::AlreadyIssued);
    }
}
