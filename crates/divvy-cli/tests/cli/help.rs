//! The help of every command, as one file: the page that a reviewer reads to see what the command line
//! became.

use std::fmt::Write;

use crate::divvy::alone;
use crate::golden::compare;

#[test]
fn the_help_of_every_command_is_what_its_golden_file_says() {
    let mut text = String::new();
    add_help(&mut text, &[]);
    compare("help.txt", &text);
}

/// Adds the help of a command and of every command that it lists.
fn add_help(text: &mut String, command: &[&str]) {
    let ran = alone(&[command, &["--help"]].concat());
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{command:?}");
    let _ =
        writeln!(text, "$ divvy {}\n{}\n", [command, &["--help"]].concat().join(" "), ran.stdout.trim_end());
    let listed = ran.stdout.split("\nCommands:\n").nth(1).unwrap_or_default();
    let listed = listed.lines().take_while(|line| !line.is_empty());
    for below in listed.filter_map(|line| line.split_whitespace().next()).filter(|below| *below != "help") {
        add_help(text, &[command, &[below]].concat());
    }
}
