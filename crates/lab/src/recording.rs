//! What the clients of a run did and heard, and what disturbed the nodes meanwhile: a history for `quorate check`.

use crate::check::{Operation, recorder};
use crate::failure::{Failure, Kind};
use crate::fault::Fault;
use quorate_check::{Band, History};
use quorate_core::guarantee::Level;

/// Clients and faults of one run. Times are in microseconds of simulated time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    /// What clients did on registers and numbers, and what they heard, as far as it is held to a level of at least
    /// [`least_level`]. Keys that expire are not registers and are left out.
    pub operations: Vec<Operation>,
    /// What struck or was mended, and when, in order.
    pub faults: Vec<(u64, Fault)>,
    /// When the run ended.
    pub end_us: u64,
}

/// The weakest level of reads that belong into the history of a run: session reads need not be linearizable, so that they
/// are of interest only where a promise to a session was broken.
pub fn least_level(failure: Option<&Failure>) -> Level {
    match failure.map(|failure| failure.kind) {
        Some(Kind::Session(_)) => Level::Session,
        Some(_) | None => Level::Linearizable,
    }
}

impl Recording {
    /// The history, with a band for each time during which a fault lasted.
    pub fn history(&self) -> History {
        let mut recorder = recorder(&self.operations);
        bands(&self.faults, self.end_us).into_iter().for_each(|band| recorder.band(band));
        recorder.finish()
    }
}

fn bands(faults: &[(u64, Fault)], end_us: u64) -> Vec<Band> {
    let mut open: Vec<(u64, &Fault)> = Vec::new();
    let mut bands = Vec::new();
    for (at_us, fault) in faults {
        let band = |from: u64, to: u64, fault: &Fault| Band { what: fault.to_string(), from, to };
        let lasts_on = |(from, lasting): &(u64, &Fault)| {
            let over = ends(lasting, fault);
            if over {
                bands.push(band(*from, own_end(*from, lasting).min(*at_us), lasting));
            }
            !over
        };
        // A node that is down cannot go down or pause.
        if open.iter().any(|(_, lasting)| hides(lasting, fault)) {
            continue;
        }
        open.retain(lasts_on);
        match fault {
            Fault::Hint(..) | Fault::Lose(_) | Fault::Backup(_) | Fault::Restore(_) => {
                bands.push(band(*at_us, *at_us, fault))
            }
            Fault::Heal | Fault::Resume(_) | Fault::Restart(_) | Fault::Drift(_, 0) | Fault::SlowDisk(_, 0) => {}
            Fault::Partition(_)
            | Fault::Oneway(..)
            | Fault::Drop(..)
            | Fault::Delay(..)
            | Fault::Pause(..)
            | Fault::Crash(..)
            | Fault::Skew(..)
            | Fault::Drift(..)
            | Fault::SlowDisk(..)
            | Fault::StallDisk(..) => open.push((*at_us, fault)),
        }
    }
    let last =
        |(from, fault): (u64, &Fault)| Band { what: fault.to_string(), from, to: own_end(from, fault).min(end_us) };
    bands.extend(open.into_iter().map(last));
    bands.sort_by(|a, b| (a.from, a.to, &a.what).cmp(&(b.from, b.to, &b.what)));
    bands
}

/// When a fault ends by itself. A pause with a time is ended by a fault of its own.
fn own_end(from: u64, fault: &Fault) -> u64 {
    match fault {
        Fault::StallDisk(_, us) => from.saturating_add(*us),
        Fault::Hint(..) | Fault::Lose(_) | Fault::Backup(_) | Fault::Restore(_) => from,
        Fault::Partition(_)
        | Fault::Oneway(..)
        | Fault::Drop(..)
        | Fault::Delay(..)
        | Fault::Pause(..)
        | Fault::Resume(_)
        | Fault::Crash(..)
        | Fault::Restart(_)
        | Fault::Skew(..)
        | Fault::Drift(..)
        | Fault::SlowDisk(..)
        | Fault::Heal => u64::MAX,
    }
}

/// Does the other fault end the one that lasts, or take its place?
fn ends(lasting: &Fault, by: &Fault) -> bool {
    match (lasting, by) {
        (Fault::Crash(node, _), Fault::Restart(other)) => node == other,
        (Fault::Crash(..), _) => false,
        (_, Fault::Heal) => true,
        (Fault::Pause(node, _), Fault::Resume(other) | Fault::Crash(other, _))
        | (Fault::Skew(node, _), Fault::Skew(other, _))
        | (Fault::Drift(node, _), Fault::Drift(other, _))
        | (Fault::SlowDisk(node, _), Fault::SlowDisk(other, _))
        | (Fault::StallDisk(node, _), Fault::StallDisk(other, _)) => node == other,
        (Fault::Drop(a, b, _), Fault::Drop(c, d, _)) | (Fault::Delay(a, b, _), Fault::Delay(c, d, _)) => {
            (a, b) == (c, d)
        }
        (lasting, by) => lasting == by,
    }
}

/// Does the other fault change nothing while the first one lasts?
fn hides(lasting: &Fault, other: &Fault) -> bool {
    match (lasting, other) {
        (Fault::Crash(node, _), Fault::Crash(same, _) | Fault::Pause(same, _)) => node == same,
        (Fault::Pause(node, _), Fault::Pause(same, _)) => node == same,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `10 partition 1/2; 20 heal` becomes `10-20 partition 1/2`.
    fn drawn(text: &str, end_us: u64) -> String {
        let fault = |line: &str| {
            let (at_us, fault) = line.trim().split_once(' ').expect("a time and a fault");
            (at_us.parse().expect("a time"), fault.parse().expect("a fault"))
        };
        let faults: Vec<(u64, Fault)> = text.split(';').map(fault).collect();
        let shown = |band: Band| format!("{}-{} {}", band.from, band.to, band.what);
        bands(&faults, end_us).into_iter().map(shown).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn each_fault_lasts_until_it_is_mended() {
        for (faults, expected) in [
            ("10 partition 1/2,3; 20 oneway 2/3; 30 heal", "10-30 partition 1/2,3; 20-30 oneway 2/3"),
            ("10 crash 1; 15 crash 1; 20 heal; 30 restart 1; 40 restart 1", "10-30 crash 1"),
            ("10 crash 2", "10-100 crash 2"),
            ("10 pause 1 5us; 12 pause 1; 15 resume 1; 20 resume 1", "10-15 pause 1 5us"),
            ("10 pause 1; 20 crash 1; 25 pause 1; 30 restart 1", "10-20 pause 1; 20-30 crash 1"),
            ("10 stalldisk 1 5us; 20 heal", "10-15 stalldisk 1 5us"),
            ("10 drift 1 5ppm; 20 drift 1 0ppm; 30 hint 1 2", "10-20 drift 1 5ppm; 30-30 hint 1 2"),
            (
                "10 delay 1/2 9us; 20 delay 1/2 8us; 30 delay 1/3 8us",
                "10-20 delay 1/2 9us; 20-100 delay 1/2 8us; 30-100 delay 1/3 8us",
            ),
        ] {
            assert_eq!(drawn(faults, 100), expected, "{faults}");
        }
    }
}
