//! `divvyd --pam-helper`: one attempt to sign in, in a process of its own. The attempt comes in on standard
//! input as JSON, so that a password is in no argument and no environment; the answer is the exit status,
//! and on standard output the account's own name, or what the daemon's log shall say.
//!
//! Looking a user up may ask other servers too (LDAP), which is one more reason for a process with a
//! deadline.

use std::ffi::CString;
use std::io::{Read, Write};

use nix::unistd::{Group, Uid, User, geteuid, getgrouplist};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::ffi::{Attempt, PamError, Verdict, attempt};
use crate::chain::chain;

/// The file in `/etc/pam.d`.
pub const SERVICE: &str = "divvy";
const LIBRARY: &str = "libpam.so.0";
/// Longest attempt that is read.
const QUESTION_BYTES: u64 = 16 * 1024;

/// One attempt, on its way to the helper.
#[derive(Serialize, Deserialize)]
pub struct Question {
    pub user: String,
    pub password: Zeroizing<String>,
    pub source: String,
    /// Whose members may sign in besides root.
    pub group: Option<String>,
}

/// How the helper ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Accepted,
    Refused,
    /// There is no PAM on this server.
    NoLibrary,
    Broken,
}

impl Ending {
    const ALL: [Self; 4] = [Self::Accepted, Self::Refused, Self::NoLibrary, Self::Broken];

    pub fn status(self) -> u8 {
        match self {
            Self::Accepted => 0,
            Self::Refused => 10,
            Self::NoLibrary => 11,
            Self::Broken => 12,
        }
    }

    /// Nothing when no helper ends like this.
    pub fn of_status(status: Option<i32>) -> Option<Self> {
        Self::ALL.into_iter().find(|ending| status == Some(i32::from(ending.status())))
    }
}

/// Runs the helper and answers with its exit status.
pub fn run() -> u8 {
    // A crash in somebody's module must not leave a password in a core file. Without it it works as well.
    let _ = nix::sys::prctl::set_dumpable(false);
    let (ending, said) = match read() {
        Some(question) => answer(&question),
        None => (Ending::Broken, "the attempt on standard input makes no sense".to_owned()),
    };
    // Whoever asked and does not listen any more does not need it.
    let _ = std::io::stdout().write_all(said.as_bytes());
    ending.status()
}

fn read() -> Option<Question> {
    let mut text = Zeroizing::new(String::with_capacity(QUESTION_BYTES as usize));
    std::io::stdin().take(QUESTION_BYTES).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn answer(question: &Question) -> (Ending, String) {
    let Question { user, password, source, group } = question;
    match attempt(LIBRARY, &Attempt { service: SERVICE, user, password, source }) {
        Ok(Verdict::Accepted) => match account(user, group.as_deref()) {
            Some(name) => (Ending::Accepted, name),
            None => (Ending::Refused, "the account may not sign in to divvyd".to_owned()),
        },
        Ok(Verdict::Refused { call, code }) => (Ending::Refused, format!("{call} answers {code}")),
        Err(error @ (PamError::Open { .. } | PamError::Symbol { .. })) => (Ending::NoLibrary, chain(&error)),
        // A zero byte is in no name and no password.
        Err(error @ PamError::Zero) => (Ending::Refused, chain(&error)),
        Err(error @ PamError::Broken { .. }) => (Ending::Broken, chain(&error)),
    }
}

/// The account's own name if it may sign in: who may is who may use the socket, which are root, the user
/// that divvyd runs as, and the members of the socket's group.
fn account(user: &str, group: Option<&str>) -> Option<String> {
    let account = User::from_name(user).ok().flatten()?;
    let is_owner = account.uid == Uid::from_raw(0) || account.uid == geteuid();
    (is_owner || group.is_some_and(|group| is_member(&account, group))).then_some(account.name)
}

fn is_member(account: &User, group: &str) -> bool {
    let Ok(Some(group)) = Group::from_name(group) else { return false };
    let Ok(name) = CString::new(account.name.as_str()) else { return false };
    getgrouplist(&name, account.gid).is_ok_and(|groups| groups.contains(&group.gid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_may_sign_in_without_being_in_the_group() {
        assert_eq!(account("root", None).as_deref(), Some("root"));
    }

    #[test]
    fn another_account_may_sign_in_only_as_a_member_of_the_group() {
        let daemon = User::from_name("daemon").expect("can be asked").expect("every system has it");
        let own = Group::from_gid(daemon.gid).expect("can be asked").expect("has a name").name;
        assert_eq!(account("daemon", Some(&own)).as_deref(), Some("daemon"));
        for group in [None, Some("root"), Some("no-such-group"), Some("")] {
            assert_eq!(account("daemon", group), None, "{group:?}");
        }
    }

    #[test]
    fn a_name_without_an_account_may_not_sign_in() {
        assert_eq!(account("no-such-user", Some("root")), None);
    }

    #[test]
    fn every_ending_is_told_by_its_exit_status() {
        for ending in Ending::ALL {
            assert_eq!(Ending::of_status(Some(i32::from(ending.status()))), Some(ending));
        }
        assert_eq!(Ending::of_status(Some(101)), None);
        assert_eq!(Ending::of_status(None), None);
    }
}
