//! What a running daemon costs, read from `/proc`: memory, the most of it, processor time. Of which
//! program, and what it does meanwhile, is not known here.

use std::time::Duration;

/// The kernel counts processor time in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

pub fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The number after a word at the beginning of a line.
pub fn number(text: &str, word: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(word)).expect("the kernel tells it");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("is a number")
}

/// Pages shared with others count for their share.
pub fn pss_kib(pid: u32) -> u64 {
    number(&read(&format!("/proc/{pid}/smaps_rollup")), "Pss:")
}

pub fn resident_kib(pid: u32) -> u64 {
    number(&read(&format!("/proc/{pid}/status")), "VmRSS:")
}

/// The most that was resident since the last [`forget_peak`].
pub fn peak_kib(pid: u32) -> u64 {
    number(&read(&format!("/proc/{pid}/status")), "VmHWM:")
}

pub fn forget_peak(pid: u32) {
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("is forgotten");
}

/// Processor time of all its threads, also of those that have ended.
pub fn processor(pid: u32) -> Duration {
    ticks(&format!("/proc/{pid}/stat"))
}

/// Processor time of those of its threads that do not have one of these names.
pub fn processor_without(pid: u32, names: &[&str]) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("is there");
    let folders = threads.map(|thread| thread.expect("is read").path().display().to_string());
    let others = folders.filter(|folder| !names.contains(&read(&format!("{folder}/comm")).trim()));
    others.map(|folder| ticks(&format!("{folder}/stat"))).sum()
}

fn ticks(file: &str) -> Duration {
    let stat = read(file);
    let fields: Vec<&str> = stat.rsplit(") ").next().expect("has a name").split(' ').collect();
    let ticks = |nth: usize| fields[nth].parse::<u32>().expect("is a number");
    TICK * (ticks(11) + ticks(12))
}

pub fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
