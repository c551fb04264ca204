//! Rust files that no `mod` leads to: the compiler does not see them, so nothing in them is checked.

use std::collections::BTreeSet;

use anyhow::Result;
use syn::Item;

use super::sources::Sources;
use super::{Finding, rust};

pub fn findings(sources: &Sources) -> Result<Vec<Finding>> {
    let mut reached = BTreeSet::new();
    for source in sources.rust().filter(|source| is_root(&source.path)) {
        let folder = parent(&source.path).to_owned();
        follow(sources, &source.path, &folder, &mut reached);
    }
    let orphan = |path: &str| Finding {
        file: path.to_owned(),
        line: 1,
        rule: "orphan",
        text: "no mod leads to this file".to_owned(),
    };
    let unreached = sources.rust().filter(|source| !reached.contains(&source.path));
    Ok(unreached.map(|source| orphan(&source.path)).collect())
}

/// Where cargo starts by itself.
fn is_root(path: &str) -> bool {
    let mut parts = path.rsplitn(3, '/');
    let (name, folder) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let above = parts.next().unwrap_or_default();
    let own_folder = above.rsplit('/').next().unwrap_or_default();
    match folder {
        "src" => matches!(name, "lib.rs" | "main.rs"),
        "tests" | "benches" | "examples" | "fuzz_targets" | "bin" => true,
        _ => {
            name == "main.rs" && matches!(own_folder, "tests" | "benches" | "examples" | "bin")
                || name == "build.rs"
        }
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn follow(sources: &Sources, path: &str, folder: &str, reached: &mut BTreeSet<String>) {
    if !reached.insert(path.to_owned()) {
        return;
    }
    if let Some(file) = sources.get(path).and_then(rust::parse) {
        follow_items(sources, path, folder, &file.items, reached);
    }
}

/// `folder` is where the modules of these items are looked for.
fn follow_items(sources: &Sources, path: &str, folder: &str, items: &[Item], reached: &mut BTreeSet<String>) {
    for item in items {
        let Item::Mod(module) = item else { continue };
        let inner = format!("{folder}/{}", module.ident);
        if let Some((_, items)) = &module.content {
            follow_items(sources, path, &inner, items, reached);
            continue;
        }
        if let Some(named) = named_path(module) {
            let target = format!("{}/{named}", parent(path));
            let below = parent(&target).to_owned();
            follow(sources, &target, &below, reached);
            continue;
        }
        let candidates = [format!("{inner}.rs"), format!("{inner}/mod.rs")];
        if let Some(target) = candidates.iter().find(|target| sources.get(target).is_some()) {
            follow(sources, target, &inner, reached);
        }
    }
}

/// `#[path = "…"]`.
fn named_path(module: &syn::ItemMod) -> Option<String> {
    let attribute = module.attrs.iter().find(|attribute| attribute.path().is_ident("path"))?;
    let syn::Meta::NameValue(pair) = &attribute.meta else { return None };
    let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) = &pair.value else { return None };
    Some(text.value())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orphans(files: &[(&str, &str)]) -> Vec<String> {
        findings(&Sources::of(files)).expect("no I/O").into_iter().map(|finding| finding.file).collect()
    }

    #[test]
    fn a_file_without_a_mod_is_an_orphan() {
        let files = [("c/src/lib.rs", "mod a;"), ("c/src/a.rs", ""), ("c/src/b.rs", "")];
        assert_eq!(orphans(&files), ["c/src/b.rs"]);
    }

    #[test]
    fn modules_are_followed_through_folders_inline_modules_and_named_paths() {
        let files = [
            ("c/src/main.rs", "mod a; mod f { mod g; } #[path = \"odd.rs\"] mod e;"),
            ("c/src/a.rs", "mod b;"),
            ("c/src/a/b/mod.rs", "mod d;"),
            ("c/src/a/b/d.rs", ""),
            ("c/src/f/g.rs", ""),
            ("c/src/odd.rs", ""),
            ("c/tests/t.rs", "mod m;"),
            ("c/tests/m/mod.rs", ""),
            ("c/tests/whole/main.rs", "mod n;"),
            ("c/tests/whole/n.rs", ""),
        ];
        assert_eq!(orphans(&files), [""; 0]);
    }

    #[test]
    fn a_mod_of_the_wrong_folder_reaches_nothing() {
        let files = [("c/src/lib.rs", "mod a;"), ("c/src/a.rs", "mod b;"), ("c/src/b.rs", "")];
        assert_eq!(orphans(&files), ["c/src/b.rs"]);
    }
}
