//! Histories whose anomaly is known by name.

use super::make::{Told, told};
use crate::{Anomaly, Budget, Meter, Model, Object, Verdict, check};

const LIST: Object = Object::ListAppend;
const REGISTER: Object = Object::RwRegister;

fn anomaly(object: Object, model: Model, transactions: &[Told<'_>]) -> Option<Anomaly> {
    let history = told(object, false, transactions);
    match check(&history, model, &mut Meter::new(Budget::DEFAULT)).unwrap() {
        Verdict::Valid => None,
        Verdict::Invalid(witness) => Some(witness.anomaly),
        Verdict::Unknown(spent) => panic!("{spent:?}"),
    }
}

#[test]
fn write_skew_is_g2_item_and_snapshot_isolated() {
    let lists = [("a", 1, 9, "lx ly ax1"), ("b", 2, 8, "lx ly ay2"), ("c", 10, 11, "lx1 ly2")];
    let registers = [("a", 1, 9, "rx- ry- wx1"), ("b", 2, 8, "rx- ry- wy2"), ("c", 10, 11, "rx1 ry2")];
    for (object, transactions) in [(LIST, lists), (REGISTER, registers)] {
        assert_eq!(anomaly(object, Model::SnapshotIsolation, &transactions), None);
        assert_eq!(anomaly(object, Model::RepeatableRead, &transactions), Some(Anomaly::G2Item));
    }
}

#[test]
fn two_that_start_from_one_state_lose_an_update() {
    let lists = [("a", 1, 9, "lx ax1"), ("b", 2, 8, "lx ax2"), ("c", 10, 11, "lx12")];
    let registers = [("a", 1, 9, "rx- wx1"), ("b", 2, 8, "rx- wx2"), ("c", 10, 11, "rx2")];
    for (object, transactions) in [(LIST, lists), (REGISTER, registers)] {
        assert_eq!(anomaly(object, Model::CausalTransactions, &transactions), None);
        assert_eq!(anomaly(object, Model::SnapshotIsolation, &transactions), Some(Anomaly::LostUpdate));
    }
}

#[test]
fn two_observers_fork() {
    let lists = [("a", 1, 9, "ax1"), ("b", 1, 9, "ay2"), ("c", 1, 9, "lx1 ly"), ("d", 1, 9, "ly2 lx")];
    let registers = [("a", 1, 9, "wx1"), ("b", 1, 9, "wy2"), ("c", 1, 9, "rx1 ry-"), ("d", 1, 9, "ry2 rx-")];
    for (object, transactions) in [(LIST, lists), (REGISTER, registers)] {
        assert_eq!(anomaly(object, Model::CausalTransactions, &transactions), None);
        assert_eq!(anomaly(object, Model::SnapshotIsolation, &transactions), Some(Anomaly::LongFork));
        assert_eq!(anomaly(object, Model::Serializable, &transactions), Some(Anomaly::LongFork));
    }
}

#[test]
fn read_skew_is_g_single() {
    let lists = [("a", 1, 9, "ax1 ay2"), ("b", 1, 9, "lx1 ly")];
    assert_eq!(anomaly(LIST, Model::Serializable, &lists), Some(Anomaly::GSingle));
    assert_eq!(anomaly(LIST, Model::ReadAtomic, &lists), Some(Anomaly::FracturedRead));
    assert_eq!(anomaly(LIST, Model::ReadCommitted, &lists), None);
}

#[test]
fn circles_of_writes_and_reads_have_names() {
    let writes = [("a", 1, 9, "ax1 ay1"), ("b", 1, 9, "ax2 ay2"), ("c", 1, 9, "lx12 ly21")];
    assert_eq!(anomaly(LIST, Model::ReadUncommitted, &writes), Some(Anomaly::DirtyWrite));
    let reads = [("a", 1, 9, "ax1 ly2"), ("b", 1, 9, "ay2 lx1")];
    assert_eq!(anomaly(LIST, Model::ReadUncommitted, &reads), None);
    assert_eq!(anomaly(LIST, Model::ReadCommitted, &reads), Some(Anomaly::CircularInformationFlow));
    let reads = [("a", 1, 9, "wx1 ry2"), ("b", 1, 9, "wy2 rx1")];
    assert_eq!(anomaly(REGISTER, Model::ReadCommitted, &reads), Some(Anomaly::CircularInformationFlow));
}

#[test]
fn what_was_aborted_or_unfinished_must_not_be_seen() {
    assert_eq!(
        anomaly(REGISTER, Model::ReadCommitted, &[("a", 1, -1, "wx1"), ("b", 2, 9, "rx1")]),
        Some(Anomaly::AbortedRead)
    );
    assert_eq!(anomaly(REGISTER, Model::ReadUncommitted, &[("a", 1, -1, "wx1"), ("b", 2, 9, "rx1")]), None);
    let unfinished = [("a", 1, 9, "wx1 wx2"), ("b", 2, 9, "rx1")];
    assert_eq!(anomaly(REGISTER, Model::ReadCommitted, &unfinished), Some(Anomaly::IntermediateRead));
    let unfinished = [("a", 1, 9, "ax1 ax2"), ("b", 2, 9, "lx1")];
    assert_eq!(anomaly(LIST, Model::ReadCommitted, &unfinished), Some(Anomaly::IntermediateRead));
    assert_eq!(anomaly(LIST, Model::ReadUncommitted, &[("a", 2, 9, "lx1")]), Some(Anomaly::ReadFromNowhere));
}

#[test]
fn a_stale_read_breaks_only_the_strict_model() {
    let stale = [("a", 1, 2, "wx1"), ("b", 3, 4, "rx-")];
    assert_eq!(anomaly(REGISTER, Model::StrictSerializable, &stale), Some(Anomaly::StaleRead));
    assert_eq!(anomaly(REGISTER, Model::StrongSessionSerializable, &stale), None);
    let future = [("a", 3, 4, "ax1"), ("b", 1, 2, "lx1")];
    assert_eq!(anomaly(LIST, Model::StrictSerializable, &future), Some(Anomaly::ReadFromFuture));
}

#[test]
fn a_write_of_unknown_outcome_may_come_late_or_never() {
    let late = [("a", 1, 0, "wx1"), ("b", 2, 3, "rx-"), ("a", 4, 5, "ry-"), ("b", 6, 7, "rx-"), ("b", 8, 9, "rx1")];
    assert_eq!(anomaly(REGISTER, Model::StrictSerializable, &late), None);
    let early = [("b", 1, 2, "rx1"), ("a", 3, 0, "wx1")];
    assert_eq!(anomaly(REGISTER, Model::StrictSerializable, &early), Some(Anomaly::ReadFromFuture));
}

#[test]
fn values_that_repeat_elsewhere_do_not_hide_a_contradiction() {
    // Sixty reads of a value that two wrote: 2^60 choices, none of which has to do with the lost update.
    let names: Vec<String> = (0..60).map(|number| format!("s{number}")).collect();
    let mut transactions: Vec<Told<'_>> = vec![("a", 1, 90, "wy1"), ("b", 1, 90, "wy1")];
    transactions.extend(names.iter().map(|name| (name.as_str(), 2, 80, "ry1")));
    assert_eq!(anomaly(REGISTER, Model::StrictSerializable, &transactions), None);
    transactions.extend([("c", 3, 9, "rx- wx2"), ("d", 3, 9, "rx- wx3")]);
    assert_eq!(anomaly(REGISTER, Model::Serializable, &transactions), Some(Anomaly::LostUpdate));
}
