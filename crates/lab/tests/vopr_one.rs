#[test]
#[ignore]
fn one() {
    let seed = std::env::var("SEED").unwrap().parse().unwrap();
    let plan = quorate_lab::vopr::Plan::draw(seed);
    println!("{plan}\n{}", quorate_lab::vopr::run_plan(&plan, true));
}
#[test]
#[ignore]
fn mutants() {
    for (_, name, _) in quorate_core::mutant::Mutant::ALL {
        let start = std::time::Instant::now();
        let mut caught = Vec::new();
        for seed in 0..300 {
            let mut plan = quorate_lab::vopr::Plan::draw(seed);
            plan.options.mutant = Some(name.to_string());
            let report = quorate_lab::vopr::run_plan(&plan, false);
            if let Some(failure) = report.failure {
                caught.push((seed, failure.kind.word()));
            }
        }
        println!("MUT {name}: {} {:?} {:?}", caught.len(), &caught[..caught.len().min(3)], start.elapsed());
    }
}
#[test]
#[ignore]
fn script() {
    use quorate_lab::{mutant, script};
    for (m, name, _) in quorate_core::mutant::Mutant::ALL {
        let Some(s) = mutant::script_for(*m) else { continue };
        if std::env::var("ONLY").is_ok_and(|only| only != *name) {
            continue;
        }
        let text = mutant::script_named(s).unwrap();
        let played = script::play(text, &script::Casting { mutant: Some(name), trace: false, blind_to_receipts: true });
        println!("===== {name}\n{}\n{:?}", played.text, played.failure);
    }
    if std::env::var("ONLY").is_err() {
        let mut plan = mutant::target(quorate_core::mutant::Mutant::CommitOlderTermByCounting, 73);
        plan.options.mutant = None;
        println!("{plan}\n{}", quorate_lab::vopr::run_plan(&plan, true));
    }
}
