//! What people have GPUs for, at the size that they have it. What each command prints on the way stands in
//! the scripts of `scenarios`.

use std::collections::BTreeSet;
use std::thread;

use serde_json::{Value, json};

use crate::daemon::{Daemon, Place};

const DESKTOPS: usize = 64;

fn desktop(number: usize) -> String {
    format!("vm-{number:03}")
}

fn accepted(daemon: &Daemon<'_>, path: &str, body: &Value) {
    let answer = daemon.ask("POST", path, &body.to_string());
    assert_eq!(answer.status, 202, "{}", answer.text());
    daemon.wait_for_jobs();
}

/// A board of four A16, sixteen desktops on each: in the morning all of them are started at once.
#[test]
fn sixty_four_desktops_of_one_board_start_at_once_each_with_its_own_partition() {
    let place = Place::new("a16-pair");
    let daemon = place.start();
    accepted(&daemon, "/v1/partition-counts", &json!({ "gpus": "all", "count": 16 }));
    let desktops: Vec<String> = (1..=DESKTOPS).map(desktop).collect();
    accepted(&daemon, "/v1/assignments", &json!({ "vms": desktops }));
    let asked = &daemon;
    thread::scope(|scope| {
        for desktop in &desktops {
            scope.spawn(move || {
                let path = format!("/v1/sim/vms/{desktop}/power");
                let answer = asked.ask("POST", &path, r#"{"on": true}"#);
                assert_eq!(answer.status, 200, "{desktop}: {}", answer.text());
            });
        }
    });
    let partitions = daemon.get("/v1/partitions?state=in_use");
    let partitions = partitions.as_array().expect("a list");
    let owners: BTreeSet<&str> = partitions.iter().filter_map(|one| one["vm_name"].as_str()).collect();
    assert_eq!(owners, desktops.iter().map(String::as_str).collect());
    assert_eq!(partitions.len(), DESKTOPS);
    daemon.stop();
}
