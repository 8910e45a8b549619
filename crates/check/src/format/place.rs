//! Where in a file of records the reader is: they stand one after another, or in one list.

use super::Problem;
use super::source::Source;
use std::io::Read;

/// A place between records.
pub(super) struct Place {
    at: At,
    /// What a list is called.
    word: &'static str,
    /// With which bytes it may begin and end.
    brackets: &'static [(u8, u8)],
}

#[derive(Clone, Copy)]
enum At {
    /// Nothing was read yet.
    Begin,
    /// Between records that stand one after another.
    Open,
    /// In a list that began in this line and ends with this byte.
    Within { line: u32, close: u8, first: bool },
    /// Behind the list.
    Behind,
}

/// What comes next.
pub(super) enum Next {
    /// The list began or ended here; its bracket is taken.
    Bracket,
    /// A record, or what separates it from the one before it in the list.
    Record { separated: bool },
    /// The end of the file.
    End,
}

impl Place {
    pub(super) const fn new(word: &'static str, brackets: &'static [(u8, u8)]) -> Place {
        Place { at: At::Begin, word, brackets }
    }

    /// What comes next, where no white space is.
    pub(super) fn next<R: Read>(&mut self, source: &mut Source<R>) -> Result<Next, Problem> {
        let here = source.line();
        let Some(byte) = source.peek() else {
            source.failure()?;
            return match self.at {
                At::Within { line, .. } => {
                    Err(source.problem(format!("the file ends in the {} that begins in line {line}", self.word)))
                }
                At::Begin | At::Open | At::Behind => Ok(Next::End),
            };
        };
        match self.at {
            At::Begin => {
                let Some(&(_, close)) = self.brackets.iter().find(|(open, _)| *open == byte) else {
                    return Ok(Next::Record { separated: false });
                };
                source.next();
                self.at = At::Within { line: here, close, first: true };
                Ok(Next::Bracket)
            }
            At::Open => Ok(Next::Record { separated: false }),
            At::Within { close, .. } if byte == close => {
                source.next();
                self.at = At::Behind;
                Ok(Next::Bracket)
            }
            At::Within { first, .. } => Ok(Next::Record { separated: !first }),
            At::Behind => Err(source.problem(format!("something follows the end of the {}", self.word))),
        }
    }

    /// A record was read.
    pub(super) fn pass(&mut self) {
        self.at = match self.at {
            At::Begin | At::Open => At::Open,
            At::Within { line, close, .. } => At::Within { line, close, first: false },
            At::Behind => At::Behind,
        };
    }
}
