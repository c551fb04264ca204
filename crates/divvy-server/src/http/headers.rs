//! What every answer tells the browser that shows it: to run nothing that is not ours, to show it in
//! nobody's frame, to take it for nothing that it is not, to keep nothing of the API. One layer around
//! everything, so that no answer can be without.

use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::auth::Peer;

/// Beginning of the paths whose answers are documents for programs.
const API: &str = "/v1/";

/// A document of the API runs and loads nothing, should a browser show it.
const API_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";
/// A page loads what this server has, and no script or style stands in the page itself.
const PAGE_POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

static ALWAYS: [(HeaderName, &str); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
];

/// A year: whoever was here over TLS does not come without it again.
const TLS_ONLY: &str = "max-age=31536000";

pub async fn secure(ConnectInfo(peer): ConnectInfo<Peer>, request: Request, next: Next) -> Response {
    let is_api = request.uri().path().starts_with(API);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut tell = |name: &HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    ALWAYS.iter().for_each(|(name, value)| tell(name, value));
    tell(&header::CONTENT_SECURITY_POLICY, if is_api { API_POLICY } else { PAGE_POLICY });
    if is_api {
        tell(&header::CACHE_CONTROL, "no-store");
    }
    if matches!(peer, Peer::Tcp { is_tls: true, .. }) {
        tell(&header::STRICT_TRANSPORT_SECURITY, TLS_ONLY);
    }
    response
}
