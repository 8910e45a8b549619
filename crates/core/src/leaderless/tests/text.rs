//! Texts that several nodes write at once.

use super::*;
use crate::limits::TEXT_UPDATES;
use alloc::string::ToString;

fn insert(net: &mut Net, node: u16, position: usize, text: &str) -> i64 {
    let words = alloc::format!("TEXT.INSERT k {position} {text}");
    match net.ask(node, with(1, 1), &mut Session::default(), &words) {
        Outcome::Done { value: Value::Int(length), .. } => length,
        other => panic!("{other:?}"),
    }
}

fn text(net: &mut Net, node: u16) -> String {
    match net.get(node, "GET k") {
        Value::Bulk(text) => String::from_utf8(text.to_vec()).expect("it is UTF-8"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn both_sides_of_a_cut_write_one_text() {
    let mut net = net(Kind::Text);
    net.done(1, "TEXT.INSERT k 0 the_end");
    net.isolate(3);
    assert_eq!(insert(&mut net, 1, 3, "_very"), 12);
    assert_eq!(insert(&mut net, 3, 7, "?!"), 9);
    let _ = net.ask(3, with(1, 1), &mut Session::default(), "TEXT.DELETE k 0 1");
    net.heal();
    net.pass(100);
    net.calm();
    for node in 1..=3 {
        assert_eq!(text(&mut net, node), "he_very_end?!");
        assert_eq!(net.get(node, "TEXT.LENGTH k"), Value::Int(13));
    }
}

/// Nodes that hear of each other now and then put together what each of them sees. Every word is there in the end, once.
#[test]
fn nothing_is_lost_when_several_put_a_text_together() {
    let mut net = net(Kind::Text);
    let mut random = Random::new(5);
    let count = 6 * TEXT_UPDATES;
    for at in 0..count {
        if random.below(40) == 0 {
            net.heal();
            net.isolate(1 + random.below(3) as u16);
        }
        // Behind a word of the same node, so that no word is cut in two.
        insert(&mut net, 1 + random.below(3) as u16, 0, &alloc::format!("w{at};"));
    }
    net.heal();
    net.compare();
    let whole = text(&mut net, 1);
    let mut words: Vec<&str> = whole.split_terminator(';').collect();
    words.sort_by_key(|word| word[1..].parse::<usize>().expect("it is a number"));
    let expected: Vec<String> = (0..count).map(|at| alloc::format!("w{at}")).collect();
    assert_eq!(words, expected);
    let AnyCell::Leaf(Leaf::Text(cell)) = net.state(1, b"k").cell else { panic!("it is a text") };
    assert!(cell.updates().count() < 3 * TEXT_UPDATES, "{} updates", cell.updates().count());
}

/// Else a removal could take the later and leave the earlier, and the units of the later would be named once more.
#[test]
fn an_edit_is_not_taken_without_what_it_builds_on() {
    let mut net = net(Kind::Text);
    net.isolate(3);
    insert(&mut net, 1, 0, "first");
    net.heal();
    insert(&mut net, 1, 5, "second");
    assert_eq!(net.state(1, b"k").cell, net.state(3, b"k").cell);
}

#[test]
fn what_is_no_edit_is_refused_before_it_begins() {
    let mut net = net(Kind::Text);
    net.done(1, "TEXT.UPDATE k \0\0");
    for words in [
        "TEXT.UPDATE k \0",
        "TEXT.UPDATE k",
        "TEXT.STATE k \u{1}",
        "TEXT.INSERT k x y",
        "TEXT.INSERT k -1 y",
        "TEXT.INSERT k 0 ",
        "TEXT.DELETE k 0 0",
        "TEXT.DELETE k 0",
        "SET k v",
    ] {
        assert!(net.begin(1, Want::default(), &Session::default(), words, None).is_none(), "{words}");
    }
    let failed = |net: &mut Net, words: &str| match net.get(1, words) {
        Value::Error(text) => String::from_utf8_lossy(&text).to_string(),
        other => panic!("{other:?}"),
    };
    let beyond = "ERR applied: no; the text ends before that: it has 0 UTF-16 units";
    assert_eq!(failed(&mut net, "TEXT.INSERT k 1 x"), beyond);
    assert_eq!(failed(&mut net, "TEXT.DELETE k 0 1"), beyond);
    assert_eq!(text(&mut net, 2), "");
    assert_eq!(net.get(2, "TEXT.LENGTH other"), Value::Int(0));
    assert_eq!(net.get(2, "GET other"), Value::Nil);
}
