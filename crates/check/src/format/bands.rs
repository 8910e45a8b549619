//! What disturbed the system, from the rows of a nemesis.

use super::limits;
use crate::{Band, Datum, Event, Recorder};

/// Pairs of rows become bands. A nemesis writes each row twice: when it begins and when it is done.
#[derive(Debug, Default)]
pub(super) struct Bands {
    open: Vec<Open>,
    done: Vec<Band>,
}

#[derive(Debug)]
struct Open {
    function: String,
    /// Which function ends it; the same one if it is a single act.
    closer: Closer,
    band: Band,
}

#[derive(Debug, PartialEq, Eq)]
enum Closer {
    /// The second row of the same act.
    Itself,
    /// A function that begins with one of these words.
    Words(&'static [&'static str], String),
}

impl Bands {
    /// A row of the nemesis at this moment.
    pub(super) fn row(&mut self, event: &Event, moment: u64) {
        let function = &*event.function;
        if let Some(open) = self.open.iter_mut().find(|open| open.function == function && open.closer != Closer::Itself)
        {
            // Its second row often tells more than its first.
            if let Some(told) = told(&event.value) {
                open.band.what = label(function, &told);
            }
            return;
        }
        let ended = |open: &Open| match &open.closer {
            Closer::Itself => open.function == function,
            Closer::Words(words, rest) => words.iter().any(|word| function.strip_prefix(word) == Some(rest)),
        };
        let before = self.open.len();
        let (ends, goes_on): (Vec<Open>, Vec<Open>) = self.open.drain(..).partition(ended);
        self.open = goes_on;
        for Open { band, .. } in ends {
            self.keep(Band { to: moment, ..band });
        }
        let what = told(&event.value).map_or(function.to_string(), |told| label(function, &told));
        let band = Band { what, from: moment, to: moment };
        match closer(function) {
            Some(closer) => self.open.push(Open { function: function.to_string(), closer, band }),
            None if before > self.open.len() => {}
            None if is_closer(function) => {}
            None => self.open.push(Open { function: function.to_string(), closer: Closer::Itself, band }),
        }
        self.open.truncate(limits::OPEN_BANDS);
    }

    /// The history ends at this moment.
    pub(super) fn finish(mut self, recorder: &mut Recorder, moment: u64) {
        for Open { band, closer, .. } in std::mem::take(&mut self.open) {
            let to = if closer == Closer::Itself { band.from } else { moment };
            self.keep(Band { to, ..band });
        }
        self.done.sort_by_key(|band| (band.from, band.to));
        self.done.into_iter().for_each(|band| recorder.band(band));
    }

    fn keep(&mut self, band: Band) {
        if self.done.len() < limits::BANDS {
            self.done.push(band);
        }
    }
}

/// Openers and the words that end them; what follows the word must be the same in both.
const PAIRS: [(&str, &[&str]); 7] = [
    ("start", &["stop", "heal", "recover"]),
    ("partition", &["heal", "stop-partition", "recover"]),
    ("isolate", &["heal", "recover", "rejoin"]),
    ("kill", &["restart", "recover", "start"]),
    ("pause", &["resume", "continue"]),
    ("strobe", &["reset"]),
    ("bump", &["reset"]),
];

fn closer(function: &str) -> Option<Closer> {
    PAIRS.iter().find_map(|(opener, words)| {
        let rest = function.strip_prefix(opener)?;
        Some(Closer::Words(words, rest.to_string()))
    })
}

fn is_closer(function: &str) -> bool {
    PAIRS.iter().any(|(_, words)| words.iter().any(|word| *word != "start" && function.starts_with(word)))
}

fn told(value: &Datum) -> Option<String> {
    match value {
        Datum::Nil | Datum::Bool(_) => None,
        Datum::Text(text) => Some(text.to_string()),
        other => Some(other.to_string()),
    }
}

fn label(function: &str, told: &str) -> String {
    format!("{function}: {told}").chars().take(limits::BAND_CHARACTERS).collect()
}
