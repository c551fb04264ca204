//! Scripts with what they print. A script is a text: notes (`#`), the room, changes to the room before it
//! opens, then commands with everything that they answer, as people see it.
//!
//! ```text
//! # What this promises.
//! room a2-edge
//! vm vm-003 guest_os null        a setting of a VM's definition, as JSON
//!
//! $ divvy assign vm-001
//! NAME …                         standard output
//! ! error: …                     standard error
//! [1]                            the exit code, when it is not 0
//!
//! $ until no findings: divvy check        asked again until the answer holds these words
//! ```
//!
//! Times and the name of who runs the tests are masked. `DIVVY_WRITE_GOLDEN=1` writes the files anew.

use std::path::Path;

use serde_json::Value;

use crate::daemon::{Place, vm_in_room, wait_until};

pub const WRITE: &str = "DIVVY_WRITE_GOLDEN";

/// Runs the script and compares.
pub fn play(name: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(format!("{name}.txt"));
    let wanted = std::fs::read_to_string(&file).expect("the script is there");
    let found = run(&wanted);
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&file, found).expect("writes");
        return;
    }
    assert!(found == wanted, "{name} went otherwise ({WRITE}=1 takes it):\n{}", difference(&wanted, &found));
}

/// The script again, with what was really answered.
fn run(script: &str) -> String {
    let place = Place::new(room(script));
    let mut told = String::new();
    let mut lines = script.lines().peekable();
    let head = std::iter::from_fn(|| lines.next_if(|line| !line.starts_with("$ ")));
    let mut changes = Vec::new();
    for line in head {
        told.push_str(&format!("{line}\n"));
        changes.extend(line.strip_prefix("vm "));
    }
    if !changes.is_empty() {
        place.edit_room(|room| changes.iter().for_each(|change| set(room, change)));
    }
    let daemon = place.start();
    let commands: Vec<&str> = lines.filter(|line| line.starts_with("$ ") || line.starts_with("# ")).collect();
    for (nth, line) in commands.iter().enumerate() {
        if nth > 0 && !commands[nth - 1].starts_with("# ") {
            told.push('\n');
        }
        told.push_str(&format!("{line}\n"));
        if let Some(command) = line.strip_prefix("$ ") {
            told.push_str(&answer(&place, command));
        }
    }
    daemon.stop();
    told
}

fn room(script: &str) -> &'static str {
    let named = script.lines().find_map(|line| line.strip_prefix("room ")).expect("a script names a room");
    let rooms = divvy_sim::room::NAMES;
    rooms.into_iter().find(|room| *room == named).expect("a room that there is")
}

/// `vm-003 guest_os null`
fn set(room: &mut Value, change: &str) {
    let mut words = change.splitn(3, ' ');
    let mut word = || words.next().expect("a VM, a setting, a value");
    let (vm, setting, value) = (word(), word(), word());
    let settings = &mut vm_in_room(room, vm)["definition"]["settings"];
    assert!(settings.get(setting).is_some(), "VMs have no setting {setting}");
    settings[setting] = serde_json::from_str(value).expect("JSON");
}

fn answer(place: &Place, command: &str) -> String {
    let Some((text, command)) = command.strip_prefix("until ").and_then(|rest| rest.split_once(": ")) else {
        return answer_once(place, command);
    };
    let mut told = String::new();
    wait_until(text, || {
        told = answer_once(place, command);
        told.contains(text)
    });
    told
}

fn answer_once(place: &Place, command: &str) -> String {
    let words: Vec<&str> = command.split(' ').collect();
    assert_eq!(words[0], "divvy", "only divvy can be run");
    let output = place.divvy(&words[1..]);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let mut told = masked(&text(&output.stdout), place);
    for line in masked(&text(&output.stderr), place).lines() {
        told.push_str(format!("! {line}").trim_end());
        told.push('\n');
    }
    match output.status.code() {
        Some(0) => {}
        code => told.push_str(&format!("[{}]\n", code.map_or("killed".to_owned(), |code| code.to_string()))),
    }
    told
}

/// Without what differs from run to run: times, who runs the tests, where the socket is. A table that had
/// one of them loses its alignment, which leaned on their length.
fn masked(text: &str, place: &Place) -> String {
    let socket = place.socket().display().to_string();
    let who = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
    let who = who.map_or_else(|| format!("uid {}", nix::unistd::geteuid()), |user| user.name);
    let mut changed = false;
    let lines: Vec<String> = text
        .lines()
        .map(|line| {
            let without = without_times(&line.replace(&socket, "SOCKET"));
            let cells: Vec<&str> =
                without.split("  ").map(|cell| if cell.trim() == who { "WHO" } else { cell }).collect();
            let line_masked = cells.join("  ");
            changed |= line_masked != line;
            line_masked
        })
        .collect();
    let closer = |line: &String| {
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join("  ")
    };
    lines.iter().map(|line| if changed { closer(line) } else { line.clone() } + "\n").collect()
}

/// `2026-03-01 12:00:00Z` is `TIME`.
fn without_times(line: &str) -> String {
    const SHAPE: &[u8] = b"0000-00-00 00:00:00Z";
    let alike = |bytes: &[u8]| {
        bytes.iter().zip(SHAPE).all(|(byte, shape)| match shape {
            b'0' => byte.is_ascii_digit(),
            other => byte == other,
        })
    };
    let mut rest = line.as_bytes();
    let mut without = Vec::new();
    while let Some(first) = rest.first() {
        if rest.len() >= SHAPE.len() && alike(&rest[..SHAPE.len()]) {
            without.extend_from_slice(b"TIME");
            rest = &rest[SHAPE.len()..];
        } else {
            without.push(*first);
            rest = &rest[1..];
        }
    }
    String::from_utf8(without).expect("only whole characters were taken out")
}

/// The first line that differs, with those before it.
fn difference(wanted: &str, found: &str) -> String {
    let pairs = || wanted.lines().zip(found.lines());
    let same = pairs().take_while(|(wanted, found)| wanted == found).count();
    let shown =
        |text: &str| text.lines().skip(same.saturating_sub(4)).take(12).collect::<Vec<_>>().join("\n");
    format!("wanted:\n{}\n\nfound:\n{}", shown(wanted), shown(found))
}

#[test]
fn a_time_is_masked_and_nothing_else() {
    assert_eq!(without_times("1  2026-11-22 10:59:08Z  é 2026"), "1  TIME  é 2026");
}
