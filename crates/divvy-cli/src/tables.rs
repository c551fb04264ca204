//! How each view looks to people: lists as columns, one thing as facts below one another. A dash stands
//! for what is not there. Nothing is computed here but what a reader would count on fingers.

use comfy_table::{Table, presets};
use divvy_api::timestamp::Timestamp;
use divvy_api::views::{
    AssignmentView, CountMemoryView, EventView, ExplainView, FaultView, FindingView, GpuView, JobTargetView,
    JobView, PartitionView, PlanView, PoolView, SubjectView, UsageView, VmView, WebhookTestView, WebhookView,
};
use divvy_api::words::{AssignmentKind, Progress, SubjectKind};

use crate::progress::target_name;

const ABSENT: &str = "-";

pub fn gpus(gpus: &[GpuView]) -> String {
    let header = ["ID", "SERVER", "MODEL", "MEMORY", "ADDRESS", "MODE", "COUNT", "FREE", "VALID COUNTS"];
    columns(
        header,
        gpus.iter().map(|gpu| {
            [
                gpu.id.clone(),
                gpu.server.clone(),
                format!("{} {}", gpu.vendor, gpu.model),
                size(gpu.memory_bytes),
                gpu.pci_address.clone(),
                gpu.mode.to_string(),
                known(gpu.partition_count) + &of_sizes(gpu.sizes.as_deref()),
                known(gpu.free_partitions),
                counts(&gpu.valid_partition_counts),
            ]
        }),
    )
}

pub fn gpu(gpu: &GpuView) -> String {
    facts([
        ("id", gpu.id.clone()),
        ("name", gpu.name.clone()),
        ("server", gpu.server.clone()),
        ("vendor", gpu.vendor.clone()),
        ("model", gpu.model.clone()),
        ("memory", size(gpu.memory_bytes)),
        ("serial", known(gpu.serial.as_ref())),
        ("address", gpu.pci_address.clone()),
        ("NUMA node", known(gpu.numa_node)),
        ("driver", known(gpu.driver.as_ref())),
        ("driver version", known(gpu.driver_version.as_ref())),
        ("ECC", known(gpu.ecc.map(yes))),
        ("mode", gpu.mode.to_string()),
        ("reason", known(gpu.reason.as_ref())),
        ("pool", known(gpu.pool.as_ref())),
        ("scheme", known(gpu.scheme.as_ref())),
        ("partition count", known(gpu.partition_count)),
        ("free partitions", known(gpu.free_partitions)),
        ("sizes", gpu.sizes.as_deref().map_or_else(|| ABSENT.to_owned(), counts)),
        ("valid counts", valid_counts(gpu)),
        ("most partitions", known(gpu.max_partitions)),
        ("memory each", size(gpu.memory_per_partition_bytes)),
        ("address space", size(gpu.mmio_bytes)),
        ("findings", gpu.findings.to_string()),
    ])
}

/// `1 of 16 GiB, 2 of 8 GiB`.
fn valid_counts(gpu: &GpuView) -> String {
    let one = |one: &CountMemoryView| match one.memory_per_partition_bytes {
        Some(bytes) => format!("{} of {}", one.partition_count, size(Some(bytes))),
        None => one.partition_count.to_string(),
    };
    match gpu.memory_by_count.as_slice() {
        [] => counts(&gpu.valid_partition_counts),
        told => told.iter().map(one).collect::<Vec<_>>().join(", "),
    }
}

pub fn partitions(partitions: &[PartitionView]) -> String {
    columns(
        ["ID", "GPU", "SERVER", "INDEX", "MEMORY", "STATE", "VM", "REASON"],
        partitions.iter().map(|partition| {
            [
                partition.id.clone(),
                partition.gpu.clone(),
                partition.server.clone(),
                partition.index.to_string(),
                size(partition.memory_bytes),
                partition.state.to_string(),
                known(partition.vm_name.as_ref().or(partition.vm.as_ref())),
                known(partition.reason.as_ref()),
            ]
        }),
    )
}

/// Each GPU, and below it the partitions in use.
pub fn usage(usage: &[UsageView]) -> String {
    let rows = usage.iter().flat_map(|gpu| {
        let whole = [
            gpu.gpu.clone(),
            gpu.server.clone(),
            percent(gpu.utilization_percent),
            percent(gpu.encoder_utilization_percent),
            percent(gpu.decoder_utilization_percent),
            size(gpu.memory_used_bytes),
            size(gpu.memory_bytes),
            known(gpu.ecc.map(yes)),
            known(gpu.scheduler),
            ABSENT.to_owned(),
            known(gpu.reason.as_ref()),
        ];
        let parts = gpu.partitions.iter().map(|one| {
            [
                one.partition.clone(),
                gpu.server.clone(),
                percent(one.utilization_percent),
                percent(one.encoder_utilization_percent),
                percent(one.decoder_utilization_percent),
                size(one.memory_used_bytes),
                size(one.memory_bytes),
                ABSENT.to_owned(),
                ABSENT.to_owned(),
                known(one.vm_name.as_ref().or(one.vm.as_ref())),
                ABSENT.to_owned(),
            ]
        });
        std::iter::once(whole).chain(parts)
    });
    let header =
        ["ID", "SERVER", "BUSY", "ENCODE", "DECODE", "USED", "MEMORY", "ECC", "SCHEDULER", "VM", "REASON"];
    columns(header, rows)
}

/// The same with the time of the look above it.
pub fn usage_now(looked: &[UsageView]) -> String {
    format!("{}\n{}", time(looked.iter().filter_map(|gpu| gpu.at_ms).max()), usage(looked))
}

fn percent(percent: Option<u8>) -> String {
    percent.map_or_else(|| ABSENT.to_owned(), |percent| format!("{percent} %"))
}

pub fn pools(pools: &[PoolView]) -> String {
    let rows = pools.iter().flat_map(|pool| {
        pool.gpus.iter().map(|gpu| {
            [
                pool.name.clone(),
                gpu.id.clone(),
                gpu.server.clone(),
                known(gpu.model.as_ref()),
                known(gpu.pci_address.as_ref()),
                yes(gpu.free),
                known(gpu.vm_name.as_ref().or(gpu.vm.as_ref())),
                promised(pool),
            ]
        })
    });
    columns(["POOL", "GPU", "SERVER", "MODEL", "ADDRESS", "FREE", "VM", "PROMISED"], rows)
}

/// How many VMs get at their start, of how many there are.
fn promised(pool: &PoolView) -> String {
    match pool.promised {
        0 => ABSENT.to_owned(),
        promised => format!("{promised} of {}", pool.gpus.len()),
    }
}

pub fn vms(vms: &[VmView]) -> String {
    columns(
        ["NAME", "SERVER", "POWER", "MANAGED", "ASSIGNED", "ID"],
        vms.iter().map(|vm| {
            [
                vm.name.clone(),
                vm.server.clone(),
                vm.power.to_string(),
                yes(vm.managed),
                assigned(vm),
                vm.id.clone(),
            ]
        }),
    )
}

pub fn faults(faults: &[FaultView]) -> String {
    columns(["FAULT"], faults.iter().map(|fault| [fault.fault.clone()]))
}

pub fn vm(vm: &VmView) -> String {
    facts([
        ("id", vm.id.clone()),
        ("name", vm.name.clone()),
        ("server", vm.server.clone()),
        ("power", vm.power.to_string()),
        ("managed", yes(vm.managed)),
        ("assigned", assigned(vm)),
        ("guest OS", known(vm.guest_os.as_ref())),
        ("findings", vm.findings.to_string()),
    ])
}

/// One paragraph each: the texts are too long for the columns of a table.
pub fn findings(findings: &[FindingView]) -> String {
    let paragraph = |finding: &FindingView| {
        let head = format!("{} {} ({})", finding.severity, finding.code, subject(&finding.subject));
        format!("{head}\n  {}{}", finding.text, mend(finding))
    };
    findings.iter().map(paragraph).collect::<Vec<_>>().join("\n\n")
}

fn mend(finding: &FindingView) -> String {
    finding.mend.lines().map(|line| format!("\n  mend: {line}")).collect()
}

pub fn explanation(explanation: &ExplainView) -> String {
    let mut paragraphs = vec![subject(&explanation.subject), explanation.sentences.join("\n")];
    for finding in &explanation.findings {
        paragraphs.push(format!("{} {}: {}{}", finding.severity, finding.code, finding.text, mend(finding)));
    }
    paragraphs.retain(|paragraph| !paragraph.is_empty());
    paragraphs.join("\n\n")
}

pub fn events(events: &[EventView]) -> String {
    columns(
        ["NUMBER", "TIME", "SERVER", "EVENT", "BY", "TEXT"],
        events.iter().map(|event| {
            [
                event.number.to_string(),
                time(Some(event.at_ms)),
                known(event.server.as_ref()),
                event.code.clone(),
                known(event.principal.as_ref()),
                event.text.clone(),
            ]
        }),
    )
}

/// One event as a line of its own, for a list without an end.
pub fn event_line(event: &EventView) -> String {
    let server = known(event.server.as_ref());
    let by = event.principal.as_ref().map_or(String::new(), |by| format!(" (by {by})"));
    format!("{} {} {server} {}: {}{by}", event.number, time(Some(event.at_ms)), event.code, event.text)
}

/// One paragraph each: addresses and errors are too long for the columns of a table.
pub fn webhooks(webhooks: &[WebhookView]) -> String {
    let paragraph = |webhook: &WebhookView| {
        let codes = match webhook.codes.as_slice() {
            [] => "all".to_owned(),
            codes => codes.join(", "),
        };
        let facts = facts([
            ("events", codes),
            ("state", webhook.state.to_string()),
            ("waiting", webhook.waiting.to_string()),
            ("given up", webhook.skipped.to_string()),
            ("last delivered", time(webhook.last_delivered_at_ms)),
            ("failing since", time(webhook.failing_since_ms)),
            ("last error", known(webhook.last_error.as_ref())),
        ]);
        format!("{}\n{}", webhook.url, indented(&facts))
    };
    webhooks.iter().map(paragraph).collect::<Vec<_>>().join("\n\n")
}

/// What each receiver said.
pub fn webhook_tests(tests: &[WebhookTestView]) -> String {
    let line = |test: &WebhookTestView| {
        let status = test.status.map_or(String::new(), |status| format!(" with status {status}"));
        match &test.error {
            None => format!("{} took it{status}, in {} ms", test.url, test.took_ms),
            Some(error) => format!("{} did not take it\n  {error}", test.url),
        }
    };
    tests.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

pub fn jobs(jobs: &[JobView]) -> String {
    columns(
        ["ID", "KIND", "PROGRESS", "TARGETS DONE", "BY", "STARTED", "ENDED"],
        jobs.iter().map(|job| {
            [
                job.id.to_string(),
                job.kind.to_string(),
                job.progress.to_string(),
                targets_done(job),
                job.principal.clone(),
                time(Some(job.created_ms)),
                time(job.finished_ms),
            ]
        }),
    )
}

pub fn job(job: &JobView) -> String {
    let mut text = facts([
        ("id", job.id.to_string()),
        ("kind", job.kind.to_string()),
        ("progress", job.progress.to_string()),
        ("targets done", targets_done(job)),
        ("by", job.principal.clone()),
        ("started", time(Some(job.created_ms))),
        ("ended", time(job.finished_ms)),
    ]);
    for target in &job.targets {
        text.push_str("\n\n");
        text.push_str(&job_target(target));
    }
    text
}

fn job_target(target: &JobTargetView) -> String {
    let wanted = match (target.partition_count, &target.partition) {
        (Some(0), _) => ", no partitions".to_owned(),
        (Some(count), _) => format!(", {count} partitions{}", of_sizes(target.sizes.as_deref())),
        (None, Some(partition)) => format!(", partition {partition}"),
        (None, None) if target.gpus.is_empty() => String::new(),
        (None, None) => format!(", whole {}", target.gpus.join(", ")),
    };
    let mut lines =
        vec![format!("server {}, {}{wanted}: {}", target.server, target_name(target), target.progress)];
    let steps = target.steps.iter();
    lines.extend(steps.map(|step| format!("  {} {}: {}", time(Some(step.at_ms)), step.text, step.outcome)));
    for remark in [&target.detail, &target.hint].into_iter().flatten() {
        lines.extend(remark.lines().map(|line| format!("  {line}")));
    }
    lines.join("\n")
}

/// ` (2,4,4)` behind a number of partitions that are not equal.
fn of_sizes(sizes: Option<&[u16]>) -> String {
    sizes.map(|sizes| format!(" ({})", counts(sizes))).unwrap_or_default()
}

pub fn plan(plan: &PlanView) -> String {
    columns(["SERVER", "STEP"], plan.steps.iter().map(|step| [step.server.clone(), step.text.clone()]))
}

/// Columns with a line of names above them; nothing at all for no rows.
fn columns<const N: usize>(header: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut table = plain_table();
    table.set_header(header);
    table.add_rows(rows);
    if table.is_empty() { String::new() } else { spaced(&mut table) }
}

fn facts<const N: usize>(facts: [(&str, String); N]) -> String {
    let mut table = plain_table();
    table.add_rows(facts.map(|(name, value)| [name.to_owned(), value]));
    spaced(&mut table)
}

fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

fn spaced(table: &mut Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

fn known<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| ABSENT.to_owned(), |value| value.to_string())
}

fn yes(flag: bool) -> String {
    (if flag { "yes" } else { "no" }).to_owned()
}

fn counts(counts: &[u16]) -> String {
    match counts {
        [] => ABSENT.to_owned(),
        counts => counts.iter().map(u16::to_string).collect::<Vec<_>>().join(","),
    }
}

fn time(at_ms: Option<u64>) -> String {
    known(at_ms.map(|at_ms| Timestamp { at_ms }))
}

fn assigned(vm: &VmView) -> String {
    match &vm.assignment {
        None => ABSENT.to_owned(),
        Some(assignment) => match (&assignment.partition, assignment.kind) {
            (Some(partition), _) => partition.clone(),
            (None, AssignmentKind::Dda) => whole(assignment),
            (None, _) => known(assignment.gpu.as_ref()),
        },
    }
}

fn whole(assignment: &AssignmentView) -> String {
    let gpus = || assignment.gpus.join(",");
    match (&assignment.pool, assignment.gpus.is_empty()) {
        (None, _) => format!("{} (whole)", gpus()),
        (Some(pool), true) => format!("{} of {pool} (at start)", assignment.count.unwrap_or(1)),
        (Some(pool), false) => format!("{} (whole, of {pool})", gpus()),
    }
}

fn subject(subject: &SubjectView) -> String {
    let kind = match subject.kind {
        SubjectKind::Cluster => "cluster",
        SubjectKind::Server => "server",
        SubjectKind::Gpu => "GPU",
        SubjectKind::Partition => "partition",
        SubjectKind::Vm => "VM",
        SubjectKind::Unknown => "unknown",
    };
    subject.id.as_ref().map_or(kind.to_owned(), |id| format!("{kind} {id}"))
}

fn targets_done(job: &JobView) -> String {
    let done = job.targets.iter().filter(|target| target.progress != Progress::Running).count();
    format!("{done}/{}", job.targets.len())
}

/// A size in the largest unit that keeps it above one, with one digit after the point unless it is even.
fn size(bytes: Option<u64>) -> String {
    const UNITS: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let Some(bytes) = bytes else { return ABSENT.to_owned() };
    match UNITS.into_iter().find(|(_, unit_bytes)| bytes >= *unit_bytes) {
        None => format!("{bytes} B"),
        Some((unit, unit_bytes)) if bytes % unit_bytes == 0 => format!("{} {unit}", bytes / unit_bytes),
        Some((unit, unit_bytes)) => format!("{:.1} {unit}", bytes as f64 / unit_bytes as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_prints_in_the_unit_that_people_use() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1 << 30, "1 GiB"),
            (16_106_127_360, "15 GiB"),
            (15_728_640_000, "14.6 GiB"),
            (1 << 44, "16 TiB"),
        ] {
            assert_eq!(size(Some(bytes)), text);
        }
        assert_eq!(size(None), "-");
    }

    #[test]
    fn a_list_without_rows_prints_nothing() {
        assert_eq!(gpus(&[]), "");
    }
}
