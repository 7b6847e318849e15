//! The two languages that customers read: Indonesian and English, with their long dates.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use time::Date;

/// A language of mails and documents. Codes: `id`, `en`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Language {
    #[default]
    #[serde(rename = "id")]
    Indonesian,
    #[serde(rename = "en")]
    English,
}

/// A code that names neither language.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a language of ours; use id or en")]
pub struct UnknownLanguage(pub String);

const INDONESIAN_MONTHS: [&str; 12] = [
    "Januari",
    "Februari",
    "Maret",
    "April",
    "Mei",
    "Juni",
    "Juli",
    "Agustus",
    "September",
    "Oktober",
    "November",
    "Desember",
];

impl Language {
    /// `id` or `en`: the HTML `lang` attribute and the file suffix of templates.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Indonesian => "id",
            Self::English => "en",
        }
    }

    /// `22 Agustus 2026` or `22 August 2026`.
    pub fn long_date(self, date: Date) -> String {
        let month = match self {
            Self::Indonesian => {
                INDONESIAN_MONTHS.get(usize::from(u8::from(date.month())) - 1).copied().unwrap_or("").to_owned()
            }
            Self::English => date.month().to_string(),
        };
        format!("{} {month} {}", date.day(), date.year())
    }
}

impl FromStr for Language {
    type Err = UnknownLanguage;

    fn from_str(code: &str) -> Result<Self, Self::Err> {
        match code {
            "id" => Ok(Self::Indonesian),
            "en" => Ok(Self::English),
            other => Err(UnknownLanguage(other.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::date;

    #[test]
    fn dates_are_written_out_in_both_languages() {
        assert_eq!(Language::Indonesian.long_date(date!(2026 - 08 - 02)), "2 Agustus 2026");
        assert_eq!(Language::English.long_date(date!(2026 - 12 - 31)), "31 December 2026");
    }

    #[test]
    fn an_unknown_code_is_refused_by_name() {
        assert_eq!("en".parse(), Ok(Language::English));
        assert_eq!("fr".parse::<Language>(), Err(UnknownLanguage("fr".to_owned())));
    }
}
