//! What registers and accounts held at first, if nobody says it.

use crate::{Key, Recorder, Step, Value};
use rustc_hash::{FxHashMap, FxHashSet};

/// Watches the operations of registers. The rule stands in the text of the module `format`.
///
/// A value of a key that was seen before anybody began to write it must have been there at first, or the history has no
/// explanation at all. Of the values that a write which overlaps could explain too, any allows more than the absence does.
#[derive(Debug, Default)]
pub(super) struct Registers {
    /// What somebody began to write.
    begun: FxHashSet<(Key, Value)>,
    /// When the first write of a key had ended.
    ended: FxHashMap<Key, u64>,
    surely: FxHashMap<Key, Value>,
    perhaps: FxHashMap<Key, Value>,
    refused: FxHashSet<(Key, Value)>,
}

impl Registers {
    pub(super) fn begin(&mut self, steps: &[Step]) {
        self.begun.extend(steps.iter().filter_map(written));
    }

    pub(super) fn refuse(&mut self, steps: &[Step]) {
        self.refused.extend(steps.iter().filter_map(written));
    }

    /// An operation that began at `begin` has ended at `end`.
    pub(super) fn end(&mut self, steps: &[Step], begin: u64, end: u64) {
        for (at, step) in steps.iter().enumerate() {
            let (key, value) = match *step {
                Step::Read { key, value: Some(value) } => (key, value),
                Step::Cas { key, from, took: Some(true), .. } => (key, from),
                _ => continue,
            };
            // What its own transaction wrote tells nothing.
            let own = steps[..at].iter().any(|before| before.key() == Some(key) && written(before).is_some());
            if own || self.ended.get(&key).is_some_and(|&ended| ended < begin) {
                continue;
            }
            let found = if self.begun.contains(&(key, value)) { &mut self.perhaps } else { &mut self.surely };
            found.entry(key).or_insert(value);
        }
        for (key, _) in steps.iter().filter_map(written) {
            self.ended.entry(key).or_insert(end);
        }
    }

    pub(super) fn finish(self, recorder: &mut Recorder) {
        for (&key, &value) in &self.perhaps {
            if !self.refused.contains(&(key, value)) {
                recorder.initial(key, value);
            }
        }
        for (&key, &value) in &self.surely {
            recorder.initial(key, value);
        }
    }
}

/// The value that a step brings into the world.
fn written(step: &Step) -> Option<(Key, Value)> {
    match *step {
        Step::Write { key, value } => Some((key, value)),
        Step::Cas { key, from, to, .. } if from != to => Some((key, to)),
        _ => None,
    }
}

/// Watches transfers and reads of accounts. A read that no transfer overlaps leaves only one first balance to each account;
/// of an account without such a read the first balance stays unknown, and the checkers try what reads could imply.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    /// What finished transfers have moved.
    moved: FxHashMap<Key, i128>,
    /// Transfers that have neither taken place nor been refused.
    unsettled: u64,
    /// When a transfer last began or was settled.
    changed: u64,
    found: FxHashMap<Key, i64>,
}

impl Accounts {
    pub(super) fn begin(&mut self, steps: &[Step], moment: u64) {
        if is_transfer(steps) {
            self.unsettled += 1;
            self.changed = moment;
        }
    }

    pub(super) fn refuse(&mut self, steps: &[Step], moment: u64) {
        if is_transfer(steps) {
            self.unsettled -= 1;
            self.changed = moment;
        }
    }

    /// An operation that began at `begin` has ended at `end`.
    pub(super) fn end(&mut self, steps: &[Step], begin: u64, end: u64) {
        self.refuse(steps, end);
        let quiet = self.unsettled == 0 && self.changed < begin;
        for step in steps {
            match *step {
                Step::Add { key, by } => {
                    *self.moved.entry(key).or_default() += i128::from(by);
                }
                Step::Count { key, number: Some(number) } if quiet => {
                    let moved = self.moved.get(&key).copied().unwrap_or_default();
                    // What does not fit stays unknown.
                    if let Ok(first) = i64::try_from(i128::from(number) - moved) {
                        self.found.entry(key).or_insert(first);
                    }
                }
                _ => {}
            }
        }
    }

    pub(super) fn finish(self, recorder: &mut Recorder) {
        let mut found: Vec<(Key, i64)> = self.found.into_iter().collect();
        found.sort_unstable();
        for (key, number) in found {
            let value = recorder.value(&number.into());
            recorder.initial(key, value);
        }
    }
}

fn is_transfer(steps: &[Step]) -> bool {
    steps.iter().any(|step| matches!(step, Step::Add { .. }))
}
