use std::cell::Cell;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use divvy_core::job::Progress;
use rusqlite::ErrorCode;
use tempfile::TempDir;

use super::*;
use crate::conformance::{Make, Model, answer, assign, commit, event, job, name, on_random_histories, suite};
use crate::error::Damage;
use crate::{Latest, Revision, Store};

mod damage;
mod journal;

fn with_embedded(promise: impl Fn(Make)) {
    let folder = TempDir::new().expect("makes a folder");
    let made = Cell::new(0);
    promise(&|limits| {
        made.set(made.get() + 1);
        let state_dir = folder.path().join(made.get().to_string());
        Store::open_embedded_with(&state_dir, limits).expect("opens an empty store")
    });
}

suite!(with_embedded);

fn open(folder: &TempDir) -> Store {
    Store::open_embedded(&folder.path().join("state")).expect("opens")
}

fn refusal(folder: &TempDir) -> OpenError {
    match Store::open_embedded(&folder.path().join("state")) {
        Ok(_) => panic!("it opened"),
        Err(error) => error,
    }
}

fn database(folder: &TempDir) -> PathBuf {
    folder.path().join("state/divvy.db")
}

/// A folder with a store that holds one commit, one event and one job.
fn filled() -> TempDir {
    let folder = TempDir::new().expect("makes a folder");
    let store = open(&folder);
    let change = assign(1, 0, &store.snapshot().desired);
    let kept = Commit {
        change,
        events: vec![event("assigned", 1)],
        jobs: vec![job(1, Progress::Running)],
        answers: vec![answer("a-key", 1)],
    };
    assert_eq!(store.commit(vec![kept]).expect("writes"), [Ok(Revision(1))]);
    drop(store);
    folder
}

fn embedded(store: &Store) -> &Embedded {
    match store {
        Store::Embedded(embedded) => embedded,
        Store::Memory(_) => panic!("not an embedded store"),
    }
}

fn with_session(store: &Store, tamper: impl FnOnce(&mut Session)) {
    tamper(lock(&embedded(store).writer).as_mut().expect("is running"));
}

#[test]
fn a_store_that_is_opened_again_holds_what_the_model_says() {
    on_random_histories(|batches| {
        let folder = TempDir::new().expect("makes a folder");
        let mut model = Model::default();
        for batch in batches {
            let store = open(&folder);
            model.commit(&store, batch);
            drop(store);
            model.assert_equals(&open(&folder));
        }
    });
}

#[test]
fn the_first_start_makes_everything_for_its_user_alone() {
    let folder = filled();
    let mode = |path: &str| {
        let metadata = fs::metadata(folder.path().join(path)).expect("is there");
        metadata.permissions().mode() & 0o7777
    };
    let store = open(&folder);
    commit(&store, assign(1, 0, &store.snapshot().desired));
    assert_eq!(mode("state"), 0o700);
    for file in ["divvy.db", "divvy.db-wal", "divvy.db-shm", "divvy.lock"] {
        assert_eq!(mode(&format!("state/{file}")), 0o600, "{file}");
    }
}

#[test]
fn a_second_daemon_is_refused_and_told_who_holds_the_folder() {
    let folder = filled();
    let store = open(&folder);
    let error = refusal(&folder);
    let OpenError::InUse { process, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*process, Some(std::process::id()));
    let text = error.to_string();
    assert!(text.contains(&folder.path().display().to_string()) && text.contains("--state-dir"), "{text}");
    drop(store);
    open(&folder);
}

#[test]
fn a_first_start_that_was_killed_is_done_again() {
    let folder = TempDir::new().expect("makes a folder");
    let state_dir = folder.path().join("state");
    fs::create_dir(&state_dir).expect("is made");
    for leftover in ["divvy.db.new", "divvy.db.new-wal", "divvy.db.new-journal"] {
        fs::write(state_dir.join(leftover), "half of it").expect("writes");
    }
    assert_eq!(open(&folder).snapshot().revision, Revision(0));
    assert!(!state_dir.join("divvy.db.new-wal").exists());
}

#[test]
fn a_clean_stop_leaves_no_log_and_no_gap_in_the_job_ids() {
    let folder = filled();
    let first = open(&folder).new_job_id().expect("answers");
    assert!(!folder.path().join("state/divvy.db-wal").exists());
    assert_eq!(open(&folder).new_job_id().expect("answers"), JobId(first.0 + 1));
}

#[test]
fn every_transaction_is_synced_by_sqlite_itself() {
    let folder = filled();
    with_session(&open(&folder), |session| {
        let setting = |name| session.connection.pragma_query_value(None, name, |row| row.get(0));
        assert_eq!(setting("synchronous"), Ok(2));
        let journal = session.connection.pragma_query_value(None, "journal_mode", |row| row.get(0));
        assert_eq!(journal, Ok("wal".to_owned()));
    });
}

#[test]
fn a_connection_that_would_not_sync_is_refused() {
    let folder = filled();
    let path = database(&folder);
    let connection = Connection::open(&path).expect("opens");
    connection.pragma_update(None, "synchronous", "NORMAL").expect("is set");
    let error = session::require_durability(&connection, &path).expect_err("does not sync");
    assert!(matches!(error, OpenError::NotDurable { setting: "synchronous", .. }), "{error:?}");
    connection.pragma_update(None, "synchronous", "FULL").expect("is set");
    connection.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).expect("is set");
    let error = session::require_durability(&connection, &path).expect_err("has no log");
    assert!(matches!(error, OpenError::NotDurable { setting: "journal_mode", .. }), "{error:?}");
}

#[test]
fn a_connection_that_cannot_write_is_refused() {
    let folder = filled();
    let path = database(&folder);
    let connection =
        Connection::open_with_flags(&path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).expect("opens");
    let error = session::require_durability(&connection, &path).expect_err("cannot write");
    assert!(matches!(error, OpenError::ReadOnly { .. }), "{error:?}");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = TempDir::new().expect("makes a folder");
    fs::write(folder.path().join("state"), "a file").expect("writes");
    for state_dir in [folder.path().join("state/below"), PathBuf::from("/sys/divvy-state")] {
        let error = Store::open_embedded(&state_dir).err().expect("cannot be made");
        assert!(matches!(error, OpenError::Folder { .. }), "{error:?}");
        assert!(error.to_string().contains(&state_dir.display().to_string()), "{error}");
    }
}

#[test]
fn a_full_database_refuses_the_batch_whole_and_goes_on_from_the_disk() {
    let folder = filled();
    let store = open(&folder);
    let before = store.snapshot();
    with_session(&store, |session| {
        // As large as it is now, and no page more.
        session.connection.pragma_update(None, "max_page_count", 1).expect("is set");
    });
    let large = Commit {
        change: assign(2, 1, &before.desired),
        events: vec![event("assigned", 1); 200],
        jobs: vec![job(2, Progress::Running)],
        ..Commit::default()
    };
    let error = store.commit(vec![large.clone()]).expect_err("has no room");
    let StoreError::Write { path, source } = &error else { panic!("{error:?}") };
    assert_eq!(source.sqlite_error_code(), Some(ErrorCode::DiskFull));
    assert_eq!(*path, database(&folder));
    assert_eq!(store.snapshot(), before);
    assert_eq!(store.events(0, 500).expect("reads").len(), 1);
    // The limit was one of the session that is gone.
    assert_eq!(store.commit(vec![large]).expect("writes"), [Ok(Revision(2))]);
}

#[test]
fn a_commit_that_failed_but_was_kept_shows_afterwards() {
    let folder = filled();
    let store = open(&folder);
    with_session(&store, |session| session.fail_after_commit = true);
    let change = assign(2, 1, &store.snapshot().desired);
    let kept = Commit { change: change.clone(), events: vec![event("assigned", 2)], ..Commit::default() };
    assert!(matches!(store.commit(vec![kept]), Err(StoreError::Write { .. })));
    assert_eq!(store.snapshot().revision, Revision(2));
    assert_eq!(store.watch().latest(), Latest { revision: Revision(2), event: 2 });
    // Who tries the same again is told that it relied on something that is not so any more.
    let again = store.commit(vec![Commit { change, ..Commit::default() }]).expect("writes again");
    assert!(again[0].is_err());
}

#[test]
fn a_failed_write_folds_the_log_in_before_anything_else_is_acknowledged() {
    let folder = filled();
    let store = open(&folder);
    commit(&store, assign(2, 1, &store.snapshot().desired));
    let log = folder.path().join("state/divvy.db-wal");
    let is_empty = || fs::read(&log).expect("is there").iter().all(|byte| *byte == 0);
    assert!(!is_empty());
    with_session(&store, |session| session.fail_after_commit = true);
    store.append_events(vec![event("assigned", 2)]).expect_err("fails");
    assert!(is_empty());
}

#[test]
fn a_store_that_cannot_be_opened_again_answers_from_memory_and_says_why_it_stopped() {
    let folder = filled();
    let store = open(&folder);
    let before = store.snapshot();
    let away = folder.path().join("away.db");
    fs::rename(database(&folder), &away).expect("moves");
    with_session(&store, |session| session.fail_after_commit = true);
    store.append_events(vec![event("assigned", 2)]).expect_err("fails");
    for _ in 0..2 {
        let error = store.put_job(job(3, Progress::Running)).expect_err("is stopped");
        let StoreError::Stopped { source, .. } = &error else { panic!("{error:?}") };
        assert!(matches!(**source, OpenError::Unreadable { .. }), "{error:?}");
        assert!(matches!(store.new_job_id(), Err(StoreError::Stopped { .. })));
    }
    assert_eq!(store.snapshot(), before);
    fs::rename(&away, database(&folder)).expect("moves back");
    store.put_job(job(3, Progress::Running)).expect("goes on");
}

#[test]
fn job_ids_that_were_given_out_are_not_given_again_after_a_failed_write() {
    let folder = filled();
    let store = open(&folder);
    let given = store.new_job_id().expect("answers");
    with_session(&store, |session| session.fail_after_commit = true);
    store.append_events(vec![event("assigned", 2)]).expect_err("fails");
    assert!(store.new_job_id().expect("answers") > given);
}

#[test]
fn an_answer_is_there_after_a_start() {
    let folder = filled();
    assert_eq!(open(&folder).answer(&name("a-key")).expect("reads"), Some(answer("a-key", 1)));
}
