//! What a run does: options, and faults at times. Drawn from a seed, written to a file, read back.

use crate::fault::{Fault, parse_time, time_text};
use crate::replicas;
use crate::simulator::{Habits, Weather};
use crate::workload::Mix;
use quorate_core::crdt::Kind;
use quorate_core::machine::NodeId;
use quorate_core::mutant::{Mutant, Mutants};
use quorate_core::random::Random;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Everything about a run but its faults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Decides every choice of network, disks, nodes and clients.
    pub seed: u64,
    /// Nodes in the cluster.
    pub nodes: u16,
    /// How many of them, from the first on, vote at first; the others are outside of all groups until members change.
    /// All, when it is not said.
    #[serde(default)]
    pub voters: Option<u16>,
    /// Consensus groups.
    pub groups: u16,
    /// Heartbeat, in milliseconds.
    pub heartbeat_ms: u64,
    /// Election timeout, in milliseconds.
    pub election_ms: u64,
    /// Applied entries that a log keeps.
    pub keep_entries: u64,
    /// How long faults and clients go on, in microseconds.
    pub safety_us: u64,
    /// How hosts behave.
    pub habits: Habits,
    /// What clients do.
    pub mix: Mix,
    /// The rule that is broken, by name.
    pub mutant: Option<String>,
    /// Receipts are not judged, to see what else notices.
    #[serde(default)]
    pub blind_to_receipts: bool,
    /// What clients of leaderless tables do, if there are such tables.
    #[serde(default)]
    pub replicas: Option<replicas::Mix>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            seed: 0,
            nodes: 3,
            voters: None,
            groups: 1,
            heartbeat_ms: 25,
            election_ms: 150,
            keep_entries: 40,
            safety_us: 2_000_000,
            habits: Habits::default(),
            mix: Mix::default(),
            mutant: None,
            blind_to_receipts: false,
            replicas: None,
        }
    }
}

/// The mutant of a name.
pub fn mutant_named(name: &str) -> Option<Mutant> {
    Mutant::ALL.iter().find(|(_, known, _)| *known == name).map(|(mutant, ..)| *mutant)
}

impl Options {
    /// The rules that are broken.
    pub fn mutants(&self) -> Mutants {
        self.mutant.as_deref().and_then(mutant_named).map_or(Mutants::none(), Mutants::only)
    }
    /// The nodes of the cluster.
    pub fn members(&self) -> Vec<NodeId> {
        (1..=self.nodes).map(NodeId).collect()
    }
    /// The voters of the first membership of each group.
    pub fn first_voters(&self) -> Vec<NodeId> {
        (1..=self.voters.unwrap_or(self.nodes).min(self.nodes)).map(NodeId).collect()
    }
}

impl Options {
    /// The nodes that vote in the end: all, if members change at all.
    pub fn last_voters(&self) -> Vec<NodeId> {
        if self.mix.members == 0 { self.first_voters() } else { self.members() }
    }
}

/// A run, completely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Everything but the faults.
    pub options: Options,
    /// When, in microseconds, what goes wrong. In order.
    pub faults: Vec<(u64, Fault)>,
}

/// Which classes of faults a swarm lets happen. A swarm that always did everything would hide what a quiet cluster shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swarm {
    /// Links are cut, both ways or one.
    pub cuts: bool,
    /// Links lose or delay.
    pub bad_links: bool,
    /// Nodes crash, one or all.
    pub crashes: bool,
    /// Nodes pause.
    pub pauses: bool,
    /// Clocks are wrong.
    pub clocks: bool,
    /// Disks are slow or stall.
    pub disks: bool,
    /// Nodes are told that others ended.
    pub hints: bool,
}

impl Plan {
    /// The plan of a seed.
    pub fn draw(seed: u64) -> Plan {
        let mut random = Random::new(seed ^ 0x0510_A2C5);
        let mut options = draw_options(seed, &mut random);
        draw_members(&mut options);
        draw_disks(&mut options);
        let mut coin = || random.chance(500);
        let swarm = Swarm {
            cuts: coin(),
            bad_links: coin(),
            crashes: coin(),
            pauses: coin(),
            clocks: coin(),
            disks: coin(),
            hints: coin(),
        };
        let faults = draw_faults(&options, swarm, &mut random);
        Plan { options, faults }
    }
}

fn draw_options(seed: u64, random: &mut Random) -> Options {
    let nodes = [3, 3, 3, 3, 5, 5, 4, 2, 1, 3][random.below(10) as usize];
    let election_ms = 60 + random.below(240);
    let mut weather = Weather {
        delay_us: 50 + random.below(500),
        jitter_us: 1 + random.below(3_000),
        ordered: random.chance(700),
        ..Weather::default()
    };
    if random.chance(300) {
        weather.loss_per_mille = 1 + random.below(80);
    }
    if random.chance(400) {
        weather.double_per_mille = 1 + random.below(60);
    }
    if random.chance(300) {
        (weather.spike_per_mille, weather.spike_us) = (1 + random.below(20), 1_000 * (1 + random.below(election_ms)));
    }
    if random.chance(300) {
        (weather.late_copy_per_mille, weather.late_copy_us) = (1 + random.below(50), 1_000 * (1 + random.below(4_000)));
    }
    if random.chance(500) {
        weather.grain_us = 1 + random.below(1_000);
    }
    let habits = Habits {
        weather,
        sync_us: 20 + random.below(2_000),
        sync_jitter_us: 1 + random.below(6_000),
        background_sync_us: [0, 50_000, 500_000][random.below(3) as usize],
        late_wake_per_mille: [0, 20, 200][random.below(3) as usize],
        late_wake_us: 1 + random.below(election_ms * 1_000),
        spurious_wake_per_mille: [0, 5, 50][random.below(3) as usize],
        lost_hint_per_mille: [0, 500, 1000][random.below(3) as usize],
        ..Habits::default()
    };
    let mix = Mix {
        clients: 2 + random.below(6) as u32,
        keys: 1 + random.below(4),
        think_us: 4_000 + random.below(20_000),
        deadline_ms: 50 + random.below(election_ms * 4) as u32,
        reads: 200 + random.below(600),
        session_reads: random.below(500),
        eventual_reads: random.below(200),
        weak_acks: [0, 100, 400][random.below(3) as usize],
        all_acks: [0, 50, 300][random.below(3) as usize],
        idempotent: [0, random.below(800), random.below(800)][random.below(3) as usize],
        additions: random.below(600),
        expiring: [0, 50, 300][random.below(3) as usize],
        sticky: random.below(1000),
        transfers: [0, 5, 30][random.below(3) as usize],
        members: 0,
        guards: [0, random.below(500)][random.below(2) as usize],
        transactions: [0, random.below(400)][random.below(2) as usize],
        gathers: [0, random.below(300)][random.below(2) as usize],
        pipelines: [0, random.below(300)][random.below(2) as usize],
    };
    Options {
        seed,
        nodes,
        voters: None,
        groups: [1, 1, 1, 2, 3][random.below(5) as usize],
        heartbeat_ms: (election_ms / (3 + random.below(5))).max(1),
        election_ms,
        keep_entries: [3, 10, 40, 200, 100_000][random.below(5) as usize],
        safety_us: 800_000 + random.below(1_600_000),
        habits,
        mix,
        mutant: None,
        blind_to_receipts: false,
        replicas: draw_replicas(seed, nodes, election_ms),
    }
}

/// Lets members change in some runs: those of one group, among nodes enough that there is a choice. The replicas of leaderless tables are
/// all nodes, also those that are in no group.
fn draw_members(options: &mut Options) {
    let mut random = Random::new(options.seed ^ 0x3E3B_E125);
    if options.nodes >= 3 && random.chance(if options.replicas.is_none() { 850 } else { 400 }) {
        options.groups = 1;
        options.voters = random.chance(500).then(|| 1 + random.below(u64::from(options.nodes)) as u16);
        options.mix.members = [10, 30, 60][random.below(3) as usize];
    }
}

/// Lets disks of nodes that do not vote be lost or set back in some of the runs with leaderless tables.
fn draw_disks(options: &mut Options) {
    let mut random = Random::new(options.seed ^ 0xD15C_105E);
    let Some(mix) = options.replicas.as_mut().filter(|_| options.nodes >= 3) else { return };
    if random.chance(500) {
        mix.lose_us = 60_000 + random.below(300_000);
        options.voters = Some(1 + random.below(u64::from(options.nodes) - 1) as u16);
        options.mix.members = 0;
    }
}

/// Half of the seeds have leaderless tables too. They are drawn apart, so that everything else is as it is without them.
fn draw_replicas(seed: u64, nodes: u16, election_ms: u64) -> Option<replicas::Mix> {
    let mut random = Random::new(seed ^ 0x1EAD_E21E);
    random.chance(500).then(|| {
        let mut mix = replicas::Mix::draw(nodes, election_ms, &mut random);
        if random.chance(500) {
            mix.move_us = 50_000 + random.below(500_000);
        }
        if random.chance(400) {
            mix.tables.push(replicas::Table::draw(Kind::Text, nodes, &mut random));
        }
        if random.chance(400) {
            let kind = if random.chance(500) { Kind::Register } else { Kind::Latest };
            mix.tables.push(replicas::Table::draw(kind, nodes, &mut random).with_swaps());
        }
        mix.names = [0, 300, 600][random.below(3) as usize];
        mix
    })
}

/// Draws the faults of a run: the events of each class come one after another, with gaps around an election timeout.
pub fn draw_faults(options: &Options, swarm: Swarm, random: &mut Random) -> Vec<(u64, Fault)> {
    let election_us = options.election_ms * 1_000;
    let mut draw = Draw { options, random, at_us: 0, faults: Vec::new() };
    let classes = [swarm.cuts, swarm.bad_links, swarm.crashes, swarm.pauses, swarm.clocks, swarm.disks, swarm.hints];
    for class in (0..classes.len()).filter(|class| classes[*class]) {
        let mean_us = election_us * (1 + draw.random.below(5));
        draw.at_us = draw.random.below(mean_us * 2);
        while draw.at_us < options.safety_us {
            match class {
                0 => draw.cut(),
                1 => draw.bad_link(),
                2 => draw.crash(),
                3 => draw.pause(),
                4 => draw.clock(),
                5 => draw.disk(),
                _ => draw.hint(),
            }
            draw.at_us += election_us / 10 + draw.random.below(mean_us * 2);
        }
    }
    let mut faults = draw.faults;
    faults.retain(|(at_us, _)| *at_us < options.safety_us);
    faults.sort_by_key(|(at_us, _)| *at_us);
    faults
}

struct Draw<'a> {
    options: &'a Options,
    random: &'a mut Random,
    at_us: u64,
    faults: Vec<(u64, Fault)>,
}

impl Draw<'_> {
    fn add(&mut self, after_us: u64, fault: Fault) {
        self.faults.push((self.at_us + after_us, fault));
    }
    fn node(&mut self) -> NodeId {
        NodeId(1 + self.random.below(u64::from(self.options.nodes)) as u16)
    }
    /// A time around an election timeout.
    fn time(&mut self) -> u64 {
        let election_us = self.options.election_ms * 1_000;
        match self.random.below(4) {
            0 => self.random.below(election_us / 4),
            1 => election_us * 2 + self.random.below(election_us * 4),
            _ => self.random.below(election_us * 2),
        }
    }
    fn two_sides(&mut self) -> Option<(Vec<NodeId>, Vec<NodeId>)> {
        if self.options.nodes < 2 {
            return None;
        }
        let lone = self.node();
        let single = self.random.chance(600);
        let sides: (Vec<NodeId>, Vec<NodeId>) = self
            .options
            .members()
            .into_iter()
            .partition(|node| if single { *node == lone } else { *node == lone || self.random.chance(400) });
        (!sides.1.is_empty()).then_some(sides)
    }

    fn cut(&mut self) {
        let Some((a, b)) = self.two_sides() else { return };
        let kind = self.random.below(6);
        let fault = match kind {
            0 => Fault::Oneway(a, b),
            1 => Fault::Oneway(b, a),
            // A partial cut: two nodes that do not hear each other while others hear both.
            2 => Fault::Partition(vec![vec![a[0]], vec![b[0]]]),
            3 => Fault::Partition(self.options.members().into_iter().map(|node| vec![node]).collect()),
            _ => Fault::Partition(vec![a, b]),
        };
        self.add(0, fault);
        if self.random.chance(700) {
            let after = self.time();
            self.add(after, Fault::Heal);
        }
    }
    fn bad_link(&mut self) {
        let Some((a, b)) = self.two_sides() else { return };
        if self.random.chance(500) {
            let share = 50 + self.random.below(900) as u16;
            self.add(0, Fault::Drop(a, b, share));
        } else {
            let us = self.time();
            self.add(0, Fault::Delay(a, b, us));
        }
    }
    fn crash(&mut self) {
        let who = if self.random.chance(150) { self.options.members() } else { vec![self.node()] };
        for node in who {
            let keep = if self.random.chance(500) { 0 } else { self.random.below(6) as usize };
            self.add(0, Fault::Crash(node, keep));
            let down = self.time();
            self.add(down, Fault::Restart(node));
        }
    }
    fn pause(&mut self) {
        let (node, time) = (self.node(), self.time());
        self.add(0, Fault::Pause(node, Some(time)));
    }
    fn clock(&mut self) {
        let node = self.node();
        let sign = if self.random.chance(500) { 1 } else { -1 };
        if self.random.chance(600) {
            let absurd = 20 * 365 * 86_400_000;
            let size = [50, 5_000, 60_000, absurd][self.random.below(4) as usize];
            let ms = sign * self.random.below(size) as i64;
            self.add(0, Fault::Skew(node, ms));
        } else {
            let size = [200, 50_000, 600_000][self.random.below(3) as usize];
            let ppm = sign * self.random.below(size) as i64;
            self.add(0, Fault::Drift(node, ppm));
        }
    }
    fn disk(&mut self) {
        let (node, time) = (self.node(), self.time());
        if self.random.chance(500) {
            self.add(0, Fault::StallDisk(node, time));
        } else {
            self.add(0, Fault::SlowDisk(node, time / 4));
        }
    }
    fn hint(&mut self) {
        let (node, peer) = (self.node(), self.node());
        if node != peer {
            self.add(0, Fault::Hint(node, peer));
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# A run of the lab. Do it again with: quorate lab replay FILE")?;
        writeln!(f, "options {}", serde_json::to_string(&self.options).map_err(|_| fmt::Error)?)?;
        self.faults.iter().try_for_each(|(at_us, fault)| writeln!(f, "at {} {fault}", time_text(*at_us)))
    }
}

impl FromStr for Plan {
    type Err = String;

    fn from_str(text: &str) -> Result<Plan, String> {
        let mut options: Option<Options> = None;
        let mut faults = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let told = |error: String| format!("line {}: {error}", number + 1);
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(json) = line.strip_prefix("options ") {
                options = Some(serde_json::from_str(json).map_err(|error| told(error.to_string()))?);
            } else if let Some((time, fault)) = line.strip_prefix("at ").and_then(|rest| rest.split_once(' ')) {
                faults.push((parse_time(time).map_err(told)?, fault.parse().map_err(told)?));
            } else {
                return Err(told(format!("{line:?} is neither options nor a fault at a time")));
            }
        }
        let options = options.ok_or("the file has no line with options")?;
        if !(1..=quorate_core::limits::NODE_ID_MAX).contains(&options.nodes) {
            return Err(format!("a cluster of {} nodes is not possible", options.nodes));
        }
        if let Some(name) = options.mutant.as_deref().filter(|name| mutant_named(name).is_none()) {
            return Err(format!("there is no mutant named {name:?}"));
        }
        faults.sort_by_key(|(at_us, _)| *at_us);
        Ok(Plan { options, faults })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_reads_as_it_is_written() {
        for seed in 0..200 {
            let plan = Plan::draw(seed);
            assert_eq!(plan.to_string().parse::<Plan>(), Ok(plan));
        }
    }

    #[test]
    fn a_damaged_file_is_refused_with_a_sentence() {
        let good = Plan::draw(1).to_string();
        for bad in ["", "at 5ms crash 1", &good.replace("options {", "options ["), &format!("{good}\nat 5 crash 1")] {
            assert!(bad.parse::<Plan>().is_err_and(|error| !error.is_empty()), "{bad}");
        }
    }
}
