//! Bytes of a file, with the line where one is.

use super::{Problem, limits};
use std::io::{ErrorKind, Read};

/// How much is read at once.
const CHUNK: usize = 64 * 1024;

/// A file, read in chunks. When it cannot be read, or a record is too long, it ends early; [`Source::problem`] tells why.
pub(super) struct Source<R> {
    reader: R,
    buffer: Vec<u8>,
    at: usize,
    /// Where the buffer begins in the file.
    base: u64,
    line: u32,
    line_began: u64,
    record_began: u64,
    /// Has the reader nothing more?
    over: bool,
    failure: Option<Problem>,
}

impl<R: Read> Source<R> {
    pub(super) fn new(reader: R) -> Source<R> {
        Source {
            reader,
            buffer: Vec::new(),
            at: 0,
            base: 0,
            line: 1,
            line_began: 0,
            record_began: 0,
            over: false,
            failure: None,
        }
    }

    /// The first bytes, without taking them: at least `least` of them if the file has as many.
    pub(super) fn beginning(&mut self, least: usize) -> &[u8] {
        while self.buffer.len() - self.at < least && self.fill() {}
        &self.buffer[self.at..]
    }

    /// The next byte, without taking it.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<u8> {
        if self.at == self.buffer.len() && !self.refill() {
            return None;
        }
        Some(self.buffer[self.at])
    }

    /// Takes the next byte.
    #[inline]
    pub(super) fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        if byte == b'\n' {
            self.line_ends();
        }
        Some(byte)
    }

    /// Takes bytes as long as they are wanted, ends of lines too.
    #[inline]
    pub(super) fn skip_while(&mut self, wanted: impl Fn(u8) -> bool) {
        loop {
            while let Some(&byte) = self.buffer.get(self.at) {
                if !wanted(byte) {
                    return;
                }
                self.at += 1;
                if byte == b'\n' {
                    self.line_ends();
                }
            }
            if !self.refill() {
                return;
            }
        }
    }

    /// Takes bytes as long as they are wanted, of which none may be the end of a line, and puts them behind `into`.
    #[inline]
    pub(super) fn take_while(&mut self, into: &mut Vec<u8>, wanted: impl Fn(u8) -> bool) {
        loop {
            let rest = &self.buffer[self.at..];
            let length = rest.iter().position(|&byte| !wanted(byte)).unwrap_or(rest.len());
            into.extend_from_slice(&rest[..length]);
            let all = length == rest.len();
            self.at += length;
            if !all || !self.refill() {
                return;
            }
        }
    }

    /// Takes a line, without its end, and tells its number; `None` at the end of the file.
    pub(super) fn line_into(&mut self, into: &mut Vec<u8>) -> Option<u32> {
        into.clear();
        self.peek()?;
        let number = self.line;
        self.begin_record();
        self.take_while(into, |byte| byte != b'\n');
        self.next();
        if into.last() == Some(&b'\r') {
            into.pop();
        }
        Some(number)
    }

    /// A record begins here; [`limits::RECORD_BYTES`] counts from here.
    pub(super) fn begin_record(&mut self) {
        self.record_began = self.base + self.at as u64;
    }

    /// The line of the next byte.
    pub(super) fn line(&self) -> u32 {
        self.line
    }

    /// A problem at the next byte, or the one why the file ended early.
    pub(super) fn problem(&self, why: impl Into<String>) -> Problem {
        let column = self.base + self.at as u64 - self.line_began + 1;
        let here = Problem { line: self.line, column: u32::try_from(column).ok(), why: why.into() };
        self.failure.clone().unwrap_or(here)
    }

    /// Why the file ended early, if it did.
    pub(super) fn failure(&self) -> Result<(), Problem> {
        self.failure.clone().map_or(Ok(()), Err)
    }

    #[inline]
    fn line_ends(&mut self) {
        self.line = self.line.saturating_add(1);
        self.line_began = self.base + self.at as u64;
    }

    #[cold]
    fn refill(&mut self) -> bool {
        self.base += self.at as u64;
        self.buffer.drain(..self.at);
        self.at = 0;
        let read = self.base + self.buffer.len() as u64;
        if read.saturating_sub(self.record_began) > limits::RECORD_BYTES {
            let why = format!("a line or record is longer than {} MiB", limits::RECORD_BYTES >> 20);
            self.fail(why);
            return false;
        }
        self.fill()
    }

    /// Puts more bytes behind the buffer.
    fn fill(&mut self) -> bool {
        if self.over {
            return false;
        }
        let length = self.buffer.len();
        self.buffer.resize(length + CHUNK, 0);
        let read = loop {
            match self.reader.read(&mut self.buffer[length..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        let count = read.as_ref().map_or(0, |&count| count);
        self.buffer.truncate(length + count);
        self.over = count == 0;
        if let Err(error) = read {
            self.fail(format!("cannot be read further: {error}"));
        }
        count > 0
    }

    fn fail(&mut self, why: String) {
        self.over = true;
        self.failure.get_or_insert(Problem { line: self.line, column: None, why });
    }
}

impl Source<std::io::Empty> {
    /// A text that is there already; [`Source::load`] gives it.
    pub(super) fn loaded() -> Source<std::io::Empty> {
        Source::new(std::io::empty())
    }

    /// Begins anew with this text, which stands in that line.
    pub(super) fn load(&mut self, text: &[u8], line: u32) {
        self.buffer.clear();
        self.buffer.extend_from_slice(text);
        (self.at, self.base, self.line_began, self.record_began) = (0, 0, 0, 0);
        (self.line, self.over, self.failure) = (line, true, None);
    }
}
