//! What a receiver is told, as bytes: an event as `GET /v1/events` has it, in the envelope of the Standard
//! Webhooks conventions, under an id that is the same whenever it is sent. Who is told is not known here.

use divvy_api::fingerprint::Fingerprint;
use divvy_api::timestamp::Timestamp;
use divvy_api::views::{EventView, SubjectView};
use divvy_api::words::SubjectKind;
use hyper::body::Bytes;
use serde::Serialize;

/// The code of the event that a test sends.
const TEST: &str = "webhook_test";

pub struct Message {
    pub id: String,
    pub body: Bytes,
}

#[derive(Serialize)]
struct Envelope<'e> {
    #[serde(rename = "type")]
    kind: &'e str,
    /// When it happened.
    timestamp: String,
    data: &'e EventView,
}

impl Message {
    /// The number alone would not do: another server counts too, and so does a store from a backup.
    pub fn of_event(server: &str, event: &EventView) -> Self {
        let timestamp = Timestamp { at_ms: event.at_ms }.rfc_3339();
        let envelope = Envelope { kind: &event.code, timestamp, data: event };
        let body = serde_json::to_vec(&envelope).expect("a view holds only texts, numbers and lists");
        let name = Fingerprint::of_json(&(server, event));
        Self { id: format!("evt_{}_{}", event.number, &name[..16]), body: body.into() }
    }

    /// No event: its number is 0, which none has.
    pub fn test(server: &str, principal: &str, now_ms: u64) -> Self {
        let event = EventView {
            number: 0,
            at_ms: now_ms,
            code: TEST.to_owned(),
            server: Some(server.to_owned()),
            subject: SubjectView { kind: SubjectKind::Server, id: Some(server.to_owned()) },
            text: "a test: nothing happened".to_owned(),
            principal: Some(principal.to_owned()),
            job: None,
        };
        Self::of_event(server, &event)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event(number: u64, at_ms: u64) -> EventView {
        EventView {
            number,
            at_ms,
            code: "job_failed".to_owned(),
            server: None,
            subject: SubjectView { kind: SubjectKind::Cluster, id: None },
            text: "job 7 failed".to_owned(),
            principal: None,
            job: Some(7),
        }
    }

    #[test]
    fn the_body_is_the_event_as_the_api_shows_it_in_an_envelope() {
        let event = event(42, 1_772_355_907_042);
        let body: Value = serde_json::from_slice(&Message::of_event("edge-1", &event).body).expect("is JSON");
        let shown = serde_json::to_value(&event).expect("is JSON");
        let expected =
            json!({ "type": "job_failed", "timestamp": "2026-03-01T09:05:07.042Z", "data": shown });
        assert_eq!(body, expected);
    }

    #[test]
    fn an_id_is_that_of_one_event_of_one_server_and_has_no_full_stop() {
        let id = |server, number, at_ms| Message::of_event(server, &event(number, at_ms)).id;
        assert_eq!(id("edge.1", 42, 1), id("edge.1", 42, 1));
        assert!(!id("edge.1", 42, 1).contains('.'));
        for other in [id("edge.2", 42, 1), id("edge.1", 43, 1), id("edge.1", 42, 2)] {
            assert_ne!(other, id("edge.1", 42, 1));
        }
    }
}
