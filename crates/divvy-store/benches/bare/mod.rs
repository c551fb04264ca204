//! The barest things that make bytes durable, for benchmarks to stand beside: one SQLite transaction of
//! one row, and a write into a log that is there already. What the bytes are is not known here.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;

const LOG_BYTES: u64 = 16 << 20;

pub struct Bare {
    sqlite: Connection,
    log: File,
    log_at: u64,
}

impl Bare {
    pub fn new(folder: &Path) -> Self {
        let sqlite = Connection::open(folder.join("bare.db")).expect("opens");
        sqlite.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).expect("is set");
        sqlite.pragma_update(None, "synchronous", "FULL").expect("is set");
        sqlite.execute_batch("CREATE TABLE kept (id INTEGER PRIMARY KEY, value BLOB)").expect("is made");
        let log = OpenOptions::new().create_new(true).write(true).open(folder.join("log")).expect("opens");
        let zeroes = vec![0; 1 << 20];
        for megabyte in 0..LOG_BYTES >> 20 {
            log.write_all_at(&zeroes, megabyte << 20).expect("writes");
        }
        log.sync_all().expect("syncs");
        Self { sqlite, log, log_at: 0 }
    }

    pub fn sqlite_commit(&mut self, bytes: &[u8]) {
        let mut insert = self.sqlite.prepare_cached("INSERT INTO kept (value) VALUES (?1)").expect("is SQL");
        insert.execute([bytes]).expect("writes");
    }

    pub fn log_write(&mut self, bytes: &[u8]) {
        if self.log_at + bytes.len() as u64 > LOG_BYTES {
            self.log_at = 0;
        }
        self.log.write_all_at(bytes, self.log_at).expect("writes");
        self.log.sync_data().expect("syncs");
        self.log_at += bytes.len() as u64;
    }
}

pub fn time(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}
