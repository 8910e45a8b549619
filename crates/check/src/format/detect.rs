//! Which format a file has, from its content.

use super::source::Source;
use super::{Format, Problem};
use std::io::Read;

/// How many bytes of the beginning are looked at.
pub(super) const BEGINNING: usize = 64 * 1024;

/// The mark that some editors put before UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Takes the mark, if there is one.
pub(super) fn skip_mark<R: Read>(source: &mut Source<R>) {
    if source.beginning(MARK.len()).starts_with(MARK) {
        for _ in MARK {
            source.next();
        }
    }
}

/// Can a file that looks like the one format be meant as the other?
pub(super) fn fits(looks: Format, meant: Format) -> bool {
    let edn = [Format::JepsenEdn, Format::PorcupineKv];
    looks == meant || (edn.contains(&looks) && edn.contains(&meant))
}

/// The format of a file that begins like this; some kilobytes are enough.
///
/// # Errors
/// If it is none.
pub fn detect(beginning: &[u8]) -> Result<Format, Problem> {
    let text = beginning.strip_prefix(MARK).unwrap_or(beginning);
    if text.starts_with(b"\x1f\x8b") || text.starts_with(b"\x28\xb5\x2f\xfd") || text.starts_with(b"PK\x03\x04") {
        return Err(Problem::at(1, "the file is compressed; unpack it first"));
    }
    if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") {
        return Err(Problem::at(1, "the file is UTF-16; UTF-8 is needed"));
    }
    let rest = skip(text);
    let line = 1 + text[..text.len() - rest.len()].iter().filter(|&&byte| byte == b'\n').count() as u32;
    let first = rest.split(|&byte| byte == b'\n').next().unwrap_or_default().trim_ascii();
    let inner = skip(rest.get(1..).unwrap_or_default());
    match first {
        [] => Err(Problem::at(line, "there is no operation in the file")),
        [b'r' | b'w', b'(', ..] => Ok(Format::Plume),
        [b'r' | b'w', b' ' | b'\t', ..] => Ok(Format::Awdit),
        _ if first.iter().all(|byte| *byte == b'-') || first.iter().all(|byte| *byte == b'=') => Ok(Format::Awdit),
        [b'{', ..] => Ok(of_map(inner)),
        [b'(' | b'#', ..] => Ok(Format::JepsenEdn),
        [b'[', ..] if inner.starts_with(b"{") => Ok(of_map(skip(&inner[1..]))),
        [b'[', ..] if matches!(inner, [b'#' | b']', ..] | []) => Ok(Format::JepsenEdn),
        _ if is_log(first) || rest.split(|&byte| byte == b'\n').take(200).any(is_row) => Ok(Format::JepsenLog),
        _ => Err(unknown(line, first)),
    }
}

fn unknown(line: u32, first: &[u8]) -> Problem {
    let shown: String = String::from_utf8_lossy(first).chars().take(60).collect();
    Problem::at(line, format!("this is none of the known formats: {shown:?}"))
}

/// Behind white space and comments of EDN.
fn skip(mut text: &[u8]) -> &[u8] {
    loop {
        text = text.trim_ascii_start();
        text = match text {
            [b',', rest @ ..] => rest,
            [b';', ..] => &text[text.iter().position(|&byte| byte == b'\n').unwrap_or(text.len())..],
            _ => return text,
        };
    }
}

/// The format of the inner of the first map.
fn of_map(inner: &[u8]) -> Format {
    if inner.starts_with(b"\"") {
        return if is_header(inner) { Format::Quorate } else { Format::Json };
    }
    let end = inner.iter().position(|&byte| byte == b'}').unwrap_or(inner.len());
    let has = |name: &[u8]| {
        inner[..end]
            .windows(name.len() + 1)
            .any(|window| window.starts_with(name) && b" ,\t".contains(&window[name.len()]))
    };
    let stores = has(b":key") && (has(b":get") || has(b":put") || has(b":append"));
    if stores { Format::PorcupineKv } else { Format::JepsenEdn }
}

/// Is it the inner of our own header, in whatever order its fields stand? What many keys hold at first may be longer than
/// the beginning that is known; no operation has a field of that name.
fn is_header(inner: &[u8]) -> bool {
    let (mut depth, mut at, mut initials) = (0, 0, false);
    while let Some(&byte) = inner.get(at) {
        at += 1;
        match byte {
            b'"' => {
                let text = &inner[at..];
                let mut end = 0;
                while text.get(end).is_some_and(|&byte| byte != b'"') {
                    end += if text[end] == b'\\' { 2 } else { 1 };
                }
                let Some(behind) = text.get(end + 1..) else { break };
                if depth == 0 && behind.trim_ascii_start().starts_with(b":") {
                    match &text[..end] {
                        b"quorate-history" => return true,
                        b"initials" => initials = true,
                        _ => {}
                    }
                }
                at += end + 1;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return false,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
    }
    initials
}

fn is_log(first: &[u8]) -> bool {
    [&b"INFO "[..], b"WARN ", b"ERROR ", b"DEBUG "].iter().any(|level| first.starts_with(level))
}

/// Is it a row of Jepsen's log?
pub(super) fn is_row(line: &[u8]) -> bool {
    row_type(line).is_some()
}

/// Where the type of a row begins: behind a tab, and with a tab behind it.
pub(super) fn row_type(line: &[u8]) -> Option<usize> {
    let kinds = [&b"\t:invoke\t"[..], b"\t:ok\t", b"\t:fail\t", b"\t:info\t"];
    let tabs = line.iter().enumerate().filter(|(_, byte)| **byte == b'\t');
    tabs.map(|(at, _)| at).find(|&at| kinds.iter().any(|kind| line[at..].starts_with(kind))).map(|at| at + 1)
}
