//! Tables as CSV (RFC 4180): quoted where they must be, and never a formula for the spreadsheet that opens them.

use std::fmt::Write as _;

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::header::{self, Accept, Header as _, Quality},
    web::Bytes,
};
use futures::Stream;
use minispod_kernel::Rupiah;

use crate::{error::ApiError, input::Query};

const MEDIA_TYPE: &str = "text/csv; charset=utf-8; header=present";

/// One cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell<'a> {
    /// Anything; what a spreadsheet would take for a formula is made a text.
    Text(&'a str),
    /// A number of ours, which may begin with a minus.
    Number(i64),
    Empty,
}

impl<'a> From<&'a str> for Cell<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Cell<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<Option<&'a str>> for Cell<'a> {
    fn from(text: Option<&'a str>) -> Self {
        text.map_or(Self::Empty, Self::Text)
    }
}

impl From<Rupiah> for Cell<'_> {
    fn from(amount: Rupiah) -> Self {
        Self::Number(amount.amount())
    }
}

impl From<i64> for Cell<'_> {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

/// Adds one row to `text`.
pub fn push_row(text: &mut String, cells: &[Cell<'_>]) {
    for (index, cell) in cells.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        match cell {
            // Writing to a string cannot fail.
            Cell::Number(number) => _ = write!(text, "{number}"),
            Cell::Text(cell) => push_text(text, cell),
            Cell::Empty => {}
        }
    }
    text.push_str("\r\n");
}

fn push_text(text: &mut String, cell: &str) {
    // Spreadsheets run a cell that begins so; leading blanks do not stop them.
    let is_formula = cell.trim_start_matches(' ').starts_with(['=', '+', '-', '@', '\t', '\r']);
    let guard = if is_formula { "'" } else { "" };
    if cell.contains([',', '"', '\r', '\n', '\t']) {
        _ = write!(text, "\"{guard}{}\"", cell.replace('"', "\"\""));
    } else {
        _ = write!(text, "{guard}{cell}");
    }
}

/// Whether the answer is to be CSV: by `format`, else by `Accept`, where JSON wins unless CSV is named and liked better.
pub fn is_wanted(request: &HttpRequest, query: &mut Query) -> bool {
    let word = |word: &str| match word {
        "csv" => Some(true),
        "json" => Some(false),
        _ => None,
    };
    query.word("format", word, &["json", "csv"]).unwrap_or_else(|| {
        Accept::parse(request).is_ok_and(|accept| {
            let liked = |name: &str| {
                let found = accept.iter().find(|item| item.item.essence_str() == name);
                found.map_or(Quality::ZERO, |item| item.quality)
            };
            liked("text/csv") > liked("application/json")
        })
    })
}

fn answer(name: &str) -> HttpResponseBuilder {
    let mut answer = HttpResponse::Ok();
    answer
        .content_type(MEDIA_TYPE)
        .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.csv\"")))
        .insert_header((header::VARY, "Accept"));
    answer
}

/// A whole table at once.
pub fn table(name: &str, text: String) -> HttpResponse {
    answer(name).body(text)
}

/// A table that comes in pieces. One that cannot be read breaks the answer off: half a table must not look like a whole.
pub fn stream(name: &str, pieces: impl Stream<Item = Result<Bytes, ApiError>> + 'static) -> HttpResponse {
    answer(name).streaming(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn row(cells: &[Cell<'_>]) -> String {
        let mut text = String::new();
        push_row(&mut text, cells);
        text
    }

    #[test]
    fn what_a_spreadsheet_would_run_is_a_text_and_our_numbers_stay_numbers() {
        for (cell, written) in [
            ("=1+1", "'=1+1"),
            ("+62812", "'+62812"),
            ("-2", "'-2"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("  =1", "'  =1"),
            ("\t=1", "\"'\t=1\""),
            ("=HYPERLINK(\"http://x\",\"y\")", "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\""),
            ("n8n - basic", "n8n - basic"),
        ] {
            assert_eq!(row(&[cell.into()]), format!("{written}\r\n"));
        }
        assert_eq!(row(&[Rupiah::new(-25_000).into(), Cell::Empty, 7.into()]), "-25000,,7\r\n");
    }

    #[test]
    fn commas_quotes_and_lines_are_quoted() {
        assert_eq!(row(&["a,b".into(), "c\"d".into(), "e\nf".into()]), "\"a,b\",\"c\"\"d\",\"e\nf\"\r\n");
    }

    #[test]
    fn the_parameter_decides_and_else_what_is_liked_better() {
        let wants = |uri: &str, accept: Option<&'static str>| {
            let request = TestRequest::with_uri(uri);
            let request = accept.into_iter().fold(request, |request, accept| request.insert_header(("Accept", accept)));
            let request = request.to_http_request();
            is_wanted(&request, &mut Query::of(&request))
        };
        assert!(wants("/?format=csv", None) && wants("/", Some("text/csv")) && wants("/", Some("text/csv, */*;q=0.1")));
        assert!(!wants("/?format=json", Some("text/csv")) && !wants("/", None) && !wants("/", Some("*/*")));
        assert!(!wants("/", Some("application/json, text/csv;q=0.5")));
        let request = TestRequest::with_uri("/?format=xml").to_http_request();
        let mut query = Query::of(&request);
        is_wanted(&request, &mut query);
        assert_eq!(query.finish().expect_err("no such format").errors()[0].field, "format");
    }
}
