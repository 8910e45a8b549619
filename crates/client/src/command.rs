//! One command with the guarantee that it names.

use bytes::Bytes;
use quorate_core::guarantee::{Ack, Level};

/// One command, and the words that go before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    words: Vec<Bytes>,
    with: Vec<Bytes>,
    idempotency: Option<Bytes>,
}

impl Command {
    /// A command of these words.
    pub fn new<W: Into<Bytes>>(words: impl IntoIterator<Item = W>) -> Command {
        Command { words: words.into_iter().map(Into::into).collect(), ..Command::default() }
    }
    /// Adds a word.
    pub fn arg(mut self, word: impl Into<Bytes>) -> Command {
        self.words.push(word.into());
        self
    }
    /// Names the level of a read.
    pub fn level(self, level: Level) -> Command {
        self.with(level.word())
    }
    /// Names the ack of a write.
    pub fn ack(self, ack: Ack) -> Command {
        self.with(ack.word())
    }
    /// Asks for the receipt beside the value.
    pub fn receipt(self) -> Command {
        self.with("receipt")
    }
    /// Adds a word to `WITH`.
    pub fn with(mut self, word: impl Into<Bytes>) -> Command {
        self.with.push(word.into());
        self
    }
    /// Names a key under which a write is applied at most once, which makes it safe to repeat.
    pub fn idempotency_key(mut self, key: impl Into<Bytes>) -> Command {
        self.idempotency = Some(key.into());
        self
    }
    /// Does it carry an idempotency key?
    pub fn has_idempotency_key(&self) -> bool {
        self.idempotency.is_some()
    }
    /// Its name in upper case.
    pub fn name(&self) -> String {
        self.words.first().map(|word| String::from_utf8_lossy(word).to_uppercase()).unwrap_or_default()
    }

    /// Appends the command as the server reads it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let with = if self.with.is_empty() { 0 } else { 1 + self.with.len() };
        let idempotency = if self.idempotency.is_some() { 2 } else { 0 };
        out.extend_from_slice(format!("*{}\r\n", with + idempotency + self.words.len()).as_bytes());
        let mut word = |word: &[u8]| {
            out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            out.extend_from_slice(word);
            out.extend_from_slice(b"\r\n");
        };
        if !self.with.is_empty() {
            word(b"WITH");
            self.with.iter().for_each(|with| word(with));
        }
        if let Some(key) = &self.idempotency {
            word(b"IDEM");
            word(key);
        }
        self.words.iter().for_each(|own| word(own));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(command: &Command) -> String {
        let mut out = Vec::new();
        command.encode(&mut out);
        String::from_utf8(out).expect("only text was put in")
    }

    #[test]
    fn the_words_that_name_a_guarantee_go_first() {
        assert_eq!(text(&Command::new(["GET", "k"])), "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
        assert_eq!(
            text(&Command::new(["DEL", "k"]).ack(Ack::All).idempotency_key("i")),
            "*6\r\n$4\r\nWITH\r\n$3\r\nall\r\n$4\r\nIDEM\r\n$1\r\ni\r\n$3\r\nDEL\r\n$1\r\nk\r\n"
        );
    }
}
