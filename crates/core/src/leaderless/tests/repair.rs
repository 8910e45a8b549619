//! Repair that is asked for.

use super::*;
use crate::operation::{RepairStage, RepairStatus};

impl Net {
    fn repair_status(&self, node: u16) -> RepairStatus {
        self.hosts[usize::from(node) - 1].room.repair_status(Mono(self.now_ms * 1_000), &self.catalogue)
    }

    /// What goes on with nodes 2 and 3 at node 1, table by table.
    fn stages(&self) -> Vec<(u16, RepairStage)> {
        self.repair_status(1).pairs.iter().map(|pair| (pair.with.0, pair.stage)).collect()
    }
}

#[test]
fn repair_compares_all_pairs_one_with_each_node_at_a_time() {
    let mut net = net(Kind::Counter);
    let spec = net.catalogue.table(net.table()).expect("it was made").shape.clone();
    net.catalogue.create("u", spec).expect("it can be given");
    (1..=3).for_each(|node| net.tell_catalogue(node));
    net.isolate(1);
    let _ = net.ask(2, with(1, 2), &mut Session::default(), "INCR k");
    net.heal();
    assert!(net.repair_status(1).pairs.iter().all(|pair| pair.compared_ms.is_none()));

    net.step(1, |room, cx, _| room.repair(cx));
    net.step(1, |room, cx, _| room.repair(cx));
    let begun = |(_, stage): &(u16, RepairStage)| matches!(stage, RepairStage::Underway { done: 0, of: 1.. });
    let stages = net.stages();
    assert!(begun(&stages[0]) && begun(&stages[1]), "{stages:?}");
    assert_eq!(stages[2..], [(2, RepairStage::Queued), (3, RepairStage::Queued)]);
    net.calm();
    assert!(net.stages().iter().all(|(_, stage)| *stage == RepairStage::Idle), "{:?}", net.stages());
    net.pass(1_500);
    let status = net.repair_status(1);
    assert!(status.pairs.iter().all(|pair| pair.compared_ms >= Some(1_500) && !pair.given_up), "{status:?}");
    assert_eq!((status.progress.compared, status.progress.keys_taken), (4, 1));
    assert_eq!(status.pairs.iter().map(|pair| &pair.name[..]).collect::<Vec<_>>(), ["t", "t", "u", "u"]);
}

#[test]
fn a_repair_with_a_node_that_is_down_is_given_up_and_the_next_is_begun() {
    let mut net = net(Kind::Counter);
    net.crash(3);
    net.done(1, "INCR k");
    net.step(1, |room, cx, _| room.repair(cx));
    net.calm();
    let stages = net.stages();
    assert!(stages[0] == (2, RepairStage::Idle) && stages[1].1 != RepairStage::Idle, "{stages:?}");
    for _ in 0..30 {
        net.pass(100);
        net.calm();
    }
    let status = net.repair_status(1);
    assert_eq!((status.progress.compared, status.progress.given_up), (1, 1));
    assert_eq!(status.pairs.iter().map(|pair| pair.given_up).collect::<Vec<_>>(), [false, true]);
    assert_eq!(status.owed, [(NodeId(3), 1)]);
    assert!(net.stages().iter().all(|(_, stage)| *stage == RepairStage::Idle));
    assert!(net.hosts[0].room.repair_at().is_none(), "nothing is looked for any more");
}
