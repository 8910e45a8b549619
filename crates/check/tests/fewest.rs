//! A witness has as few operations as show the contradiction: without any one of them, or any two, it shows nothing.
//!
//! One thing more is asked of it: to show *this* contradiction. Without the writer of a value that was seen too early, or was
//! refused, what is left would be a value from nowhere, which it is not. So who wrote what is seen stays.

mod brute_linear;
mod made;

use brute_linear::{Kind, Random, print, simulate};
use made::{names_or_digests, transactions};
use quorate_check::witness::{Checked, verify_alone};
use quorate_check::{
    Budget, History, Id, Key, Meter, Model, Object, Outcome, Recorder, Staleness, Step, Value, Verdict, Witness, check,
};
use std::collections::BTreeMap;

/// Of a hundred witnesses of a model, so many must show the contradiction without a look at the whole history. Of sums and
/// texts not all do: what is left out on the other side of a bound could matter for all that the second check knows.
const LEAST_ALONE: u64 = 85;

/// How many witnesses of a model there were, how many had too many operations, and one of those in words.
#[derive(Default)]
struct Count {
    invalid: u64,
    /// Confirmed without a look at the whole history.
    alone: u64,
    too_many: u64,
    example: String,
}

type Counts = BTreeMap<Model, Count>;

/// The witness without some operations. Edges stay if all that they connect does.
fn without(witness: &Witness, gone: &[Id]) -> Witness {
    let stays = |id: &Id| !gone.contains(id);
    let operations: Vec<Id> = witness.operations.iter().copied().filter(stays).collect();
    let whole = witness.edges.iter().all(|edge| stays(&edge.from) && stays(&edge.to));
    let edges = if whole { witness.edges.clone() } else { Vec::new() };
    Witness { operations, edges, ..*witness }
}

/// One or two operations that a witness does not need.
fn idle(history: &History, model: Model, witness: &Witness) -> Option<Vec<Id>> {
    let ids = &witness.operations;
    let one = ids.iter().map(|&id| vec![id]);
    let two = ids.iter().enumerate().flat_map(|(at, &a)| ids[at + 1..].iter().map(move |&b| vec![a, b]));
    let mut some = one.chain(two).filter(|gone| gone.len() < ids.len());
    some.find(|gone| {
        let fewer = without(witness, gone);
        verify_alone(history, model, &fewer) == Checked::Confirmed && !from_nowhere(history, witness, &fewer)
    })
}

/// Is a value seen in these operations of which the whole history says where it comes from, and they do not? Of texts and
/// elements it is enough that a part of what is seen was left out.
fn from_nowhere(history: &History, witness: &Witness, fewer: &Witness) -> bool {
    let all: Vec<Id> = history.ids().collect();
    let ids = &fewer.operations;
    let others = |id: Id| all.iter().copied().filter(|&other| other != id).collect::<Vec<Id>>();
    let kept = |id: Id| ids.iter().copied().filter(|&other| other != id).collect::<Vec<Id>>();
    let by_others = |id: Id, of: &[Id]| {
        let known: Vec<(Key, Value)> = of.iter().flat_map(|&id| history.steps(id)).filter_map(written).collect();
        knows(history, &known, id)
    };
    let parts = matches!(history.object(), Object::Kv | Object::Queue | Object::Stack);
    let gone = witness.operations.iter().filter(|id| !ids.contains(id));
    let pieces: Vec<(Key, Value)> = gone.flat_map(|&id| history.steps(id)).filter_map(written).collect();
    let shows = |(key, value): (Key, Value)| {
        pieces.iter().any(|&(of, piece)| {
            let texts = history.value(value).name().zip(history.value(piece).name());
            of == key && (value == piece || texts.is_some_and(|(text, piece)| text.contains(piece)))
        })
    };
    !is_grounded(history, ids, ids) && is_grounded(history, ids, &all)
        || ids.iter().any(|&id| !by_others(id, &kept(id)) && by_others(id, &others(id)))
        || parts && ids.iter().flat_map(|&id| seen(history, id)).any(shows)
        || ids.iter().any(|&id| unheld(history, &witness.operations, id) < unheld(history, ids, id))
}

/// How many releases of its session more there are than acquires.
fn unheld(history: &History, among: &[Id], id: Id) -> i64 {
    let session = history.operation(id).session;
    let mine = among.iter().filter(|&&other| history.operation(other).session == session);
    let steps = mine.flat_map(|&other| history.steps(other)).map(|step| match step {
        Step::Acquire { .. } => -1,
        Step::Release { .. } => 1,
        _ => 0,
    });
    steps.sum::<i64>().max(0)
}

/// Is each value that these operations saw the first one, or written by one of the others that did not get it from nowhere?
fn is_grounded(history: &History, ids: &[Id], others: &[Id]) -> bool {
    let mut rest: Vec<Id> = others.to_vec();
    let mut known: Vec<(Key, Value)> = Vec::new();
    loop {
        let fits = |&id: &Id| knows(history, &known, id);
        let (grounded, others): (Vec<Id>, Vec<Id>) = rest.iter().partition(|id| fits(id));
        if grounded.is_empty() {
            return ids.iter().all(|id| !rest.contains(id));
        }
        known.extend(grounded.iter().flat_map(|&id| history.steps(id)).filter_map(written));
        rest = others;
    }
}

/// Is all that an operation saw known? A failed compare-and-set saw another value than the one that it named.
fn knows(history: &History, known: &[(Key, Value)], id: Id) -> bool {
    let other = |step: &Step| match *step {
        Step::Cas { key, from, took: Some(false), .. } if history.operation(id).outcome == Outcome::Done => {
            history.initial(key) != from || known.iter().any(|&(of, value)| of == key && value != from)
        }
        _ => true,
    };
    seen(history, id).into_iter().all(|(key, value)| is_known(history, known, key, value))
        && history.steps(id).iter().all(other)
}

/// A value of a register or an element is known if it is the first or was written, a text if it is made of such texts.
fn is_known(history: &History, known: &[(Key, Value)], key: Key, value: Value) -> bool {
    if value == history.initial(key) || known.contains(&(key, value)) {
        return true;
    }
    let Some(text) = history.value(value).name().filter(|_| history.object() == Object::Kv) else { return false };
    let mut reached = vec![true];
    let pieces: Vec<&str> =
        known.iter().filter(|(of, _)| *of == key).filter_map(|(_, piece)| history.value(*piece).name()).collect();
    for end in 1..=text.len() {
        let ends = |piece: &&str| !piece.is_empty() && text[..end].ends_with(*piece) && reached[end - piece.len()];
        reached.push(pieces.iter().any(ends));
    }
    reached[text.len()]
}

fn written(step: &Step) -> Option<(Key, Value)> {
    match *step {
        Step::Write { key, value } | Step::Append { key, value } | Step::Insert { key, value } => Some((key, value)),
        Step::Cas { key, to, took, .. } if took != Some(false) => Some((key, to)),
        _ => None,
    }
}

/// What an operation saw and did not write itself before.
fn seen(history: &History, id: Id) -> Vec<(Key, Value)> {
    let mut seen = Vec::new();
    let steps = history.steps(id);
    for (at, step) in steps.iter().enumerate().filter(|_| history.operation(id).outcome == Outcome::Done) {
        let (key, values) = match *step {
            Step::Read { key, value: Some(value) } => (key, vec![value]),
            Step::Take { key, value: Some(value) } if value != Value::NIL => (key, vec![value]),
            Step::Cas { key, from, took: Some(true), .. } => (key, vec![from]),
            Step::Contains { key, value, there: Some(true) } => (key, vec![value]),
            Step::ReadList { key, list: Some(list) } => (key, history.list(list).to_vec()),
            _ => continue,
        };
        let own: Vec<(Key, Value)> = steps[..at].iter().filter_map(written).collect();
        let values = values.into_iter().map(|value| (key, value));
        seen.extend(values.filter(|value| !own.contains(value)));
    }
    seen
}

fn found(history: &History, model: Model) -> Option<Witness> {
    match check(history, model, &mut Meter::new(Budget::DEFAULT)).expect("it applies") {
        Verdict::Invalid(witness) => Some(witness),
        Verdict::Valid | Verdict::Unknown(_) => None,
    }
}

fn judge(history: &History, counts: &mut Counts) {
    let models = Model::ALL.into_iter().chain([Model::BoundedStaleness(Staleness::Moments(4))]);
    for model in models.filter(|model| model.applies_to(history.object())) {
        let Some(witness) = found(history, model) else { continue };
        let count = counts.entry(model).or_default();
        count.invalid += 1;
        match verify_alone(history, model, &witness) {
            Checked::Confirmed => count.alone += 1,
            Checked::Undecided(_) => {}
            Checked::Refuted(why) => panic!("{model:?} {why}: {witness:?} of\n{}", print(history)),
        }
        if let Some(gone) = idle(history, model, &witness) {
            count.too_many += 1;
            let (all, few) = (history.restrict(&witness.operations), history.restrict(&gone));
            if count.example.is_empty() || print(&all).len() < count.example.len() / 3 {
                let places = |ids: &[Id]| format!("{:?}", ids.iter().map(|id| id.0).collect::<Vec<u32>>());
                let edges: Vec<String> = witness
                    .edges
                    .iter()
                    .map(|edge| format!("{} {} {}", edge.from.0, edge.why.word(), edge.to.0))
                    .collect();
                count.example = format!(
                    "{}\n{}without {}\n{}edges {edges:?}\nof {}\n{}",
                    witness.anomaly.word(),
                    print(&all),
                    places(&gone),
                    print(&few),
                    places(&witness.operations),
                    print(history)
                );
            }
        }
    }
}

fn report(object: Object, counts: &Counts) {
    let mut wrong = String::new();
    for (model, count) in counts {
        let (object, model, Count { invalid, alone, too_many, .. }) = (object.word(), model.word(), count);
        println!("{object} {model}: of {invalid} witnesses {alone} stand alone, {too_many} are too large");
        assert!(alone * 100 >= LEAST_ALONE * invalid, "{object} {model}: only {alone} of {invalid} stand alone");
        if count.too_many > 0 {
            wrong += &format!("{object} {model}: {}\n", count.example);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Histories of one object, all different.
fn of_object(object: Object, number: u64) {
    let mut counts = Counts::new();
    let mut random = Random(0xFE_3E57 ^ (object as u64) << 9);
    for round in 0..number {
        let history = match object {
            Object::ListAppend | Object::RwRegister => transactions(object, &mut random),
            Object::UniqueId | Object::Replica => names_or_digests(object, &mut random),
            _ => {
                let keys = if object == Object::Bank { 2 } else { 1 + round % 2 };
                let values = if matches!(object, Object::Mutex | Object::FencedLock) { 1 } else { round % 3 };
                simulate(Kind { values, keys, ..Kind::new(object) }, &mut random)
            }
        };
        judge(&history, &mut counts);
    }
    report(object, &counts);
}

#[test]
fn witnesses_of_registers_are_the_fewest() {
    of_object(Object::Register, 3_000);
}

#[test]
fn witnesses_of_swaps_are_the_fewest() {
    of_object(Object::CasRegister, 2_000);
}

#[test]
fn witnesses_of_texts_are_the_fewest() {
    of_object(Object::Kv, 2_000);
}

#[test]
fn witnesses_of_counters_are_the_fewest() {
    of_object(Object::Counter, 4_000);
}

#[test]
fn witnesses_of_banks_are_the_fewest() {
    of_object(Object::Bank, 3_000);
}

#[test]
fn witnesses_of_sets_are_the_fewest() {
    of_object(Object::Set, 4_000);
}

#[test]
fn witnesses_of_queues_are_the_fewest() {
    of_object(Object::Queue, 4_000);
}

#[test]
fn witnesses_of_stacks_are_the_fewest() {
    of_object(Object::Stack, 4_000);
}

#[test]
fn witnesses_of_locks_are_the_fewest() {
    of_object(Object::Mutex, 4_000);
}

#[test]
fn witnesses_of_fenced_locks_are_the_fewest() {
    of_object(Object::FencedLock, 4_000);
}

#[test]
fn witnesses_of_lists_are_the_fewest() {
    of_object(Object::ListAppend, 4_000);
}

#[test]
fn witnesses_of_transactions_are_the_fewest() {
    of_object(Object::RwRegister, 4_000);
}

#[test]
fn witnesses_of_names_are_the_fewest() {
    of_object(Object::UniqueId, 2_000);
}

#[test]
fn witnesses_of_replicas_are_the_fewest() {
    of_object(Object::Replica, 2_000);
}

/// Writes one after the other, each read after it; the last read is of an old value, or all are right.
fn long(object: Object, rounds: i64, stale: bool) -> History {
    let mut recorder = Recorder::new(object);
    let session = recorder.session(&1.into());
    let key = recorder.key(&"x".into());
    for round in 0..rounds {
        let value = recorder.value(&(round + 1).into());
        let is_last = stale && round + 1 == rounds;
        let seen = if is_last { recorder.value(&(rounds / 2).into()) } else { value };
        let at = 4 * round as u64;
        for (begin, step) in [(at, Step::Write { key, value }), (at + 2, Step::Read { key, value: Some(seen) })] {
            let ticket = recorder.begin(session, begin, 0, &[step]);
            recorder.end(ticket, begin + 1, &[step]);
        }
    }
    recorder.finish()
}

#[test]
fn a_stale_read_among_ten_thousand_operations_is_found_in_few_steps() {
    let steps = |history: &History, expected: usize| {
        let mut meter = Meter::new(Budget::DEFAULT);
        let verdict = check(history, Model::Linearizable, &mut meter).expect("it applies");
        let count = match verdict {
            Verdict::Invalid(witness) => witness.operations.len(),
            Verdict::Valid | Verdict::Unknown(_) => 0,
        };
        assert_eq!(count, expected);
        meter.progress().steps
    };
    for object in [Object::Register, Object::CasRegister] {
        let judged = steps(&long(object, 5_000, false), 0);
        let shrunk = steps(&long(object, 5_000, true), 3);
        assert!(shrunk <= 2 * judged, "{shrunk} steps where the verdict takes {judged}");
    }
}
