//! What the daemon itself has to tell beside what its servers' hardware is like: how it is reached, what
//! is wrong with its certificate, who does not take its events. Told as findings of the server that it runs
//! on, with those of the rest.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use divvy_api::timestamp::Timestamp;
use divvy_core::finding::{Finding, FindingCode, Severity, Subject};
use divvy_core::id::ServerId;

use crate::hub::Bell;
use crate::tls::Trouble;
use crate::webhook::Trouble as WebhookTrouble;

/// Shared by who knows and who tells.
#[derive(Clone, Default)]
pub struct Notices(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    is_plain: bool,
    troubles: Vec<Trouble>,
    /// Those without TLS beyond this server.
    plain_webhooks: Vec<String>,
    webhooks: Vec<WebhookTrouble>,
    /// Of who looks again.
    bell: Option<Bell>,
}

impl Notices {
    /// Everybody on the way can read and change what is sent.
    pub fn plain_http(&self) {
        self.lock().is_plain = true;
    }

    pub fn certificate(&self, troubles: Vec<Trouble>) {
        let mut state = self.lock();
        if state.troubles != troubles {
            state.troubles = troubles;
            state.bell.iter().for_each(Bell::ring);
        }
    }

    /// Everybody on the way can read what these are told.
    pub fn plain_webhooks(&self, urls: Vec<String>) {
        self.lock().plain_webhooks = urls;
    }

    /// Those that take no events. How many wait changes all the time; that rings no bell.
    pub fn webhooks(&self, troubles: Vec<WebhookTrouble>) {
        let mut state = self.lock();
        let is_known =
            |all: &[WebhookTrouble], one: &WebhookTrouble| all.iter().any(|other| one.is_that_of(other));
        let is_same = troubles.len() == state.webhooks.len()
            && troubles.iter().all(|trouble| is_known(&state.webhooks, trouble));
        state.webhooks = troubles;
        if !is_same {
            state.bell.iter().for_each(Bell::ring);
        }
    }

    /// Rings this bell when there is something else to tell from now on.
    pub fn ring(&self, bell: Bell) {
        self.lock().bell = Some(bell);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn findings(&self, server: &ServerId) -> Vec<Finding> {
        let state = self.lock();
        let finding = |code, text: String, mend: &str| Finding {
            code,
            severity: Severity::Warning,
            subject: Subject::Server(server.clone()),
            text,
            mend: mend.to_owned(),
        };
        let plain = state.is_plain.then(|| {
            finding(
                FindingCode::of("insecure_plain_http"),
                "divvyd answers without TLS beyond this server: passwords and tokens can be read on the way"
                    .to_owned(),
                "take insecure_plain_http out of the settings, restart divvyd",
            )
        });
        let troubles = state.troubles.iter().map(|trouble| match trouble {
            Trouble::Unusable { why } => finding(
                FindingCode::of("certificate_unusable"),
                format!("the certificate was changed and cannot be used; the old one is shown still: {why}"),
                "put a certificate and its key where the settings say, then systemctl reload divvyd",
            ),
            Trouble::EndsSoon { days } => finding(
                FindingCode::of("certificate_ends"),
                format!("the certificate that divvyd shows ends in {days} days"),
                "put a new certificate and its key where the settings say; divvyd takes them by itself",
            ),
        });
        let plain_webhooks = state.plain_webhooks.iter().map(|url| {
            finding(
                FindingCode::of("webhook_plain_http"),
                format!("events are sent without TLS to {url}: they can be read on the way"),
                "give the webhook an https:// address in the settings, restart divvyd",
            )
        });
        let webhooks = state
            .webhooks
            .iter()
            .map(|trouble| finding(FindingCode::of("webhook_failing"), failing(trouble), mend_of(trouble)));
        plain.into_iter().chain(troubles).chain(plain_webhooks).chain(webhooks).collect()
    }
}

fn failing(trouble: &WebhookTrouble) -> String {
    let WebhookTrouble { url, since_ms, waiting, skipped, error, .. } = trouble;
    let since = Timestamp { at_ms: *since_ms };
    let given_up = if *skipped > 0 { format!(", {skipped} were given up") } else { String::new() };
    format!("{url} takes no events since {since}: {waiting} wait{given_up}; {error}")
}

fn mend_of(trouble: &WebhookTrouble) -> &'static str {
    match trouble.is_paused {
        true => {
            "let the receiver take events again, or take the webhook out of the settings; then systemctl restart divvyd"
        }
        false => {
            "put right what the text names; divvy webhook test tells whether that helped, and sends what waits"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_is_told_until_it_is_mended() {
        let server = ServerId::new("edge-1").expect("a name");
        let codes = |notices: &Notices| -> Vec<String> {
            notices.findings(&server).iter().map(|finding| finding.code.to_string()).collect()
        };
        let notices = Notices::default();
        assert_eq!(codes(&notices), [""; 0]);
        notices.plain_http();
        notices.certificate(vec![Trouble::EndsSoon { days: 3 }, Trouble::Unusable { why: "x".into() }]);
        assert_eq!(codes(&notices), ["insecure_plain_http", "certificate_ends", "certificate_unusable"]);
        notices.certificate(Vec::new());
        assert_eq!(codes(&notices), ["insecure_plain_http"]);
    }
}
