//! What a run writes down of its clients is judged by others as the lab judged it.
#![allow(clippy::unwrap_used)]

use quorate_core::mutant::Mutant;
use quorate_lab::check::quorate_check::{Anomaly, Budget, History, Meter, Model, Outcome, Verdict, check, format};
use quorate_lab::check::{Action, Operation, Outcome as Told};
use quorate_lab::experiment;
use quorate_lab::failure::Kind;
use quorate_lab::mutant::target;
use quorate_lab::recording::Recording;
use quorate_lab::vopr::{self, Plan};

/// The history as a reader of the file has it.
fn read_back(recording: &Recording) -> History {
    let mut file = Vec::new();
    format::write(&recording.history(), &mut file).unwrap();
    format::read(&file[..], &format::Options::default()).unwrap()
}

fn verdict(history: &History, model: Model) -> Verdict {
    check(history, model, &mut Meter::new(Budget { steps: 20_000_000, bytes: 1 << 30 })).unwrap()
}

#[test]
fn what_held_in_the_lab_holds_in_the_file() {
    let (mut valid, mut weakly, mut done, mut bands) = (0, 0, 0, 0);
    for seed in 0..40 {
        let report = vopr::run_plan(&Plan::draw(seed), true);
        assert_eq!(report.failure, None);
        let history = read_back(&report.recording);
        done += history.operations().iter().filter(|operation| operation.outcome == Outcome::Done).count();
        bands += history.bands().len();
        match verdict(&history, Model::Linearizable) {
            Verdict::Valid => {
                valid += 1;
                // Its sessions promise no order that time does not. They say nothing of sums and deletes.
                let mut plain = report.recording.clone();
                plain.operations.retain(|operation| !matches!(operation.key[0], b'n' | b'd'));
                for model in [Model::Sequential, Model::MonotonicReads, Model::WritesFollowReads] {
                    let weaker = verdict(&plain.history(), model);
                    assert!(!matches!(weaker, Verdict::Invalid(_)), "seed {seed}: {model:?}: {weaker:?}");
                    weakly += u32::from(weaker == Verdict::Valid);
                }
            }
            Verdict::Invalid(witness) => panic!("seed {seed}: {witness:?}"),
            Verdict::Unknown(spent) => println!("seed {seed}: {spent}"),
        }
    }
    println!("{valid} of 40 histories decided, {weakly} weaker verdicts; {done} operations done, {bands} bands");
    assert!(valid >= 36 && weakly >= 90 && done > 4_000 && bands > 100, "{valid}, {weakly}, {done}, {bands}");
}

#[test]
fn what_is_not_linearizable_in_the_lab_is_not_in_the_file() {
    let found = (0..200).filter_map(|seed| {
        let mut plan = target(Mutant::LeaderReadsWithoutRound, seed);
        plan.options.mutant = Some("leader-reads-without-round".into());
        plan.options.blind_to_receipts = true;
        let report = vopr::run_plan(&plan, true);
        matches!(report.failure.as_ref()?.kind, Kind::NotLinearizable(_)).then_some(report)
    });
    let mut shown = 0;
    for report in found.take(3) {
        match verdict(&read_back(&report.recording), Model::Linearizable) {
            Verdict::Invalid(_) => shown += 1,
            // The lab knows from the logs when a write took place of which its client knows nothing.
            verdict => {
                let doubted = |it: &Operation| it.outcome == Told::Unknown && it.action != Action::Read;
                assert!(report.recording.operations.iter().any(doubted), "seed {}: {verdict:?}", report.seed);
            }
        }
    }
    assert!(shown > 0, "no seed shows it");
}

#[test]
fn experiments_leave_a_history_that_shows_what_they_claim() {
    let broken = |name: &str, model: Model| {
        let shown = experiment::run(name, 0..200, true).unwrap();
        assert!(shown.shown, "{shown}");
        let history = read_back(&shown.naive.recording);
        match verdict(&history, model) {
            Verdict::Invalid(witness) => (witness.anomaly, history.bands().len()),
            verdict => panic!("{name}: {verdict:?}"),
        }
    };
    let (anomaly, bands) = broken("consensus/stale-leader", Model::Linearizable);
    assert_eq!((anomaly, bands > 1), (Anomaly::StaleRead, true));
    let (anomaly, _) = broken("register/no-write-back", Model::Linearizable);
    assert!(matches!(anomaly, Anomaly::StaleRead | Anomaly::NewThenOld), "{anomaly:?}");
    // Session reads need not be linearizable: they are there because a promise to a session was broken.
    let (anomaly, _) = broken("node/session-ignored", Model::ReadYourWrites);
    assert_eq!(anomaly, Anomaly::ReadYourWrites);
}
