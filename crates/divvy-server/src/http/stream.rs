//! The stream of changes as server-sent events. Each client has a task that carries its bytes from the
//! feed to the connection, one piece at a time: what a client does not read is not gathered for it.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use divvy_api::paths;
use divvy_api::queries::StreamQuery;
use divvy_api::stream::{CONTENT_TYPE, LAST_EVENT_ID};
use hyper::body::Frame;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::app::App;
use super::body::Asked;
use super::error::Failed;
use crate::feed::{Listener, Next};

/// So often a client hears that the server is there.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A client that takes nothing for so long is gone.
const STUCK: Duration = Duration::from_secs(60);
/// Proxies gather answers otherwise.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What changes, as it changes
///
/// Server-sent events of the types `gpu`, `partition`, `vm`, `job`, `finding` and `event`, each with a
/// `ChangeView` as data, and `reset` with a `ResetView`: everything has to be read again. A client that
/// names no place to go on from is sent a `reset` first. A comment comes at least every 15 seconds.
#[utoipa::path(get, path = paths::STREAM, tag = "Events",
    params(StreamQuery, ("Last-Event-ID" = Option<String>, Header, description = "As `after`.")),
    responses(
        (status = 200, description = "The stream, which does not end.", content_type = "text/event-stream",
            body = String),
        (status = 503, description = "`too_many_streams`")))]
pub async fn stream(
    State(app): State<App>,
    Asked(query): Asked<StreamQuery>,
    headers: HeaderMap,
) -> Result<Response, Failed> {
    let last = headers.get(LAST_EVENT_ID).map(|value| value.to_str().unwrap_or_default());
    let after = last.or(query.after.as_deref());
    let listener = app.feed.listen(after).ok_or_else(|| {
        Failed::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too_many_streams",
            "too many clients follow the changes already".to_owned(),
            "close some of them, or ask GET /v1/events with wait_ms",
        )
    })?;
    let (pieces, body) = mpsc::channel(1);
    tokio::spawn(carry(listener, pieces));
    let head =
        [(header::CONTENT_TYPE, CONTENT_TYPE), (header::CACHE_CONTROL, "no-store"), (UNBUFFERED, "no")];
    Ok((head, Body::new(Pieces(body))).into_response())
}

/// Ends when the client goes away.
async fn carry(mut listener: Listener, pieces: mpsc::Sender<Bytes>) {
    loop {
        let batch = match listener.take() {
            Next::Bytes(batch) => batch,
            Next::Reset(bytes) => vec![bytes],
            Next::Nothing => {
                tokio::select! {
                    () = pieces.closed() => return,
                    () = listener.grown() => continue,
                    () = tokio::time::sleep(HEARTBEAT) => vec![Bytes::from_static(b":\n\n")],
                }
            }
        };
        for piece in batch {
            let Ok(Ok(())) = timeout(STUCK, pieces.send(piece)).await else { return };
        }
    }
}

struct Pieces(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
    }
}
