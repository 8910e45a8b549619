//! A picture shows all of a witness: every operation with its values, every edge, every disturbance, in order and apart.

mod brute_linear;
mod made;

use brute_linear::{Kind, Random, print, simulate};
use made::transactions;
use quorate_check::witness::svg;
use quorate_check::{
    Band, Budget, History, Id, Meter, Model, Object, Outcome, Recorder, Step, Verdict, Witness, check,
};

/// Labels are cut behind so many letters.
const LABEL_MAX: usize = 44;

/// A bar in the picture.
#[derive(Debug)]
struct Bar {
    number: usize,
    from: i64,
    to: i64,
    top: i64,
    label: String,
    label_from: i64,
}

/// The value of an attribute in a tag.
fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let start = tag.find(&format!(" {name}=\""))? + name.len() + 3;
    Some(&tag[start..start + tag[start..].find('"')?])
}

fn number(tag: &str, name: &str) -> i64 {
    attribute(tag, name).and_then(|text| text.parse().ok()).unwrap_or(i64::MIN)
}

/// All tags of this name: the tag, and the text behind it.
fn tags<'a>(svg: &'a str, name: &str) -> Vec<(&'a str, &'a str)> {
    let opens = format!("<{name} ");
    let parts = svg.split(opens.as_str()).skip(1);
    parts
        .filter_map(|part| {
            let end = part.find('>')?;
            let text = &part[end + 1..];
            Some((&part[..end], &text[..text.find('<').unwrap_or(text.len())]))
        })
        .map(|(tag, text)| {
            let start = tag.as_ptr() as usize - svg.as_ptr() as usize - 1;
            (&svg[start..start + tag.len() + 1], text)
        })
        .collect()
}

fn plain(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

fn bars(svg: &str) -> Vec<Bar> {
    let groups = svg.split("<g ").skip(1).filter_map(|part| Some(&part[..part.find("</g>")?]));
    groups
        .filter_map(|group| {
            let (rect, _) = *tags(group, "rect").first()?;
            let (text, label) = *tags(group, "text").first()?;
            let from = number(rect, "x");
            Some(Bar {
                number: attribute(&format!(" {group}"), "data-n")?.parse().ok()?,
                from,
                to: from + number(rect, "width"),
                top: number(rect, "y"),
                label: plain(label),
                label_from: number(text, "x"),
            })
        })
        .collect()
}

/// What the picture does not show, or shows wrongly.
fn faults(svg: &str, history: &History, witness: &Witness) -> Vec<String> {
    let mut faults = Vec::new();
    let bars = bars(svg);
    if bars.iter().map(|bar| bar.number).ne(1..=witness.operations.len()) {
        faults.push(format!("bars {:?}", bars.iter().map(|bar| bar.number).collect::<Vec<usize>>()));
        return faults;
    }
    for (bar, &id) in bars.iter().zip(&witness.operations) {
        let said = history.describe(id);
        let cut: String = said.chars().take(LABEL_MAX - 1).collect();
        if bar.label != said && !(said.chars().count() > LABEL_MAX && bar.label == format!("{cut}…")) {
            faults.push(format!("{:?} is not {said:?}", bar.label));
        }
    }
    // In time of all, or at least within each session.
    let before = |a: Id, b: Id| {
        let (one, other) = (history.operation(a), history.operation(b));
        if history.has_real_time() { one.precedes(other) } else { one.session == other.session && a < b }
    };
    for (one, &a) in bars.iter().zip(&witness.operations) {
        for (other, &b) in bars.iter().zip(&witness.operations) {
            let session = history.operation(a).session == history.operation(b).session;
            if session != (one.top == other.top) {
                faults.push(format!("lanes of {} and {}", one.number, other.number));
            }
            if before(a, b) && one.to >= other.from {
                faults.push(format!("{} touches {}", one.number, other.number));
            }
            let open = history.operation(a).outcome == Outcome::Unknown && history.has_real_time();
            let later = history.operation(a).begin < history.operation(b).begin;
            let label_to = one.label_from + 8 * one.label.chars().count() as i64;
            if session && open && later && label_to > other.from {
                faults.push(format!("{} lies over the label of {}", other.number, one.number));
            }
        }
        if one.label_from < one.from || one.label_from + 8 * one.label.chars().count() as i64 > one.to {
            faults.push(format!("the label of {} does not fit", one.number));
        }
    }
    let texts = tags(svg, "text");
    let words: Vec<&str> =
        texts.iter().filter(|(tag, _)| attribute(tag, "class") == Some("e")).map(|(_, word)| *word).collect();
    if words != witness.edges.iter().map(|edge| edge.why.word()).collect::<Vec<&str>>() {
        faults.push(format!("edges {words:?}"));
    }
    // A line and a head for each.
    if tags(svg, "path").len() != 2 * witness.edges.len() {
        faults.push("arrows".to_string());
    }
    let moments = witness.operations.iter().map(|&id| history.operation(id));
    let (first, last) = moments.fold((u64::MAX, 0), |(first, last), operation| {
        let end = if operation.end == u64::MAX { operation.begin } else { operation.end };
        (first.min(operation.begin), last.max(end))
    });
    let during: Vec<&Band> = history.bands().iter().filter(|band| band.from <= last && band.to >= first).collect();
    let rects = tags(svg, "rect");
    let stripes = rects.iter().filter(|(tag, _)| tag.contains("--stripe")).count();
    let named = |band: &&Band| texts.iter().any(|(_, text)| plain(text) == band.what);
    if history.has_real_time() && (stripes != during.len() || !during.iter().all(named)) {
        faults.push(format!("{stripes} stripes for {during:?}"));
    }
    faults
}

/// Reads and writes of one register by sessions that do one thing at a time, while the system is disturbed.
fn disturbed(random: &mut Random) -> History {
    let mut recorder = Recorder::new(Object::Register);
    let key = recorder.key(&"a<b".into());
    let mut free = [0; 3];
    for at in 0..7 {
        let session = random.below(3);
        let begin = free[session as usize] + random.below(4);
        let end = begin + random.below(6);
        free[session as usize] = end + 1;
        let name = recorder.session(&format!("client {session} & co").as_str().into());
        let value = recorder.value(&(1 + random.below(4) as i64).into());
        let step = match at % 2 {
            0 => Step::Write { key, value },
            _ => Step::Read { key, value: Some(value) },
        };
        let ticket = recorder.begin(name, begin, 0, &[step]);
        if !random.percent(15) {
            recorder.end(ticket, end, &[step]);
        }
    }
    for what in ["kill \"n1\"", "partition <n2>"] {
        let from = random.below(20);
        recorder.band(Band { what: what.to_string(), from, to: from + random.below(10) });
    }
    recorder.finish()
}

/// All pictures of some random histories, with what they are of.
fn pictures(visit: &mut dyn FnMut(&str, &History, &Witness)) -> u32 {
    let mut random = Random(0x91C7);
    let mut count = 0;
    for round in 0..1_200 {
        let history = match round % 6 {
            0 | 1 => disturbed(&mut random),
            2 => transactions(Object::ListAppend, &mut random),
            3 => transactions(Object::RwRegister, &mut random),
            4 => simulate(Kind::new(Object::CasRegister), &mut random),
            _ => simulate(Kind::new(Object::Queue), &mut random),
        };
        for model in Model::ALL.into_iter().filter(|model| model.applies_to(history.object())) {
            let verdict = check(&history, model, &mut Meter::new(Budget::DEFAULT)).expect("it applies");
            if let Verdict::Invalid(witness) = verdict {
                visit(&svg(&history, model, &witness), &history, &witness);
                count += 1;
            }
        }
    }
    count
}

#[test]
fn a_picture_shows_all_of_a_witness() {
    let count = pictures(&mut |svg, history, witness| {
        let faults = faults(svg, history, witness);
        assert!(faults.is_empty(), "{faults:?} {witness:?}\n{}\n{svg}", print(history));
    });
    assert!(count > 1_000, "only {count} pictures");
}

/// The picture without the first of these, or with something else in its place.
fn changed(svg: &str, from: &str, to: &str, instead: &str) -> Option<String> {
    let start = svg.find(from)?;
    let end = start + svg[start..].find(to)? + to.len();
    Some(format!("{}{instead}{}", &svg[..start], &svg[end..]))
}

#[test]
fn every_broken_picture_is_noticed() {
    let broken = [
        ("an operation is missing", "<g ", "</g>", ""),
        ("an arrow is missing", "<path ", "/>", ""),
        ("the reason of an arrow is missing", "<text class=\"e\"", "</text>", ""),
        ("a disturbance is missing", "fill=\"var(--stripe)\"", "/>", "/>"),
        ("a value is missing", "→ ", "</text>", "</text>"),
        ("a bar is too long", " width=\"", "\" height=\"28\"", " width=\"9999\" height=\"28\""),
        ("a bar is too short", " width=\"", "\" height=\"28\"", " width=\"9\" height=\"28\""),
    ];
    let mut noticed = [0; 7];
    pictures(&mut |svg, history, witness| {
        let start = svg.find("</style>").expect("it has a style");
        let (head, body) = svg.split_at(start);
        for (at, (name, from, to, instead)) in broken.into_iter().enumerate() {
            let from = if from == " width=\"" { "<g " } else { from };
            let instead = match at {
                5 | 6 => {
                    let Some(x) = body.find("<g ").and_then(|at| attribute(&body[at..], "x")) else { continue };
                    let y = attribute(&body[body.find("<g ").expect("it has one")..], "y").expect("it has a place");
                    format!("<g class=\"o\" data-n=\"1\"><rect x=\"{x}\" y=\"{y}\"{instead}")
                }
                _ => instead.to_string(),
            };
            let Some(wrong) = changed(body, from, to, &instead) else { continue };
            let faults = faults(&format!("{head}{wrong}"), history, witness);
            // One long bar alone touches nobody.
            assert!(!faults.is_empty() || at == 5, "nobody noticed that {name}:\n{svg}");
            noticed[at] += u32::from(!faults.is_empty());
        }
    });
    assert!(noticed.iter().all(|&count| count > 20), "{noticed:?}");
}
