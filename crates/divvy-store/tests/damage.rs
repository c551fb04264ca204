//! Disks that lie: logs cut off or scribbled over as a power loss leaves them, bits flipped anywhere.
//! The store answers with one state that once was, whole, or with an error; never with a mixture.

mod model;

use std::fs;
use std::path::Path;

use divvy_core::job::{Job, JobId, Progress};
use divvy_store::error::Damage;
use divvy_store::{Commit, OpenError, Store};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::model::{Dice, History};

/// So many that the journal went into the tables once and is half full again.
const COMMITS: u64 = 100;

/// The two files as a power loss at one moment would leave them, were they written in order.
#[derive(Clone)]
struct Image {
    database: Vec<u8>,
    log: Vec<u8>,
}

impl Image {
    /// After [`COMMITS`] commits, all of them in the log, and in the database too if it was folded in.
    fn take(folded_in: bool) -> Self {
        let folder = TempDir::new().expect("makes a folder");
        let store = model::open(folder.path()).expect("opens");
        let mut history = History::default();
        for _ in 0..COMMITS {
            let outcomes = store.commit(vec![history.next_commit()]).expect("writes");
            assert!(outcomes[0].is_ok());
        }
        if folded_in {
            fold_in(folder.path());
        }
        Self::read(folder.path())
    }

    fn read(state_dir: &Path) -> Self {
        let read = |name| fs::read(state_dir.join(name)).expect("reads");
        Self { database: read("divvy.db"), log: read("divvy.db-wal") }
    }

    fn store(&self, folder: &Path) -> Result<Store, OpenError> {
        let state_dir = folder.join("image");
        if state_dir.exists() {
            fs::remove_dir_all(&state_dir).expect("is removed");
        }
        fs::create_dir(&state_dir).expect("is made");
        fs::write(state_dir.join("divvy.db"), &self.database).expect("writes");
        fs::write(state_dir.join("divvy.db-wal"), &self.log).expect("writes");
        model::open(&state_dir)
    }

    /// The revision that a store finds in these files; the error if it refuses them. Panics if what it
    /// finds is not exactly one state of the history.
    fn open(&self, folder: &Path) -> Result<u64, OpenError> {
        let store = self.store(folder)?;
        let found = store.snapshot().revision.0;
        assert!(found <= COMMITS, "revision {found} never was");
        assert_eq!(History::of(found).difference(&store), None, "revision {found} is not what it was");
        Ok(found)
    }
}

/// Copies the log into the database and leaves the log as it is.
fn fold_in(state_dir: &Path) {
    let other = Connection::open(state_dir.join("divvy.db")).expect("opens");
    other.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).expect("folds");
}

#[test]
fn a_log_cut_off_anywhere_leaves_an_older_state_whole() {
    let folder = TempDir::new().expect("makes a folder");
    let image = Image::take(false);
    let mut newest = 0;
    for part in 0..=50 {
        let mut cut = image.clone();
        cut.log.truncate(image.log.len() * part / 50);
        let found = cut.open(folder.path()).expect("a cut log is no damage");
        assert!(found >= newest, "a longer log gave revision {found} after {newest}");
        newest = found;
    }
    assert_eq!(newest, COMMITS);
}

#[test]
fn a_log_that_ends_in_zeroes_or_noise_leaves_an_older_state_whole() {
    let folder = TempDir::new().expect("makes a folder");
    let image = Image::take(false);
    let mut dice = Dice(0x5EED);
    for round in 0..30 {
        let mut torn = image.clone();
        let from = dice.below(image.log.len() as u64) as usize;
        let noise = |_| if round % 2 == 0 { 0 } else { dice.below(256) as u8 };
        let tail: Vec<u8> = (from..image.log.len()).map(noise).collect();
        torn.log.truncate(from);
        torn.log.extend(tail);
        torn.open(folder.path()).expect("a torn log is no damage");
    }
}

/// Two jobs on different pages, put one after the other, many times each, with so many events that they
/// go straight into the tables.
fn put_two_jobs(store: &Store, times: u64) {
    for id in [1, 200] {
        for version in 1..=times {
            let events = vec![model::event(version); 200];
            let kept = Commit { jobs: vec![job(id, version)], events, ..Commit::default() };
            store.commit(vec![kept]).expect("writes")[0].as_ref().expect("no conflict");
        }
    }
}

fn job(id: u64, version: u64) -> Job {
    Job { created_ms: version, principal: "somebody".repeat(50), ..model::job(id, Progress::Running) }
}

#[test]
fn a_log_that_is_damaged_after_it_was_folded_in_makes_no_mixture() {
    let folder = TempDir::new().expect("makes a folder");
    let state_dir = folder.path().join("first");
    let store = model::open(&state_dir).expect("opens");
    (1..=200).for_each(|id| store.put_job(job(id, 0)).expect("writes"));
    drop(store);
    let store = model::open(&state_dir).expect("opens");
    put_two_jobs(&store, 10);
    fold_in(&state_dir);
    let image = Image::read(&state_dir);
    let mut refused = 0;
    for part in 1..50 {
        let mut cut = image.clone();
        cut.log.truncate(image.log.len() * part / 50);
        match cut.store(folder.path()) {
            Ok(store) => {
                let version = |id| store.job(JobId(id)).expect("reads").map(|job| job.created_ms);
                let (first, second) = (version(1), version(200));
                assert!(second == Some(0) || first == Some(10), "{first:?} together with {second:?}");
            }
            Err(OpenError::Damaged { source: Damage::Mixed, .. }) => refused += 1,
            // Other tables were caught too.
            Err(OpenError::Damaged {
                source: Damage::Structure(_) | Damage::EventsMissing { .. }, ..
            }) => {}
            Err(other) => panic!("refused, but not as a mixture: {other:?}"),
        }
    }
    assert!(refused > 0, "no cut ever made a mixture: this test has no teeth");
}

#[test]
fn a_flipped_bit_anywhere_gives_one_whole_state_or_an_error() {
    let folder = TempDir::new().expect("makes a folder");
    let images = [Image::take(true), Image::take(false)];
    let mut dice = Dice(0xB17F);
    let mut refused = 0;
    for round in 0..160 {
        let mut image = images[round % 2].clone();
        let file = if round % 4 < 2 { &mut image.database } else { &mut image.log };
        let bit = dice.below(file.len() as u64 * 8) as usize;
        file[bit / 8] ^= 1 << (bit % 8);
        refused += u64::from(image.open(folder.path()).is_err());
    }
    assert!(refused > 0, "no flipped bit was ever found: this test has no teeth");
}

#[test]
fn a_database_cut_off_anywhere_is_refused_as_damaged() {
    let folder = TempDir::new().expect("makes a folder");
    let image = Image { log: Vec::new(), ..Image::take(true) };
    let full = image.database.len();
    assert_eq!(image.open(folder.path()).expect("is whole"), COMMITS);
    for length in [0, 1, 50, 99, 100, 512, 4095, 4096, 4097, full / 2, full - 4096] {
        let mut cut = image.clone();
        cut.database.truncate(length);
        let error = cut.open(folder.path()).expect_err("is cut off");
        assert!(matches!(error, OpenError::Damaged { .. }), "{length} bytes: {error:?}");
    }
}
