//! Do the judges notice when a single rule is broken? For each mutant there are hunts: scripts of the known shape, and
//! swarms whose options make the broken rule visible. The correct node must pass every hunt.

use crate::failure::Failure;
use crate::fault::Fault;
use crate::replicas;
use crate::script::{self, Casting};
use crate::vopr::{self, Options, Plan, Swarm};
use quorate_core::crdt::Kind;
use quorate_core::limits::IDEMPOTENCY_KEEP_MS;
use quorate_core::machine::NodeId;
use quorate_core::mutant::Mutant;
use quorate_core::random::Random;
use std::fmt;
use std::ops::Range;

/// The scripts of known shapes, by name.
pub const SCRIPTS: &[(&str, &str)] = &[
    ("consensus/figure_8", include_str!("../../../scripts/consensus/figure_8.txt")),
    ("consensus/stale_leader", include_str!("../../../scripts/consensus/stale_leader.txt")),
    ("consensus/read_after_pause", include_str!("../../../scripts/consensus/read_after_pause.txt")),
    ("consensus/vote", include_str!("../../../scripts/consensus/vote.txt")),
    ("consensus/snapshot", include_str!("../../../scripts/consensus/snapshot.txt")),
    ("consensus/joint_majorities", include_str!("../../../scripts/consensus/joint_majorities.txt")),
    ("consensus/learner", include_str!("../../../scripts/consensus/learner.txt")),
    ("consensus/truncated_members", include_str!("../../../scripts/consensus/truncated_members.txt")),
    ("consensus/divergent_follower", include_str!("../../../scripts/consensus/divergent_follower.txt")),
    ("node/idempotent_retry", include_str!("../../../scripts/node/idempotent_retry.txt")),
    ("node/session_read", include_str!("../../../scripts/node/session_read.txt")),
    ("node/receipts", include_str!("../../../scripts/node/receipts.txt")),
    ("node/expiry", include_str!("../../../scripts/node/expiry.txt")),
    ("leaderless/write_back", include_str!("../../../scripts/leaderless/write_back.txt")),
    ("leaderless/riak_kv_388", include_str!("../../../scripts/leaderless/riak_kv_388.txt")),
    ("leaderless/moved_range", include_str!("../../../scripts/leaderless/moved_range.txt")),
    ("leaderless/lost_disk", include_str!("../../../scripts/leaderless/lost_disk.txt")),
    ("leaderless/riak_kv_1094", include_str!("../../../scripts/leaderless/riak_kv_1094.txt")),
    ("leaderless/replaced_meanwhile", include_str!("../../../scripts/leaderless/replaced_meanwhile.txt")),
    ("leaderless/joined_read", include_str!("../../../scripts/leaderless/joined_read.txt")),
    ("leaderless/escrow", include_str!("../../../scripts/leaderless/escrow.txt")),
    ("node/steady_time", include_str!("../../../scripts/node/steady_time.txt")),
];

/// The text of a script by name.
pub fn script_named(name: &str) -> Option<&'static str> {
    SCRIPTS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The name of a mutant.
pub fn name(mutant: Mutant) -> &'static str {
    Mutant::ALL.iter().find(|(known, ..)| *known == mutant).map_or("unknown", |(_, name, _)| name)
}

/// The script that shows what a mutant does, where one is needed because blind seeds hardly find it.
pub fn script_for(mutant: Mutant) -> Option<&'static str> {
    match mutant {
        Mutant::CommitOlderTermByCounting => Some("consensus/figure_8"),
        Mutant::VoteNotDurable => Some("consensus/vote"),
        Mutant::LeaderReadsWithoutRound => Some("consensus/stale_leader"),
        Mutant::ReadRoundReused => Some("consensus/read_after_pause"),
        Mutant::SnapshotForgetsIdempotency => Some("consensus/snapshot"),
        Mutant::FollowerDoesNotTruncate => Some("consensus/divergent_follower"),
        Mutant::IdempotencyForgottenByNewLeader => Some("node/idempotent_retry"),
        Mutant::SessionIgnored => Some("node/session_read"),
        Mutant::ReceiptCountsThePlan => Some("node/receipts"),
        Mutant::WallClockInApply => Some("node/expiry"),
        Mutant::IdempotencyByLogTime => Some("node/steady_time"),
        Mutant::JointQuorumSkipped => Some("consensus/joint_majorities"),
        Mutant::LearnerCounts => Some("consensus/learner"),
        Mutant::MemberChangeNotTruncated => Some("consensus/truncated_members"),
        Mutant::WriteBackSkipped => Some("leaderless/write_back"),
        Mutant::QuorumFromPlan => Some("leaderless/riak_kv_388"),
        Mutant::IdentityReused => Some("leaderless/riak_kv_1094"),
        Mutant::MovesWithoutComparing => Some("leaderless/moved_range"),
        Mutant::BlankReplicaCounts => Some("leaderless/lost_disk"),
        Mutant::ChangeTakenAlone => Some("leaderless/replaced_meanwhile"),
        Mutant::EscrowTakenUnheard => Some("leaderless/escrow"),
        Mutant::JoinsEarlierRead => Some("leaderless/joined_read"),
        Mutant::AckBeforeSync
        | Mutant::ElectionRestrictionOff
        | Mutant::MajorityIsHalf
        | Mutant::AppliedPositionNotAtomic
        | Mutant::OwnWritesIgnored
        | Mutant::PipelineOvertakes
        | Mutant::ForwardedCopyTaken
        | Mutant::GuardVersionIgnored
        | Mutant::GuardAbsentIgnored
        | Mutant::FailureEndsTransaction
        | Mutant::GatherWithoutAPart
        | Mutant::GatherPartUnproven
        | Mutant::SweepByOwnClock
        | Mutant::ExpiryTickLost
        | Mutant::BadClockLeadsOn
        | Mutant::AnswerCountedTwice
        | Mutant::FarFutureStampAdopted
        | Mutant::MendReplaces
        | Mutant::StateTakenForRange
        | Mutant::SiblingDropped
        | Mutant::RemovalForgotten
        | Mutant::NeverCompares
        | Mutant::SumsWithoutValues
        | Mutant::SloppyCountsAsStrict
        | Mutant::PaxosIgnoresHighest
        | Mutant::EpochNotFenced
        | Mutant::HintReplayed
        | Mutant::MovingWriteCountsOnce
        | Mutant::AcceptorsStay
        | Mutant::OperationForgotten
        | Mutant::EscrowGiftKept
        | Mutant::EndedLifeHeard
        | Mutant::NameOnAnyPart => None,
    }
}

/// Rules whose breaking the tests of their room notice, and seeds hardly ever: what they keep from happening needs a write, a proposal or a
/// message at one moment of a movement, or of the start of a node, and is mended soon after.
const IN_THEIR_ROOM: [Mutant; 5] = [
    Mutant::MovingWriteCountsOnce,
    Mutant::EpochNotFenced,
    Mutant::HintReplayed,
    Mutant::AcceptorsStay,
    Mutant::EndedLifeHeard,
];

/// The mutants that the lab hunts, with their names.
pub fn hunted() -> impl Iterator<Item = (Mutant, &'static str)> {
    Mutant::ALL.iter().map(|(mutant, name, _)| (*mutant, *name)).filter(|(mutant, _)| !IN_THEIR_ROOM.contains(mutant))
}

const CALM: Swarm =
    Swarm { cuts: false, bad_links: false, crashes: false, pauses: false, clocks: false, disks: false, hints: false };

/// A plan whose options make the broken rule visible. The rule itself is not yet broken in it.
pub fn target(mutant: Mutant, seed: u64) -> Plan {
    let mut plan = Plan::draw(seed);
    let options = &mut plan.options;
    (options.nodes, options.groups, options.replicas) = (if seed.is_multiple_of(3) { 5 } else { 3 }, 1, None);
    (options.voters, options.mix.members) = (None, 0);
    let mut swarm = CALM;
    match mutant {
        Mutant::AckBeforeSync => {
            (swarm.crashes, swarm.disks) = (true, true);
            options.habits.sync_us = 3_000;
        }
        Mutant::VoteNotDurable => {
            (swarm.crashes, swarm.disks, swarm.cuts) = (true, true, true);
            options.habits.sync_us = 20_000;
            options.habits.weather.jitter_us = 20_000;
        }
        Mutant::CommitOlderTermByCounting => (swarm.crashes, swarm.cuts) = (true, true),
        Mutant::LeaderReadsWithoutRound | Mutant::ReadRoundReused => {
            (swarm.cuts, swarm.pauses, swarm.clocks) = (true, true, true);
            (options.mix.reads, options.mix.session_reads, options.mix.eventual_reads) = (600, 0, 0);
        }
        Mutant::ElectionRestrictionOff | Mutant::FollowerDoesNotTruncate => {
            (swarm.cuts, swarm.crashes, swarm.pauses) = (true, true, true);
        }
        Mutant::MajorityIsHalf => swarm.cuts = true,
        Mutant::SnapshotForgetsIdempotency => {
            (swarm.cuts, swarm.crashes) = (true, true);
            (options.keep_entries, options.mix.idempotent) = (3, 800);
        }
        Mutant::WallClockInApply => {
            swarm.clocks = true;
            options.mix.expiring = 300;
        }
        Mutant::ReceiptCountsThePlan => (swarm.crashes, swarm.pauses) = (true, true),
        Mutant::IdempotencyForgottenByNewLeader => {
            (swarm.cuts, swarm.crashes, swarm.pauses) = (true, true, true);
            (options.mix.idempotent, options.mix.additions) = (900, 600);
        }
        Mutant::SessionIgnored => {
            (swarm.cuts, swarm.bad_links, swarm.pauses) = (true, true, true);
            (options.mix.session_reads, options.mix.sticky) = (900, 0);
        }
        Mutant::AppliedPositionNotAtomic => {
            swarm.crashes = true;
            options.mix.additions = 700;
        }
        Mutant::OwnWritesIgnored => options.mix.pipelines = 700,
        Mutant::PipelineOvertakes => {
            (swarm.cuts, swarm.pauses, swarm.bad_links) = (true, true, true);
            options.habits.weather.ordered = true;
            (options.mix.pipelines, options.mix.transfers, options.mix.clients) = (900, 60, 6);
        }
        Mutant::ForwardedCopyTaken => {
            let weather = &mut options.habits.weather;
            (weather.late_copy_per_mille, weather.late_copy_us) = (50, 500_000);
            (options.mix.additions, options.mix.idempotent, options.mix.reads) = (700, 0, 300);
        }
        Mutant::GuardVersionIgnored | Mutant::GuardAbsentIgnored => {
            (options.mix.guards, options.mix.clients) = (700, 6);
        }
        Mutant::FailureEndsTransaction => options.mix.transactions = 600,
        Mutant::GatherWithoutAPart | Mutant::GatherPartUnproven => {
            (swarm.cuts, swarm.crashes, swarm.pauses) = (true, true, true);
            (options.groups, options.mix.gathers) = (3, 700);
            (options.mix.session_reads, options.mix.eventual_reads) = (0, 0);
        }
        Mutant::IdempotencyByLogTime => {
            (swarm.cuts, swarm.pauses) = (true, true);
            (options.mix.idempotent, options.mix.additions, options.mix.deadline_ms) = (900, 600, 80);
        }
        Mutant::SweepByOwnClock => {
            swarm.clocks = true;
            options.mix.expiring = 300;
        }
        Mutant::ExpiryTickLost => options.mix.expiring = 300,
        // The clock jumps once all is well again.
        Mutant::BadClockLeadsOn => {}
        Mutant::JointQuorumSkipped | Mutant::LearnerCounts | Mutant::MemberChangeNotTruncated => {
            (swarm.cuts, swarm.crashes, swarm.pauses) = (true, true, true);
            (options.nodes, options.mix.members) = (5, 80);
        }
        Mutant::QuorumFromPlan
        | Mutant::AnswerCountedTwice
        | Mutant::FarFutureStampAdopted
        | Mutant::WriteBackSkipped
        | Mutant::JoinsEarlierRead
        | Mutant::MendReplaces
        | Mutant::StateTakenForRange
        | Mutant::SiblingDropped
        | Mutant::RemovalForgotten
        | Mutant::IdentityReused
        | Mutant::NeverCompares
        | Mutant::SumsWithoutValues
        | Mutant::ChangeTakenAlone
        | Mutant::SloppyCountsAsStrict
        | Mutant::MovesWithoutComparing
        | Mutant::EscrowTakenUnheard
        | Mutant::EscrowGiftKept
        | Mutant::PaxosIgnoresHighest
        | Mutant::BlankReplicaCounts
        | Mutant::OperationForgotten
        | Mutant::NameOnAnyPart => target_replicas(mutant, options, &mut swarm),
        Mutant::EpochNotFenced
        | Mutant::HintReplayed
        | Mutant::AcceptorsStay
        | Mutant::MovingWriteCountsOnce
        | Mutant::EndedLifeHeard => {
            unreachable!("{} is caught by the tests of its room", name(mutant))
        }
    }
    let mut random = Random::new(seed ^ 0x07A6_E700);
    plan.faults = vopr::draw_faults(&plan.options, swarm, &mut random);
    if plan.options.voters == Some(1) {
        plan.faults.extend(cuts_around_a_hub(plan.options.safety_us, &mut random));
        plan.faults.sort_by_key(|(at_us, _)| *at_us);
    }
    if mutant == Mutant::IdempotencyByLogTime {
        // All clocks jump by more than a record is kept, again and again, so that many retries come after a jump.
        let jumps = (1..).map(|jump| jump * JUMP_EVERY_US).take_while(|at_us| *at_us < plan.options.safety_us);
        let all = jumps.flat_map(|at_us| plan.options.members().into_iter().map(move |node| (at_us, node)));
        let skew = |(at_us, node)| (at_us, Fault::Skew(node, 2 * IDEMPOTENCY_KEEP_MS as i64));
        plan.faults.extend(all.map(skew));
        plan.faults.sort_by_key(|(at_us, _)| *at_us);
    }
    plan
}

/// The same for the rules of leaderless tables.
fn target_replicas(mutant: Mutant, options: &mut Options, swarm: &mut Swarm) {
    let mut random = Random::new(options.seed ^ 0x5A11_0FF5);
    let mut mix = replicas::Mix::draw(options.nodes, options.election_ms, &mut random);
    (swarm.cuts, swarm.bad_links) = (true, true);
    let nodes = options.nodes;
    let kinds = |mix: &mut replicas::Mix, kinds: &[Kind]| {
        mix.tables = kinds.iter().map(|kind| replicas::Table::balanced(*kind, nodes)).collect();
    };
    match mutant {
        Mutant::FarFutureStampAdopted => {
            (swarm.clocks, mix.reads) = (true, 200);
            kinds(&mut mix, &[Kind::Latest]);
        }
        Mutant::WriteBackSkipped => {
            // Reads come between the arrivals of one write.
            let weather = &mut options.habits.weather;
            (weather.ordered, weather.jitter_us, weather.loss_per_mille) = (false, 30_000, 100);
            (mix.reads, mix.atomic, mix.keys, mix.volatile, mix.named) = (750, 1_000, 1, 0, 0);
            (mix.clients, mix.think_us, mix.deadline_ms) = (8, 2_000, 300);
            options.nodes = 5;
            mix.tables =
                vec![replicas::Table { replicas: 5, read: 3, write: 3, ..replicas::Table::balanced(Kind::Latest, 5) }];
        }
        Mutant::JoinsEarlierRead => {
            // Many ask for one key at one node while answers are long on their way.
            let weather = &mut options.habits.weather;
            (weather.ordered, weather.jitter_us) = (false, 30_000);
            (mix.reads, mix.keys, mix.named, mix.clients, mix.think_us) = (750, 1, 0, 12, 2_000);
            kinds(&mut mix, &[Kind::Latest, Kind::Counter]);
        }
        Mutant::IdentityReused => {
            // Others have what the node itself loses with the power.
            (swarm.crashes, swarm.disks) = (true, true);
            (options.habits.sync_us, options.habits.sync_jitter_us) = (10_000, 30_000);
            kinds(&mut mix, &[Kind::Register, Kind::Set]);
        }
        Mutant::EscrowTakenUnheard | Mutant::EscrowGiftKept => {
            // What leaves before the power goes, others have and the disk here has not.
            (swarm.crashes, swarm.disks) = (true, true);
            (options.habits.sync_us, options.habits.sync_jitter_us) = (30_000, 60_000);
            // What is made is soon used up, so that whatever is used twice is below the bound.
            (mix.reads, mix.removals, mix.gifts, mix.keys, mix.clients) = (100, 800, 200, 1, 6);
            kinds(&mut mix, &[Kind::Bounded]);
        }
        Mutant::SiblingDropped => kinds(&mut mix, &[Kind::Register]),
        Mutant::ChangeTakenAlone => {
            (mix.reads, mix.mend_reads) = (300, false);
            kinds(&mut mix, &[Kind::Latest, Kind::Map]);
        }
        Mutant::RemovalForgotten => {
            mix.removals = 400;
            kinds(&mut mix, &[Kind::Set, Kind::Map]);
        }
        Mutant::StateTakenForRange => {
            (mix.keys, mix.mend_reads) = (4, true);
            mix.tables.iter_mut().for_each(|table| (table.ranges, table.split) = ("z".to_string(), 1));
        }
        Mutant::MendReplaces => {
            (mix.mend_reads, mix.hints, mix.compare_ms) = (true, false, 500);
            (mix.reads, mix.clients, mix.named) = (500, 5, 700);
            kinds(&mut mix, &[Kind::Set, Kind::Counter]);
        }
        Mutant::NeverCompares | Mutant::SumsWithoutValues => (mix.mend_reads, mix.hints) = (false, false),
        Mutant::SloppyCountsAsStrict => {
            (options.nodes, swarm.crashes, mix.sloppy, mix.volatile) = (5, true, 900, 0);
            kinds(&mut mix, &[Kind::Counter, Kind::Set]);
        }
        Mutant::QuorumFromPlan | Mutant::AnswerCountedTwice => swarm.crashes = true,
        Mutant::MovesWithoutComparing => moving(&mut mix, options, &[Kind::Set, Kind::Counter]),
        Mutant::OperationForgotten => {
            moving(&mut mix, options, &[Kind::Counter]);
            (mix.names, mix.reads) = (1_000, 200);
        }
        Mutant::NameOnAnyPart => {
            let split =
                replicas::Table { split: 4, ranges: String::new(), ..replicas::Table::balanced(Kind::Counter, nodes) };
            (mix.tables, mix.names, mix.reads) = (vec![split], 1_000, 200);
        }
        Mutant::PaxosIgnoresHighest => {
            kinds(&mut mix, &[Kind::Latest, Kind::Register]);
            mix.tables.iter_mut().for_each(|table| table.swaps = true);
            (mix.clients, mix.keys, mix.think_us, mix.reads) = (6, 1, 2_000, 400);
        }
        Mutant::BlankReplicaCounts => {
            moving(&mut mix, options, &[Kind::Set, Kind::Counter]);
            (options.voters, mix.move_us, mix.lose_us, swarm.cuts) = (Some(1), 0, 100_000, false);
        }
        mutant => unreachable!("{} is no rule of leaderless tables that is hunted", name(mutant)),
    }
    options.replicas = Some(mix);
}

/// The first node, which alone decides who holds what, hears all others; those are cut two from two, each time along another line.
fn cuts_around_a_hub(until_us: u64, random: &mut Random) -> Vec<(u64, Fault)> {
    let (mut at_us, mut faults) = (0, Vec::new());
    while at_us < until_us {
        let mut others = vec![2, 3, 4, 5];
        let friend = others.remove(1 + random.below(3) as usize);
        let sides = vec![vec![NodeId(2), NodeId(friend)], others[1..].iter().copied().map(NodeId).collect()];
        faults.push((at_us, Fault::Partition(sides)));
        at_us += HUB_CUT_US / 2 + random.below(HUB_CUT_US);
        faults.push((at_us, Fault::Heal));
        at_us += random.below(HUB_CUT_US / 2);
    }
    faults
}

/// How long nodes around a hub are cut from each other, about, in microseconds.
const HUB_CUT_US: u64 = 200_000;

/// Tables on three of five nodes, of which others hold more or less again and again. Nothing but moving brings data anywhere.
fn moving(mix: &mut replicas::Mix, options: &mut Options, kinds: &[Kind]) {
    options.nodes = 5;
    (mix.mend_reads, mix.hints, mix.compare_ms, mix.move_us) = (false, false, 5_000, 100_000);
    (mix.named, mix.sloppy, mix.volatile, mix.clients, mix.think_us) = (0, 0, 0, 6, 5_000);
    let three = |kind: &Kind| replicas::Table { replicas: 3, read: 2, write: 2, ..replicas::Table::balanced(*kind, 5) };
    mix.tables = kinds.iter().map(three).collect();
}

/// How often clocks jump where they do so for a purpose, in microseconds.
const JUMP_EVERY_US: u64 = 100_000;

/// How a mutant was caught.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caught {
    /// The script, or none for a swarm.
    pub script: Option<&'static str>,
    /// The seed; of no meaning for a script.
    pub seed: u64,
    /// What the judge said.
    pub failure: Failure,
}

/// What became of one mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The mutant.
    pub mutant: Mutant,
    /// How it was caught first, if it was.
    pub caught: Option<Caught>,
    /// How it was caught by a judge that does not look at receipts, if it was.
    pub without_receipts: Option<Caught>,
    /// Where the correct node failed in the same hunt: there must be none.
    pub innocent: Option<Caught>,
}

/// One row for each mutant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table(pub Vec<Row>);

impl Table {
    /// Mutants that nobody noticed.
    pub fn survivors(&self) -> Vec<&'static str> {
        self.0.iter().filter(|row| row.caught.is_none()).map(|row| name(row.mutant)).collect()
    }
    /// Hunts in which the correct node was accused.
    pub fn accusations(&self) -> Vec<&Caught> {
        self.0.iter().filter_map(|row| row.innocent.as_ref()).collect()
    }
}

impl fmt::Display for Caught {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.script {
            Some(script) => write!(f, "{script}: {}", self.failure.kind.word()),
            None => write!(f, "seed {}: {}", self.seed, self.failure.kind.word()),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |caught: &Option<Caught>| caught.as_ref().map_or("survived".to_string(), Caught::to_string);
        for row in &self.0 {
            let (first, blind) = (said(&row.caught), said(&row.without_receipts));
            writeln!(f, "{:36} {first:62} without receipts: {blind}", name(row.mutant))?;
            if let Some(innocent) = &row.innocent {
                writeln!(f, "{:36} THE CORRECT NODE IS ACCUSED: {innocent}", "")?;
            }
        }
        Ok(())
    }
}

fn play_script(mutant: Mutant, broken: bool, blind_to_receipts: bool) -> Option<Caught> {
    let script = script_for(mutant)?;
    let mutant = broken.then_some(name(mutant));
    let played = script::play(script_named(script)?, &Casting { mutant, trace: false, blind_to_receipts });
    played.failure.map(|failure| Caught { script: Some(script), seed: 0, failure })
}

fn play_seed(mutant: Mutant, seed: u64, broken: bool, blind_to_receipts: bool) -> Option<Caught> {
    let mut plan = target(mutant, seed);
    plan.options.mutant = broken.then(|| name(mutant).to_string());
    plan.options.blind_to_receipts = blind_to_receipts;
    vopr::run_plan(&plan, false).failure.map(|failure| Caught { script: None, seed, failure })
}

/// Hunts one mutant with seeds alone. The first that catches it.
pub fn hunt_seeds(mutant: Mutant, seeds: Range<u64>) -> Option<Caught> {
    seeds.into_iter().find_map(|seed| play_seed(mutant, seed, true, false))
}

/// Hunts one mutant: its script first, then seeds until it is caught. The correct node runs the same.
pub fn hunt(mutant: Mutant, max_seeds: u64) -> Row {
    let find = |blind| {
        play_script(mutant, true, blind)
            .or_else(|| (0..max_seeds).find_map(|seed| play_seed(mutant, seed, true, blind)))
    };
    let (caught, without_receipts) = (find(false), find(true));
    let last = [&caught, &without_receipts].into_iter().flatten().filter(|it| it.script.is_none()).map(|it| it.seed);
    let last = last.max().unwrap_or(0);
    let innocent =
        play_script(mutant, false, false).or_else(|| (0..=last).find_map(|seed| play_seed(mutant, seed, false, false)));
    Row { mutant, caught, without_receipts, innocent }
}

/// Hunts all mutants.
pub fn run_mutants(max_seeds: u64) -> Table {
    Table(hunted().map(|(mutant, _)| hunt(mutant, max_seeds)).collect())
}
