//! How fast the readers are: `cargo test --release -p quorate-check --test read_speed -- --ignored --nocapture`.
#![allow(clippy::unwrap_used)]

use quorate_check::Recorder;
use quorate_check::format::{self, Options};
use quorate_check::{Datum, Object, Step};
use std::fmt::Write;
use std::time::Instant;

const OPERATIONS: usize = 1_000_000;

fn measure(name: &str, text: &[u8], operations: usize) {
    let start = Instant::now();
    let history = format::read(text, &Options::default()).unwrap();
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(history.len(), operations);
    let (megabytes, millions) = (text.len() as f64 / 1e6, operations as f64 / 1e6);
    println!(
        "{name}: {megabytes:.0} MB in {seconds:.2} s, {:.0} MB/s, {:.2} M operations/s",
        megabytes / seconds,
        millions / seconds
    );
}

#[test]
#[ignore = "a measurement"]
fn a_million_operations() {
    let (mut edn, mut json, mut log, mut plume) = (String::new(), String::new(), String::new(), String::new());
    for at in 0..OPERATIONS {
        let (process, function, asked) = (at % 10, ["write", "read"][at % 2], at / 2);
        let nothing = if at % 2 == 1 { "nil".to_string() } else { asked.to_string() };
        for (row, kind, value) in [(2 * at, "invoke", &nothing), (2 * at + 1, "ok", &asked.to_string())] {
            let time = 1_000 * row;
            writeln!(
                edn,
                "{{:type :{kind}, :f :{function}, :value {value}, :process {process}, :time {time}, :index {row}}}"
            )
            .unwrap();
            let value_json = if value == "nil" { "null" } else { value };
            writeln!(json, "{{\"type\":\"{kind}\",\"f\":\"{function}\",\"value\":{value_json},\"process\":{process},\"time\":{time},\"index\":{row}}}").unwrap();
            writeln!(log, "INFO  jepsen.util - {process}\t:{kind}\t:{function}\t{value}").unwrap();
        }
        writeln!(plume, "{}({},{},{process},{at})", ["w", "r"][at % 2], at % 50, 1 + at / 2).unwrap();
    }
    measure("jepsen-edn", edn.as_bytes(), OPERATIONS);
    measure("json", json.as_bytes(), OPERATIONS);
    measure("jepsen-log", log.as_bytes(), OPERATIONS);
    measure("plume", plume.as_bytes(), OPERATIONS);
    let mut recorder = Recorder::new(Object::Register);
    let key = recorder.key(&Datum::Nil);
    for at in 0..OPERATIONS {
        let (session, value) =
            (recorder.session(&((at % 10) as i64).into()), recorder.value(&((at / 2) as i64).into()));
        let step = [if at % 2 == 0 { Step::Write { key, value } } else { Step::Read { key, value: Some(value) } }];
        let ticket = recorder.begin(session, 2 * at as u64, 0, &step);
        recorder.end(ticket, 2 * at as u64 + 1, &step);
    }
    let mut own = Vec::new();
    let start = Instant::now();
    format::write(&recorder.finish(), &mut own).unwrap();
    println!("quorate: written in {:.2} s", start.elapsed().as_secs_f64());
    measure("quorate", &own, OPERATIONS);
}
