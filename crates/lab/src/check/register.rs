//! Linearizability of registers, one key at a time: is there one order of all operations that respects time and
//! explains every answer? (Linearizability composes over keys, so each key may be judged alone.)

use super::history::Operation;
use super::record::recorder;
use bytes::Bytes;
use quorate_check::{Anomaly, Budget, Meter, Model};
use std::collections::BTreeMap;
use std::fmt;

/// Few operations that already contradict each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// What is wrong.
    pub anomaly: Anomaly,
    /// The operations, by start. Taken alone they are invalid too.
    pub operations: Vec<Operation>,
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:", self.anomaly.word())?;
        self.operations.iter().try_for_each(|operation| writeln!(f, "  {operation}"))
    }
}

/// What the checker says about a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is linearizable.
    Valid,
    /// It is not.
    Invalid(Witness),
    /// The budget was spent: this key is too entangled.
    Unknown(Bytes),
}

/// The steps of work that a key is worth.
pub const BUDGET: u64 = 1_000_000;

/// Judges each key. `budget` bounds the steps of work for one key. The first invalid key is the verdict.
pub fn check(history: &[Operation], budget: u64) -> Verdict {
    let mut keys: BTreeMap<&Bytes, Vec<Operation>> = BTreeMap::new();
    for operation in history {
        keys.entry(&operation.key).or_default().push(operation.clone());
    }
    let mut verdict = Verdict::Valid;
    for (key, operations) in keys {
        match check_key(operations, budget) {
            Verdict::Valid => {}
            Verdict::Invalid(witness) => return Verdict::Invalid(witness),
            Verdict::Unknown(_) => verdict = Verdict::Unknown(key.clone()),
        }
    }
    verdict
}

fn check_key(mut operations: Vec<Operation>, budget: u64) -> Verdict {
    // So that places in the recorded history are places here.
    operations.sort_by_key(|operation| (operation.start, operation.end, operation.client));
    let history = recorder(&operations).finish();
    // Steps alone, so that one seed has one verdict on every machine; they bound the memory too.
    let mut meter = Meter::new(Budget { steps: budget, bytes: u64::MAX });
    let verdict =
        quorate_check::check(&history, Model::Linearizable, &mut meter).expect("registers may be linearizable");
    match verdict {
        quorate_check::Verdict::Valid => Verdict::Valid,
        quorate_check::Verdict::Invalid(witness) => {
            let operations = witness.operations.iter().map(|id| operations[id.index()].clone()).collect();
            Verdict::Invalid(Witness { anomaly: witness.anomaly, operations })
        }
        quorate_check::Verdict::Unknown(_) => Verdict::Unknown(operations.swap_remove(0).key),
    }
}
