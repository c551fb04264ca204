//! The command line as one definition: help, man pages and completions are made from it. What a command
//! does stands in its own file; here are the options that all of them share and the list of verbs.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use divvy_api::client::Client;
use divvy_api::requests::IdempotencyKey;

use crate::commands::{
    assign, check, completions, dda, events, explain, gpu, job, man, partition, pool, sim, unassign, usage,
    version, vm, webhook,
};
use crate::print::Format;

const HYPER_V: &str = "\
Coming from Hyper-V:
  Get-VMHostPartitionableGpu      divvy gpu list, divvy gpu show GPU
  Set-VMHostPartitionableGpu      divvy gpu partition GPU --count N
  Add-VMGpuPartitionAdapter       divvy assign VM
  Get-VMGpuPartitionAdapter       divvy vm show VM, divvy partition list
  Remove-VMGpuPartitionAdapter    divvy unassign VM
  Add-VMAssignableDevice          divvy dda assign VM --gpu GPU
  Remove-VMAssignableDevice       divvy dda unassign VM
  New-VMResourcePool              divvy pool create POOL GPU

Exit status:
  0   done, or so already
  1   refused, with the reason and a hint; for check: something has to be mended
  2   the command line is wrong
  3   the server or its hardware failed
  4   the server cannot be reached
  70  a bug in divvy";

/// Share the GPUs of servers among VMs.
#[derive(Debug, Parser)]
#[command(
    name = "divvy",
    version,
    after_long_help = HYPER_V,
    arg_required_else_help = true,
    subcommand_required = true
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// Socket of the server on this machine [env: DIVVY_SOCKET] [default: /run/divvy/divvy.sock]
    #[arg(long, global = true, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Address of a server, https://HOST:PORT or http://HOST:PORT, instead of a socket [env: DIVVY_SERVER]
    #[arg(long, global = true, value_name = "URL")]
    pub server: Option<String>,
    /// File that holds the token for --server [env: DIVVY_TOKEN holds the token itself]
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Certificates to trust at an https address [env: DIVVY_CA] [default: those that this machine trusts]
    #[arg(long, global = true, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// The one certificate to trust there, by its SHA-256 fingerprint [env: DIVVY_FINGERPRINT]
    #[arg(long, global = true, value_name = "HEX")]
    pub fingerprint: Option<String>,
    /// How to print
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    pub output: Format,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    #[command(subcommand)]
    Gpu(gpu::Gpu),
    #[command(subcommand)]
    Partition(partition::Partition),
    #[command(subcommand)]
    Vm(vm::Vm),
    Assign(assign::Assign),
    Unassign(unassign::Unassign),
    #[command(subcommand)]
    Dda(dda::Dda),
    #[command(subcommand)]
    Pool(pool::Pool),
    Check(check::Check),
    Usage(usage::Usage),
    Explain(explain::Explain),
    Events(events::Events),
    #[command(subcommand)]
    Webhook(webhook::Webhook),
    #[command(subcommand)]
    Job(job::Job),
    #[command(subcommand)]
    Sim(sim::Sim),
    Completions(completions::Completions),
    Man(man::Man),
    Version(version::Version),
}

/// How a change is carried out.
#[derive(Debug, Clone, clap::Args)]
pub struct ChangeOptions {
    /// Print the steps and the warnings, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not wait until the hardware has followed; print the job
    #[arg(long, conflicts_with = "dry_run")]
    pub no_wait: bool,
    /// A name for this change: repeated with it within 24 hours, the command does not make it again
    #[arg(long, value_name = "KEY", value_parser = IdempotencyKey::new, conflicts_with = "dry_run")]
    pub idempotency_key: Option<IdempotencyKey>,
}

impl ChangeOptions {
    /// The client that asks for this change.
    pub fn client(&self, client: &Client) -> Client {
        match &self.idempotency_key {
            Some(key) => client.clone().with_idempotency_key(key.clone()),
            None => client.clone(),
        }
    }
}

/// Reads a name: anything but nothing.
pub fn name() -> clap::builder::NonEmptyStringValueParser {
    clap::builder::NonEmptyStringValueParser::new()
}

#[cfg(test)]
mod tests;
