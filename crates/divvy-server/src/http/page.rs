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

/// The part of a list that is asked for, with the way to the next part.
pub fn page<V: Serialize, Q: ListQuery + Serialize>(
    mut rows: Vec<Row<V>>,
    query: &Q,
    route: &str,
) -> Result<Response, Failed> {
    rows.sort_by(|one, two| one.key.cmp(&two.key));
    let start = match query.cursor() {
        Some(cursor) => {
            let after = read_cursor(cursor)?;
            rows.partition_point(|row| row.key.as_bytes() <= after.as_slice())
        }
        None => 0,
    };
    let limit = usize::try_from(query.limit().unwrap_or(MAX_LIMIT)).unwrap_or(usize::MAX);
    let end = rows.len().min(start.saturating_add(limit));
    let next =
        (end < rows.len() && end > start).then(|| paths::list(route, &query.at(cursor(&rows[end - 1].key))));
    let views: Vec<V> = rows.drain(start..end).map(|row| row.view).collect();
    Ok(answer(&views, next))
}

/// A list, and where it goes on.
pub fn answer<V: Serialize>(views: &[V], next: Option<String>) -> Response {
    let mut response = Json(views).into_response();
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

    #[test]
    fn a_text_is_found_whatever_its_case() {
        assert!(has(Some("VM-0"), &["x", "vm-001"]) && has(None, &[]));
        assert!(!has(Some("vm-1"), &["vm-001"]));
    }
}
