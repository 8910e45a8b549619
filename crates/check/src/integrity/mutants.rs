//! Each rule of the judges of integrity matters: with any one broken, the second opinion disagrees on some small history.

use super::{Rules, collection, lock, names, number};
use crate::brute_linear::{Kind, Random, print, simulate};
use crate::made;
use crate::{Budget, History, Judged, Meter, Model, Object, Recorder, Step, second};

/// One judge, and the objects that it judges.
type Judge = (Model, &'static [Object], fn(&History, Rules, &mut Meter<'_>) -> Judged);

const SET: Judge = (Model::SetIntegrity, &[Object::Set], collection::set);
const DELIVERY: Judge = (Model::Delivery, &[Object::Queue, Object::Stack], collection::delivery);
const COUNTER: Judge = (Model::CounterBounds, &[Object::Counter], number::counter);
const BANK: Judge = (Model::BankTotal, &[Object::Bank], number::bank);
const EXCLUSION: Judge = (Model::MutualExclusion, &[Object::Mutex, Object::FencedLock], lock::mutual_exclusion);
const FENCING: Judge = (Model::Fencing, &[Object::FencedLock], lock::fencing);
const NAMES: Judge = (Model::UniqueIds, &[Object::UniqueId], names);

/// Transfers, deposits, and reads of one account or two; the first balances are known of none, one or both.
fn accounts(random: &mut Random) -> History {
    let mut recorder = Recorder::new(Object::Bank);
    let keys = [0, 1].map(|name: i64| recorder.key(&name.into()));
    for key in keys {
        if random.percent(50) {
            let value = recorder.value(&(random.below(2) as i64).into());
            recorder.initial(key, value);
        }
    }
    for at in 0..2 + random.below(4) {
        let session = recorder.session(&(at as i64 % 2).into());
        let mut count = |key| Step::Count { key, number: Some(random.below(2) as i64) };
        let reads = keys.map(&mut count);
        let steps = match random.below(6) {
            0 => vec![Step::Add { key: keys[0], by: 1 }],
            1 | 2 => vec![Step::Add { key: keys[0], by: -1 }, Step::Add { key: keys[1], by: 1 }],
            3 => vec![reads[0]],
            _ => reads.to_vec(),
        };
        let ticket = recorder.begin(session, at * 2, 0, &steps);
        match random.below(10) {
            0 => {}
            1 => recorder.refuse(ticket, at * 2 + 1),
            _ => recorder.end(ticket, at * 2 + 1, &steps),
        }
    }
    recorder.finish()
}

/// The histories of which a judge with these rules says something wrong, and one of them in words.
fn wrong((model, objects, judge): Judge, rules: Rules) -> (u32, String) {
    let mut random = Random(0x1A7E_6217);
    let (mut count, mut example) = (0, String::new());
    for round in 0..6_000 {
        let object = objects[round % objects.len()];
        let history = match object {
            Object::Bank => accounts(&mut random),
            Object::UniqueId => made::names_or_digests(object, &mut random),
            _ => {
                let round = round as u64;
                let steps = object == Object::Set;
                // The integrity of sets says nothing of operations of several steps.
                let parts = if matches!(object, Object::Mutex | Object::FencedLock | Object::Set) {
                    1
                } else {
                    1 + round / 6 % 3
                };
                let kind = Kind { values: round / 2 % 3, open: 20, steps, parts, ..Kind::new(object) };
                simulate(kind, &mut random)
            }
        };
        let found = judge(&history, rules, &mut Meter::new(Budget::DEFAULT)).expect("it is small");
        if Some(found.is_none()) != second::holds(&history, model) {
            count += 1;
            example = print(&history);
        }
    }
    (count, example)
}

#[test]
fn judges_of_integrity_agree_with_the_second_opinion() {
    for judge in [SET, DELIVERY, COUNTER, BANK, EXCLUSION, FENCING, NAMES] {
        let (count, example) = wrong(judge, Rules::TRUE);
        assert_eq!(count, 0, "{}:\n{example}", judge.0.word());
    }
}

#[test]
fn every_broken_rule_is_noticed() {
    let broken = [
        (SET, "drops unknown additions", Rules { unknown: false, ..Rules::TRUE }),
        (SET, "ignores real time", Rules { real_time: false, ..Rules::TRUE }),
        (SET, "ignores what came between", Rules { between: false, ..Rules::TRUE }),
        (DELIVERY, "drops unknown operations", Rules { unknown: false, ..Rules::TRUE }),
        (DELIVERY, "ignores real time", Rules { real_time: false, ..Rules::TRUE }),
        (DELIVERY, "ignores takes of anything", Rules { free_takes: false, ..Rules::TRUE }),
        (COUNTER, "drops unknown additions", Rules { unknown: false, ..Rules::TRUE }),
        (COUNTER, "ignores real time", Rules { real_time: false, ..Rules::TRUE }),
        (COUNTER, "ignores additions that overlap", Rules { overlapping: false, ..Rules::TRUE }),
        (BANK, "believes that sums never change on purpose", Rules { changes: false, ..Rules::TRUE }),
        (BANK, "believes that one account is all", Rules { all_accounts: false, ..Rules::TRUE }),
        (EXCLUSION, "ignores real time", Rules { real_time: false, ..Rules::TRUE }),
        (EXCLUSION, "ignores releases", Rules { releases: false, ..Rules::TRUE }),
        (EXCLUSION, "lets anybody release", Rules { own_releases: false, ..Rules::TRUE }),
        (FENCING, "ignores real time", Rules { real_time: false, ..Rules::TRUE }),
        (FENCING, "forbids a session its own token", Rules { own_tokens: false, ..Rules::TRUE }),
        (FENCING, "accepts old tokens", Rules { writes: false, ..Rules::TRUE }),
        (NAMES, "shares names that nobody got", Rules { names: false, ..Rules::TRUE }),
    ];
    for (judge, name, rules) in broken {
        let (count, _) = wrong(judge, rules);
        assert!(count > 0, "{}: nobody noticed a judge that {name}", judge.0.word());
    }
}
