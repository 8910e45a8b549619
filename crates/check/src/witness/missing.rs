//! Whether what a witness leaves out could be the reason why its operations alone break the model.

use crate::{History, Id, Key, Model, Object, Outcome, Step, Value};

/// An operation that was left out although a history that keeps the model may break it without that operation.
///
/// Leaving out is sound for: what only looks (a replica's last digest is what remains); in models of time, what began after
/// everybody who could tell had ended; a change whose value nobody who is kept saw; a taken element that nobody who is
/// kept put in; a lock that a session took and gave back meanwhile, or all that a session did to a lock; where one order
/// explains all, a compare-and-set of equal values; and all else where only pairs of operations are compared, or where
/// somebody who is kept saw a value that nobody wrote. Convergence needs every write that lasts to the reads and the last
/// reads of a session, and safe reads all that overlap them.
pub(super) fn missing(history: &History, model: Model, kept: &[Id]) -> Option<Id> {
    if matches!(model, Model::StrongEventual | Model::UniqueIds | Model::Fencing)
        || saw_nothing_real(history, model, kept)
    {
        return None;
    }
    let witness = Kept { history, model, kept };
    history.ids().find(|&id| {
        // What was seen of a refused transaction is another thing than what nobody wrote.
        let refused = history.operation(id).outcome == Outcome::Refused && !history.object().is_transactional();
        !refused && kept.binary_search(&id).is_err() && witness.needs(id)
    })
}

/// Did somebody who is kept see a value that nobody wrote, so that it does not matter who else was there?
fn saw_nothing_real(history: &History, model: Model, kept: &[Id]) -> bool {
    // What a number or a text is depends on more than one operation.
    let by_value = |step: &Step| !matches!(step, Step::Append { .. } | Step::Add { .. });
    // Regular and safe speak of reads, each with the updates that count for it.
    if matches!(model, Model::EventualConvergence | Model::Regular | Model::Safe)
        || history.object().is_transactional()
        || !history.ids().flat_map(|id| history.steps(id)).all(by_value)
    {
        return false;
    }
    let one_order = matches!(model, Model::Linearizable | Model::Sequential | Model::BoundedStaleness(_));
    // How many may have written it.
    let writers = |key: Option<Key>, value: Value| {
        let took_place = history.ids().filter(|&id| history.operation(id).outcome != Outcome::Refused);
        let writes = |step: &&Step| match **step {
            Step::Write { value: written, .. } | Step::Insert { value: written, .. } => {
                step.key() == key && written == value
            }
            // In one order of all it needs what it would leave.
            Step::Cas { from, to, took, .. } => {
                step.key() == key && took != Some(false) && to == value && (from != value || !one_order)
            }
            _ => false,
        };
        took_place.flat_map(|id| history.steps(id)).filter(writes).count()
    };
    let done = || kept.iter().copied().filter(|&id| history.operation(id).outcome == Outcome::Done);
    let takes = |key: Option<Key>, value: Value| {
        let takes = |step: &&Step| matches!(**step, Step::Take { value: Some(taken), .. } if taken == value);
        done().flat_map(|id| history.steps(id)).filter(takes).filter(|step| step.key() == key).count()
    };
    let unreal = |step: &Step| {
        let seen = match *step {
            Step::Read { value: Some(value), .. } | Step::Cas { from: value, took: Some(true), .. } => vec![value],
            Step::Take { value: Some(value), .. } if value != Value::NIL => vec![value],
            Step::Contains { value, there: Some(true), .. } => vec![value],
            Step::ReadList { list: Some(list), .. } => history.list(list).to_vec(),
            _ => Vec::new(),
        };
        let is_first = |value: Value| {
            matches!(step, Step::Read { .. } | Step::Cas { .. })
                && step.key().is_some_and(|key| same(history, history.initial(key), value))
        };
        let most = |value: Value| match history.object() {
            Object::Queue | Object::Stack => takes(step.key(), value),
            _ => 1,
        };
        seen.into_iter().any(|value| !is_first(value) && writers(step.key(), value) < most(value))
    };
    done().flat_map(|id| history.steps(id)).any(unreal)
        || model != Model::MutualExclusion && released_too_often(history, kept)
}

/// Has a session given back a lock more often than it can have taken it, whoever else did what?
fn released_too_often(history: &History, kept: &[Id]) -> bool {
    kept.iter().any(|&last| {
        let of = |id: Id| history.operation(id).session == history.operation(last).session;
        history.steps(last).iter().any(|step| {
            let Step::Release { key, .. } = *step else { return false };
            let releases = |id: &Id| {
                history.operation(*id).outcome == Outcome::Done
                    && of(*id)
                    && history.steps(*id).iter().any(|step| matches!(*step, Step::Release { key: of, .. } if of == key))
            };
            let acquires = |id: &Id| {
                history.operation(*id).outcome != Outcome::Refused
                    && of(*id)
                    && history.steps(*id).iter().any(|step| matches!(*step, Step::Acquire { key: of, .. } if of == key))
            };
            kept.iter().copied().filter(releases).count() > history.ids().filter(acquires).count()
        })
    })
}

struct Kept<'a> {
    history: &'a History,
    model: Model,
    kept: &'a [Id],
}

impl Kept<'_> {
    /// Could what these operations show be wrong only because this one is left out?
    fn needs(&self, id: Id) -> bool {
        let Kept { history, model, .. } = *self;
        let operation = history.operation(id);
        if model == Model::EventualConvergence {
            return self.same_key(id).any(|other| {
                let later = id > other;
                let same_session = history.operation(other).session == operation.session;
                // Without a session's last read or digest an earlier one would count in its place.
                if history.object() == Object::Replica || only_looks(history, id) {
                    same_session && later && operation.outcome == Outcome::Done && only_looks(history, other)
                } else {
                    only_looks(history, other) && !operation.precedes(history.operation(other))
                }
            });
        }
        if only_looks(history, id) {
            return false;
        }
        if model == Model::BankTotal {
            // Only the sum counts, and whose sum it is.
            let by = |step: &Step| if let Step::Add { by, .. } = *step { i128::from(by) } else { 0 };
            let known =
                |step: &Step| self.kept.iter().any(|&kept| keys(history, kept).any(|key| Some(key) == step.key()));
            return history.steps(id).iter().map(by).sum::<i128>() != 0 || !history.steps(id).iter().all(known);
        }
        let overlaps = |other: Id| {
            let other = history.operation(other);
            !other.precedes(operation) && !operation.precedes(other)
        };
        model == Model::Safe && self.same_key(id).any(|other| only_looks(history, other) && overlaps(other))
            || history.steps(id).iter().any(|step| self.needs_step(id, step))
    }

    fn same_key(&self, id: Id) -> impl Iterator<Item = Id> {
        let history = self.history;
        self.kept.iter().copied().filter(move |&other| {
            history.steps(other).iter().any(|look| history.steps(id).iter().any(|step| step.key() == look.key()))
        })
    }

    fn needs_step(&self, id: Id, step: &Step) -> bool {
        let Kept { history, model, .. } = *self;
        let one_order = matches!(
            model,
            Model::Linearizable | Model::Sequential | Model::Regular | Model::Safe | Model::BoundedStaleness(_)
        );
        let line = matches!(history.object(), Object::Queue | Object::Stack);
        let done = history.operation(id).outcome == Outcome::Done;
        let told = |depends: &dyn Fn(&Step, bool) -> bool| {
            let later = self.kept.iter().copied().filter(|&other| !self.cannot_tell(other, id));
            later.into_iter().any(|other| {
                let done = history.operation(other).outcome == Outcome::Done;
                history.steps(other).iter().filter(|look| look.key() == step.key()).any(|look| depends(look, done))
            })
        };
        match *step {
            _ if step.is_read() && !matches!(step, Step::Cas { .. }) => false,
            Step::Cas { from, to, .. } if one_order && from == to => false,
            Step::Write { value, .. } | Step::Cas { to: value, .. } => {
                told(&|look, done| depends(history, look, done, value))
            }
            Step::Append { value, .. } if history.object() == Object::ListAppend => {
                told(&|look, done| depends(history, look, done, value))
            }
            Step::Append { value, .. } => {
                let text = history.value(value).name().unwrap_or("");
                told(&|look, done| match *look {
                    Step::Read { value, .. } => {
                        let shows = |value| history.value(value).name().is_some_and(|seen| seen.contains(text));
                        done && value.is_some_and(shows)
                    }
                    Step::Write { .. } | Step::Append { .. } => false,
                    _ => true,
                })
            }
            Step::Insert { value, .. } if line => told(&|look, done| match *look {
                Step::Take { value: taken, .. } => done && taken.is_none_or(|taken| taken == value),
                Step::Insert { .. } => false,
                _ => true,
            }),
            Step::Insert { value, .. } => told(&|look, done| match *look {
                Step::ReadList { list: Some(list), .. } => done && history.list(list).contains(&value),
                Step::Contains { value: asked, there: Some(there), .. } => done && asked == value && there,
                _ => false,
            }),
            Step::Remove { key, value } => {
                self.puts(key, Some(value))
                    && told(&|look, done| match *look {
                        Step::ReadList { list: Some(list), .. } => done && !history.list(list).contains(&value),
                        Step::Contains { value: asked, there: Some(there), .. } => done && asked == value && !there,
                        _ => false,
                    })
            }
            Step::Take { value: Some(Value::NIL), .. } if done => false,
            Step::Take { key, value: Some(value) } if done => {
                self.puts(key, Some(value)) && told(&|look, done| tells(look, done))
            }
            Step::Take { key, .. } => self.puts(key, None) && told(&|look, done| tells(look, done)),
            Step::Add { by: 0, .. } => false,
            Step::Add { .. } => told(&|look, done| tells(look, done) || matches!(look, Step::Write { .. })),
            // Nobody waits for a write under a lock.
            Step::Guarded { .. } => false,
            Step::Acquire { key, .. } | Step::Release { key, .. } => self.needs_hold(id, key),
            _ => told(&|_, _| true),
        }
    }

    /// Had it ended before the other began, so that it cannot have seen it?
    fn cannot_tell(&self, seen_by: Id, id: Id) -> bool {
        let by_time = matches!(
            self.model,
            Model::Linearizable
                | Model::StrictSerializable
                | Model::Regular
                | Model::Safe
                | Model::BoundedStaleness(_)
                | Model::SetIntegrity
                | Model::Delivery
                | Model::CounterBounds
        );
        let (other, operation) = (self.history.operation(seen_by), self.history.operation(id));
        let sure = other.outcome == Outcome::Done;
        let in_order = matches!(
            self.model,
            Model::Sequential | Model::Pram | Model::WeakCausal | Model::CausalMemory | Model::CausalConvergence
        );
        // Writes follow what a read names, which a failed compare-and-set does not.
        let names = |step: &Step| !matches!(step, Step::Cas { took: Some(false), .. });
        let in_order =
            in_order || self.model == Model::WritesFollowReads && self.history.steps(seen_by).iter().all(names);
        let program = in_order || self.model == Model::Linearizable && !self.history.has_real_time();
        program && sure && other.session == operation.session && seen_by < id
            || by_time && self.history.has_real_time() && sure && other.precedes(operation)
    }

    /// Did somebody who is kept put in the element, or any?
    fn puts(&self, of: Key, value: Option<Value>) -> bool {
        self.kept.iter().flat_map(|&other| self.history.steps(other)).any(|step| match *step {
            Step::Insert { key, value: put } => key == of && value.is_none_or(|value| value == put),
            _ => false,
        })
    }

    /// Does the lock matter that this operation took or gave back? Not if its session did nothing to the lock that is kept.
    fn needs_hold(&self, id: Id, of: Key) -> bool {
        let Kept { history, model, kept } = *self;
        let acquires =
            |id: Id| history.steps(id).iter().any(|step| matches!(*step, Step::Acquire { key, .. } if key == of));
        let releases =
            |id: Id| history.steps(id).iter().any(|step| matches!(*step, Step::Release { key, .. } if key == of));
        let is_kept = |id: Id| kept.binary_search(&id).is_ok();
        let operation = history.operation(id);
        let mine = |other: Id| {
            let by = history.operation(other);
            by.session == operation.session && by.outcome != Outcome::Refused && (acquires(other) || releases(other))
        };
        if !kept.iter().any(|&other| mine(other)) {
            return false;
        }
        let done = |id: Id| history.operation(id).outcome == Outcome::Done;
        if model == Model::MutualExclusion {
            if acquires(id) {
                let could_use = |other: Id| !history.has_real_time() || !history.operation(other).precedes(operation);
                return kept.iter().any(|&other| mine(other) && releases(other) && could_use(other));
            }
            // A release could have ended what a kept acquire began before the other holder came.
            let may_end = |take: Id, other: Id| {
                let (take, other) = (history.operation(take), history.operation(other));
                !operation.precedes(take) && !other.precedes(operation) && other.session != take.session
                    || !history.has_real_time()
            };
            let takes = kept.iter().filter(|&&take| mine(take) && acquires(take));
            return takes.into_iter().any(|&take| kept.iter().any(|&other| may_end(take, other)));
        }
        if self.same_key(id).filter(|&other| done(other)).all(|other| self.cannot_tell(other, id)) {
            return false;
        }
        let by_time = model != Model::Sequential && history.has_real_time();
        let before = |one: Id, other: Id| {
            let (a, b) = (history.operation(one), history.operation(other));
            done(one) && if by_time { a.precedes(b) } else { a.session == b.session && one < other }
        };
        let alone = |one: Id, two: Id| {
            let mut others = history.ids().filter(|&third| mine(third) && done(third) && third != one && third != two);
            others.all(|third| before(third, one) || before(two, third))
        };
        let is_hold = |one: Id, two: Id| {
            acquires(one) && releases(two) && done(one) && done(two) && before(one, two) && alone(one, two)
        };
        let mut left_out = history.ids().filter(|&other| mine(other) && !is_kept(other));
        let whole = left_out.any(|other| is_hold(id, other) || is_hold(other, id));
        let last = acquires(id) && done(id) && {
            history.ids().all(|other| !mine(other) || !done(other) || other == id || before(other, id))
        };
        !(whole || last)
    }
}

fn keys(history: &History, id: Id) -> impl Iterator<Item = Key> {
    history.steps(id).iter().filter_map(Step::key)
}

fn only_looks(history: &History, id: Id) -> bool {
    let open = history.operation(id).outcome == Outcome::Unknown;
    history.steps(id).iter().all(|step| step.is_read() && !(open && matches!(step, Step::Cas { .. })))
}

/// Does a step tell anything of what was there?
fn tells(look: &Step, done: bool) -> bool {
    match look {
        Step::Write { .. } | Step::Insert { .. } | Step::Remove { .. } | Step::Add { .. } => false,
        Step::Read { .. } | Step::ReadList { .. } | Step::Count { .. } | Step::Contains { .. } => done,
        Step::Take { .. } => done,
        _ => true,
    }
}

/// To a store of texts, nothing and the empty text are the same.
fn same(history: &History, one: Value, other: Value) -> bool {
    let is_empty = |value: Value| value == Value::NIL || history.value(value).name() == Some("");
    one == other || history.object() == Object::Kv && is_empty(one) && is_empty(other)
}

/// Can the answer or the effect of a step depend on whether somebody wrote this value? What did not end tells nothing, but
/// a compare-and-set may have taken.
fn depends(history: &History, look: &Step, done: bool, value: Value) -> bool {
    match *look {
        Step::Read { value: seen, .. } => done && seen.is_some_and(|seen| same(history, seen, value)),
        Step::Cas { from, took: Some(true), .. } => same(history, from, value),
        Step::Cas { from, took: Some(false), .. } if done => !same(history, from, value),
        Step::Cas { from, .. } if !done => same(history, from, value),
        Step::ReadList { list, .. } => done && list.is_some_and(|list| history.list(list).contains(&value)),
        Step::Write { .. } => false,
        Step::Append { .. } => history.object() != Object::ListAppend,
        _ => true,
    }
}
