//! Webhooks over a store in memory and a receiver on loopback: what arrives there, in which order, how
//! often, and what is told of it here.

use std::time::Duration;

use divvy_core::event::Event;
use divvy_core::finding::Subject;
use divvy_core::id::ServerId;
use serde_json::Value;
use tempfile::TempDir;

use super::secret::Secrets;
use super::*;
use receiver::{Answer, Receiver, Request, answer};

mod receiver;
mod trust;

/// How long anything may take before a test gives up.
const DEADLINE: Duration = Duration::from_secs(60);
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What outlives a daemon, and what the daemon has of it.
struct Place {
    folder: TempDir,
    store: Arc<Store>,
    newest_event: watch::Receiver<u64>,
    notices: Notices,
}

impl Place {
    fn new() -> Self {
        Self::with_store(Store::memory())
    }

    fn with_store(store: Store) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Arc::new(store);
        let newest_event = crate::daemon::newest_event(&store);
        let place = Self { folder, store, newest_event, notices: Notices::default() };
        std::fs::write(place.secret(), SECRET).expect("is written");
        place.set_mode(0o600);
        place
    }

    fn secret(&self) -> std::path::PathBuf {
        self.folder.path().join("secret")
    }

    fn set_mode(&self, mode: u32) {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(self.secret(), mode).expect("is set");
    }

    fn happens(&self, codes: &[&str]) {
        self.happened(now_ms(), codes);
    }

    fn happened(&self, at_ms: u64, codes: &[&str]) {
        let event = |code: &&str| Event {
            at_ms,
            code: (*code).to_owned(),
            server: None,
            subject: Subject::Cluster,
            text: "something".to_owned(),
            principal: None,
            job: None,
        };
        self.store.append_events(codes.iter().map(event).collect()).expect("is kept");
    }

    /// As the daemon starts them; `more` are more settings.
    fn prepare(&self, url: &str, more: &str) -> Result<Webhooks, WebhookError> {
        let secret = self.secret();
        let text = format!("[[webhook]]\nurl = '{url}'\nsecret_file = '{}'\n{more}", secret.display());
        let settings = crate::settings::parse(Path::new("divvyd.toml"), &text).expect("is good");
        Webhooks::prepare(
            &settings.webhooks,
            &Surroundings {
                server: "edge-1",
                state_dir: self.folder.path(),
                store: &self.store,
                newest_event: &self.newest_event,
                notices: &self.notices,
            },
        )
    }

    fn start(&self, url: &str) -> Webhooks {
        let webhooks = self.prepare(url, "").expect("can be used");
        webhooks.start();
        webhooks
    }

    fn codes_of_findings(&self) -> Vec<String> {
        let server = ServerId::new("edge-1").expect("a name");
        self.notices.findings(&server).iter().map(|finding| finding.code.to_string()).collect()
    }
}

async fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

fn view(webhooks: &Webhooks) -> WebhookView {
    webhooks.views().expect("the store answers").remove(0)
}

/// The numbers of the events that these requests tell.
fn numbers(requests: &[Request]) -> Vec<u64> {
    requests.iter().map(|request| request.json()["data"]["number"].as_u64().expect("a number")).collect()
}

#[tokio::test]
async fn what_happens_from_now_on_is_told_in_order_signed_and_as_the_api_shows_it() {
    let place = Place::new();
    place.happens(&["assigned"]);
    let receiver = Receiver::start(&[]);
    let webhooks = place.start(&receiver.url("/hook?token=1"));
    place.happens(&["job_failed", "unassigned", "step_failed"]);
    let told = receiver.take(3).await;
    assert_eq!(numbers(&told), [2, 3, 4]);
    let first = told.first().expect("is one");
    assert!(first.head.starts_with("POST /hook?token=1 HTTP/1.1\r\n"), "{}", first.head);
    let shown = place.store.events(1, 1).expect("is there").remove(0);
    let shown = serde_json::to_value(divvy_api::views::EventView::from(&shown)).expect("is JSON");
    assert_eq!((&first.json()["data"], &first.json()["type"]), (&shown, &Value::from("job_failed")));
    let seconds = first.header("webhook-timestamp").parse().expect("a number");
    let signature = Secrets::parse(SECRET).expect("is one").sign(
        &first.header("webhook-id"),
        seconds,
        first.body.as_bytes(),
    );
    assert_eq!(first.header("webhook-signature"), signature);
    wait_until("nothing waits", || view(&webhooks).waiting == 0).await;
    assert_eq!((view(&webhooks).state, view(&webhooks).last_error), (WebhookState::Working, None));
    assert!(!view(&webhooks).url.contains("token"), "{}", view(&webhooks).url);
}

#[tokio::test]
async fn only_the_events_that_were_chosen_are_told_and_only_they_wait() {
    let place = Place::new();
    let receiver = Receiver::start(&[]);
    let webhooks = place.prepare(&receiver.url("/"), "codes = ['job_failed']").expect("can be used");
    place.happens(&["assigned", "job_failed", "assigned", "job_failed", "assigned"]);
    assert_eq!(view(&webhooks).waiting, 2);
    webhooks.start();
    assert_eq!(numbers(&receiver.take(2).await), [2, 4]);
    let is_done = || webhooks.0.as_ref().expect("is one").each[0].standing().told.cursor == 5;
    wait_until("the rest is done with", is_done).await;
    assert_eq!(receiver.count(), 2);
}

#[tokio::test]
async fn nothing_is_lost_while_the_receiver_is_down() {
    let place = Place::new();
    let receiver = Receiver::start(&[]);
    let address = receiver.stop();
    let webhooks = place.start(&format!("http://{address}/"));
    place.happens(&["assigned", "unassigned"]);
    wait_until("it is tried", || view(&webhooks).state == WebhookState::Retrying).await;
    assert_eq!(view(&webhooks).waiting, 2);
    place.happens(&["job_failed"]);
    let receiver = Receiver::start_at(address, &[]);
    assert_eq!(numbers(&receiver.take(3).await), [1, 2, 3]);
}

#[tokio::test]
async fn an_event_that_is_not_taken_comes_again_under_the_same_id_before_the_next() {
    let place = Place::new();
    let receiver = Receiver::start(&[answer(500, "")]);
    let _webhooks = place.start(&receiver.url("/"));
    place.happens(&["assigned", "unassigned"]);
    let told = receiver.take(3).await;
    assert_eq!(numbers(&told), [1, 1, 2]);
    assert_eq!(told[0].header("webhook-id"), told[1].header("webhook-id"));
    assert_ne!(told[1].header("webhook-id"), told[2].header("webhook-id"));
}

#[tokio::test]
async fn trouble_is_a_finding_from_the_third_failure_on_and_goes_away() {
    let place = Place::new();
    let receiver = Receiver::start(&[answer(500, ""), answer(500, ""), answer(503, "")]);
    let _webhooks = place.start(&receiver.url("/?token=secret"));
    place.happens(&["assigned"]);
    wait_until("it is a finding", || place.codes_of_findings() == ["webhook_failing"]).await;
    assert!(receiver.count() >= 3, "a finding after {} failures", receiver.count());
    let server = ServerId::new("edge-1").expect("a name");
    let finding = place.notices.findings(&server).remove(0);
    assert!(finding.text.contains("1 wait") && finding.text.contains("503"), "{}", finding.text);
    assert!(!finding.text.contains("secret"), "{}", finding.text);
    wait_until("it is none any more", || place.codes_of_findings().is_empty()).await;
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_told_no_more_until_a_restart() {
    let place = Place::new();
    let receiver = Receiver::start(&[answer(410, "")]);
    let webhooks = place.start(&receiver.url("/"));
    place.happens(&["assigned", "unassigned"]);
    wait_until("it is paused", || view(&webhooks).state == WebhookState::Paused).await;
    assert_eq!(view(&webhooks).waiting, 2);
    wait_until("it is a finding", || place.codes_of_findings() == ["webhook_failing"]).await;
    assert_eq!(receiver.count(), 1);
    webhooks.keep();
    let again = place.start(&receiver.url("/"));
    assert_eq!(numbers(&receiver.take(3).await)[1..], [1, 2]);
    wait_until("it works", || view(&again).state == WebhookState::Working).await;
}

#[tokio::test]
async fn what_is_a_day_old_is_given_up_and_counted_when_nothing_was_taken_for_a_day() {
    let place = Place::new();
    let receiver = Receiver::start(&[]);
    let webhooks = place.prepare(&receiver.url("/"), "").expect("can be used");
    place.happened(0, &["assigned"]);
    place.happens(&["job_failed"]);
    let since = Instant::now().checked_sub(Duration::from_secs(90_000)).expect("time goes back so far");
    let failing = Failing { since, since_ms: 0, failures: 500, error: "down".to_owned() };
    webhooks.0.as_ref().expect("is one").each[0].standing().failing = Some(failing);
    webhooks.start();
    assert_eq!(numbers(&receiver.take(1).await), [2]);
    assert_eq!(view(&webhooks).skipped, 1);
}

#[tokio::test]
async fn what_the_store_forgot_is_counted_and_the_rest_is_told() {
    let limits = divvy_store::Limits { events: 2, ..Default::default() };
    let place = Place::with_store(Store::memory_with(limits));
    let receiver = Receiver::start(&[]);
    let webhooks = place.prepare(&receiver.url("/"), "").expect("can be used");
    place.happens(&["assigned"; 5]);
    assert_eq!(view(&webhooks).waiting, 2);
    webhooks.start();
    assert_eq!(numbers(&receiver.take(2).await), [4, 5]);
    assert_eq!(view(&webhooks).skipped, 3);
}

#[tokio::test]
async fn a_receiver_that_takes_nothing_does_not_hold_up_another() {
    let place = Place::new();
    let (good, bad) = (Receiver::start(&[]), Receiver::start(&vec![answer(500, ""); 100]));
    let second =
        format!("[[webhook]]\nurl = '{}'\nsecret_file = '{}'", good.url("/"), place.secret().display());
    place.prepare(&bad.url("/"), &second).expect("can be used").start();
    place.happens(&["assigned", "unassigned", "job_failed"]);
    assert_eq!(numbers(&good.take(3).await), [1, 2, 3]);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let place = Place::new();
    let (elsewhere, receiver) = (Receiver::start(&[]), Receiver::start(&[]));
    receiver.answer(answer(302, &format!("location: {}\r\n", elsewhere.url("/"))));
    let webhooks = place.start(&receiver.url("/"));
    place.happens(&["assigned"]);
    wait_until("it is told", || view(&webhooks).last_error.is_some_and(|text| text.contains("302"))).await;
    receiver.take(2).await;
    assert_eq!(elsewhere.count(), 0);
}

#[tokio::test]
async fn whatever_a_receiver_answers_does_no_harm() {
    let place = Place::new();
    let garbage = Answer::raw(b"\x00\xff\r\n\r\n");
    let endless_head = Answer::raw(&b"HTTP/1.1 200 OK\r\n".repeat(100_000));
    let silence = Answer::raw(b"");
    let cut = Answer::raw(b"HTTP/1.1 20");
    let huge = Answer::raw(
        &[b"HTTP/1.1 200 OK\r\ncontent-length: 9999999999\r\n\r\n".as_slice(), &[b'x'; 300_000]].concat(),
    );
    let receiver = Receiver::start(&[garbage, endless_head]);
    let webhooks = place.start(&receiver.url("/"));
    place.happens(&["assigned"]);
    assert_eq!(numbers(&receiver.take(3).await), [1, 1, 1]);
    wait_until("it is taken at last", || view(&webhooks).waiting == 0).await;
    receiver.answer(huge);
    place.happens(&["assigned", "assigned"]);
    assert_eq!(numbers(&receiver.take(5).await)[3..], [2, 3], "a long answer was not taken for one");
    receiver.answer(silence);
    receiver.answer(cut);
    place.happens(&["assigned"]);
    assert_eq!(numbers(&receiver.take(8).await)[5..], [4, 4, 4]);
}

/// A daemon's life, until its receiver was told so many messages.
fn live(place: &Place, receiver: &Receiver, count: usize) -> (Webhooks, Vec<Request>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runs");
    runtime.block_on(async {
        let webhooks = place.start(&receiver.url("/"));
        let told = receiver.take(count).await;
        wait_until("the cursor moves", || view(&webhooks).waiting == 0).await;
        (webhooks, told)
    })
}

#[test]
fn a_restart_goes_on_where_it_was_and_a_kill_repeats_and_loses_nothing() {
    let place = Place::new();
    let file = place.folder.path().join("webhooks.json");
    let receiver = Receiver::start(&[]);
    // Killed before it told anything.
    drop(place.prepare(&receiver.url("/"), "").expect("can be used"));
    place.happens(&["assigned", "unassigned"]);
    let (stopped, told) = live(&place, &receiver, 2);
    assert_eq!(numbers(&told), [1, 2]);
    stopped.keep();
    let kept = std::fs::read(&file).expect("is kept");
    let again = place.prepare(&receiver.url("/"), "").expect("can be used");
    assert_eq!(view(&again).last_delivered_at_ms, view(&stopped).last_delivered_at_ms);
    place.happens(&["job_failed"]);
    let (_, told) = live(&place, &receiver, 3);
    assert_eq!(numbers(&told), [1, 2, 3]);
    // Killed before the third was written down.
    std::fs::write(&file, kept).expect("is written");
    let (_, told) = live(&place, &receiver, 4);
    assert_eq!(numbers(&told), [1, 2, 3, 3]);
    assert_eq!(told[2].header("webhook-id"), told[3].header("webhook-id"));
}

#[tokio::test]
async fn a_file_of_cursors_that_is_torn_tells_again_what_the_store_has() {
    let place = Place::new();
    place.happens(&["assigned"]);
    std::fs::write(place.folder.path().join("webhooks.json"), "{\"webh").expect("is written");
    let receiver = Receiver::start(&[]);
    let _webhooks = place.start(&receiver.url("/"));
    assert_eq!(numbers(&receiver.take(1).await), [1]);
}

#[tokio::test]
async fn numbers_that_a_store_from_a_backup_uses_again_are_told() {
    let place = Place::new();
    let receiver = Receiver::start(&[]);
    place.happens(&["assigned", "assigned", "assigned"]);
    drop(place.prepare(&receiver.url("/"), "").expect("can be used"));
    let restored = Place { folder: place.folder, ..Place::new() };
    restored.happens(&["assigned"]);
    let _webhooks = restored.start(&receiver.url("/"));
    restored.happens(&["job_failed"]);
    assert_eq!(numbers(&receiver.take(1).await), [2]);
}

#[tokio::test]
async fn a_secret_that_others_can_read_sends_nothing_until_it_is_closed_again() {
    let place = Place::new();
    let receiver = Receiver::start(&[]);
    let webhooks = place.start(&receiver.url("/"));
    place.set_mode(0o644);
    place.happens(&["assigned"]);
    let is_told = |text: String| text.contains("secret_file") && text.contains("chmod 600");
    wait_until("it is told", || view(&webhooks).last_error.is_some_and(is_told)).await;
    assert_eq!(receiver.count(), 0);
    place.set_mode(0o600);
    assert_eq!(numbers(&receiver.take(1).await), [1]);
    place.set_mode(0o644);
    assert!(matches!(
        place.prepare(&receiver.url("/"), ""),
        Err(WebhookError { source: Unusable::Secret(_), .. })
    ));
}

#[tokio::test]
async fn a_test_says_what_the_receiver_said_and_one_that_is_taken_sends_what_waits() {
    let place = Place::new();
    let receiver = Receiver::start(&[answer(429, "retry-after: 300\r\n"), answer(403, "")]);
    let webhooks = place.start(&receiver.url("/x"));
    place.happens(&["assigned"]);
    wait_until("it is asked for a pause", || view(&webhooks).state == WebhookState::Retrying).await;
    let refused = webhooks.test(None, "root").await.remove(0);
    assert_eq!((refused.delivered, refused.status), (false, Some(403)));
    let url = view(&webhooks).url;
    let taken = webhooks.test(Some(&url), "root").await.remove(0);
    assert_eq!((taken.delivered, taken.status, taken.error), (true, Some(204), None));
    assert_eq!(numbers(&receiver.take(4).await), [1, 0, 0, 1]);
    assert_eq!(webhooks.test(Some("https://elsewhere"), "root").await, []);
}

#[tokio::test]
async fn without_a_webhook_nothing_is_made_or_kept() {
    let place = Place::new();
    let around = Surroundings {
        server: "edge-1",
        state_dir: place.folder.path(),
        store: &place.store,
        newest_event: &place.newest_event,
        notices: &place.notices,
    };
    let webhooks = Webhooks::prepare(&[], &around).expect("is fine");
    webhooks.start();
    webhooks.keep();
    assert!(webhooks.0.is_none());
    assert!(!place.folder.path().join("webhooks.json").exists());
}
