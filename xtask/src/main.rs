//! Developer commands: `cargo xtask run|test|tidy|rig|record`. One file per command.

fn main() -> anyhow::Result<()> {
    anyhow::bail!("no command yet")
}
