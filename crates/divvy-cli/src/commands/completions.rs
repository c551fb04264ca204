//! `divvy completions`: what a shell needs to complete command lines, made from their definition.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::print::Printer;

/// Print the completions of a shell
#[derive(Debug, clap::Args)]
pub struct Completions {
    shell: Shell,
}

impl Completions {
    pub fn run(&self, print: &mut Printer) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "divvy", &mut script);
        print.write(&String::from_utf8_lossy(&script))?;
        Ok(Exit::Done)
    }
}
