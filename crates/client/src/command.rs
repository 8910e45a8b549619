//! One command with the guarantee that it names.

use bytes::Bytes;
use quorate_core::guarantee::{Ack, Level};
use quorate_core::state::command::{self, Spec};

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
    /// Names R, for a read of a leaderless table, in place of what the table says.
    pub fn read_replicas(self, count: u8) -> Command {
        self.with(format!("r={count}"))
    }
    /// Names W, for a write to a leaderless table, in place of what the table says.
    pub fn write_replicas(self, count: u8) -> Command {
        self.with(format!("w={count}"))
    }
    /// Hands back what the receipt of a read calls seen: the write of the key replaces or removes exactly that.
    pub fn seen(self, digits: &str) -> Command {
        self.with(format!("seen={digits}"))
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
    /// The idempotency key that it carries, as text.
    pub fn idempotency(&self) -> Option<String> {
        self.idempotency.as_ref().map(|key| String::from_utf8_lossy(key).into_owned())
    }
    /// Does it certainly change nothing, however often it is sent? False for what the table of commands does not know.
    pub fn is_read(&self) -> bool {
        self.spec().is_some_and(|spec| !spec.write)
    }
    /// Can its time be limited? Only that of a command on data can.
    pub(crate) fn takes_deadline(&self) -> bool {
        self.spec().is_some()
    }
    fn spec(&self) -> Option<&'static Spec> {
        command::find(self.name().as_bytes())
    }
    /// Its name in upper case.
    pub fn name(&self) -> String {
        self.words.first().map(|word| String::from_utf8_lossy(word).to_uppercase()).unwrap_or_default()
    }

    /// Appends the command as the server reads it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.encode_within(None, out);
    }

    /// Appends the command with a deadline in milliseconds, unless it names one itself.
    pub(crate) fn encode_within(&self, deadline_ms: Option<u32>, out: &mut Vec<u8>) {
        const DEADLINE: &[u8] = b"deadline=";
        let own =
            self.with.iter().any(|word| word.get(..DEADLINE.len()).is_some_and(|it| it.eq_ignore_ascii_case(DEADLINE)));
        let deadline = deadline_ms.filter(|_| !own).map(|deadline_ms| format!("deadline={deadline_ms}"));
        let with = self.with.len() + usize::from(deadline.is_some());
        let with = if with == 0 { 0 } else { 1 + with };
        let idempotency = if self.idempotency.is_some() { 2 } else { 0 };
        out.extend_from_slice(format!("*{}\r\n", with + idempotency + self.words.len()).as_bytes());
        let mut word = |word: &[u8]| {
            out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            out.extend_from_slice(word);
            out.extend_from_slice(b"\r\n");
        };
        if with > 0 {
            word(b"WITH");
            self.with.iter().for_each(|with| word(with));
        }
        if let Some(deadline) = deadline {
            word(deadline.as_bytes());
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

    #[test]
    fn a_deadline_is_added_unless_the_command_names_its_own() {
        let within = |command: &Command| {
            let mut out = Vec::new();
            command.encode_within(Some(70), &mut out);
            String::from_utf8(out).expect("only text was put in")
        };
        assert_eq!(
            within(&Command::new(["GET", "k"])),
            "*4\r\n$4\r\nWITH\r\n$11\r\ndeadline=70\r\n$3\r\nGET\r\n$1\r\nk\r\n"
        );
        let own = Command::new(["GET", "k"]).with("DEADLINE=9");
        assert_eq!(within(&own), text(&own));
    }

    #[test]
    fn only_what_the_table_of_commands_calls_a_read_is_one() {
        for (name, is_read) in [("get", true), ("SCAN", true), ("SET", false), ("MULTI", false), ("QUORATE", false)] {
            assert_eq!(Command::new([name]).is_read(), is_read, "{name}");
        }
    }
}
