//! What a judge says when a promise was broken.

use quorate_check::Anomaly;
use std::fmt;

/// Which promise was broken. Two failures of one kind are taken for the same when a schedule is shrunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Two leaders in one term.
    TwoLeaders,
    /// Two logs agree at an index and term, and differ before it.
    LogMatching,
    /// A new leader lacks an entry that was committed before its term.
    LeaderLacksCommitted,
    /// A committed entry changed, or the commit position fell.
    CommittedChanged,
    /// A node goes by members that are not the latest in its log.
    Members,
    /// Two replicas applied the same entries and have different states.
    StatesDiffer,
    /// An acknowledged write is not in the log where its receipt says.
    AcknowledgedLost,
    /// A receipt claims what did not happen.
    ReceiptLies,
    /// Answers that no order explains.
    NotLinearizable(Anomaly),
    /// A promise to a session was broken.
    Session(crate::check::session::Broken),
    /// A read gave a value that nobody wrote.
    ReadFromNowhere,
    /// One idempotency key had two outcomes.
    TwoOutcomes,
    /// What a transaction read is not one state, or not what it wrote.
    TornTransaction,
    /// One version of a key had two values, or one value two versions.
    VersionLies,
    /// An answer that was put together from several groups is true at no moment.
    GatheredWrong,
    /// Operations that one connection sent one after another took effect in another order.
    PipelineOrder,
    /// A command failed that must not fail.
    WrongError,
    /// A law of machines was broken.
    Law,
    /// An assertion of the machine failed.
    Assertion,
    /// After the faults ended, the cluster did not get to work again in time.
    NoProgress,
    /// After the faults ended, the replicas did not become equal in time.
    NoConvergence,
    /// After the faults ended, what expired was not removed in time.
    NotExpired,
    /// A node whose clock is out leads on, or does not say that it is out.
    ClockLeadsOn,
    /// A clock that is right is called out.
    ClockCalledOut,
    /// A node that is well stays suspected.
    StillSuspected,
    /// A node that lives is suspected.
    LivingSuspected,
    /// A node ended and is not suspected in time.
    DeathNoticedLate,
    /// Replicas of a leaderless table know the same and hold different things.
    ReplicasDiffer,
    /// An acknowledged amount was lost, or counted twice.
    WrongSum,
    /// An element was lost, or came back after it was removed.
    WrongElements,
    /// A value that nobody replaced was dropped, or one that was replaced came back.
    WrongSiblings,
    /// A value that was swapped for another is shown.
    WrongSwap,
    /// A replica confirmed a stamp from further in the future than it may believe.
    FarStamp,
    /// Two runs of one seed differed.
    NotDeterministic,
    /// A checker gave up.
    Undecided,
    /// What a lesson is about, in its words.
    Lesson(&'static str),
}

impl Kind {
    /// The name of it.
    pub fn word(self) -> String {
        match self {
            Kind::TwoLeaders => "two leaders in one term".into(),
            Kind::LogMatching => "logs do not match".into(),
            Kind::LeaderLacksCommitted => "a leader lacks committed entries".into(),
            Kind::CommittedChanged => "a committed entry changed".into(),
            Kind::Members => "a node goes by members that its log does not hold".into(),
            Kind::StatesDiffer => "states differ at one index".into(),
            Kind::AcknowledgedLost => "an acknowledged write is lost".into(),
            Kind::ReceiptLies => "a receipt lies".into(),
            Kind::NotLinearizable(anomaly) => format!("not linearizable: {}", anomaly.word()),
            Kind::Session(broken) => format!("session promise broken: {}", broken.word()),
            Kind::ReadFromNowhere => "a read gave a value that nobody wrote".into(),
            Kind::TwoOutcomes => "one idempotency key had two outcomes".into(),
            Kind::TornTransaction => "a transaction is torn".into(),
            Kind::VersionLies => "a version lies".into(),
            Kind::GatheredWrong => "a gathered answer is true at no moment".into(),
            Kind::PipelineOrder => "a pipeline out of order".into(),
            Kind::WrongError => "a command failed that must not".into(),
            Kind::Law => "a law of machines is broken".into(),
            Kind::Assertion => "an assertion of the node failed".into(),
            Kind::NoProgress => "no progress after the faults ended".into(),
            Kind::NoConvergence => "replicas did not become equal".into(),
            Kind::NotExpired => "what expired stays".into(),
            Kind::ClockLeadsOn => "a node whose clock is out leads on".into(),
            Kind::ClockCalledOut => "a clock that is right is called out".into(),
            Kind::StillSuspected => "a node that is well stays suspected".into(),
            Kind::LivingSuspected => "a node that lives is suspected".into(),
            Kind::DeathNoticedLate => "the end of a node is noticed late".into(),
            Kind::ReplicasDiffer => "replicas know the same and differ".into(),
            Kind::WrongSum => "an amount is lost or counted twice".into(),
            Kind::WrongElements => "an element is lost or came back".into(),
            Kind::WrongSiblings => "siblings are not what was written concurrently".into(),
            Kind::WrongSwap => "a value that was compared and set is still shown".into(),
            Kind::FarStamp => "a stamp from the future was believed".into(),
            Kind::NotDeterministic => "one seed, two runs".into(),
            Kind::Undecided => "the checker gave up".into(),
            Kind::Lesson(what) => what.into(),
        }
    }
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which promise.
    pub kind: Kind,
    /// When it was noticed, in microseconds of simulated time; 0 where there is no time.
    pub at_us: u64,
    /// What was seen, for people.
    pub detail: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A lesson that only counts has no clock.
        match self.at_us {
            0 => write!(f, "{}\n{}", self.kind.word(), self.detail),
            at_us => write!(f, "{} (at {} ms)\n{}", self.kind.word(), at_us / 1000, self.detail),
        }
    }
}
