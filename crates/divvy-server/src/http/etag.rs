//! Which version of a document was answered: every document has a tag, made of its bytes, and who has
//! that version already is told so instead of being sent it again.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use divvy_api::fingerprint::Fingerprint;

use super::error::Failed;
use crate::terms::Tags;

pub async fn tag(request: Request, next: Next) -> Response {
    let is_get = request.method() == Method::GET;
    let known = request.headers().get_all(header::IF_NONE_MATCH).iter().cloned().collect::<Vec<_>>();
    let response = next.run(request).await;
    let is_document =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if !is_get || response.status() != StatusCode::OK || !is_document {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let bytes = match to_bytes(body, usize::MAX).await {
        Ok(bytes) => bytes,
        Err(error) => return Failed::internal(&error).into_response(),
    };
    let tag = Fingerprint::of(&bytes);
    if let Ok(value) = HeaderValue::from_str(&format!("\"{tag}\"")) {
        head.headers.insert(header::ETAG, value);
    }
    if known.iter().any(|known| is_known(known, &tag)) {
        head.status = StatusCode::NOT_MODIFIED;
        head.headers.remove(header::CONTENT_TYPE);
        head.headers.remove(header::CONTENT_LENGTH);
        return Response::from_parts(head, Body::empty());
    }
    Response::from_parts(head, Body::from(bytes))
}

/// Whether a header names this tag; weak ones count too, because the bytes decide.
fn is_known(known: &HeaderValue, tag: &str) -> bool {
    let mut names = known.to_str().unwrap_or_default().split(',').map(str::trim);
    names.any(|name| name == "*" || opaque(name.strip_prefix("W/").unwrap_or(name)) == Some(tag))
}

fn opaque(name: &str) -> Option<&str> {
    name.strip_prefix('"')?.strip_suffix('"')
}

/// The versions of which one has to be the present one, as `If-Match` says it.
pub fn if_match(headers: &HeaderMap) -> Result<Option<Tags>, Failed> {
    let mut tags = Vec::new();
    let mut named = 0_usize;
    for value in headers.get_all(header::IF_MATCH) {
        let text = value.to_str().map_err(|_| malformed())?;
        if text.trim() == "*" {
            return Ok(Some(Tags::Any));
        }
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            named += 1;
            match (opaque(name), name.strip_prefix("W/").and_then(opaque)) {
                (Some(tag), _) => tags.push(tag.to_owned()),
                // A weak tag is a tag, and never that of a version to be changed.
                (None, Some(_)) => {}
                (None, None) => return Err(malformed()),
            }
        }
    }
    match (headers.contains_key(header::IF_MATCH), named) {
        (false, _) => Ok(None),
        (true, 0) => Err(malformed()),
        (true, _) => Ok(Some(Tags::OneOf(tags))),
    }
}

fn malformed() -> Failed {
    Failed::new(
        StatusCode::BAD_REQUEST,
        "header_malformed",
        "If-Match holds no tags".to_owned(),
        "send the ETag of what was read, with its quotation marks",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (header::IF_MATCH, HeaderValue::from_static(value))).collect()
    }

    fn tags(values: &[&'static str]) -> Option<Tags> {
        if_match(&headers(values)).expect("is understood")
    }

    #[test]
    fn no_header_asks_for_nothing_and_a_star_for_anything() {
        assert_eq!(tags(&[]), None);
        assert_eq!(tags(&["*"]), Some(Tags::Any));
    }

    #[test]
    fn tags_of_several_headers_are_one_list_and_weak_ones_never_match() {
        let expected = Tags::OneOf(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(tags(&["\"a\", W/\"c\"", "\"b\""]), Some(expected));
        assert_eq!(tags(&["W/\"c\""]), Some(Tags::OneOf(Vec::new())));
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        for value in ["", ",", "a", "\"a", "W/a", "\"a\" \"b"] {
            assert!(if_match(&headers(&[value])).is_err(), "{value} was taken");
        }
    }

    #[test]
    fn a_version_is_known_by_a_strong_or_a_weak_tag() {
        for known in ["\"x\"", "W/\"x\"", "\"y\", \"x\"", "*"] {
            assert!(is_known(&HeaderValue::from_static(known), "x"), "{known}");
        }
        assert!(!is_known(&HeaderValue::from_static("x, \"y\""), "x"));
    }
}
