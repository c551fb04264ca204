//! What GPUs and partitions use now. Everything else is told from what was observed; this is asked for.

use axum::extract::State;
use axum::response::Response;
use divvy_api::paths;
use divvy_api::queries::{ListQuery, UsageQuery};
use divvy_api::views::UsageView;

use super::app::App;
use super::body::Asked;
use super::error::Failed;
use super::lists::gpu_key;
use super::page::{Row, is, page};
use crate::usage;

/// What GPUs and partitions use now
///
/// By server and address. The vendor's library is asked when this is, and whoever asks within a second is
/// told the same. Where nothing can be told, the values are null and `reason` says why; an answer takes a few
/// seconds at most. Asking does not keep a session alive: a page does it by itself.
#[utoipa::path(get, path = paths::USAGE, tag = "GPUs", params(UsageQuery),
    responses((status = 200, description = "What each GPU uses.", body = [UsageView])))]
pub async fn usage(State(app): State<App>, Asked(query): Asked<UsageQuery>) -> Result<Response, Failed> {
    query.validate()?;
    let state = app.hub.state();
    let servers = state.observed.iter().filter(|(server, observed)| {
        let has_gpu = |id: &String| observed.gpus.iter().any(|gpu| gpu.id.as_str() == id);
        query.server.as_ref().is_none_or(|wanted| wanted == server.as_str())
            && query.gpu.as_ref().is_none_or(has_gpu)
    });
    let told = app.usage.ask(servers.map(|(server, _)| server.clone())).await;
    // What happened while the library was asked counts too.
    let rows = usage::rows(&app.hub.state(), &told).into_iter();
    let meant = rows.filter(|(view, _)| is(query.gpu.as_ref(), &view.gpu));
    let row = |(view, address): (UsageView, String)| Row { key: gpu_key(&view.server, &address), view };
    page(meant.map(row).collect(), &query, paths::USAGE)
}
