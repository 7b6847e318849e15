//! `cursor`: a place in a list that is ordered newest first, opaque to clients.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use minispod_kernel::Timestamp;
use minispod_projections::Place;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::query::YEARS;

/// Layout of the bytes behind the text: this one, the instant in microseconds, the id, the check.
const LAYOUT: u8 = 1;
/// The instant's bytes.
const INSTANT: usize = 8;
/// Bytes of the check. It finds a cursor that was cut, altered or made up; a cursor gives no leave for anything.
const CHECK: usize = 6;
/// Longest id.
const ID_MAX: usize = 64;
/// Longest cursor.
pub const CURSOR_MAX: usize = (1 + INSTANT + ID_MAX + CHECK) * 4 / 3 + 1;

/// The text for `place`.
pub fn write(place: &Place) -> String {
    let micros = i64::try_from(place.at.to_utc().unix_timestamp_nanos() / 1_000).unwrap_or_default();
    let mut bytes = vec![LAYOUT];
    bytes.extend(micros.to_be_bytes());
    bytes.extend(place.id.bytes());
    bytes.extend(check(&bytes));
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The place that [`write`] was given; `None`: this is none of its texts.
pub fn read(text: &str) -> Option<Place> {
    if text.len() > CURSOR_MAX {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (said, checked) = bytes.split_at_checked(bytes.len().checked_sub(CHECK)?)?;
    if check(said) != checked {
        return None;
    }
    let (&LAYOUT, rest) = said.split_first()? else { return None };
    let (instant, id) = rest.split_first_chunk::<INSTANT>()?;
    let nanos = i128::from(i64::from_be_bytes(*instant)) * 1_000;
    let at = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok().and_then(|at| Timestamp::in_years(at, &YEARS))?;
    let id = std::str::from_utf8(id).ok().filter(|id| (1..=ID_MAX).contains(&id.len()) && !id.contains('\0'))?;
    Some(Place { at, id: id.to_owned() })
}

fn check(bytes: &[u8]) -> [u8; CHECK] {
    let digest = Sha256::new().chain_update(b"minispod cursor").chain_update(bytes).finalize();
    let mut check = [0; CHECK];
    check.copy_from_slice(&digest[..CHECK]);
    check
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(id: &str) -> Place {
        let at = OffsetDateTime::from_unix_timestamp_nanos(1_800_000_000_123_456_000).expect("an instant");
        Place { at: Timestamp::new(at), id: id.to_owned() }
    }

    #[test]
    fn a_place_comes_back_to_the_microsecond() {
        for id in ["c0123456789abcdefghijklmn", "x", &"y".repeat(ID_MAX)] {
            let text = write(&place(id));
            assert_eq!(read(&text), Some(place(id)));
            assert!(
                text.len() <= CURSOR_MAX
                    && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            );
        }
    }

    #[test]
    fn what_was_cut_altered_or_made_up_is_no_cursor() {
        let good = write(&place("c0123456789abcdefghijklmn"));
        for index in 0..good.len() {
            let mut altered: Vec<char> = good.chars().collect();
            altered[index] = if altered[index] == 'A' { 'B' } else { 'A' };
            assert_eq!(read(&altered.iter().collect::<String>()), None, "letter {index}");
            assert_eq!(read(&good[..index]), None, "cut at {index}");
        }
        for bad in ["", "A", "!", "null", &"A".repeat(CURSOR_MAX + 1), &format!("{good}A")] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(read(&write(&place(""))), None, "an empty id");
        assert_eq!(read(&write(&place("a\0"))), None, "an id that no database takes");
    }
}
