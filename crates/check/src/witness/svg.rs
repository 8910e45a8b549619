//! A witness as a space-time picture in SVG: sessions are lanes, operations are bars from call to answer, arrows are the
//! offending order, stripes are what was done to the system meanwhile.

use super::layout::{Bar, Layout, layout};
use crate::{Edge, History, Model, Why, Witness};
use std::cmp::Ordering;
use std::fmt::Write;

const LETTER: usize = 8;
const LANE: usize = 88;
const BAR: usize = 28;
const HEAD: usize = 86;
const FOOT: usize = 40;
const RIGHT: usize = 28;

/// Colours of the picture in light and dark surroundings, as a style sheet.
pub(super) const STYLE: &str = "\
.w{--ink:#1c2330;--soft:#5b6577;--paper:#ffffff;--line:#d5dbe5;--bar:#e8eefb;--edge:#3f6ad8;--open:#fff3dc;--stripe:#f3d9d9;--bad:#c62828;\
--session:#5b6577;--time:#8e24aa;--wr:#2e7d32;--ww:#c77700;--rw:#c62828;--forced:#3f6ad8}\
@media (prefers-color-scheme:dark){.w{--ink:#e8ecf4;--soft:#9aa5b8;--paper:#12161f;--line:#2c3444;--bar:#22304e;--edge:#7fa2ff;--open:#43371d;\
--stripe:#43262a;--bad:#ff7b72;--session:#9aa5b8;--time:#ce93d8;--wr:#81c784;--ww:#ffb74d;--rw:#ff7b72;--forced:#7fa2ff}}\
.w text{font:13px ui-monospace,Menlo,Consolas,monospace;fill:var(--ink)}.w .t{font:600 16px system-ui,sans-serif}\
.w .s{font:13px system-ui,sans-serif;fill:var(--soft)}.w .n{font-size:11px;fill:var(--soft)}.w .e{font-size:11px;stroke:var(--paper);stroke-width:4px;paint-order:stroke}";

/// The picture of a witness.
pub fn svg(history: &History, model: Model, witness: &Witness) -> String {
    let layout = layout(history, witness);
    let names: Vec<String> = layout.lanes.iter().map(|&lane| history.session(lane).to_string()).collect();
    let left = 24 + LETTER * names.iter().map(|name| name.chars().count()).max().unwrap_or(0) + 16;
    let title = format!("{} breaks {}", witness.anomaly.word(), model);
    let meaning = witness.anomaly.meaning();
    let way = if history.has_real_time() {
        "Time flows to the right, not to scale; a bar lasts from call to answer."
    } else {
        "Only the order within each session is known."
    };
    let words = (title.chars().count() * 9).max(meaning.chars().count() * 7).max(way.chars().count() * 7) + 48;
    let width = (left + layout.width * LETTER + RIGHT).max(words).max(420);
    let height = HEAD + layout.lanes.len() * LANE + FOOT;
    let mut out = String::new();
    let mut put = |text: String| out.push_str(&text);
    put(format!(
        "<svg class=\"w\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">\n\
         <title>{}</title>\n<style>{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"var(--paper)\"/>\n",
        escape(&title)
    ));
    put(format!("<text class=\"t\" x=\"24\" y=\"32\">{}</text>\n", escape(&title)));
    put(format!("<text class=\"s\" x=\"24\" y=\"54\">{}</text>\n", escape(meaning)));
    let bottom = HEAD + layout.lanes.len() * LANE;
    for stripe in &layout.stripes {
        let (x, wide) = (left + stripe.from * LETTER, (stripe.to.saturating_sub(stripe.from)).max(1) * LETTER);
        put(format!(
            "<rect x=\"{x}\" y=\"{top}\" width=\"{wide}\" height=\"{high}\" fill=\"var(--stripe)\"/>\n\
             <text class=\"n\" x=\"{tx}\" y=\"{ty}\">{what}</text>\n",
            top = HEAD - 14,
            high = bottom - HEAD + 14,
            tx = x + 4,
            ty = HEAD - 3,
            what = escape(&stripe.what)
        ));
    }
    for (lane, name) in names.iter().enumerate() {
        let y = HEAD + lane * LANE + LANE / 2;
        put(format!(
            "<text x=\"24\" y=\"{}\">{}</text>\n<line x1=\"{left}\" y1=\"{y}\" x2=\"{}\" y2=\"{y}\" stroke=\"var(--line)\"/>\n",
            y + 4,
            escape(name),
            width - RIGHT / 2
        ));
    }
    layout.bars.iter().for_each(|bar| put(draw_bar(bar, left, layout.width)));
    put(draw_edges(&layout, &witness.edges, left));
    put(format!("<text class=\"s\" x=\"24\" y=\"{}\">{way}</text>\n</svg>\n", height - 14));
    out
}

fn middle(lane: usize) -> usize {
    HEAD + lane * LANE + LANE / 2
}

fn draw_bar(bar: &Bar, left: usize, width: usize) -> String {
    let x = left + bar.from * LETTER;
    let to = bar.to.unwrap_or(width);
    let wide = ((to.saturating_sub(bar.from)).max(1)) * LETTER;
    let y = middle(bar.lane) - BAR / 2;
    let (fill, dash) = if bar.to.is_some() { ("--bar", "") } else { ("--open", " stroke-dasharray=\"5 4\"") };
    format!(
        "<g class=\"o\" data-n=\"{n}\"><rect x=\"{x}\" y=\"{y}\" width=\"{wide}\" height=\"{BAR}\" rx=\"6\" fill=\"var({fill})\" stroke=\"var({stroke})\" stroke-width=\"{weight}\"{dash}/>\
         <text x=\"{tx}\" y=\"{ty}\">{label}</text><text class=\"n\" x=\"{x}\" y=\"{ny}\">{n}</text></g>\n",
        stroke = if bar.bad { "--bad" } else { "--edge" },
        weight = if bar.bad { 2 } else { 1 },
        n = bar.number,
        tx = x + 2 * LETTER,
        ty = y + BAR / 2 + 4,
        ny = y - 4,
        label = escape(&bar.label)
    )
}

/// The colour of an edge, and the word beside it.
fn look(why: Why) -> &'static str {
    match why {
        Why::Session => "--session",
        Why::RealTime => "--time",
        Why::ReadsFrom(_) => "--wr",
        Why::Overwrites(_) => "--ww",
        Why::Overtaken(_) => "--rw",
        Why::Forced(_) => "--forced",
    }
}

/// Where an edge touches a bar: those of one bar share its width, in the order of their other ends.
fn port(layout: &Layout, edges: &[Edge], at: usize, outgoing: bool) -> Option<(isize, isize)> {
    let find = |id| layout.bars.iter().find(|bar| bar.id == id);
    let here = find(if outgoing { edges[at].from } else { edges[at].to })?;
    let span = |bar: &Bar| (bar.from, bar.to.unwrap_or(layout.width));
    let other = |edge: &Edge| find(if edge.from == here.id { edge.to } else { edge.from });
    let touching = edges.iter().enumerate().filter(|(_, edge)| edge.from == here.id || edge.to == here.id);
    let mut touching: Vec<(usize, usize)> =
        touching.filter_map(|(place, edge)| Some((span(other(edge)?).0 + span(other(edge)?).1, place))).collect();
    touching.sort_unstable();
    let rank = touching.iter().position(|&(_, place)| place == at)?;
    let (from, to) = span(here);
    let x = from * LETTER + (to - from) * LETTER * (rank + 1) / (touching.len() + 1);
    Some((x as isize, middle(here.lane) as isize))
}

fn draw_edges(layout: &Layout, edges: &[Edge], left: usize) -> String {
    let mut out = String::new();
    let half = BAR as isize / 2 + 1;
    for (at, edge) in edges.iter().enumerate() {
        let (Some(from), Some(to)) = (port(layout, edges, at, true), port(layout, edges, at, false)) else { continue };
        let ((x1, y1), (x2, y2)) = ((from.0 + left as isize, from.1), (to.0 + left as isize, to.1));
        let lanes_between = (y1 - y2).abs() / LANE as isize;
        let backward = x1 > x2;
        // Forward edges within a lane run above the bars, backward ones below, so that the halves of a circle part;
        // edges over several lanes bow out so that they pass beside the bars between.
        let bow = if lanes_between > 1 { 90 } else { 14 } * if backward { 1 } else { -1 };
        let (sy, ey, bend) = match (y1.cmp(&y2), backward) {
            (Ordering::Equal, false) => (y1 - half, y2 - half, -44),
            (Ordering::Equal, true) => (y1 + half, y2 + half, 44),
            (Ordering::Less, _) => (y1 + half, y2 - half, 0),
            (Ordering::Greater, _) => (y1 - half, y2 + half, 0),
        };
        let (cx, cy) = ((x1 + x2) / 2 + if bend == 0 { bow } else { 0 }, (sy + ey) / 2 + bend);
        let colour = look(edge.why);
        // The word stands at a third of the way from the begin: the middles of crossing edges coincide.
        let (tx, ty) = ((4 * x1 + 4 * cx + x2) / 9, (4 * sy + 4 * cy + ey) / 9 + 4);
        writeln!(
            out,
            "<path d=\"M{x1} {sy} Q{cx} {cy} {x2} {ey}\" fill=\"none\" stroke=\"var({colour})\" stroke-width=\"2\"/>{head}\
             <text class=\"e\" x=\"{tx}\" y=\"{ty}\" text-anchor=\"middle\" style=\"fill:var({colour})\">{word}</text>",
            head = arrow_head((cx, cy), (x2, ey), colour),
            word = edge.why.word()
        )
        .expect("a string takes it");
    }
    out
}

/// A small triangle at the end of a curve, in whole numbers so that the picture is the same everywhere.
fn arrow_head((cx, cy): (isize, isize), (x, y): (isize, isize), colour: &str) -> String {
    let (dx, dy) = (x - cx, y - cy);
    let length = ((dx * dx + dy * dy) as u64).isqrt().max(1) as isize;
    let (bx, by) = (x - dx * 9 / length, y - dy * 9 / length);
    let (px, py) = (-dy * 4 / length, dx * 4 / length);
    format!("<path d=\"M{x} {y} L{} {} L{} {} Z\" fill=\"var({colour})\"/>", bx + px, by + py, bx - px, by - py)
}

/// Text that is safe inside of SVG and HTML.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
