//! A history in a few lines: `a: w x 1 @1-2 | r x 2 @3-5`.
//!
//! The first line names the object. Every other line is a session and its operations between bars; an operation has its
//! steps between commas, then `@begin-end` if time matters, then `!` if it was refused.

use crate::{Datum, History, Object, Recorder, Step, Ticket};

/// Reads it; says what is wrong.
pub(super) fn read(text: &str) -> Result<History, String> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let object = lines.next().and_then(|word| Object::of_word(word.trim())).ok_or("the first line names no object")?;
    let mut recorder = Recorder::new(object);
    if !text.contains('@') {
        recorder.without_real_time();
    }
    let mut moment = 1;
    for line in lines {
        let (session, operations) = line.split_once(':').ok_or_else(|| format!("no session: {line}"))?;
        let session = recorder.session(&Datum::text(session.trim()));
        for operation in operations.split('|') {
            let (operation, refused) = match operation.trim().strip_suffix('!') {
                Some(operation) => (operation.trim(), true),
                None => (operation.trim(), false),
            };
            let (steps, (begin, end)) = match interval(operation) {
                Some((steps, interval)) => (steps, interval),
                None => (operation, (moment, moment + 1)),
            };
            moment += 2;
            let steps: Vec<Step> = steps.split(',').map(|one| step(&mut recorder, one)).collect::<Result<_, _>>()?;
            let ticket: Ticket = recorder.begin(session, begin, 0, &steps);
            if refused { recorder.refuse(ticket, end) } else { recorder.end(ticket, end, &steps) }
        }
    }
    Ok(recorder.finish())
}

/// What stands before `@begin-end`, and the two moments.
fn interval(operation: &str) -> Option<(&str, (u64, u64))> {
    let (steps, moments) = operation.rsplit_once(" @")?;
    let (begin, end) = moments.trim().split_once('-')?;
    Some((steps, (begin.parse().ok()?, end.parse().ok()?)))
}

fn step(recorder: &mut Recorder, text: &str) -> Result<Step, String> {
    let text = text.trim();
    let wrong = || format!("not a step: {text}");
    let (words, list) = match text.split_once('[') {
        Some((words, list)) => (words, Some(list.trim_end_matches(']'))),
        None => (text, None),
    };
    let words: Vec<&str> = words.split_whitespace().collect();
    let key = recorder.key(&Datum::text(words.get(1).ok_or_else(wrong)?));
    let number = |at: usize| words.get(at).and_then(|word| word.parse::<i64>().ok());
    if let (Some(list), "r") = (list, words[0]) {
        let values: Vec<_> = list.split_whitespace().map(|word| recorder.value(&datum(word))).collect();
        return Ok(Step::ReadList { key, list: Some(recorder.list(&values)) });
    }
    let value = words.get(2).map(|word| recorder.value(&datum(word)));
    Ok(match (words[0], value) {
        ("r", Some(value)) => Step::Read { key, value: Some(value) },
        ("w", Some(value)) => Step::Write { key, value },
        ("a", Some(value)) => Step::Append { key, value },
        ("insert", Some(value)) => Step::Insert { key, value },
        ("remove", Some(value)) => Step::Remove { key, value },
        ("has", Some(value)) => Step::Contains { key, value, there: Some(true) },
        ("lacks", Some(value)) => Step::Contains { key, value, there: Some(false) },
        ("take", Some(value)) => Step::Take { key, value: Some(value) },
        ("add", Some(_)) => Step::Add { key, by: number(2).ok_or_else(wrong)? },
        ("count", Some(_)) => Step::Count { key, number: number(2) },
        ("acquire", _) => Step::Acquire { key, token: number(2) },
        ("guarded", Some(_)) => Step::Guarded { key, token: number(2).ok_or_else(wrong)? },
        ("release", _) => Step::Release { key, token: number(2) },
        ("cas", Some(from)) => {
            let to = recorder.value(&datum(words.get(3).ok_or_else(wrong)?));
            Step::Cas { key, from, to, took: Some(words.get(4) == Some(&"yes")) }
        }
        _ => return Err(wrong()),
    })
}

fn datum(word: &str) -> Datum {
    match word.parse() {
        Ok(number) => Datum::Integer(number),
        Err(_) if word == "nil" => Datum::Nil,
        Err(_) => Datum::text(word),
    }
}
