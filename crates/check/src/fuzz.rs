//! Bytes from strangers against the readers: a target that must not panic.

use crate::format::{self, Format, Options};

/// Reads the bytes as every format, and as the one that they look like. What can be read is written and read again, and
/// must then be written the same.
pub fn fuzz_formats(data: &[u8]) {
    let formats = Format::ALL.into_iter().map(Some).chain([None]);
    for format in formats {
        let Ok(history) = format::read(data, &Options { format, ..Options::default() }) else { continue };
        let written = quorate(&history);
        let again = format::read(&written[..], &Options { format: Some(Format::Quorate), ..Options::default() });
        let again = again.unwrap_or_else(|problem| panic!("what was written cannot be read: {problem}"));
        assert_eq!(history.len(), again.len(), "no operation is lost");
        assert!(quorate(&again) == written, "what was read again is written the same");
    }
}

fn quorate(history: &crate::History) -> Vec<u8> {
    let mut out = Vec::new();
    format::write(history, &mut out).expect("memory can be written");
    out
}
