//! Folders that hold something else than a sound database of this version: refused, named, left alone.

use super::*;
use crate::error::RecordError;

/// Changes the database behind the store's back.
pub(super) fn tamper(folder: &TempDir, sql: &str) {
    let connection = Connection::open(database(folder)).expect("opens");
    assert!(connection.execute(sql, []).expect("is done") > 0, "{sql} changed nothing");
}

/// What the folder holds, but for the lock file, which names the process that looked last.
fn contents(folder: &TempDir) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder.path().join("state")).expect("reads");
    let paths = entries.map(|entry| entry.expect("reads").path());
    let mut contents: Vec<_> = paths
        .filter(|path| !path.ends_with("divvy.lock"))
        .map(|path| (path.clone(), fs::read(path).expect("reads")))
        .collect();
    contents.sort();
    contents
}

pub(super) fn refused_and_left_alone(folder: &TempDir) -> OpenError {
    let before = contents(folder);
    let error = refusal(folder);
    let text = error.to_string();
    assert!(text.contains(&database(folder).display().to_string()), "{text}");
    // Opening for a look may leave an empty log and the index of it beside the database.
    let mut after = contents(folder);
    after.retain(|(path, bytes)| before.iter().any(|(known, _)| known == path) || !is_empty_log(path, bytes));
    assert_eq!(after.len(), before.len());
    assert!(after == before, "something was changed");
    error
}

fn is_empty_log(path: &Path, bytes: &[u8]) -> bool {
    path.ends_with("divvy.db-shm") || (path.ends_with("divvy.db-wal") && bytes.is_empty())
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    for garbage in [&b""[..], b"SQLite format 3\0", &[0; 8192], "no database\n".repeat(900).as_bytes()] {
        let folder = filled();
        fs::write(database(&folder), garbage).expect("writes");
        let error = refused_and_left_alone(&folder);
        assert!(matches!(error, OpenError::Damaged { source: Damage::Header, .. }), "{error:?}");
    }
}

#[test]
fn a_database_of_another_program_is_refused() {
    let folder = filled();
    fs::remove_file(database(&folder)).expect("is removed");
    let foreign = Connection::open(database(&folder)).expect("opens");
    foreign.execute_batch("CREATE TABLE theirs (x)").expect("is made");
    drop(foreign);
    let error = refused_and_left_alone(&folder);
    assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
}

#[test]
fn a_log_without_its_database_is_refused() {
    let folder = filled();
    fs::rename(database(&folder), folder.path().join("state/divvy.db-wal")).expect("moves");
    let error = refused_and_left_alone(&folder);
    assert!(matches!(error, OpenError::Missing { .. }), "{error:?}");
}

#[test]
fn a_database_of_a_newer_divvy_is_refused() {
    let folder = filled();
    let connection = Connection::open(database(&folder)).expect("opens");
    connection.pragma_update(None, "user_version", files::FORMAT + 1).expect("is set");
    drop(connection);
    let error = refused_and_left_alone(&folder);
    assert!(matches!(error, OpenError::Newer { found: 3, known: 2, .. }), "{error:?}");
}

#[test]
fn a_record_of_a_newer_divvy_is_refused() {
    let folder = filled();
    let value = "{\"much\": \"newer\"}";
    let name = "generation/server-0.example";
    let sum = crc32c::crc32c(format!("{name}\0\x02\0\0\0\0\0\0\0{value}").as_bytes());
    tamper(
        &folder,
        &format!("UPDATE record SET schema = 2, value = '{value}', checksum = {sum} WHERE key = '{name}'"),
    );
    let error = refused_and_left_alone(&folder);
    let OpenError::Record { source: RecordError::Newer { record, found: 2 }, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(record, name);
}

#[test]
fn a_changed_record_is_refused_and_named() {
    let name = "assignment/server-0.example/00000000-0000-4000-8000-000000000001";
    let changes = [
        ("head", "UPDATE record SET value = replace(value, '1', '2') WHERE key = 'head'"),
        (name, "UPDATE record SET value = replace(value, 'gpu-0000.0', 'gpu-0000.1') WHERE key LIKE 'a%'"),
        (name, "UPDATE record SET checksum = checksum + 1 WHERE key LIKE 'a%'"),
        (name, "UPDATE record SET checksum = checksum - 4294967296 WHERE key LIKE 'a%'"),
        (name, "UPDATE record SET value = CAST(x'ff' AS TEXT) WHERE key LIKE 'a%'"),
        ("job/1", "UPDATE job SET value = replace(value, 'running', 'failed')"),
        ("job/2", "UPDATE job SET id = 2"),
        ("job/1", "UPDATE job SET finished = 1"),
        ("pool/a", "INSERT INTO record VALUES ('pool/a', 1, '0', 0)"),
    ];
    for (record, sql) in changes {
        let folder = filled();
        tamper(&folder, sql);
        let error = refused_and_left_alone(&folder);
        let OpenError::Damaged { source: Damage::Record(cause), .. } = &error else { panic!("{error:?}") };
        assert!(cause.to_string().contains(&format!("{record:?}")), "{sql}: {cause}");
    }
}

#[test]
fn a_missing_record_is_noticed() {
    for sql in ["DELETE FROM record WHERE key LIKE 'a%'", "DELETE FROM job"] {
        let folder = filled();
        tamper(&folder, sql);
        let error = refused_and_left_alone(&folder);
        assert!(matches!(error, OpenError::Damaged { source: Damage::Mixed, .. }), "{sql}: {error:?}");
    }
    let folder = filled();
    tamper(&folder, "DELETE FROM record WHERE key = 'head'");
    let error = refused_and_left_alone(&folder);
    assert!(matches!(error, OpenError::Damaged { source: Damage::Missing("head"), .. }), "{error:?}");
}

#[test]
fn a_missing_event_is_noticed() {
    for number in [2, 5] {
        let folder = filled();
        open(&folder).append_events(vec![event("assigned", 1); 4]).expect("writes");
        tamper(&folder, &format!("DELETE FROM event WHERE number = {number}"));
        let error = refused_and_left_alone(&folder);
        let damage = matches!(error, OpenError::Damaged { source: Damage::EventsMissing { .. }, .. });
        assert!(damage, "event {number}: {error:?}");
    }
}

#[test]
fn a_changed_event_is_named_when_it_is_read_and_stops_nothing_else() {
    let folder = filled();
    tamper(&folder, "UPDATE event SET value = replace(value, 'assigned', 'assigned!')");
    let store = open(&folder);
    let error = store.events(0, 10).expect_err("was changed");
    let StoreError::Record(cause) = error else { panic!("{error:?}") };
    assert!(cause.to_string().contains("\"event/1\""), "{cause}");
    store.append_events(vec![event("assigned", 1)]).expect("writes");
    assert_eq!(store.events(1, 10).expect("reads").len(), 1);
}

#[test]
fn a_missing_table_is_noticed() {
    let folder = filled();
    let connection = Connection::open(database(&folder)).expect("opens");
    connection.execute_batch("DROP TABLE event").expect("is done");
    drop(connection);
    let error = refused_and_left_alone(&folder);
    assert!(matches!(error, OpenError::Damaged { source: Damage::Tables, .. }), "{error:?}");
}
