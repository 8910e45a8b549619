//! Whatever a history can say survives being written and read; and no bytes make the readers panic.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use quorate_check::format::{self, Options};
use quorate_check::fuzz::fuzz_formats;
use quorate_check::{Band, Datum, History, Key, Object, Operation, Outcome, Recorder, Step, Value};

fn datum() -> impl Strategy<Value = Datum> {
    let number = prop_oneof![
        Just("1/3"),
        Just("1.5"),
        Just("-0"),
        Just("5"),
        Just("2.50M"),
        Just("1e400"),
        Just("18446744073709551616"),
        Just("Inf"),
        Just("01"),
        Just("a \"text\""),
    ];
    let leaf = prop_oneof![
        Just(Datum::Nil),
        any::<bool>().prop_map(Datum::Bool),
        any::<i64>().prop_map(Datum::Integer),
        (0..4i64).prop_map(Datum::Integer),
        number.prop_map(|text| Datum::Number(text.into())),
        any::<String>().prop_map(|text| Datum::text(&text)),
        "[a-c\"\\\\\n\u{7f}\u{85}]{0,3}".prop_map(|text| Datum::text(&text)),
    ];
    leaf.prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Datum::List),
            prop::collection::btree_map(inner.clone(), inner, 0..3)
                .prop_map(|map| Datum::Map(map.into_iter().collect())),
        ]
    })
}

/// What a step says, apart from any history: which step, and its parts.
#[derive(Clone, Debug)]
struct Saying {
    which: usize,
    key: Datum,
    values: Vec<Datum>,
    number: i64,
    known: bool,
    yes: bool,
}

/// How many kinds of steps there are.
const STEPS: usize = 16;

fn step(recorder: &mut Recorder, saying: &Saying) -> Step {
    let key = recorder.key(&saying.key);
    let values: Vec<Value> = saying.values.iter().map(|value| recorder.value(value)).collect();
    let (one, two, known) = (values[0], values[1], saying.known);
    let (answer, number) = (known.then_some(one), known.then_some(saying.number));
    match saying.which {
        0 => Step::Read { key, value: answer },
        1 => Step::Write { key, value: one },
        2 => Step::Cas { key, from: one, to: two, took: known.then_some(saying.yes) },
        3 => Step::Append { key, value: one },
        4 => Step::ReadList { key, list: known.then(|| recorder.list(&values[1..])) },
        5 => Step::Add { key, by: saying.number },
        6 => Step::Count { key, number },
        7 => Step::Insert { key, value: one },
        8 => Step::Remove { key, value: one },
        9 => Step::Contains { key, value: one, there: known.then_some(saying.yes) },
        10 => Step::Take { key, value: answer },
        11 => Step::Acquire { key, token: number },
        12 => Step::Release { key, token: number },
        13 => Step::Guarded { key, token: saying.number },
        14 => Step::Generate { value: answer },
        15 => Step::Digest { key, updates: one, state: two },
        _ => unreachable!("there are {STEPS} kinds"),
    }
}

/// The step, or the next kind of one that the object has.
fn step_of(object: Object, recorder: &mut Recorder, saying: &Saying) -> Step {
    let next = |more: usize| Saying { which: (saying.which + more) % STEPS, ..saying.clone() };
    let mut steps = (0..STEPS).map(|more| step(recorder, &next(more)));
    steps.find(|step| object.has(step)).expect("every object has some")
}

fn saying() -> impl Strategy<Value = Saying> {
    let values = prop::collection::vec(datum(), 2..5);
    (0..STEPS, datum(), values, any::<i64>(), any::<bool>(), any::<bool>())
        .prop_map(|(which, key, values, number, known, yes)| Saying { which, key, values, number, known, yes })
}

#[derive(Clone, Debug)]
struct Said {
    session: Datum,
    begin: u64,
    length: Option<u64>,
    outcome: u8,
    steps: Vec<Saying>,
    time: Option<(u64, Option<u64>)>,
}

fn said() -> impl Strategy<Value = Said> {
    let moment = || prop_oneof![0..6u64, Just(u64::MAX - 8), any::<u32>().prop_map(u64::from)];
    let steps = prop::collection::vec(saying(), 0..4);
    let length = prop::option::of(0..5u64);
    let time = prop::option::of((moment(), prop::option::of(0..9u64)));
    (datum(), moment(), length, 0..3u8, steps, time).prop_map(|(session, begin, length, outcome, steps, time)| Said {
        session,
        begin,
        length,
        outcome,
        steps,
        time,
    })
}

fn history() -> impl Strategy<Value = History> {
    let bands = prop::collection::vec((any::<String>(), 0..9u64, 0..9u64), 0..3);
    let initials = (datum(), prop::collection::vec((datum(), datum()), 0..3));
    let flags = (0..Object::ALL.len(), any::<bool>(), any::<bool>());
    (flags, prop::collection::vec(said(), 0..7), bands, initials).prop_map(
        |((object, real_time, timed), operations, bands, (of_all, initials))| {
            let object = Object::ALL[object];
            let mut recorder = Recorder::new(object);
            if !real_time {
                recorder.without_real_time();
            }
            let of_all = recorder.value(&of_all);
            recorder.initial_of_all(of_all);
            for (key, value) in &initials {
                let (key, value) = (recorder.key(key), recorder.value(value));
                recorder.initial(key, value);
            }
            for said in &operations {
                let steps: Vec<Step> = said.steps.iter().map(|saying| step_of(object, &mut recorder, saying)).collect();
                let session = recorder.session(&said.session);
                let ticket = recorder.begin(session, said.begin, 0, &steps);
                let end = said.length.map_or(Operation::NEVER, |length| said.begin + length);
                match said.outcome {
                    0 => recorder.end(ticket, end, &steps),
                    1 => recorder.refuse(ticket, end),
                    _ => {}
                }
                if timed && let Some((begin, length)) = said.time {
                    recorder.time_ns(ticket, begin, length.map_or(Operation::NEVER, |length| begin + length));
                }
            }
            for (what, from, length) in bands {
                recorder.band(Band { what, from, to: from + length });
            }
            recorder.finish()
        },
    )
}

/// Everything that a history says, without the numbers of keys and values.
fn everything(history: &History) -> String {
    let mut all = format!("{} {} {}\n", history.object().word(), history.has_real_time(), history.sessions_bind());
    let value = |value: Value| format!("{:?}", history.value(value));
    let known = |known: Option<Value>| known.map(value);
    for id in history.ids() {
        let Operation { session, outcome, begin, end, .. } = *history.operation(id);
        all += &format!("{:?} {outcome:?} {begin} {end} {:?}\n", history.session(session), history.time_ns(id));
        for step in history.steps(id) {
            if let Some(key) = step.key() {
                all += &format!(" on {:?}, at first {}:", history.key(key), value(history.initial(key)));
            }
            all += &match *step {
                Step::Read { value, .. } => format!("read {:?}", known(value)),
                Step::Write { value: what, .. } => format!("write {}", value(what)),
                Step::Cas { from, to, took, .. } => format!("cas {} {} {took:?}", value(from), value(to)),
                Step::Append { value: what, .. } => format!("append {}", value(what)),
                Step::ReadList { list: None, .. } => "list unknown".to_string(),
                Step::ReadList { list: Some(list), .. } => {
                    format!("list {:?}", history.list(list).iter().map(|item| value(*item)).collect::<Vec<_>>())
                }
                Step::Add { by, .. } => format!("add {by}"),
                Step::Count { number, .. } => format!("count {number:?}"),
                Step::Insert { value: what, .. } => format!("insert {}", value(what)),
                Step::Remove { value: what, .. } => format!("remove {}", value(what)),
                Step::Contains { value: what, there, .. } => format!("contains {} {there:?}", value(what)),
                Step::Take { value, .. } => format!("take {:?}", known(value)),
                Step::Acquire { token, .. } => format!("acquire {token:?}"),
                Step::Release { token, .. } => format!("release {token:?}"),
                Step::Guarded { token, .. } => format!("guarded {token}"),
                Step::Generate { value } => format!("generate {:?}", known(value)),
                Step::Digest { updates, state, .. } => format!("digest {} {}", value(updates), value(state)),
            };
            all += "\n";
        }
    }
    let (_, keys, _) = history.counts();
    let mut initials: Vec<String> = (0..keys as u32)
        .map(Key)
        .filter(|key| history.initial(*key) != history.initial(Key(u32::MAX)))
        .map(|key| format!("{:?} {}", history.key(key), value(history.initial(key))))
        .collect();
    initials.sort();
    all + &format!("{initials:?} {} {:?}", value(history.initial(Key(u32::MAX))), history.bands())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn a_history_survives_being_written_and_read(history in history()) {
        let mut written = Vec::new();
        format::write(&history, &mut written).unwrap();
        let again = format::read(&written[..], &Options::default());
        let again = again.unwrap_or_else(|problem| panic!("{problem}\n{}", String::from_utf8_lossy(&written)));
        prop_assert_eq!(everything(&history), everything(&again));
    }

    #[test]
    fn a_part_of_a_history_survives_being_written_and_read(history in history(), keep in any::<u8>()) {
        let ids: Vec<_> = history.ids().filter(|id| keep >> id.0 & 1 == 1).collect();
        let part = history.restrict(&ids);
        let mut written = Vec::new();
        format::write(&part, &mut written).unwrap();
        let again = format::read(&written[..], &Options::default()).unwrap();
        prop_assert_eq!(everything(&part), everything(&again));
    }

    #[test]
    fn no_bytes_make_the_readers_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzz_formats(&bytes);
    }

    #[test]
    fn no_words_make_the_readers_panic(words in prop::collection::vec(0..WORDS.len(), 0..60)) {
        let text: Vec<&str> = words.iter().map(|word| WORDS[*word]).collect();
        fuzz_formats(text.join(" ").as_bytes());
        fuzz_formats(text.concat().as_bytes());
    }
}

const WORDS: [&str; 44] = [
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    "#{",
    "#_",
    "\"",
    "\"a\"",
    "\\a",
    ":process",
    ":type",
    ":f",
    ":value",
    ":invoke",
    ":ok",
    ":fail",
    ":info",
    ":read",
    ":write",
    ":txn",
    ":append",
    ":r",
    ":w",
    "0",
    "1",
    "-7",
    "nil",
    "1/2",
    ";",
    "\n",
    ",",
    ":",
    "\"process\"",
    "\"type\"",
    "\"invoke\"",
    "\"f\"",
    "\"read\"",
    "null",
    "w(1,2,3,4)",
    "r 1 2",
    "=====",
    "INFO  jepsen.util - 0\t",
];

#[test]
fn every_outcome_survives() {
    let mut recorder = Recorder::new(Object::Register);
    let session = recorder.session(&Datum::Nil);
    let done = recorder.begin(session, 1, 0, &[]);
    let refused = recorder.begin(session, 1, 0, &[]);
    recorder.begin(session, 0, 0, &[]);
    recorder.end(done, Operation::NEVER, &[]);
    recorder.refuse(refused, Operation::NEVER);
    let mut written = Vec::new();
    format::write(&recorder.finish(), &mut written).unwrap();
    let again = format::read(&written[..], &Options::default()).unwrap();
    let outcomes: Vec<Outcome> = again.operations().iter().map(|operation| operation.outcome).collect();
    assert_eq!(outcomes, [Outcome::Unknown, Outcome::Done, Outcome::Refused]);
}
