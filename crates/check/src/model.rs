//! The consistency models, and which of them implies which.

use crate::{Object, Staleness};
use std::fmt;

/// A consistency model: a set of histories.
///
/// The models of registers follow Lamport (1979, 1986), Herlihy and Wing (1990), Terry et al. (1994), Ahamad et al. (1995),
/// Bouajjani et al. (2017) and Viotti and Vukolić (2016); those of transactions follow Adya (1999), Bailis et al. (2014),
/// Cerone et al. (2015) and Biswas and Enea (2019). Each checker's module states the exact definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Model {
    /// One order of all operations that respects time explains every answer. For transactions: strict serializable.
    Linearizable,
    /// One order of all operations that respects each session explains every answer.
    Sequential,
    /// Each read, alone with all writes, is linearizable.
    Regular,
    /// The same for reads that overlap no write; others may give anything.
    Safe,
    /// Linearizable if each read had begun this much earlier. If the bound is a time, all operations are ordered by the times
    /// of the history, which it must have.
    BoundedStaleness(Staleness),
    /// Each session sees its own writes.
    ReadYourWrites,
    /// Each session sees a state that never gets older.
    MonotonicReads,
    /// The writes of a session take place everywhere in its order.
    MonotonicWrites,
    /// A write takes place everywhere after what its session had seen before.
    WritesFollowReads,
    /// Each session sees all writes in an order that respects every session.
    Pram,
    /// Each read alone is explained by its causes in some order that respects causality.
    WeakCausal,
    /// Each session sees its causes in one order that respects causality.
    CausalMemory,
    /// Weakly causal, with one order of all writes that every read agrees with.
    CausalConvergence,
    /// When writes have ended, the last reads of all sessions agree.
    EventualConvergence,
    /// Replicas that have the same updates have the same state.
    StrongEventual,
    /// No circle of overwriting (no G0).
    ReadUncommitted,
    /// Nothing of an aborted or unfinished transaction is seen, and no circle of reading (no G0, no G1).
    ReadCommitted,
    /// Read committed, and a transaction's writes are seen all or none.
    ReadAtomic,
    /// Read committed, and once a transaction has seen a write of another, it misses none of its others.
    MonotonicAtomicView,
    /// Read atomic and transitive: whoever sees a transaction sees its causes.
    CausalTransactions,
    /// Each transaction reads from one snapshot, and of two concurrent writers of a key one aborts.
    SnapshotIsolation,
    /// What a transaction has read stays so until it commits (no G0, G1, G2-item).
    RepeatableRead,
    /// One order of all transactions explains every answer.
    Serializable,
    /// The same, respecting each session.
    StrongSessionSerializable,
    /// The same, respecting time.
    StrictSerializable,
    /// Sets: nothing that was surely added is lost, nothing comes from nowhere or comes back.
    SetIntegrity,
    /// Queues and stacks: each element comes out at most once, none is lost or made up.
    Delivery,
    /// Each count lies between the additions that surely and those that possibly took place.
    CounterBounds,
    /// The sum of all accounts never changes.
    BankTotal,
    /// At most one holds the lock.
    MutualExclusion,
    /// No write with an older token is accepted after one with a newer token, and later grants have greater tokens.
    Fencing,
    /// No name is given out twice.
    UniqueIds,
}

impl Model {
    /// All of them, stronger ones first. The bound of [`Model::BoundedStaleness`] is 0 moments here.
    pub const ALL: [Model; 32] = [
        Model::Linearizable,
        Model::Sequential,
        Model::Regular,
        Model::Safe,
        Model::BoundedStaleness(Staleness::Moments(0)),
        Model::CausalMemory,
        Model::CausalConvergence,
        Model::WeakCausal,
        Model::Pram,
        Model::ReadYourWrites,
        Model::MonotonicReads,
        Model::MonotonicWrites,
        Model::WritesFollowReads,
        Model::EventualConvergence,
        Model::StrongEventual,
        Model::StrictSerializable,
        Model::StrongSessionSerializable,
        Model::Serializable,
        Model::RepeatableRead,
        Model::SnapshotIsolation,
        Model::CausalTransactions,
        Model::ReadAtomic,
        Model::MonotonicAtomicView,
        Model::ReadCommitted,
        Model::ReadUncommitted,
        Model::SetIntegrity,
        Model::Delivery,
        Model::CounterBounds,
        Model::BankTotal,
        Model::MutualExclusion,
        Model::Fencing,
        Model::UniqueIds,
    ];

    /// The models of sessions: sequential consistency and what it implies, stronger ones first.
    pub fn of_sessions() -> impl Iterator<Item = Model> {
        Model::ALL.into_iter().filter(|model| Model::Sequential.implies(*model))
    }

    /// Which model implies which, directly: every history that keeps the first keeps the second.
    ///
    /// Over items, without predicates, repeatable read (no G2-item) and serializable are the same.
    pub const EDGES: &[(Model, Model)] = &[
        (Model::Linearizable, Model::Sequential),
        (Model::Linearizable, Model::Regular),
        (Model::Linearizable, Model::BoundedStaleness(Staleness::Moments(0))),
        (Model::Linearizable, Model::EventualConvergence),
        (Model::Regular, Model::Safe),
        (Model::Sequential, Model::CausalMemory),
        (Model::Sequential, Model::CausalConvergence),
        (Model::CausalMemory, Model::Pram),
        (Model::CausalMemory, Model::WeakCausal),
        (Model::CausalConvergence, Model::WeakCausal),
        (Model::CausalConvergence, Model::MonotonicReads),
        (Model::Pram, Model::ReadYourWrites),
        (Model::Pram, Model::MonotonicReads),
        (Model::Pram, Model::MonotonicWrites),
        (Model::WeakCausal, Model::ReadYourWrites),
        (Model::WeakCausal, Model::MonotonicWrites),
        (Model::WeakCausal, Model::WritesFollowReads),
        (Model::StrictSerializable, Model::StrongSessionSerializable),
        (Model::StrongSessionSerializable, Model::Serializable),
        (Model::StrongSessionSerializable, Model::CausalTransactions),
        (Model::Serializable, Model::RepeatableRead),
        (Model::RepeatableRead, Model::Serializable),
        (Model::Serializable, Model::SnapshotIsolation),
        (Model::SnapshotIsolation, Model::ReadAtomic),
        (Model::CausalTransactions, Model::ReadAtomic),
        (Model::ReadAtomic, Model::MonotonicAtomicView),
        (Model::MonotonicAtomicView, Model::ReadCommitted),
        (Model::ReadCommitted, Model::ReadUncommitted),
        (Model::Linearizable, Model::SetIntegrity),
        (Model::Linearizable, Model::Delivery),
        (Model::Linearizable, Model::CounterBounds),
        (Model::Linearizable, Model::MutualExclusion),
        (Model::Linearizable, Model::Fencing),
    ];

    /// The name on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Model::Linearizable => "linearizable",
            Model::Sequential => "sequential",
            Model::Regular => "regular",
            Model::Safe => "safe",
            Model::BoundedStaleness(_) => "bounded-staleness",
            Model::ReadYourWrites => "read-your-writes",
            Model::MonotonicReads => "monotonic-reads",
            Model::MonotonicWrites => "monotonic-writes",
            Model::WritesFollowReads => "writes-follow-reads",
            Model::Pram => "pram",
            Model::WeakCausal => "weak-causal",
            Model::CausalMemory => "causal-memory",
            Model::CausalConvergence => "causal-convergence",
            Model::EventualConvergence => "eventual-convergence",
            Model::StrongEventual => "strong-eventual",
            Model::ReadUncommitted => "read-uncommitted",
            Model::ReadCommitted => "read-committed",
            Model::ReadAtomic => "read-atomic",
            Model::MonotonicAtomicView => "monotonic-atomic-view",
            Model::CausalTransactions => "causal",
            Model::SnapshotIsolation => "snapshot-isolation",
            Model::RepeatableRead => "repeatable-read",
            Model::Serializable => "serializable",
            Model::StrongSessionSerializable => "strong-session-serializable",
            Model::StrictSerializable => "strict-serializable",
            Model::SetIntegrity => "set-integrity",
            Model::Delivery => "delivery",
            Model::CounterBounds => "counter-bounds",
            Model::BankTotal => "bank-total",
            Model::MutualExclusion => "mutual-exclusion",
            Model::Fencing => "fencing",
            Model::UniqueIds => "unique-ids",
        }
    }

    /// Can this model be asked of this kind of object? [`applies`](crate::applies) looks at the operations too.
    pub const fn applies_to(self, object: Object) -> bool {
        let plain = matches!(object, Object::Register | Object::CasRegister | Object::Kv);
        let transactional = object.is_transactional();
        match self {
            Model::Linearizable => !matches!(object, Object::Replica | Object::UniqueId),
            Model::Sequential => !transactional && !matches!(object, Object::Replica | Object::UniqueId),
            Model::Regular
            | Model::Safe
            | Model::BoundedStaleness(_)
            | Model::ReadYourWrites
            | Model::MonotonicReads
            | Model::MonotonicWrites
            | Model::WritesFollowReads
            | Model::Pram
            | Model::WeakCausal
            | Model::CausalMemory
            | Model::CausalConvergence => plain,
            Model::EventualConvergence => plain || matches!(object, Object::Replica),
            Model::StrongEventual => matches!(object, Object::Replica),
            Model::ReadUncommitted
            | Model::ReadCommitted
            | Model::ReadAtomic
            | Model::MonotonicAtomicView
            | Model::CausalTransactions
            | Model::SnapshotIsolation
            | Model::RepeatableRead
            | Model::Serializable
            | Model::StrongSessionSerializable
            | Model::StrictSerializable => transactional,
            Model::SetIntegrity => matches!(object, Object::Set),
            Model::Delivery => matches!(object, Object::Queue | Object::Stack),
            Model::CounterBounds => matches!(object, Object::Counter),
            Model::BankTotal => matches!(object, Object::Bank),
            Model::MutualExclusion => matches!(object, Object::Mutex | Object::FencedLock),
            Model::Fencing => matches!(object, Object::FencedLock),
            Model::UniqueIds => matches!(object, Object::UniqueId),
        }
    }

    /// The model of that name; bounded staleness has a bound, in moments or in time: `bounded-staleness:4`,
    /// `bounded-staleness:10ms` ([`Staleness::of_word`]). An equals sign does as well as the colon.
    pub fn of_word(word: &str) -> Option<Model> {
        if let Some(("bounded-staleness", bound)) = word.split_once([':', '=']) {
            return Staleness::of_word(bound).map(Model::BoundedStaleness);
        }
        Model::ALL.into_iter().find(|model| model.word() == word && !matches!(model, Model::BoundedStaleness(_)))
    }

    /// Does this model imply the other, directly or over others?
    pub fn implies(self, other: Model) -> bool {
        let mut reached = vec![self];
        let mut at = 0;
        while let Some(&model) = reached.get(at) {
            for &(stronger, weaker) in Model::EDGES {
                if stronger == model && !reached.contains(&weaker) {
                    reached.push(weaker);
                }
            }
            at += 1;
        }
        reached.contains(&other)
    }
}

/// The word of the model, with its bound if it has one: `bounded-staleness of 10 ms`.
impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Model::BoundedStaleness(bound) => write!(f, "{} of {bound}", self.word()),
            _ => f.write_str(self.word()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lead_back() {
        for model in Model::ALL {
            let word = model.word().to_string();
            let word = if let Model::BoundedStaleness(_) = model { format!("{word}:0") } else { word };
            assert_eq!(Model::of_word(&word), Some(model));
        }
        assert_eq!(Model::of_word("bounded-staleness"), None);
        let bound = |bound| Some(Model::BoundedStaleness(bound));
        assert_eq!(Model::of_word("bounded-staleness:10ms"), bound(Staleness::Nanoseconds(10_000_000)));
        assert_eq!(Model::of_word("bounded-staleness=4"), bound(Staleness::Moments(4)));
        assert_eq!(Model::of_word("bounded-staleness:4m"), None);
        assert_eq!(
            bound(Staleness::Nanoseconds(3_000)).map(|model| model.to_string()).as_deref(),
            Some("bounded-staleness of 3 us")
        );
    }

    #[test]
    fn nine_models_are_of_sessions() {
        let words: Vec<&str> = Model::of_sessions().map(Model::word).collect();
        let all = [
            "sequential",
            "causal-memory",
            "causal-convergence",
            "weak-causal",
            "pram",
            "read-your-writes",
            "monotonic-reads",
            "monotonic-writes",
            "writes-follow-reads",
        ];
        assert_eq!(words, all);
    }

    #[test]
    fn implication_is_transitive() {
        assert!(Model::Linearizable.implies(Model::WritesFollowReads));
        assert!(Model::StrictSerializable.implies(Model::ReadUncommitted));
        assert!(!Model::CausalMemory.implies(Model::CausalConvergence));
    }
}
