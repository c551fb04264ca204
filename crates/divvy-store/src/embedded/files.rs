//! The state folder: who may use it, what lies in it, and the look at a database before SQLite is let
//! near it. The only file here that touches the file system by itself; it knows nothing of what the
//! database holds.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Damage, OpenError};

/// `Dvvy`, in the header of the database: it is ours.
pub(super) const APPLICATION_ID: i32 = 0x4476_7679;
/// Format of the database as a whole: its tables, and where the checksums are. Format 1 has no journal and
/// no answers; it is brought up to this one when it is opened.
pub(super) const FORMAT: i32 = 2;

const DATABASE: &str = "divvy.db";
const LOCK: &str = "divvy.lock";
/// The database of a first start that is not finished.
const UNFINISHED: &str = "divvy.db.new";
/// What SQLite puts beside a database.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

const HEADER_BYTES: usize = 100;
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// The folder, locked as long as this lives.
pub(super) struct StateFiles {
    folder: PathBuf,
    /// Held for its lock alone. The kernel lets go of it when the process ends, however it ends.
    lock: File,
}

impl StateFiles {
    /// Makes the folder if there is none and locks it.
    pub fn lock(folder: &Path) -> Result<Self, OpenError> {
        make_folder(folder).map_err(|source| OpenError::Folder { path: folder.to_owned(), source })?;
        let path = folder.join(LOCK);
        let failed = |source| OpenError::Lock { path: path.clone(), source };
        let open =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut lock = open.map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let process = lock.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Err(OpenError::InUse { path: folder.to_owned(), process });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        write_process_id(&mut lock);
        Ok(Self { folder: folder.to_owned(), lock })
    }

    pub fn database(&self) -> PathBuf {
        self.folder.join(DATABASE)
    }

    /// False: this is the first start. A database is never made where one seems to have been.
    pub fn database_exists(&self) -> Result<bool, OpenError> {
        let path = self.database();
        let exists = |path: &Path| {
            let found = path.try_exists();
            found.map_err(|source| OpenError::Unreadable { path: path.to_owned(), source })
        };
        if exists(&path)? {
            return Ok(true);
        }
        if exists(&with_suffix(&path, "-wal"))? {
            return Err(OpenError::Missing { path });
        }
        Ok(false)
    }

    /// An empty file to make the database in; what a killed first start left is removed.
    pub fn start_unfinished(&self) -> io::Result<PathBuf> {
        let path = self.folder.join(UNFINISHED);
        for leftover in COMPANIONS.map(|suffix| with_suffix(&path, suffix)).iter().chain([&path]) {
            match fs::remove_file(leftover) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(path)
    }

    /// Gives the finished database its name. From then on it is there, complete, or was never made.
    pub fn finish(&self, unfinished: &Path) -> io::Result<()> {
        File::open(unfinished)?.sync_all()?;
        fs::rename(unfinished, self.database())?;
        File::open(&self.folder)?.sync_all()
    }
}

impl Drop for StateFiles {
    /// Closing alone would leave the lock to a child of this process that has not called exec yet.
    fn drop(&mut self) {
        let _ = self.lock.unlock();
    }
}

/// Fills the log of an empty or folded database up with zeroes, which SQLite takes for no log, so that
/// commits overwrite blocks that are there: a commit that makes the file longer waits for the file
/// system's own journal too, about as long again as for its bytes. `PRAGMA journal_size_limit` keeps the
/// length.
pub(super) fn lengthen_log(database: &Path, bytes: u64) -> io::Result<()> {
    let path = with_suffix(database, "-wal");
    let mut log = OpenOptions::new().append(true).open(path)?;
    let length = log.metadata()?.len();
    let filled = io::copy(&mut io::repeat(0).take(bytes.saturating_sub(length)), &mut log);
    // What is left of a disk is not for zeroes.
    filled.and_then(|_| log.sync_all()).or_else(|_| log.set_len(length))
}

/// Judges the header before SQLite opens the file. SQLite takes an empty file for a new database,
/// and a damaged header for one without a log, which it would then throw away.
///
/// No handle of this process may be open on the database: closing this one drops their locks.
pub(super) fn inspect_header(path: &Path) -> Result<(), OpenError> {
    let mut header = [0; HEADER_BYTES];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut header));
    let damaged = || OpenError::Damaged { path: path.to_owned(), source: Damage::Header };
    match read {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(damaged()),
        Err(source) => return Err(OpenError::Unreadable { path: path.to_owned(), source }),
        Ok(()) => {}
    }
    if header[..16] != MAGIC[..] {
        return Err(damaged());
    }
    let number = |at: usize| i32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    if number(68) != APPLICATION_ID {
        return Err(OpenError::Foreign { path: path.to_owned() });
    }
    check_format(path, i64::from(number(60)))?;
    // Written and read with a write-ahead log.
    if header[18..20] != [2, 2] {
        return Err(damaged());
    }
    Ok(())
}

pub(super) fn check_format(path: &Path, found: i64) -> Result<(), OpenError> {
    let known = i64::from(FORMAT);
    if found > known {
        return Err(OpenError::Newer { path: path.to_owned(), found, known });
    }
    if found < 1 {
        return Err(OpenError::Damaged { path: path.to_owned(), source: Damage::Header });
    }
    Ok(())
}

fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // So that a power loss does not take the folder away with all that is in it.
    match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// For people, and for the message to the second daemon. A full disk may forbid it; the lock holds.
fn write_process_id(lock: &mut File) {
    let text = format!("{}\n", std::process::id());
    let _ = lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| lock.write_all(text.as_bytes()));
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
