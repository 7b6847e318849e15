//! Google's keys: fetched over HTTP within bounds, kept for as long as Google says.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jsonwebtoken::DecodingKey;
use minispod_kernel::{Clock, Timestamp};
use reqwest::header::CACHE_CONTROL;
use serde::Deserialize;
use tokio::sync::Mutex;

/// Longest wait for the keys.
const DEADLINE: Duration = Duration::from_secs(5);
/// Largest answer that is read.
const BODY_MAX: usize = 64 * 1024;
/// Keys are kept at least and at most this long, whatever the answer says; in between it decides.
const AGE_MIN: Duration = Duration::from_mins(1);
const AGE_MAX: Duration = Duration::from_hours(24);
/// How long keys are kept when the answer says nothing.
const AGE_UNSAID: Duration = Duration::from_mins(15);
/// How long after their time known keys still serve while no newer ones can be had.
const STALE_MAX: Duration = Duration::from_hours(1);
/// Between two fetches for a key that is not there, or that failed.
const PAUSE: Duration = Duration::from_secs(10);

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error("no HTTP client could be made")]
    Client(#[source] reqwest::Error),
    #[error("the keys could not be fetched")]
    Unreachable(#[source] reqwest::Error),
    #[error("the keys were answered with status {0}")]
    Status(u16),
    #[error("the answer with the keys is larger than {BODY_MAX} bytes")]
    TooLarge,
    #[error("the answer holds no keys")]
    Garbled(#[source] serde_json::Error),
    #[error("the keys could not be fetched a moment ago")]
    Pausing,
}

/// Keys by their names.
pub struct GoogleKeys {
    http: reqwest::Client,
    url: String,
    clock: Arc<dyn Clock>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    keys: HashMap<String, DecodingKey>,
    until: Option<Timestamp>,
    tried: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Published {
    keys: Vec<PublishedKey>,
}

/// Keys of other kinds lack some of these and are passed over.
#[derive(Deserialize)]
struct PublishedKey {
    kty: String,
    kid: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

impl GoogleKeys {
    /// Published at `url`; nothing is fetched yet.
    pub fn new(url: String, clock: Arc<dyn Clock>) -> Result<Self, KeysError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Losing a race against another caller is fine: it installed the same provider.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let http = reqwest::Client::builder()
            .timeout(DEADLINE)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("minispod/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(KeysError::Client)?;
        Ok(Self { http, url, clock, kept: Mutex::default() })
    }

    /// The key `kid`; `None`: Google has none of this name. Fetched once for all who wait.
    pub async fn find(&self, kid: &str) -> Result<Option<DecodingKey>, KeysError> {
        let mut kept = self.kept.lock().await;
        let now = self.clock.now();
        let known = kept.keys.get(kid).cloned();
        let is_fresh = kept.until.is_some_and(|until| now < until);
        if is_fresh && known.is_some() {
            return Ok(known);
        }
        // Names are a client's words: they must not make us fetch as often as somebody likes.
        let is_pausing = kept.tried.is_some_and(|tried| now < tried.plus(PAUSE));
        let serves_on = known.filter(|_| kept.until.is_some_and(|until| now < until.plus(STALE_MAX)));
        if is_pausing {
            return if is_fresh || serves_on.is_some() { Ok(serves_on) } else { Err(KeysError::Pausing) };
        }
        kept.tried = Some(now);
        match self.fetch().await {
            Ok((keys, age)) => {
                kept.keys = keys;
                kept.until = Some(now.plus(age));
                Ok(kept.keys.get(kid).cloned())
            }
            Err(error) if serves_on.is_some() => {
                tracing::warn!(%error, "Google's keys could not be renewed; the former ones serve on for a while");
                Ok(serves_on)
            }
            Err(error) => Err(error),
        }
    }

    async fn fetch(&self) -> Result<(HashMap<String, DecodingKey>, Duration), KeysError> {
        let mut answer = self.http.get(&self.url).send().await.map_err(KeysError::Unreachable)?;
        if !answer.status().is_success() {
            return Err(KeysError::Status(answer.status().as_u16()));
        }
        let said = answer.headers().get(CACHE_CONTROL).and_then(|value| value.to_str().ok()).and_then(max_age);
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(KeysError::Unreachable)? {
            if body.len() + chunk.len() > BODY_MAX {
                return Err(KeysError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        let published: Published = serde_json::from_slice(&body).map_err(KeysError::Garbled)?;
        let keys = published.keys.into_iter().filter_map(|key| {
            let usable = key.kty == "RSA";
            let decoding = DecodingKey::from_rsa_components(key.n.as_deref()?, key.e.as_deref()?).ok()?;
            usable.then_some((key.kid?, decoding))
        });
        Ok((keys.collect(), said.unwrap_or(AGE_UNSAID).clamp(AGE_MIN, AGE_MAX)))
    }
}

/// `max-age` of a `Cache-Control` header.
fn max_age(header: &str) -> Option<Duration> {
    let seconds = header.split(',').find_map(|part| part.trim().strip_prefix("max-age="))?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_is_read_from_its_header() {
        assert_eq!(max_age("public, max-age=19204, must-revalidate"), Some(Duration::from_secs(19_204)));
        for bad in ["", "no-store", "max-age=", "max-age=-1", "max-age=soon", "s-maxage=5"] {
            assert_eq!(max_age(bad), None, "{bad}");
        }
    }
}
