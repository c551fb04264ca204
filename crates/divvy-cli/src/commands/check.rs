//! `divvy check`: everything that keeps servers, GPUs, partitions and VMs from being ready, with the mend.

use divvy_api::words::Severity;

use crate::commands::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::tables;

/// List what has to be mended; exit status 1 if anything stops an assignment until it is
#[derive(Debug, clap::Args)]
pub struct Check {}

impl Check {
    pub async fn run(&self, cx: &mut Context) -> Result<Exit, Failure> {
        let findings = cx.client.check().await?;
        cx.print.document(findings.as_slice(), |findings| match findings {
            [] => "no findings".to_owned(),
            findings => tables::findings(findings),
        })?;
        let stops = |severity| matches!(severity, Severity::Error | Severity::Unknown);
        match findings.iter().any(|finding| stops(finding.severity)) {
            true => Ok(Exit::Refused),
            false => Ok(Exit::Done),
        }
    }
}
