//! `Prefer` (RFC 7240): how long a write waits until the next read shows it.

use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName};
use minispod_kernel::InsSeq;

use crate::{call::Call, state::AppState};

/// The request's header.
const PREFER: HeaderName = HeaderName::from_static("prefer");
/// Longest wait that a client may ask for, in seconds.
pub const WAIT_MAX: u32 = 10;

/// How long a client is ready to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Patience {
    /// It says nothing: as long as is usual here.
    #[default]
    Usual,
    /// `wait=N`, at most [`WAIT_MAX`].
    Seconds(u32),
    /// `respond-async`: not at all.
    None,
}

impl Patience {
    /// Of a request. What makes no sense counts as not said, as the standard asks; `wait` tells more than `respond-async`.
    pub fn of(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(PREFER).filter_map(|line| line.to_str().ok());
        let preferences = lines.flat_map(|line| line.split(',')).map(|one| one.split(';').next().unwrap_or_default());
        preferences.fold(Self::Usual, |patience, preference| {
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "wait" => value.parse().map_or(patience, |seconds: u32| Self::Seconds(seconds.min(WAIT_MAX))),
                "respond-async" if patience == Self::Usual => Self::None,
                _ => patience,
            }
        })
    }
}

/// Whether the read models show what was written, as the answer's `Preference-Applied` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shown {
    /// Not in time.
    #[default]
    NotYet,
    /// Yes, within the usual time.
    Yes,
    /// Yes, within the seconds that the client named.
    Within(u32),
    /// The client did not want to wait.
    NotAwaited,
}

impl Shown {
    /// Whether a read shows the write now, as far as is known.
    pub const fn is_shown(self) -> bool {
        matches!(self, Self::Yes | Self::Within(_))
    }

    /// The text of `Preference-Applied`; `None`: nothing was applied.
    pub fn applied(self) -> Option<String> {
        match self {
            Self::NotYet => None,
            Self::Yes => Some("wait".to_owned()),
            Self::Within(seconds) => Some(format!("wait={seconds}")),
            Self::NotAwaited => Some("respond-async".to_owned()),
        }
    }
}

impl From<bool> for Shown {
    fn from(shown: bool) -> Self {
        if shown { Self::Yes } else { Self::NotYet }
    }
}

impl Call {
    /// Waits until `projections` show `ins_seq`, as long as the client wants. Only for the answer: what a route needs to
    /// have seen before it goes on it waits for whatever the client prefers.
    pub async fn shown(&self, state: &AppState, projections: &[&str], ins_seq: InsSeq) -> Shown {
        match self.patience {
            Patience::Usual => state.read_models.show(projections, ins_seq).await.into(),
            Patience::None => Shown::NotAwaited,
            Patience::Seconds(seconds) => {
                let bound = Duration::from_secs(seconds.into());
                let shown = state.read_models.show_within(projections, ins_seq, bound).await;
                if shown { Shown::Within(seconds) } else { Shown::NotYet }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn of(lines: &[&str]) -> Patience {
        let request = lines.iter().fold(TestRequest::default(), |request, line| request.append_header((PREFER, *line)));
        Patience::of(request.to_http_request().headers())
    }

    #[test]
    fn a_wait_is_bounded_and_nonsense_counts_as_not_said() {
        assert_eq!(of(&[]), Patience::Usual);
        assert_eq!(of(&["wait=3"]), Patience::Seconds(3));
        assert_eq!(of(&["return=minimal, Wait = \"0\"; x=1"]), Patience::Seconds(0));
        assert_eq!(of(&["wait=4000000000"]), Patience::Seconds(WAIT_MAX));
        assert_eq!(of(&["respond-async"]), Patience::None);
        assert_eq!(of(&["respond-async", "wait=2"]), Patience::Seconds(2));
        assert_eq!(of(&["wait=2, respond-async"]), Patience::Seconds(2));
        for nonsense in ["wait", "wait=", "wait=soon", "wait=-1", "wait=1.5", "waiting=3", ",,;="] {
            assert_eq!(of(&[nonsense]), Patience::Usual, "{nonsense}");
        }
    }

    #[test]
    fn only_what_was_done_is_said_to_be_applied() {
        let applied = [Shown::NotYet, Shown::Yes, Shown::Within(3), Shown::NotAwaited].map(Shown::applied);
        assert_eq!(applied.map(Option::unwrap_or_default), ["", "wait", "wait=3", "respond-async"]);
    }
}
