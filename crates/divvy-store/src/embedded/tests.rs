use tempfile::TempDir;

use super::*;
use crate::Store;
use crate::conformance::{Make, suite};

fn with_embedded(promise: impl Fn(Make)) {
    let folder = TempDir::new().expect("makes a folder");
    let made = std::cell::Cell::new(0);
    promise(&|limits| {
        made.set(made.get() + 1);
        let state_dir = folder.path().join(made.get().to_string());
        Store::open_embedded_with(&state_dir, limits).expect("opens an empty store")
    });
}

suite!(with_embedded);
