//! Reads recorded histories from files of several formats, and writes our own.
//!
//! [`read`] takes a file of any format and gives a [`History`]; [`events`] gives the rows of those formats that are logs
//! of invocations and completions; [`write()`] writes the format `quorate`, which can say everything that a history can.
//!
//! What the formats mean where they differ:
//!
//! | format | a read that gave nothing | a failed cas | values at first | time |
//! |---|---|---|---|---|
//! | `jepsen-edn`, `json` | unknown (registers, `:read` in transactions), else absent | did not happen | see below | order of rows |
//! | `jepsen-log` | the key was absent | saw another value | absent | order of rows |
//! | `porcupine-kv` | the empty text | | the empty text | order of rows |
//! | `plume` | | | 0 | none, only sessions |
//! | `awdit` | | | absent | none, only sessions |
//! | `quorate` | as written | as written | as written | as written |
//!
//! A Jepsen history of registers does not say what they hold at first. If [`Options::initial`] does not either, each key
//! is taken to hold what the first operation saw that saw it before any write had ended, provided that no write
//! began before that could explain it, or only one that overlaps it; a value of a refused write is never taken. If nothing was
//! seen so, the key is absent at first, as are all keys of transactions with the short words `:r` and `:w`. For a bank, the balances
//! at first follow from the first read that no transfer overlaps; what does not follow stays unknown.

mod awdit;
mod bands;
mod build;
mod detect;
mod draft;
mod edn;
mod function;
mod initial;
mod interpret;
mod json;
mod lanes;
pub mod limits;
mod log;
mod object;
mod place;
mod plume;
mod quorate;
mod source;
mod write;

pub use detect::detect;
pub use write::write;

use crate::{Datum, Event, History, Object};
use interpret::Interpreter;
use source::Source;
use std::fmt;
use std::io::Read;

/// How a file writes a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// Operations of Jepsen, Knossos or Elle as EDN maps: in a list, or one after another.
    JepsenEdn,
    /// Jepsen's log, one row a line: `INFO  jepsen.util - 0<tab>:invoke<tab>:read<tab>nil`.
    JepsenLog,
    /// The operations of `jepsen-edn` as JSON: in an array, or one after another.
    Json,
    /// Porcupine's stores: EDN maps with `:key`, and get, put, append.
    PorcupineKv,
    /// Transactions of PolySI and Plume: `r(key,value,session,transaction)` and `w(...)`; transaction -1 was aborted.
    Plume,
    /// Transactions of AWDIT's tests: `r key value`, `w key value`, `-----` between transactions, `=====` between sessions.
    Awdit,
    /// Our own: JSON, one operation a line, behind a header. [`write()`] tells it all.
    Quorate,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 7] = [
        Format::JepsenEdn,
        Format::JepsenLog,
        Format::Json,
        Format::PorcupineKv,
        Format::Plume,
        Format::Awdit,
        Format::Quorate,
    ];

    /// The name on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Format::JepsenEdn => "jepsen-edn",
            Format::JepsenLog => "jepsen-log",
            Format::Json => "json",
            Format::PorcupineKv => "porcupine-kv",
            Format::Plume => "plume",
            Format::Awdit => "awdit",
            Format::Quorate => "quorate",
        }
    }

    /// The format of that name.
    pub fn of_word(word: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.word() == word)
    }
}

/// What the caller knows about a file.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Its format; told from its content if this is `None`.
    pub format: Option<Format>,
    /// What it is about; told from the operations if this is `None`. The format `quorate` says it itself.
    pub object: Option<Object>,
    /// What every key holds at first; a map gives the value of each key. [`value`] makes one from a text.
    pub initial: Option<Datum>,
}

/// Why a file is not a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1; 0 if it is about no file.
    pub line: u32,
    /// The byte within the line, from 1, if known.
    pub column: Option<u32>,
    /// What is wrong.
    pub why: String,
}

impl Problem {
    pub(crate) fn at(line: u32, why: impl Into<String>) -> Problem {
        Problem { line, column: None, why: why.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.column) {
            (0, _) => write!(f, "{}", self.why),
            (line, None) => write!(f, "line {line}: {}", self.why),
            (line, Some(column)) => write!(f, "line {line}, column {column}: {}", self.why),
        }
    }
}

impl std::error::Error for Problem {}

/// Reads a history. The file is read in pieces; bytes are enough too: `read(&bytes[..], &options)`.
///
/// # Errors
/// If the file cannot be read, is not of the format, contradicts itself, or exceeds one of the [`limits`].
pub fn read(file: impl Read, options: &Options) -> Result<History, Problem> {
    let mut source = Source::new(file);
    let beginning = source.beginning(detect::BEGINNING);
    let format = match options.format {
        Some(format) => format,
        None => detect(beginning)?,
    };
    // The other format that it may be, for the message if it is not what was said.
    let other = match options.format.and(detect(beginning).ok()) {
        Some(other) if !detect::fits(other, format) => Some(other),
        Some(_) | None => None,
    };
    detect::skip_mark(&mut source);
    let history = match format {
        Format::Plume => plume::read(source, options),
        Format::Awdit => awdit::read(source, options),
        Format::Quorate => quorate::read(source, options),
        Format::JepsenEdn | Format::JepsenLog | Format::Json | Format::PorcupineKv => {
            from_events(Events::of(source, format), format, options)
        }
    };
    history.map_err(|mut problem| {
        if let Some(other) = other {
            problem.why += &format!(" (read as {}; it looks like {})", format.word(), other.word());
        }
        problem
    })
}

/// A history from the rows of a log, wherever they come from: a file ([`events`]), or a test that made them. The format says
/// what the rows mean where the formats differ (is a read of nothing unknown, is a failed compare-and-set an answer).
///
/// # Errors
/// The first problem of the rows, or what they contradict.
pub fn from_events(
    events: impl IntoIterator<Item = Result<Event, Problem>>,
    format: Format,
    options: &Options,
) -> Result<History, Problem> {
    let mut interpreter = Interpreter::new(format, options);
    events.into_iter().try_for_each(|event| interpreter.event(event?))?;
    interpreter.finish()
}

/// The rows of a log. An error ends it.
pub struct Events<R> {
    rows: Rows<R>,
    over: bool,
}

enum Rows<R> {
    Edn(Box<edn::Edn<R>>),
    Json(Box<json::Json<R>>),
    Log(Box<log::Log<R>>),
    /// A format that has no rows.
    None(Format),
}

/// The rows of a file in a format that consists of invocations and completions: `jepsen-edn`, `jepsen-log`, `json`,
/// `porcupine-kv`. Other formats give one [`Problem`].
pub fn events<R: Read>(file: R, format: Format) -> Events<R> {
    let mut source = Source::new(file);
    source.beginning(detect::BEGINNING);
    detect::skip_mark(&mut source);
    Events::of(source, format)
}

impl<R: Read> Events<R> {
    fn of(source: Source<R>, format: Format) -> Events<R> {
        let rows = match format {
            Format::JepsenEdn | Format::PorcupineKv => Rows::Edn(Box::new(edn::Edn::new(source))),
            Format::Json => Rows::Json(Box::new(json::Json::new(source))),
            Format::JepsenLog => Rows::Log(Box::new(log::Log::new(source))),
            Format::Plume | Format::Awdit | Format::Quorate => Rows::None(format),
        };
        Events { rows, over: false }
    }
}

impl<R: Read> Iterator for Events<R> {
    type Item = Result<Event, Problem>;

    fn next(&mut self) -> Option<Result<Event, Problem>> {
        if self.over {
            return None;
        }
        let next = match &mut self.rows {
            Rows::Edn(edn) => edn.event(),
            Rows::Json(json) => json.event(),
            Rows::Log(log) => log.event(),
            Rows::None(format) => {
                Some(Err(Problem::at(0, format!("{} does not consist of invocations and completions", format.word()))))
            }
        };
        self.over = !matches!(next, Some(Ok(_)));
        next
    }
}

/// The value that a text in EDN means, for example from a command line: `0`, `nil`, `"a b"`, `{:x 0, :y 1}`.
///
/// # Errors
/// If it is not one value.
pub fn value(text: &str) -> Result<Datum, Problem> {
    let mut parser = edn::Parser::new(Source::loaded());
    parser.source.load(text.as_bytes(), 0);
    let value = parser.value()?;
    parser.skip_space()?;
    match parser.source.peek() {
        None => Ok(value),
        Some(_) => Err(parser.source.problem("more than one value")),
    }
}
