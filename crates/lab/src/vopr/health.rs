//! The last phase of a run: once all is well, nobody is suspected for long, no right clock is called out, and a leader
//! whose clock jumps away leaves leading to others.

use super::{Options, patience_us};
use crate::digest::Digest;
use crate::failure::Kind;
use crate::fault::Fault;
use crate::world::World;
use quorate_core::detector::TO_HAND_OVER;
use quorate_core::limits::CLOCK_OFF_MS;
use quorate_core::machine::{Mono, NodeId};
use quorate_core::node::Node;
use quorate_core::random::Random;

/// A clock jumps this many bounds away.
const JUMP_BOUNDS: i64 = 20;

/// Nobody suspects anybody, and nobody calls its clock out.
pub(super) fn be_well(world: &mut World, options: &Options) {
    wait(world, options, Kind::ClockCalledOut, |world| {
        let out = each(world).find_map(|(_, node, now)| node.status(now).clock_out);
        out.map(|out| format!("although all clocks are right: {}", out.sentence()))
    });
    wait(world, options, Kind::StillSuspected, |world| {
        let members = options.members();
        each(world).find_map(|(id, node, now)| {
            let suspected = members.iter().find(|&&peer| node.suspects(peer, TO_HAND_OVER, now))?;
            Some(format!("node {} suspects node {}", id.0, suspected.0))
        })
    });
}

/// The clock of a node that leads jumps away. Where the others are a majority, it must leave leading to them.
pub(super) fn lose_a_clock(world: &mut World, options: &Options) {
    let leads = |node: &Node| node.groups().any(|(_, group)| group.leads());
    let Some(leader) = each(world).find(|(_, node, _)| leads(node)).map(|(id, ..)| id) else { return };
    if options.last_voters().len() < 3 {
        return;
    }
    let forward = Random::new(Digest::of(&(options.seed, "jump"))).chance(500);
    let jump_ms = JUMP_BOUNDS * CLOCK_OFF_MS as i64;
    let happening = world.simulator.inject(&Fault::Skew(leader, if forward { jump_ms } else { -jump_ms }));
    world.note(happening);
    wait(world, options, Kind::ClockLeadsOn, |world| {
        let (_, node, now) = each(world).find(|(id, ..)| *id == leader)?;
        let says = node.status(now).clock_out.is_some();
        let led = |id: u16| each(world).any(|(_, node, _)| node.group(id).is_some_and(|group| group.leads()));
        let all_led = node.groups().all(|(id, _)| led(id));
        let detail = format!("node {}: leads {}, says so {says}, all groups are led {all_led}", leader.0, leads(node));
        (leads(node) || !says || !all_led).then_some(detail)
    });
    let others_out = each(world).filter(|(id, ..)| *id != leader).find_map(|(_, node, now)| node.status(now).clock_out);
    if let Some(out) = others_out {
        world.judge.accuse(world.simulator.now_us(), Kind::ClockCalledOut, out.sentence());
    }
    let happening = world.simulator.inject(&Fault::Heal);
    world.note(happening);
}

fn each(world: &World) -> impl Iterator<Item = (NodeId, &Node, Mono)> {
    let simulator = &world.simulator;
    let one = |id| Some((id, simulator.machine(id)?, simulator.clock(id).now(simulator.now_us()).mono));
    simulator.nodes().filter_map(one)
}

/// Waits until nothing is wrong any more.
fn wait(world: &mut World, options: &Options, kind: Kind, wrong: impl Fn(&World) -> Option<String>) {
    let deadline = world.simulator.now_us() + patience_us(options);
    while world.judge.failure().is_none()
        && let Some(detail) = wrong(world)
    {
        if world.simulator.now_us() >= deadline {
            world.judge.accuse(world.simulator.now_us(), kind, detail);
        }
        world.run_until(world.simulator.now_us() + 10_000);
    }
}
