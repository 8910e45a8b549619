//! Reads files and tells what they are: for a look at a file, and for measuring the readers.
use quorate_check::format::{Options, read};
use quorate_check::{Key, Outcome};
use std::time::Instant;

fn main() {
    for path in std::env::args().skip(1) {
        let bytes = std::fs::read(&path).expect("the file can be read");
        let start = Instant::now();
        match read(&bytes[..], &Options::default()) {
            Ok(history) => {
                let seconds = start.elapsed().as_secs_f64();
                let (values, keys, sessions) = history.counts();
                let of = |outcome| history.operations().iter().filter(|operation| operation.outcome == outcome).count();
                let initial = history.initial(Key(0));
                println!(
                    "{path}: {} {} operations ({} done, {} unknown, {} refused), {values} values, {keys} keys, {sessions} sessions, {} bands, {} at first; {:.1} ms, {:.0} MB/s, {:.2} M operations/s",
                    history.object().word(),
                    history.len(),
                    of(Outcome::Done),
                    of(Outcome::Unknown),
                    of(Outcome::Refused),
                    history.bands().len(),
                    history.value(initial),
                    seconds * 1e3,
                    bytes.len() as f64 / seconds / 1e6,
                    history.len() as f64 / seconds / 1e6,
                );
            }
            Err(problem) => println!("{path}: {problem}"),
        }
    }
}
