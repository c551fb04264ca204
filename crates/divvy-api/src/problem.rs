//! Why something was not done, as RFC 9457 problem details. One document serves a refusal, a failure of
//! a server, and what the client itself could not do; `code` tells them apart, `detail` and `hint` are
//! for people. Which status belongs to which refusal is the server's business.

use serde::{Deserialize, Serialize};

use crate::views::FindingView;

/// The media type of a problem document.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// The `type` of every problem: the `code` says more than an address could.
pub const BLANK_TYPE: &str = "about:blank";

/// One problem document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    #[serde(rename = "type", default = "blank_type")]
    pub kind: String,
    #[serde(default)]
    pub title: String,
    /// The HTTP status; null when no server answered.
    #[serde(default)]
    pub status: Option<u16>,
    /// The stable name of the reason.
    pub code: String,
    /// What is so, naming the things.
    #[serde(default)]
    pub detail: String,
    /// What to do; null when there is nothing to do.
    #[serde(default)]
    pub hint: Option<String>,
    /// The findings that are the reason, empty for other reasons.
    #[serde(default)]
    pub findings: Vec<FindingView>,
}

fn blank_type() -> String {
    BLANK_TYPE.to_owned()
}

impl Problem {
    /// A problem that a server answers with this status.
    pub fn of_status(status: u16, code: &str, detail: String, hint: Option<String>) -> Self {
        let title = hyper::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        Self { status: Some(status), ..Self::of_title(title.unwrap_or("Problem"), code, detail, hint) }
    }

    /// A problem that no server's answer stands for.
    pub fn of_title(title: &str, code: &str, detail: String, hint: Option<String>) -> Self {
        Self {
            kind: blank_type(),
            title: title.to_owned(),
            status: None,
            code: code.to_owned(),
            detail,
            hint: hint.filter(|hint| !hint.is_empty()),
            findings: Vec::new(),
        }
    }

    pub fn with_findings(self, findings: Vec<FindingView>) -> Self {
        Self { findings, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_brings_its_own_title() {
        let problem = Problem::of_status(409, "busy", "it changed".to_owned(), None);
        assert_eq!((problem.title.as_str(), problem.kind.as_str()), ("Conflict", "about:blank"));
    }

    #[test]
    fn an_absent_hint_is_written_as_null() {
        let problem = Problem::of_status(409, "busy", "it changed".to_owned(), Some(String::new()));
        let value = serde_json::to_value(&problem).expect("is written");
        assert_eq!(value.get("hint"), Some(&serde_json::Value::Null));
    }

    #[test]
    fn a_problem_of_another_program_without_a_code_is_not_ours() {
        assert!(serde_json::from_str::<Problem>(r#"{"title":"Bad Gateway","status":502}"#).is_err());
    }
}
