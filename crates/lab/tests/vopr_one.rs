#[test]
#[ignore]
fn one() {
    let seed = std::env::var("SEED").unwrap().parse().unwrap();
    let plan = quorate_lab::vopr::Plan::draw(seed);
    println!("{plan}\n{}", quorate_lab::vopr::run_plan(&plan, true));
}
