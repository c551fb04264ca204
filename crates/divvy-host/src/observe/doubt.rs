//! What makes a GPU unknown: each reason with its code and its mend. One reason is enough; all of them are
//! told. Nothing is guessed in place of a value that could not be read.

use divvy_core::finding::{Finding, FindingCode, Severity, Subject};
use divvy_core::id::GpuId;
use divvy_core::observed::GpuHealth;

use crate::attribute::AttributeError;
use crate::codes;

#[derive(Debug)]
struct Doubt {
    code: FindingCode,
    text: String,
    mend: &'static str,
}

/// The reasons to doubt one GPU.
#[derive(Debug, Default)]
pub struct Doubts {
    doubts: Vec<Doubt>,
}

impl Doubts {
    /// The value, or a doubt in its place.
    pub fn take<T>(&mut self, result: Result<T, AttributeError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.unreadable(&error);
                None
            }
        }
    }

    pub fn unreadable(&mut self, error: &AttributeError) {
        if error.is_timed_out() {
            self.add(
                codes::GPU_HANGS,
                format!("it hangs: {}", error.chain()),
                "shut down whatever uses the GPU's partitions; the server's kernel log says what the \
                 kernel waits for (dmesg)",
            );
        } else {
            self.add(
                codes::GPU_UNREADABLE,
                error.chain(),
                "the server's kernel log may say why (dmesg); load the GPU's driver anew",
            );
        }
    }

    pub fn lost(&mut self) {
        self.add(
            codes::GPU_LOST,
            "it does not answer on the bus: its configuration space reads all ones".to_owned(),
            "power the server off and on; if the GPU is still lost, reseat or replace it",
        );
    }

    pub fn contradiction(&mut self, text: String) {
        self.add(
            codes::COUNT_CONTRADICTION,
            text,
            "set the partition count anew when no partition is in use; a reboot removes all partitions",
        );
    }

    pub fn open_unknown(&mut self, text: String) {
        self.add(
            codes::OPEN_UNKNOWN,
            text,
            "run divvyd as root with CAP_SYS_PTRACE, and /proc mounted and not hidden",
        );
    }

    fn add(&mut self, code: FindingCode, text: String, mend: &'static str) {
        self.doubts.push(Doubt { code, text, mend });
    }

    pub fn health(&self) -> GpuHealth {
        if self.doubts.is_empty() {
            return GpuHealth::Ok;
        }
        let texts: Vec<&str> = self.doubts.iter().map(|doubt| doubt.text.as_str()).collect();
        GpuHealth::Unknown { reason: texts.join("; ") }
    }

    pub fn findings(self, gpu: &GpuId) -> Vec<Finding> {
        let finding = |doubt: Doubt| Finding {
            code: doubt.code,
            severity: Severity::Error,
            subject: Subject::Gpu(gpu.clone()),
            text: format!("GPU {gpu}: {}", doubt.text),
            mend: doubt.mend.to_owned(),
        };
        self.doubts.into_iter().map(finding).collect()
    }
}
