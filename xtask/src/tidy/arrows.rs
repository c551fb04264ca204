//! Which crate may know which, as the manifests say it. The list is that of `ARCHITECTURE.md`; a crate
//! that is not on it has no place yet, and gets one there first.

use anyhow::{Context, Result};

use super::Finding;
use super::sources::{Source, Sources};

/// A crate and those that it may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    ("divvy-core", &[]),
    ("divvy-host", &["divvy-core"]),
    ("divvy-hypervisor", &["divvy-core"]),
    ("divvy-store", &["divvy-core"]),
    ("divvy-api", &["divvy-core"]),
    ("divvy-fence", &["divvy-core"]),
    ("divvy-sim", &["divvy-core", "divvy-host", "divvy-hypervisor", "divvy-store"]),
    (
        "divvy-server",
        &["divvy-core", "divvy-host", "divvy-hypervisor", "divvy-store", "divvy-api", "divvy-sim"],
    ),
    ("divvy-cli", &["divvy-api"]),
];

pub fn findings(sources: &Sources) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    for manifest in sources.all().filter(|file| is_manifest(&file.path)) {
        found.extend(of_manifest(manifest).with_context(|| format!("read {}", manifest.path))?);
    }
    Ok(found)
}

fn is_manifest(path: &str) -> bool {
    path.starts_with("crates/") && path.ends_with("/Cargo.toml")
}

/// Tests may know whom they like; so only what is built into the crate counts.
fn of_manifest(manifest: &Source) -> Result<Vec<Finding>> {
    let table: toml::Table = manifest.text.parse()?;
    let name = table.get("package").and_then(|package| package.get("name")).and_then(toml::Value::as_str);
    let name = name.context("the manifest names no package")?;
    let finding = |line, text| Finding { file: manifest.path.clone(), line, rule: "arrow", text };
    let Some((_, allowed)) = ARROWS.iter().find(|(of, _)| *of == name) else {
        return Ok(vec![finding(1, format!("{name} has no place in the list of arrows"))]);
    };
    let mut found = Vec::new();
    for section in ["dependencies", "build-dependencies"] {
        let Some(dependencies) = table.get(section).and_then(toml::Value::as_table) else { continue };
        let own = dependencies.keys().filter(|dependency| dependency.starts_with("divvy-"));
        for dependency in own.filter(|dependency| !allowed.contains(&dependency.as_str())) {
            let line = manifest.text.lines().position(|line| line.starts_with(dependency.as_str()));
            let text = format!("{name} may not depend on {dependency}");
            found.push(finding(line.map_or(1, |at| at + 1), text));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(name: &str, dependencies: &str) -> Vec<String> {
        let manifest = format!("[package]\nname = '{name}'\n{dependencies}");
        let path = format!("crates/{name}/Cargo.toml");
        let found = findings(&Sources::of(&[(&path, &manifest)])).expect("is TOML");
        found.into_iter().map(|finding| format!("{}: {}", finding.line, finding.text)).collect()
    }

    #[test]
    fn the_command_line_knows_the_wire_only() {
        let dependencies = "[dependencies]\ndivvy-api = { path = 'x' }\ndivvy-core = { path = 'y' }\n";
        assert_eq!(texts("divvy-cli", dependencies), ["5: divvy-cli may not depend on divvy-core"]);
    }

    #[test]
    fn a_build_script_counts_and_a_test_does_not() {
        let dependencies = "[dev-dependencies]\ndivvy-sim = { path = 'x' }\n[build-dependencies]\ndivvy-host = { path = 'y' }\n";
        assert_eq!(texts("divvy-store", dependencies), ["6: divvy-store may not depend on divvy-host"]);
    }

    #[test]
    fn a_crate_that_nobody_placed_is_found() {
        assert_eq!(texts("divvy-new", ""), ["1: divvy-new has no place in the list of arrows"]);
    }
}
