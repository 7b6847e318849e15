//! Which lines of a log are wanted: the newest, none older than asked for, with their instants or without.

use minispod_domain::ports::fleet::LogWish;
use minispod_kernel::Timestamp;

/// Of a text whose lines begin with their instants. A line without one goes with the line before it.
pub fn wanted(text: &str, wish: &LogWish) -> String {
    let mut is_late = wish.since.is_none();
    let mut lines: Vec<&str> = Vec::new();
    for line in text.lines() {
        let (at, rest) = split(line);
        if let (Some(since), Some(at)) = (wish.since, at) {
            is_late = at >= since;
        }
        if is_late {
            lines.push(if wish.timestamps { line } else { rest });
        }
    }
    let newest = lines.len().saturating_sub(usize::try_from(wish.lines).unwrap_or(usize::MAX));
    let mut out = lines[newest..].join("\n");
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

/// A line's instant in nanoseconds since 1970, and the rest of it.
pub fn timed(line: &str) -> (Option<i64>, &str) {
    let nanos = |word: &str| {
        let at: k8s_openapi::jiff::Timestamp = word.parse().ok()?;
        i64::try_from(at.as_nanosecond()).ok()
    };
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    nanos(first).map_or((None, line), |at| (Some(at), rest))
}

/// A line's instant and the rest of it.
fn split(line: &str) -> (Option<Timestamp>, &str) {
    let Some((first, rest)) = line.split_once(' ') else { return (instant(line), "") };
    match instant(first) {
        Some(at) => (Some(at), rest),
        None => (None, line),
    }
}

fn instant(word: &str) -> Option<Timestamp> {
    let at: k8s_openapi::jiff::Timestamp = word.parse().ok()?;
    Some(Timestamp::from_unix_millis(at.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "2026-11-26T10:00:00.100000000Z one\n2026-11-26T10:00:00.900000000Z two\n\
                        2026-11-26T10:00:01.000000000Z \n2026-11-26T10:00:02Z three words\n";

    fn wish(lines: u32, since_millis: Option<i64>, timestamps: bool) -> LogWish {
        let zero = instant("2026-11-26T10:00:00Z").expect("an instant").unix_millis();
        LogWish { lines, since: since_millis.map(|after| Timestamp::from_unix_millis(zero + after)), timestamps }
    }

    #[test]
    fn lines_since_and_timestamps_are_all_honoured() {
        assert_eq!(wanted(TEXT, &wish(10, None, true)), TEXT);
        assert_eq!(wanted(TEXT, &wish(10, None, false)), "one\ntwo\n\nthree words\n");
        assert_eq!(wanted(TEXT, &wish(1, None, false)), "three words\n");
        assert_eq!(wanted(TEXT, &wish(10, Some(500), false)), "two\n\nthree words\n", "to the millisecond");
        assert_eq!(wanted(TEXT, &wish(1, Some(500), true)), "2026-11-26T10:00:02Z three words\n");
        assert_eq!(wanted(TEXT, &wish(10, Some(5_000), false)), "");
        assert_eq!(wanted("", &wish(10, None, false)), "");
    }

    #[test]
    fn instants_of_lines_are_known_to_the_nanosecond() {
        let second = 1_795_687_200_000_000_000;
        assert_eq!(timed("2026-11-26T10:00:00.000000001Z a b"), (Some(second + 1), "a b"));
        assert_eq!(timed("2026-11-26T10:00:00Z"), (Some(second), ""));
        assert_eq!(timed("  at main"), (None, "  at main"));
    }

    #[test]
    fn a_line_without_an_instant_goes_with_the_one_before() {
        let text = "2026-11-26T10:00:00Z one\n  at main\n2026-11-26T10:00:05Z two\n  at main\n";
        assert_eq!(wanted(text, &wish(10, Some(1_000), false)), "two\n  at main\n");
    }
}
