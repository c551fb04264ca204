//! What the stream of changes says: messages of six kinds, each a thing as it is now or gone, and the word
//! that everything has to be read again. How a message travels (server-sent events) is understood here,
//! for the client; who has to be told what is not known.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The media type of the stream.
pub const CONTENT_TYPE: &str = "text/event-stream";
/// The header by which a client goes on where it was.
pub const LAST_EVENT_ID: &str = "last-event-id";
/// Longest line that is understood.
const MAX_LINE_BYTES: usize = 16 * 1024 * 1024;

/// What a message is about. The word is the event's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    Gpu,
    Partition,
    Vm,
    Job,
    Finding,
    Event,
}

impl Topic {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Gpu => "gpu",
            Self::Partition => "partition",
            Self::Vm => "vm",
            Self::Job => "job",
            Self::Finding => "finding",
            Self::Event => "event",
        }
    }

    fn of(word: &str) -> Option<Self> {
        let all = [Self::Gpu, Self::Partition, Self::Vm, Self::Job, Self::Finding, Self::Event];
        all.into_iter().find(|topic| topic.word() == word)
    }
}

/// Whether a thing is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is as the value says.
    Put,
    /// It is not there any more.
    Gone,
}

/// Which thing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum ChangeId {
    /// Of a job or an event.
    Number(u64),
    Text(String),
}

/// The data of one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChangeView {
    pub kind: ChangeKind,
    pub id: ChangeId,
    /// The thing's view; null when it is gone.
    pub value: Value,
}

/// Why everything has to be read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ResetReason {
    /// The client did not say where it was.
    Beginning,
    /// What followed where it was is not remembered: too long ago, or by another daemon.
    Forgotten,
    /// It reads more slowly than things change.
    TooSlow,
    /// A reason that this version does not know.
    #[serde(other)]
    Unknown,
}

/// The data of the message `reset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ResetView {
    pub reason: ResetReason,
}

/// One message as a client hears it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    Change { topic: Topic, change: ChangeView },
    Reset(ResetReason),
}

/// Why a stream cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum BadStream {
    #[error("a line of the stream has more than {MAX_LINE_BYTES} bytes")]
    LongLine,
    #[error("the data of a {event:?} message is not what it has to be")]
    Data { event: String, source: serde_json::Error },
}

/// Puts messages together from the bytes of a stream, however they are cut.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    event: String,
    data: String,
    last_id: Option<String>,
}

impl Parser {
    /// The id to go on from.
    pub fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// Reads more bytes; the messages that they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Message>, BadStream> {
        let mut messages = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if self.line.len() > MAX_LINE_BYTES {
                return Err(BadStream::LongLine);
            }
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                let line = String::from_utf8_lossy(&line);
                messages.extend(self.line(line.trim_end_matches(['\r', '\n']))?);
            }
        }
        Ok(messages)
    }

    fn line(&mut self, line: &str) -> Result<Option<Message>, BadStream> {
        if line.is_empty() {
            return self.end();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.event = value.to_owned(),
            "id" => self.last_id = Some(value.to_owned()),
            "data" => {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            // A comment (no field at all) says that the server is there; other fields are not ours.
            _ => {}
        }
        Ok(None)
    }

    /// An empty line ends a message. One of a type that this version does not know is passed over.
    fn end(&mut self) -> Result<Option<Message>, BadStream> {
        let (event, data) = (std::mem::take(&mut self.event), std::mem::take(&mut self.data));
        if data.is_empty() {
            return Ok(None);
        }
        let bad = |source| BadStream::Data { event: event.clone(), source };
        if event == "reset" {
            let reset: ResetView = serde_json::from_str(&data).map_err(bad)?;
            return Ok(Some(Message::Reset(reset.reason)));
        }
        let Some(topic) = Topic::of(&event) else { return Ok(None) };
        let change = serde_json::from_str(&data).map_err(bad)?;
        Ok(Some(Message::Change { topic, change }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = ": here\n\nevent: gpu\ndata: {\"kind\":\"put\",\"id\":\"gpu-1\",\"value\":{\"id\":\"gpu-1\"}}\n\n\
                        event: vm\r\ndata: {\"kind\":\"gone\",\"id\":\"a\",\"value\":null}\r\nid: 7-2\r\n\r\n";

    #[test]
    fn a_stream_reads_the_same_however_it_is_cut() {
        let whole = Parser::default().push(TEXT.as_bytes()).expect("is understood");
        assert_eq!(whole.len(), 2);
        for length in [1, 2, 7, 50] {
            let mut parser = Parser::default();
            let cut: Vec<Message> = TEXT
                .as_bytes()
                .chunks(length)
                .flat_map(|part| parser.push(part).expect("is understood"))
                .collect();
            assert_eq!(cut, whole);
        }
    }

    #[test]
    fn the_place_to_go_on_from_is_that_of_the_last_message_with_one() {
        let mut parser = Parser::default();
        parser.push(TEXT.as_bytes()).expect("is understood");
        parser
            .push(b"event: gpu\ndata: {\"kind\":\"gone\",\"id\":\"b\",\"value\":null}\n\n")
            .expect("is understood");
        assert_eq!(parser.last_id(), Some("7-2"));
    }

    #[test]
    fn a_reset_for_a_reason_of_a_newer_server_is_a_reset() {
        let messages =
            Parser::default().push(b"event: reset\ndata: {\"reason\":\"moon\"}\n\n").expect("understood");
        assert_eq!(messages, [Message::Reset(ResetReason::Unknown)]);
    }

    #[test]
    fn a_message_of_an_unknown_kind_is_passed_over_and_a_broken_one_is_not() {
        assert_eq!(Parser::default().push(b"event: pool\ndata: {}\n\n").expect("is understood"), []);
        assert!(matches!(Parser::default().push(b"event: gpu\ndata: {\n\n"), Err(BadStream::Data { .. })));
    }

    #[test]
    fn a_line_without_an_end_is_given_up() {
        let long = vec![b'x'; MAX_LINE_BYTES + 1];
        assert!(matches!(Parser::default().push(&long), Err(BadStream::LongLine)));
    }
}
