//! `divvy webhook`: who is told of events over HTTP, and whether that works. Webhooks are made in divvyd's
//! settings.

use divvy_api::requests::TestWebhooks;

use crate::cli::name;
use crate::commands::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::tables;

/// See who is told of events, and try whether that works
///
/// Webhooks are made in the settings of divvyd, by [[webhook]].
#[derive(Debug, clap::Subcommand)]
pub enum Webhook {
    /// List them with how it goes
    List,
    /// Send a test event now; exit status 1 if one does not take it
    Test {
        /// Only the one with this address, as the list has it
        #[arg(value_name = "URL", value_parser = name())]
        url: Option<String>,
    },
}

impl Webhook {
    pub async fn run(&self, cx: &mut Context) -> Result<Exit, Failure> {
        match self {
            Self::List => {
                let webhooks = cx.client.webhooks().await?;
                cx.list(
                    &webhooks,
                    tables::webhooks,
                    "nobody is told: there is no [[webhook]] in the settings",
                )
            }
            Self::Test { url } => {
                let told = cx.client.test_webhooks(&TestWebhooks { url: url.clone() }).await?;
                cx.print.document(told.as_slice(), tables::webhook_tests)?;
                match told.iter().all(|test| test.delivered) {
                    true => Ok(Exit::Done),
                    false => Ok(Exit::Refused),
                }
            }
        }
    }
}
