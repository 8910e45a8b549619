//! Colour, only where a person looks: on a terminal, and not when `NO_COLOR` is set.

use std::io::IsTerminal;

/// Is colour wanted on a stream that is (or is not) a terminal?
fn wanted(terminal: bool) -> bool {
    terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn paint(on: bool, code: &str, text: &str) -> String {
    if on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// For the word that opens an error on standard error.
pub fn error(text: &str) -> String {
    paint(wanted(std::io::stderr().is_terminal()), "1;31", text)
}
/// For what is as it should be, on standard output.
pub fn good(text: &str) -> String {
    paint(wanted(std::io::stdout().is_terminal()), "32", text)
}
/// For what wants attention, on standard output.
pub fn bad(text: &str) -> String {
    paint(wanted(std::io::stdout().is_terminal()), "31", text)
}
/// For what is beside the point, on standard output.
pub fn dim(text: &str) -> String {
    paint(wanted(std::io::stdout().is_terminal()), "2", text)
}
/// For headings and for what to type, on standard output.
pub fn bold(text: &str) -> String {
    paint(wanted(std::io::stdout().is_terminal()), "1", text)
}

/// Rows in columns, the first row the heading. The last cell of a row that is shorter than others may run on.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let counts = |row: &&Vec<String>, at: usize| at + 1 < row.len() || row.len() == columns;
    let width = |at: usize| {
        rows.iter().filter(|row| counts(row, at)).filter_map(|row| row.get(at)).map(|cell| plain_width(cell)).max()
    };
    let widths: Vec<usize> = (0..columns).map(|at| width(at).unwrap_or(0)).collect();
    let mut out = String::new();
    for (index, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(plain_width(cell)) + 2));
        }
        let line = line.trim_end();
        out.push_str(&if index == 0 { dim(line) } else { line.to_owned() });
        out.push('\n');
    }
    out
}

/// Characters that take room: what stands between ESC and `m` does not.
fn plain_width(cell: &str) -> usize {
    let mut escaped = false;
    let visible = |c: &char| {
        let hidden = escaped || *c == '\x1b';
        escaped = hidden && *c != 'm';
        !hidden
    };
    cell.chars().filter(visible).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_the_colours() {
        let coloured = paint(true, "32", "ab");
        assert_eq!(plain_width(&coloured), 2);
        let rows = vec![vec!["node".into(), "role".into()], vec![coloured.clone(), "leader".into()]];
        assert_eq!(table(&rows).lines().nth(1), Some(format!("{coloured}    leader").as_str()));
    }
}
