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
    QuorumFromPlan,
    AnswerCountedTwice,
    EpochNotFenced,
    FarFutureStampAdopted,
    WriteBackSkipped,
    MendReplaces,
    StateTakenForRange,
    SiblingDropped,
    RemovalForgotten,
    IdentityReused,
    NeverCompares,
    SumsWithoutValues,
    HintReplayed,
    ChangeTakenAlone,
    PaxosIgnoresHighest,
    SloppyCountsAsStrict,
    JointQuorumSkipped,
    LearnerCounts,
    MemberChangeNotTruncated,
    MovingWriteCountsOnce,
    MovesWithoutComparing,
    AcceptorsStay,
    BlankReplicaCounts,
    OperationForgotten,
    EscrowTakenUnheard,
    EscrowGiftKept,
    EndedLifeHeard,
    JoinsEarlierRead,
    NameOnAnyPart,
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
        (
            Mutant::QuorumFromPlan,
            "quorum-from-plan",
            "a leaderless operation counts the replicas that it asked, not those that answered (riak_kv #388)",
        ),
        (
            Mutant::AnswerCountedTwice,
            "answer-counted-twice",
            "a leaderless write counts confirmations, not the hosts that they came from",
        ),
        (Mutant::EpochNotFenced, "epoch-not-fenced", "a replica answers for an epoch of the table that is not its own"),
        (
            Mutant::FarFutureStampAdopted,
            "far-future-stamp-adopted",
            "a replica takes a write whose stamp is far ahead of its own clock",
        ),
        (
            Mutant::WriteBackSkipped,
            "write-back-skipped",
            "an atomic read answers before what it found is held by enough",
        ),
        (
            Mutant::MendReplaces,
            "mend-replaces",
            "a state that a read repair brings replaces the cell and is not joined",
        ),
        (
            Mutant::StateTakenForRange,
            "state-taken-for-range",
            "what another replica knows, told with one key, is taken to be known of the whole range",
        ),
        (Mutant::SiblingDropped, "sibling-dropped", "of values that were written concurrently, one is kept"),
        (
            Mutant::RemovalForgotten,
            "removal-forgotten",
            "a replica forgets a removal at once, like a tombstone that is collected early (scylla #3560)",
        ),
        (
            Mutant::IdentityReused,
            "identity-reused",
            "a node that starts makes events under the names of its earlier life (riak_kv #1094, scylla #2169)",
        ),
        (Mutant::NeverCompares, "never-compares", "replicas are not compared in the background"),
        (Mutant::SumsWithoutValues, "sums-without-values", "replicas compare their keys and not what stands at them"),
        (
            Mutant::ChangeTakenAlone,
            "change-taken-alone",
            "a replica takes a change that replaces events which it has not received",
        ),
        (Mutant::HintReplayed, "hint-replayed", "a hint is delivered to a node that no longer holds the key"),
        (
            Mutant::PaxosIgnoresHighest,
            "paxos-ignores-highest",
            "a proposer does not go on from the accepted value of the highest ballot",
        ),
        (
            Mutant::SloppyCountsAsStrict,
            "sloppy-counts-as-strict",
            "a node that took a write in place of a replica is counted as one",
        ),
        (
            Mutant::MovingWriteCountsOnce,
            "moving-write-counts-once",
            "while a range moves, a write waits for a quorum where it comes from alone",
        ),
        (
            Mutant::MovesWithoutComparing,
            "moves-without-comparing",
            "a replica that is to hold a range says that it does before it has compared",
        ),
        (Mutant::AcceptorsStay, "acceptors-stay", "when a range moves, what its Paxos acceptors accepted stays behind"),
        (
            Mutant::BlankReplicaCounts,
            "blank-replica-counts",
            "a replica whose disk was lost is read before it has compared",
        ),
        (
            Mutant::OperationForgotten,
            "operation-forgotten",
            "when a range moves, the names of increments that were made stay behind",
        ),
        (
            Mutant::JointQuorumSkipped,
            "joint-quorum-skipped",
            "a change of members takes effect with a majority of the new voters alone",
        ),
        (Mutant::LearnerCounts, "learner-counts", "the answers of learners count as those of voters"),
        (
            Mutant::MemberChangeNotTruncated,
            "member-change-not-truncated",
            "a node goes on with a membership whose entry was cut off its log",
        ),
        (
            Mutant::EscrowTakenUnheard,
            "escrow-taken-unheard",
            "a node takes the rights of its earlier life as its disk tells them, without hearing all replicas",
        ),
        (Mutant::EscrowGiftKept, "escrow-gift-kept", "a node that gives rights away keeps them as well"),
        (Mutant::EndedLifeHeard, "ended-life-heard", "a message of a life that is over is heard"),
        (
            Mutant::JoinsEarlierRead,
            "joins-earlier-read",
            "a read is served by the round of another that may have begun to be answered before it",
        ),
        (
            Mutant::NameOnAnyPart,
            "name-on-any-part",
            "an increment that is repeated under its name may go to another part of the key",
        ),
    ];
}

/// The set of rules that are broken. Empty, always, without the `lab` feature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mutants(#[cfg(any(test, feature = "lab"))] u64);

impl Mutants {
    /// Nothing is broken.
    pub const fn none() -> Mutants {
        Mutants(
            #[cfg(any(test, feature = "lab"))]
            0,
        )
    }

    /// One rule is broken.
    #[cfg(any(test, feature = "lab"))]
    pub const fn only(mutant: Mutant) -> Mutants {
        Mutants(1 << mutant as u64)
    }

    /// Is this rule broken?
    #[inline(always)]
    pub const fn has(self, mutant: Mutant) -> bool {
        #[cfg(any(test, feature = "lab"))]
        {
            self.0 & (1 << mutant as u64) != 0
        }
        #[cfg(not(any(test, feature = "lab")))]
        {
            let _ = mutant;
            false
        }
    }
}
