//! Who is told of events over HTTP, and how that goes. What a receiver is told is not here: it gets events
//! as `GET /v1/events` has them.

use serde::{Deserialize, Serialize};

use crate::words::WebhookState;

/// One receiver of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookView {
    /// Without what stands behind the `?`, which may be a secret.
    pub url: String,
    /// Of which events it is told; empty for all.
    pub codes: Vec<String>,
    pub state: WebhookState,
    /// How many events it has not been told of yet.
    pub waiting: u64,
    /// How many events it was never told of: it took none for a day, or the store keeps them no more.
    pub skipped: u64,
    /// Since when it takes none; null while it does.
    pub failing_since_ms: Option<u64>,
    /// Why the last event was not taken; null when it was.
    pub last_error: Option<String>,
    /// When it took an event last.
    pub last_delivered_at_ms: Option<u64>,
}

/// What a receiver said to a test event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookTestView {
    /// As in the list.
    pub url: String,
    /// It took the event.
    pub delivered: bool,
    /// The HTTP status of its answer; null without one.
    pub status: Option<u16>,
    pub took_ms: u64,
    /// Why it did not take it; null when it did.
    pub error: Option<String>,
}
