//! Members at the end of a run: where they changed, the last change must end, and one more must take in all nodes.

use super::{Options, patience_us};
use crate::failure::Kind;
use crate::fault::Fault;
use crate::world::World;
use quorate_core::consensus::{Group, Members};
use quorate_core::machine::{CallId, NodeId};
use quorate_core::operation::Request;

/// Calls that no client makes.
const FIRST_CALL: u64 = 1 << 60;
/// How often a change is asked for until it is seen, in microseconds.
const ASK_US: u64 = 100_000;

/// The voters once no change is on its way. `None` when that never comes.
pub(super) fn voters(world: &mut World, options: &Options) -> Option<Vec<NodeId>> {
    if options.mix.members == 0 {
        return Some(options.first_voters());
    }
    world.workload.keep_members();
    for node in options.members() {
        let happening = world.simulator.inject(&Fault::Restart(node));
        world.note(happening);
    }
    let members = wait_for(world, options, |_, _| {}, |members| !members.is_joint())?;
    Some(members.voters.iter().collect())
}

/// Makes all nodes voters.
pub(super) fn include_all(world: &mut World, options: &Options) {
    if options.mix.members == 0 {
        return;
    }
    let all = Members::of(options.members());
    let mut call = FIRST_CALL;
    let ask = |world: &mut World, leader| {
        call += 1;
        let request = Request::ChangeMembers { group: 0, voters: options.members(), learners: Vec::new() };
        world.simulator.call(world.simulator.now_us(), leader, CallId(call), request);
    };
    wait_for(world, options, ask, |members| members == all);
}

/// Waits for a committed membership at the leader, and asks the leader for it again and again.
fn wait_for(
    world: &mut World,
    options: &Options,
    mut ask: impl FnMut(&mut World, NodeId),
    wanted: impl Fn(Members) -> bool,
) -> Option<Members> {
    let deadline = world.simulator.now_us() + patience_us(options);
    loop {
        let leader = leader(world);
        let members = leader.and_then(|node| committed(world.simulator.machine(node)?.group(0)?));
        if let Some(members) = members.filter(|members| wanted(*members)) {
            return Some(members);
        }
        if world.simulator.now_us() >= deadline {
            let detail = format!("the members are {members:?} at the leader {leader:?}");
            world.judge.accuse(world.simulator.now_us(), Kind::NoProgress, detail);
        }
        if let Some(leader) = leader {
            ask(world, leader);
        }
        if !world.run_until(world.simulator.now_us() + ASK_US) {
            return None;
        }
    }
}

fn leader(world: &World) -> Option<NodeId> {
    let leads = |node: NodeId| {
        let group = world.simulator.machine(node)?.group(0).filter(|group| group.leads())?;
        Some((group.term(), node))
    };
    world.simulator.nodes().filter_map(leads).max().map(|(_, node)| node)
}

fn committed(group: &Group) -> Option<Members> {
    (group.log().members_index() <= group.commit()).then(|| group.members())
}
