//! Where a request of a browser comes from. A page of another site must neither ask with somebody's
//! session nor sign somebody in; and a name that was made to lead here (DNS rebinding) must not turn
//! another site's page into one of ours. Who asks is not known here.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, header};

use super::error::Failed;

const FETCH_SITE: &str = "sec-fetch-site";

/// The names under which this server may be asked over plain HTTP.
#[derive(Debug, Clone, Default)]
pub struct Names(Arc<[String]>);

impl Names {
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().map(|name| name.to_ascii_lowercase()).collect())
    }

    /// An address cannot be made to lead elsewhere, a name can: it has to be one of ours. Over TLS the
    /// certificate has seen to that. Who asks from this machine says an address of this machine.
    pub fn check(&self, headers: &HeaderMap, from: IpAddr) -> Result<(), Failed> {
        let asked = headers.get(header::HOST).and_then(|asked| asked.to_str().ok());
        let authority = asked.and_then(|asked| asked.parse::<Authority>().ok());
        let name = authority.as_ref().map(|authority| authority.host());
        if name.is_some_and(|name| self.is_ours(name, from)) {
            return Ok(());
        }
        let detail = format!("this server is not called {:?}", name.or(asked).unwrap_or_default());
        let hint = "ask for its address or localhost, or put the name into `names` of divvyd's settings";
        Err(Failed::new(StatusCode::FORBIDDEN, "unknown_server_name", detail, hint))
    }

    fn is_ours(&self, name: &str, from: IpAddr) -> bool {
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        if let Ok(literal) = bare.parse::<IpAddr>() {
            return literal.to_canonical().is_loopback() || !from.to_canonical().is_loopback();
        }
        let bare = bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase();
        bare == "localhost" || self.0.contains(&bare)
    }
}

/// Refuses what a page of another site asks. Every browser of the last years says where a request comes
/// from; what says nothing is no browser, or one so old that the cookie's own rules have to do.
pub fn check(headers: &HeaderMap, method: &Method, is_tls: bool) -> Result<(), Failed> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let site_is_ours = match text(FETCH_SITE) {
        None | Some("same-origin") => true,
        // Typed by hand, or from a bookmark.
        Some("none") => method.is_safe(),
        Some(_) => false,
    };
    let scheme = if is_tls { "https" } else { "http" };
    let asked = text(header::HOST.as_str()).unwrap_or_default();
    let is_ours = |origin: &str| origin.eq_ignore_ascii_case(&format!("{scheme}://{asked}"));
    if site_is_ours && text(header::ORIGIN.as_str()).is_none_or(is_ours) {
        return Ok(());
    }
    let detail = "a page of another site asked".to_owned();
    Err(Failed::new(StatusCode::FORBIDDEN, "other_site", detail, "use the console of this server"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (header::HeaderName::from_static(name), header::HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn only_names_of_this_server_are_answered() {
        let names = Names::new(["Edge-1".to_owned(), "gpu.example.com".to_owned()]);
        for (asked, from, answered) in [
            ("localhost", LOOPBACK, true),
            ("LOCALHOST:7480", LOOPBACK, true),
            ("localhost.:7480", LOOPBACK, true),
            ("127.0.0.1:7480", LOOPBACK, true),
            ("127.9.9.9", LOOPBACK, true),
            ("[::1]:7480", LOOPBACK, true),
            ("edge-1:7480", LOOPBACK, true),
            ("gpu.example.com", LOOPBACK, true),
            ("192.0.2.1:7480", LOOPBACK, false),
            ("192.0.2.1:7480", ELSEWHERE, true),
            ("[2001:db8::1]", ELSEWHERE, true),
            ("evil.example", LOOPBACK, false),
            ("evil.example", ELSEWHERE, false),
            ("localhost.evil.example", LOOPBACK, false),
            ("127.0.0.1.evil.example", LOOPBACK, false),
            ("evil@localhost", LOOPBACK, true),
            ("", LOOPBACK, false),
            ("a b", LOOPBACK, false),
        ] {
            let is_answered = names.check(&headers(&[("host", asked)]), from).is_ok();
            assert_eq!(is_answered, answered, "{asked:?} from {from}");
        }
        assert!(names.check(&HeaderMap::new(), LOOPBACK).is_err(), "no name at all was answered");
    }

    #[test]
    fn only_our_own_pages_may_ask() {
        let here = ("host", "localhost:7480");
        for (pairs, method, is_tls, allowed) in [
            (&[here][..], Method::POST, false, true),
            (&[here, ("sec-fetch-site", "same-origin")], Method::POST, false, true),
            (&[here, ("sec-fetch-site", "none")], Method::GET, false, true),
            (&[here, ("sec-fetch-site", "none")], Method::POST, false, false),
            (&[here, ("sec-fetch-site", "same-site")], Method::GET, false, false),
            (&[here, ("sec-fetch-site", "cross-site")], Method::POST, false, false),
            (&[here, ("sec-fetch-site", "nonsense")], Method::POST, false, false),
            (&[here, ("origin", "http://localhost:7480")], Method::POST, false, true),
            (&[here, ("origin", "https://localhost:7480")], Method::POST, true, true),
            (&[here, ("origin", "http://localhost:7480")], Method::POST, true, false),
            (&[here, ("origin", "http://localhost:3000")], Method::POST, false, false),
            (&[here, ("origin", "https://evil.example")], Method::POST, false, false),
            (&[here, ("origin", "null")], Method::POST, false, false),
            (
                &[here, ("origin", "http://evil.example"), ("sec-fetch-site", "same-origin")],
                Method::POST,
                false,
                false,
            ),
        ] {
            assert_eq!(check(&headers(pairs), &method, is_tls).is_ok(), allowed, "{pairs:?} {method}");
        }
    }
}
