//! Lets a request in with its principal, or answers 401, before any handler sees it.

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::app::App;
use super::error::Failed;
use crate::auth::{Peer, Principal};

pub async fn admit_peer(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    let principal = match peer {
        Peer::User { uid } => Some(Principal::user(uid)),
        Peer::Nobody => None,
        Peer::Tcp => bearer(&request).filter(|given| app.token.is(given)).map(|_| Principal::token()),
    };
    let Some(principal) = principal else {
        let hint =
            "send Authorization: Bearer with the token in the file `token` of divvyd's state directory";
        return Failed::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "who asks is not known".to_owned(),
            hint,
        )
        .into_response();
    };
    request.extensions_mut().insert(principal);
    next.run(request).await
}

fn bearer(request: &Request) -> Option<&str> {
    let (scheme, token) = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
