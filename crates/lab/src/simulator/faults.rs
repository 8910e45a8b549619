//! How faults strike the simulated world, and how lives of hosts begin and end.

use super::host::Life;
use super::{Disk, Event, Happening, Simulator, Subject};
use crate::digest::Digest;
use crate::fault::Fault;
use quorate_core::machine::NodeId;
use quorate_core::random::Random;

impl<M: Subject> Simulator<M> {
    /// A fault strikes now.
    pub fn inject(&mut self, fault: &Fault) -> Happening {
        self.note(|| format!("fault: {fault}"));
        self.struck.push((self.now_us, fault.clone()));
        match fault {
            Fault::Partition(sides) => {
                for (at, side) in sides.iter().enumerate() {
                    for other in sides.iter().enumerate().filter(|(other, _)| *other != at).flat_map(|(_, side)| side) {
                        side.iter().for_each(|node| self.network.link(*node, *other).cut = true);
                    }
                }
            }
            Fault::Oneway(from, to) => each_pair(from, to, |from, to| self.network.link(from, to).cut = true),
            Fault::Drop(a, b, per_mille) => each_way(a, b, |from, to| {
                self.network.link(from, to).drop_per_mille = *per_mille;
            }),
            Fault::Delay(a, b, us) => each_way(a, b, |from, to| self.network.link(from, to).delay_us = *us),
            Fault::Pause(node, time) => {
                if self.host(*node).life.is_some() {
                    self.host_mut(*node).paused = true;
                    if let Some(time) = time {
                        self.schedule(self.now_us + time, Fault::Resume(*node));
                    }
                }
            }
            Fault::Resume(node) => self.resume(*node),
            Fault::Crash(node, keep) => return self.crash(*node, *keep),
            Fault::Restart(node) => {
                if self.host(*node).life.is_none() {
                    self.boot(*node);
                    return Happening::Booted(*node);
                }
            }
            Fault::Lose(node) => {
                if self.host(*node).life.is_none() {
                    self.replace_disk(*node, Disk::default());
                }
            }
            Fault::Backup(node) => {
                let mut copy = self.host(*node).disk.clone();
                copy.crash(0);
                self.host_mut(*node).copy = Some(copy);
            }
            Fault::Restore(node) => {
                let host = self.host(*node);
                if let Some(copy) = host.copy.clone().filter(|_| host.life.is_none()) {
                    self.replace_disk(*node, copy);
                }
            }
            Fault::Skew(node, ms) => {
                let now = self.now_us;
                self.host_mut(*node).clock.jump(now, *ms);
            }
            Fault::Drift(node, ppm) => {
                let now = self.now_us;
                self.host_mut(*node).clock.drift(now, *ppm);
                self.rearrange_wake(*node);
            }
            Fault::SlowDisk(node, us) => self.host_mut(*node).slow_us = *us,
            Fault::StallDisk(node, us) => self.host_mut(*node).stalled_until = self.now_us + us,
            Fault::Hint(node, peer) => {
                self.queue.push(self.now_us, Event::Lost { to: *node, peer: *peer });
            }
            Fault::Heal => self.heal(),
        }
        Happening::Faulted
    }

    fn heal(&mut self) {
        self.network.heal();
        let now = self.now_us;
        for node in self.nodes().collect::<Vec<_>>() {
            let host = self.host_mut(node);
            host.slow_us = 0;
            host.stalled_until = 0;
            host.clock.calm(now);
            self.resume(node);
            self.rearrange_wake(node);
        }
    }

    fn crash(&mut self, node: NodeId, keep: usize) -> Happening {
        let host = self.host_mut(node);
        if host.life.take().is_none() {
            return Happening::Nothing;
        }
        host.disk.crash(keep);
        host.paused = false;
        host.waiting.clear();
        self.open_calls.remove(&node);
        for peer in self.nodes().filter(|peer| *peer != node).collect::<Vec<_>>() {
            if self.world.chance(self.habits.lost_hint_per_mille) && !self.network.is_cut(node, peer) {
                let at = self.now_us + 200 + self.world.below(2_000);
                self.queue.push(at, Event::Lost { to: peer, peer: node });
            }
        }
        Happening::Crashed(node)
    }

    /// A node that is down gets another disk: an earlier copy of its own, as from a backup, or an empty one.
    ///
    /// # Panics
    /// If the node is up.
    pub fn replace_disk(&mut self, node: NodeId, disk: Disk) {
        self.note(|| format!("fault: the disk of {} is replaced", node.0));
        self.replaced.push((self.now_us, node));
        let host = self.host_mut(node);
        assert!(host.life.is_none(), "the disk of a node that is up stays");
        host.disk = disk;
        host.disk.crash(0);
    }

    pub(super) fn boot(&mut self, node: NodeId) {
        let (now_us, seed) = (self.now_us, self.seed);
        let mono_us = self.world.below(1 << 40);
        let host = self.host_mut(node);
        host.incarnation += 1;
        let incarnation = host.incarnation;
        host.config = M::reborn(&host.config, incarnation);
        host.clock.reboot(now_us, mono_us);
        let machine = M::boot(&host.config, host.clock.now(now_us), &host.disk);
        host.life = Some(Life::new(machine, Random::new(Digest::of(&(seed, node, incarnation, "life")))));
        self.note(|| format!("{} starts, life {incarnation}", node.0));
        if self.habits.background_sync_us > 0 {
            let first = now_us + self.world.below(self.habits.background_sync_us);
            self.queue.push(first, Event::BackgroundSync { node, life: incarnation });
        }
        self.arrange_wake(node, now_us);
    }

    fn resume(&mut self, node: NodeId) {
        let host = self.host_mut(node);
        if !std::mem::take(&mut host.paused) {
            return;
        }
        for input in std::mem::take(&mut host.waiting) {
            self.step(node, input);
        }
        self.rearrange_wake(node);
    }
}

fn each_pair(a: &[NodeId], b: &[NodeId], mut visit: impl FnMut(NodeId, NodeId)) {
    for &from in a {
        for &to in b.iter().filter(|to| **to != from) {
            visit(from, to);
        }
    }
}

fn each_way(a: &[NodeId], b: &[NodeId], mut visit: impl FnMut(NodeId, NodeId)) {
    each_pair(a, b, |from, to| {
        visit(from, to);
        visit(to, from);
    });
}
