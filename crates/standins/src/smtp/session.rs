//! One SMTP conversation: greeting, envelope, text, quit; every line and wait is bounded.

use std::{io, time::Duration};

use minispod_kernel::Timestamp;
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use super::{Sink, mailbox::Kept};

/// A command's line; the rule says 512.
const COMMAND_MAX_BYTES: usize = 2 * 1024;
/// A line of text; the rule says 1000, senders do worse.
const TEXT_LINE_MAX_BYTES: usize = 1024 * 1024;
const RECIPIENTS_MAX: usize = 100;
/// Commands in one conversation.
const COMMANDS_MAX: usize = 10_000;
/// How long a client may say nothing.
const SILENCE_MAX: Duration = Duration::from_mins(2);
const DELAY_MAX: Duration = Duration::from_mins(1);

/// The envelope so far.
#[derive(Default)]
struct Envelope {
    sender: Option<String>,
    recipients: Vec<String>,
}

struct Conversation<'a> {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    sink: &'a Sink,
    envelope: Envelope,
}

/// What to do after an answer.
#[derive(PartialEq)]
enum Next {
    GoOn,
    HangUp,
}

/// Talks until the client leaves.
pub async fn talk(stream: TcpStream, sink: &Sink) -> io::Result<()> {
    let (reader, writer) = stream.into_split();
    let mut talk = Conversation { reader: BufReader::new(reader), writer, sink, envelope: Envelope::default() };
    talk.say("220 minispod-stand-in ESMTP: this server keeps mails and sends none").await?;
    for _ in 0..COMMANDS_MAX {
        let line = match talk.hear(COMMAND_MAX_BYTES).await? {
            None => return Ok(()),
            Some(Line::TooLong) => {
                talk.say("500 line too long").await?;
                continue;
            }
            Some(Line::Whole(line)) => String::from_utf8_lossy(&line).into_owned(),
        };
        if talk.answer(line.trim_end()).await? == Next::HangUp {
            return Ok(());
        }
    }
    talk.say("421 too many commands").await
}

impl Conversation<'_> {
    async fn answer(&mut self, line: &str) -> io::Result<Next> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => {
                self.envelope = Envelope::default();
                let size = self.sink.options.size_limit;
                self.say("250-minispod-stand-in").await?;
                self.say("250-8BITMIME").await?;
                self.say("250-SMTPUTF8").await?;
                self.say("250-AUTH PLAIN LOGIN").await?;
                self.say(&format!("250 SIZE {size}")).await?;
            }
            "HELO" => {
                self.envelope = Envelope::default();
                self.say("250 minispod-stand-in").await?;
            }
            "AUTH" => self.log_in(rest).await?,
            "MAIL" => self.mail_from(rest).await?,
            "RCPT" => self.rcpt_to(rest).await?,
            "DATA" => return self.data().await,
            "RSET" => {
                self.envelope = Envelope::default();
                self.say("250 forgotten").await?;
            }
            "NOOP" => self.say("250 fine").await?,
            "QUIT" => {
                self.say("221 bye").await?;
                return Ok(Next::HangUp);
            }
            _ => self.say("502 not known here").await?,
        }
        Ok(Next::GoOn)
    }

    /// Any name and password will do; they are read and thrown away.
    async fn log_in(&mut self, rest: &str) -> io::Result<()> {
        let (mechanism, initial) = rest.split_once(' ').unwrap_or((rest, ""));
        let prompts: &[&str] = match mechanism.to_ascii_uppercase().as_str() {
            "PLAIN" if !initial.is_empty() => &[],
            "PLAIN" => &["334 "],
            "LOGIN" if !initial.is_empty() => &["334 UGFzc3dvcmQ6"],
            "LOGIN" => &["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"],
            _ => return self.say("504 PLAIN or LOGIN").await,
        };
        for prompt in prompts {
            self.say(prompt).await?;
            self.hear(COMMAND_MAX_BYTES).await?;
        }
        self.say("235 welcome, whoever you are").await
    }

    async fn mail_from(&mut self, rest: &str) -> io::Result<()> {
        let Some((address, parameters)) = path(rest, "FROM:") else { return self.say("501 MAIL FROM:<address>").await };
        let announced = parameters
            .split_whitespace()
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(name, _)| name.eq_ignore_ascii_case("SIZE"))
            .and_then(|(_, size)| size.parse::<usize>().ok());
        if announced.is_some_and(|size| size > self.sink.options.size_limit) {
            return self.say("552 the message is too large").await;
        }
        self.envelope = Envelope { sender: Some(address), recipients: Vec::new() };
        self.say("250 ok").await
    }

    async fn rcpt_to(&mut self, rest: &str) -> io::Result<()> {
        let Some((address, _)) = path(rest, "TO:").filter(|(address, _)| !address.is_empty()) else {
            return self.say("501 RCPT TO:<address>").await;
        };
        if self.envelope.sender.is_none() {
            return self.say("503 MAIL first").await;
        }
        if self.envelope.recipients.len() >= RECIPIENTS_MAX {
            return self.say("452 too many recipients").await;
        }
        let is_refused =
            self.sink.faults().reject_recipients.iter().any(|refused| refused.eq_ignore_ascii_case(&address));
        if is_refused {
            return self.say("550 no such mailbox here, a test says").await;
        }
        self.envelope.recipients.push(address);
        self.say("250 ok").await
    }

    async fn data(&mut self) -> io::Result<Next> {
        if self.envelope.recipients.is_empty() {
            self.say("503 RCPT first").await?;
            return Ok(Next::GoOn);
        }
        self.say("354 end with a dot on its own line").await?;
        let Some(text) = self.text().await? else { return Ok(Next::HangUp) };
        let envelope = std::mem::take(&mut self.envelope);
        let Some(raw) = text else {
            self.say("552 the message is too large").await?;
            return Ok(Next::GoOn);
        };
        let (delay, refusal, is_dropped) = self.take_faults();
        tokio::time::sleep(delay).await;
        if let Some(code) = refusal {
            // Real servers name the recipient too.
            self.say(&format!("{code} refused for {}, a test says", envelope.recipients.join(", "))).await?;
            return Ok(Next::GoOn);
        }
        let kept = Kept {
            id: self.sink.options.ids.next_id(),
            sender: envelope.sender.unwrap_or_default(),
            recipients: envelope.recipients,
            received_at: self.now(),
            raw: raw.into(),
        };
        tracing::info!(stand_in = "smtp", id = kept.id, bytes = kept.raw.len(), "mail taken, sent nowhere");
        let answer = format!("250 kept as {}", kept.id);
        self.sink.mailbox().keep(kept);
        if is_dropped {
            return Ok(Next::HangUp);
        }
        self.say(&answer).await?;
        Ok(Next::GoOn)
    }

    fn take_faults(&self) -> (Duration, Option<u16>, bool) {
        let mut faults = self.sink.faults();
        let refusal =
            (faults.reject_next > 0).then_some(if faults.reject_code == 0 { 451 } else { faults.reject_code });
        faults.reject_next = faults.reject_next.saturating_sub(1);
        let is_dropped = refusal.is_none() && faults.drop_next > 0;
        if is_dropped {
            faults.drop_next -= 1;
        }
        (Duration::from_millis(faults.delay_ms).min(DELAY_MAX), refusal, is_dropped)
    }

    /// The text up to the lone dot, unstuffed. Outer `None`: the client left; inner `None`: too large.
    async fn text(&mut self) -> io::Result<Option<Option<Vec<u8>>>> {
        let mut text = Some(Vec::new());
        loop {
            let line = match self.hear(TEXT_LINE_MAX_BYTES).await? {
                None => return Ok(None),
                Some(Line::TooLong) => {
                    text = None;
                    continue;
                }
                Some(Line::Whole(line)) => line,
            };
            if line == b".\r\n" || line == b".\n" {
                return Ok(Some(text));
            }
            let line = line.strip_prefix(b".").unwrap_or(&line);
            text = text.filter(|text| text.len() + line.len() <= self.sink.options.size_limit);
            if let Some(text) = &mut text {
                text.extend_from_slice(line);
            }
        }
    }

    async fn say(&mut self, line: &str) -> io::Result<()> {
        self.writer.write_all(format!("{line}\r\n").as_bytes()).await
    }

    async fn hear(&mut self, max: usize) -> io::Result<Option<Line>> {
        tokio::time::timeout(SILENCE_MAX, read_line(&mut self.reader, max))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the client fell silent"))?
    }

    fn now(&self) -> Timestamp {
        self.sink.options.clock.now()
    }
}

#[derive(Debug, PartialEq)]
enum Line {
    /// With its line end.
    Whole(Vec<u8>),
    /// Read to its end and thrown away.
    TooLong,
}

/// One line up to `max` bytes; `None` when the client left.
async fn read_line(reader: &mut (impl AsyncBufRead + Unpin), max: usize) -> io::Result<Option<Line>> {
    let mut line = Vec::new();
    let mut is_too_long = false;
    loop {
        let available = reader.fill_buf().await?;
        if available.is_empty() {
            return Ok(None);
        }
        let end = available.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
        let part = &available[..end.unwrap_or(available.len())];
        is_too_long |= line.len() + part.len() > max;
        if !is_too_long {
            line.extend_from_slice(part);
        }
        let read = part.len();
        reader.consume(read);
        if end.is_some() {
            return Ok(Some(if is_too_long { Line::TooLong } else { Line::Whole(line) }));
        }
    }
}

/// `FROM:<address> PARAMETERS` → address and parameters.
fn path<'a>(rest: &'a str, word: &str) -> Option<(String, &'a str)> {
    let rest = rest.trim_start();
    let after = rest.get(..word.len()).filter(|start| start.eq_ignore_ascii_case(word)).map(|_| &rest[word.len()..])?;
    let (address, parameters) = after.trim_start().strip_prefix('<')?.split_once('>')?;
    Some((address.to_owned(), parameters))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_with_and_without_parameters() {
        assert_eq!(path("FROM:<a@b.c> SIZE=10", "FROM:"), Some(("a@b.c".into(), " SIZE=10")));
        assert_eq!(path("from: <>", "FROM:"), Some((String::new(), "")));
        assert_eq!(path("TO:a@b.c", "TO:"), None);
        assert_eq!(path("é", "FROM:"), None);
    }

    #[tokio::test]
    async fn lines_are_bounded_and_the_next_one_is_found_again() {
        let mut input = BufReader::with_capacity(4, &b"short\r\nmuch too long\r\nnext\r\n"[..]);
        assert_eq!(read_line(&mut input, 8).await.expect("read"), Some(Line::Whole(b"short\r\n".to_vec())));
        assert_eq!(read_line(&mut input, 8).await.expect("read"), Some(Line::TooLong));
        assert_eq!(read_line(&mut input, 8).await.expect("read"), Some(Line::Whole(b"next\r\n".to_vec())));
        assert_eq!(read_line(&mut input, 8).await.expect("read"), None);
    }
}
