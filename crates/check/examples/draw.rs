//! Draws the picture of a stale read, as a sample.
use quorate_check::{Anomaly, Band, Datum, Edge, Id, Model, Object, Recorder, Step, Why, Witness, witness};

fn main() {
    let mut recorder = Recorder::new(Object::Register);
    let x = recorder.key(&"x".into());
    let (one, two) = (recorder.value(&1.into()), recorder.value(&2.into()));
    let [a, b, c] = ["a", "b", "c"].map(|name| recorder.session(&Datum::text(name)));
    let write = |key, value| Step::Write { key, value };
    let first = recorder.begin(a, 1, 1, &[write(x, one)]);
    recorder.end(first, 4, &[write(x, one)]);
    let second = recorder.begin(b, 5, 3, &[write(x, two)]);
    recorder.end(second, 8, &[write(x, two)]);
    let open = recorder.begin(a, 7, 4, &[write(x, recorder_three(one))]);
    let _ = open;
    let read = recorder.begin(c, 9, 5, &[Step::Read { key: x, value: None }]);
    recorder.end(read, 12, &[Step::Read { key: x, value: Some(one) }]);
    recorder.band(Band { what: "partition a b / c".into(), from: 3, to: 10 });
    let history = recorder.finish();
    let edge = |from, to, why| Edge { from: Id(from), to: Id(to), why };
    let witness = Witness {
        anomaly: Anomaly::StaleRead,
        operations: vec![Id(0), Id(1), Id(2), Id(3)],
        edges: vec![
            edge(0, 1, Why::RealTime),
            edge(1, 3, Why::RealTime),
            edge(3, 1, Why::Overtaken(x)),
            edge(0, 3, Why::ReadsFrom(x)),
        ],
    };
    print!("{}", witness::text(&history, Model::Linearizable, &witness));
    let mut arguments = std::env::args().skip(1);
    if let Some(path) = arguments.next() {
        std::fs::write(path, witness::svg(&history, Model::Linearizable, &witness)).expect("the file can be written");
    }
    if let Some(path) = arguments.next() {
        let verdicts = [(Model::Linearizable, quorate_check::Verdict::Invalid(witness))];
        std::fs::write(path, witness::html(&history, "sample.edn", &verdicts)).expect("the file can be written");
    }
}

fn recorder_three(value: quorate_check::Value) -> quorate_check::Value {
    value
}
