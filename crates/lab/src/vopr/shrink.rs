//! Makes a failing plan smaller: fewer faults, fewer clients, less time, as long as the same promise is broken.

use super::{Plan, Report, run_plan};
use crate::failure::Kind;

/// A smaller plan that still fails.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The plan.
    pub plan: Plan,
    /// What it gives.
    pub report: Report,
    /// Runs that were needed.
    pub runs: u32,
}

/// Removes whatever the failure does not need. `runs` bounds the work. `None` if the plan does not fail.
pub fn shrink(plan: &Plan, runs: u32) -> Option<Shrunk> {
    let report = run_plan(plan, false);
    let kind = report.failure.as_ref()?.kind;
    let mut shrinking = Shrinking { kind, best: Shrunk { plan: plan.clone(), report, runs: 1 }, limit: runs };
    shrinking.end_early();
    loop {
        let before = shrinking.best.plan.clone();
        shrinking.fewer_faults();
        shrinking.simpler_options();
        if shrinking.best.plan == before || shrinking.best.runs >= runs {
            return Some(shrinking.best);
        }
    }
}

struct Shrinking {
    kind: Kind,
    best: Shrunk,
    limit: u32,
}

impl Shrinking {
    /// Takes a plan if it fails in the same way.
    fn attempt(&mut self, plan: Plan) -> bool {
        if self.best.runs >= self.limit || plan == self.best.plan {
            return false;
        }
        self.best.runs += 1;
        let report = run_plan(&plan, false);
        let same = report.failure.as_ref().is_some_and(|failure| failure.kind == self.kind);
        if same {
            (self.best.plan, self.best.report) = (plan, report);
        }
        same
    }

    /// What comes after the failure was noticed is not needed.
    fn end_early(&mut self) {
        let noticed = self.best.report.failure.as_ref().map_or(0, |failure| failure.at_us);
        if noticed < self.best.plan.options.safety_us {
            let mut plan = self.best.plan.clone();
            plan.options.safety_us = noticed + 1;
            plan.faults.retain(|(at_us, _)| *at_us <= noticed);
            self.attempt(plan);
        }
    }

    /// Leaves out ever smaller stretches of the schedule (delta debugging).
    fn fewer_faults(&mut self) {
        let mut size = self.best.plan.faults.len().div_ceil(2);
        while size > 0 {
            let mut from = 0;
            while from < self.best.plan.faults.len() {
                let mut plan = self.best.plan.clone();
                plan.faults.drain(from..(from + size).min(plan.faults.len()));
                if !self.attempt(plan) {
                    from += size;
                }
            }
            size /= 2;
        }
    }

    fn simpler_options(&mut self) {
        let edits: [fn(&mut Plan); 20] = [
            |plan| plan.options.habits.weather.loss_per_mille = 0,
            |plan| plan.options.habits.weather.double_per_mille = 0,
            |plan| plan.options.habits.weather.spike_per_mille = 0,
            |plan| plan.options.habits.spurious_wake_per_mille = 0,
            |plan| plan.options.habits.late_wake_per_mille = 0,
            |plan| plan.options.habits.weather.ordered = true,
            |plan| plan.options.habits.weather.late_copy_per_mille = 0,
            |plan| plan.options.mix.transfers = 0,
            |plan| plan.options.mix.members = 0,
            |plan| plan.options.mix.guards = 0,
            |plan| plan.options.mix.transactions = 0,
            |plan| plan.options.mix.gathers = 0,
            |plan| plan.options.mix.pipelines = 0,
            |plan| plan.options.mix.clients = (plan.options.mix.clients / 2).max(1),
            |plan| plan.options.replicas = None,
            |plan| plan.options.replicas.iter_mut().for_each(|mix| mix.lose_us = 0),
            |plan| plan.options.replicas.iter_mut().for_each(|mix| mix.move_us = 0),
            |plan| plan.options.replicas.iter_mut().for_each(|mix| mix.tables.truncate((mix.tables.len() / 2).max(1))),
            |plan| plan.options.replicas.iter_mut().for_each(|mix| drop(mix.tables.drain(..mix.tables.len() / 2))),
            |plan| plan.options.replicas.iter_mut().for_each(|mix| mix.clients = (mix.clients / 2).max(1)),
        ];
        for edit in edits {
            let mut plan = self.best.plan.clone();
            edit(&mut plan);
            self.attempt(plan);
        }
    }
}
