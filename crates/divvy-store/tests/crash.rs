//! A process that commits is killed at any moment, again and again, on one and the same state folder.
//! What it acknowledged must be there, and nothing may be there in part.

mod model;

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use divvy_store::{Revision, Store};
use tempfile::TempDir;

use crate::model::{Dice, History};

/// Names the state folder to the process that is going to be killed.
const FOLDER: &str = "DIVVY_STORE_CRASH_FOLDER";
const ROUNDS: u64 = 40;

/// Commits a batch of one to three, with a stale one in between, and says what was acknowledged. Now and
/// then it is so large that it goes straight into the tables, with all that waits in the journal.
fn commit_batch(store: &Store, history: &mut History, out: &mut dyn Write) {
    for _ in 0..3 {
        let id = store.new_job_id().expect("answers");
        writeln!(out, "id {id}").expect("the parent reads");
    }
    let mut batch = vec![history.stale_commit()];
    let commits = if history.revision.is_multiple_of(7) { 60 } else { 1 + history.revision % 3 };
    for _ in 0..commits {
        batch.push(history.next_commit());
    }
    let outcomes = store.commit(batch).expect("writes");
    assert!(outcomes[0].is_err(), "a stale commit went through");
    assert_eq!(outcomes.last(), Some(&Ok(Revision(history.revision))));
    writeln!(out, "ack {}", history.revision).expect("the parent reads");
    out.flush().expect("the parent reads");
}

/// With a folder in the environment this is the process that is killed; it never returns.
#[test]
fn what_was_acknowledged_is_there_after_a_clean_stop() {
    if let Some(folder) = env::var_os(FOLDER) {
        let store = model::open(Path::new(&folder)).expect("opens after a kill");
        let mut history = History::of(store.snapshot().revision.0);
        let mut out = std::io::stdout();
        writeln!(out).expect("the parent reads");
        loop {
            commit_batch(&store, &mut history, &mut out);
        }
    }
    let folder = TempDir::new().expect("makes a folder");
    let mut history = History::default();
    for _ in 0..5 {
        let store = model::open(folder.path()).expect("opens");
        for _ in 0..5 {
            commit_batch(&store, &mut history, &mut Vec::new());
        }
    }
    let store = model::open(folder.path()).expect("opens");
    assert_eq!(history.difference(&store), None);
}

fn start(folder: &Path) -> Child {
    Command::new(env::current_exe().expect("has a path"))
        .args(["--exact", "what_was_acknowledged_is_there_after_a_clean_stop", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts")
}

/// What a killed process said before it died.
#[derive(Default)]
struct Said {
    acknowledged: u64,
    ids: Vec<u64>,
}

impl Said {
    fn hear(&mut self, line: &str) {
        match line.split_once(' ') {
            Some(("ack", number)) => self.acknowledged = number.parse().expect("is a number"),
            Some(("id", number)) => self.ids.push(number.parse().expect("is a number")),
            _ => {}
        }
    }
}

/// Lets it acknowledge a few batches and kills it a random moment later.
fn run_and_kill(folder: &Path, dice: &mut Dice) -> Said {
    let mut child = start(folder);
    let mut said = Said::default();
    let mut lines = BufReader::new(child.stdout.take().expect("is piped")).lines();
    let mut wanted = dice.below(12);
    while wanted > 0 {
        let line = lines.next().expect("runs until it is killed").expect("reads");
        wanted -= u64::from(line.starts_with("ack "));
        said.hear(&line);
    }
    // Not a wait for anything: the random moment itself.
    thread::sleep(Duration::from_micros(dice.below(3000)));
    child.kill().expect("can be killed");
    child.wait().expect("ends");
    // The last line may be cut off: a newline comes with everything that was said completely.
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    rest.iter().take(rest.len().saturating_sub(1)).for_each(|line| said.hear(line));
    said
}

#[test]
fn a_kill_at_any_moment_loses_nothing_acknowledged_and_leaves_nothing_half_done() {
    let folder = TempDir::new().expect("makes a folder");
    let mut dice = Dice(0x0D17_7E57);
    let mut last_id = 0;
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        let said = run_and_kill(folder.path(), &mut dice);
        for id in said.ids {
            assert!(id > last_id, "round {round}: job id {id} was given out after {last_id}");
            last_id = id;
        }
        acknowledged = said.acknowledged.max(acknowledged);
        let store = model::open(folder.path()).expect("opens after a kill");
        let found = store.snapshot().revision.0;
        assert!(found >= acknowledged, "round {round}: {acknowledged} acknowledged, {found} found");
        assert_eq!(History::of(found).difference(&store), None, "round {round}");
        acknowledged = found;
    }
    assert!(acknowledged > 0, "nothing was ever acknowledged");
}

/// Runs the committing process until a file would grow past so many blocks of 512 bytes: the kernel
/// refuses that, as a full disk does.
fn run_until_full(folder: &Path, blocks: u64) -> Output {
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
    let output = Command::new("sh")
        .args(["-c", &script, "sh"])
        .arg(env::current_exe().expect("has a path"))
        .args(["--exact", "what_was_acknowledged_is_there_after_a_clean_stop", "--nocapture"])
        .env(FOLDER, folder)
        .output()
        .expect("starts");
    assert!(!output.status.success(), "it never ran out of space");
    output
}

#[test]
fn a_full_disk_stops_the_commits_and_loses_nothing_acknowledged() {
    let folder = TempDir::new().expect("makes a folder");
    let output = run_until_full(folder.path(), 400);
    let mut said = Said::default();
    String::from_utf8_lossy(&output.stdout).lines().for_each(|line| said.hear(line));
    assert!(said.acknowledged > 0, "it had no space from the start");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("Write {"), "it ended for another reason: {error}");
    let store = model::open(folder.path()).expect("opens");
    let found = store.snapshot().revision.0;
    assert!(found >= said.acknowledged, "{} acknowledged, {found} found", said.acknowledged);
    assert_eq!(History::of(found).difference(&store), None);
}

#[test]
fn a_first_start_on_a_full_disk_leaves_nothing_in_the_way_of_the_next() {
    for blocks in [0, 1, 8, 9, 16, 24, 32, 40, 48, 64] {
        let folder = TempDir::new().expect("makes a folder");
        run_until_full(folder.path(), blocks);
        let store = model::open(folder.path()).expect("there is room now");
        assert_eq!(History::of(store.snapshot().revision.0).difference(&store), None);
    }
}
