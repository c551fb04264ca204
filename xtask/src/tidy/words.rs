//! One word per thing (`docs/VOCABULARY.md`). A word that means the same as ours may stand only in the
//! layer that owns it, because the kernel, libvirt or a vendor calls the thing so.
//!
//! Looked at are identifiers, strings and comments of Rust and the sentences of documents. What stands
//! in backticks, in a fenced block or in a path is the name that somebody else gave, and is left alone.

use std::borrow::Cow;

use anyhow::Result;

use super::Finding;
use super::scan::{Kind, pieces};
use super::sources::{Source, Sources};

/// A word that is not ours.
struct Banned {
    words: &'static [&'static str],
    instead: &'static str,
    /// Beginnings of the paths where it may stand.
    owners: &'static [&'static str],
    /// Rust itself uses the word: it counts in sentences only.
    in_sentences: bool,
    /// Fine right before one of these, or right after one of those.
    before: &'static [&'static str],
    after: &'static [&'static str],
}

const fn banned(words: &'static [&'static str], instead: &'static str) -> Banned {
    Banned { words, instead, owners: &[], in_sentences: false, before: &[], after: &[] }
}

/// Who speaks the kernel's language, and who speaks libvirt's. The rig is a machine made of both.
const KERNEL: &[&str] = &[
    "crates/divvy-host/",
    "crates/divvy-sim/",
    "rig/",
    "tests/src/schemes.rs",
    "xtask/src/record",
    "xtask/src/rig",
];
/// A word of the kernel and of libvirt, and the name of the program that builds the console.
const NODE: &[&str] = &[
    "crates/divvy-host/",
    "crates/divvy-hypervisor/",
    "crates/divvy-sim/",
    "rig/",
    "xtask/src/rig",
    "xtask/src/console.rs",
];
/// Names of vendors' files, and what their programs print.
const SCHEMES: &[&str] =
    &["crates/divvy-host/src/scheme/", "crates/divvy-host/src/testing/", "tests/src/schemes.rs"];
/// A device is a PCI device in a VM's definition: the seams of core name it, the server carries it from
/// one to the other. What people and programs read says GPU and partition.
const DEVICE: &[&str] = &[
    "fuzz/",
    "tests/",
    "crates/divvy-core/",
    "crates/divvy-host/",
    "crates/divvy-hypervisor/",
    "crates/divvy-server/",
    "crates/divvy-sim/",
    "rig/",
    "xtask/src/record",
    "xtask/src/rig",
];
/// A PCI address has a domain too. Tests of the whole product write definitions of VMs.
const DOMAIN: &[&str] = &[
    "fuzz/",
    "tests/",
    "crates/divvy-core/src/pci_address.rs",
    "crates/divvy-core/src/testing.rs",
    "crates/divvy-host/",
    "crates/divvy-hypervisor/",
    "crates/divvy-sim/",
    "rig/",
    "xtask/src/rig",
];
/// The executor calls what the hypervisor layer names.
const ATTACH: &[&str] = &[
    "crates/divvy-hypervisor/",
    "crates/divvy-server/src/executor.rs",
    "crates/divvy-sim/",
    "rig/",
    "xtask/src/rig",
];
/// The host of an address is HTTP's.
const HOST: &[&str] = &[
    "tests/",
    "crates/divvy-api/src/client",
    "crates/divvy-api/src/endpoint.rs",
    "crates/divvy-server/benches/room/asker.rs",
    "crates/divvy-server/src/hook.rs",
    "crates/divvy-server/src/http/session.rs",
    "crates/divvy-host/",
    "crates/divvy-hypervisor/",
    "crates/divvy-sim/",
    "rig/",
    "xtask/src/rig",
];

const WORDS: &[Banned] = &[
    Banned {
        before: &["bus"],
        after: &["network"],
        owners: SCHEMES,
        ..banned(&["card", "cards", "adapter", "adapters"], "GPU")
    },
    Banned { owners: DEVICE, ..banned(&["device", "devices"], "GPU or partition") },
    Banned { in_sentences: true, ..banned(&["slice", "slices"], "partition") },
    // NVIDIA's driver has them in its files.
    Banned { owners: KERNEL, after: &["process"], ..banned(&["instance", "instances"], "partition or VM") },
    Banned {
        owners: KERNEL,
        after: &["nvidia"],
        ..banned(&["vgpu", "vgpus", "vf", "vfs", "numvfs"], "partition, partition count")
    },
    Banned {
        owners: ATTACH,
        ..banned(&["attach", "attached", "attaches", "detach", "detached", "detaches"], "assign, unassign")
    },
    Banned {
        in_sentences: true,
        owners: KERNEL,
        ..banned(&["bind", "binds", "bound", "unbind", "unbound", "rebind"], "assign, prepare")
    },
    banned(&["uniform", "symmetric"], "homogeneous"),
    banned(&["passthrough"], "DDA"),
    Banned { owners: NODE, after: &["numa"], ..banned(&["node", "nodes"], "server") },
    Banned {
        in_sentences: true,
        owners: HOST,
        before: HOST_BEFORE,
        after: &["divvy"],
        ..banned(&["host", "hosts"], "server")
    },
    Banned {
        before: &["os", "operating", "systems"],
        owners: &["rig/", "xtask/src/rig"],
        ..banned(&["guest", "guests"], "VM, guest OS")
    },
    Banned { owners: DOMAIN, ..banned(&["domain", "domains"], "VM") },
];

/// A host name is one word cut in two; the others name our own parts, and the header of HTTP.
const HOST_BEFORE: &[&str] = &["name", "names", "step", "steps", "error", "side", "layer", "crate"];

pub fn findings(sources: &Sources) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    for source in sources.all() {
        // The vocabulary says which words are not ours, and this file has to name them too.
        if matches!(source.path.as_str(), "docs/VOCABULARY.md" | "xtask/src/tidy/words.rs") {
            continue;
        }
        if source.is_rust() {
            found.extend(of_rust(source));
        } else if source.is_markdown() {
            found.extend(of_document(source));
        }
    }
    Ok(found)
}

fn of_rust(source: &Source) -> Vec<Finding> {
    let of_piece = |piece: super::scan::Piece<'_>| {
        let text = match piece.kind {
            Kind::Code => Cow::Borrowed(piece.text),
            Kind::Comment | Kind::Text => Cow::Owned(sentences(&piece.text.replace("\\n", " "))),
        };
        // A string of one word is a name in a document or a table, not a sentence.
        let is_sentence = piece.kind == Kind::Comment || piece.kind == Kind::Text && words(&text).len() > 1;
        look(source, piece.line, &text, is_sentence)
    };
    pieces(&source.text).into_iter().flat_map(of_piece).collect()
}

fn of_document(source: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut in_block = false;
    for (at, line) in source.text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            found.extend(look(source, at + 1, &sentences(line), true));
        }
    }
    found
}

/// The text without what stands in backticks, paths, units, and the cmdlets of PowerShell.
fn sentences(text: &str) -> String {
    let outside = text.split('`').step_by(2).collect::<Vec<_>>().join(" . ");
    let own = |word: &&str| {
        !word.contains('/') && !word.contains("-VM") && !word.contains(".service") && !word.contains("_vfs")
    };
    outside.split_whitespace().filter(own).collect::<Vec<_>>().join(" ")
}

fn look(source: &Source, line: usize, text: &str, is_sentence: bool) -> Vec<Finding> {
    let words = words(text);
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let next = words.get(at + 1).map_or("", String::as_str);
        let last = at.checked_sub(1).and_then(|at| words.get(at)).map_or("", String::as_str);
        let is_wrong = |banned: &&Banned| {
            banned.words.contains(&word.as_str())
                && (is_sentence || !banned.in_sentences)
                && !banned.before.contains(&next)
                && !banned.after.contains(&last)
                && !banned.owners.iter().any(|owner| source.path.starts_with(owner))
        };
        if let Some(banned) = WORDS.iter().find(is_wrong) {
            let text = format!("{word:?}; we say {}", banned.instead);
            found.push(Finding { file: source.path.clone(), line, rule: "word", text });
        }
    }
    found.dedup();
    found
}

/// The words of a text in lower case; `camelCase`, `snake_case` and `ABBRWord` are taken apart, while
/// plurals of abbreviations (`VFs`) and `vGPU` are one word.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for run in text.split(|c: char| !c.is_ascii_alphabetic()).filter(|run| !run.is_empty()) {
        let letters: Vec<char> = run
            .strip_prefix("vGPU")
            .map_or(run.chars().collect(), |rest| "Vgpu".chars().chain(rest.chars()).collect());
        let mut start = 0;
        for at in 1..=letters.len() {
            if at == letters.len() || is_border(&letters, at) {
                words.push(letters[start..at].iter().collect::<String>().to_lowercase());
                start = at;
            }
        }
    }
    words
}

fn is_border(letters: &[char], at: usize) -> bool {
    let upper = |at: usize| letters.get(at).is_some_and(char::is_ascii_uppercase);
    let lower = |at: usize| letters.get(at).is_some_and(char::is_ascii_lowercase);
    let is_plural = letters.get(at + 1) == Some(&'s') && !lower(at + 2);
    (lower(at - 1) && upper(at)) || (upper(at - 1) && upper(at) && lower(at + 1) && !is_plural)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let found = findings(&Sources::of(&[(path, text)])).expect("no I/O");
        found
            .into_iter()
            .map(|finding| finding.text.split('"').nth(1).unwrap_or_default().to_owned())
            .collect()
    }

    #[test]
    fn identifiers_are_taken_apart_into_words() {
        assert_eq!(
            words("VfCount num_vfs totalVFs HTTPServer vGPUs"),
            ["vf", "count", "num", "vfs", "total", "vfs", "http", "server", "vgpus"]
        );
    }

    #[test]
    fn each_banned_word_is_found_in_a_sentence() {
        for banned in WORDS {
            for word in banned.words {
                assert_eq!(found("docs/a.md", &format!("There is a {word} here.\n")), [*word]);
            }
        }
    }

    #[test]
    fn identifiers_strings_and_comments_are_looked_at() {
        let source = "// The card.\nlet pci_adapter = \"some vGPU\";\n";
        assert_eq!(found("crates/divvy-cli/src/a.rs", source), ["card", "adapter", "vgpu"]);
    }

    #[test]
    fn the_layer_that_owns_a_word_may_use_it() {
        let source = "fn detach_device(domain: Domain) {}\n";
        assert_eq!(found("crates/divvy-hypervisor/src/a.rs", source), [""; 0]);
        assert_eq!(found("crates/divvy-cli/src/a.rs", source), ["detach", "device", "domain"]);
    }

    #[test]
    fn words_of_rust_count_in_sentences_only() {
        assert_eq!(found("crates/a/src/a.rs", "a.as_slice(); Listener::bind(b);\n"), [""; 0]);
        assert_eq!(found("crates/a/src/a.rs", "// A slice of a GPU.\n"), ["slice"]);
    }

    #[test]
    fn names_that_others_gave_are_left_alone() {
        let text = "See `virsh attach-device`, /sys/bus/pci/devices and Add-VMGpuPartitionAdapter.\n\n```\ncard\n```\n";
        assert_eq!(found("docs/a.md", text), [""; 0]);
    }

    #[test]
    fn a_guest_os_and_a_host_name_are_fine() {
        assert_eq!(found("docs/a.md", "The guest OS, the host name, guest operating systems.\n"), [""; 0]);
        assert_eq!(found("docs/a.md", "The guest on the host.\n"), ["guest", "host"]);
    }
}
