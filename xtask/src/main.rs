//! Developer commands: `cargo xtask run|test|tidy|record|rig|…`. One file per command.

#![forbid(unsafe_code)]

mod cockpit;
mod console;
mod install;
mod libvirt;
mod product;
mod record;
mod rig;
mod run;
mod schemathesis;
mod test;
mod tidy;
mod transcript;
mod units;

use std::path::Path;
use std::process::ExitCode;

type Command = fn(&[String]) -> anyhow::Result<ExitCode>;

/// Each command, what it does, and the function that does it.
const COMMANDS: &[(&str, &str, Command)] = &[
    ("run", "install what is missing and start Divvy, here or on a simulated room", run::main),
    ("test", "run everything that has to pass", test::main),
    ("tidy", "check house style: arrows, sizes, words, codes", tidy::main),
    ("transcript", "write the session that README.md shows anew", transcript::main),
    ("console", "the web console: build, check, try in a browser", console::main),
    ("schemathesis", "made-up requests, compared with the description of the API", schemathesis::main),
    ("units", "let systemd look at the unit", units::main),
    ("install", "put programs, unit and hook in place", install::main),
    ("record", "take a fixture of this server's GPUs as the kernel shows them, without names", record::main),
    ("rig", "the test machine: a real kernel with GPUs that are made up", rig::main),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let named = arguments.first().and_then(|name| COMMANDS.iter().find(|(command, ..)| command == name));
    let Some((.., command)) = named else {
        eprintln!("usage: cargo xtask COMMAND");
        for (name, what, _) in COMMANDS {
            eprintln!("  {name:<14}{what}");
        }
        return ExitCode::from(2);
    };
    command(&arguments[1..]).unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}

/// The folder of the repository.
fn repository() -> std::path::PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_path_buf()
}
