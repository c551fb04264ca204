//! Lets a request in with its principal, or answers what is missing, before any handler sees it.
//!
//! ```text
//! socket ────────────────────────────────────────────▶ the kernel says who
//! TCP, plain ─▶ asked by a name of ours? ─┐
//! TCP, TLS ───────────────────────────────┴─▶ bearer ─▶ the token's owner
//!                                          └▶ cookie ─▶ own page? ─▶ a change: CSRF token? ─▶ the user
//! ```
//!
//! A request with a bearer token is looked at by that alone: no browser adds one by itself.

use std::net::SocketAddr;

use axum::body::{Body, HttpBody};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use divvy_api::paths;
use divvy_api::session::CSRF_HEADER;

use super::app::App;
use super::error::Failed;
use super::until::Until;
use super::{origin, session};
use crate::auth::{Peer, Principal};
use crate::random;
use crate::sign_in::sessions::Signed;

/// Who asks, and in which session if in one.
#[derive(Debug, Clone)]
pub struct Caller {
    pub principal: Principal,
    pub session: Option<Signed>,
}

impl Caller {
    /// Known without a session.
    fn known(principal: Principal) -> Self {
        Self { principal, session: None }
    }
}

pub async fn admit_peer(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    let caller = match &peer {
        Peer::User { uid } => Ok(Some(Caller::known(app.users.principal(*uid).await))),
        Peer::Nobody => Err(unauthorized()),
        Peer::Tcp { address, is_tls } => tcp_caller(&app, *address, *is_tls, &request),
    };
    let caller = match caller {
        Ok(caller) => caller,
        Err(failed) => return failed.into_response(),
    };
    let Some(caller) = caller else { return next.run(request).await };
    let signed = caller.session.clone();
    request.extensions_mut().insert(caller.principal.clone());
    request.extensions_mut().insert(caller);
    let response = next.run(request).await;
    match signed {
        // An answer that goes on and on ends with the session. One of known length is there already.
        Some(signed) if response.body().size_hint().exact().is_none() => {
            response.map(|body| Body::new(Until::new(body, signed.ended, signed.left)))
        }
        _ => response,
    }
}

/// Who asks over TCP; nobody, for who wants to sign in.
fn tcp_caller(
    app: &App,
    address: SocketAddr,
    is_tls: bool,
    request: &Request,
) -> Result<Option<Caller>, Failed> {
    let (headers, method) = (request.headers(), request.method());
    if !is_tls {
        app.names.check(headers, address.ip())?;
    }
    if method == Method::POST && request.uri().path() == paths::SESSION {
        origin::check(headers, method, is_tls)?;
        return Ok(None);
    }
    if headers.contains_key(header::AUTHORIZATION) {
        let given = bearer(request).filter(|given| app.sign_in.is_token(given));
        return given.map_or_else(|| Err(unauthorized()), |_| Ok(Some(Caller::known(Principal::token()))));
    }
    let signed = session::cookie(headers, is_tls)
        .and_then(|id| session_of(app, id, request))
        .ok_or_else(unauthorized)?;
    origin::check(headers, method, is_tls)?;
    if !method.is_safe() && !has_csrf(request, &signed.csrf) {
        return Err(Failed::new(
            StatusCode::FORBIDDEN,
            "csrf_token_missing",
            format!("a change in a session needs the session's own {CSRF_HEADER}"),
            "GET /v1/session tells it",
        ));
    }
    Ok(Some(Caller { principal: signed.principal.clone(), session: Some(signed) }))
}

/// A page that is left open asks again and again what the GPUs use or how webhooks go, and shall not keep its
/// session so.
fn session_of(app: &App, id: &str, request: &Request) -> Option<Signed> {
    let now = std::time::Instant::now();
    match request.uri().path() {
        paths::USAGE | paths::WEBHOOKS => app.sign_in.sessions().look(id, now),
        _ => app.sign_in.sessions().find(id, now),
    }
}

fn has_csrf(request: &Request, own: &str) -> bool {
    let given = request.headers().get(CSRF_HEADER).and_then(|given| given.to_str().ok());
    given.is_some_and(|given| random::same(own, given))
}

fn unauthorized() -> Failed {
    Failed::new(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "who asks is not known".to_owned(),
        "sign in with POST /v1/session, or send Authorization: Bearer with the token in the file `token` of divvyd's state directory",
    )
}

fn bearer(request: &Request) -> Option<&str> {
    let (scheme, token) = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
