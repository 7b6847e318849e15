//! Waiting for a condition with a deadline, instead of sleeping and hoping.

use std::{
    panic::Location,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const POLL: Duration = Duration::from_millis(20);

/// Waits until `condition` holds. Panics at the caller's line when `deadline` passes first.
#[track_caller]
pub fn wait_until<F, Fut>(deadline: Duration, condition: F) -> impl Future<Output = ()>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let caller = Location::caller();
    async move {
        assert!(eventually(deadline, condition).await, "the condition at {caller} did not hold within {deadline:?}");
    }
}

/// Whether `condition` comes to hold before `deadline` passes.
pub async fn eventually<F, Fut>(deadline: Duration, mut condition: F) -> bool
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let started = Instant::now();
    while !condition().await {
        if started.elapsed() > deadline {
            return false;
        }
        tokio::time::sleep(POLL).await;
    }
    true
}

/// Waits until a plain `http://host:port/path` answers with a 2xx status. Panics when `deadline` passes first.
pub async fn wait_for_http(url: &str, deadline: Duration) {
    let ready = eventually(deadline, || async { matches!(status_of(url).await, Some(200..=299)) }).await;
    assert!(ready, "{url} did not answer 2xx within {deadline:?}");
}

async fn status_of(url: &str) -> Option<u16> {
    let rest = url.strip_prefix("http://")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let answer = async {
        let mut stream = TcpStream::connect(host).await.ok()?;
        let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.ok()?;
        std::str::from_utf8(&head).ok()?.rsplit(' ').next()?.parse().ok()
    };
    tokio::time::timeout(Duration::from_secs(5), answer).await.ok().flatten()
}

/// A loopback port that was free a moment ago.
pub fn free_port() -> u16 {
    minispod_localservers::free_port().expect("loopback has a free port")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn waiting_ends_as_soon_as_the_condition_holds() {
        let asked = Cell::new(0);
        wait_until(Duration::from_secs(5), || async {
            asked.set(asked.get() + 1);
            asked.get() == 3
        })
        .await;
        assert_eq!(asked.get(), 3);
    }

    #[tokio::test]
    async fn waiting_gives_up_at_the_deadline() {
        assert!(!eventually(Duration::from_millis(1), || async { false }).await);
    }
}
