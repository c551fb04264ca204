//! Asking about webhooks: who is told of events, and whether that works.

use hyper::Method;

use super::{Asked, Client, Question};
use crate::paths;
use crate::requests::TestWebhooks;
use crate::views::{WebhookTestView, WebhookView};

impl Client {
    pub async fn webhooks(&self) -> Asked<Vec<WebhookView>> {
        self.get(paths::WEBHOOKS).await
    }

    /// Sends a test event now. It may take ten seconds.
    pub async fn test_webhooks(&self, request: &TestWebhooks) -> Asked<Vec<WebhookTestView>> {
        self.ask(Question::of(Method::POST, paths::WEBHOOK_TESTS).with_body(request)).await
    }
}
