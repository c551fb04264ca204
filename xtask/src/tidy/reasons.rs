//! Every crate of others is named once, in the root manifest, with the reason beside it.

use anyhow::{Context, Result};

use super::Finding;
use super::sources::{Source, Sources};

const ROOT: &str = "Cargo.toml";
/// A shorter one is no reason.
const REASON_BYTES: usize = 10;

pub fn findings(sources: &Sources) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    if let Some(root) = sources.get(ROOT) {
        found.extend(without_reason(root));
    }
    for manifest in sources.all().filter(|file| file.path.ends_with("/Cargo.toml")) {
        found.extend(not_from_root(manifest).with_context(|| format!("read {}", manifest.path))?);
    }
    Ok(found)
}

fn without_reason(root: &Source) -> Vec<Finding> {
    let lines = root.text.lines().enumerate();
    let section = lines.skip_while(|(_, line)| line.trim() != "[workspace.dependencies]").skip(1);
    let entries =
        section.take_while(|(_, line)| !line.starts_with('[')).filter(|(_, line)| line.contains('='));
    let bare = entries.filter(|(_, line)| {
        let reason = line.rsplit_once('#').map_or("", |(_, reason)| reason.trim());
        !line.trim_start().starts_with('#') && reason.len() < REASON_BYTES
    });
    bare.map(|(at, line)| Finding {
        file: root.path.clone(),
        line: at + 1,
        rule: "dependency-reason",
        text: format!("{} has no reason beside it", line.split('=').next().unwrap_or_default().trim()),
    })
    .collect()
}

fn not_from_root(manifest: &Source) -> Result<Vec<Finding>> {
    let table: toml::Table = manifest.text.parse()?;
    let mut found = Vec::new();
    for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
        let Some(dependencies) = table.get(section).and_then(toml::Value::as_table) else { continue };
        for (name, value) in dependencies {
            let says = |key: &str| value.get(key).is_some();
            if !says("workspace") && !says("path") {
                found.push(Finding {
                    file: manifest.path.clone(),
                    line: manifest
                        .text
                        .lines()
                        .position(|line| line.starts_with(name.as_str()))
                        .map_or(1, |at| at + 1),
                    rule: "dependency-reason",
                    text: format!(
                        "{name} has a version of its own; it belongs into the root manifest, with a reason"
                    ),
                });
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_without_a_reason_is_found() {
        let root = "[workspace.dependencies]\n# All of them.\ngood = '1' # tests: folders that go away\nbad = '1'\nshort = '2' # yes\n\n[profile.dev]\ndebug = 1\n";
        let found = findings(&Sources::of(&[("Cargo.toml", root)])).expect("is TOML");
        assert_eq!(found.iter().map(|finding| finding.line).collect::<Vec<_>>(), [4, 5]);
    }

    #[test]
    fn a_version_outside_the_root_manifest_is_found() {
        let manifest =
            "[dependencies]\na.workspace = true\nb = { path = '../b' }\n[dev-dependencies]\nc = '1'\n";
        let found = findings(&Sources::of(&[("crates/a/Cargo.toml", manifest)])).expect("is TOML");
        assert_eq!(found.iter().map(|finding| finding.line).collect::<Vec<_>>(), [5]);
    }
}
