//! A typed client: one function for each thing that can be asked. It asks over a Unix socket, HTTP or
//! HTTPS and answers with a view, the server's problem document, or what kept the two from understanding
//! each other. It keeps connections and nothing else, asks nothing twice, and does not know what an answer
//! means.

pub mod stream;

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, HOST, HeaderMap, HeaderName, HeaderValue, IF_MATCH, LINK,
    USER_AGENT,
};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::certificate::Fingerprint;
use crate::endpoint::Endpoint;
use crate::paths;
use crate::problem::Problem;
use crate::queries::{
    DryRunQuery, EventQuery, FindingQuery, GpuQuery, JobListQuery, JobQuery, PartitionQuery, UsageQuery,
    VmQuery,
};
use crate::requests::{
    Assign, AssignOne, CauseFault, IdempotencyKey, SetPartitionCount, SetPartitionCounts, SetPower, Unassign,
};
use crate::stream::BadStream;
use crate::views::{
    Accepted, Answer, EventView, ExplainView, FaultView, FindingView, GpuView, JobView, PartitionView,
    PlanView, UsageView, VersionView, VmView,
};

pub use connections::{Connections, Sender};
pub use tls::{InvalidTrust, Trust, system_certificates};

mod connections;
mod tls;
mod webhooks;
mod whole;

/// How long an answer may take, beside what the question itself asks the server to wait.
const ANSWER_TIMEOUT_MS: u64 = 60_000;
/// Longest answer that is read: a million partitions fit.
const MAX_ANSWER_BYTES: usize = 512 * 1024 * 1024;

/// Longest path that is asked for. A server refuses a name long before; a path beyond this is no path.
const MAX_PATH_BYTES: usize = 8 * 1024;

/// Makes a change happen once, however often it is asked for.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(
        "a name is too long to be asked about: the path has {path_bytes} bytes, more than {MAX_PATH_BYTES}"
    )]
    LongPath { path_bytes: usize },
    #[error("cannot reach divvyd at {endpoint}")]
    Unreachable { endpoint: Endpoint, source: Unreachable },
    #[error("{}", .0.detail)]
    Problem(Box<Problem>),
    #[error("what answers at {endpoint} does not answer {question} as divvyd does")]
    BadAnswer { endpoint: Endpoint, question: String, source: BadAnswer },
}

/// What kept the question or the answer from its way.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    #[error("it cannot be opened")]
    Connect(#[source] std::io::Error),
    /// Nothing was sent yet.
    #[error("no trusted connection came about")]
    Tls(#[source] std::io::Error),
    #[error("the server shows another certificate than the trusted one; its fingerprint is {shown}")]
    OtherCertificate { shown: Fingerprint },
    #[error("it is not said which certificates are trusted")]
    NoTrust,
    #[error("it did not open within {timeout_ms} ms")]
    ConnectTimeout { timeout_ms: u64 },
    /// The question may have arrived.
    #[error("the connection ended before the answer did")]
    Broken(#[source] hyper::Error),
    /// The question may have arrived.
    #[error("no answer came within {timeout_ms} ms")]
    AnswerTimeout { timeout_ms: u64 },
}

/// What is wrong with an answer.
#[derive(Debug, thiserror::Error)]
pub enum BadAnswer {
    #[error("status {status} without a problem document")]
    Status { status: u16 },
    #[error("its body is not the document that was asked for")]
    Body(#[source] serde_json::Error),
    #[error("its body has more than {limit_bytes} bytes")]
    TooLong { limit_bytes: usize },
    #[error("its stream of changes makes no sense")]
    Stream(#[source] BadStream),
}

/// A secret that says who asks. It is never printed.
#[derive(Clone)]
pub struct Token(HeaderValue);

/// Why a text is not a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    #[error("the token is empty")]
    Empty,
    #[error("the token has a character that cannot be sent")]
    Character,
}

impl Token {
    /// Reads a token; white space around it does not belong to it.
    pub fn new(text: &str) -> Result<Self, InvalidToken> {
        let text = text.trim();
        if text.is_empty() {
            return Err(InvalidToken::Empty);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidToken::Character);
        }
        let mut value =
            HeaderValue::from_str(&format!("Bearer {text}")).map_err(|_| InvalidToken::Character)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Asks one server.
#[derive(Debug, Clone)]
pub struct Client {
    endpoint: Endpoint,
    token: Option<Token>,
    key: Option<IdempotencyKey>,
    tag: Option<Tag>,
    answer_timeout_ms: u64,
    connections: Connections,
}

/// Which version of a thing was read: what the server calls it, not to be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag(HeaderValue);

/// An answer with what stands beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told<T> {
    pub value: T,
    pub tag: Option<Tag>,
    /// Where the list goes on, to be read as it is.
    pub next: Option<String>,
}

type Asked<T> = Result<T, ClientError>;

impl Client {
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            token: None,
            key: None,
            tag: None,
            answer_timeout_ms: ANSWER_TIMEOUT_MS,
            connections: Connections::default(),
        }
    }

    pub fn with_token(self, token: Token) -> Self {
        Self { token: Some(token), ..self }
    }

    /// For an endpoint with TLS: which certificates are believed.
    pub fn with_trust(self, trust: Trust) -> Self {
        Self { connections: Connections::with_trust(trust), ..self }
    }

    /// A client whose changes all have this key: asked again with it, a change is answered as it was the
    /// first time and not made again. For one change each.
    pub fn with_idempotency_key(self, key: IdempotencyKey) -> Self {
        Self { key: Some(key), ..self }
    }

    /// A client whose changes of one thing are refused if that thing is not as it was read.
    pub fn with_tag(self, tag: Tag) -> Self {
        Self { tag: Some(tag), ..self }
    }

    pub fn with_answer_timeout_ms(self, answer_timeout_ms: u64) -> Self {
        Self { answer_timeout_ms, ..self }
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Reads one of `paths`, with the tag of what was read and the way to the next page.
    pub async fn read<T: DeserializeOwned>(&self, path: &str) -> Asked<Told<T>> {
        self.tell(Question::of(Method::GET, path)).await
    }

    pub async fn version(&self) -> Asked<VersionView> {
        self.get(paths::VERSION).await
    }

    pub async fn gpus(&self, query: &GpuQuery) -> Asked<Vec<GpuView>> {
        self.get(&paths::list(paths::GPUS, query)).await
    }

    pub async fn gpu(&self, gpu: &str) -> Asked<GpuView> {
        self.get(&paths::gpu(gpu)).await
    }

    pub async fn set_partition_count(&self, gpu: &str, request: &SetPartitionCount) -> Asked<Answer> {
        let question = Question::of(Method::PUT, paths::partition_count(gpu)).with_body(request);
        self.change(question, request.dry_run).await
    }

    pub async fn set_partition_counts(&self, request: &SetPartitionCounts) -> Asked<Answer> {
        let question = Question::of(Method::POST, paths::PARTITION_COUNTS).with_body(request);
        self.change(question, request.dry_run).await
    }

    pub async fn partitions(&self, query: &PartitionQuery) -> Asked<Vec<PartitionView>> {
        self.get(&paths::list(paths::PARTITIONS, query)).await
    }

    pub async fn vms(&self, query: &VmQuery) -> Asked<Vec<VmView>> {
        self.get(&paths::list(paths::VMS, query)).await
    }

    pub async fn vm(&self, vm: &str) -> Asked<VmView> {
        self.get(&paths::vm(vm)).await
    }

    pub async fn assign_one(&self, vm: &str, request: &AssignOne) -> Asked<Answer> {
        let question = Question::of(Method::POST, paths::assignment(vm)).with_body(request);
        self.change(question, request.dry_run).await
    }

    pub async fn assign(&self, request: &Assign) -> Asked<Answer> {
        let question = Question::of(Method::POST, paths::ASSIGNMENTS).with_body(request);
        self.change(question, request.dry_run).await
    }

    pub async fn unassign_one(&self, vm: &str, query: DryRunQuery) -> Asked<Answer> {
        let question = Question::of(Method::DELETE, paths::assignment_with(vm, query));
        self.change(question, query.dry_run).await
    }

    pub async fn unassign(&self, request: &Unassign) -> Asked<Answer> {
        let question = Question::of(Method::POST, paths::UNASSIGNMENTS).with_body(request);
        self.change(question, request.dry_run).await
    }

    /// What GPUs and partitions use now. It may take seconds.
    pub async fn usage(&self, query: &UsageQuery) -> Asked<Vec<UsageView>> {
        self.get(&paths::list(paths::USAGE, query)).await
    }

    pub async fn check(&self, query: &FindingQuery) -> Asked<Vec<FindingView>> {
        self.get(&paths::list(paths::CHECK, query)).await
    }

    pub async fn explain(&self, name: &str) -> Asked<ExplainView> {
        self.get(&paths::explain(name)).await
    }

    pub async fn events(&self, query: &EventQuery) -> Asked<Vec<EventView>> {
        let path = paths::list(paths::EVENTS, query);
        let question = Question::of(Method::GET, path).waiting(query.wait_ms());
        self.ask(question).await
    }

    pub async fn jobs(&self, query: &JobListQuery) -> Asked<Vec<JobView>> {
        self.get(&paths::list(paths::JOBS, query)).await
    }

    /// Gives up what a job has not reached yet and takes it back.
    pub async fn cancel_job(&self, id: u64) -> Asked<JobView> {
        self.ask(Question::of(Method::POST, paths::job_cancel(id))).await
    }

    pub async fn job(&self, id: u64, query: JobQuery) -> Asked<JobView> {
        let question = Question::of(Method::GET, paths::job(id, query)).waiting(query.wait_ms());
        self.ask(question).await
    }

    /// Presses the power button of a VM in a simulated room.
    pub async fn sim_power(&self, vm: &str, request: SetPower) -> Asked<VmView> {
        self.ask(Question::of(Method::POST, paths::sim_power(vm)).with_body(&request)).await
    }

    /// What goes wrong in a simulated room now.
    pub async fn sim_faults(&self) -> Asked<Vec<FaultView>> {
        self.get(paths::SIM_FAULTS).await
    }

    /// Lets something go wrong; the answer is all that goes wrong now.
    pub async fn sim_cause_fault(&self, request: &CauseFault) -> Asked<Vec<FaultView>> {
        self.ask(Question::of(Method::POST, paths::SIM_FAULTS).with_body(request)).await
    }

    pub async fn sim_clear_faults(&self) -> Asked<Vec<FaultView>> {
        self.ask(Question::of(Method::DELETE, paths::SIM_FAULTS)).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Asked<T> {
        self.ask(Question::of(Method::GET, path)).await
    }

    async fn change(&self, question: Question, dry_run: bool) -> Asked<Answer> {
        if dry_run {
            self.ask::<PlanView>(question).await.map(Answer::Plan)
        } else {
            self.ask::<Accepted>(question).await.map(Answer::Accepted)
        }
    }

    /// Sends one question and reads its answer.
    async fn ask<T: DeserializeOwned>(&self, question: Question) -> Asked<T> {
        self.tell(question).await.map(|told| told.value)
    }

    async fn tell<T: DeserializeOwned>(&self, question: Question) -> Asked<Told<T>> {
        if question.path.len() > MAX_PATH_BYTES {
            return Err(ClientError::LongPath { path_bytes: question.path.len() });
        }
        let name = question.name();
        let Answered { status, headers, body } =
            self.send(question).await.map_err(|lost| self.lost(&name, lost))?;
        if !status.is_success() {
            return Err(self.refused(&name, status, &body));
        }
        let value =
            serde_json::from_slice(&body).map_err(|error| self.bad_answer(&name, BadAnswer::Body(error)))?;
        let tag = headers.get(ETAG).cloned().map(Tag);
        Ok(Told { value, tag, next: headers.get(LINK).and_then(next_page) })
    }

    fn lost(&self, question: &str, lost: Lost) -> ClientError {
        match lost {
            Lost::OnTheWay(source) => ClientError::Unreachable { endpoint: self.endpoint.clone(), source },
            Lost::TooLong { limit_bytes } => self.bad_answer(question, BadAnswer::TooLong { limit_bytes }),
        }
    }

    fn refused(&self, question: &str, status: StatusCode, body: &[u8]) -> ClientError {
        match serde_json::from_slice::<Problem>(body) {
            // What the status line says counts, also when the document forgets it.
            Ok(problem) if status.as_u16() >= 400 => {
                ClientError::Problem(Box::new(Problem { status: Some(status.as_u16()), ..problem }))
            }
            _ => self.bad_answer(question, BadAnswer::Status { status: status.as_u16() }),
        }
    }

    fn bad_answer(&self, question: &str, source: BadAnswer) -> ClientError {
        ClientError::BadAnswer { endpoint: self.endpoint.clone(), question: question.to_owned(), source }
    }

    async fn send(&self, question: Question) -> Result<Answered, Lost> {
        let timeout_ms = self.answer_timeout_ms.saturating_add(question.wait_ms);
        let exchange = async {
            let (response, connection) = self.open(question).await?;
            let (status, headers) = (response.status(), response.headers().clone());
            let body = read(response, MAX_ANSWER_BYTES).await?;
            self.connections.keep(connection);
            Ok(Answered { status, headers, body })
        };
        timeout(Duration::from_millis(timeout_ms), exchange)
            .await
            .unwrap_or(Err(Lost::OnTheWay(Unreachable::AnswerTimeout { timeout_ms })))
    }

    /// Sends the question and waits for the head of the answer; its body comes on that connection.
    async fn open(&self, question: Question) -> Result<(Response<Incoming>, Sender), Lost> {
        Ok(self.connections.send(&self.endpoint, question.into_request(self)).await?)
    }
}

struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// The target of `<…>; rel="next"`.
fn next_page(link: &HeaderValue) -> Option<String> {
    let (target, parameters) = link.to_str().ok()?.strip_prefix('<')?.split_once('>')?;
    parameters.contains("rel=\"next\"").then(|| target.to_owned())
}

/// Why there is no body.
enum Lost {
    OnTheWay(Unreachable),
    TooLong { limit_bytes: usize },
}

impl From<hyper::Error> for Lost {
    fn from(error: hyper::Error) -> Self {
        Self::OnTheWay(Unreachable::Broken(error))
    }
}

impl From<Unreachable> for Lost {
    fn from(source: Unreachable) -> Self {
        Self::OnTheWay(source)
    }
}

/// One question, whichever server it goes to.
struct Question {
    method: Method,
    path: String,
    body: Option<Vec<u8>>,
    /// How long the server is asked to keep the answer back.
    wait_ms: u64,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Question {
    fn of(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), body: None, wait_ms: 0, headers: Vec::new() }
    }

    fn with_body(self, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("a request holds only texts, numbers, flags and lists");
        Self { body: Some(body), ..self }
    }

    fn waiting(self, wait_ms: u64) -> Self {
        Self { wait_ms, ..self }
    }

    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn into_request(self, client: &Client) -> Request<Full<Bytes>> {
        let host = match &client.endpoint {
            Endpoint::Unix(_) => "localhost".to_owned(),
            Endpoint::Http(address) | Endpoint::Https(address) => address.to_string(),
        };
        let is_change = self.method != Method::GET;
        let mut builder = Request::builder()
            .method(self.method)
            .uri(self.path)
            .header(HOST, host)
            .header(ACCEPT, "application/json, application/problem+json")
            .header(USER_AGENT, concat!("divvy/", env!("CARGO_PKG_VERSION")));
        if let Some(Token(token)) = &client.token {
            builder = builder.header(AUTHORIZATION, token);
        }
        if let Some(key) = client.key.as_ref().filter(|_| is_change) {
            builder = builder.header(IDEMPOTENCY_KEY, key.as_str());
        }
        if let Some(Tag(tag)) = client.tag.as_ref().filter(|_| is_change) {
            builder = builder.header(IF_MATCH, tag);
        }
        if self.body.is_some() {
            builder = builder.header(CONTENT_TYPE, "application/json");
        }
        for (name, value) in self.headers {
            builder = builder.header(name, value);
        }
        let body = Full::new(Bytes::from(self.body.unwrap_or_default()));
        builder
            .body(body)
            .expect("paths are percent-encoded and short, and the host was read from an address")
    }
}

async fn read(response: Response<Incoming>, limit_bytes: usize) -> Result<Vec<u8>, Lost> {
    let mut incoming = response.into_body();
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if body.len() + data.len() > limit_bytes {
            return Err(Lost::TooLong { limit_bytes });
        }
        body.extend_from_slice(&data);
    }
    Ok(body)
}

#[cfg(test)]
mod tests;
