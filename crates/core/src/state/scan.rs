//! What the SCAN family shares: cursors, options, pages.
//!
//! A cursor is the hash at which the next page begins, as a decimal number below 2^48; 0 begins and ends a scan. A page
//! never ends between two elements of equal hash, so an element that is there during the whole scan is in exactly one
//! page, whatever else comes and goes, and whichever replica serves which page.

use super::cells::cursor_after;
use super::failure::{Failure, INVALID_CURSOR, NOT_AN_INTEGER, SYNTAX};
use super::layout::HASHES;
use super::number;
use super::pattern;
use crate::operation::Value;
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;

/// The options of a scan.
pub struct Options<'a> {
    /// Elements looked at in one page.
    pub count: usize,
    pub pattern: Option<&'a Bytes>,
    /// Name of the type that keys must have.
    pub kind: Option<&'a Bytes>,
}

/// The hash at which a page begins.
pub fn cursor(word: &[u8]) -> Result<u64, Failure> {
    if word.is_empty() || word.len() > 20 || !word.iter().all(u8::is_ascii_digit) {
        return Err(INVALID_CURSOR);
    }
    let number = word.iter().fold(0u128, |sum, digit| sum * 10 + u128::from(digit - b'0'));
    let number = u64::try_from(number).map_err(|_| INVALID_CURSOR)?;
    Ok(number.min(HASHES - 1))
}

impl<'a> Options<'a> {
    /// Reads options; only a scan over keys may ask for a type.
    pub fn parse(words: &'a [Bytes], over_keys: bool) -> Result<Options<'a>, Failure> {
        let mut options = Options { count: 10, pattern: None, kind: None };
        for pair in words.chunks(2) {
            let [option, value] = pair else { return Err(SYNTAX) };
            let is = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
            if is("COUNT") {
                let count = number::integer(value).ok_or(NOT_AN_INTEGER)?;
                options.count = usize::try_from(count).ok().filter(|count| *count > 0).ok_or(SYNTAX)?;
            } else if is("MATCH") {
                options.pattern = Some(value);
            } else if is("TYPE") && over_keys {
                options.kind = Some(value);
            } else {
                return Err(SYNTAX);
            }
        }
        Ok(options)
    }
    /// Is this element asked for?
    pub fn asks_for(&self, element: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| pattern::matches(pattern, element))
    }
}

/// A page in the making.
pub struct Page {
    left: usize,
    last: Option<u64>,
    cursor: u64,
    pub items: Vec<Value>,
}

impl Page {
    pub fn new(count: usize) -> Page {
        Page { left: count, last: None, cursor: 0, items: Vec::new() }
    }
    /// May an element with this hash still be looked at? If not, the page is complete.
    pub fn takes(&mut self, hash: u64) -> bool {
        if self.left == 0 && self.last != Some(hash) {
            // Not the hash of this element, which may be gone by then, but what follows the last one told.
            self.cursor = self.last.map_or(hash, cursor_after);
            return false;
        }
        self.left = self.left.saturating_sub(1);
        self.last = Some(hash);
        true
    }
    pub fn reply(self) -> Value {
        let cursor = number::text(self.cursor as i64);
        Value::Array(vec![Value::Bulk(cursor), Value::Array(self.items)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_never_ends_between_equal_hashes() {
        let mut page = Page::new(2);
        assert!([3, 7, 7, 7].into_iter().all(|hash| page.takes(hash)));
        assert!(!page.takes(9));
        assert_eq!(page.cursor, 8);
    }

    #[test]
    fn cursors_are_plain_numbers() {
        assert_eq!(cursor(b"0"), Ok(0));
        assert_eq!(cursor(b"18446744073709551615"), Ok(HASHES - 1));
        for bad in ["", "x", "-1", "+1", " 1", "18446744073709551616", "999999999999999999999"] {
            assert_eq!(cursor(bad.as_bytes()), Err(INVALID_CURSOR), "{bad}");
        }
    }
}
