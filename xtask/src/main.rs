//! Developer commands: `cargo xtask run|test|tidy|rig|record`. One file per command.

mod rig;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.split_first() {
        Some((command, rest)) if command == "rig" => rig::main(rest),
        _ => Err(anyhow::anyhow!("usage: cargo xtask rig …")),
    };
    result.unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}
