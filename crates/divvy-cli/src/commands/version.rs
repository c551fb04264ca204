//! `divvy version`: which versions talk to each other here. The client's own is printed whatever the
//! server does.

use divvy_api::views::VersionView;
use serde::Serialize;

use crate::commands::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Print the versions of divvy and of the server
#[derive(Debug, clap::Args)]
pub struct Version {}

#[derive(Debug, Serialize)]
struct Versions {
    client: ClientVersion,
    /// Null when the server does not answer.
    server: Option<VersionView>,
}

#[derive(Debug, Serialize)]
struct ClientVersion {
    version: &'static str,
}

impl Version {
    pub async fn run(&self, cx: &mut Context) -> Result<Exit, Failure> {
        let (server, failure) = match cx.client.version().await {
            Ok(server) => (Some(server), None),
            Err(error) => (None, Some(error)),
        };
        let client = ClientVersion { version: env!("CARGO_PKG_VERSION") };
        cx.print.document(&Versions { client, server }, in_words)?;
        match failure {
            None => Ok(Exit::Done),
            Some(error) => Err(error.into()),
        }
    }
}

fn in_words(versions: &Versions) -> String {
    let client = format!("divvy  {}", versions.client.version);
    match &versions.server {
        None => client,
        Some(server) => {
            let room = server.room.as_ref().map_or(String::new(), |room| format!(", simulated room {room}"));
            let shown = server.certificate_fingerprint.as_ref();
            let shown = shown.map_or(String::new(), |shown| format!("\ncertificate {shown}"));
            format!("{client}\ndivvyd {} on {}{room}{shown}", server.version, server.server)
        }
    }
}
