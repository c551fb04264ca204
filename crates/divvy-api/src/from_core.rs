//! The views that hold one thing of the rules as it is, word for word: findings, events, jobs. Views that
//! join what was asked for with what was observed are made by the server, not here.

use divvy_core::finding::{Finding, Severity as CoreSeverity, Subject};
use divvy_core::gpu::Mode as CoreMode;
use divvy_core::gpu::PartitionCount;
use divvy_core::job::{Job, JobKind as CoreJobKind, JobTarget, Progress as CoreProgress, StepRecord, Wanted};
use divvy_core::vm::Power as CorePower;

use divvy_core::event::NumberedEvent;

use crate::fingerprint::Fingerprint;
use crate::views::{EventView, FindingView, JobStepView, JobTargetView, JobView, SubjectView};
use crate::words::{JobKind, Mode, Power, Progress, Severity, StepOutcome, SubjectKind};

/// One variant of the rules, one word of the wire, by the same name.
macro_rules! same_words {
    ($core:ident => $word:ident { $($variant:ident)* }) => {
        impl From<$core> for $word {
            fn from(core: $core) -> Self {
                match core {
                    $($core::$variant => Self::$variant,)*
                }
            }
        }
    };
}

same_words!(CoreMode => Mode { Partitioned Partitionable Dda Host NotAssignable Unknown });
same_words!(CorePower => Power { Off Running Paused Unknown });
same_words!(CoreSeverity => Severity { Info Warning NeedsAccept Error });
same_words!(CoreJobKind => JobKind { SetPartitionCount Assign Unassign AssignDda UnassignDda FillClaim Cure });
same_words!(CoreProgress => Progress { Running Succeeded Failed });

impl From<&Subject> for SubjectView {
    fn from(subject: &Subject) -> Self {
        let (kind, id) = match subject {
            Subject::Cluster => (SubjectKind::Cluster, None),
            Subject::Server(id) => (SubjectKind::Server, Some(id.to_string())),
            Subject::Gpu(id) => (SubjectKind::Gpu, Some(id.to_string())),
            Subject::Partition(id) => (SubjectKind::Partition, Some(id.to_string())),
            Subject::Vm(id) => (SubjectKind::Vm, Some(id.to_string())),
        };
        Self { kind, id }
    }
}

impl From<&Finding> for FindingView {
    fn from(finding: &Finding) -> Self {
        let subject: SubjectView = (&finding.subject).into();
        let about = subject.id.as_deref().unwrap_or("-");
        let text = Fingerprint::of(finding.text.as_bytes());
        Self {
            id: format!("{}/{}/{about}/{}", finding.code, subject.kind, &text[..16]),
            code: finding.code.to_string(),
            severity: finding.severity.into(),
            subject,
            text: finding.text.clone(),
            mend: finding.mend.clone(),
        }
    }
}

impl From<&NumberedEvent> for EventView {
    fn from(numbered: &NumberedEvent) -> Self {
        let event = &numbered.event;
        Self {
            number: numbered.number,
            at_ms: event.at_ms,
            code: event.code.clone(),
            server: event.server.as_ref().map(ToString::to_string),
            subject: (&event.subject).into(),
            text: event.text.clone(),
            principal: event.principal.clone(),
            job: event.job.map(|job| job.0),
        }
    }
}

impl From<&Job> for JobView {
    fn from(job: &Job) -> Self {
        Self {
            id: job.id.0,
            kind: job.kind.into(),
            principal: job.principal.clone(),
            created_ms: job.created_ms,
            finished_ms: job.finished_ms,
            progress: job.progress.into(),
            targets: job.targets.iter().map(JobTargetView::from).collect(),
        }
    }
}

impl From<&JobTarget> for JobTargetView {
    fn from(target: &JobTarget) -> Self {
        let (gpu, vm, partition, partition_count) = match &target.wanted {
            Wanted::Count { gpu, setting, .. } => (Some(gpu), None, None, Some(setting.as_number())),
            Wanted::Assigned { vm, vm_name, partition } | Wanted::Unassigned { vm, vm_name, partition } => {
                (Some(&partition.gpu), Some((vm, vm_name)), Some(partition), None)
            }
            Wanted::AssignedDda { vm, vm_name, gpus }
            | Wanted::UnassignedDda { vm, vm_name, gpus }
            | Wanted::ClaimFilled { vm, vm_name, gpus } => (gpus.first(), Some((vm, vm_name)), None, None),
            Wanted::Claimed { vm, vm_name, .. } | Wanted::Unclaimed { vm, vm_name } => {
                (None, Some((vm, vm_name)), None, None)
            }
            Wanted::Cured { partition, .. } => (Some(&partition.gpu), None, Some(partition), None),
        };
        let gpus = match &target.wanted {
            Wanted::AssignedDda { gpus, .. }
            | Wanted::UnassignedDda { gpus, .. }
            | Wanted::ClaimFilled { gpus, .. } => gpus.as_slice(),
            _ => &[],
        };
        let sizes = match &target.wanted {
            Wanted::Count { setting, .. } => setting.split().and_then(|split| split.sizes()),
            _ => None,
        };
        Self {
            server: target.server.to_string(),
            gpu: gpu.map(ToString::to_string),
            gpus: gpus.iter().map(ToString::to_string).collect(),
            vm: vm.map(|(id, _)| id.to_string()),
            vm_name: vm.map(|(_, name)| name.clone()),
            partition: partition.map(ToString::to_string),
            partition_count,
            sizes: sizes.map(|sizes| sizes.iter().map(PartitionCount::get).collect()),
            progress: target.progress.into(),
            steps: target.steps.iter().map(JobStepView::from).collect(),
            detail: target.detail.clone(),
            hint: target.hint.clone(),
        }
    }
}

impl From<&StepRecord> for JobStepView {
    fn from(step: &StepRecord) -> Self {
        let outcome = match step.outcome.as_str() {
            "changed" => StepOutcome::Changed,
            "already" => StepOutcome::Already,
            "failed" => StepOutcome::Failed,
            _ => StepOutcome::Unknown,
        };
        Self { text: step.text.clone(), outcome, at_ms: step.at_ms }
    }
}

#[cfg(test)]
mod tests {
    use divvy_core::desired::PartitionSetting;
    use divvy_core::finding::FindingCode;
    use divvy_core::id::{GpuId, ServerId};
    use divvy_core::job::JobId;

    use super::*;

    fn count_job() -> Job {
        let target = JobTarget {
            server: ServerId::new("srv-a").expect("is a name"),
            wanted: Wanted::Count {
                gpu: GpuId::new("gpu-1").expect("is a name"),
                setting: PartitionSetting::Off,
                before: None,
                observed_before: Some(4),
                sizes_before: None,
            },
            progress: CoreProgress::Failed,
            steps: vec![StepRecord { text: "remove".to_owned(), outcome: "failed".to_owned(), at_ms: 2 }],
            detail: Some("busy".to_owned()),
            hint: None,
        };
        Job {
            id: JobId(7),
            kind: CoreJobKind::SetPartitionCount,
            principal: "uid 0".to_owned(),
            created_ms: 1,
            finished_ms: None,
            progress: CoreProgress::Running,
            targets: vec![target],
        }
    }

    #[test]
    fn a_job_that_turns_partitioning_off_wants_a_count_of_zero() {
        let view = JobView::from(&count_job());
        assert_eq!(view.targets[0].partition_count, Some(0));
    }

    #[test]
    fn a_job_keeps_what_became_of_its_steps() {
        let view = JobView::from(&count_job());
        assert_eq!(view.targets[0].steps[0].outcome, StepOutcome::Failed);
    }

    #[test]
    fn an_assigned_target_names_the_vm_the_partition_and_its_gpu() {
        let mut job = count_job();
        job.targets[0].wanted = Wanted::Assigned {
            vm: "5c0a7be4".parse().expect("is a name"),
            vm_name: "vm-001".to_owned(),
            partition: "gpu-1.3".parse().expect("is a name"),
        };
        let view = JobView::from(&job).targets.remove(0);
        let names = (view.vm_name.as_deref(), view.partition.as_deref(), view.gpu.as_deref());
        assert_eq!(names, (Some("vm-001"), Some("gpu-1.3"), Some("gpu-1")));
    }

    #[test]
    fn a_word_of_the_rules_is_the_same_word_on_the_wire() {
        let modes = [
            CoreMode::Partitioned,
            CoreMode::Partitionable,
            CoreMode::Dda,
            CoreMode::Host,
            CoreMode::NotAssignable,
            CoreMode::Unknown,
        ];
        for mode in modes {
            assert_eq!(Mode::from(mode).to_string(), mode.to_string());
        }
    }

    #[test]
    fn a_finding_about_the_cluster_has_no_id() {
        let finding = Finding {
            code: FindingCode::of("uneven"),
            severity: CoreSeverity::Warning,
            subject: Subject::Cluster,
            text: "uneven".to_owned(),
            mend: "even it".to_owned(),
        };
        assert_eq!(FindingView::from(&finding).subject, SubjectView { kind: SubjectKind::Cluster, id: None });
    }
}
