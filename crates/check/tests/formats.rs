//! What files say, and what is wrong with files that say nothing.
#![allow(clippy::unwrap_used)]

mod samples;

use quorate_check::format::{self, Format, Options, events};
use quorate_check::{
    Budget, Datum, Event, History, Id, Key, Kind, Meter, Model, Object, Process, Value, Verdict, check, witness,
};

fn read(text: &str) -> History {
    format::read(text.as_bytes(), &Options::default()).unwrap_or_else(|problem| panic!("{problem}\n{text}"))
}

fn words(history: &History) -> Vec<String> {
    history.ids().map(|id| history.describe(id)).collect()
}

/// The problem of a text, as it is printed.
fn wrong(text: &str) -> String {
    wrong_as(text, &Options::default())
}

fn wrong_as(text: &str, options: &Options) -> String {
    match format::read(text.as_bytes(), options) {
        Ok(history) => panic!("this was read as {:?}: {text}", words(&history)),
        Err(problem) => problem.to_string(),
    }
}

fn is(format: Format) -> Options {
    Options { format: Some(format), ..Options::default() }
}

#[test]
fn every_sample_is_read_as_what_it_is() {
    for sample in samples::ALL {
        assert_eq!(format::detect(sample.text.as_bytes()), Ok(sample.format), "{}", sample.name);
        let history = read(sample.text);
        assert_eq!(history.object(), sample.object, "{}", sample.name);
        assert_eq!(words(&history), sample.words, "{}", sample.name);
        let told = Options { format: Some(sample.format), object: Some(sample.object), ..Options::default() };
        let history = format::read(sample.text.as_bytes(), &told).unwrap();
        assert_eq!(words(&history), sample.words, "{}, told what it is", sample.name);
    }
}

#[test]
fn every_object_and_every_format_has_a_sample() {
    for format in Format::ALL {
        assert!(samples::ALL.iter().any(|sample| sample.format == format), "{}", format.word());
        assert_eq!(Format::of_word(format.word()), Some(format));
    }
    for object in Object::ALL {
        assert!(samples::ALL.iter().any(|sample| sample.object == object), "{}", object.word());
    }
}

#[test]
fn a_sample_in_pieces_of_one_byte_is_the_same() {
    struct Bytewise<'a>(&'a [u8]);
    impl std::io::Read for Bytewise<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            (into[0], self.0) = (*first, rest);
            Ok(1)
        }
    }
    for sample in samples::ALL {
        let history = format::read(Bytewise(sample.text.as_bytes()), &Options::default()).unwrap();
        assert_eq!(words(&history), sample.words, "{}", sample.name);
    }
}

#[test]
fn a_sample_with_other_ends_of_lines_and_a_mark_is_the_same() {
    for sample in samples::ALL {
        let text = format!("\u{feff}{}", sample.text.replace('\n', "\r\n"));
        assert_eq!(words(&read(&text)), sample.words, "{}", sample.name);
    }
}

#[test]
fn a_sample_that_is_read_as_another_format_is_wrong_in_a_line() {
    let edn = [Format::JepsenEdn, Format::PorcupineKv];
    for sample in samples::ALL {
        for format in Format::ALL.into_iter().filter(|format| *format != sample.format) {
            if edn.contains(&format) && edn.contains(&sample.format) {
                continue;
            }
            let problem = wrong_as(sample.text, &is(format));
            assert!(problem.starts_with("line "), "{} as {}: {problem}", sample.name, format.word());
            let hint = format!("(read as {}; it looks like {})", format.word(), sample.format.word());
            assert!(problem.ends_with(&hint), "{} as {}: {problem}", sample.name, format.word());
        }
    }
}

/// Cut anywhere, a file is either wrong in a line, or a shorter history.
#[test]
fn a_truncated_sample_is_wrong_or_shorter() {
    for sample in samples::ALL {
        let mut problems = 0;
        for end in 0..sample.text.len() {
            match format::read(&sample.text.as_bytes()[..end], &Options::default()) {
                Ok(history) => assert!(history.len() <= sample.words.len()),
                Err(problem) => {
                    assert!(problem.line > 0 && problem.to_string().starts_with("line "), "{problem}");
                    problems += 1;
                }
            }
        }
        assert!(problems > 0, "{}", sample.name);
    }
}

#[test]
fn rows_can_be_read_alone() {
    let text = "[{:process 3 :type :invoke :f :cas :value [1 2] :time 8 :key :k}\n{:process :nemesis :type :info :f :kill :error {:a #{2 1}}}]";
    let rows: Vec<Event> = events(text.as_bytes(), Format::JepsenEdn).map(Result::unwrap).collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (rows[0].process.clone(), rows[0].kind, &*rows[0].function),
        (Process::Client(3.into()), Kind::Invoke, "cas")
    );
    assert_eq!((rows[0].time_ns, rows[0].line, rows[1].line), (Some(8), 1, 2));
    assert_eq!((rows[0].key.clone(), rows[0].value.to_string()), (Some("k".into()), "[1 2]".to_string()));
    assert_eq!(rows[1].process, Process::Nemesis);
    assert_eq!(rows[1].error.as_ref().unwrap().to_string(), "{a [1 2]}");
    let mut none = events("w 1 1".as_bytes(), Format::Awdit);
    assert!(none.next().unwrap().is_err() && none.next().is_none());
}

#[test]
fn values_of_edn() {
    let means = |text: &str| format::value(text).unwrap_or_else(|problem| panic!("{text}: {problem}"));
    let list = |items: &[Datum]| Datum::List(items.to_vec());
    assert_eq!(means("nil"), Datum::Nil);
    assert_eq!(means("-12"), Datum::Integer(-12));
    assert_eq!(means("+7"), Datum::Integer(7));
    assert_eq!(means("12N"), Datum::Integer(12));
    assert_eq!(means("0x1F"), Datum::Integer(31));
    assert_eq!(means("9223372036854775807"), Datum::Integer(i64::MAX));
    assert_eq!(means("-9223372036854775808"), Datum::Integer(i64::MIN));
    for number in ["9223372036854775808", "1/3", "-1.5e10", "2.50M", "123456789012345678901234567890"] {
        assert_eq!(means(number), Datum::Number(number.into()));
    }
    assert_eq!(means("##Inf"), Datum::Number("Inf".into()));
    for (text, meant) in [
        (":a/b", "a/b"),
        ("sym.bol$1", "sym.bol$1"),
        ("\"a\\n\\\"\\u00e9\\ud83d\\ude00\"", "a\n\"é😀"),
        ("\\a", "a"),
        ("\\space", " "),
        ("\\u0041", "A"),
        ("\\(", "("),
        ("#\"\\\\d\"", "\\d"),
        ("#inst \"2020\"", "2020"),
        ("#<Thing <x> y>", "<Thing <x> y>"),
        ("#_ 1 #_#_ 2 3 :x ; rest", "x"),
        ("^:meta y", "y"),
    ] {
        assert_eq!(means(text), Datum::text(meant), "{text}");
    }
    assert_eq!(means("#{3 1 2}"), list(&[1.into(), 2.into(), 3.into()]));
    assert_eq!(means("(1, [2 #_3])"), list(&[1.into(), list(&[2.into()])]));
    assert_eq!(means("#my/tag {:b 1 :a 2}").to_string(), "{a 2, b 1}");
    assert_eq!(means("#object[a.b 0x4bd07fe5 {:val nil}]").to_string(), "[a.b 1271955429 {val nil}]");
    for text in [
        "",
        "1 2",
        "[1",
        "[1)",
        "1]",
        "{:a}",
        "{:a 1 :a 2}",
        "#{1 1}",
        "\"a",
        "\"\\q\"",
        "\\nope",
        "1x",
        "0x",
        "1//2",
        ":",
        "#",
        "##x",
        "'a'b",
        "#<a",
        "\"\\u12\"",
        "[#_]",
    ] {
        let result = format::value(text);
        // A quote is part of a symbol.
        assert_eq!(result.is_err(), text != "'a'b", "{text}: {result:?}");
    }
}

#[test]
fn values_of_json() {
    let means = |text: &str| {
        let row = format!("{{\"type\":\"ok\",\"value\":{text}}}");
        events(row.as_bytes(), Format::Json).next().unwrap().map(|event| event.value)
    };
    assert_eq!(
        means("[1, -0.5e+3 ,null,{\"b\":[],\"a\":{}}, true]").unwrap().to_string(),
        "[1 -0.5e+3 nil {a {}, b []} true]"
    );
    assert_eq!(means("\"\\ud83d\\ude00\\n\\/\"").unwrap(), Datum::text("😀\n/"));
    assert_eq!(means("\"\\ud83dx\"").unwrap(), Datum::text("\u{fffd}x"));
    for text in [
        "[1,]",
        "[1 2]",
        "{\"a\"}",
        "{\"a\" 1}",
        "{a:1}",
        "{\"a\":1,\"a\":2}",
        "01",
        "1.",
        "+1",
        "nul",
        "'a'",
        "[}",
        "\"\n\"",
        "\"\\x\"",
        "-",
        ".5",
        "1e",
        ",",
        ":",
    ] {
        assert!(means(text).is_err(), "{text}");
    }
}

#[test]
fn a_text_over_several_lines_counts_them() {
    let text = "{:process 0 :type :invoke :f :write :value \"a\nb\n\"}\n{:process 0 :type :ok :f :read}";
    assert_eq!(wrong(text), "line 4: \"read\" ends here, but \"write\" began in line 1");
    let text = "{:process 0 ; one\n\n:type :invoke\n:f :write :value 1}\n7";
    assert_eq!(wrong(text), "line 5, column 1: a map of an operation was expected, not '7'");
}

#[test]
fn a_set_that_is_read_as_nothing_is_unknown() {
    let text = "{:process 0 :type :invoke :f :write :value 1}{:process 0 :type :ok :f :write :value 1}{:process 0 :type :invoke :f :read}{:process 0 :type :ok :f :read :value nil}{:process 0 :type :invoke :f :read}{:process 0 :type :ok :f :read :value #{}}";
    let history = format::read(text.as_bytes(), &Options { object: Some(Object::Set), ..Options::default() }).unwrap();
    assert_eq!(words(&history), ["add 1", "read → ?", "read → []"]);
    let unsaid = "{:process 0 :type :invoke :f :read}{:process 0 :type :ok :f :read :value #{}}\n{:process 0 :type :invoke :f :write :value 1}";
    assert_eq!(wrong(unsaid), "line 2: set has no operation \"write\"");
}

#[test]
fn nothing_is_wrong_in_line_1() {
    for text in ["", "   \n\n", "; only a comment\n", "[]", "()", "\u{feff}"] {
        let problem = wrong(text);
        assert!(problem.starts_with("line ") && problem.contains("no operation"), "{text:?}: {problem}");
    }
    // Rows of a nemesis are a history in which nobody did anything.
    let nemesis = read("[{:process :nemesis :type :info :f :start :value nil}]");
    assert!(nemesis.is_empty() && nemesis.bands().len() == 1);
}

#[test]
fn what_a_file_looks_like() {
    let looks = |text: &str| format::detect(text.as_bytes());
    assert_eq!(looks("0\t:invoke\t:read\tnil\n"), Ok(Format::JepsenLog));
    assert_eq!(looks("[12:00] INFO x\n[12:01] INFO jepsen.util - 0\t:invoke\t:read\tnil\n"), Ok(Format::JepsenLog));
    assert_eq!(looks("{:process 0 :type :invoke :f :write :value \"a\t:ok\tb\"}"), Ok(Format::JepsenEdn));
    assert_eq!(looks("[ ; none\n]"), Ok(Format::JepsenEdn));
    assert_eq!(looks("; list\n\n[,{ \"type\" : 1"), Ok(Format::Json));
    assert_eq!(looks("{:f :get, :process 1, :key \"a\"}"), Ok(Format::PorcupineKv));
    assert_eq!(looks("====\nr 1 1"), Ok(Format::Awdit));
    assert!(looks("[1 2 3]").is_err() && looks("\u{0}").is_err());
}

#[test]
fn what_is_no_history_is_wrong() {
    let cases: [(&[u8], &str); 9] = [
        (b"hello world\n", "line 1: this is none of the known formats: \"hello world\""),
        (b"\x1f\x8b\x08\0", "line 1: the file is compressed; unpack it first"),
        (b"\xff\xfe[\0", "line 1: the file is UTF-16; UTF-8 is needed"),
        (
            b"{:process 0 :type :invoke :f :read}\n{:process 0 :type :ok :f :read :value \"\xff\"}",
            "line 2, column 42: bytes that are not UTF-8",
        ),
        (b"; caf\xe9\n[{:process 0 :type :invoke :f :read}]", "line 1, column 7: bytes that are not UTF-8"),
        (b"[{\"process\":0,\"type\":\"invoke\",\"f\":\"\xc3(\"}]", "line 1, column 39: bytes that are not UTF-8"),
        (b"INFO  jepsen.util - 0\t:invoke\t:read\tnil\nINFO \xff\n", "line 2: bytes that are not UTF-8"),
        (b"w 1 1\nr \xff 1\n", "line 2: r key value, w key value, --- or === was expected, not \"r \u{fffd} 1\""),
        (
            b"w(1,1,1,1)\nr(1,x,1,1)\n",
            "line 2: r(key,value,session,transaction) or w(...) was expected, not \"r(1,x,1,1)\"",
        ),
    ];
    for (bytes, expected) in cases {
        let problem = format::read(bytes, &Options::default()).unwrap_err().to_string();
        assert_eq!(problem, expected);
    }
}

#[test]
fn contradictions_name_their_line() {
    let row = |process: u32, kind: &str, function: &str, value: &str| {
        format!("{{:process {process} :type :{kind} :f :{function} :value {value}}}\n")
    };
    let invoke = |function: &str, value: &str| row(0, "invoke", function, value);
    let ok = |function: &str, value: &str| row(0, "ok", function, value);
    let cases = [
        (ok("read", "1"), "line 1: ok ends an operation that the process 0 did not begin"),
        (
            invoke("read", "nil") + &row(1, "info", "read", "nil"),
            "line 2: info ends an operation that the process 1 did not begin",
        ),
        (
            invoke("read", "nil") + &invoke("write", "1"),
            "line 2: the process begins \"write\", but \"read\", which it began in line 1, has not ended",
        ),
        (invoke("read", "nil") + &ok("write", "1"), "line 2: \"write\" ends here, but \"read\" began in line 1"),
        (
            invoke("write", "1") + &ok("write", "2"),
            "line 2: write ends with 2, which is not what it began with in line 1",
        ),
        (
            invoke("cas", "[1 2]") + &ok("cas", "[1 3]"),
            "line 2: cas ends with [1 3], which is not what it began with in line 1",
        ),
        (invoke("cas", "[1]"), "line 1: a cas has the value [from to], not [1]"),
        (
            invoke("txn", "[[:w 1 1]]") + &ok("txn", "[[:w 1 2]]"),
            "line 2: txn ends with [[w 1 2]], which is not what it began with in line 1",
        ),
        (
            invoke("txn", "[[:w 1 1] [:r 2 nil]]") + &ok("txn", "[[:w 1 1]]"),
            "line 2: txn ends with [[w 1 1]], which is not what it began with in line 1",
        ),
        (
            invoke("txn", "[[:append 1 1] [:r 1 nil]]") + &ok("txn", "[[:append 1 1] [:r 2 [1]]]"),
            "line 2: txn ends with [[append 1 1] [r 2 [1]]], which is not what it began with in line 1",
        ),
        (invoke("txn", "[[:append 1 1] [:w 1 2]]"), "line 1: list-append has no step \"w\""),
        (invoke("txn", "[[:append 1 nil]]"), "line 1: nil cannot be an element"),
        (
            invoke("write", "1") + &ok("write", "1") + &invoke("enqueue", "2"),
            "line 3: register has no operation \"enqueue\"",
        ),
        (invoke("write", "1") + &ok("write", "1") + &invoke("jump", "2"), "line 3: the function \"jump\" is not known"),
        (
            invoke("enqueue", "1") + &ok("enqueue", "1") + &invoke("drain", "nil"),
            "line 3: nobody knows what a drain that did not end took; such a history cannot be judged",
        ),
        (
            "{:process 0 :type :hello :f :read}".to_string(),
            "line 1: the type of an operation is invoke, ok, fail or info, not \"hello\"",
        ),
        ("{:process 0 :f :read}".to_string(), "line 1: an operation has no type (invoke, ok, fail or info)"),
        (
            "{:process 0 :process 1 :type :invoke :f :read}".to_string(),
            "line 1: an operation has the field process twice",
        ),
        ("{:process 0 :type :invoke :value 1}".to_string(), "line 1: the operation does not say its function (f)"),
        (
            "{:process 0 :type :invoke :f :read}\n7".to_string(),
            "line 2, column 1: a map of an operation was expected, not '7'",
        ),
        (
            "[{:process 0 :type :invoke :f :read}]\n{}".to_string(),
            "line 2, column 1: something follows the end of the list",
        ),
        (
            "{:process 0 :type :invoke :f :read :time 9}\n{:process 0 :type :ok :f :read :time 8}".to_string(),
            "line 2: the operation ends 1 ns before it begins in line 1",
        ),
        (
            "\n[{:process 0 :type :invoke :f :read}\n".to_string(),
            "line 3, column 1: the file ends in the list that begins in line 2",
        ),
        (
            "[{\"type\":\"invoke\",\"f\":\"read\"}]\n7".to_string(),
            "line 2, column 1: something follows the end of the array",
        ),
        (
            "\n[{\"type\":\"invoke\",\"f\":\"read\"}\n".to_string(),
            "line 3, column 1: the file ends in the array that begins in line 2",
        ),
        ("[{\"type\":\"invoke\",\"f\":\"read\"}\n{}]".to_string(), "line 2, column 1: ',' was expected, not '{'"),
        (
            "w(1,1,1,1)\nw(1,2,2,1)\n".to_string(),
            "line 2: transaction 1 is of session 1 in line 1, but of session 2 here",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(wrong(&text), expected, "{text}");
    }
}

#[test]
fn pairs_of_key_and_value_stay_pairs() {
    let text = "{:process 0 :type :invoke :f :read :value [1 nil]}\n{:process 0 :type :ok :f :read :value [1 5]}\n";
    assert_eq!(words(&read(text)), ["read 1 → 5"]);
    let other = format!("{text}{{:process 0 :type :invoke :f :write :value 3}}");
    assert_eq!(wrong(&other), "line 3: values are pairs [key value] in this history, but not 3");
    let mixed = "{:process 0 :type :invoke :f :read :value [1 nil]}\n{:process 0 :type :ok :f :read :value [2 5]}\n";
    assert_eq!(wrong(mixed), "line 2: the operation ends with the key 2, but began in line 1 with 1");
    // A register may hold pairs: its reads begin without one.
    let held = "{:process 0 :type :invoke :f :read :value nil}{:process 0 :type :ok :f :read :value nil}{:process 0 :type :invoke :f :write :value [1 2]}";
    assert_eq!(words(&read(held)), ["read → ?", "write [1 2] (unknown)"]);
    // Whether a write of a pair has a key shows later.
    let late = "{:process 0 :type :invoke :f :write :value [1 2]}\n{:process 0 :type :ok :f :write :value [1 2]}\n";
    assert_eq!(words(&read(&format!("{late}{text}"))), ["write 1 2", "read 1 → 5"]);
    assert_eq!(words(&read(late)), ["write 1 2"]);
}

#[test]
fn a_process_that_did_not_hear_the_end_goes_on_as_another_session() {
    let text = "{:process 0 :type :invoke :f :write :value 1}{:process 0 :type :info :f :write}{:process 0 :type :invoke :f :read}{:process 0 :type :ok :f :read :value 1}";
    let history = read(text);
    let names: Vec<String> = history.operations().iter().map(|op| history.session(op.session).to_string()).collect();
    assert_eq!(names, ["0", "[0 1]"]);
    assert_eq!(history.counts().2, 2);
}

#[test]
fn rows_without_a_process_pair_up_by_their_function() {
    let text = "{:type :invoke :f :read}\n{:type :invoke :f :write :value 1}\n{:type :ok :f :write :value 1}\n{:type :invoke :f :write :value 2}\n{:type :ok :f :write :value 2}\n{:type :ok :f :read :value 2}\n";
    let history = read(text);
    assert_eq!(words(&history), ["read → 2", "write 1", "write 2"]);
    let sessions: Vec<u32> = history.operations().iter().map(|operation| operation.session.0).collect();
    assert_eq!(sessions, [0, 1, 1]);
    let two = "{:type :invoke :f :read}\n{:type :invoke :f :read}\n{:type :ok :f :read :value 2}\n";
    assert_eq!(wrong(two), "line 3: 2 operations \"read\" have begun; without a process nobody knows which ends");
    let none = "{:type :ok :f :read :value 2}\n";
    assert_eq!(wrong(none), "line 1: an operation \"read\" ends here that did not begin (no row names its process)");
}

/// Registers of a Jepsen history hold at first what was seen before anybody wrote it.
#[test]
fn what_registers_hold_at_first() {
    let at_first = |rows: &[(u32, &str, &str, &str)], options: &Options| {
        let row = |(process, kind, function, value): &(u32, &str, &str, &str)| {
            format!("{{:process {process} :type :{kind} :f :{function} :value {value}}}\n")
        };
        let text: String = rows.iter().map(row).collect();
        let history = format::read(text.as_bytes(), options).unwrap();
        let key = history.steps(Id(0))[0].key().unwrap();
        history.value(history.initial(key)).clone()
    };
    let unsaid = Options::default();
    let read = |process, value| [(process, "invoke", "read", "nil"), (process, "ok", "read", value)];
    let write = |process, value| [(process, "invoke", "write", value), (process, "ok", "write", value)];
    let cas = |value| [(7, "invoke", "cas", value), (7, "ok", "cas", value)];
    let cat = |parts: &[[(u32, &'static str, &'static str, &'static str); 2]]| parts.concat();
    assert_eq!(at_first(&cat(&[read(0, "5"), write(0, "1")]), &unsaid), 5.into());
    assert_eq!(at_first(&cat(&[cas("[3 1]"), read(0, "1")]), &unsaid), 3.into());
    assert_eq!(at_first(&cat(&[cas("[3 3]")]), &unsaid), 3.into());
    // A cas from nothing found nothing.
    assert_eq!(at_first(&cat(&[cas("[nil 1]"), read(0, "1")]), &unsaid), Datum::Nil);
    // After a write has ended, a made-up value stays made up.
    assert_eq!(at_first(&cat(&[write(0, "1"), read(0, "5")]), &unsaid), Datum::Nil);
    // A read of nothing tells nothing.
    assert_eq!(at_first(&cat(&[read(0, "nil"), read(0, "2")]), &unsaid), 2.into());
    // The value of a refused write was never there.
    let refused =
        [(0, "invoke", "read", "nil"), (1, "invoke", "write", "3"), (1, "fail", "write", "3"), (0, "ok", "read", "3")];
    assert_eq!(at_first(&refused, &unsaid), Datum::Nil);
    // A write that overlaps may explain the value; so may the beginning, unless another value was surely there.
    let overlaps = [
        (0, "invoke", "write", "3"),
        (1, "invoke", "read", "nil"),
        (1, "ok", "read", "3"),
        (2, "invoke", "read", "nil"),
    ];
    assert_eq!(at_first(&overlaps, &unsaid), 3.into());
    assert_eq!(at_first(&[&overlaps[..], &[(2, "ok", "read", "4")]].concat(), &unsaid), 4.into());
    let said = Options { initial: Some(9.into()), ..Options::default() };
    assert_eq!(at_first(&cat(&[read(0, "5"), write(0, "1")]), &said), 9.into());
}

#[test]
fn what_else_keys_hold_at_first() {
    let history = read("w(1,5,0,10)\nr(2,0,0,10)\n");
    assert_eq!(*history.value(history.initial(history.steps(Id(0))[0].key().unwrap())), 0.into());
    assert!(!history.has_real_time() && history.sessions_bind());
    let history = read("w 1 5\nr 2 0\n");
    assert_eq!(history.initial(history.steps(Id(0))[0].key().unwrap()), Value::NIL);
    assert!(!history.has_real_time());
    let said = Options { initial: Some(format::value("{1 7}").unwrap()), ..Options::default() };
    let history = format::read("w 1 5\nr 2 0\n".as_bytes(), &said).unwrap();
    let initial = |step: usize| history.value(history.initial(history.steps(Id(0))[step].key().unwrap()));
    assert_eq!((initial(0), initial(1)), (&7.into(), &Datum::Nil));
    // In a transaction of short words, which can say that nothing was there.
    let text =
        "[{:process 0 :type :invoke :f :txn :value [[:r :x nil]]}{:process 0 :type :ok :f :txn :value [[:r :x 4]]}]";
    let history = read(text);
    assert_eq!(history.initial(history.steps(Id(0))[0].key().unwrap()), Value::NIL);
    // In a transaction of long words.
    let text = "[{:process 0 :type :invoke :f :txn :value [[:read :x nil] [:write :x 1] [:read :x nil]]}{:process 0 :type :ok :f :txn :value [[:read :x 0] [:write :x 1] [:read :x 1]]}]";
    let history = read(text);
    assert_eq!(*history.value(history.initial(history.steps(Id(0))[0].key().unwrap())), 0.into());
}

#[test]
fn what_accounts_hold_at_first() {
    let row = |process: u32, kind: &str, function: &str, value: &str| {
        format!("{{:process {process} :type :{kind} :f :{function} :value {value}}}\n")
    };
    let transfer = "{:from :a :to :b :amount 3}";
    let moved = row(0, "invoke", "transfer", transfer) + &row(0, "ok", "transfer", transfer);
    let at_first = |text: &str| {
        let history = read(text);
        let of = |id: u32, step: usize| {
            let key = history.steps(Id(id))[step].key().unwrap();
            history.value(history.initial(key)).to_string()
        };
        (of(0, 0), of(0, 1))
    };
    let balances = row(1, "invoke", "read", "nil") + &row(1, "ok", "read", "{:a 7 :b 3}");
    assert_eq!(at_first(&(moved.clone() + &balances)), ("10".to_string(), "0".to_string()));
    let overlapped = row(0, "invoke", "transfer", transfer) + &balances + &row(0, "ok", "transfer", transfer);
    assert_eq!(at_first(&overlapped), ("nil".to_string(), "nil".to_string()));
    let begun_before = row(0, "invoke", "transfer", transfer)
        + &row(1, "invoke", "read", "nil")
        + &row(0, "ok", "transfer", transfer)
        + &row(2, "invoke", "read", "nil")
        + &row(1, "ok", "read", "{:a 10 :b 0}")
        + &row(2, "ok", "read", "{:a 7 :b 3}");
    assert_eq!(at_first(&begun_before), ("10".to_string(), "0".to_string()));
}

/// A read that overlaps a transfer may stand before it or behind it, which makes two of the first balances.
#[test]
fn accounts_whose_first_balance_is_not_told_are_judged_by_what_reads_allow() {
    let text = |later: &str| {
        let row = |process: u32, kind: &str, function: &str, value: &str| {
            format!("{{:process {process} :type :{kind} :f :{function} :value {value}}}\n")
        };
        let transfer = "{:from :a :to :b :amount 3}";
        row(0, "invoke", "transfer", transfer)
            + &row(1, "invoke", "read", "nil")
            + &row(1, "ok", "read", "{:a 7 :b 3}")
            + &row(2, "invoke", "transfer", transfer)
            + &row(0, "ok", "transfer", transfer)
            + &row(1, "invoke", "read", "nil")
            + &row(1, "ok", "read", later)
            + &row(2, "fail", "transfer", transfer)
    };
    for (later, expected) in [("{:a 7 :b 3}", true), ("{:a 4 :b 6}", true), ("{:a 10 :b 0}", false)] {
        let history = read(&text(later));
        assert_eq!(*history.value(history.initial(Key(0))), Datum::Nil);
        let verdict = check(&history, Model::Linearizable, &mut Meter::new(Budget::DEFAULT)).unwrap();
        assert_eq!(verdict == Verdict::Valid, expected, "{later}: {verdict:?}");
        if let Verdict::Invalid(witness) = verdict {
            assert_eq!(witness::verify(&history, Model::Linearizable, &witness), witness::Checked::Confirmed);
        }
    }
}

#[test]
fn bands_last_from_start_to_stop() {
    let row = |function: &str, value: &str| format!("{{:process :nemesis :type :info :f {function} :value {value}}}\n");
    let text = [
        "{:process 0 :type :invoke :f :read}\n".to_string(),
        row(":start", "nil"),
        row(":start", "\"cut off n1\""),
        row(":kill", "nil"),
        row(":stop", "nil"),
        row(":stop", "\"healed\""),
        row(":join", "nil"),
        row(":join", "\"n5\""),
        row(":start-partition", "nil"),
    ];
    let history = read(&text.concat());
    let bands: Vec<(&str, u64, u64)> = history.bands().iter().map(|band| (&*band.what, band.from, band.to)).collect();
    assert_eq!(bands, [("start: cut off n1", 2, 5), ("kill", 4, 9), ("join", 7, 8), ("start-partition", 9, 9)]);
}

#[test]
fn times_are_kept() {
    let history = read(
        "{:process 0 :type :invoke :f :read :time 5}\n{:process 1 :type :invoke :f :read :time 6}\n{:process 0 :type :ok :f :read :time 9}\n",
    );
    assert_eq!((history.time_ns(Id(0)), history.time_ns(Id(1))), (Some((5, 9)), Some((6, u64::MAX))));
    assert_eq!(history.operation(Id(1)).line, 2);
}

#[test]
fn an_object_that_is_not_there_is_wrong() {
    let text = "{:process 0 :type :invoke :f :write :value 1}\n{:process 1 :type :invoke :f :cas :value [1 2]}";
    let queue = Options { object: Some(Object::Queue), ..Options::default() };
    assert_eq!(wrong_as(text, &queue), "line 1: queue has no operation \"write\"");
    let register = Options { object: Some(Object::Register), ..Options::default() };
    assert_eq!(wrong_as(text, &register), "line 2: register has no operation \"cas\"");
    assert_eq!(wrong_as("w 1 1\n", &register), "line 1: awdit tells transactions of rw-register, not register");
}

#[test]
fn a_broken_file_of_our_own_is_wrong() {
    let header = "{\"quorate-history\":1,\"object\":\"register\"}\n";
    let own = is(Format::Quorate);
    for (text, expected) in [
        ("", "line 1, column 1: there is no header in the file"),
        (
            "{\"quorate-history\":2,\"object\":\"register\"}",
            "line 1: the first line is not the header of version 1: {\"quorate-history\":1,...}",
        ),
        ("{\"quorate-history\":1,\"object\":\"clock\"}", "line 1: clock is not an object"),
        ("{\"quorate-history\":1}", "line 1: the header does not name the object"),
        (
            "{\"quorate-history\":1,\"object\":\"register\",\"colour\":1}",
            "line 1: the header has no field \"colour\" with the value 1",
        ),
        (
            "{\"quorate-history\":1,\"object\":\"register\",\"operations\":1}",
            "line 1: the header promises 1 operations, but 0 follow",
        ),
    ] {
        assert_eq!(wrong_as(text, &own), expected, "{text}");
    }
    for (line, expected) in [
        ("{}", "line 2: an operation has session, begin and steps"),
        (
            "{\"session\":1,\"begin\":5,\"end\":4,\"steps\":[]}",
            "line 2: the operation ends at 4, before it begins at 5",
        ),
        ("{\"session\":1,\"begin\":-1,\"steps\":[]}", "line 2: a whole number from 0 was expected, not -1"),
        ("{\"session\":1,\"begin\":1,\"steps\":[[\"jump\",1]]}", "line 2: there is no such step: [jump 1]"),
        ("{\"session\":1,\"begin\":1,\"steps\":[[\"write\",1]]}", "line 2: there is no such step: [write 1]"),
        ("{\"session\":1,\"begin\":1,\"steps\":[[\"take\",1]]}", "line 2: a register has no step take"),
        ("{\"session\":1,\"begin\":1,\"steps\":[[\"generate\"]]}", "line 2: a register has no step generate"),
        (
            "{\"session\":1,\"begin\":1,\"outcome\":\"odd\",\"steps\":[]}",
            "line 2: an outcome is done, unknown or refused, not \"odd\"",
        ),
        ("{\"band\":\"x\",\"from\":2,\"to\":1}", "line 2: the band ends at 1, before it begins at 2"),
        (
            "{\"session\":{\"a\":1},\"begin\":1,\"steps\":[]}",
            "line 2: an object as a value is {\"map\":[[key,value],...]} or {\"number\":\"...\"}",
        ),
        ("[", "line 2, column 2: the file ends in a value"),
    ] {
        assert_eq!(wrong_as(&format!("{header}{line}"), &own), expected, "{line}");
    }
    let empty = format::read(header.as_bytes(), &Options::default()).unwrap();
    assert!(empty.is_empty());
}

#[test]
fn deep_brackets_are_wrong() {
    let million = 1_000_000;
    for (text, format) in [
        ("[".repeat(million), Format::JepsenEdn),
        (format!("[{{:value {}", "[".repeat(million)), Format::JepsenEdn),
        (format!("[{{:value {}", "#_".repeat(million)), Format::JepsenEdn),
        (format!("[{{:value {}", "#a ".repeat(million)), Format::JepsenEdn),
        (format!("[{{:value {}", "^".repeat(million)), Format::JepsenEdn),
        (format!("[{{{} 1", "#{".repeat(million)), Format::JepsenEdn),
        (format!("[{{\"value\":{}", "[".repeat(million)), Format::Json),
        (format!("{{\"quorate-history\":{}", "{\"map\":[[".repeat(million)), Format::Quorate),
        (format!("INFO  jepsen.util - 0\t:invoke\t:read\t{}", "[".repeat(million)), Format::JepsenLog),
    ] {
        let problem = wrong_as(&text, &is(format));
        assert!(problem.starts_with("line 1"), "{problem}");
    }
}

#[test]
fn a_line_that_never_ends_is_wrong() {
    /// The same bytes for ever.
    struct Endless(&'static [u8], usize);
    impl std::io::Read for Endless {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            for byte in into.iter_mut() {
                *byte = self.0[self.1 % self.0.len()];
                self.1 += 1;
            }
            Ok(into.len())
        }
    }
    for (bytes, format) in [
        (&b"; "[..], Format::JepsenEdn),
        (b"[\"", Format::JepsenEdn),
        (b"{\"", Format::Json),
        (b"w(1", Format::Plume),
        (b"r 1", Format::Awdit),
        (b"INFO ", Format::JepsenLog),
        (b" ", Format::Json),
    ] {
        let problem = format::read(Endless(bytes, 0), &is(format)).unwrap_err();
        assert!(problem.line == 1, "{problem}");
    }
    let text = format!("{{:process 0 :type :invoke :f :write :value \"{}\"}}", "x".repeat(20 << 20));
    assert_eq!(wrong(&text), "line 1: a line or record is longer than 16 MiB");
}

#[test]
fn a_file_that_cannot_be_read_is_wrong() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _into: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is gone"))
        }
    }
    use std::io::Read;
    for (text, format) in [("w 1 1\n", Format::Awdit), ("{:process 0 :type :invoke :f :read}\n", Format::JepsenEdn)] {
        let problem = format::read(text.as_bytes().chain(Broken), &is(format)).unwrap_err();
        assert_eq!(problem.to_string(), "line 1: cannot be read further: the disk is gone");
    }
}

/// Tools that rewrite JSON like to sort the fields of an object.
#[test]
fn a_header_is_known_in_whatever_order_its_fields_stand() {
    let rest = "\n{\"begin\":1,\"end\":2,\"session\":1,\"steps\":[[\"write\",\"x\",1]]}\n";
    let long: Vec<String> = (0..10_000).map(|key| format!("[\"k{key}\",{key}]")).collect();
    let headers = [
        "{\"initial\":null,\"object\":\"register\",\"operations\":1,\"quorate-history\":1,\"real-time\":true}"
            .to_string(),
        "{ \"initials\" : [[\"a\\\"}\", {\"map\":[]}]],\n \"object\" : \"register\", \"quorate-history\" : 1 }"
            .to_string(),
        format!("{{\"initials\":[{}],\"object\":\"register\",\"quorate-history\":1}}", long.join(",")),
    ];
    for header in headers {
        let text = header + rest;
        let beginning = &text.as_bytes()[..text.len().min(64 * 1024)];
        assert_eq!(format::detect(beginning).unwrap(), Format::Quorate, "{}", &text[..60]);
        assert_eq!(format::read(text.as_bytes(), &Options::default()).unwrap().len(), 1);
    }
    for text in [
        "{\"type\":\"invoke\",\"f\":\"write\",\"value\":{\"quorate-history\":1}}",
        "{\"type\":\"invoke\",\"f\":\"quorate-history\",\"value\":\"\\\"quorate-history\\\":\"}",
        "{\"type\":\"invoke\"}\n{\"quorate-history\":1}",
        "{\"type\":\"inv",
    ] {
        assert_eq!(format::detect(text.as_bytes()).unwrap(), Format::Json, "{text}");
    }
}
