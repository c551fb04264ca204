//! An answer's body that ends with the session it is given in: whoever signs out, or whose time is over,
//! gets no more of a stream that goes on. What is in the body is not known here.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::sync::watch;

pub struct Until {
    body: Body,
    over: Pin<Box<dyn Future<Output = ()> + Send>>,
    is_over: bool,
}

impl Until {
    /// Passes the body on until the session has ended or the time is over.
    pub fn new(body: Body, mut ended: watch::Receiver<()>, left: Duration) -> Self {
        let over = async move {
            // Nothing is ever sent: the change is that the session is gone.
            let _ = tokio::time::timeout(left, ended.changed()).await;
        };
        Self { body, over: Box::pin(over), is_over: false }
    }
}

impl HttpBody for Until {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.is_over || self.over.as_mut().poll(context).is_ready() {
            self.is_over = true;
            return Poll::Ready(None);
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// A body that never has anything and never ends.
    struct Silent;

    impl HttpBody for Silent {
        type Data = Bytes;
        type Error = axum::Error;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
            Poll::Pending
        }
    }

    async fn ends(body: &mut Until) -> bool {
        poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await.is_none()
    }

    #[tokio::test]
    async fn a_stream_ends_when_its_session_does() {
        let alive = watch::Sender::new(());
        let mut body = Until::new(Body::new(Silent), alive.subscribe(), Duration::from_secs(3600));
        drop(alive);
        assert!(ends(&mut body).await);
    }

    #[tokio::test]
    async fn a_stream_ends_when_the_time_of_its_session_is_over() {
        let alive = watch::Sender::new(());
        let mut body = Until::new(Body::new(Silent), alive.subscribe(), Duration::from_millis(1));
        assert!(ends(&mut body).await);
    }

    #[tokio::test]
    async fn a_body_passes_as_it_is_while_the_session_lasts() {
        let alive = watch::Sender::new(());
        let body = Until::new(Body::from("text"), alive.subscribe(), Duration::from_secs(3600));
        let whole = axum::body::to_bytes(Body::new(body), 100).await.expect("is read");
        assert_eq!(whole, "text");
    }
}
