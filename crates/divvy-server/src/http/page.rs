//! Lists in pages. A page ends with the key of its last row, and the next one begins after that key, so
//! rows that come and go between two pages move nothing: what is there all the time is seen once. The
//! cursor is that key, in digits so that nobody builds on what it says.

use axum::Json;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use divvy_api::paths;
use divvy_api::queries::{ListQuery, MAX_LIMIT};
use serde::Serialize;

use super::error::Failed;

/// One entry with its place in the list's order.
pub struct Row<V> {
    pub key: String,
    pub view: V,
}

/// A page as it is put together. Rows become JSON as they come and are not kept, and who brings them can
/// leave out what was on pages before and what comes after this one.
pub struct Page {
    after: Option<Vec<u8>>,
    limit: usize,
    json: Vec<u8>,
    rows: usize,
    /// The key of the last row.
    last: String,
    is_full: bool,
}

impl Page {
    pub fn begin(query: &impl ListQuery) -> Result<Self, Failed> {
        let after = query.cursor().map(read_cursor).transpose()?;
        let limit = usize::try_from(query.limit().unwrap_or(MAX_LIMIT)).unwrap_or(usize::MAX);
        Ok(Self { after, limit, json: vec![b'['], rows: 0, last: String::new(), is_full: false })
    }

    /// Whether every row whose key begins so was on a page before.
    pub fn is_past(&self, prefix: &str) -> bool {
        let prefix = prefix.as_bytes();
        self.after.as_deref().is_some_and(|after| prefix < after && !after.starts_with(prefix))
    }

    /// Nothing more fits, and there is more.
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// Takes rows in any order, all of them after those that it was brought before.
    pub fn add<V: Serialize>(&mut self, mut rows: Vec<Row<V>>) {
        rows.sort_by(|one, two| one.key.cmp(&two.key));
        let is_before = |row: &Row<V>| self.after.as_deref().is_some_and(|after| row.key.as_bytes() <= after);
        let start = rows.partition_point(is_before);
        for row in rows.drain(start..) {
            if self.rows == self.limit {
                self.is_full = true;
                return;
            }
            if self.rows > 0 {
                self.json.push(b',');
            }
            let written = serde_json::to_writer(&mut self.json, &row.view);
            written.expect("views are texts, numbers, flags and lists");
            self.rows += 1;
            self.last = row.key;
        }
    }

    pub fn end<Q: ListQuery + Serialize>(mut self, query: &Q, route: &str) -> Response {
        self.json.push(b']');
        let next = self.is_full.then(|| paths::list(route, &query.at(cursor(&self.last))));
        let json = HeaderValue::from_static("application/json");
        linked(([(header::CONTENT_TYPE, json)], self.json).into_response(), next)
    }
}

/// The part of a list that is asked for, with the way to the next part.
pub fn page<V: Serialize, Q: ListQuery + Serialize>(
    rows: Vec<Row<V>>,
    query: &Q,
    route: &str,
) -> Result<Response, Failed> {
    let mut page = Page::begin(query)?;
    page.add(rows);
    Ok(page.end(query, route))
}

/// A list, and where it goes on.
pub fn answer<V: Serialize>(views: &[V], next: Option<String>) -> Response {
    linked(Json(views).into_response(), next)
}

fn linked(mut response: Response, next: Option<String>) -> Response {
    let link = next.and_then(|next| HeaderValue::from_str(&format!("<{next}>; rel=\"next\"")).ok());
    response.headers_mut().extend(link.map(|link| (header::LINK, link)));
    response
}

fn cursor(key: &str) -> String {
    key.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn read_cursor(text: &str) -> Result<Vec<u8>, Failed> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| match *pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(pair).collect();
    bytes.filter(|bytes| !bytes.is_empty()).ok_or_else(|| {
        Failed::new(
            axum::http::StatusCode::UNPROCESSABLE_ENTITY,
            "cursor_malformed",
            "the cursor is not one that a list gave".to_owned(),
            "take the address from the Link of the page before, as it is",
        )
    })
}

/// Whether a member is as it was asked for; one that was not asked by may be anything.
pub fn is<T: PartialEq + ?Sized>(asked: Option<&T>, member: &T) -> bool {
    asked.is_none_or(|asked| asked == member)
}

/// Whether one of the texts has what is looked for in it.
pub fn has(asked: Option<&str>, texts: &[&str]) -> bool {
    asked.is_none_or(|asked| {
        let asked = asked.to_lowercase();
        texts.iter().any(|text| text.to_lowercase().contains(&asked))
    })
}

#[cfg(test)]
mod tests {
    use divvy_api::queries::GpuQuery;

    use super::*;

    #[test]
    fn a_cursor_reads_back_as_the_key_that_it_was_made_of() {
        for key in ["a", "srv-a\0vm 1\0ü", "0"] {
            assert_eq!(read_cursor(&cursor(key)).expect("is read"), key.as_bytes());
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for text in ["", "6", "6g", "ü", "61 "] {
            assert!(read_cursor(text).is_err(), "{text:?} was read");
        }
    }

    fn asked(limit: u32, after: Option<&str>) -> GpuQuery {
        GpuQuery { limit: Some(limit), cursor: after.map(cursor), ..GpuQuery::default() }
    }

    fn rows(keys: &[&str]) -> Vec<Row<String>> {
        keys.iter().map(|key| Row { key: (*key).to_owned(), view: (*key).to_owned() }).collect()
    }

    #[test]
    fn a_page_has_the_rows_after_its_cursor_in_order_and_no_more_than_its_limit() {
        let mut page = Page::begin(&asked(2, Some("a\x001"))).expect("begins");
        page.add(rows(&["a\x002", "a\x001"]));
        page.add(rows(&["b\x002", "b\x001"]));
        assert_eq!(page.json, br#"["a\u00002","b\u00001""#);
        assert!(page.is_full());
    }

    #[test]
    fn a_page_that_all_rows_fit_on_is_not_full() {
        let mut page = Page::begin(&asked(2, None)).expect("begins");
        page.add(rows(&["a", "b"]));
        assert!(!page.is_full());
    }

    #[test]
    fn only_what_begins_before_the_cursor_and_goes_no_further_is_past() {
        let page = Page::begin(&asked(1, Some("b\x001"))).expect("begins");
        let past = ["a\0", "b\0", "c\0", "ba\0"].map(|prefix| page.is_past(prefix));
        assert_eq!(past, [true, false, false, false]);
        assert!(!Page::begin(&asked(1, None)).expect("begins").is_past("a\0"));
    }

    #[test]
    fn a_text_is_found_whatever_its_case() {
        assert!(has(Some("VM-0"), &["x", "vm-001"]) && has(None, &[]));
        assert!(!has(Some("vm-1"), &["vm-001"]));
    }
}
