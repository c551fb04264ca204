//! Who asks for a change, and what stands beside it: the key under which it happens once, and the version
//! of the thing that its asker saw. From headers to terms; what becomes of them is decided by who admits.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use divvy_api::client::IDEMPOTENCY_KEY;
use divvy_api::fingerprint::Fingerprint;
use divvy_api::requests::{IdempotencyKey, InvalidRequest};
use divvy_api::views::{Accepted, FindingView, JobView, PlanView};
use divvy_core::request::Request;
use divvy_store::AnswerName;
use serde::Serialize;

use super::app::App;
use super::error::Failed;
use super::etag::if_match;
use super::openapi::Done;
use crate::auth::Principal;
use crate::door::{Answer, Wish};
use crate::hub::Hub;
use crate::terms::{Object, Once, Tags, Terms, Unchanged};
use crate::views;

/// Says that an answer is that of the first time a key was used.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

pub struct Asker {
    hub: Hub,
    principal: Principal,
    key: Option<IdempotencyKey>,
    tags: Option<Tags>,
    /// `PUT /v1/…`
    question: String,
}

/// A change on its terms, ready to be asked for.
pub struct Ask {
    hub: Hub,
    principal: Principal,
    terms: Terms,
}

impl FromRequestParts<App> for Asker {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failed> {
        let principal = Extension::from_request_parts(parts, app).await;
        let Extension(principal) = principal.map_err(|error| Failed::internal(&error))?;
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
        let question = format!("{} {}", parts.method, parts.uri);
        Ok(Self { hub: app.hub.clone(), principal, key, tags, question })
    }
}

impl Asker {
    /// A change with this body; `object` is the one thing that it names.
    pub fn with(self, body: &impl Serialize, object: Option<Object>) -> Result<Ask, Failed> {
        let once = self.key.map(|key| Once {
            name: AnswerName { principal: self.principal.as_str().to_owned(), key: key.as_str().to_owned() },
            fingerprint: Fingerprint::of_json(&(&self.question, body)),
        });
        let unchanged = match (self.tags, object) {
            (None, _) => None,
            (Some(tags), Some(object)) => Some(Unchanged { object, tags }),
            (Some(_), None) => return Err(names_several()),
        };
        Ok(Ask { hub: self.hub, principal: self.principal, terms: Terms { once, unchanged } })
    }
}

impl Ask {
    /// Puts it before `admit`.
    pub async fn put(self, wish: Wish, dry_run: bool) -> Result<Answer, Failed> {
        Ok(self.hub.ask(wish, self.principal.as_str(), self.terms, dry_run).await?)
    }

    /// 202 with the job, 200 when there is nothing to do, 200 with the plan for a dry run.
    pub async fn change(self, request: Request, dry_run: bool) -> Result<Response, Failed> {
        match self.put(Wish::Change(request), dry_run).await? {
            Answer::Planned { steps, warnings } => {
                let warnings = warnings.iter().map(FindingView::from).collect();
                let plan = PlanView { steps: views::plan_steps(&steps), warnings };
                Ok(Json(Done::Plan(plan)).into_response())
            }
            Answer::Accepted { job, warnings, again } => {
                let status = if job.is_some() { StatusCode::ACCEPTED } else { StatusCode::OK };
                let job = job.map(|job| JobView::from(job.as_ref()));
                let warnings = warnings.iter().map(FindingView::from).collect();
                let accepted = Done::Accepted(Accepted { job, warnings });
                Ok(answered((status, Json(accepted)).into_response(), again))
            }
        }
    }
}

/// Says so when an answer is that of the first time.
pub fn answered(mut response: Response, again: bool) -> Response {
    if again {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

fn names_several() -> Failed {
    Failed::new(
        StatusCode::PRECONDITION_FAILED,
        "changed_since_read",
        "If-Match is for a change of one GPU, VM or job, and this one names several".to_owned(),
        "change them one by one, or leave If-Match out",
    )
}
