//! A history of single objects as the models of sessions see it: reads, writes, and which write each read may have seen.

use super::text;
use crate::{History, Object, Outcome, Session, Spent, Step, Value};
use rustc_hash::FxHashMap;

/// No operation.
pub(super) const NONE: u32 = u32::MAX;
/// In the place of a write: the state before everything.
pub(super) const INITIAL: u32 = u32::MAX - 1;
/// In the place of a write: it is not decided which.
const OPEN: u32 = u32::MAX - 2;

/// What a read shows: the write it goes back to, and for texts the appends since, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    /// The last write that replaced the whole value, or [`INITIAL`].
    pub(super) base: u32,
    first: u32,
    count: u32,
}

impl Shown {
    /// It is not decided, or nothing is concluded from it.
    pub(super) const OPEN: Shown = Shown { base: OPEN, first: 0, count: 0 };

    pub(super) const fn write(base: u32) -> Shown {
        Shown { base, first: 0, count: 0 }
    }
    pub(super) const fn is_open(self) -> bool {
        self.base == OPEN
    }
}

/// What one operation does to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Nothing that anything is concluded from.
    Idle,
    /// It saw this value.
    Saw(Value),
    /// It saw another value than this.
    SawOther(Value),
    /// It wrote this value.
    Wrote(Value),
    /// It put this text behind what is there.
    Appended(Value),
    /// It saw the first value and wrote the second.
    Swapped(Value, Value),
}

impl Act {
    pub(super) const fn sees(self) -> bool {
        matches!(self, Act::Saw(_) | Act::SawOther(_) | Act::Swapped(..))
    }
    pub(super) const fn written(self) -> Option<Value> {
        match self {
            Act::Wrote(value) | Act::Appended(value) | Act::Swapped(_, value) => Some(value),
            Act::Idle | Act::Saw(_) | Act::SawOther(_) => None,
        }
    }
}

/// Rules that tests can switch off one by one, to see that somebody notices.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Operations of one session are in its order.
    pub(super) sessions: bool,
    /// An operation whose outcome is unknown may have taken place.
    pub(super) pending: bool,
    /// What is read comes before the reader.
    pub(super) reads: bool,
    /// The state before everything is older than every write.
    pub(super) initial: bool,
    /// What a session saw first has to be older than what it reads after.
    pub(super) saturate: bool,
    /// An unknown operation may take place after the later ones of its session.
    pub(super) late: bool,
}

impl Rules {
    pub(super) const TRUE: Rules =
        Rules { sessions: true, pending: true, reads: true, initial: true, saturate: true, late: true };
}

/// The operations of a history, by their places in it.
pub(super) struct Plain<'h> {
    pub(super) history: &'h History,
    pub(super) rules: Rules,
    pub(super) acts: Vec<Act>,
    pub(super) keys: Vec<u32>,
    pub(super) sessions: Vec<u32>,
    /// Is it bound before the later operations of its session? Operations of unknown outcome are not.
    pub(super) sure: Vec<bool>,
    /// The last sure operation of the same session before it.
    pub(super) previous: Vec<u32>,
    /// What each read shows, where there is one answer only.
    pub(super) shown: Vec<Shown>,
    /// Reads that several writes explain.
    pub(super) ambiguous: Vec<u32>,
    /// A read that no write explains.
    pub(super) nowhere: Option<u32>,
    /// The writes of each key, by place.
    writes: Groups,
    same_value: Vec<u32>,
    first_writer: FxHashMap<(u32, u32), u32>,
    texts: text::Readings,
    pub(super) has_appends: bool,
}

impl<'h> Plain<'h> {
    /// Of a history of which every operation is one read or write.
    pub(super) fn new(history: &'h History, rules: Rules) -> Result<Plain<'h>, Spent> {
        let count = history.len();
        let mut plain = Plain {
            history,
            rules,
            acts: Vec::with_capacity(count),
            keys: Vec::with_capacity(count),
            sessions: Vec::with_capacity(count),
            sure: Vec::with_capacity(count),
            previous: Vec::with_capacity(count),
            shown: vec![Shown::OPEN; count],
            ambiguous: Vec::new(),
            nowhere: None,
            writes: Groups::default(),
            same_value: vec![NONE; count],
            first_writer: FxHashMap::default(),
            texts: text::Readings::default(),
            has_appends: false,
        };
        plain.take_operations();
        let written = |id: u32| plain.acts[id as usize].written().map(|_| plain.keys[id as usize]);
        plain.writes = Groups::new(history.counts().1, count, written);
        plain.explain_reads()?;
        Ok(plain)
    }

    fn take_operations(&mut self) {
        let mut last = vec![NONE; self.history.counts().2];
        for id in self.history.ids() {
            let operation = self.history.operation(id);
            let Session(session) = operation.session;
            let unknown = operation.outcome == Outcome::Unknown;
            let (act, key) = match self.history.steps(id) {
                _ if operation.outcome == Outcome::Refused || unknown && !self.rules.pending => (Act::Idle, 0),
                [] => (Act::Idle, 0),
                [_, _, ..] => unreachable!("nobody asks for this of operations of several steps"),
                [step] => (self.act(step, unknown), step.key().map_or(0, |key| key.0)),
            };
            self.has_appends |= matches!(act, Act::Appended(_));
            self.acts.push(act);
            self.keys.push(key);
            self.sessions.push(session);
            // A compare-and-set whose answer is not known may not have written.
            let unsure = unknown || matches!(self.history.steps(id), [Step::Cas { took: None, .. }]);
            let sure = act != Act::Idle && (!unsure || !self.rules.late);
            self.sure.push(sure);
            self.previous.push(if act == Act::Idle || !self.rules.sessions { NONE } else { last[session as usize] });
            if sure {
                last[session as usize] = id.0;
            }
        }
    }

    fn act(&self, step: &Step, unknown: bool) -> Act {
        let texts = self.history.object() == Object::Kv;
        let plain = |value: Value| {
            let empty = texts && self.history.value(value).name() == Some("");
            if empty { Value::NIL } else { value }
        };
        match *step {
            Step::Read { value: Some(value), .. } if !unknown => Act::Saw(plain(value)),
            Step::Write { value, .. } => Act::Wrote(plain(value)),
            Step::Append { value, .. } => Act::Appended(plain(value)),
            Step::Cas { from, to, took: Some(true), .. } if !unknown => Act::Swapped(from, to),
            Step::Cas { from, took: Some(false), .. } if !unknown => Act::SawOther(from),
            // Whether it took is not known: it may have written, and nothing is concluded from what it saw.
            Step::Cas { to, .. } => Act::Wrote(to),
            _ => Act::Idle,
        }
    }

    /// Which writes may each read have seen? One: that one. None: the read is from nowhere. Several: ambiguous.
    fn explain_reads(&mut self) -> Result<(), Spent> {
        if self.has_appends {
            self.texts = text::Readings::new(self)?;
        } else {
            for id in (0..self.acts.len() as u32).rev() {
                if let Some(value) = self.acts[id as usize].written() {
                    let first = self.first_writer.entry((self.keys[id as usize], value.0)).or_insert(NONE);
                    self.same_value[id as usize] = std::mem::replace(first, id);
                }
            }
        }
        for id in 0..self.acts.len() as u32 {
            if self.acts[id as usize].sees() {
                match self.options_up_to(id, 2)[..] {
                    [] => {
                        self.nowhere.get_or_insert(id);
                    }
                    [only] => self.shown[id as usize] = only,
                    [..] => self.ambiguous.push(id),
                }
            }
        }
        Ok(())
    }

    /// What a read may show.
    pub(super) fn options(&self, read: u32) -> Vec<Shown> {
        self.options_up_to(read, usize::MAX)
    }

    fn options_up_to(&self, read: u32, most: usize) -> Vec<Shown> {
        let key = self.keys[read as usize];
        let mut options = Vec::new();
        let initial = self.initial(key);
        match self.acts[read as usize] {
            Act::Saw(value) | Act::Swapped(value, _) => {
                if self.has_appends {
                    return self.texts.of(key, value);
                }
                if value == initial {
                    options.push(Shown::write(INITIAL));
                }
                let mut writer = self.first_writer.get(&(key, value.0)).copied().unwrap_or(NONE);
                while writer != NONE && options.len() < most {
                    if writer != read {
                        options.push(Shown::write(writer));
                    }
                    writer = self.same_value[writer as usize];
                }
            }
            Act::SawOther(value) => {
                if value != initial {
                    options.push(Shown::write(INITIAL));
                }
                let others = self.writes_of(key).iter().filter(|&&id| self.acts[id as usize].written() != Some(value));
                options.extend(others.take(most).map(|&id| Shown::write(id)));
            }
            Act::Idle | Act::Wrote(_) | Act::Appended(_) => {}
        }
        options
    }

    pub(super) fn initial(&self, key: u32) -> Value {
        let initial = self.history.initial(crate::Key(key));
        let empty = self.history.object() == Object::Kv && self.history.value(initial).name() == Some("");
        if empty { Value::NIL } else { initial }
    }

    /// The writes of a key that may take effect, by place.
    pub(super) fn writes_of(&self, key: u32) -> &[u32] {
        self.writes.of(key)
    }

    pub(super) fn appended(&self, shown: Shown) -> &[u32] {
        match self.texts.arena() {
            [] => &[],
            arena => &arena[shown.first as usize..(shown.first + shown.count) as usize],
        }
    }

    /// All writes that a read shows, in order.
    pub(super) fn sources(&self, shown: Shown) -> impl DoubleEndedIterator<Item = u32> + Clone + '_ {
        let base = if shown.base < OPEN { Some(shown.base) } else { None };
        base.into_iter().chain(self.appended(shown).iter().copied())
    }

    /// The n-th of these writes.
    pub(super) fn source(&self, shown: Shown, at: u32) -> Option<u32> {
        if shown.base >= OPEN {
            return self.appended(shown).get(at as usize).copied();
        }
        if at == 0 { Some(shown.base) } else { self.appended(shown).get(at as usize - 1).copied() }
    }

    /// Does the read show this write?
    pub(super) fn shows(&self, shown: Shown, write: u32) -> bool {
        shown.base == write || self.appended(shown).contains(&write)
    }

    /// Which operations take part: those that surely took place, and unknown writes that a read shows.
    pub(super) fn taking_part(&self, shown: &[Shown]) -> Vec<bool> {
        let mut part = self.sure.clone();
        for &what in shown {
            for source in self.sources(what) {
                part[source as usize] = true;
            }
        }
        part
    }

    /// The operations of each session that are bound in its order.
    pub(super) fn chains(&self) -> Vec<Vec<u32>> {
        let mut chains = vec![Vec::new(); self.history.counts().2];
        for (id, &session) in self.sessions.iter().enumerate() {
            if self.sure[id] {
                chains[session as usize].push(id as u32);
            }
        }
        chains
    }
}

impl Shown {
    pub(super) const fn text(base: u32, first: u32, count: u32) -> Shown {
        Shown { base, first, count }
    }
}

/// Places by group, in order.
#[derive(Default)]
pub(super) struct Groups {
    starts: Vec<u32>,
    members: Vec<u32>,
}

impl Groups {
    pub(super) fn new(groups: usize, count: usize, group: impl Fn(u32) -> Option<u32>) -> Groups {
        let mut starts = vec![0; groups + 2];
        for at in 0..count as u32 {
            if let Some(group) = group(at) {
                starts[group as usize + 2] += 1;
            }
        }
        for at in 2..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut members = vec![0; starts[groups + 1] as usize];
        for at in 0..count as u32 {
            if let Some(group) = group(at) {
                let next = &mut starts[group as usize + 1];
                members[*next as usize] = at;
                *next += 1;
            }
        }
        Groups { starts, members }
    }
    pub(super) fn of(&self, group: u32) -> &[u32] {
        let at = group as usize;
        &self.members[self.starts[at] as usize..self.starts[at + 1] as usize]
    }
}
