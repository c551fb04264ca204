//! Whether a password opens a local account: asked of PAM by a helper process with a deadline, because
//! modules of PAM may hang, crash and load anything. Who is then signed in, and how often one may try, is
//! not known here.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use zeroize::Zeroizing;

use helper::{Ending, Question};

mod ffi;
pub mod helper;

/// How long one attempt may take; modules may ask other servers.
const DEADLINE: Duration = Duration::from_secs(20);
/// So many helpers run at a time.
const HELPERS: usize = 4;
/// Longest answer of a helper that is read.
const ANSWER_BYTES: u64 = 1024;

/// Asks PAM.
pub struct Pam {
    program: PathBuf,
    group: Option<String>,
    deadline: Duration,
    free: Semaphore,
}

/// Why PAM cannot be asked. None of it says anything about the account.
#[derive(Debug, thiserror::Error)]
pub enum PamUnavailable {
    #[error("the helper that asks PAM cannot be started")]
    Start(#[source] std::io::Error),
    #[error("there is no PAM on this server: {detail}")]
    NoLibrary { detail: String },
    #[error("PAM did not answer within {seconds} seconds")]
    Deadline { seconds: u64 },
    #[error("PAM is not as it should be: {detail}")]
    Broken { detail: String },
    #[error("the helper that asks PAM ended with {status}")]
    Ended { status: std::process::ExitStatus },
}

impl Pam {
    /// With the group whose members may sign in besides root.
    pub fn new(group: Option<String>) -> Self {
        // Our own program also when an upgrade has replaced the file meanwhile.
        Self { program: "/proc/self/exe".into(), group, deadline: DEADLINE, free: Semaphore::new(HELPERS) }
    }

    /// The account's own name if this password opens it and it may sign in.
    pub async fn ask(
        &self,
        user: &str,
        password: &Zeroizing<String>,
        source: &str,
    ) -> Result<Option<String>, PamUnavailable> {
        let question = Question {
            user: user.to_owned(),
            password: password.clone(),
            source: source.to_owned(),
            group: self.group.clone(),
        };
        let question = serde_json::to_vec(&question).expect("an attempt holds only texts");
        let question = Zeroizing::new(question);
        let answer = timeout(self.deadline, self.exchange(&question)).await;
        let seconds = self.deadline.as_secs();
        let (ending, status, said) = answer.unwrap_or(Err(PamUnavailable::Deadline { seconds }))?;
        match ending {
            Some(Ending::Accepted) => Ok(Some(said)),
            Some(Ending::Refused) => {
                tracing::warn!(user, source, why = said, "signing in was refused");
                Ok(None)
            }
            Some(Ending::NoLibrary) => Err(PamUnavailable::NoLibrary { detail: said }),
            Some(Ending::Broken) => Err(PamUnavailable::Broken { detail: said }),
            None => Err(PamUnavailable::Ended { status }),
        }
    }

    /// Starts a helper, gives it the question and takes its answer. Dropped, the helper is killed.
    async fn exchange(
        &self,
        question: &[u8],
    ) -> Result<(Option<Ending>, std::process::ExitStatus, String), PamUnavailable> {
        let _permit = self.free.acquire().await.expect("the semaphore is never closed");
        let mut child = self.start().map_err(PamUnavailable::Start)?;
        let mut input = child.stdin.take().expect("stdin was asked to be a pipe");
        let mut output = child.stdout.take().expect("stdout was asked to be a pipe").take(ANSWER_BYTES);
        // A helper that ended before it read tells more by its end than by this error.
        let _ = input.write_all(question).await;
        drop(input);
        let mut said = Vec::new();
        output.read_to_end(&mut said).await.map_err(PamUnavailable::Start)?;
        let status = child.wait().await.map_err(PamUnavailable::Start)?;
        Ok((Ending::of_status(status.code()), status, String::from_utf8_lossy(&said).into_owned()))
    }

    fn start(&self) -> std::io::Result<Child> {
        Command::new(&self.program)
            .arg("--pam-helper")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
    }
}

#[cfg(test)]
mod tests;
