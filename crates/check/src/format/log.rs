//! Jepsen's log: rows among other lines of a program's log.

use super::draft::{Draft, Field, Names};
use super::source::Source;
use super::{Problem, detect, edn};
use crate::{Datum, Event};
use std::io::{Empty, Read};

/// Reads rows.
pub(super) struct Log<R> {
    source: Source<R>,
    line: Vec<u8>,
    parser: edn::Parser<Empty>,
    names: Names,
}

impl<R: Read> Log<R> {
    pub(super) fn new(source: Source<R>) -> Log<R> {
        let parser = edn::Parser::new(Source::loaded());
        Log { source, line: Vec::new(), parser, names: Names::default() }
    }

    /// The next row.
    pub(super) fn event(&mut self) -> Option<Result<Event, Problem>> {
        loop {
            let Some(number) = self.source.line_into(&mut self.line) else {
                return self.source.failure().err().map(Err);
            };
            if let Err(problem) = self.source.failure() {
                return Some(Err(problem));
            }
            match self.row(number) {
                Ok(None) => {}
                Ok(Some(event)) => return Some(Ok(event)),
                Err(problem) => return Some(Err(problem)),
            }
        }
    }

    /// The row in the line, if it is one.
    fn row(&mut self, number: u32) -> Result<Option<Event>, Problem> {
        let text = std::str::from_utf8(&self.line).map_err(|_| Problem::at(number, "bytes that are not UTF-8"))?;
        let Some(at) = detect::row_type(&self.line) else {
            return match is_chatter(text) {
                true => Ok(None),
                false => {
                    let shown: String = text.chars().take(60).collect();
                    Err(Problem::at(number, format!("this is neither a row nor another line of a log: {shown:?}")))
                }
            };
        };
        let before = text[..at].trim_end();
        let process = before.rsplit([' ', '\t']).next().unwrap_or_default();
        let mut draft = Draft::new(number);
        let mut fields = text[at..].splitn(3, '\t');
        let (kind, function) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default().trim());
        self.parser.source.load(process.as_bytes(), number);
        draft.set(Field::Process, self.parser.value()?, &mut self.names)?;
        draft.name(Field::Kind, kind, &mut self.names)?;
        draft.name(Field::Function, function, &mut self.names)?;
        let value = fields.next().unwrap_or_default();
        // What follows the value in a further column is a message.
        let (value, message) = value.split_once('\t').map_or((value, None), |(value, more)| (value, Some(more)));
        draft.set(Field::Value, value_of(&mut self.parser, value, number)?, &mut self.names)?;
        if let Some(message) = message {
            draft.set(Field::Error, Datum::text(message.trim()), &mut self.names)?;
        }
        draft.finish().map(Some)
    }
}

/// The value in a column.
fn value_of(parser: &mut edn::Parser<Empty>, text: &str, number: u32) -> Result<Datum, Problem> {
    if text.trim().is_empty() {
        return Ok(Datum::Nil);
    }
    parser.source.load(text.as_bytes(), number);
    let value = parser.value()?;
    parser.skip_space()?;
    match parser.source.peek() {
        None => Ok(value),
        Some(_) => Err(Problem::at(number, format!("{text:?} is not one value"))),
    }
}

/// Is it a line of a log that tells something else? A row that was cut off must not pass as such.
fn is_chatter(text: &str) -> bool {
    let levels = ["INFO", "WARN", "ERROR", "DEBUG", "TRACE"];
    let level = text.split_whitespace().take(4).any(|word| levels.contains(&word));
    let said = text.split_once("jepsen.util - ").and_then(|(_, said)| said.split_whitespace().next());
    let row = said.is_some_and(|word| word == ":nemesis" || word.bytes().all(|byte| byte.is_ascii_digit()));
    text.trim().is_empty() || (level && !row)
}
