//! `divvy man`: the manual, made from the definition of the command line: one page to stdout, or all of
//! them into a folder.

use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap_mangen::Man as Page;

use crate::cli::Cli;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::print::Printer;

/// Print the manual
#[derive(Debug, clap::Args)]
pub struct Man {
    /// Write one page per command into this folder instead, which must exist
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

impl Man {
    pub fn run(&self, print: &mut Printer) -> Result<Exit, Failure> {
        let mut command = Cli::command().disable_help_subcommand(true);
        command.build();
        match &self.folder {
            None => {
                let mut page = Vec::new();
                Page::new(command).render(&mut page).map_err(Failure::Output)?;
                print.write(&String::from_utf8_lossy(&page))?;
            }
            Some(folder) => write_pages(&command, folder)?,
        }
        Ok(Exit::Done)
    }
}

/// Writes the page of a command and of all below it. After `build` each command knows its whole name.
fn write_pages(command: &clap::Command, folder: &Path) -> Result<(), Failure> {
    let page = Page::new(command.clone());
    let path = folder.join(page.get_filename());
    let mut text = Vec::new();
    page.render(&mut text).map_err(Failure::Output)?;
    std::fs::write(&path, text).map_err(|source| Failure::File { path, source })?;
    command.get_subcommands().try_for_each(|below| write_pages(below, folder))
}
