//! From what went wrong to a status and a problem document, in one place.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use divvy_api::problem::{CONTENT_TYPE, Problem};
use divvy_api::requests::InvalidRequest;
use divvy_api::views::FindingView;
use divvy_core::refusal::Refusal;

use crate::chain::chain;
use crate::door::AskError;

/// Most characters of a detail that repeats what was sent.
const DETAIL_CHARS: usize = 500;

/// A request that was not done.
#[derive(Debug)]
pub struct Failed {
    problem: Box<Problem>,
    retry_after_seconds: Option<u64>,
}

impl Failed {
    pub fn new(status: StatusCode, code: &str, detail: String, hint: &str) -> Self {
        let detail = match detail.char_indices().nth(DETAIL_CHARS) {
            Some((cut, _)) => format!("{}…", &detail[..cut]),
            None => detail,
        };
        Self::of(Problem::of_status(status.as_u16(), code, detail, Some(hint.to_owned())))
    }

    fn of(problem: Problem) -> Self {
        Self { problem: Box::new(problem), retry_after_seconds: None }
    }

    /// Says when to ask again.
    pub fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after_seconds: Some(seconds), ..self }
    }

    /// Something of the daemon itself failed.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = %chain(error), "answering a request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            chain(error),
            "journalctl -u divvyd says more",
        )
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let status = self.problem.status.and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.problem).unwrap_or_default();
        let retry = self.retry_after_seconds.map(|seconds| [(header::RETRY_AFTER, seconds.to_string())]);
        let head = [(header::CONTENT_TYPE, CONTENT_TYPE)];
        match retry {
            Some(retry) => (status, head, retry, body).into_response(),
            None => (status, head, body).into_response(),
        }
    }
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        let status = if refusal.is_not_found() {
            StatusCode::NOT_FOUND
        } else if refusal.is_bad_request() {
            StatusCode::UNPROCESSABLE_ENTITY
        } else {
            StatusCode::CONFLICT
        };
        let findings = match &refusal {
            Refusal::NotReady { findings, .. } | Refusal::NotAccepted { findings, .. } => {
                findings.iter().map(FindingView::from).collect()
            }
            _ => Vec::new(),
        };
        let problem =
            Problem::of_status(status.as_u16(), refusal.code(), refusal.to_string(), Some(refusal.hint()));
        Self::of(problem.with_findings(findings))
    }
}

impl From<AskError> for Failed {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Refused(refusal) => refusal.into(),
            AskError::Changed { .. } => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "changed_since_read",
                error.to_string(),
                "read it again, and ask again if the change still makes sense",
            ),
            AskError::KeyReused { .. } => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                error.to_string(),
                "give every change a key of its own",
            ),
            AskError::Store(_) => Self::internal(&error),
            AskError::Stopping => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "stopping",
                error.to_string(),
                "ask again when divvyd runs again",
            ),
        }
    }
}

impl From<InvalidRequest> for Failed {
    fn from(error: InvalidRequest) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.code(), error.to_string(), "")
    }
}

pub async fn no_such_route(uri: axum::http::Uri) -> Failed {
    Failed::new(StatusCode::NOT_FOUND, "no_such_route", format!("there is nothing at {}", uri.path()), "")
}

pub async fn no_such_method(method: axum::http::Method, uri: axum::http::Uri) -> Failed {
    let detail = format!("{method} is not for {}", uri.path());
    Failed::new(StatusCode::METHOD_NOT_ALLOWED, "no_such_method", detail, "")
}
