//! What a history is about.

use crate::{Model, Step};

/// The kind of object that the operations of a history act on. It says which steps occur and what they mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Object {
    /// Keys with one value each: `Read`, `Write`; and `Add`, `Count` where the value is a whole number or absent, which
    /// counts as 0. An operation may have several steps, which take place at once. The models of sessions say nothing of
    /// sums and of several steps, but for sequential consistency.
    Register,
    /// The same with `Cas`.
    CasRegister,
    /// Keys with a text each: `Read`, `Write`, and `Append`, which puts its text behind what is there (nothing at first).
    Kv,
    /// Keys with a number each: `Add`, `Count`.
    Counter,
    /// Sets: `Insert`, `Remove`, `Contains`, and `ReadList`, which gives all elements in any order.
    Set,
    /// First in, first out: `Insert` (enqueue), `Take` (dequeue).
    Queue,
    /// Last in, first out: `Insert` (push), `Take` (pop).
    Stack,
    /// A lock per key: `Acquire`, `Release`.
    Mutex,
    /// A lock per key whose holders have tokens: `Acquire`, `Release`, `Guarded` (a write that carries the token).
    FencedLock,
    /// Accounts: an operation is a transfer (two `Add`) or a read of all accounts (several `Count`). A first balance that the
    /// history does not name may be any number.
    Bank,
    /// Transactions of `Append` (an element behind a list; unique per key) and `ReadList`.
    ListAppend,
    /// Transactions of `Write` and `Read`.
    RwRegister,
    /// Names given out: `Generate`.
    UniqueId,
    /// Digests of replicas: `Digest`.
    Replica,
}

impl Object {
    /// All of them.
    pub const ALL: [Object; 14] = [
        Object::Register,
        Object::CasRegister,
        Object::Kv,
        Object::Counter,
        Object::Set,
        Object::Queue,
        Object::Stack,
        Object::Mutex,
        Object::FencedLock,
        Object::Bank,
        Object::ListAppend,
        Object::RwRegister,
        Object::UniqueId,
        Object::Replica,
    ];

    /// The name on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Object::Register => "register",
            Object::CasRegister => "cas-register",
            Object::Kv => "kv",
            Object::Counter => "counter",
            Object::Set => "set",
            Object::Queue => "queue",
            Object::Stack => "stack",
            Object::Mutex => "mutex",
            Object::FencedLock => "fenced-lock",
            Object::Bank => "bank",
            Object::ListAppend => "list-append",
            Object::RwRegister => "rw-register",
            Object::UniqueId => "unique-id",
            Object::Replica => "replica",
        }
    }

    /// The object of that name.
    pub fn of_word(word: &str) -> Option<Object> {
        Object::ALL.into_iter().find(|object| object.word() == word)
    }

    /// Do its operations have such steps?
    pub const fn has(self, step: &Step) -> bool {
        match self {
            Object::Register | Object::CasRegister => matches!(
                step,
                Step::Read { .. } | Step::Write { .. } | Step::Cas { .. } | Step::Add { .. } | Step::Count { .. }
            ),
            Object::Kv => {
                matches!(step, Step::Read { .. } | Step::Write { .. } | Step::Append { .. } | Step::Cas { .. })
            }
            Object::Counter | Object::Bank => matches!(step, Step::Add { .. } | Step::Count { .. }),
            Object::Set => matches!(
                step,
                Step::Insert { .. } | Step::Remove { .. } | Step::Contains { .. } | Step::ReadList { .. }
            ),
            Object::Queue | Object::Stack => matches!(step, Step::Insert { .. } | Step::Take { .. }),
            Object::Mutex => matches!(step, Step::Acquire { .. } | Step::Release { .. }),
            Object::FencedLock => {
                matches!(step, Step::Acquire { .. } | Step::Release { .. } | Step::Guarded { .. })
            }
            Object::ListAppend => matches!(step, Step::Append { .. } | Step::ReadList { .. }),
            Object::RwRegister => matches!(step, Step::Read { .. } | Step::Write { .. }),
            Object::UniqueId => matches!(step, Step::Generate { .. }),
            Object::Replica => matches!(step, Step::Digest { .. }),
        }
    }

    /// The model that is asked of it unless another is named.
    pub const fn usual_model(self, has_real_time: bool) -> Model {
        match self {
            Object::ListAppend | Object::RwRegister if has_real_time => Model::StrictSerializable,
            Object::ListAppend | Object::RwRegister => Model::Serializable,
            Object::Register | Object::CasRegister | Object::Kv if !has_real_time => Model::Sequential,
            Object::Bank => Model::BankTotal,
            Object::UniqueId => Model::UniqueIds,
            Object::Replica => Model::StrongEventual,
            Object::Register
            | Object::CasRegister
            | Object::Kv
            | Object::Counter
            | Object::Set
            | Object::Queue
            | Object::Stack
            | Object::Mutex
            | Object::FencedLock => Model::Linearizable,
        }
    }

    /// Are its operations transactions in the sense of the transactional models?
    pub const fn is_transactional(self) -> bool {
        matches!(self, Object::ListAppend | Object::RwRegister)
    }
}
