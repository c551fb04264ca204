//! Who is told of events, and whether that works. Webhooks are made in the settings and nowhere else: here
//! they are looked at and tried.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use divvy_api::paths;
use divvy_api::requests::TestWebhooks;
use divvy_api::views::{WebhookTestView, WebhookView};

use super::app::App;
use super::body::Body;
use super::error::Failed;
use crate::auth::Principal;

/// Who is told of events
///
/// In the order of the settings, all of them.
#[utoipa::path(get, path = paths::WEBHOOKS, tag = "Events",
    responses((status = 200, description = "The webhooks.", body = [WebhookView])))]
pub async fn webhooks(State(app): State<App>) -> Result<Json<Vec<WebhookView>>, Failed> {
    let views = tokio::task::spawn_blocking(move || app.webhooks.views()).await;
    let views = views.map_err(|error| Failed::internal(&error))?;
    Ok(Json(views.map_err(|error| Failed::internal(&error))?))
}

/// Send a test event now
///
/// To one webhook or to all. The answer comes when every receiver has answered, or did not for ten seconds.
/// A receiver that takes it is told at once of what waits.
#[utoipa::path(post, path = paths::WEBHOOK_TESTS, tag = "Events", request_body = TestWebhooks,
    responses((status = 200, description = "What each receiver said.", body = [WebhookTestView]),
        (status = 404, description = "`webhook_not_found`")))]
pub async fn test_webhooks(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
    Body(wish): Body<TestWebhooks>,
) -> Result<Json<Vec<WebhookTestView>>, Failed> {
    let told = app.webhooks.test(wish.url.as_deref(), principal.as_str()).await;
    if told.is_empty() {
        let detail = match &wish.url {
            Some(url) => format!("there is no webhook {url}"),
            None => "there is no webhook in the settings".to_owned(),
        };
        let hint = "divvy webhook list shows them; [[webhook]] in the settings makes one";
        return Err(Failed::new(StatusCode::NOT_FOUND, "webhook_not_found", detail, hint));
    }
    Ok(Json(told))
}
