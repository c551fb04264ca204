//! What happened, from the store: forward from a number, or the newest. A filter is looked for in the
//! store page by page, so that a rare event costs time and no memory.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use divvy_api::paths;
use divvy_api::queries::EventQuery;
use divvy_api::views::EventView;
use divvy_core::event::NumberedEvent;
use divvy_core::finding::Subject;
use divvy_store::{Store, StoreError};

use super::app::App;
use super::body::Asked;
use super::error::Failed;
use super::page::{answer, has};

/// Events that are looked at together.
const CHUNK: u64 = 1_000;

/// What happened
///
/// In ascending order. Without `after`, the newest; the `Link` then leads to older ones.
#[utoipa::path(get, path = paths::EVENTS, tag = "Events", params(EventQuery),
    responses((status = 200, description = "The events.", body = [EventView])))]
pub async fn events(State(app): State<App>, Asked(query): Asked<EventQuery>) -> Result<Response, Failed> {
    query.validate()?;
    let mut newest = app.newest_event.clone();
    if let Some(after) = query.after {
        let wait = newest.wait_for(|number| *number > after);
        // No event in time is an empty answer.
        let _ = tokio::time::timeout(Duration::from_millis(query.wait_ms()), wait).await;
    }
    let newest = *newest.borrow();
    let store = app.store.clone();
    let found = tokio::task::spawn_blocking(move || find(&store, &query, newest)).await;
    let (events, next) =
        found.map_err(|error| Failed::internal(&error))?.map_err(|error| Failed::internal(&error))?;
    let views: Vec<EventView> = events.iter().map(EventView::from).collect();
    Ok(answer(&views, next.map(|query| paths::list(paths::EVENTS, &query))))
}

/// The events of one page, and the question for the next.
type Found = (Vec<NumberedEvent>, Option<EventQuery>);

fn find(store: &Store, query: &EventQuery, newest: u64) -> Result<Found, StoreError> {
    let limit = usize::try_from(query.limit()).unwrap_or(usize::MAX);
    let end = query.before.unwrap_or(u64::MAX).min(newest.saturating_add(1));
    match query.after {
        Some(after) => forward(store, query, after, end, limit),
        None => backward(store, query, end, limit),
    }
}

/// From the number after `after` up to `end`, the oldest first.
fn forward(
    store: &Store,
    query: &EventQuery,
    after: u64,
    end: u64,
    limit: usize,
) -> Result<Found, StoreError> {
    let (mut seen, mut found) = (after, Vec::new());
    while seen.saturating_add(1) < end {
        let chunk = store.events(seen, chunk_of(query, limit))?;
        let Some(last) = chunk.last().map(|event| event.number) else { break };
        for event in chunk.into_iter().filter(|event| event.number < end && is_meant(query, event)) {
            if found.len() == limit {
                let last = found.last().map_or(after, |event: &NumberedEvent| event.number);
                return Ok((found, Some(EventQuery { after: Some(last), wait_ms: None, ..query.clone() })));
            }
            found.push(event);
        }
        seen = last;
    }
    Ok((found, None))
}

/// From the number before `end` down, until there are enough.
fn backward(store: &Store, query: &EventQuery, end: u64, limit: usize) -> Result<Found, StoreError> {
    let (mut end, mut found) = (end, Vec::new());
    while end > 1 {
        let size = chunk_of(query, limit) as u64;
        let after = (end - 1).saturating_sub(size);
        let chunk = store.events(after, usize::try_from(end - 1 - after).unwrap_or(usize::MAX))?;
        // Older ones were forgotten.
        let Some(first) = chunk.first().filter(|event| event.number < end).map(|event| event.number) else {
            break;
        };
        let meant = chunk.into_iter().rev().filter(|event| event.number < end && is_meant(query, event));
        found.extend(meant.take(limit + 1 - found.len()));
        if found.len() > limit {
            found.pop();
            let oldest = found.last().map_or(end, |event: &NumberedEvent| event.number);
            found.reverse();
            return Ok((found, Some(EventQuery { before: Some(oldest), ..query.clone() })));
        }
        end = first;
    }
    found.reverse();
    Ok((found, None))
}

/// One more than are asked for tells whether there are more; what is filtered needs more to choose from.
fn chunk_of(query: &EventQuery, limit: usize) -> usize {
    let EventQuery { code, server, gpu, vm, job, q, .. } = query;
    let all = [code, server, gpu, vm, q].iter().all(|filter| filter.is_none()) && job.is_none();
    let most = usize::try_from(CHUNK).unwrap_or(usize::MAX);
    if all { (limit + 1).min(most) } else { most }
}

fn is_meant(query: &EventQuery, numbered: &NumberedEvent) -> bool {
    let event = &numbered.event;
    let (gpu, vm) = match &event.subject {
        Subject::Gpu(id) => (Some(id.as_str()), None),
        Subject::Partition(id) => (Some(id.gpu.as_str()), None),
        Subject::Vm(id) => (None, Some(id.as_str())),
        Subject::Server(_) | Subject::Cluster => (None, None),
    };
    let server = event.server.as_ref().map(|server| server.as_str());
    (query.code.is_none() || query.code.as_deref() == Some(event.code.as_str()))
        && (query.server.is_none() || query.server.as_deref() == server)
        && (query.gpu.is_none() || query.gpu.as_deref() == gpu)
        && (query.vm.is_none() || query.vm.as_deref() == vm)
        && (query.job.is_none() || query.job == event.job.map(|job| job.0))
        && has(
            query.q.as_deref(),
            &[&event.code, &event.text, event.principal.as_deref().unwrap_or_default()],
        )
}

#[cfg(test)]
mod tests {
    use divvy_core::event::Event;

    use super::*;

    fn store_of(count: u64) -> Store {
        let store = Store::memory();
        let event = |number: u64| Event {
            at_ms: number,
            code: if number.is_multiple_of(7) { "seventh" } else { "other" }.to_owned(),
            server: None,
            subject: Subject::Cluster,
            text: String::new(),
            principal: None,
            job: None,
        };
        store.append_events((1..=count).map(event).collect()).expect("is kept");
        store
    }

    /// Every page's numbers, by following the way to the next.
    fn pages(store: &Store, newest: u64, query: EventQuery) -> Vec<Vec<u64>> {
        let mut pages = Vec::new();
        let mut query = Some(query);
        while let Some(asked) = query {
            let (found, next) = find(store, &asked, newest).expect("reads");
            pages.push(found.iter().map(|event| event.number).collect());
            query = next;
            assert!(pages.len() < 100, "pages without an end");
        }
        pages
    }

    #[test]
    fn forward_every_event_is_on_one_page() {
        let store = store_of(5);
        let query = EventQuery { after: Some(0), limit: Some(2), ..EventQuery::default() };
        assert_eq!(pages(&store, 5, query), [vec![1, 2], vec![3, 4], vec![5]]);
    }

    #[test]
    fn the_newest_come_first_and_lead_to_the_older_ones() {
        let store = store_of(5);
        let query = EventQuery { limit: Some(2), ..EventQuery::default() };
        assert_eq!(pages(&store, 5, query), [vec![4, 5], vec![2, 3], vec![1]]);
    }

    #[test]
    fn rare_events_are_found_far_away_in_both_directions() {
        let store = store_of(5_000);
        let query =
            EventQuery { code: Some("seventh".to_owned()), limit: Some(300), ..EventQuery::default() };
        let expected: Vec<u64> = (1..=5_000).filter(|number| number % 7 == 0).collect();
        let mut backward = pages(&store, 5_000, query.clone());
        backward.reverse();
        assert_eq!(backward.concat(), expected);
        let forward = pages(&store, 5_000, EventQuery { after: Some(0), ..query });
        assert_eq!(forward.concat(), expected);
    }

    #[test]
    fn a_range_that_is_empty_is_an_empty_page() {
        let store = store_of(5);
        let query = EventQuery { after: Some(3), before: Some(2), ..EventQuery::default() };
        assert_eq!(pages(&store, 5, query), [[0; 0]]);
        let beyond = EventQuery { after: Some(u64::MAX), ..EventQuery::default() };
        assert_eq!(pages(&store, 5, beyond), [[0; 0]]);
        let before_all = EventQuery { before: Some(0), ..EventQuery::default() };
        assert_eq!(pages(&store, 5, before_all), [[0; 0]]);
    }
}
