//! What stands beside a change: the key under which it happens once, and the version of the thing that
//! its asker saw. From headers to terms; what becomes of them is decided by who admits.

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use divvy_api::client::IDEMPOTENCY_KEY;
use divvy_api::fingerprint::Fingerprint;
use divvy_api::requests::{IdempotencyKey, InvalidRequest};
use divvy_store::AnswerName;
use serde::Serialize;

use super::error::Failed;
use super::etag::if_match;
use crate::auth::Principal;
use crate::terms::{Object, Once, Tags, Terms, Unchanged};

pub struct Stated {
    key: Option<IdempotencyKey>,
    tags: Option<Tags>,
    /// `PUT /v1/…`
    question: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Stated {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failed> {
        let mut keys = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let key = match (keys.next(), keys.next()) {
            (None, _) => None,
            (Some(key), None) => {
                let text = key.to_str().map_err(|_| InvalidRequest::MalformedKey)?;
                Some(IdempotencyKey::new(text)?)
            }
            (Some(_), Some(_)) => return Err(InvalidRequest::MalformedKey.into()),
        };
        let tags = if_match(&parts.headers)?;
        Ok(Self { key, tags, question: format!("{} {}", parts.method, parts.uri) })
    }
}

impl Stated {
    /// The terms of a change with this body; `object` is the one thing that it names.
    pub fn terms(
        self,
        principal: &Principal,
        body: &impl Serialize,
        object: Option<Object>,
    ) -> Result<Terms, Failed> {
        let once = self.key.map(|key| Once {
            name: AnswerName { principal: principal.as_str().to_owned(), key: key.as_str().to_owned() },
            fingerprint: Fingerprint::of_json(&(&self.question, body)),
        });
        let unchanged = match (self.tags, object) {
            (None, _) => None,
            (Some(tags), Some(object)) => Some(Unchanged { object, tags }),
            (Some(_), None) => return Err(names_several()),
        };
        Ok(Terms { once, unchanged })
    }
}

fn names_several() -> Failed {
    Failed::new(
        StatusCode::PRECONDITION_FAILED,
        "changed_since_read",
        "If-Match is for a change of one GPU, VM or job, and this one names several".to_owned(),
        "change them one by one, or leave If-Match out",
    )
}
