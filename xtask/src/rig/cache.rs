//! Where built things are kept. An entry is named by the hash of everything
//! that went into it, is built aside and renamed into place, and is never
//! changed afterwards: half an entry does not exist, and a disk and the
//! snapshot taken on it cannot come apart. Entries that nobody used for a week
//! go when a new one is built.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// An entry is about 700 MiB; other checkouts on this machine share the cache.
const UNUSED_LIMIT: Duration = Duration::from_secs(7 * 24 * 3600);

pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// `DIVVY_RIG_CACHE`, else `divvy/rig` in the user's cache folder.
    pub fn open() -> Result<Cache> {
        let root = match std::env::var_os("DIVVY_RIG_CACHE") {
            Some(path) => PathBuf::from(path),
            None => user_cache()?.join("divvy").join("rig"),
        };
        fs::create_dir_all(&root).with_context(|| format!("create {}", root.display()))?;
        let root = root.canonicalize().with_context(|| format!("resolve {}", root.display()))?;
        Ok(Cache { root })
    }

    /// A folder for what is not an entry: logs, running machines.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.root.join(name);
        fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        Ok(path)
    }

    /// The entry's folder, built by `build` if it is not there yet.
    pub fn entry(&self, kind: &str, key: &Key, build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let path = self.root.join(format!("{kind}-{}", key.0));
        if path.is_dir() {
            note_use(&path)?;
            return Ok(path);
        }
        let lock_path = self.root.join(format!("{kind}.lock"));
        let lock = File::create(&lock_path).with_context(|| format!("create {}", lock_path.display()))?;
        lock.lock().with_context(|| format!("lock {}", lock_path.display()))?;
        if path.is_dir() {
            return Ok(path);
        }
        // The lock is ours, so whatever lies here is what a killed build left.
        let aside = self.root.join(format!("{kind}.partial"));
        remove_tree(&aside)?;
        fs::create_dir(&aside).with_context(|| format!("create {}", aside.display()))?;
        build(&aside)?;
        note_use(&aside)?;
        self.remove_unused(kind)?;
        fs::rename(&aside, &path).with_context(|| format!("put {} in place", path.display()))?;
        Ok(path)
    }
}

impl Cache {
    fn remove_unused(&self, kind: &str) -> Result<()> {
        let prefix = format!("{kind}-");
        let entries = fs::read_dir(&self.root).with_context(|| format!("list {}", self.root.display()))?;
        for entry in entries {
            let entry = entry.context("read a folder entry")?;
            let is_entry = entry.file_name().to_string_lossy().starts_with(&prefix);
            if is_entry && is_unused(&entry.path()) {
                remove_tree(&entry.path())?;
            }
        }
        Ok(())
    }
}

fn note_use(entry: &Path) -> Result<()> {
    fs::write(entry.join("used"), "").with_context(|| format!("mark {} as used", entry.display()))
}

/// In doubt it is used: a clock that went back removes nothing.
fn is_unused(entry: &Path) -> bool {
    let used = fs::metadata(entry.join("used")).and_then(|metadata| metadata.modified());
    let age = used.map(|time| SystemTime::now().duration_since(time));
    matches!(age, Ok(Ok(age)) if age > UNUSED_LIMIT)
}

fn user_cache() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()) {
        return Ok(PathBuf::from(path));
    }
    let home = std::env::var_os("HOME").context("neither HOME nor DIVVY_RIG_CACHE is set")?;
    Ok(PathBuf::from(home).join(".cache"))
}

fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Names an entry by what went into it.
pub struct Key(String);

pub struct KeyBuilder(Sha256);

impl KeyBuilder {
    pub fn new() -> KeyBuilder {
        KeyBuilder(Sha256::new())
    }

    /// Lengths are hashed too, so that `ab`+`c` and `a`+`bc` differ.
    pub fn add(mut self, part: &[u8]) -> KeyBuilder {
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
        self
    }

    /// Every file below `folder`: its name and its content.
    pub fn add_tree(mut self, folder: &Path) -> Result<KeyBuilder> {
        for path in files_below(folder)? {
            let relative = path.strip_prefix(folder).expect("it was found below it");
            let content = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            self = self.add(relative.as_os_str().as_encoded_bytes()).add(&content);
        }
        Ok(self)
    }

    pub fn finish(self) -> Key {
        let digest = self.0.finalize();
        Key(digest.iter().take(10).map(|b| format!("{b:02x}")).collect())
    }
}

impl Key {
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// All files below a folder, in an order that does not depend on the machine.
pub fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))?;
        for entry in entries {
            let path = entry.context("read a folder entry")?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cache of its own for each test, removed at the end.
    struct Scratch(Cache);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let root = std::env::temp_dir().join(format!("rig-{name}-{}", std::process::id()));
            fs::create_dir_all(&root).expect("make a folder for the test");
            Scratch(Cache { root })
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            remove_tree(&self.0.root).expect("remove the test's folder");
        }
    }

    fn some_key() -> Key {
        KeyBuilder::new().add(b"input").finish()
    }

    #[test]
    fn failed_build_leaves_no_entry() {
        let scratch = Scratch::new("failed");
        let failed = scratch.0.entry("disk", &some_key(), |folder| {
            fs::write(folder.join("half"), "").expect("write half of it");
            anyhow::bail!("no more")
        });
        assert!(failed.is_err());
        let built = scratch.0.entry("disk", &some_key(), |folder| {
            assert!(!folder.join("half").exists(), "half of it is still there");
            Ok(())
        });
        assert!(built.is_ok(), "{built:?}");
    }

    #[test]
    fn entry_is_built_once() {
        let scratch = Scratch::new("once");
        let first = scratch.0.entry("disk", &some_key(), |_| Ok(()));
        let second = scratch.0.entry("disk", &some_key(), |_| anyhow::bail!("built again"));
        assert_eq!(first.ok(), second.ok());
    }

    #[test]
    fn key_tells_where_one_part_ends_and_the_next_begins() {
        let one = KeyBuilder::new().add(b"ab").add(b"c").finish();
        let other = KeyBuilder::new().add(b"a").add(b"bc").finish();
        assert_ne!(one.as_bytes(), other.as_bytes());
    }
}
