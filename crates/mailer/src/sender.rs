//! Sends messages over SMTP: pooled, timed, and telling a refused recipient from a server that is not well.

use std::{fmt, time::Duration};

use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    transport::smtp::{PoolConfig, response::Category},
};

/// How to reach the mail server.
#[derive(Clone, PartialEq, Eq)]
pub struct SmtpConfig {
    /// `smtps://user:password@host:465`, `smtp://host:587?tls=required` (STARTTLS), `?tls=opportunistic`, or plain
    /// `smtp://host:port`; the path overrides the EHLO name. User and password are percent-encoded.
    pub url: String,
    /// For connecting and for each command.
    pub timeout: Duration,
    /// Connections kept open at most.
    pub connections: u32,
}

impl SmtpConfig {
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), timeout: Duration::from_secs(20), connections: 4 }
    }
}

impl fmt::Debug for SmtpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpConfig")
            .field("timeout", &self.timeout)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The server will never take this message for this recipient. Its text may hold the address, so only its code is kept.
    #[error("the mail server refused the message for good ({code})")]
    Rejected { code: String },
    /// Later may be better: full mailbox, greylisting, a log-in that an operator must mend. Only the code is kept here too.
    #[error("the mail server did not take the message for now ({code})")]
    Deferred { code: String },
    /// The server could not be reached or spoke no SMTP.
    #[error("the mail server did not take the message")]
    Unreached {
        #[source]
        source: lettre::transport::smtp::Error,
    },
    #[error("the mail server did not finish in time")]
    TimedOut,
}

/// The address of the mail server is of no known form. The cause could quote a password, so it is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the SMTP address is not of the form smtp[s]://[user:password@]host[:port][/ehlo-name][?tls=required|opportunistic]"
)]
pub struct BadSmtpUrl;

/// A pool of SMTP connections.
#[derive(Clone)]
pub struct SmtpSender {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    deadline: Duration,
}

impl SmtpSender {
    /// Opens nothing yet. Must be called inside a Tokio runtime, which runs the pool's upkeep.
    pub fn new(config: &SmtpConfig) -> Result<Self, BadSmtpUrl> {
        let pool = PoolConfig::new().max_size(config.connections.max(1)).idle_timeout(Duration::from_mins(1));
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(&config.url)
            .map_err(|_| BadSmtpUrl)?
            .timeout(Some(config.timeout))
            .pool_config(pool)
            .build();
        Ok(Self { transport, deadline: config.timeout * 3 })
    }

    /// Hands the message to the server. A repeat after a crash may deliver twice, with the same Message-ID.
    pub async fn send(&self, message: Message) -> Result<(), SendError> {
        match tokio::time::timeout(self.deadline, self.transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(judge(error)),
            Err(_) => Err(SendError::TimedOut),
        }
    }

    /// Whether the server answers and takes our log-in; for `doctor`.
    pub async fn check(&self) -> Result<bool, SendError> {
        match tokio::time::timeout(self.deadline, self.transport.test_connection()).await {
            Ok(Ok(answers)) => Ok(answers),
            Ok(Err(error)) => Err(judge(error)),
            Err(_) => Err(SendError::TimedOut),
        }
    }
}

/// 5yz is final, except what is between the server and us and not about the recipient: connection and log-in.
fn judge(error: lettre::transport::smtp::Error) -> SendError {
    match error.status() {
        Some(code)
            if error.is_permanent() && !matches!(code.category, Category::Connections | Category::Unspecified3) =>
        {
            SendError::Rejected { code: code.to_string() }
        }
        Some(code) => SendError::Deferred { code: code.to_string() },
        None => SendError::Unreached { source: error },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn known_forms_of_the_address_are_taken_and_others_refused_without_a_word_of_it() {
        for url in [
            "smtp://127.0.0.1:2525",
            "smtp://user:p%40ss@mail.example:587?tls=required",
            "smtp://mail.example?tls=opportunistic",
            "smtps://user:pass@mail.example/ehlo.example",
        ] {
            assert!(SmtpSender::new(&SmtpConfig::new(url)).is_ok(), "{url}");
        }
        for url in ["", "mail.example", "http://user:secret@mail.example", "smtp://mail.example?tls=maybe"] {
            let error = SmtpSender::new(&SmtpConfig::new(url)).err().expect("refused");
            assert!(!error.to_string().contains("secret"));
        }
        assert!(!format!("{:?}", SmtpConfig::new("smtps://user:secret@h")).contains("secret"));
    }
}
