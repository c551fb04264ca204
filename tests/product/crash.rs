//! A daemon that is killed in the middle of whatever it does, again and again, on one and the same state
//! directory. Every start after it has to come to the old state or to the new one: no partition without
//! its place, none with two owners, and everything that was acknowledged.
//!
//! The moments of the kills are spread evenly over the time that the kernel takes for a change, because
//! that is where a daemon waits, and drawn at random over the little time that everything else takes.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use divvy_sim::rng::Rng;
use serde_json::{Value, json};

use crate::daemon::{Daemon, Place, connect};
use crate::web;

const ROOM: &str = "a2-edge";
const GPU: &str = "0000:41:00.0";

/// What was asked for: the count of the GPU, and which VMs have a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    count: u64,
    owners: BTreeSet<String>,
}

/// One change: where to ask for it, and what is wanted when it was taken.
struct Change {
    method: &'static str,
    path: String,
    body: Value,
    after: Wanted,
}

/// Asks for the change, and kills the daemon after `delay` whether it has answered or not. True: it was
/// acknowledged before.
fn ask_and_kill(place: &Place, daemon: Daemon<'_>, change: &Change, delay: Duration) -> bool {
    let mut stream = connect(&place.socket());
    let (method, path, body) = (change.method, change.path.clone(), change.body.to_string());
    let asking = thread::spawn(move || web::ask_json(&mut stream, method, &path, &body));
    // Not a wait for anything: the moment of the kill itself.
    thread::sleep(delay);
    daemon.kill();
    match asking.join().expect("does not panic") {
        Ok(answer) => {
            assert_eq!(answer.status, 202, "{}", answer.text());
            true
        }
        Err(_) => false,
    }
}

/// What the daemon and its room have become, which has to be sound in itself.
fn settled(daemon: &Daemon<'_>) -> Wanted {
    daemon.wait_for_jobs();
    for job in daemon.get("/v1/jobs").as_array().expect("a list") {
        assert_eq!(job["progress"], "succeeded", "{job}");
    }
    assert_eq!(daemon.get("/v1/check"), json!([]), "findings after a kill");
    let gpu = daemon.get("/v1/gpus")[0].clone();
    let count = gpu["partition_count"].as_u64().unwrap_or_else(|| panic!("no count is known of {gpu}"));
    let mut by_partition: BTreeMap<String, Value> = BTreeMap::new();
    for partition in daemon.get("/v1/partitions").as_array().expect("a list") {
        by_partition.insert(partition["id"].as_str().expect("a text").to_owned(), partition.clone());
    }
    assert_eq!(by_partition.len() as u64, count, "{by_partition:?}");
    let mut owners = BTreeSet::new();
    for vm in daemon.get("/v1/vms").as_array().expect("a list") {
        let Some(id) = vm["assignment"]["partition"].as_str() else { continue };
        let partition = by_partition.remove(id).unwrap_or_else(|| panic!("{id} is lost or has two owners"));
        assert_eq!((&partition["vm"], &partition["state"]), (&vm["id"], &json!("assigned")), "{partition}");
        owners.insert(vm["name"].as_str().expect("a text").to_owned());
    }
    for (id, partition) in by_partition {
        assert_eq!(partition["state"], "free", "{id} belongs to nobody: {partition}");
    }
    Wanted { count, owners }
}

/// How many kills came before the answer, and how many after it.
#[derive(Debug, Default)]
struct Kills {
    before: u64,
    after: u64,
}

/// One kill, and what is there after the next start.
fn round(
    place: &Place,
    change: &Change,
    before: &Wanted,
    delay: Duration,
    again: Option<Duration>,
    kills: &mut Kills,
) -> Wanted {
    let acknowledged = ask_and_kill(place, place.start(), change, delay);
    if let Some(moment) = again {
        // In the middle of what the start after the kill does.
        let daemon = place.start();
        thread::sleep(moment);
        daemon.kill();
    }
    *if acknowledged { &mut kills.after } else { &mut kills.before } += 1;
    let daemon = place.start();
    let found = settled(&daemon);
    daemon.stop();
    let allowed = if acknowledged { vec![&change.after] } else { vec![before, &change.after] };
    assert!(
        allowed.contains(&&found),
        "{} {} acknowledged: {acknowledged}, after {delay:?} there is {found:?}, before {before:?}",
        change.method,
        change.path
    );
    found
}

fn count_change(before: &Wanted, count: u64) -> Change {
    Change {
        method: "PUT",
        path: format!("/v1/gpus/{GPU}/partition-count"),
        body: json!({ "count": count }),
        after: Wanted { count, ..before.clone() },
    }
}

fn assign(before: &Wanted, vms: &[String]) -> Change {
    let mut after = before.clone();
    after.owners.extend(vms.iter().cloned());
    Change { method: "POST", path: "/v1/assignments".to_owned(), body: json!({ "vms": vms }), after }
}

fn unassign(before: &Wanted, vms: &[String]) -> Change {
    let mut after = before.clone();
    after.owners.retain(|vm| !vms.contains(vm));
    Change { method: "POST", path: "/v1/unassignments".to_owned(), body: json!({ "vms": vms }), after }
}

#[test]
fn a_kill_while_counts_change_leaves_the_old_count_or_the_new_one() {
    const KILLS: u64 = 16;
    let place = Place::new(ROOM);
    let mut state = Wanted { count: 0, owners: BTreeSet::new() };
    let mut kills = Kills::default();
    for kill in 0..KILLS {
        let counts = [4, 8, 2, 16];
        let change = count_change(&state, counts[(kill % 4) as usize]);
        if change.after == state {
            continue;
        }
        // The kernel takes 1.1 s from one count to another.
        let delay = Duration::from_millis(1_200 * kill / KILLS);
        let again = kill.is_multiple_of(4).then(|| Duration::from_millis(90 * kill));
        state = round(&place, &change, &state, delay, again, &mut kills);
    }
}

#[test]
fn a_kill_while_vms_get_and_give_back_partitions_loses_and_doubles_none() {
    const KILLS: u64 = 44;
    let place = Place::new(ROOM);
    let mut dice = Rng::new(0x0D17_7E57);
    let mut state = Wanted { count: 0, owners: BTreeSet::new() };
    let mut kills = Kills::default();
    state =
        round(&place, &count_change(&state, 8), &state, Duration::from_secs(1), None, &mut Kills::default());
    for kill in 0..KILLS {
        let vms: Vec<String> =
            (0..=kill % 4).map(|nth| format!("vm-{:03}", 1 + (kill / 4 + nth) % 8)).collect();
        let (have, have_not): (Vec<String>, Vec<String>) =
            vms.into_iter().partition(|vm| state.owners.contains(vm));
        let change = if have_not.is_empty() { unassign(&state, &have) } else { assign(&state, &have_not) };
        // What is given back is reset, which takes 100 ms.
        let span_us = if have_not.is_empty() { 180_000 } else { 25_000 };
        let delay = Duration::from_micros(dice.below(span_us));
        let again = dice.below(4) == 0;
        let again = again.then(|| Duration::from_micros(dice.below(120_000)));
        state = round(&place, &change, &state, delay, again, &mut kills);
    }
    assert!(kills.before > 0 && kills.after > 0, "the kills missed: {kills:?}");
}

#[test]
fn a_kill_while_running_vms_change_loses_and_doubles_no_partition() {
    const KILLS: u64 = 10;
    let place = Place::new(ROOM);
    let mut dice = Rng::new(0x5EED);
    let daemon = place.start();
    daemon.ask("PUT", &format!("/v1/gpus/{GPU}/partition-count"), r#"{"count": 4}"#);
    daemon.wait_for_jobs();
    for vm in ["vm-001", "vm-002"] {
        let answer = daemon.ask("POST", &format!("/v1/sim/vms/{vm}/power"), r#"{"on": true}"#);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    daemon.stop();
    let vms = ["vm-001".to_owned(), "vm-002".to_owned()];
    for _ in 0..KILLS {
        let daemon = place.start();
        let has = !daemon.get("/v1/vms/vm-001")["assignment"].is_null();
        let nobody = Wanted { count: 4, owners: BTreeSet::new() };
        let change = if has { unassign(&nobody, &vms) } else { assign(&nobody, &vms) };
        let acknowledged = ask_and_kill(&place, daemon, &change, Duration::from_micros(dice.below(150_000)));
        let daemon = place.start();
        daemon.wait_for_jobs();
        let findings = daemon.get("/v1/check");
        assert_eq!(findings, json!([]));
        let partitions = daemon.get("/v1/partitions");
        let used =
            partitions.as_array().expect("a list").iter().filter(|one| one["state"] == "in_use").count();
        let free = partitions.as_array().expect("a list").iter().filter(|one| one["state"] == "free").count();
        let wanted = if has != acknowledged { 2 } else { 0 };
        assert_eq!(used + free, 4, "{partitions}");
        assert!(used == wanted || !acknowledged && (used == 0 || used == 2), "{acknowledged} {partitions}");
        daemon.stop();
    }
}
