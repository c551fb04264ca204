//! `divvy check`: everything that keeps servers, GPUs, partitions and VMs from being ready, with the mend.

use divvy_api::queries::FindingQuery;
use divvy_api::words::Severity;

use crate::cli::name;
use crate::commands::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::tables;

/// List what has to be mended; exit status 1 if anything stops an assignment until it is
#[derive(Debug, clap::Args)]
pub struct Check {
    /// Only what is about this server or something of it
    #[arg(long, value_name = "SERVER", value_parser = name())]
    on: Option<String>,
    /// Only findings that stop this much
    #[arg(long, value_name = "SEVERITY")]
    severity: Option<Severity>,
    /// Only findings of this code
    #[arg(long, value_name = "CODE", value_parser = name())]
    code: Option<String>,
}

impl Check {
    pub async fn run(&self, cx: &mut Context) -> Result<Exit, Failure> {
        let (server, code) = (self.on.clone(), self.code.clone());
        let query = FindingQuery { server, code, severity: self.severity, ..FindingQuery::default() };
        let findings = cx.client.check(&query).await?;
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
