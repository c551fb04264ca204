//! The data, on stdout: one document as a table for people, or as JSON or YAML for scripts. A reader that
//! went away (`| head`) is not an error: the rest is dropped and the command goes on to its exit code.
//! What stands in a table is not known here.

use std::io::Write;

use serde::Serialize;

use crate::failure::Failure;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Table,
    Json,
    Yaml,
}

/// Writes documents to stdout in one format.
#[derive(Debug)]
pub struct Printer {
    format: Format,
    closed: bool,
}

impl Printer {
    pub fn new(format: Format) -> Self {
        Self { format, closed: false }
    }

    pub fn is_for_people(&self) -> bool {
        self.format == Format::Table
    }

    /// Nobody reads any more.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Prints one document; `table` says how it looks to people.
    pub fn document<T: Serialize + ?Sized>(
        &mut self,
        document: &T,
        table: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Table => self.text(&table(document)),
            Format::Json => self.write(&to_json(document)?),
            Format::Yaml => self.write(&to_yaml(document)?),
        }
    }

    /// Prints one of many documents that follow one another without an end: a line of JSON, a document
    /// of a YAML stream, a line of text.
    pub fn next_document<T: Serialize>(
        &mut self,
        document: &T,
        line: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Table => self.text(&line(document)),
            Format::Json => {
                let text = serde_json::to_string(document).map_err(Failure::Json)?;
                self.write(&format!("{text}\n"))
            }
            Format::Yaml => self.write(&format!("---\n{}", to_yaml(document)?)),
        }
    }

    /// Prints text for people; it ends with a line break, nothing becomes nothing.
    pub fn text(&mut self, text: &str) -> Result<(), Failure> {
        match text.trim_end_matches('\n') {
            "" => Ok(()),
            text => self.write(&format!("{}\n", printable(text))),
        }
    }

    /// Writes text as it is.
    pub fn write(&mut self, text: &str) -> Result<(), Failure> {
        if self.closed {
            return Ok(());
        }
        let mut stdout = anstream::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            Err(error) => Err(Failure::Output(error)),
            Ok(()) => Ok(()),
        }
    }
}

pub fn to_json<T: Serialize + ?Sized>(document: &T) -> Result<String, Failure> {
    serde_json::to_string_pretty(document).map(|text| text + "\n").map_err(Failure::Json)
}

pub fn to_yaml<T: Serialize + ?Sized>(document: &T) -> Result<String, Failure> {
    let text = serde_saphyr::to_string(&document).map_err(Failure::Yaml)?;
    Ok(if text.ends_with('\n') { text } else { text + "\n" })
}

/// The text with every character that a terminal would obey replaced, line breaks excepted: names come
/// from VM definitions that others wrote.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_text_that_looks_like_something_else_stays_a_text_in_yaml() {
        for text in [
            "0000:41:00.0",
            "1:30",
            "007",
            "1e3",
            "0x10",
            "yes",
            "no",
            "on",
            "null",
            "~",
            "",
            "- a",
            "a: b",
            "#x",
        ] {
            let yaml = to_yaml(&json!({ "text": text })).expect("is written");
            let read: Value = serde_saphyr::from_str(&yaml).expect("is read");
            assert_eq!(read, json!({ "text": text }), "{yaml}");
        }
    }

    #[test]
    fn a_text_that_yaml_1_1_reads_as_a_number_is_quoted() {
        for text in ["0000:41:00.0", "1:30", "007", "0x10", "1_000", "yes", "on"] {
            let yaml = to_yaml(&json!({ "text": text })).expect("is written");
            assert!(yaml.contains(['"', '\'']), "{yaml}");
        }
    }

    #[test]
    fn a_terminal_is_not_commanded_by_a_name() {
        assert_eq!(printable("vm\u{1b}[2J\u{9b}1m\r\nx"), "vm\u{fffd}[2J\u{fffd}1m\u{fffd}\nx");
    }
}
