//! Signing in over the wire: what a browser sends once, and what it is told of its session. The session's
//! id is in no document; it travels in a cookie that no script can read.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The header that a change in a session has to carry, with the session's own value.
pub const CSRF_HEADER: &str = "x-csrf-token";

/// Either a local account and its password, or the token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    pub user: Option<String>,
    pub password: Option<Zeroizing<String>>,
    pub token: Option<Zeroizing<String>>,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionView {
    pub user: String,
    /// What every change in this session has to carry; null for who needs no session.
    pub csrf: Option<String>,
    /// When the session ends at the latest, in milliseconds since 1970; null as above.
    pub expires_ms: Option<u64>,
}
