//! Not everything is a sum that may be put together later: that an account never falls below 0 needs somebody who may say no.

use super::{Run, actor, failed, row, table, unexpected};
use quorate_core::clock::Context;
use quorate_core::crdt::{Bounded, Cell, Counter};
use quorate_core::random::Random;

/// What is in the account, and what each of two sides wants to take out while it hears nothing of the other.
const DEPOSIT: u64 = 100;
const WITHDRAWAL: u64 = 80;
/// Drawn runs of three sides, after the two that are told.
const DRAWN: u64 = 200;

/// With the rule broken the account is a counter, and each side looks at the sum that it sees. Else it is a counter with a bound: each side
/// takes by rights that it holds, half of them here.
pub(crate) fn run(seed: u64, broken: bool, _trace: bool) -> Run {
    let amounts: &[u64] = if broken { &[WITHDRAWAL] } else { &[WITHDRAWAL, DEPOSIT / 2] };
    let told = |taken: bool| if taken { "taken" } else { "refused" };
    let mut rows = vec![row(&["", "side 1", "side 2", "balance"])];
    let (mut lowest, mut balances, mut anything) = (i128::MAX, Vec::new(), false);
    for &amount in amounts {
        let (taken, balance) = if broken { by_sum(amount) } else { by_rights(amount) };
        let what = format!("each withdraws {amount} of {DEPOSIT}");
        rows.push(row(&[&what, told(taken[0]), told(taken[1]), &balance.to_string()]));
        (lowest, anything) = (lowest.min(balance), anything || taken == [true; 2]);
        balances.push(balance);
    }
    let mut random = Random::new(seed);
    for _ in 0..DRAWN {
        lowest = lowest.min(if broken { drawn_sums(&mut random) } else { drawn_rights(&mut random) });
    }
    rows.push(row(&[&format!("lowest of {DRAWN} drawn runs"), "", "", &lowest.to_string()]));
    let overdrawn = i128::from(DEPOSIT) - 2 * i128::from(WITHDRAWAL);
    let planned = if broken { vec![overdrawn] } else { vec![i128::from(DEPOSIT), 0] };
    let failure = if balances != planned || !anything {
        Some(unexpected(format!("balances of {balances:?} instead of {planned:?}")))
    } else {
        (lowest < 0).then(|| {
            let detail = format!("two sides that see {DEPOSIT} take {WITHDRAWAL} each: the balance is {overdrawn}");
            failed("a balance below 0", detail)
        })
    };
    Run::counted(1 + DRAWN, failure, table(&rows))
}

fn by_sum(amount: u64) -> ([bool; 2], i128) {
    let nothing = Context::default();
    let mut sides = [Counter::default(), Counter::default()];
    let deposit = sides[0].add(actor(1), DEPOSIT as i64).expect("it fits").cell;
    sides[1].join(&nothing, &deposit, &nothing);
    let taken = [0, 1].map(|at| withdraw_by_sum(&mut sides[at], at, amount));
    let [mut here, there] = sides;
    here.join(&nothing, &there, &nothing);
    (taken, here.value())
}

fn withdraw_by_sum(side: &mut Counter, at: usize, amount: u64) -> bool {
    side.value() >= i128::from(amount) && side.add(actor(at as u16 + 1), -(amount as i64)).is_ok()
}

fn by_rights(amount: u64) -> ([bool; 2], i128) {
    let nothing = Context::default();
    let mut sides = [Bounded::default(), Bounded::default()];
    sides[0].increase(actor(1), DEPOSIT, 0).expect("it fits");
    let gift = sides[0].transfer(actor(1), actor(2), DEPOSIT / 2).expect("the rights are there").cell;
    sides[1].join(&nothing, &gift, &nothing);
    // Each side can take what it has rights for, at once and alone.
    let taken = [0, 1].map(|at| sides[at].decrease(actor(at as u16 + 1), amount).is_ok());
    let [mut here, there] = sides;
    here.join(&nothing, &there, &nothing);
    (taken, here.value(0))
}

/// The lowest sum that three sides ever see, while they deposit, withdraw and hear of each other as it comes.
fn drawn_sums(random: &mut Random) -> i128 {
    let nothing = Context::default();
    let mut sides = [0; 3].map(|_| Counter::default());
    let mut lowest = 0;
    for _ in 0..30 {
        let (at, amount) = (random.below(3) as usize, 1 + random.below(50));
        match random.below(3) {
            0 => drop(sides[at].add(actor(at as u16 + 1), amount as i64)),
            1 => drop(withdraw_by_sum(&mut sides[at], at, amount)),
            _ => {
                let other = sides[random.below(3) as usize].clone();
                sides[at].join(&nothing, &other, &nothing);
            }
        }
        lowest = lowest.min(sides[at].value());
    }
    lowest
}

/// The same with rights, a third of which are given away each time.
fn drawn_rights(random: &mut Random) -> i128 {
    let nothing = Context::default();
    let mut sides = [0; 3].map(|_| Bounded::default());
    let mut lowest = 0;
    for _ in 0..30 {
        let (at, amount) = (random.below(3) as usize, 1 + random.below(50));
        let own = actor(at as u16 + 1);
        match random.below(4) {
            0 => drop(sides[at].increase(own, amount, 0)),
            1 => drop(sides[at].decrease(own, amount)),
            2 => {
                let gift = sides[at].rights(own) / 3;
                drop(sides[at].transfer(own, actor(random.below(3) as u16 + 1), gift));
            }
            _ => {
                let other = sides[random.below(3) as usize].clone();
                sides[at].join(&nothing, &other, &nothing);
            }
        }
        lowest = lowest.min(sides[at].value(0));
    }
    lowest
}
