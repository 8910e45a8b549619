//! The lesson machine under faults: the correct register holds, each naive variant is caught for the named reason.

use quorate_lab::check::quorate_check::Anomaly;
use quorate_lab::check::register::Verdict;
use quorate_lab::lesson::register::Variant;
use quorate_lab::lesson::trial::run;

const SEEDS: u64 = 300;

#[test]
fn the_same_seed_gives_the_same_world() {
    let digest = |seed| run(seed, Variant::Correct, false).digest;
    for seed in 0..30 {
        assert_eq!(digest(seed), digest(seed));
    }
    assert_ne!(digest(1), digest(2));
}

#[test]
fn the_correct_register_is_linearizable() {
    let (mut steps, mut done) = (0, 0);
    for seed in 0..SEEDS {
        let run = run(seed, Variant::Correct, false);
        assert_eq!(run.verdict, Verdict::Valid, "seed {seed}");
        assert_eq!(run.violations, Vec::<String>::new(), "seed {seed}");
        (steps, done) = (steps + run.steps, done + run.done);
    }
    assert!(done as u64 > SEEDS * 100, "{done} of {} operations were done in {steps} steps", SEEDS * 300);
}

#[test]
fn each_naive_variant_is_caught() {
    for variant in [Variant::EagerAck, Variant::NoWriteBack, Variant::HalfIsEnough] {
        let caught = (0..SEEDS).find_map(|seed| match run(seed, variant, false).verdict {
            Verdict::Invalid(witness) => Some((seed, witness.anomaly)),
            Verdict::Valid | Verdict::Unknown(_) => None,
        });
        assert!(
            matches!(caught, Some((_, Anomaly::StaleRead | Anomaly::NewThenOld))),
            "{variant:?} in {SEEDS} seeds: {caught:?}"
        );
    }
}
