//! Each rule of the checkers matters: with any one broken, the second opinion disagrees on some small history.
#![allow(clippy::unwrap_used)]

use super::item::{Rules, View};
use super::judge;
use crate::brute_linear::{Kind, Random, linearizable, simulate};
use crate::{Budget, History, Meter, Object};

fn is_valid(history: &History, rules: Rules) -> bool {
    let meter = &mut Meter::new(Budget::DEFAULT);
    judge(history, View { rules, reads_earlier: 0 }, meter).unwrap().is_none()
}

/// The histories of these kinds on which a checker with these rules is wrong.
fn wrong(kinds: &[Kind], rules: Rules) -> u32 {
    let mut random = Random(0xABCD_EF01);
    let histories = kinds.iter().flat_map(|kind| (0..3_000).map(|_| *kind).collect::<Vec<_>>());
    let judged = histories.map(|kind| {
        let history = simulate(kind, &mut random);
        u32::from(is_valid(&history, rules) != linearizable(&history, 0))
    });
    judged.sum()
}

fn kind(object: Object, values: u64) -> Kind {
    Kind { values, open: 20, ..Kind::new(object) }
}

#[test]
fn every_broken_rule_is_noticed() {
    let register = [kind(Object::Register, 0)];
    let search = [kind(Object::CasRegister, 2), kind(Object::Queue, 2), kind(Object::Mutex, 1)];
    let returns = [Kind { first: 100, ..kind(Object::CasRegister, 0) }];
    let line = [kind(Object::Queue, 0), kind(Object::Stack, 0)];
    let broken = [
        ("ignores real time", &register[..], Rules { real_time: false, ..Rules::TRUE }),
        ("ignores real time in search", &search[..], Rules { real_time: false, ..Rules::TRUE }),
        ("drops pending operations", &register[..], Rules { open: false, ..Rules::TRUE }),
        ("drops pending operations in search", &search[..], Rules { open: false, ..Rules::TRUE }),
        ("ends pending operations soon", &register[..], Rules { late_open: false, ..Rules::TRUE }),
        ("places writes on sight", &search[..], Rules { greedy_writes: true, ..Rules::TRUE }),
        ("prefers the twin that ends late", &search[..], Rules { late_twins: true, ..Rules::TRUE }),
        ("forgets zones within a moment", &register[..], Rules { backward_zones: false, ..Rules::TRUE }),
        ("reads the first value only at first", &returns[..], Rules { returns: false, ..Rules::TRUE }),
        ("believes that it was empty", &line[..], Rules { empty_takes: false, ..Rules::TRUE }),
    ];
    for kinds in [&register[..], &search[..], &returns[..], &line[..]] {
        assert_eq!(wrong(kinds, Rules::TRUE), 0);
    }
    for (name, kinds, rules) in broken {
        let count = wrong(kinds, rules);
        assert!(count > 0, "nobody noticed a checker that {name}");
    }
}
