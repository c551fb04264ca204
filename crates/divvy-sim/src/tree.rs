//! Folders, files and links of a simulated server: names and shapes only. What a file says and what
//! a write to it does is not known here; a file carries an [`Attr`] that others understand.
//!
//! ```text
//! sys/bus/pci/devices/0000:41:00.0 ─▶ ../../../devices/pci0000:40/0000:40:01.0/0000:41:00.0
//! ```

use std::collections::BTreeMap;

use divvy_core::pci_address::PciAddress;

use crate::errno::{ELOOP, ENOENT, ENOTDIR, Errno};

/// Symbolic links that one path may lead through.
const MAX_LINKS: u32 = 40;
/// Deeper ones are found as well.
const USUAL_DEPTH: usize = 16;

/// Files of one PCI function whose text can change, or whose write does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FunctionAttr {
    Config,
    NumaNode,
    Uevent,
    DriverOverride,
    Reset,
    ResetMethod,
    NumVfs,
    TotalVfs,
    Autoprobe,
    VfMsixCount,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DriverAttr {
    Bind,
    Unbind,
    NewId,
    RemoveId,
}

/// What stands behind a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attr {
    /// A text that never changes.
    Text(String),
    /// The same in `/proc`: root may open it for writing, and the write fails.
    ProcText(String),
    Function(PciAddress, FunctionAttr),
    Driver(String, DriverAttr),
    DriversProbe,
    UnsafeInterrupts,
    /// A file of the driver that splits this GPU, or whose VF it is, by its path below the function.
    Vendor(PciAddress, String),
    /// A character device: it is there, and plain reads and writes of it make no sense.
    CharDevice,
}

#[derive(Debug, Clone)]
pub(crate) struct File {
    pub mode: u16,
    pub attr: Attr,
}

#[derive(Debug, Clone)]
pub(crate) enum Entry {
    Folder(BTreeMap<String, Entry>),
    File(File),
    Link(String),
}

/// All of it. Paths have no leading slash; the parts `.`, `..` and the empty one are understood.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    root: Entry,
}

impl Tree {
    pub fn new() -> Self {
        Self { root: Entry::Folder(BTreeMap::new()) }
    }

    /// What stands at a path. `follow` says what to do with a link in the last place.
    pub fn resolve(&self, path: &str, follow: bool) -> Result<&Entry, Errno> {
        let above = Vec::with_capacity(USUAL_DEPTH);
        let mut walk = Walk { root: &self.root, above, here: &self.root, links: 0 };
        walk.along(path, follow)?;
        Ok(walk.here)
    }

    pub fn exists(&self, path: &str) -> bool {
        self.resolve(path, false).is_ok()
    }

    /// The names in a folder; none where there is no folder.
    pub fn names(&self, path: &str) -> Vec<String> {
        match self.resolve(path, true) {
            Ok(Entry::Folder(names)) => names.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// Puts an entry at a real path (no links in it), with the folders above it.
    pub fn insert(&mut self, path: &str, entry: Entry) {
        let mut here = &mut self.root;
        for part in parts(path) {
            if !matches!(here, Entry::Folder(_)) {
                *here = Entry::Folder(BTreeMap::new());
            }
            let Entry::Folder(names) = here else { return };
            here = names.entry(part.to_owned()).or_insert_with(|| Entry::Folder(BTreeMap::new()));
        }
        *here = entry;
    }

    pub fn folder(&mut self, path: &str) {
        if !self.exists(path) {
            self.insert(path, Entry::Folder(BTreeMap::new()));
        }
    }

    pub fn file(&mut self, path: &str, mode: u16, attr: Attr) {
        self.insert(path, Entry::File(File { mode, attr }));
    }

    pub fn text(&mut self, path: &str, text: impl Into<String>) {
        self.file(path, 0o444, Attr::Text(text.into()));
    }

    /// Makes a link that is stored the way sysfs stores one: relative, over the nearest common folder.
    pub fn link(&mut self, path: &str, target: &str) {
        self.insert(path, Entry::Link(relative(path, target)));
    }

    /// Takes away what stands at a real path, and all below it.
    pub fn remove(&mut self, path: &str) {
        let Some((folder, name)) = path.rsplit_once('/') else { return };
        let mut here = &mut self.root;
        for part in parts(folder) {
            let Entry::Folder(names) = here else { return };
            let Some(next) = names.get_mut(part) else { return };
            here = next;
        }
        if let Entry::Folder(names) = here {
            names.remove(name);
        }
    }
}

/// A way through the tree: where it has come to, and through which folders.
struct Walk<'a> {
    root: &'a Entry,
    above: Vec<&'a Entry>,
    here: &'a Entry,
    links: u32,
}

impl Walk<'_> {
    fn along(&mut self, path: &str, follow: bool) -> Result<(), Errno> {
        let mut rest = parts(path).peekable();
        while let Some(part) = rest.next() {
            let Entry::Folder(names) = self.here else { return Err(ENOTDIR) };
            if part == ".." {
                self.here = self.above.pop().unwrap_or(self.root);
                continue;
            }
            match names.get(part).ok_or(ENOENT)? {
                Entry::Link(target) if follow || rest.peek().is_some() => {
                    self.links += 1;
                    if self.links > MAX_LINKS {
                        return Err(ELOOP);
                    }
                    self.along(target, true)?;
                }
                next => {
                    self.above.push(self.here);
                    self.here = next;
                }
            }
        }
        Ok(())
    }
}

fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".")
}

fn relative(link: &str, target: &str) -> String {
    let folder: Vec<&str> = parts(link.rsplit_once('/').map_or("", |(folder, _)| folder)).collect();
    let target: Vec<&str> = parts(target).collect();
    let common = folder.iter().zip(&target).take_while(|(a, b)| a == b).count();
    let mut way = vec![".."; folder.len() - common];
    way.extend(&target[common..]);
    way.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::new();
        tree.text("sys/devices/pci0000:40/0000:41:00.0/vendor", "0x10de\n");
        tree.link("sys/bus/pci/devices/0000:41:00.0", "sys/devices/pci0000:40/0000:41:00.0");
        tree
    }

    #[test]
    fn a_path_leads_through_links_and_up() {
        let tree = tree();
        let path = "sys/bus/pci/devices/0000:41:00.0/../0000:41:00.0/vendor";
        assert!(matches!(tree.resolve(path, true), Ok(Entry::File(_))));
    }

    #[test]
    fn a_link_is_stored_relative_to_its_folder() {
        let tree = tree();
        let Ok(Entry::Link(target)) = tree.resolve("sys/bus/pci/devices/0000:41:00.0", false) else {
            panic!("no link");
        };
        assert_eq!(target, "../../../devices/pci0000:40/0000:41:00.0");
    }

    #[test]
    fn a_circle_of_links_is_eloop() {
        let mut tree = Tree::new();
        tree.insert("a", Entry::Link("b".into()));
        tree.insert("b", Entry::Link("a".into()));
        assert_eq!(tree.resolve("a", true).map(|_| ()), Err(ELOOP));
        assert!(tree.exists("a"));
    }

    #[test]
    fn a_path_through_a_file_is_enotdir_and_a_missing_one_enoent() {
        let tree = tree();
        let file = "sys/devices/pci0000:40/0000:41:00.0/vendor/x";
        assert_eq!(tree.resolve(file, true).map(|_| ()), Err(ENOTDIR));
        assert_eq!(tree.resolve("sys/nothing", true).map(|_| ()), Err(ENOENT));
    }
}
