//! The seam between the journal and the tables: what is read over it, what a kill leaves on each side of
//! it, and what is wrong with a journal that is not whole.

use super::damage::{refused_and_left_alone, tamper};
use super::*;
use crate::Limits;
use crate::embedded::journal::ENTRIES;
use crate::error::RecordError;

/// A store that folds after every third transaction, so that all promises are kept across the seam.
fn with_folding(promise: impl Fn(Make)) {
    with_embedded(|make| {
        promise(&|limits| {
            let store = make(limits);
            with_session(&store, |session| session.journal_entries = 2);
            store
        });
    });
}

mod folding {
    use super::with_folding;

    crate::conformance::suite!(with_folding);
}

/// What a kill leaves: the folder as it is while the store is open.
fn killed(folder: &TempDir) -> TempDir {
    let copy = TempDir::new().expect("makes a folder");
    fs::create_dir(copy.path().join("state")).expect("is made");
    for file in ["divvy.db", "divvy.db-wal"] {
        let path = Path::new("state").join(file);
        fs::copy(folder.path().join(&path), copy.path().join(&path)).expect("copies");
    }
    copy
}

/// A store killed after the commit of [`filled`] went into the tables, with three more in its journal.
fn killed_with_a_journal() -> TempDir {
    let folder = filled();
    let store = open(&folder);
    for vm in 2..5 {
        let change = assign(vm, vm as u16, &store.snapshot().desired);
        let jobs = vec![job(u64::from(vm), Progress::Succeeded)];
        let kept = Commit { change, events: vec![event("assigned", 2)], jobs, ..Commit::default() };
        store.commit(vec![kept]).expect("writes")[0].as_ref().expect("no conflict");
    }
    killed(&folder)
}

fn count(folder: &TempDir, table: &str) -> u64 {
    let connection = Connection::open(database(folder)).expect("opens");
    let query = format!("SELECT count(*) FROM {table}");
    connection.query_row(&query, [], |row| row.get(0)).expect("reads")
}

fn fold(store: &Store) {
    let head = embedded(store).head();
    with_session(store, |session| session.fold_now(&head).expect("folds"));
}

/// All that a store says.
#[derive(Debug, PartialEq)]
struct Said {
    snapshot: Snapshot,
    jobs: Vec<Job>,
    events: Vec<NumberedEvent>,
}

fn said(store: &Store) -> Said {
    Said {
        snapshot: store.snapshot(),
        jobs: store.jobs(None, usize::MAX).expect("reads"),
        events: store.events(0, usize::MAX).expect("reads"),
    }
}

#[test]
fn a_commit_waits_in_the_journal_and_a_clean_stop_leaves_none() {
    let folder = filled();
    assert_eq!(count(&folder, "journal"), 0);
    let store = open(&folder);
    commit(&store, assign(2, 1, &store.snapshot().desired));
    assert_eq!(count(&folder, "journal"), 1);
    drop(store);
    assert_eq!(count(&folder, "journal"), 0);
}

#[test]
fn a_large_batch_takes_the_journal_with_it_into_the_tables() {
    let folder = filled();
    let store = open(&folder);
    store.append_events(vec![event("assigned", 2)]).expect("writes");
    store.append_events(vec![event("assigned", 3); 300]).expect("writes");
    assert_eq!((count(&folder, "journal"), count(&folder, "event")), (0, 302));
}

#[test]
fn a_journal_of_many_transactions_or_many_bytes_goes_into_the_tables() {
    for (events, transactions) in [(1, ENTRIES + 1), (40, 40)] {
        let folder = filled();
        let store = open(&folder);
        for _ in 0..transactions {
            store.append_events(vec![event("assigned", 2); events]).expect("writes");
        }
        let (waiting, kept) = (count(&folder, "journal"), count(&folder, "event"));
        assert!(waiting < transactions && kept > 1, "{waiting} in the journal, {kept} in the table");
    }
}

#[test]
fn who_reads_while_the_journal_is_folded_sees_each_commit_whole() {
    const COMMITS: u64 = 100;
    let folder = filled();
    let store = open(&folder);
    with_session(&store, |session| session.journal_entries = 2);
    let read_all = || loop {
        let known = store.watch().latest().event;
        let events = store.events(0, usize::MAX).expect("reads");
        assert!(events.iter().map(|event| event.number).eq(1..=events.len() as u64));
        assert!(events.len() as u64 >= known);
        let jobs = store.jobs(Some(JobId(1)), usize::MAX).expect("reads");
        assert!(jobs.windows(2).all(|jobs| jobs[0].created_ms == jobs[1].created_ms), "{jobs:?}");
        if known > COMMITS {
            break;
        }
    };
    let write_all = || {
        for version in 1..=COMMITS {
            let jobs = [2, 3].map(|id| Job { created_ms: version, ..job(id, Progress::Running) });
            let events = vec![event("assigned", 2)];
            let kept = Commit { jobs: jobs.to_vec(), events, ..Commit::default() };
            store.commit(vec![kept]).expect("writes")[0].as_ref().expect("no conflict");
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(read_all);
        scope.spawn(read_all);
        write_all();
    });
}

#[test]
fn a_reader_that_a_fold_overtakes_sees_the_tables_alone() {
    let folder = filled();
    let store = open(&folder);
    store.put_job(job(2, Progress::Running)).expect("writes");
    let (newer, folded) = embedded(&store).pending.read().jobs_after(None);
    store.put_job(job(2, Progress::Failed)).expect("writes");
    fold(&store);
    let jobs = embedded(&store).read(|connection| read::jobs(connection, None, 9, newer, folded));
    assert_eq!(jobs.expect("reads"), [job(1, Progress::Running), job(2, Progress::Failed)]);
}

#[test]
fn folding_changes_nothing_that_the_store_says() {
    let folder = killed_with_a_journal();
    let store = open(&folder);
    let before = said(&store);
    assert_eq!((before.snapshot.revision, before.jobs.len(), before.events.len()), (Revision(4), 4, 4));
    fold(&store);
    assert_eq!((count(&folder, "journal"), count(&folder, "event")), (0, 4));
    assert_eq!(said(&store), before);
}

#[test]
fn a_kill_between_a_commit_and_the_fold_loses_nothing() {
    let folder = filled();
    let store = open(&folder);
    commit(&store, assign(2, 1, &store.snapshot().desired));
    store.put_job(job(1, Progress::Failed)).expect("writes");
    store.append_events(vec![event("assigned", 2)]).expect("writes");
    let after = killed(&folder);
    assert_eq!(count(&after, "journal"), 3);
    assert_eq!(said(&open(&after)), said(&store));
}

#[test]
fn a_kill_at_any_page_of_a_fold_loses_nothing() {
    let folder = killed_with_a_journal();
    let store = open(&folder);
    let before = killed(&folder);
    fold(&store);
    let path = |folder: &TempDir| folder.path().join("state/divvy.db-wal");
    let (unfolded, folded) =
        (fs::read(path(&before)).expect("reads"), fs::read(path(&folder)).expect("reads"));
    let differ = |at: &usize| unfolded.get(*at) != folded.get(*at);
    let from = (0..folded.len()).find(differ).expect("a fold writes");
    let to = (0..folded.len()).rfind(differ).expect("a fold writes") + 1;
    let mut left = Vec::new();
    for end in (from..to).step_by(2048).chain([to]) {
        let after = killed(&before);
        let log = [&folded[..end], &unfolded[end.min(unfolded.len())..]].concat();
        fs::write(path(&after), log).expect("writes");
        left.push(count(&after, "journal"));
        assert_eq!(said(&open(&after)), said(&store), "cut at {end}");
    }
    assert_eq!((left.first(), left.last()), (Some(&3), Some(&0)), "{left:?}");
}

#[test]
fn job_ids_of_the_journal_are_not_given_out_again() {
    let folder = filled();
    let store = open(&folder);
    let mut last = JobId(0);
    for _ in 0..100 {
        last = store.new_job_id().expect("answers");
    }
    assert!(open(&killed(&folder)).new_job_id().expect("answers") > last);
}

#[test]
fn pages_are_read_over_the_seam() {
    let folder = killed_with_a_journal();
    let store = open(&folder);
    let events = |after, limit| {
        let events = store.events(after, limit).expect("reads");
        events.iter().map(|event| event.number).collect::<Vec<_>>()
    };
    assert_eq!([events(0, 1), events(0, 2), events(1, 2)], [vec![1], vec![1, 2], vec![2, 3]]);
    assert_eq!([events(3, 9), events(4, 9), events(0, 0)], [vec![4], vec![], vec![]]);
    let jobs = |after: Option<u64>, limit| {
        let jobs = store.jobs(after.map(JobId), limit).expect("reads");
        jobs.iter().map(|job| job.id.0).collect::<Vec<_>>()
    };
    assert_eq!([jobs(None, 1), jobs(None, 2), jobs(Some(1), 2)], [vec![1], vec![1, 2], vec![2, 3]]);
    assert_eq!([jobs(Some(3), 9), jobs(Some(4), 9), jobs(None, 0)], [vec![4], vec![], vec![]]);
}

#[test]
fn a_job_of_the_tables_shows_as_the_journal_has_it() {
    let folder = filled();
    let store = open(&folder);
    store.put_job(job(1, Progress::Failed)).expect("writes");
    assert_eq!(store.job(JobId(1)).expect("reads"), Some(job(1, Progress::Failed)));
    assert_eq!(store.jobs(None, 9).expect("reads"), [job(1, Progress::Failed)]);
}

#[test]
fn what_is_pruned_in_the_journal_alone_does_not_show_even_after_a_kill() {
    let limits = Limits { events: 2, finished_jobs: 1, ..Limits::default() };
    let folder = TempDir::new().expect("makes a folder");
    let open =
        |folder: &TempDir| Store::open_embedded_with(&folder.path().join("state"), limits).expect("opens");
    let put = |store: &Store, id| {
        store.put_job(job(id, Progress::Succeeded)).expect("writes");
        store.append_events(vec![event("assigned", id)]).expect("writes");
    };
    let store = open(&folder);
    put(&store, 1);
    put(&store, 2);
    drop(store);
    let store = open(&folder);
    put(&store, 3);
    put(&store, 4);
    let killed = killed(&folder);
    assert_eq!((count(&killed, "job"), count(&killed, "event")), (1, 2));
    for store in [store, open(&killed)] {
        let Said { jobs, events, .. } = said(&store);
        assert_eq!(jobs.iter().map(|job| job.id.0).collect::<Vec<_>>(), [4]);
        assert_eq!(events.iter().map(|event| event.number).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(store.job(JobId(2)).expect("reads"), None);
        fold(&store);
        assert_eq!(said(&store).jobs.len(), 1);
    }
    assert_eq!((count(&killed, "job"), count(&killed, "event")), (1, 2));
}

#[test]
fn a_changed_row_of_the_journal_is_refused_and_named() {
    for change in [
        "value = replace(value, 'gpu-0000.3', 'gpu-0000.2')",
        "value = replace(value, '\"revision\":3', '\"revision\":4')",
        "value = CAST(x'ff' AS TEXT)",
        "checksum = checksum + 1",
        "schema = 0",
    ] {
        let folder = killed_with_a_journal();
        let number: u64 = {
            let connection = Connection::open(database(&folder)).expect("opens");
            connection.query_row("SELECT max(number) - 1 FROM journal", [], |row| row.get(0)).expect("reads")
        };
        tamper(&folder, &format!("UPDATE journal SET {change} WHERE number = {number}"));
        let error = refused_and_left_alone(&folder);
        let OpenError::Damaged { source: Damage::Record(cause), .. } = &error else { panic!("{error:?}") };
        assert!(matches!(cause, RecordError::Checksum { .. }), "{change}: {cause}");
        assert!(cause.to_string().contains(&format!("\"journal/{number}\"")), "{change}: {cause}");
    }
}

#[test]
fn a_row_that_is_missing_from_the_journal_is_noticed() {
    for which in ["min(number)", "min(number) + 1"] {
        let folder = killed_with_a_journal();
        tamper(&folder, &format!("DELETE FROM journal WHERE number = (SELECT {which} FROM journal)"));
        let error = refused_and_left_alone(&folder);
        let damage = matches!(error, OpenError::Damaged { source: Damage::JournalBroken { .. }, .. });
        assert!(damage, "{which}: {error:?}");
    }
}

#[test]
fn a_row_of_the_journal_that_is_in_the_tables_already_is_refused() {
    let folder = killed_with_a_journal();
    let row = |row: &rusqlite::Row<'_>| {
        Ok((row.get::<_, u64>(0)?, row.get::<_, u64>(1)?, row.get::<_, String>(2)?, row.get::<_, u64>(3)?))
    };
    let connection = Connection::open(database(&folder)).expect("opens");
    let first = connection.query_row("SELECT * FROM journal ORDER BY number", [], row).expect("reads");
    drop(connection);
    drop(open(&folder));
    let connection = Connection::open(database(&folder)).expect("opens");
    connection.execute("INSERT INTO journal VALUES (?1, ?2, ?3, ?4)", first).expect("writes");
    drop(connection);
    let error = refused_and_left_alone(&folder);
    let damage = matches!(error, OpenError::Damaged { source: Damage::JournalBroken { .. }, .. });
    assert!(damage, "{error:?}");
}

/// Makes the database what format 1 was: no journal, no answers, and a head that knows of none.
fn make_format_1(folder: &TempDir) {
    let connection = Connection::open(database(folder)).expect("opens");
    let head: String = connection
        .query_row("SELECT value FROM record WHERE key = 'head'", [], |row| row.get(0))
        .expect("reads");
    let (rest, _) = head.split_once(",\"journal\":").expect("knows of the journal");
    let value = format!("{rest}}}");
    let sum = crc32c::crc32c(format!("head\0\x01\0\0\0\0\0\0\0{value}").as_bytes());
    let sql = format!(
        "DROP TABLE journal; DROP TABLE answer; PRAGMA user_version = 1;
         UPDATE record SET value = '{value}', checksum = {sum} WHERE key = 'head'"
    );
    connection.execute_batch(&sql).expect("is done");
}

#[test]
fn a_database_of_format_1_is_upgraded_and_says_the_same() {
    let folder = filled();
    let before = said(&open(&folder));
    make_format_1(&folder);
    let store = open(&folder);
    assert_eq!(said(&store), before);
    commit(&store, assign(2, 1, &store.snapshot().desired));
    assert_eq!(count(&folder, "journal"), 1);
    drop(store);
    assert_eq!(open(&folder).snapshot().revision, Revision(2));
}

#[test]
fn a_damaged_database_of_format_1_is_left_at_its_format() {
    let folder = filled();
    make_format_1(&folder);
    tamper(&folder, "DELETE FROM job");
    let error = refused_and_left_alone(&folder);
    assert!(matches!(error, OpenError::Damaged { source: Damage::Mixed, .. }), "{error:?}");
}
