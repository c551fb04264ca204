//! Golden files: what is printed for people and scripts, word for word, so that a change of it is a
//! change of a file.

use std::path::PathBuf;

/// Compares a text with its golden file, or writes the file when that is asked for.
pub fn compare(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("DIVVY_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(&path, text).expect("the golden file is written");
        return;
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    let difference = golden.lines().zip(text.lines()).enumerate().find(|(_, (golden, now))| golden != now);
    if let Some((nth, (golden, now))) = difference {
        panic!("{name}, line {}:\n  golden: {golden}\n  now:    {now}", nth + 1);
    }
    assert_eq!(golden.len(), text.len(), "{name}: one is longer than the other");
}
