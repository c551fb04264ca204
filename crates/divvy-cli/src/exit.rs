//! The exit codes that scripts lean on. Which failure has which code stands with the failures.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or so already.
    Done,
    /// Refused, with a reason.
    Refused,
    BadCommandLine,
    /// The server or its hardware failed.
    HostFailed,
    Unreachable,
    Bug,
}

impl Exit {
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Refused => 1,
            Self::BadCommandLine => 2,
            Self::HostFailed => 3,
            Self::Unreachable => 4,
            Self::Bug => 70,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Runs the program. A panic is a bug of divvy and has an exit code of its own, so that a script does not
/// take it for a refusal.
pub fn guard(program: impl FnOnce() -> Exit) -> Exit {
    catch_unwind(AssertUnwindSafe(program)).unwrap_or_else(|_| {
        crate::tell::bug();
        Exit::Bug
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_bug() {
        assert_eq!(guard(|| panic!("on purpose")), Exit::Bug);
    }

    #[test]
    fn what_does_not_panic_keeps_its_exit() {
        assert_eq!(guard(|| Exit::Refused), Exit::Refused);
    }
}
