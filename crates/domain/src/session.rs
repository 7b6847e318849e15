//! A refresh-token family: a token works once.

use minispod_events::SessionEvent;
use minispod_kernel::{Aggregate, Moment, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bridge::{bridge, refusals};

/// State: only what refusals need.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Session {
    phase: Phase,
    generation: u32,
    expires_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
enum Phase {
    #[default]
    Absent,
    Open,
    Revoked,
}

/// Requests. Generations count from 1: the token given on opening is generation 1, and a token of generation
/// `g` asks for `Rotate { generation: g + 1 }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum SessionCommand {
    Open {
        user_id: String,
        expires_at: Timestamp,
    },
    /// A generation that was given out before is a stolen token: no refusal, but the events
    /// `SessionReuseDetected` and `SessionRevoked`; the edge answers 401 when it sees them.
    Rotate {
        generation: u32,
        expires_at: Timestamp,
    },
    Revoke {
        reason: String,
    },
}

/// Rules that say no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionRefusal {
    #[error("this session exists already")]
    AlreadyOpen,
    #[error("there is no such session")]
    NotFound,
    #[error("the session is over")]
    Revoked,
    #[error("the session has expired")]
    Expired,
}

refusals!(SessionRefusal {
    AlreadyOpen => Conflict, "session-already-open";
    NotFound => NotFound, "session-not-found";
    Revoked => Forbidden, "session-revoked";
    Expired => Forbidden, "session-expired";
});

impl Aggregate for Session {
    type Event = SessionEvent;
    type Command = SessionCommand;
    type Refusal = SessionRefusal;
    const FINGERPRINT: &'static str = "session-2";

    fn decide(&self, command: SessionCommand, at: &Moment) -> Result<Vec<SessionEvent>, SessionRefusal> {
        let occurred_at = at.now;
        match (self.phase, command) {
            (Phase::Absent, SessionCommand::Open { user_id, expires_at }) => {
                Ok(vec![SessionEvent::SessionOpened { user_id, expires_at, occurred_at }])
            }
            (_, SessionCommand::Open { .. }) => Err(SessionRefusal::AlreadyOpen),
            (Phase::Absent, _) => Err(SessionRefusal::NotFound),
            (Phase::Revoked, SessionCommand::Revoke { .. }) => Ok(Vec::new()),
            (Phase::Revoked, SessionCommand::Rotate { .. }) => Err(SessionRefusal::Revoked),
            (Phase::Open, SessionCommand::Revoke { reason }) => {
                Ok(vec![SessionEvent::SessionRevoked { reason, occurred_at }])
            }
            (Phase::Open, SessionCommand::Rotate { generation, .. }) if generation <= self.generation => Ok(vec![
                SessionEvent::SessionReuseDetected { generation, occurred_at },
                SessionEvent::SessionRevoked { reason: REUSE.to_owned(), occurred_at },
            ]),
            (Phase::Open, SessionCommand::Rotate { .. }) if self.expires_at.is_some_and(|end| end <= at.now) => {
                Err(SessionRefusal::Expired)
            }
            (Phase::Open, SessionCommand::Rotate { generation, .. }) if generation != self.generation + 1 => {
                Err(SessionRefusal::NotFound)
            }
            (Phase::Open, SessionCommand::Rotate { generation, expires_at }) => {
                Ok(vec![SessionEvent::SessionRotated { generation, expires_at, occurred_at }])
            }
        }
    }

    fn apply(&mut self, event: &SessionEvent) {
        match event {
            SessionEvent::SessionOpened { expires_at, .. } => {
                self.phase = Phase::Open;
                self.generation = 1;
                self.expires_at = Some(*expires_at);
            }
            SessionEvent::SessionRotated { generation, expires_at, .. } => {
                self.generation = *generation;
                self.expires_at = Some(*expires_at);
            }
            SessionEvent::SessionReuseDetected { .. } => {}
            SessionEvent::SessionRevoked { .. } => self.phase = Phase::Revoked,
        }
    }
}

/// Why a family ends when a token is shown a second time.
const REUSE: &str = "a refresh token was used twice";

bridge!(Session);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::story::{given, given_nothing, noon};

    #[test]
    fn a_session_opens_once() {
        let open = SessionCommand::Open { user_id: "ani".into(), expires_at: end() };
        given_nothing::<Session>().when(open.clone()).then(vec![opened()]);
        given::<Session>(vec![opened()]).when(open).then_refused(SessionRefusal::AlreadyOpen);
    }

    #[test]
    fn the_next_generation_takes_over() {
        given::<Session>(vec![opened()]).when(rotate(2)).then(vec![rotated(2)]);
        given::<Session>(vec![opened(), rotated(2)]).when(rotate(3)).then(vec![rotated(3)]);
    }

    #[test]
    fn a_token_shown_a_second_time_ends_the_whole_family() {
        let events = given::<Session>(vec![opened(), rotated(2)]).when(rotate(2)).events();
        assert!(matches!(
            events.as_slice(),
            [SessionEvent::SessionReuseDetected { generation: 2, .. }, SessionEvent::SessionRevoked { .. }]
        ));
        let past = [vec![opened(), rotated(2)], events].concat();
        given::<Session>(past).when(rotate(3)).then_refused(SessionRefusal::Revoked);
    }

    #[test]
    fn a_generation_never_given_out_is_unknown() {
        given::<Session>(vec![opened()]).when(rotate(3)).then_refused(SessionRefusal::NotFound);
        given_nothing::<Session>().when(rotate(2)).then_refused(SessionRefusal::NotFound);
    }

    #[test]
    fn an_expired_session_is_over_but_reuse_is_still_noticed() {
        given::<Session>(vec![opened()]).at(end()).when(rotate(2)).then_refused(SessionRefusal::Expired);
        assert_eq!(given::<Session>(vec![opened(), rotated(2)]).at(end()).when(rotate(2)).events().len(), 2);
    }

    #[test]
    fn revoking_twice_is_fine() {
        let revoke = SessionCommand::Revoke { reason: "signed out".into() };
        let revoked = SessionEvent::SessionRevoked { reason: "signed out".into(), occurred_at: noon() };
        given::<Session>(vec![opened()]).when(revoke.clone()).then(vec![revoked.clone()]);
        given::<Session>(vec![opened(), revoked]).when(revoke).then_nothing();
    }

    fn end() -> Timestamp {
        noon().plus(Duration::from_hours(1))
    }

    fn opened() -> SessionEvent {
        SessionEvent::SessionOpened { user_id: "ani".into(), expires_at: end(), occurred_at: noon() }
    }

    fn rotate(generation: u32) -> SessionCommand {
        SessionCommand::Rotate { generation, expires_at: end() }
    }

    fn rotated(generation: u32) -> SessionEvent {
        SessionEvent::SessionRotated { generation, expires_at: end(), occurred_at: noon() }
    }
}
