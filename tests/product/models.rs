//! `docs/gpus.md` lists the catalogue: the table between its two marks is made from it, and compared.
//! `DIVVY_WRITE_GOLDEN=1` writes it anew.

use std::path::Path;

use divvy_core::catalogue::{self, CatalogueEntry, Source};

const BEGIN: &str = "<!-- models: written by DIVVY_WRITE_GOLDEN=1 cargo test -p divvy-tests models -->\n";
const END: &str = "<!-- end of models -->";

#[test]
fn the_document_lists_the_models_of_the_catalogue() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/gpus.md");
    let before = std::fs::read_to_string(&file).expect("the document is there");
    let (head, rest) = before.split_once(BEGIN).expect("the first mark");
    let (_, tail) = rest.split_once(END).expect("the last mark");
    let after = format!("{head}{BEGIN}{}{END}{tail}", table());
    if std::env::var_os(crate::scenario::WRITE).is_some() {
        std::fs::write(&file, after).expect("writes");
        return;
    }
    assert!(before == after, "docs/gpus.md lists other models than the catalogue");
}

fn table() -> String {
    let head = "| model | memory | partition counts | with MIG | says |\n|---|---|---|---|---|\n";
    catalogue::entries().fold(head.to_owned(), |table, entry| table + &row(entry))
}

fn row(entry: &CatalogueEntry) -> String {
    let with_mig: Vec<u16> = entry.mig_counts.iter().map(|mig| mig.count).collect();
    format!(
        "| {} {} | {} | {} | {} | {} |\n",
        entry.vendor,
        entry.name,
        catalogue::in_gib(entry.memory_bytes),
        counts(entry.counts.to_vec()),
        counts(with_mig),
        match entry.source {
            Source::Document(text) | Source::Program(text) | Source::Others(text) => text.to_owned(),
            Source::Rule(text) => format!("by rule: {text}"),
        }
    )
}

/// `1, 2, 4`, and `1 to 24` where none is missing.
fn counts(mut counts: Vec<u16>) -> String {
    counts.sort_unstable();
    counts.dedup();
    match counts[..] {
        [first, .., last] if counts.len() > 3 && usize::from(last - first) == counts.len() - 1 => {
            format!("{first} to {last}")
        }
        _ => counts.iter().map(u16::to_string).collect::<Vec<_>>().join(", "),
    }
}
