//! The web console: files that came into the program when it was built (`console/dist`), at `/console/`.
//! Anybody may have them, for they hold nothing of this server; what the console then asks of the API is
//! let in or not like any other request. What the files do is not known here.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::LazyLock;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;

#[derive(rust_embed::Embed)]
#[folder = "../../console/dist"]
struct Files;

const PLACE: &str = "/console/";
const PAGE: &str = "index.html";

/// Files of this folder have a hash of their content in their name.
const HASHED: &str = "assets/";
const FOR_EVER: &str = "public, max-age=31536000, immutable";
const ASK_AGAIN: &str = "no-cache";

/// One file as it is sent.
struct Asset {
    plain: Bytes,
    /// Compressed once, at the first request of any.
    gzip: Bytes,
    hash: String,
    media_type: &'static str,
}

static ASSETS: LazyLock<BTreeMap<String, Asset>> = LazyLock::new(|| {
    let asset = |path: std::borrow::Cow<'static, str>| {
        let file = Files::get(&path)?;
        let hash: String = file.metadata.sha256_hash().iter().map(|byte| format!("{byte:02x}")).collect();
        let plain = match file.data {
            std::borrow::Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            std::borrow::Cow::Owned(bytes) => Bytes::from(bytes),
        };
        let gzip = gzip(&plain);
        let media_type = media_type(&path);
        Some((path.into_owned(), Asset { plain, gzip, hash, media_type }))
    };
    Files::iter().filter_map(asset).collect()
});

fn gzip(plain: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).expect("writing to memory does not fail");
    Bytes::from(encoder.finish().expect("writing to memory does not fail"))
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

pub fn router() -> Router {
    let to_console = || async { Redirect::temporary(PLACE) };
    Router::new()
        .route("/", get(to_console))
        .route("/console", get(to_console))
        .route(PLACE, get(|headers: HeaderMap| async move { answer(PAGE, &headers) }))
        .route("/console/{*path}", get(file))
}

async fn file(Path(path): Path<String>, headers: HeaderMap) -> Response {
    answer(&path, &headers)
}

fn answer(path: &str, asked: &HeaderMap) -> Response {
    let Some(asset) = ASSETS.get(path) else {
        return (StatusCode::NOT_FOUND, "the console has no such file\n").into_response();
    };
    let is_gzip = takes_gzip(asked);
    // The two encodings are two representations, and so have two tags.
    let tag = format!("\"{}{}\"", asset.hash, if is_gzip { "-gzip" } else { "" });
    let mut headers = HeaderMap::new();
    let caching = if path.starts_with(HASHED) { FOR_EVER } else { ASK_AGAIN };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(header::ETAG, HeaderValue::try_from(&tag).expect("a hash is a header's value"));
    if has_it_already(asked, &tag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.media_type));
    if is_gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let body = if is_gzip { &asset.gzip } else { &asset.plain };
    (headers, body.clone()).into_response()
}

fn list<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    list(headers, &header::ACCEPT_ENCODING).any(|one| {
        let (name, weight) = one.split_once(';').unwrap_or((one, ""));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case("gzip") && weight != Some(0.0)
    })
}

fn has_it_already(headers: &HeaderMap, tag: &str) -> bool {
    list(headers, &header::IF_NONE_MATCH).any(|one| one == "*" || one.trim_start_matches("W/") == tag)
}

#[cfg(test)]
mod tests;
