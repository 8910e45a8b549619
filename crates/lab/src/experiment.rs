//! Experiments for the command line: each breaks one rule, shows what goes wrong for the named reason, and shows that the
//! rule keeps it from going wrong.

use crate::check::Operation;
use crate::check::register::Verdict as Checked;
use crate::failure::{Failure, Kind};
use crate::lesson::register::Variant;
use crate::lesson::{Lesson, silence, trial};
use crate::mutant::{name, script_named, target};
use crate::recording::Recording;
use crate::script::{self, Casting};
use crate::vopr::{self, Plan, Report};
use quorate_core::mutant::Mutant;
use std::fmt;
use std::ops::Range;

mod claims;

/// An experiment as it is listed.
#[derive(Clone, Copy, Debug)]
pub struct Experiment {
    /// Its name.
    pub name: &'static str,
    /// The rule that is broken, as a question.
    pub question: &'static str,
    /// Words of which one must be in what the judge says of the naive variant.
    pub expected: &'static [&'static str],
    play: Play,
}

#[derive(Clone, Copy, Debug)]
enum Play {
    /// A golden script with the rule broken and kept.
    Script(Mutant, &'static str),
    /// Seeds whose options make the broken rule visible.
    Swarm(Mutant),
    /// The register lesson.
    Register(Variant),
    /// The lesson on silences.
    Silence(silence::Variant),
    /// A lesson with a rule that is broken or kept.
    Lesson(Lesson),
}

const fn experiment(
    name: &'static str,
    question: &'static str,
    expected: &'static [&'static str],
    play: Play,
) -> Experiment {
    Experiment { name, question, expected, play }
}

const EXPERIMENTS: &[Experiment] = &[
    experiment(
        "consensus/figure-8",
        "May a leader commit an entry of an older term because a majority holds it?",
        &["lacks committed"],
        Play::Script(Mutant::CommitOlderTermByCounting, "consensus/figure_8"),
    ),
    experiment(
        "consensus/stale-leader",
        "May a leader answer a linearizable read from its own state?",
        &["stale read"],
        Play::Script(Mutant::LeaderReadsWithoutRound, "consensus/stale_leader"),
    ),
    experiment(
        "consensus/read-after-pause",
        "May a read accept answers to a round that was sent before it began?",
        &["stale read"],
        Play::Script(Mutant::ReadRoundReused, "consensus/read_after_pause"),
    ),
    experiment(
        "consensus/forgotten-vote",
        "May a vote leave a node before it survives power loss?",
        &["two leaders"],
        Play::Script(Mutant::VoteNotDurable, "consensus/vote"),
    ),
    experiment(
        "consensus/divergent-follower",
        "May a follower keep its own entries where the leader's differ?",
        &["committed entry changed"],
        Play::Script(Mutant::FollowerDoesNotTruncate, "consensus/divergent_follower"),
    ),
    experiment(
        "consensus/ack-before-sync",
        "May a follower acknowledge an entry before it survives power loss?",
        &["lacks committed", "not linearizable", "become equal", "committed entry changed", "assertion", "lost"],
        Play::Swarm(Mutant::AckBeforeSync),
    ),
    experiment(
        "consensus/half-is-not-a-majority",
        "Is half of the nodes enough?",
        &["lacks committed", "two leaders", "not linearizable", "committed entry changed"],
        Play::Swarm(Mutant::MajorityIsHalf),
    ),
    experiment(
        "consensus/election-restriction",
        "May a node vote for a candidate whose log is behind its own?",
        &["lacks committed", "committed entry changed"],
        Play::Swarm(Mutant::ElectionRestrictionOff),
    ),
    experiment(
        "consensus/joint-majorities",
        "May a change of members take effect with a majority of the new voters alone?",
        &["lacks committed", "committed entry changed"],
        Play::Script(Mutant::JointQuorumSkipped, "consensus/joint_majorities"),
    ),
    experiment(
        "consensus/learners-do-not-count",
        "May the answer of a learner help to commit an entry?",
        &["lacks committed", "committed entry changed"],
        Play::Script(Mutant::LearnerCounts, "consensus/learner"),
    ),
    experiment(
        "node/snapshot-forgets",
        "May a snapshot leave out the idempotency records?",
        &["states differ", "two outcomes", "not linearizable"],
        Play::Script(Mutant::SnapshotForgetsIdempotency, "consensus/snapshot"),
    ),
    experiment(
        "node/idempotent-retry",
        "May a new leader forget which idempotency keys the old one applied?",
        &["two outcomes", "not linearizable"],
        Play::Script(Mutant::IdempotencyForgottenByNewLeader, "node/idempotent_retry"),
    ),
    experiment(
        "node/session-ignored",
        "May any replica serve a session read?",
        &["read your writes", "monotonic reads"],
        Play::Script(Mutant::SessionIgnored, "node/session_read"),
    ),
    experiment(
        "node/wall-clock",
        "May a replica expire keys by its own clock?",
        &["states differ"],
        Play::Script(Mutant::WallClockInApply, "node/expiry"),
    ),
    experiment(
        "node/applied-position",
        "May the applied position be written apart from what was applied?",
        &["states differ", "not linearizable"],
        Play::Swarm(Mutant::AppliedPositionNotAtomic),
    ),
    experiment(
        "register/eager-ack",
        "May a replica of a quorum register acknowledge a value before it survives power loss?",
        &["stale read", "new then old"],
        Play::Register(Variant::EagerAck),
    ),
    experiment(
        "register/no-write-back",
        "May a read of a quorum register answer without writing back what it saw?",
        &["stale read", "new then old"],
        Play::Register(Variant::NoWriteBack),
    ),
    experiment(
        "register/half-is-not-a-majority",
        "Is one answer less than a majority enough for a quorum register?",
        &["stale read", "new then old"],
        Play::Register(Variant::HalfIsEnough),
    ),
    experiment(
        "detector/short-timeout",
        "Does a timeout that suits calm links suit rough ones?",
        &["a node that lives is suspected"],
        Play::Silence(silence::Variant::Short),
    ),
    experiment(
        "detector/long-timeout",
        "Is a timeout that suits every link soon enough?",
        &["the end of a node is noticed late"],
        Play::Silence(silence::Variant::Long),
    ),
    experiment(
        "detector/bad-clock",
        "May a node lead whose clock is out against a majority?",
        &["a node whose clock is out leads on"],
        Play::Swarm(Mutant::BadClockLeadsOn),
    ),
];

/// All experiments.
pub fn list() -> impl Iterator<Item = &'static Experiment> {
    EXPERIMENTS.iter().chain(claims::CLAIMS)
}

/// What one variant gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// Seeds that were run; 1 for a script.
    pub seeds: u64,
    /// Steps of all nodes in all runs.
    pub steps: u64,
    /// The first seed that failed, and why.
    pub failure: Option<(u64, Failure)>,
    /// The script with its output, for an experiment that is a script.
    pub script: Option<String>,
    /// What was counted, in lines for people; empty where nothing is.
    pub found: String,
    /// What happened in the run that failed, or in the last one, when a trace was asked for.
    pub trace: Vec<String>,
    /// What clients did and heard in that run, when a trace was asked for.
    pub recording: Recording,
}

/// What an experiment showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The experiment.
    pub name: &'static str,
    /// Its question.
    pub question: &'static str,
    /// With the rule broken.
    pub naive: Side,
    /// With the rule kept.
    pub fixed: Side,
    /// The naive variant failed for the named reason, and the fixed one held.
    pub shown: bool,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n", self.name, self.question)?;
        for (side, what) in [(&self.naive, "rule broken"), (&self.fixed, "rule kept  ")] {
            write!(f, "{what}  ")?;
            let found = side.found.lines().map(|line| format!("    {line}\n")).collect::<String>();
            match &side.failure {
                Some((seed, failure)) => writeln!(f, "fails at seed {seed} of {}: {failure}", side.seeds)?,
                None => writeln!(f, "holds in {} of {} runs, {} steps", side.seeds, side.seeds, side.steps)?,
            }
            f.write_str(&found)?;
        }
        if let Some(script) = &self.naive.script {
            writeln!(f, "\nThe script with the rule broken:\n\n{script}")?;
        }
        if !self.naive.trace.is_empty() {
            writeln!(f, "\nWhat happened with the rule broken (milliseconds, node, event):\n")?;
            self.naive.trace.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        }
        let last =
            if self.shown { "Shown." } else { "NOT SHOWN: the broken rule was not caught, or the kept one was." };
        writeln!(f, "\n{last}")
    }
}

/// Runs an experiment. A script is run once; others try the seeds until the naive variant fails, and the fixed variant
/// then passes the same seeds. An error names what is wrong with the call.
pub fn run(name: &str, seeds: Range<u64>, trace: bool) -> Result<Verdict, String> {
    let experiment = list()
        .find(|experiment| experiment.name == name)
        .ok_or_else(|| format!("there is no experiment named {name:?}; see: quorate lab list"))?;
    if seeds.is_empty() {
        return Err("there must be at least one seed".to_string());
    }
    let (naive, fixed) = match experiment.play {
        Play::Script(mutant, script) => {
            let text = script_named(script).ok_or_else(|| format!("the script {script} is missing"))?;
            (play_script(text, Some(mutant), trace), play_script(text, None, false))
        }
        Play::Swarm(_) | Play::Register(_) | Play::Silence(_) | Play::Lesson(_) => {
            let naive = play_seeds(experiment.play, seeds.clone(), true, trace);
            let last = naive.failure.as_ref().map_or(seeds.end, |(seed, _)| seed + 1);
            (naive, play_seeds(experiment.play, seeds.start..last, false, false))
        }
    };
    let named = |failure: &Failure| experiment.expected.iter().any(|word| failure.kind.word().contains(word));
    let shown = naive.failure.as_ref().is_some_and(|(_, failure)| named(failure)) && fixed.failure.is_none();
    Ok(Verdict { name: experiment.name, question: experiment.question, naive, fixed, shown })
}

fn play_script(text: &str, mutant: Option<Mutant>, trace: bool) -> Side {
    // Receipts are left out of it, so that what goes wrong is what a client would suffer from.
    let casting = Casting { mutant: mutant.map(name), trace, blind_to_receipts: true };
    let played = script::play(text, &casting);
    Side {
        seeds: 1,
        steps: played.steps,
        failure: played.failure.map(|failure| (0, failure)),
        script: Some(played.text),
        found: String::new(),
        trace: played.trace,
        recording: played.recording,
    }
}

fn play_seeds(play: Play, seeds: Range<u64>, broken: bool, trace: bool) -> Side {
    let mut side = Side::default();
    for seed in seeds {
        let one = play_seed(play, seed, broken, trace);
        side = Side { seeds: side.seeds + 1, steps: side.steps + one.steps, ..one };
        if side.failure.is_some() {
            break;
        }
    }
    side
}

fn play_seed(play: Play, seed: u64, broken: bool, trace: bool) -> Side {
    let (steps, failure, trace, recording, found) = match play {
        Play::Script(mutant, _) | Play::Swarm(mutant) => {
            let mut plan = target(mutant, seed);
            plan.options.mutant = broken.then(|| name(mutant).to_string());
            plan.options.blind_to_receipts = true;
            let report = vopr::run_plan(&plan, trace);
            (report.steps, report.failure, report.trace, report.recording, String::new())
        }
        Play::Register(variant) => {
            let run = trial::run(seed, if broken { variant } else { Variant::Correct }, trace);
            let failure = match run.verdict {
                Checked::Valid => None,
                Checked::Invalid(witness) => {
                    // An operation that never ended counts by its begin.
                    let last = |it: &Operation| if it.end == u64::MAX { it.start } else { it.end };
                    let at_us = witness.operations.iter().map(last).max().unwrap_or(0);
                    let (kind, detail) = (Kind::NotLinearizable(witness.anomaly), witness.to_string());
                    Some(Failure { kind, at_us, detail })
                }
                Checked::Unknown(key) => {
                    let detail = format!("key {}", String::from_utf8_lossy(&key));
                    Some(Failure { kind: Kind::Undecided, at_us: 0, detail })
                }
            };
            (run.steps, failure, run.trace, run.recording, String::new())
        }
        Play::Silence(variant) => {
            let run = silence::run(seed, if broken { variant } else { silence::Variant::Phi }, trace);
            (run.steps, run.failure, run.trace, Recording::default(), String::new())
        }
        Play::Lesson(lesson) => {
            let run = lesson(seed, broken, trace);
            (run.steps, run.failure, run.trace, run.recording, run.found)
        }
    };
    Side { seeds: 1, steps, failure: failure.map(|failure| (seed, failure)), script: None, found, trace, recording }
}

/// Runs the plan of a file again, twice, as a swarm prints it. A trace comes with a recording of what clients did. An error says what is wrong with the text.
pub fn replay(text: &str, trace: bool) -> Result<Report, String> {
    let plan: Plan = text.parse()?;
    let report = vopr::run_twice(&plan);
    if !trace {
        return Ok(report);
    }
    let Report { trace, recording, .. } = vopr::run_plan(&plan, true);
    Ok(Report { trace, recording, ..report })
}
