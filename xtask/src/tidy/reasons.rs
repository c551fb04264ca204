//! Every crate of others is named once, in the root manifest, with the reason beside it. A package that
//! is a workspace of its own (fuzzing wants another compiler) has its reasons beside its own lines.

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
    let bare = entries.filter(|(_, line)| !line.trim_start().starts_with('#') && !has_reason(line));
    bare.map(|(at, line)| {
        let name = line.split('=').next().unwrap_or_default().trim();
        finding(root, at, format!("{name} has no reason beside it"))
    })
    .collect()
}

fn has_reason(line: &str) -> bool {
    line.rsplit_once('#').is_some_and(|(_, reason)| reason.trim().len() >= REASON_BYTES)
}

fn finding(manifest: &Source, at: usize, text: String) -> Finding {
    Finding { file: manifest.path.clone(), line: at + 1, rule: "dependency-reason", text }
}

fn not_from_root(manifest: &Source) -> Result<Vec<Finding>> {
    let table: toml::Table = manifest.text.parse()?;
    let is_own_root = table.contains_key("workspace");
    let mut found = Vec::new();
    for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
        let Some(dependencies) = table.get(section).and_then(toml::Value::as_table) else { continue };
        let says = |value: &toml::Value, key: &str| value.get(key).is_some();
        let of_others =
            dependencies.iter().filter(|(_, value)| !says(value, "workspace") && !says(value, "path"));
        for (name, _) in of_others {
            let lines = manifest.text.lines().enumerate();
            let (at, line) =
                lines.into_iter().find(|(_, line)| line.starts_with(name.as_str())).unwrap_or_default();
            if is_own_root && !has_reason(line) {
                found.push(finding(manifest, at, format!("{name} has no reason beside it")));
            } else if !is_own_root {
                let text = format!(
                    "{name} has a version of its own; it belongs into the root manifest, with a reason"
                );
                found.push(finding(manifest, at, text));
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

    #[test]
    fn a_workspace_of_its_own_has_its_reasons_beside_its_own_lines() {
        let manifest = "[workspace]\n[dependencies]\na = '1' # makes up inputs\nb = '1'\n";
        let found = findings(&Sources::of(&[("fuzz/Cargo.toml", manifest)])).expect("is TOML");
        assert_eq!(found.iter().map(|finding| finding.line).collect::<Vec<_>>(), [4]);
    }
}
