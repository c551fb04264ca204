//! `divvy`: the command line. It turns arguments into one question or a few, waits for the job that a
//! change became, and prints. It decides nothing, keeps nothing, and knows the server only by its API.
//!
//! Reading order is the order of the modules below.

#![forbid(unsafe_code)]

mod cli;
mod commands;
mod settings;

mod exit;
mod failure;

mod print;
mod progress;
mod tables;
mod tell;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::Cli::try_parse() {
        Ok(cli) => exit::guard(|| commands::run(&cli)).into(),
        // Help and version arrive here too. A closed pipe does not make them fail.
        Err(usage) => {
            let _ = usage.print();
            ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(exit::Exit::Bug.code()))
        }
    }
}
