//! What a checker says: valid, invalid with a witness, or unknown.

use crate::{Id, Key};
use std::fmt;

/// Does a history keep a model?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Valid,
    /// It does not, and this shows it.
    Invalid(Witness),
    /// The budget was spent before an answer was found.
    Unknown(Spent),
}

/// What an algorithm found: nothing wrong, or a witness, unless the budget was spent.
pub type Judged = Result<Option<Witness>, Spent>;

impl From<Judged> for Verdict {
    fn from(judged: Judged) -> Verdict {
        match judged {
            Ok(None) => Verdict::Valid,
            Ok(Some(witness)) => Verdict::Invalid(witness),
            Err(spent) => Verdict::Unknown(spent),
        }
    }
}

/// Few operations that already break the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// What is wrong.
    pub anomaly: Anomaly,
    /// The operations, by begin. The history of these alone is invalid too.
    pub operations: Vec<Id>,
    /// The offending cycle, each edge beginning where the one before it ends, or the offending order. Empty when no
    /// order at all explains the operations.
    pub edges: Vec<Edge>,
}

/// One operation must come before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Edge {
    /// The earlier.
    pub from: Id,
    /// The later.
    pub to: Id,
    /// Why.
    pub why: Why,
}

/// Why one operation must come before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// Same session, earlier in it.
    Session,
    /// It had ended before the other began.
    RealTime,
    /// The later one read what the earlier one wrote (wr).
    ReadsFrom(Key),
    /// The later one overwrote what the earlier one wrote (ww).
    Overwrites(Key),
    /// The earlier one read a state that the later one overwrote (rw, anti-dependency).
    Overtaken(Key),
    /// The model leaves no other order, given the edges before.
    Forced(Key),
}

impl Why {
    /// A short label for pictures.
    pub const fn word(self) -> &'static str {
        match self {
            Why::Session => "session",
            Why::RealTime => "real time",
            Why::ReadsFrom(_) => "wr",
            Why::Overwrites(_) => "ww",
            Why::Overtaken(_) => "rw",
            Why::Forced(_) => "forced",
        }
    }
}

macro_rules! anomalies {
    ($($text:literal $name:ident = $word:literal,)*) => {
        /// What is wrong with a history, in the words of the field.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Anomaly {
            $(#[doc = $text] $name,)*
        }
        impl Anomaly {
            /// All of them.
            pub const ALL: &[Anomaly] = &[$(Anomaly::$name),*];
            /// The name of it.
            pub const fn word(self) -> &'static str {
                match self { $(Anomaly::$name => $word,)* }
            }
            /// What it means, in a sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Anomaly::$name => $text,)* }
            }
        }
    };
}

anomalies! {
    "A value was seen that nobody wrote." ReadFromNowhere = "read from nowhere",
    "A value was seen before anybody began to write it." ReadFromFuture = "read from the future",
    "A value was seen that only a refused operation or an aborted transaction wrote (Adya's G1a)." AbortedRead = "G1a aborted read",
    "A value was seen that its own transaction overwrote later (Adya's G1b)." IntermediateRead = "G1b intermediate read",
    "Transactions read from each other in a circle (Adya's G1c)." CircularInformationFlow = "G1c circular information flow",
    "Transactions overwrote each other in a circle (Adya's G0)." DirtyWrite = "G0 dirty write",
    "A transaction does not see what it wrote itself." Internal = "internal inconsistency",
    "A transaction saw two different values of one key that it did not change." NonRepeatableRead = "non-repeatable read",
    "A transaction saw one write of another transaction and missed an earlier or other one of it." FracturedRead = "fractured read",
    "A circle with exactly one read of overwritten state (Adya's G-single, read skew)." GSingle = "G-single read skew",
    "A circle whose reads of overwritten state are never next to each other." GNonadjacent = "G-nonadjacent",
    "A circle with reads of overwritten state next to each other (Adya's G2-item; write skew)." G2Item = "G2-item write skew",
    "Two updates started from the same state, and one of them overwrote the other." LostUpdate = "lost update",
    "Two observers saw two independent writes in opposite orders." LongFork = "long fork",
    "Reads of one list contradict each other: neither is a prefix of the other." IncompatibleOrder = "incompatible order",
    "An element stands in a list more than once." DuplicateElement = "duplicate element",
    "A read missed a write that had ended before it began." StaleRead = "stale read",
    "A later read saw an older value than an earlier one." NewThenOld = "new then old",
    "A read, alone with the writes, has no place in time that explains it." NotRegular = "not regular",
    "A read that no write overlapped gave something else than the last value." NotSafe = "not safe",
    "No order that respects time explains the answers." NotLinearizable = "not linearizable",
    "No one order of all operations that respects the sessions explains the answers." NotSequential = "not sequential",
    "No one order of all transactions explains the answers." NotSerializable = "not serializable",
    "No assignment of snapshots explains the answers." NotSnapshotIsolated = "not snapshot isolated",
    "A session did not see its own earlier write." ReadYourWrites = "read-your-writes violation",
    "A session saw an older state than it had seen before." MonotonicReads = "monotonic-reads violation",
    "Two writes of one session were seen in the wrong order." MonotonicWrites = "monotonic-writes violation",
    "A write was ordered before one that its session had seen before it." WritesFollowReads = "writes-follow-reads violation",
    "A session saw no order of writes that respects the order within each session." NotPram = "not PRAM",
    "Causes form a circle." CausalCycle = "causality cycle",
    "A read missed a write that is among its causes, or saw one that such a write had replaced." CausalViolation = "causality violation",
    "No one session's view can put all writes in an order that explains what it read." NotCausalMemory = "not causal memory",
    "Sessions saw concurrent writes in orders that no single order can agree with." NotConvergent = "not causally convergent",
    "A value older than the bound was read." TooStale = "staler than the bound",
    "Long after the last write, the last reads of two sessions or replicas still disagree." Diverged = "replicas diverged",
    "Two replicas with the same updates have different states." DivergedOnEqualUpdates = "same updates, different states",
    "An element that was surely added is missing later." LostElement = "lost element",
    "An element was taken out or given out more than once." DuplicatedElement = "duplicated element",
    "Elements came out in an order that the object forbids." Reordered = "reordered elements",
    "An element that was surely removed is there again." Resurrected = "resurrected element",
    "It looked empty although an element was surely in it." WronglyEmpty = "wrongly empty",
    "A counter showed a number that no set of possible additions gives." CounterOutOfBounds = "counter out of bounds",
    "The sum of all accounts changed." TotalBroken = "total changed",
    "A balance went below zero." NegativeBalance = "negative balance",
    "Two held the lock at the same time." TwoHolders = "two lock holders",
    "A lock was given back by one who did not hold it." NotTheHolder = "released by another",
    "A write with an older token was accepted after one with a newer token." OldTokenAccepted = "old token accepted",
    "A newer holder of the lock got a token that is not greater." TokenNotGreater = "token not greater",
    "The same name was given out twice." DuplicateId = "duplicate id",
}

/// How much work a verdict is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Steps of search or saturation, about 10 to 100 ns each.
    pub steps: u64,
    /// Bytes that a search may remember.
    pub bytes: u64,
}

impl Budget {
    /// Enough for anything polynomial, and about a minute and 2 GiB of search.
    pub const DEFAULT: Budget = Budget { steps: 1_000_000_000, bytes: 2 << 30 };
}

impl Default for Budget {
    fn default() -> Budget {
        Budget::DEFAULT
    }
}

/// What a budget ran out of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Spent {
    /// The steps.
    Steps,
    /// The bytes.
    Bytes,
    /// The watcher said stop, for example because time was up.
    Stopped,
}

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Spent::Steps => "the budget of steps is spent",
            Spent::Bytes => "the budget of memory is spent",
            Spent::Stopped => "stopped before an answer was found",
        })
    }
}

/// How far a checker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Steps done so far.
    pub steps: u64,
    /// Bytes remembered now.
    pub bytes: u64,
}

/// Counts the work against the budget. Algorithms charge it and return [`Spent`] with `?`.
pub struct Meter<'a> {
    budget: Budget,
    steps: u64,
    bytes: u64,
    next_look: u64,
    watch: Option<&'a mut dyn FnMut(Progress) -> bool>,
}

/// Steps between two calls of the watcher.
const LOOK_EVERY: u64 = 1 << 16;

impl<'a> Meter<'a> {
    /// A meter with this budget.
    pub fn new(budget: Budget) -> Meter<'a> {
        Meter { budget, steps: 0, bytes: 0, next_look: LOOK_EVERY, watch: None }
    }
    /// The watcher is told the progress now and then; if it answers `false`, the work stops.
    pub fn watched(budget: Budget, watch: &'a mut dyn FnMut(Progress) -> bool) -> Meter<'a> {
        Meter { watch: Some(watch), ..Meter::new(budget) }
    }
    /// Some steps are about to be done.
    pub fn step(&mut self, steps: u64) -> Result<(), Spent> {
        self.steps += steps;
        if self.steps > self.budget.steps {
            return Err(Spent::Steps);
        }
        if self.steps < self.next_look {
            return Ok(());
        }
        self.next_look = self.steps + LOOK_EVERY;
        let progress = Progress { steps: self.steps, bytes: self.bytes };
        let goes_on = self.watch.as_mut().is_none_or(|watch| watch(progress));
        if goes_on { Ok(()) } else { Err(Spent::Stopped) }
    }
    /// Does work that is worth at most so many of the steps that are left; and tells how many it took. What it held is
    /// given back. If it spends its steps, others may be left.
    pub(crate) fn within<T>(
        &mut self,
        steps: u64,
        work: impl FnOnce(&mut Meter<'_>) -> Result<T, Spent>,
    ) -> (Result<T, Spent>, u64) {
        let budget = Budget { steps: self.budget.steps.min(self.steps.saturating_add(steps)), ..self.budget };
        let watch: Option<&mut dyn FnMut(Progress) -> bool> = match &mut self.watch {
            Some(watch) => Some(&mut **watch),
            None => None,
        };
        let mut part = Meter { budget, steps: self.steps, bytes: self.bytes, next_look: self.next_look, watch };
        let done = work(&mut part);
        let (now, next_look) = (part.steps.min(budget.steps), part.next_look);
        let took = now - self.steps;
        (self.steps, self.next_look) = (now, next_look);
        (done, took)
    }
    /// Some bytes are about to be remembered.
    pub fn hold(&mut self, bytes: u64) -> Result<(), Spent> {
        self.bytes += bytes;
        if self.bytes > self.budget.bytes { Err(Spent::Bytes) } else { Ok(()) }
    }
    /// Some bytes are no longer remembered.
    pub fn release(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }
    /// What was done so far.
    pub fn progress(&self) -> Progress {
        Progress { steps: self.steps, bytes: self.bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_stops() {
        let mut meter = Meter::new(Budget { steps: 10, bytes: 10 });
        assert_eq!((meter.step(10), meter.step(1)), (Ok(()), Err(Spent::Steps)));
        assert_eq!((meter.hold(11), meter.release(5), meter.hold(1)), (Err(Spent::Bytes), (), Ok(())));
        let mut calls = 0;
        let mut stop = |_: Progress| {
            calls += 1;
            false
        };
        let mut meter = Meter::watched(Budget::DEFAULT, &mut stop);
        assert_eq!((meter.step(1), meter.step(LOOK_EVERY)), (Ok(()), Err(Spent::Stopped)));
        assert_eq!(calls, 1);
    }
}
