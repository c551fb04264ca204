//! What GPUs and partitions use, asked of a whole daemon: what is told where a VM runs, where nothing can be
//! told, and where a GPU hangs.

use serde_json::Value;

use crate::daemon::{Daemon, Place, wait_until};

fn rows(daemon: &Daemon<'_>, path: &str) -> Vec<Value> {
    daemon.get(path).as_array().expect("a list").clone()
}

fn gpus(rows: &[Value]) -> Vec<String> {
    rows.iter().map(|row| row["gpu"].as_str().expect("a text").to_owned()).collect()
}

fn change(daemon: &Daemon<'_>, method: &str, path: &str, body: &str) {
    let answer = daemon.ask(method, path, body);
    assert!(matches!(answer.status, 200 | 202), "{path}: {}", answer.text());
    daemon.wait_for_jobs();
}

#[test]
fn a_running_vm_is_told_of_with_its_partition_and_nothing_before_it_runs() {
    let place = Place::new("a2-edge");
    let daemon = place.start();
    change(&daemon, "POST", "/v1/partition-counts", r#"{"gpus": "all", "count": 4}"#);
    change(&daemon, "POST", "/v1/vms/vm-001/assignment", "{}");
    let idle = rows(&daemon, "/v1/usage").remove(0);
    assert_eq!(
        (&idle["partitions"], &idle["utilization_percent"]),
        (&Value::Array(Vec::new()), &Value::from(0))
    );
    change(&daemon, "POST", "/v1/sim/vms/vm-001/power", r#"{"on": true}"#);
    let has_user = || !rows(&daemon, "/v1/usage")[0]["partitions"].as_array().expect("a list").is_empty();
    wait_until("the VM uses its partition", has_user);
    wait_until("what it uses is told", || {
        rows(&daemon, "/v1/usage")[0]["partitions"][0]["utilization_percent"].as_u64() > Some(0)
    });
    let row = rows(&daemon, "/v1/usage").remove(0);
    let used = &row["partitions"][0];
    assert_eq!(used["vm_name"], "vm-001");
    assert!(used["memory_used_bytes"].as_u64() <= used["memory_bytes"].as_u64(), "{row}");
    for what in ["encoder_utilization_percent", "decoder_utilization_percent", "encoder_capacity_percent"] {
        assert!(row[what].as_u64() <= Some(100) && row[what].is_u64(), "{what}: {row}");
        assert!(used[what].as_u64() <= Some(100) && used[what].is_u64(), "{what}: {row}");
    }
    assert_eq!((&row["reason"], &row["scheduler"]), (&Value::Null, &Value::from("best_effort")));
    daemon.stop();
}

#[test]
fn every_gpu_has_a_row_in_the_order_of_the_gpus_in_pages_too_and_says_why_nothing_is_told() {
    let place = Place::new("mixed-lab");
    let daemon = place.start();
    let whole = rows(&daemon, "/v1/usage");
    let listed = rows(&daemon, "/v1/gpus");
    let ids: Vec<String> = listed.iter().map(|gpu| gpu["id"].as_str().expect("a text").to_owned()).collect();
    assert_eq!(gpus(&whole), ids);
    assert_eq!(gpus(&rows(&daemon, "/v1/usage?limit=3")), ids[..3]);
    assert_eq!(gpus(&rows(&daemon, &format!("/v1/usage?gpu={}", ids[4]))), ids[4..5]);
    assert_eq!(rows(&daemon, "/v1/usage?server=nobody"), [Value::Null; 0]);
    for (row, gpu) in whole.iter().zip(&listed) {
        let is_told = gpu["driver"] == "nvidia";
        assert_eq!((row["reason"].is_null(), row["at_ms"].is_u64()), (is_told, is_told), "{row}");
    }
    daemon.stop();
}

#[test]
fn a_gpu_that_hangs_is_unknown_with_the_reason_and_others_are_told_meanwhile() {
    let place = Place::new("a16-pair");
    let daemon = place.start();
    let gpu = rows(&daemon, "/v1/gpus").remove(0);
    let (id, server) = (gpu["id"].as_str().expect("a text"), &gpu["server"]);
    change(&daemon, "POST", "/v1/sim/faults", &format!(r#"{{"fault": "gpu {id} hang-writes"}}"#));
    // An answer from before is told for a second.
    wait_until("the library hangs", || !rows(&daemon, "/v1/usage")[0]["reason"].is_null());
    for row in rows(&daemon, "/v1/usage") {
        assert_eq!(row["reason"].is_null(), row["server"] != *server, "{row}");
    }
    change(&daemon, "DELETE", "/v1/sim/faults", "");
    wait_until("the library goes on", || {
        rows(&daemon, "/v1/usage").iter().all(|row| row["reason"].is_null())
    });
    daemon.stop();
}
