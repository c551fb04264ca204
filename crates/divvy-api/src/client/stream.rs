//! Following what changes: one connection that stays open. It opens again by nobody's order but the
//! caller's, who has the id to go on from.

use std::collections::VecDeque;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, Response};
use tokio::time::timeout;

use super::{Asked, BadAnswer, Client, ClientError, Lost, Question, Unreachable, read};
use crate::paths;
use crate::stream::{BadStream, LAST_EVENT_ID, Message, Parser};

/// A server says at least every 15 seconds that it is there.
const SILENCE_MS: u64 = 45_000;
/// Longest problem document that is read instead of a stream.
const MAX_PROBLEM_BYTES: usize = 1 << 20;

/// An open stream of changes.
#[derive(Debug)]
pub struct Changes {
    client: Client,
    response: Response<Incoming>,
    parser: Parser,
    ready: VecDeque<Message>,
}

impl Client {
    /// Opens the stream; `after` is the id to go on from.
    pub async fn changes(&self, after: Option<&str>) -> Asked<Changes> {
        let mut question = Question::of(Method::GET, paths::STREAM);
        if let Some(after) = after.and_then(|after| HeaderValue::from_str(after).ok()) {
            question.headers.push((HeaderName::from_static(LAST_EVENT_ID), after));
        }
        let name = question.name();
        let opening = timeout(Duration::from_millis(self.answer_timeout_ms), self.open(question)).await;
        let timed_out = Unreachable::AnswerTimeout { timeout_ms: self.answer_timeout_ms };
        let opened = opening.unwrap_or(Err(Lost::OnTheWay(timed_out)));
        // The connection ends with the stream and is not kept.
        let (response, _) = opened.map_err(|lost| self.lost(&name, lost))?;
        if !response.status().is_success() {
            let status = response.status();
            let body = read(response, MAX_PROBLEM_BYTES).await.map_err(|lost| self.lost(&name, lost))?;
            return Err(self.refused(&name, status, &body));
        }
        Ok(Changes { client: self.clone(), response, parser: Parser::default(), ready: VecDeque::new() })
    }
}

impl Changes {
    /// The next message; none when the server ended the stream.
    pub async fn next(&mut self) -> Asked<Option<Message>> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(Some(message));
            }
            let silence = Unreachable::AnswerTimeout { timeout_ms: SILENCE_MS };
            let frame = timeout(Duration::from_millis(SILENCE_MS), self.response.frame()).await;
            match frame.map_err(|_| self.lost(Lost::OnTheWay(silence)))? {
                None => return Ok(None),
                Some(Err(error)) => return Err(self.lost(error.into())),
                Some(Ok(frame)) => {
                    let data = frame.into_data().unwrap_or_default();
                    let messages = self.parser.push(&data).map_err(|error| self.bad(error))?;
                    self.ready.extend(messages);
                }
            }
        }
    }

    /// The id to go on from.
    pub fn last_id(&self) -> Option<&str> {
        self.parser.last_id()
    }

    fn lost(&self, lost: Lost) -> ClientError {
        self.client.lost(&name(), lost)
    }

    fn bad(&self, error: BadStream) -> ClientError {
        self.client.bad_answer(&name(), BadAnswer::Stream(error))
    }
}

fn name() -> String {
    format!("GET {}", paths::STREAM)
}
