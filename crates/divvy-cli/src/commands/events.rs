//! `divvy events`: what happened, and with `--follow` what happens. Following ends when the reader goes
//! away, at the latest with the next event.

use std::time::Duration;

use divvy_api::queries::{EventQuery, MAX_LIMIT, MAX_WAIT_MS};
use divvy_api::views::EventView;
use tokio::time::{Instant, sleep};

use crate::cli::name;
use crate::commands::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::tables;

/// Between two questions that were answered with nothing, at the least.
const PAUSE: Duration = Duration::from_secs(1);

/// List what happened: who asked for what, and what the hardware did
#[derive(Debug, clap::Args)]
pub struct Events {
    /// Go on with every event as it happens; with -o json, one document per line
    #[arg(long)]
    follow: bool,
    /// Only events after this number, the oldest first
    #[arg(long, value_name = "N")]
    after: Option<u64>,
    /// At most this many at once; the newest ones unless --after is given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_LIMIT)))]
    limit: Option<u32>,
    /// Only events of this server
    #[arg(long, value_name = "SERVER", value_parser = name())]
    on: Option<String>,
    /// Only events of this kind, by its code
    #[arg(long, value_name = "CODE", value_parser = name())]
    code: Option<String>,
    /// Only events of this job
    #[arg(long, value_name = "ID")]
    job: Option<u64>,
}

impl Events {
    pub async fn run(&self, cx: &mut Context) -> Result<Exit, Failure> {
        let first = EventQuery {
            after: self.after,
            limit: self.limit,
            server: self.on.clone(),
            code: self.code.clone(),
            job: self.job,
            ..EventQuery::default()
        };
        let events = cx.client.events(&first).await?;
        if !self.follow {
            return cx.list(&events, tables::events, "nothing has happened yet");
        }
        let mut last = self.after.unwrap_or(0);
        print_each(cx, &events, &mut last)?;
        while !cx.print.is_closed() {
            let asked = Instant::now();
            let query = EventQuery { after: Some(last), wait_ms: Some(MAX_WAIT_MS), ..first.clone() };
            let events = cx.client.events(&query).await?;
            print_each(cx, &events, &mut last)?;
            if events.is_empty() {
                sleep(PAUSE.saturating_sub(asked.elapsed())).await;
            }
        }
        Ok(Exit::Done)
    }
}

fn print_each(cx: &mut Context, events: &[EventView], last: &mut u64) -> Result<(), Failure> {
    for event in events {
        cx.print.next_document(event, tables::event_line)?;
        *last = event.number.max(*last);
    }
    Ok(())
}
