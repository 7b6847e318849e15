//! The last messages that were taken, bounded in number and bytes, newest last.

use std::collections::VecDeque;

use actix_web::web::Bytes;
use minispod_kernel::Timestamp;

/// A message as it came.
#[derive(Debug, Clone)]
pub struct Kept {
    pub id: String,
    /// Of `MAIL FROM`; empty for a bounce.
    pub sender: String,
    /// Of `RCPT TO`.
    pub recipients: Vec<String>,
    pub received_at: Timestamp,
    pub raw: Bytes,
}

/// Messages in the order of their coming.
#[derive(Debug)]
pub struct Mailbox {
    messages: VecDeque<Kept>,
    bytes: usize,
    keep: usize,
    keep_bytes: usize,
}

impl Mailbox {
    pub fn new(keep: usize, keep_bytes: usize) -> Self {
        Self { messages: VecDeque::new(), bytes: 0, keep: keep.max(1), keep_bytes }
    }

    /// Adds a message; the oldest go when there is no room, but never the new one.
    pub fn keep(&mut self, message: Kept) {
        self.bytes += message.raw.len();
        self.messages.push_back(message);
        while self.messages.len() > self.keep || (self.bytes > self.keep_bytes && self.messages.len() > 1) {
            if let Some(oldest) = self.messages.pop_front() {
                self.bytes -= oldest.raw.len();
            }
        }
    }

    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Newest first.
    pub fn newest(&self) -> impl Iterator<Item = &Kept> {
        self.messages.iter().rev()
    }

    /// By id; `latest` is the newest.
    pub fn find(&self, id: &str) -> Option<&Kept> {
        if id == "latest" {
            return self.messages.back();
        }
        self.messages.iter().find(|message| message.id == id)
    }

    /// Removes these, or all when `ids` is empty.
    pub fn remove(&mut self, ids: &[String]) {
        self.messages.retain(|message| !ids.is_empty() && !ids.contains(&message.id));
        self.bytes = self.messages.iter().map(|message| message.raw.len()).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str, bytes: usize) -> Kept {
        Kept {
            id: id.into(),
            sender: String::new(),
            recipients: vec![],
            received_at: Timestamp::from_unix_millis(0),
            raw: vec![b'x'; bytes].into(),
        }
    }

    #[test]
    fn the_oldest_go_when_number_or_bytes_run_over() {
        let mut mailbox = Mailbox::new(3, 100);
        for id in ["a", "b", "c", "d"] {
            mailbox.keep(message(id, 10));
        }
        assert_eq!(mailbox.newest().map(|kept| kept.id.as_str()).collect::<Vec<_>>(), ["d", "c", "b"]);
        mailbox.keep(message("big", 150));
        assert_eq!(mailbox.newest().map(|kept| kept.id.as_str()).collect::<Vec<_>>(), ["big"]);
    }
}
