//! The lines of a log that goes on, from the cluster's stream of bytes: bounded, and none twice.

use std::io;

use futures::{AsyncBufRead, Stream, StreamExt, future::ready};
use minispod_domain::ports::fleet::{FleetError, LogLine};
use tokio_util::{
    bytes::BytesMut,
    codec::{Decoder, FramedRead, LinesCodec, LinesCodecError},
    compat::FuturesAsyncReadCompatExt,
};

use crate::log_lines;

/// Longest line in bytes; a longer one is left out.
const LINE_MAX: usize = 64 << 10;
const TOO_LONG: &str = "(a line of more than 64 KiB is left out)";

/// The lines after `after`; the cluster knows whole seconds only, so those of the second itself are left out here.
pub(super) fn lines(
    printed: impl AsyncBufRead + Send + 'static,
    after: Option<i64>,
) -> impl Stream<Item = Result<LogLine, FleetError>> + Send {
    let mut newest = after.unwrap_or_default();
    let mut is_new = after.is_none();
    FramedRead::new(printed.compat(), Bounded(LinesCodec::new_with_max_length(LINE_MAX)))
        .map(move |read| match read {
            Ok(Read::Line(line)) => {
                let (at, text) = log_lines::timed(&line);
                if let Some(at) = at {
                    is_new = after.is_none_or(|after| at > after);
                    newest = at;
                }
                Ok(is_new.then(|| LogLine { nanos: newest, text: text.to_owned() }))
            }
            Ok(Read::TooLong) => Ok(is_new.then(|| LogLine { nanos: newest, text: TOO_LONG.to_owned() })),
            Err(source) => {
                Err(FleetError::Unreachable { what: "follow a log".to_owned(), source: Some(Box::new(source)) })
            }
        })
        .filter_map(|read| ready(read.transpose()))
}

/// What was read.
enum Read {
    Line(String),
    TooLong,
}

/// Lines, and a word for each that is too long: to the library that is an error, and errors end its stream.
struct Bounded(LinesCodec);

fn bounded(read: Result<Option<String>, LinesCodecError>) -> io::Result<Option<Read>> {
    match read {
        Ok(line) => Ok(line.map(Read::Line)),
        Err(LinesCodecError::MaxLineLengthExceeded) => Ok(Some(Read::TooLong)),
        Err(LinesCodecError::Io(error)) => Err(error),
    }
}

impl Decoder for Bounded {
    type Item = Read;
    type Error = io::Error;

    fn decode(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Read>> {
        bounded(self.0.decode(bytes))
    }

    fn decode_eof(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Read>> {
        bounded(self.0.decode_eof(bytes))
    }
}

#[cfg(test)]
mod tests {
    use futures::{TryStreamExt, io::Cursor};

    use super::*;

    async fn read(text: &str, after: Option<i64>) -> Vec<(i64, String)> {
        let lines = lines(Cursor::new(text.to_owned().into_bytes()), after);
        let lines: Vec<_> = lines.try_collect().await.expect("read");
        lines.into_iter().map(|line| (line.nanos % 1_000_000_000, line.text)).collect()
    }

    const TEXT: &str = "2026-11-26T10:00:00.000000001Z one\n2026-11-26T10:00:00.000000002Z two\n  at main\n\
                        2026-11-26T10:00:00.000000003Z three\n";
    const SECOND: i64 = 1_795_687_200_000_000_000;

    #[tokio::test]
    async fn whoever_goes_on_sees_no_line_twice_and_misses_none() {
        let text = |line: &str| line.to_owned();
        let all = [(1, text("one")), (2, text("two")), (2, text("  at main")), (3, text("three"))];
        assert_eq!(read(TEXT, None).await, all);
        assert_eq!(read(TEXT, Some(SECOND + 1)).await, all[1..]);
        assert_eq!(read(TEXT, Some(SECOND + 2)).await, all[3..], "a line without an instant goes with the one before");
        assert_eq!(read(TEXT, Some(SECOND + 3)).await, []);
    }

    #[tokio::test]
    async fn a_line_without_end_is_left_out_and_what_follows_is_there() {
        let long = "x".repeat(LINE_MAX + 10);
        let text = format!("2026-11-26T10:00:00.000000001Z {long}\n2026-11-26T10:00:00.000000002Z two\n");
        assert_eq!(read(&text, None).await, [(0, TOO_LONG.to_owned()), (2, "two".to_owned())]);
    }
}
