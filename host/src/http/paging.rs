//! Lists in pages: an opaque cursor, a bounded limit.

use super::problem::{Kind, Problem};
use crate::service::ledger::view::PageRequest;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// How many items a page has when its caller does not say.
const LIMIT_DEFAULT: usize = 100;

/// Which page.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// At most so many items, 1 to 1000; 100 when not given.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<usize>,
    /// `json` or `csv`; `Accept: text/csv` says the same.
    pub format: Option<String>,
}

/// A page of a list, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct PageJson<T> {
    /// The items.
    pub items: Vec<T>,
    /// Pass as `cursor` for the next page; absent: this was the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// What the store is asked for.
pub fn request(cursor: Option<&str>, limit: Option<usize>) -> Result<PageRequest, Problem> {
    let limit = limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=PageRequest::LIMIT_MAX).contains(&limit) {
        return Err(Problem::new(
            Kind::InvalidRequest,
            format!(
                "`limit` is `{limit}`, but must be 1 to {}",
                PageRequest::LIMIT_MAX
            ),
        ));
    }
    Ok(PageRequest {
        after: cursor.map(read).transpose()?,
        limit,
    })
}

/// A cursor as text.
pub fn show(cursor: u128) -> String {
    format!("{cursor:032x}")
}

fn read(text: &str) -> Result<u128, Problem> {
    let well_formed = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u128::from_str_radix(text, 16)
        .ok()
        .filter(|_| well_formed)
        .ok_or_else(|| Problem::new(Kind::InvalidCursor, "use `next_cursor` of the page before"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_come_back_as_they_were_and_others_are_refused() {
        for cursor in [0, 7, u128::MAX] {
            let page = request(Some(&show(cursor)), None).unwrap();
            assert_eq!(page.after, Some(cursor));
        }
        for bad in ["", "7", "+0000000000000000000000000000007", "zz"] {
            let problem = request(Some(bad), None).unwrap_err();
            assert_eq!(problem.kind(), Kind::InvalidCursor, "{bad}");
        }
        for limit in [0, 1001, usize::MAX] {
            assert!(request(None, Some(limit)).is_err(), "{limit}");
        }
    }
}
