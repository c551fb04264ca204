//! Reading a tree without harm, entry by entry, and writing what was read as lines. Files that act when they
//! are read, or are windows into the hardware, are not opened; everything else may fail, and then the
//! error is what is recorded. Which paths matter is not known here, nor what has to be hidden.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use serde_json::{Value, json};

use super::conceal::{self, Concealer};

const MOST_BYTES: u64 = 64 << 10;

/// One entry as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    Folder(Option<Errno>),
    Link(String),
    File { mode: u32, content: Content },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Bytes(Vec<u8>),
    Unreadable(Errno),
    /// Its mode says that nobody reads it.
    WriteOnly,
    LeftOut(&'static str),
}

/// What was recorded of one root.
pub struct Recorder {
    root: PathBuf,
    entries: BTreeMap<String, Entry>,
}

impl Recorder {
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf(), entries: BTreeMap::new() }
    }

    /// The names in a folder, sorted; none where there is no such folder.
    pub fn names(&self, path: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.root.join(path)) else { return Vec::new() };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.collect();
        names.sort_unstable();
        names
    }

    pub fn is_there(&self, path: &str) -> bool {
        self.root.join(path).symlink_metadata().is_ok()
    }

    /// Short text files, for choosing what to record.
    pub fn text(&self, path: &str) -> Option<String> {
        match self.read(path) {
            Content::Bytes(bytes) => Some(String::from_utf8(bytes).ok()?.trim().to_owned()),
            Content::Unreadable(_) | Content::WriteOnly | Content::LeftOut(_) => None,
        }
    }

    /// Where a link leads, as a path below the root; the path itself where it is no link.
    pub fn target(&self, path: &str) -> String {
        match fs::read_link(self.root.join(path)).ok().and_then(|to| to.into_os_string().into_string().ok()) {
            Some(to) => joined(path.rsplit_once('/').map_or("", |(folder, _)| folder), &to),
            None => path.to_owned(),
        }
    }

    /// Records one link, file or folder (without what is in it); nothing where there is nothing.
    pub fn entry(&mut self, path: &str) {
        let full = self.root.join(path);
        let Ok(found) = full.symlink_metadata() else { return };
        let entry = if found.is_symlink() {
            let Ok(to) = fs::read_link(&full) else { return };
            Entry::Link(to.to_string_lossy().into_owned())
        } else if found.is_dir() {
            Entry::Folder(fs::read_dir(&full).err().map(errno))
        } else if found.is_file() {
            Entry::File { mode: found.permissions().mode() & 0o7777, content: self.read(path) }
        } else {
            // Pipes, sockets and device files are no part of what a kernel tells.
            return;
        };
        self.entries.insert(path.to_owned(), entry);
    }

    /// Records a folder and everything in it: its folders too where `deeper` says so, by their paths.
    pub fn folder(&mut self, path: &str, deeper: &dyn Fn(&str) -> bool) {
        self.entry(path);
        for name in self.names(path) {
            let inner = format!("{path}/{name}");
            let is_folder = self.root.join(&inner).symlink_metadata().is_ok_and(|found| found.is_dir());
            if !is_folder {
                self.entry(&inner);
            } else if deeper(&inner) {
                self.folder(&inner, deeper);
            }
        }
    }

    /// Records a file with a text of our own in place of the one that is there.
    pub fn replaced(&mut self, path: &str, with: impl FnOnce(&str) -> String) {
        if let Some(text) = self.text(path) {
            let content = Content::Bytes(with(&text).into_bytes());
            self.entries.insert(path.to_owned(), Entry::File { mode: 0o444, content });
        }
    }

    pub fn host_name(&self) -> Option<String> {
        self.text("proc/sys/kernel/hostname")
    }

    fn read(&self, path: &str) -> Content {
        let name = path.rsplit('/').next().unwrap_or(path);
        if let Some(why) = conceal::left_out(name) {
            return Content::LeftOut(why);
        }
        let full = self.root.join(path);
        if full.metadata().is_ok_and(|found| found.permissions().mode() & 0o444 == 0) {
            return Content::WriteOnly;
        }
        let mut bytes = Vec::new();
        match File::open(full).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes)) {
            Ok(_) if bytes.len() as u64 > MOST_BYTES => Content::LeftOut("too large"),
            Ok(_) => Content::Bytes(bytes),
            Err(error) => Content::Unreadable(errno(error)),
        }
    }

    /// The fixture.
    pub fn into_text(self, about: &str, mut concealer: Concealer) -> String {
        for (path, entry) in &self.entries {
            if let (true, Entry::File { content: Content::Bytes(bytes), .. }) =
                (path.ends_with("/config"), entry)
            {
                concealer.learn_serial(bytes);
            }
        }
        let mut lines = BTreeMap::new();
        for (path, entry) in self.entries {
            let path = concealer.text(&path);
            let line = line(&entry.fields(&path, &mut concealer));
            lines.insert(path, line);
        }
        let head = line(&vec![("fixture", json!(1)), ("about", json!(about))]);
        let lines: Vec<String> = std::iter::once(head).chain(lines.into_values()).collect();
        lines.join("\n") + "\n"
    }
}

/// In the order in which they are written: the path first.
type Fields = Vec<(&'static str, Value)>;

impl Entry {
    fn fields(self, path: &str, concealer: &mut Concealer) -> Fields {
        let mut fields = Fields::new();
        put(&mut fields, "path", path);
        match self {
            Self::Folder(error) => {
                put(&mut fields, "is", "folder");
                if let Some(error) = error {
                    put(&mut fields, "errno", format!("{error:?}"));
                }
            }
            Self::Link(to) => {
                put(&mut fields, "is", "link");
                put(&mut fields, "to", concealer.text(&to));
            }
            Self::File { mode, content } => {
                put(&mut fields, "is", "file");
                put(&mut fields, "mode", format!("{mode:04o}"));
                match content {
                    Content::Bytes(bytes) => put_bytes(&mut fields, bytes, path, concealer),
                    Content::Unreadable(error) => put(&mut fields, "errno", format!("{error:?}")),
                    Content::WriteOnly => {}
                    Content::LeftOut(why) => put(&mut fields, "left_out", why),
                }
            }
        }
        fields
    }
}

fn put(fields: &mut Fields, key: &'static str, value: impl Into<Value>) {
    fields.push((key, value.into()));
}

fn line(fields: &Fields) -> String {
    let pairs: Vec<String> = fields.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
    format!("{{{}}}", pairs.join(","))
}

/// What is a text stands as a text; a configuration space never is one.
fn put_bytes(fields: &mut Fields, mut bytes: Vec<u8>, path: &str, concealer: &mut Concealer) {
    if path.ends_with("/config") {
        concealer.config(&mut bytes);
    } else if let Ok(text) = std::str::from_utf8(&bytes)
        && !text.contains('\0')
    {
        put(fields, "text", concealer.text(text));
        return;
    }
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let hex: String = bytes[..used].iter().map(|byte| format!("{byte:02x}")).collect();
    put(fields, "hex", hex);
    put(fields, "bytes", bytes.len());
}

fn errno(error: std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

/// The path of a link's target, by its text alone.
fn joined(folder: &str, to: &str) -> String {
    let mut parts: Vec<&str> = if to.starts_with('/') { Vec::new() } else { folder.split('/').collect() };
    for part in to.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}
