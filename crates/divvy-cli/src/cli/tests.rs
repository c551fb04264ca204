//! The definition as a whole.

use clap::CommandFactory;

use super::*;

#[test]
fn the_definition_contradicts_itself_nowhere() {
    Cli::command().debug_assert();
}
