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
