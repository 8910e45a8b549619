//! Single rules that the lab can break, to show what each is for and that the judges notice.
//!
//! Without the `lab` feature no mutant can be switched on and the checks compile to nothing.

/// A rule that can be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Mutant {
    AckBeforeSync,
    VoteNotDurable,
    CommitOlderTermByCounting,
    LeaderReadsWithoutRound,
    ReadRoundReused,
    ElectionRestrictionOff,
    MajorityIsHalf,
    FollowerDoesNotTruncate,
    SnapshotForgetsIdempotency,
    WallClockInApply,
    ReceiptCountsThePlan,
    IdempotencyForgottenByNewLeader,
    SessionIgnored,
    AppliedPositionNotAtomic,
    OwnWritesIgnored,
    PipelineOvertakes,
    ForwardedCopyTaken,
    GuardVersionIgnored,
    GuardAbsentIgnored,
    FailureEndsTransaction,
    GatherWithoutAPart,
    GatherPartUnproven,
    IdempotencyByLogTime,
    SweepByOwnClock,
    ExpiryTickLost,
    BadClockLeadsOn,
}

impl Mutant {
    /// All mutants, with the name and the sentence that the lab prints.
    pub const ALL: &'static [(Mutant, &'static str, &'static str)] = &[
        (Mutant::AckBeforeSync, "ack-before-sync", "a follower acknowledges entries before they survive power loss"),
        (Mutant::VoteNotDurable, "vote-not-durable", "a vote leaves before it survives power loss"),
        (
            Mutant::CommitOlderTermByCounting,
            "commit-older-term-by-counting",
            "a leader commits an entry of an older term because a majority holds it (Raft, Figure 8)",
        ),
        (
            Mutant::LeaderReadsWithoutRound,
            "leader-reads-without-round",
            "a leader serves linearizable reads without proving that it still leads",
        ),
        (
            Mutant::ReadRoundReused,
            "read-round-reused",
            "a retried read accepts answers to its first attempt (etcd #20418)",
        ),
        (
            Mutant::ElectionRestrictionOff,
            "election-restriction-off",
            "a node votes for a candidate whose log is behind its own",
        ),
        (Mutant::MajorityIsHalf, "majority-is-half", "half of the nodes count as a majority"),
        (
            Mutant::FollowerDoesNotTruncate,
            "follower-does-not-truncate",
            "a follower keeps its own entries where the leader's differ",
        ),
        (
            Mutant::SnapshotForgetsIdempotency,
            "snapshot-forgets-idempotency",
            "a snapshot leaves out the idempotency records",
        ),
        (Mutant::WallClockInApply, "wall-clock-in-apply", "expiry asks the clock of the replica instead of log time"),
        (
            Mutant::ReceiptCountsThePlan,
            "receipt-counts-the-plan",
            "a receipt lists the replicas that were asked, not those that answered",
        ),
        (
            Mutant::IdempotencyForgottenByNewLeader,
            "idempotency-forgotten-by-new-leader",
            "a retried idempotency key is applied again after a change of leader",
        ),
        (
            Mutant::SessionIgnored,
            "session-ignored",
            "a session read is served by a replica that has not applied what the session saw",
        ),
        (
            Mutant::AppliedPositionNotAtomic,
            "applied-position-not-atomic",
            "the applied position is not written with what was applied",
        ),
        (
            Mutant::OwnWritesIgnored,
            "own-writes-ignored",
            "a pipelined read does not wait for the writes before it that are not yet committed",
        ),
        (
            Mutant::PipelineOvertakes,
            "pipeline-overtakes",
            "a pipelined call does not wait for writes before it that may come back from an earlier leader",
        ),
        (
            Mutant::ForwardedCopyTaken,
            "forwarded-copy-taken",
            "a leader takes a second copy of a call that was passed on to it",
        ),
        (Mutant::GuardVersionIgnored, "guard-version-ignored", "a guard on the version of a key is not checked"),
        (Mutant::GuardAbsentIgnored, "guard-absent-ignored", "a guard on the absence of a key is not checked"),
        (
            Mutant::FailureEndsTransaction,
            "failure-ends-transaction",
            "a command that fails keeps those after it in its transaction from running",
        ),
        (
            Mutant::GatherWithoutAPart,
            "gather-without-a-part",
            "a gathered answer leaves out groups that could not answer",
        ),
        (
            Mutant::GatherPartUnproven,
            "gather-part-unproven",
            "a part of a gathered read counts nodes that were not asked",
        ),
        (
            Mutant::IdempotencyByLogTime,
            "idempotency-by-log-time",
            "idempotency records end by log time, which a clock that jumps can hurry",
        ),
        (Mutant::SweepByOwnClock, "sweep-by-own-clock", "a replica sweeps what its own clock says has expired"),
        (Mutant::ExpiryTickLost, "expiry-tick-lost", "a leader does not make log time pass what expired"),
        (Mutant::BadClockLeadsOn, "bad-clock-leads-on", "a node leads on although its clock is out against a majority"),
    ];
}

/// The set of rules that are broken. Empty, always, without the `lab` feature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mutants(#[cfg(feature = "lab")] u32);

impl Mutants {
    /// Nothing is broken.
    pub const fn none() -> Mutants {
        Mutants(
            #[cfg(feature = "lab")]
            0,
        )
    }

    /// One rule is broken.
    #[cfg(feature = "lab")]
    pub const fn only(mutant: Mutant) -> Mutants {
        Mutants(1 << mutant as u32)
    }

    /// Is this rule broken?
    #[inline(always)]
    pub const fn has(self, mutant: Mutant) -> bool {
        #[cfg(feature = "lab")]
        {
            self.0 & (1 << mutant as u32) != 0
        }
        #[cfg(not(feature = "lab"))]
        {
            let _ = mutant;
            false
        }
    }
}
