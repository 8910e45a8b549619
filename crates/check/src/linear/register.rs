//! Registers whose values are written once: the operations as what they need and leave.

use super::item::Item;
use super::zone::{Contradiction, Form, NONE, Zones};
use super::{Fast, Scratch, item::Rules};
use crate::world::World;
use crate::{History, Key, Step, Value};

/// Judges the operations of one key by zones, if they are of the kind that zones can judge.
pub(super) fn judge(
    history: &History,
    world: &World<'_>,
    key: Key,
    items: &[Item],
    rules: Rules,
    scratch: &mut Scratch,
) -> Fast {
    let mut forms = Vec::with_capacity(items.len());
    let mut states = States { initial: world.plain(history.initial(key)), count: 1, scratch };
    let mut optional = Vec::new();
    for (place, item) in items.iter().enumerate() {
        let Some(shape) = shape(world, history.steps(item.id), item.open) else {
            states.clear(history, items, world);
            return Fast::Unfit;
        };
        let needs = shape.needs.map_or(NONE, |value| states.number(value));
        let leaves = shape.leaves.map_or(NONE, |value| states.number(value));
        forms.push(Form { needs, leaves });
        if item.open || shape.unsure {
            optional.push(place as u32);
        }
    }
    let count = states.count as usize;
    states.clear(history, items, world);
    by_zones(key, items, forms, count, &optional, rules)
}

/// Judges operations whose needs are known. `optional` ones may not have taken place; they did if somebody needs what
/// they left, and else nothing is lost without them.
///
/// The state at first may be left once more. Whoever needs it may then stand at the beginning or behind that operation.
pub(super) fn by_zones(
    key: Key,
    items: &[Item],
    mut forms: Vec<Form>,
    states: usize,
    optional: &[u32],
    rules: Rules,
) -> Fast {
    let again = states as u32;
    let mut writer = vec![NONE; states + 1];
    for (place, form) in forms.iter_mut().enumerate().filter(|(_, form)| form.leaves != NONE) {
        if form.leaves == 0 {
            form.leaves = again;
        }
        if std::mem::replace(&mut writer[form.leaves as usize], place as u32) != NONE {
            return Fast::Unfit;
        }
    }
    let chain = Chain { key, items, writer: &writer, optional, rules };
    if writer[again as usize] == NONE {
        return chain.judge(forms);
    }
    let updates: Vec<usize> = (0..forms.len()).filter(|&at| forms[at].needs == 0 && forms[at].leaves != NONE).collect();
    if updates.len() > MOST_UPDATES {
        return Fast::Unfit;
    }
    // A state is updated once: one update at most goes behind the later operation.
    let mut all = Contradiction { places: Vec::new(), edges: Vec::new() };
    for behind in std::iter::once(None).chain(updates.into_iter().map(Some)) {
        let mut forms = forms.clone();
        if let Some(at) = behind {
            forms[at].needs = again;
        }
        let ended = chain.deal(&mut forms);
        match chain.judge(forms) {
            Fast::Invalid(found) => {
                all.places.extend(found.places.into_iter().chain(ended).chain([writer[again as usize]]));
                all.edges = found.edges;
            }
            other => return other,
        }
    }
    Fast::Invalid(all)
}

/// More updates of the state at first than this, if it is left once more, are not dealt to the two in every way.
const MOST_UPDATES: usize = 3;

/// Operations of one key, in which every state is left once.
struct Chain<'a> {
    key: Key,
    items: &'a [Item],
    /// By state: who left it.
    writer: &'a [u32],
    optional: &'a [u32],
    rules: Rules,
}

impl Chain<'_> {
    /// Makes those reads of the state at first need its later writer instead that cannot stand at the beginning: something
    /// else had ended before they began, whose place is the answer. All others may stand at the beginning, whatever else
    /// is true: what ended before one of them is one of them.
    fn deal(&self, forms: &mut [Form]) -> Option<u32> {
        let again = self.writer.len() as u32 - 1;
        let reads: Vec<bool> = forms.iter().map(|&form| form == Form { needs: 0, leaves: NONE }).collect();
        let mut first = None;
        // Whoever needs the later writer shows that it took place, and what it needs: that may end before all else.
        for _ in 0..2 {
            let mut kept = forms.to_vec();
            drop_unseen(&mut kept, self.writer, self.optional);
            let others = (0..kept.len()).filter(|&at| !reads[at] && !kept[at].is_empty());
            first = others.min_by_key(|&at| self.items[at].end);
            let Some(first) = first.filter(|_| self.rules.returns) else { break };
            for at in (0..forms.len()).filter(|&at| reads[at] && self.items[first].precedes(&self.items[at])) {
                forms[at].needs = again;
            }
        }
        first.map(|at| at as u32)
    }

    fn judge(&self, mut forms: Vec<Form>) -> Fast {
        if !self.optional.is_empty() {
            drop_unseen(&mut forms, self.writer, self.optional);
        }
        let kept: Vec<u32> = (0..forms.len() as u32).filter(|&at| !forms[at as usize].is_empty()).collect();
        for &at in &kept {
            let needs = forms[at as usize].needs;
            if needs != NONE && needs != 0 && self.writer[needs as usize] == NONE {
                return Fast::Invalid(Contradiction { places: vec![at], edges: Vec::new() });
            }
        }
        let items: Vec<Item> = kept.iter().map(|&at| self.items[at as usize]).collect();
        let forms: Vec<Form> = kept.iter().map(|&at| forms[at as usize]).collect();
        match Zones::new(self.key, &items, &forms, self.writer.len()).contradiction(self.rules) {
            None => Fast::Valid,
            Some(mut found) => {
                found.places.iter_mut().for_each(|place| *place = kept[*place as usize]);
                Fast::Invalid(found)
            }
        }
    }
}

/// Empties the forms of the optional operations that nobody saw.
fn drop_unseen(forms: &mut [Form], writer: &[u32], optional: &[u32]) {
    let mut is_optional = vec![false; forms.len()];
    optional.iter().for_each(|&at| is_optional[at as usize] = true);
    let mut seen: Vec<u32> = (0..forms.len()).filter(|&at| !is_optional[at]).map(|at| forms[at].needs).collect();
    while let Some(state) = seen.pop() {
        let by = if state == NONE { NONE } else { writer[state as usize] };
        if by != NONE && std::mem::take(&mut is_optional[by as usize]) {
            seen.push(forms[by as usize].needs);
        }
    }
    for (at, form) in forms.iter_mut().enumerate() {
        if is_optional[at] {
            *form = Form::EMPTY;
        }
    }
}

/// Numbers the values of one key.
struct States<'s> {
    initial: Value,
    count: u32,
    scratch: &'s mut Scratch,
}

impl States<'_> {
    fn number(&mut self, value: Value) -> u32 {
        if value == self.initial {
            return 0;
        }
        let number = &mut self.scratch.number[value.0 as usize];
        if *number == NONE {
            *number = self.count;
            self.count += 1;
        }
        *number
    }
    /// Forgets the numbers, so that the next key finds none.
    fn clear(&mut self, history: &History, items: &[Item], world: &World<'_>) {
        for item in items {
            let Some(shape) = shape(world, history.steps(item.id), item.open) else { continue };
            for value in [shape.needs, shape.leaves].into_iter().flatten() {
                self.scratch.number[value.0 as usize] = NONE;
            }
        }
    }
}

/// What an operation does to one register.
struct Shape {
    needs: Option<Value>,
    leaves: Option<Value>,
    /// It may have changed nothing.
    unsure: bool,
}

/// What an operation does to one register, if that does not depend on what is not known.
fn shape(world: &World<'_>, steps: &[Step], open: bool) -> Option<Shape> {
    let (mut needs, mut now, mut wrote, mut unsure) = (None, None, false, false);
    for step in steps {
        match *step {
            Step::Read { value, .. } => {
                let value = value.filter(|_| !open).map(|value| world.plain(value));
                match (now, value) {
                    (_, None) => {}
                    (Some(now), Some(value)) if now != value => return None,
                    (Some(_), Some(_)) => {}
                    (None, Some(_)) => (needs, now) = (value, value),
                }
            }
            Step::Write { value, .. } => (now, wrote) = (Some(world.plain(value)), true),
            Step::Cas { from, to, took, .. } => {
                let (from, to, took) = (world.plain(from), world.plain(to), took.filter(|_| !open));
                match now {
                    Some(now) if took.is_some_and(|took| took != (now == from)) => return None,
                    Some(is) if is == from => (now, wrote) = (Some(to), true),
                    Some(_) => {}
                    None if took == Some(false) || (took.is_none() && steps.len() > 1) => return None,
                    None => {
                        unsure = took.is_none();
                        (needs, now, wrote) = (Some(from), Some(to), true);
                    }
                }
            }
            Step::Append { .. }
            | Step::ReadList { .. }
            | Step::Add { .. }
            | Step::Count { .. }
            | Step::Insert { .. }
            | Step::Remove { .. }
            | Step::Contains { .. }
            | Step::Take { .. }
            | Step::Acquire { .. }
            | Step::Release { .. }
            | Step::Guarded { .. }
            | Step::Generate { .. }
            | Step::Digest { .. } => return None,
        }
    }
    let leaves = now.filter(|_| wrote && now != needs);
    Some(Shape { needs, leaves, unsure })
}
