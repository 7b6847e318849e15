//! A log that is followed: server-sent events that a client can go on with where it was, bounded in number, time and size.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web::Bytes,
};
use futures::{SinkExt, StreamExt, channel::mpsc};
use metrics::gauge;
use minispod_domain::ports::fleet::{FollowWish, LINES_MAX, LogFollowed, LogLine};
use minispod_kernel::Timestamp;
use minispod_projections::subscriptions::InstanceRow;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    caller::Caller,
    error::ApiError,
    fleet::{LINES, fleet, fleet_failed, place_of},
    input::Query,
    state::AppState,
};

/// Followed at once by one person, and by all at one process.
const OF_ONE: usize = 4;
const OF_ALL: usize = 200;
/// As long as an access token usually lives: whoever may still read goes on with a new request.
const LIFE: Duration = Duration::from_mins(15);
/// Pause between two signs of life, which proxies and clients wait for.
const BEAT: Duration = Duration::from_secs(15);
/// How long a client may take for what waits for it.
const SEND_LIMIT: Duration = Duration::from_secs(30);
/// Events that wait for a client.
const QUEUE: usize = 64;
/// How long a client waits before it goes on, in milliseconds.
const RETRY: u64 = 2_000;
/// The same where nothing runs.
const RETRY_RESTING: u64 = 15_000;
/// The header with which a client goes on.
const LAST_EVENT_ID: &str = "Last-Event-ID";

/// Who follows logs at this process.
#[derive(Default)]
pub struct Followers(Mutex<HashMap<String, usize>>);

/// A place among them, given back when it is dropped.
struct Seat {
    followers: Arc<Followers>,
    user_id: String,
}

impl Followers {
    fn enter(self: &Arc<Self>, user_id: &str) -> Result<Seat, ApiError> {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.values().sum::<usize>() >= OF_ALL {
            return Err(ApiError::busy(BEAT).with_message("Too many logs are followed at the moment"));
        }
        let mine = now.entry(user_id.to_owned()).or_default();
        if *mine >= OF_ONE {
            let message = format!("At most {OF_ONE} logs can be followed at once");
            return Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMIT_EXCEEDED", message));
        }
        *mine += 1;
        gauge!("minispod_log_followers").increment(1.0);
        Ok(Seat { followers: Arc::clone(self), user_id: user_id.to_owned() })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        gauge!("minispod_log_followers").decrement(1.0);
        let mut now = self.followers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mine) = now.get_mut(&self.user_id) {
            *mine = mine.saturating_sub(1);
            if *mine == 0 {
                now.remove(&self.user_id);
            }
        }
    }
}

/// Follows the log of an instance for as long as its container runs.
pub async fn follow(
    state: &AppState,
    caller: &Caller,
    row: &InstanceRow,
    request: &HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let wish = read(request)?;
    let fleet = fleet(state)?;
    let seat = state.followers.enter(&caller.user.id)?;
    let followed = match place_of(row) {
        Some(place) => fleet.follow_log(&place, &wish).await.map_err(fleet_failed)?,
        None => None,
    };
    let (to, from) = mpsc::channel(QUEUE);
    let (simulated, shutdown) = (fleet.is_simulated(), state.shutdown.clone());
    actix_web::rt::spawn(async move {
        speak(to, followed, simulated, shutdown).await;
        drop(seat);
    });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header(("X-Accel-Buffering", "no"))
        // Compressed, lines would wait for each other.
        .insert_header((header::CONTENT_ENCODING, header::ContentEncoding::Identity))
        .streaming(from.map(Ok::<_, actix_web::Error>)))
}

fn read(request: &HttpRequest) -> Result<FollowWish, ApiError> {
    let mut query = Query::of(request);
    let lines = query.number("lines", LINES_MAX).unwrap_or(LINES);
    let asked = query.text("lastEventId", 20);
    let header = request.headers().get(LAST_EVENT_ID).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let after = header.filter(|text| !text.is_empty()).or(asked).map(|text| text.parse::<i64>());
    let after = match after {
        Some(Ok(after)) if after > 0 => Some(after),
        Some(_) => {
            query.fault("lastEventId", "lastEventId must be the id of an event of this stream");
            None
        }
        None => None,
    };
    query.finish()?;
    Ok(FollowWish { lines, after })
}

/// Says everything to the client, until one of them has no more.
async fn speak(
    mut to: mpsc::Sender<Bytes>,
    followed: Option<LogFollowed>,
    simulated: bool,
    shutdown: CancellationToken,
) {
    let mut say = async |text: String| {
        let sent = tokio::time::timeout(SEND_LIMIT, to.send(Bytes::from(text))).await;
        matches!(sent, Ok(Ok(())))
    };
    let pod = followed.as_ref().map(|followed| followed.pod.clone());
    let opening = json!({ "podName": pod, "simulated": simulated });
    if !say(format!("retry: {RETRY}\nevent: pod\ndata: {opening}\n\n")).await {
        return;
    }
    let Some(LogFollowed { mut lines, .. }) = followed else {
        say(ended("no-pod")).await;
        return;
    };
    let mut beats = tokio::time::interval(BEAT);
    beats.reset();
    let end = tokio::time::sleep(LIFE);
    tokio::pin!(end);
    loop {
        let (text, over) = tokio::select! {
            biased;
            () = shutdown.cancelled() => (ended("restart"), true),
            () = &mut end => (ended("time"), true),
            line = lines.next() => match line {
                Some(Ok(line)) => (said(&line), false),
                Some(Err(error)) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a followed log broke off");
                    (ended("broken-off"), true)
                }
                None => (ended("container-ended"), true),
            },
            _ = beats.tick() => (": still here\n\n".to_owned(), false),
        };
        if !say(text).await || over {
            return;
        }
    }
}

/// A line; its id is where to go on, where its instant is known.
fn said(line: &LogLine) -> String {
    let at = Timestamp::from_unix_millis(line.nanos / 1_000_000).to_contract();
    let data = json!({ "timestamp": at, "line": line.text });
    if line.nanos == 0 {
        return format!("data: {data}\n\n");
    }
    format!("id: {}\ndata: {data}\n\n", line.nanos)
}

/// The last event: why there is no more for now.
fn ended(reason: &str) -> String {
    // What does not run is asked for less often than what only broke off.
    let pause = if ["no-pod", "container-ended"].contains(&reason) { RETRY_RESTING } else { RETRY };
    format!("retry: {pause}\nevent: end\ndata: {}\n\n", json!({ "reason": reason }))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn one_goes_on_after_the_last_event_of_the_header_or_the_query() {
        let of = |request: TestRequest| read(&request.to_http_request());
        let uri = |query: &str| TestRequest::with_uri(&format!("/?{query}"));
        assert_eq!(of(uri("")).expect("reads"), FollowWish { lines: 100, after: None });
        assert_eq!(of(uri("lines=5&lastEventId=17")).expect("reads"), FollowWish { lines: 5, after: Some(17) });
        let both = uri("lastEventId=17").insert_header((LAST_EVENT_ID, "18"));
        assert_eq!(of(both).expect("reads").after, Some(18), "a client that goes on by itself knows better");
        for bad in ["lines=0", "lines=1001", "lastEventId=-1", "lastEventId=0", "lastEventId=x"] {
            assert!(of(uri(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_line_cannot_become_an_event_of_its_own() {
        let line = LogLine { nanos: 1_795_687_200_000_000_001, text: "a\"\r\ndata: x\n\nevent: end".into() };
        let said = said(&line);
        assert_eq!(said.matches("\n\n").count(), 1, "{said:?}");
        assert!(said.starts_with("id: 1795687200000000001\ndata: {"), "{said:?}");
        let unknown = super::said(&LogLine { nanos: 0, text: "x".into() });
        assert!(!unknown.contains("id:"), "whoever goes on goes on from a known line: {unknown:?}");
    }

    #[test]
    fn few_at_once_and_a_place_comes_back() {
        let followers = Arc::new(Followers::default());
        let seats: Vec<_> = (0..OF_ONE).map(|_| followers.enter("ani").expect("a place")).collect();
        assert!(followers.enter("ani").is_err());
        assert!(followers.enter("budi").is_ok(), "another person has places of his own");
        drop(seats);
        assert!(followers.enter("ani").is_ok());
        let all: Vec<_> = (0..OF_ALL).map(|number| followers.enter(&number.to_string()).ok()).collect();
        assert!(all.iter().all(Option::is_some));
        assert!(followers.enter("citra").is_err());
    }
}
