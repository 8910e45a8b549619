//! Transactions as AWDIT's tests write them: `r key value` or `w key value` a line, `---` between transactions, `===`
//! between sessions.

use super::interpret::set_initial;
use super::source::Source;
use super::{Options, Problem, edn, limits};
use crate::{Datum, History, Object, Recorder, Step};
use std::io::Read;

/// A transaction that is being read.
struct Reader {
    recorder: Recorder,
    steps: Vec<Step>,
    line: u32,
    session: i64,
    operations: u32,
    kept: u64,
}

/// Reads a history. Sessions are numbered from 0.
pub(super) fn read<R: Read>(mut source: Source<R>, options: &Options) -> Result<History, Problem> {
    if let Some(object) = options.object.filter(|object| *object != Object::RwRegister) {
        return Err(Problem::at(1, format!("awdit tells transactions of rw-register, not {}", object.word())));
    }
    let mut recorder = Recorder::new(Object::RwRegister);
    recorder.without_real_time();
    if let Some(initial) = &options.initial {
        set_initial(&mut recorder, initial);
    }
    let mut reader = Reader { recorder, steps: Vec::new(), line: 0, session: 0, operations: 0, kept: 0 };
    let mut text = Vec::new();
    while let Some(line) = source.line_into(&mut text) {
        source.failure()?;
        reader.line(text.trim_ascii(), line)?;
    }
    source.failure()?;
    reader.transaction_ends();
    match reader.operations {
        0 => Err(Problem::at(source.line(), "there is no operation in the file")),
        _ => Ok(reader.recorder.finish()),
    }
}

impl Reader {
    fn line(&mut self, text: &[u8], line: u32) -> Result<(), Problem> {
        match text {
            [] => Ok(()),
            _ if text.iter().all(|&byte| byte == b'-') => {
                self.transaction_ends();
                Ok(())
            }
            _ if text.iter().all(|&byte| byte == b'=') => {
                self.transaction_ends();
                self.session += 1;
                Ok(())
            }
            _ => {
                let Some((is_write, key, value)) = parse(text) else {
                    let shown: String = String::from_utf8_lossy(text).chars().take(60).collect();
                    let why = format!("r key value, w key value, --- or === was expected, not {shown:?}");
                    return Err(Problem::at(line, why));
                };
                let (key, value) = (self.recorder.key(&key), self.recorder.value(&value));
                if self.steps.is_empty() {
                    self.line = line;
                }
                let value_read = Some(value);
                self.steps.push(if is_write {
                    Step::Write { key, value }
                } else {
                    Step::Read { key, value: value_read }
                });
                self.kept += 1;
                if self.kept >= limits::STEPS {
                    return Err(Problem::at(line, "the history is too large: its numbers do not fit into 32 bits"));
                }
                Ok(())
            }
        }
    }

    fn transaction_ends(&mut self) {
        if self.steps.is_empty() {
            return;
        }
        let session = self.recorder.session(&self.session.into());
        let begin = 2 * u64::from(self.operations);
        let ticket = self.recorder.begin(session, begin, self.line, &self.steps);
        self.recorder.end(ticket, begin + 1, &self.steps);
        self.operations += 1;
        self.steps.clear();
    }
}

fn parse(text: &[u8]) -> Option<(bool, Datum, Datum)> {
    let mut words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let is_write = match words.next()? {
        b"r" => false,
        b"w" => true,
        _ => return None,
    };
    let (key, value) = (edn::whole(words.next()?)?, edn::whole(words.next()?)?);
    words.next().is_none().then_some((is_write, key, value))
}
