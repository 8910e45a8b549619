//! What is judged together: the operations of keys that no operation of other keys touches.

use crate::{History, Id, Key, Object, Operation, Outcome};

/// An operation that may have taken place, as the checkers of this module see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// Which it is.
    pub id: Id,
    /// Who asked.
    pub session: u32,
    /// When it began.
    pub begin: u64,
    /// When it ended; never, if it is open.
    pub end: u64,
    /// May it take place at any later time, or never?
    pub open: bool,
}

impl Item {
    /// Had it ended before the other began?
    pub(crate) const fn precedes(&self, other: &Item) -> bool {
        self.end < other.begin
    }
}

/// Rules that a checker must respect. Tests break one at a time, to show that they would notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// What has ended comes before what begins later.
    pub real_time: bool,
    /// Operations of unknown outcome may have taken place.
    pub open: bool,
    /// Operations of unknown outcome may take place long after their session gave up.
    pub late_open: bool,
    /// A search places writes on sight too, as if they only looked.
    pub greedy_writes: bool,
    /// Of operations that ask for the same, the one that may end last goes first.
    pub late_twins: bool,
    /// Zones that lie within one moment are compared with the others.
    pub backward_zones: bool,
    /// What was there at first may be left once more, and be read behind that.
    pub returns: bool,
    /// Takes that found nothing are judged.
    pub empty_takes: bool,
}

impl Rules {
    /// All of them, as they are.
    pub(crate) const TRUE: Rules = Rules {
        real_time: true,
        open: true,
        late_open: true,
        greedy_writes: false,
        late_twins: false,
        backward_zones: true,
        returns: true,
        empty_takes: true,
    };
}

/// Keys that are judged together, and their operations.
pub(crate) struct Part {
    /// The keys, ascending.
    pub keys: Vec<Key>,
    /// The operations by begin.
    pub items: Vec<Item>,
}

/// How a history is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    /// The rules.
    pub rules: Rules,
    /// Reads count as begun this much earlier, in the unit of the history's moments.
    pub reads_earlier: u64,
}

impl View {
    /// As it is.
    pub(crate) const TRUE: View = View { rules: Rules::TRUE, reads_earlier: 0 };

    /// As it is; without times everything may have overlapped.
    pub(crate) fn of(history: &History) -> View {
        View { rules: Rules { real_time: history.has_real_time(), ..Rules::TRUE }, ..View::TRUE }
    }

    /// An operation as this view has it, unless it did not take place.
    pub(crate) fn item(&self, history: &History, id: Id) -> Option<Item> {
        let Operation { session, outcome, mut begin, mut end, .. } = *history.operation(id);
        let open = outcome == Outcome::Unknown;
        if outcome == Outcome::Refused || (open && !self.rules.open) {
            return None;
        }
        if open {
            end = if self.rules.late_open { Operation::NEVER } else { begin + 2 };
        }
        if self.reads_earlier > 0 && history.steps(id).iter().all(|step| step.is_read()) {
            begin = begin.saturating_sub(self.reads_earlier);
        }
        if !self.rules.real_time {
            (begin, end) = (0, Operation::NEVER);
        }
        Some(Item { id, session: session.0, begin, end, open })
    }

    /// The parts of a history, by their first keys. Operations without steps are in none.
    pub(crate) fn parts(&self, history: &History) -> Vec<Part> {
        let keys = history.counts().1;
        let mut leader: Vec<u32> = (0..keys as u32).collect();
        let together = history.object() == Object::Bank;
        for id in history.ids() {
            let mut touched = history.steps(id).iter().filter_map(|step| step.key());
            let Some(first) = touched.next() else { continue };
            for key in touched {
                let (a, b) = (find(&mut leader, first.0), find(&mut leader, key.0));
                leader[a.max(b) as usize] = a.min(b);
            }
        }
        let place: Vec<u32> = (0..keys as u32).map(|key| if together { 0 } else { find(&mut leader, key) }).collect();
        let mut sizes = vec![0; keys];
        let part_of = |id: Id| history.steps(id).iter().find_map(|step| step.key()).map(|key| place[key.0 as usize]);
        history.ids().filter_map(part_of).for_each(|part| sizes[part as usize] += 1);
        let empty = |size: &usize| Part { keys: Vec::new(), items: Vec::with_capacity(*size) };
        let mut parts: Vec<Part> = sizes.iter().map(empty).collect();
        for (key, &part) in place.iter().enumerate() {
            parts[part as usize].keys.push(Key(key as u32));
        }
        for id in history.ids() {
            if let (Some(part), Some(item)) = (part_of(id), self.item(history, id)) {
                parts[part as usize].items.push(item);
            }
        }
        parts.retain(|part| !part.items.is_empty());
        for part in &mut parts {
            if !part.items.is_sorted_by_key(|item| item.begin) {
                part.items.sort_by_key(|item| item.begin);
            }
        }
        parts
    }
}

/// The leader of a union of places, with its path halved.
pub(super) fn find(leader: &mut [u32], mut key: u32) -> u32 {
    while leader[key as usize] != key {
        leader[key as usize] = leader[leader[key as usize] as usize];
        key = leader[key as usize];
    }
    key
}
