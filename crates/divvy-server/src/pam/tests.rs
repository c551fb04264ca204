//! The daemon's side, with helpers that are a few lines of shell.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;

/// A helper that runs this script. The program is a link: what this process itself has just written cannot
/// be run while another test is between fork and exec, for its child still has the file open for writing.
fn pam(script: &str) -> (tempfile::TempDir, Pam) {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("helper");
    fs::write(folder.path().join("helper.script"), script).expect("is written");
    symlink(concat!(env!("CARGO_MANIFEST_DIR"), "/src/pam/tests/helper.sh"), &program).expect("is linked");
    (folder, Pam { program, ..Pam::new(Some("divvy".into())) })
}

async fn ask(pam: &Pam) -> Result<Option<String>, PamUnavailable> {
    pam.ask("ann", &Zeroizing::new("s3cret".to_owned()), "192.0.2.1").await
}

#[tokio::test]
async fn the_helper_is_told_everything_on_its_input_and_nothing_in_its_arguments() {
    let (folder, pam) = pam("cat > \"$0.in\"; echo \"$*\" > \"$0.args\"; env > \"$0.env\"; printf Ann");
    assert_eq!(ask(&pam).await.expect("is answered").as_deref(), Some("Ann"));
    let wrote = |name: &str| fs::read_to_string(folder.path().join(name)).expect("was written");
    let told: serde_json::Value = serde_json::from_str(&wrote("helper.in")).expect("is JSON");
    let expected = serde_json::json!({
        "user": "ann", "password": "s3cret", "source": "192.0.2.1", "group": "divvy"
    });
    assert_eq!(told, expected);
    assert_eq!(wrote("helper.args"), "--pam-helper\n");
    assert!(!wrote("helper.env").contains("s3cret"));
}

#[tokio::test]
async fn a_refusal_is_no_failure() {
    let (_folder, pam) = pam("echo no; exit 10");
    assert_eq!(ask(&pam).await.expect("is answered"), None);
}

#[tokio::test]
async fn a_server_without_pam_is_told_apart() {
    let (_folder, pam) = pam("echo no such file; exit 11");
    assert!(matches!(ask(&pam).await, Err(PamUnavailable::NoLibrary { .. })));
}

#[tokio::test]
async fn a_helper_that_crashes_lets_nobody_in() {
    for script in ["kill -SEGV $$", "exit 1", "exit 12"] {
        let (_folder, pam) = pam(script);
        let answer = ask(&pam).await;
        assert!(
            matches!(answer, Err(PamUnavailable::Ended { .. } | PamUnavailable::Broken { .. })),
            "{script}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn a_helper_that_hangs_is_given_up() {
    let (_folder, pam) = pam("exec sleep 60");
    let pam = Pam { deadline: Duration::from_millis(50), ..pam };
    let answer = ask(&pam).await;
    assert!(matches!(answer, Err(PamUnavailable::Deadline { .. })), "{answer:?}");
}

#[tokio::test]
async fn a_helper_that_is_not_there_is_an_error() {
    let pam = Pam { program: "/nonexistent/helper".into(), ..Pam::new(None) };
    assert!(matches!(ask(&pam).await, Err(PamUnavailable::Start(_))));
}
