//! The same list as JSON or as CSV (RFC 4180).
//!
//! A cell that a spreadsheet would run as a formula is quoted with an apostrophe: names in it come
//! from customers.

use super::answer::Answer;
use super::paging::PageJson;
use super::problem::{Kind, Problem};
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// How a list is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    Json,
    /// CSV with a head line.
    Csv,
}

/// What the caller asked for.
pub fn format(asked: Option<&str>, headers: &HeaderMap) -> Result<Format, Problem> {
    match asked {
        Some("json") => Ok(Format::Json),
        Some("csv") => Ok(Format::Csv),
        Some(other) => {
            let shown: String = other.chars().take(32).collect();
            Err(Problem::new(
                Kind::InvalidRequest,
                format!("`format` is `{shown}`, but must be `json` or `csv`"),
            ))
        }
        None => {
            let wants_csv = headers
                .get(ACCEPT)
                .and_then(|value| value.to_str().ok())
                .is_some_and(|accept| accept.contains("text/csv"));
            Ok(if wants_csv { Format::Csv } else { Format::Json })
        }
    }
}

/// Something that has a line in a CSV file.
pub trait Row {
    /// The head line.
    const COLUMNS: &'static [&'static str];

    /// The cells, one per column.
    fn cells(&self) -> Vec<String>;
}

/// The cell of a text that may be absent.
pub fn cell(text: &Option<String>) -> String {
    text.clone().unwrap_or_default()
}

/// A page in the form asked for. A CSV file names the next page in `x-next-cursor`.
pub fn respond<T: Row + Serialize>(format: Format, page: PageJson<T>) -> Response {
    if format == Format::Json {
        return Answer(page).into_response();
    }
    let mut text = String::new();
    line(&mut text, T::COLUMNS.iter().map(|name| (*name).to_owned()));
    for item in &page.items {
        line(&mut text, item.cells().into_iter());
    }
    let mut response = ([(CONTENT_TYPE, "text/csv; charset=utf-8")], text).into_response();
    if let Some(value) = page.next_cursor.and_then(|cursor| cursor.parse().ok()) {
        response.headers_mut().insert("x-next-cursor", value);
    }
    response
}

fn line(text: &mut String, cells: impl Iterator<Item = String>) {
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(&escape(cell));
    }
    text.push_str("\r\n");
}

fn escape(cell: String) -> String {
    let is_number = cell.strip_prefix('-').is_some_and(|rest| {
        rest.bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
    });
    let cell = if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_number {
        format!("'{cell}")
    } else {
        cell
    };
    if cell.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_never_formulas() {
        for (cell, written) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("=1+1", "'=1+1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("-1.5", "-1.5"),
            ("-cmd", "'-cmd"),
        ] {
            assert_eq!(escape(cell.to_owned()), written);
        }
    }
}
