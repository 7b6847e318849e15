//! An SMTP sink: takes every mail, sends none, and shows them by an API of mailpit's shape.

mod api;
mod mailbox;
mod session;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use actix_web::web;
use minispod_kernel::{Clock, IdSource};
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::mailbox::Mailbox;
use crate::server::{Served, StandInError, loopback, serve};

/// Conversations at once; more wait for their greeting.
const SESSIONS_MAX: usize = 64;

/// How the sink behaves.
#[derive(Clone)]
pub struct SmtpOptions {
    /// The last so many messages are kept.
    pub keep: usize,
    /// All kept messages together; the oldest go first.
    pub keep_bytes: usize,
    /// Longest message that is taken.
    pub size_limit: usize,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn IdSource>,
}

impl SmtpOptions {
    pub fn new(clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>) -> Self {
        Self { keep: 500, keep_bytes: 64 * 1024 * 1024, size_limit: 25 * 1024 * 1024, clock, ids }
    }
}

/// What goes wrong from now on; set by tests at `PUT /standin/faults`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SmtpFaults {
    /// So many next messages are refused after their text.
    pub reject_next: u32,
    /// The code of a refusal: 4yz passing, 5yz for good. 0 means 451.
    pub reject_code: u16,
    /// Recipients that are refused for good with 550, whatever their case.
    pub reject_recipients: Vec<String>,
    /// A message is acknowledged this late.
    pub delay_ms: u64,
    /// So many next connections are closed after the message was taken, before its acknowledgement.
    pub drop_next: u32,
}

/// A running sink.
#[derive(Debug)]
pub struct SmtpSink {
    /// `smtp://127.0.0.1:<port>`, without TLS; any user and password are taken.
    pub smtp_url: String,
    /// `http://127.0.0.1:<port>`: mailpit's `GET /api/v1/messages` and its neighbours.
    pub api_url: String,
    served: Served,
    sessions: TaskTracker,
    stopped: CancellationToken,
}

impl SmtpSink {
    /// Takes no more mail and answers no more.
    pub async fn shutdown(self) {
        self.stopped.cancel();
        self.sessions.close();
        self.sessions.wait().await;
        self.served.stop().await;
    }
}

/// Shared by the conversations and the API.
struct Sink {
    mailbox: Mutex<Mailbox>,
    faults: Mutex<SmtpFaults>,
    options: SmtpOptions,
}

impl Sink {
    fn mailbox(&self) -> MutexGuard<'_, Mailbox> {
        self.mailbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> MutexGuard<'_, SmtpFaults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts taking mail at `smtp` and answering at `api` (loopback; port 0 takes a free one).
pub async fn start(smtp: SocketAddr, api: SocketAddr, options: SmtpOptions) -> Result<SmtpSink, StandInError> {
    let failed = |source| StandInError::Listen { address: smtp, source };
    let listener = TcpListener::bind(loopback(smtp)?).await.map_err(failed)?;
    let smtp = listener.local_addr().map_err(failed)?;
    let sink = Arc::new(Sink {
        mailbox: Mutex::new(Mailbox::new(options.keep, options.keep_bytes)),
        faults: Mutex::new(SmtpFaults::default()),
        options,
    });
    let state = web::Data::from(sink.clone());
    let served = serve(api, "smtp", move |config| {
        config.app_data(state.clone()).configure(api::routes);
    })?;
    let (sessions, stopped) = (TaskTracker::new(), CancellationToken::new());
    sessions.spawn(accept(listener, sink, sessions.clone(), stopped.clone()));
    tracing::warn!(stand_in = "smtp", %smtp, "STAND-IN: mails are kept here and go nowhere");
    let api_url = format!("http://{}", served.address);
    Ok(SmtpSink { smtp_url: format!("smtp://{smtp}"), api_url, served, sessions, stopped })
}

async fn accept(listener: TcpListener, sink: Arc<Sink>, sessions: TaskTracker, stopped: CancellationToken) {
    let places = Arc::new(Semaphore::new(SESSIONS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            () = stopped.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(stand_in = "smtp", %error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (sink, stopped) = (sink.clone(), stopped.clone());
        sessions.spawn(async move {
            let _place = place;
            tokio::select! {
                () = stopped.cancelled() => {}
                ended = session::talk(stream, &sink) => {
                    if let Err(error) = ended {
                        tracing::debug!(stand_in = "smtp", %error, "a conversation broke off");
                    }
                }
            }
        });
    }
}
