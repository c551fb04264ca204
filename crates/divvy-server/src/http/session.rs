//! Signing in and out, and who is signed in. The session's id goes out once, in a cookie that no script
//! can read and that no other site's page can send.

use std::time::Duration;

use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use divvy_api::paths;
use divvy_api::session::{SessionView, SignIn as Wish};

use super::app::App;
use super::body::Body;
use super::error::Failed;
use super::peer::Caller;
use crate::auth::Peer;
use crate::clock::now_ms;
use crate::pam::PamUnavailable;
use crate::sign_in::SignInError;
use crate::sign_in::sessions::LONGEST;

/// What the cookie is called. The long name is kept by browsers for this one server, and only over TLS.
pub fn cookie_name(is_tls: bool) -> &'static str {
    if is_tls { "__Host-divvy_session" } else { "divvy_session" }
}

/// The session's id of a request. Of several cookies of the name the first counts.
pub fn cookie(headers: &HeaderMap, is_tls: bool) -> Option<&str> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == cookie_name(is_tls)).map(|(_, id)| id)
}

fn set_cookie(id: &str, is_tls: bool, more: &str) -> [(HeaderName, HeaderValue); 1] {
    let secure = if is_tls { "; Secure" } else { "" };
    let text = format!("{}={id}; Path=/; HttpOnly; SameSite=Strict{secure}{more}", cookie_name(is_tls));
    let mut value = HeaderValue::try_from(text).expect("names, hex digits and words of ours only");
    value.set_sensitive(true);
    [(header::SET_COOKIE, value)]
}

/// Sign in
///
/// With a local account and its password, or with the token. The session's cookie comes with the answer.
#[utoipa::path(post, path = paths::SESSION, tag = "Session", request_body = Wish,
    responses((status = 201, description = "The session.", body = SessionView),
        (status = 401, description = "`sign_in_refused`"),
        (status = 403, description = "`sign_in_not_needed`, `other_site`"),
        (status = 429, description = "`too_many_sign_ins`"),
        (status = 503, description = "`sign_in_unavailable`")))]
pub async fn open(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Body(wish): Body<Wish>,
) -> Result<Response, Failed> {
    let Peer::Tcp { address, is_tls } = peer else {
        return Err(Failed::new(
            StatusCode::FORBIDDEN,
            "sign_in_not_needed",
            "on the socket the kernel says who asks".to_owned(),
            "",
        ));
    };
    let (principal, new) = match (&wish.user, &wish.password, &wish.token) {
        (Some(user), Some(password), None) => app.sign_in.with_password(address.ip(), user, password).await?,
        (None, None, Some(token)) => app.sign_in.with_token(address.ip(), token.trim()).await?,
        _ => {
            return Err(Failed::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "body_malformed",
                "signing in needs a user and a password, or a token".to_owned(),
                "",
            ));
        }
    };
    let view = view(principal.as_str(), Some((&new.csrf, LONGEST)));
    Ok((StatusCode::CREATED, set_cookie(&new.id, is_tls, ""), Json(view)).into_response())
}

/// Who asks
///
/// Also for who asks without a session, by the token or over the socket.
#[utoipa::path(get, path = paths::SESSION, tag = "Session",
    responses((status = 200, description = "Who asks.", body = SessionView)))]
pub async fn show(Extension(caller): Extension<Caller>) -> Json<SessionView> {
    let signed = caller.session.as_ref().map(|signed| (signed.csrf.as_str(), signed.left));
    Json(view(caller.principal.as_str(), signed))
}

/// Sign out
///
/// Ends the session of who asks; who has none has nothing to end.
#[utoipa::path(delete, path = paths::SESSION, tag = "Session",
    responses((status = 204, description = "There is no session any more.")))]
pub async fn end(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Extension(caller): Extension<Caller>,
) -> Response {
    if let Some(signed) = caller.session {
        app.sign_in.sessions().end(signed.key);
    }
    let is_tls = matches!(peer, Peer::Tcp { is_tls: true, .. });
    (StatusCode::NO_CONTENT, set_cookie("", is_tls, "; Max-Age=0")).into_response()
}

fn view(user: &str, session: Option<(&str, Duration)>) -> SessionView {
    let expires = |left: Duration| now_ms().saturating_add(u64::try_from(left.as_millis()).unwrap_or(0));
    SessionView {
        user: user.to_owned(),
        csrf: session.map(|(csrf, _)| csrf.to_owned()),
        expires_ms: session.map(|(_, left)| expires(left)),
    }
}

impl From<SignInError> for Failed {
    fn from(error: SignInError) -> Self {
        let text = error.to_string();
        match error {
            SignInError::TooMany { wait } => {
                let seconds = wait.as_secs_f64().ceil() as u64;
                let hint = format!("try again in {seconds} seconds");
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_sign_ins", text, &hint)
                    .retry_after(seconds)
            }
            SignInError::Refused => Self::new(
                StatusCode::UNAUTHORIZED,
                "sign_in_refused",
                text,
                "root and the members of socket_group in divvyd's settings may sign in; divvyd's log says more",
            ),
            SignInError::Unavailable(cause) => {
                tracing::error!(error = %crate::chain::chain(&cause), "asking PAM failed");
                let hint = match cause {
                    PamUnavailable::NoLibrary { .. } => {
                        "install PAM on the server (Debian: libpam0g, libpam-modules; Fedora: pam), or sign in with the token"
                    }
                    _ => "sign in with the token; divvyd's log on the server says what is wrong with PAM",
                };
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "sign_in_unavailable", text, hint)
            }
            SignInError::Random(_) => Self::internal(&error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_cookies(lines: &[&str]) -> HeaderMap {
        let value = |line: &&str| HeaderValue::from_str(line).expect("can be sent");
        lines.iter().map(|line| (header::COOKIE, value(line))).collect()
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let headers = with_cookies(&["a=1; xdivvy_session=2", "b=3;divvy_session=4; divvy_session=5"]);
        assert_eq!(cookie(&headers, false), Some("4"));
    }

    #[test]
    fn over_tls_only_the_cookie_that_came_over_tls_counts() {
        assert_eq!(cookie(&with_cookies(&["divvy_session=1"]), true), None);
        assert_eq!(cookie(&with_cookies(&["__Host-divvy_session=1"]), true), Some("1"));
        assert_eq!(cookie(&with_cookies(&["__Host-divvy_session=1"]), false), None);
    }

    #[test]
    fn the_cookie_is_strict() {
        let text = |is_tls| {
            let [(_, value)] = set_cookie("1", is_tls, "");
            value.to_str().expect("is text").to_owned()
        };
        assert_eq!(text(false), "divvy_session=1; Path=/; HttpOnly; SameSite=Strict");
        assert_eq!(text(true), "__Host-divvy_session=1; Path=/; HttpOnly; SameSite=Strict; Secure");
    }
}
