//! Numbers in text: integers as strictly as Redis reads them, and decimals in exact arithmetic.
//!
//! INCRBYFLOAT and HINCRBYFLOAT add decimals digit by digit, so that 0.1 + 0.2 is 0.3 and every replica and platform
//! agrees. The sum is told with at most 17 decimals, without exponent and without trailing zeros, as Redis does; Redis
//! computes with 64 binary digits, so its sums of long numbers show noise where ours are exact.

use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

/// An integer in its only canonical form: no blanks, no plus, no leading zeros.
pub fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut sum: u64 = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        // Nineteen digits stay below 2^64.
        sum = sum * 10 + u64::from(digit - b'0');
    }
    if negative { 0i64.checked_sub_unsigned(sum) } else { i64::try_from(sum).ok() }
}

/// An integer as text.
pub fn text(number: i64) -> Bytes {
    Bytes::copy_from_slice(decimal(number, &mut [0; DECIMAL_BYTES]))
}

/// Bytes of the longest integer as text.
pub const DECIMAL_BYTES: usize = 20;

/// An integer as text, at the end of a buffer: the form that [`integer`] reads.
pub fn decimal(number: i64, digits: &mut [u8; DECIMAL_BYTES]) -> &[u8] {
    let mut at = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        at -= 1;
        digits[at] = b'-';
    }
    &digits[at..]
}

/// Decimals that a number keeps while it is added; further ones are cut off.
const KEPT: usize = 40;
/// Decimals that a sum is told with.
const TOLD: usize = 17;
/// The longest text that is read as a number.
const TEXT_BYTES: usize = 5 * 1024;
/// Digits before the point of the largest number: that of an 80-bit float.
const WHOLE_DIGITS: usize = 4932;

/// A decimal number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decimal {
    /// Sign, and digits from the least significant, in units of 10^-40.
    Finite { negative: bool, digits: Vec<u8> },
    /// It can be written, but no sum may have it.
    Infinite,
}

impl Decimal {
    /// Reads a number: sign, digits with a point, exponent; or infinity.
    pub fn parse(text: &[u8]) -> Option<Decimal> {
        if text.len() >= TEXT_BYTES {
            return None;
        }
        let (negative, rest) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        if rest.eq_ignore_ascii_case(b"inf") || rest.eq_ignore_ascii_case(b"infinity") {
            return Some(Decimal::Infinite);
        }
        let (mantissa, exponent) = match rest.iter().position(|byte| byte.eq_ignore_ascii_case(&b'e')) {
            Some(at) => (&rest[..at], exponent(&rest[at + 1..])?),
            None => (rest, 0),
        };
        let (whole, fraction) = match mantissa.iter().position(|byte| *byte == b'.') {
            Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
            None => (mantissa, &b""[..]),
        };
        let significant = || whole.iter().chain(fraction).copied();
        if whole.len() + fraction.len() == 0 || !significant().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let zeros = significant().take_while(|byte| *byte == b'0').count();
        if zeros == whole.len() + fraction.len() {
            return Some(Decimal::Finite { negative, digits: Vec::new() });
        }
        // The first digit that is not zero stands this many places before the point.
        let places = whole.len() as i64 - zeros as i64 + exponent;
        if places > WHOLE_DIGITS as i64 || places < -4950 {
            return None;
        }
        let length = places + KEPT as i64;
        let mut digits: Vec<u8> =
            significant().skip(zeros).map(|byte| byte - b'0').take(length.max(0) as usize).collect();
        digits.resize(length.max(0) as usize, 0);
        digits.reverse();
        Some(Decimal::Finite { negative, digits: trimmed(digits) })
    }

    /// The sum, if it is finite.
    pub fn plus(&self, other: &Decimal) -> Option<Decimal> {
        let (Decimal::Finite { negative, digits }, Decimal::Finite { negative: other_negative, digits: other_digits }) =
            (self, other)
        else {
            return None;
        };
        let (negative, digits) = if negative == other_negative {
            (*negative, sum(digits, other_digits))
        } else if is_less(digits, other_digits) {
            (*other_negative, difference(other_digits, digits))
        } else {
            (*negative, difference(digits, other_digits))
        };
        (digits.len() <= WHOLE_DIGITS + KEPT).then_some(Decimal::Finite { negative, digits })
    }

    /// The number as text, rounded to 17 decimals. Infinity has none.
    pub fn text(&self) -> Option<Bytes> {
        let Decimal::Finite { negative, digits } = self else { return None };
        let mut half = alloc::vec![0; KEPT - TOLD];
        half[KEPT - TOLD - 1] = 5;
        let rounded = sum(digits, &half);
        let told = rounded.get(KEPT - TOLD..).unwrap_or(&[]);
        let first = told.iter().position(|digit| *digit != 0).unwrap_or(told.len());
        let mut text = String::new();
        if *negative && first < told.len() {
            text.push('-');
        }
        let digit = |at: usize| char::from(b'0' + told.get(at).copied().unwrap_or(0));
        (TOLD..told.len().max(TOLD + 1)).rev().for_each(|at| text.push(digit(at)));
        if first < TOLD.min(told.len()) {
            text.push('.');
            (first..TOLD).rev().for_each(|at| text.push(digit(at)));
        }
        Some(Bytes::from(text.into_bytes()))
    }
}

/// The exponent of a number; one that no number can have is cut to one that none can have.
fn exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let size = digits.iter().fold(0i64, |sum, digit| (sum * 10 + i64::from(digit - b'0')).min(1_000_000));
    Some(if negative { -size } else { size })
}

fn trimmed(mut digits: Vec<u8>) -> Vec<u8> {
    while digits.last() == Some(&0) {
        digits.pop();
    }
    digits
}

fn is_less(a: &[u8], b: &[u8]) -> bool {
    (a.len(), a.iter().rev().collect::<Vec<_>>()) < (b.len(), b.iter().rev().collect::<Vec<_>>())
}

fn sum(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut carry = 0;
    let mut digits: Vec<u8> = (0..a.len().max(b.len()))
        .map(|at| {
            let total = a.get(at).unwrap_or(&0) + b.get(at).unwrap_or(&0) + carry;
            carry = total / 10;
            total % 10
        })
        .collect();
    digits.push(carry);
    trimmed(digits)
}

/// `a - b`, where `a` is not less.
fn difference(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut borrow = 0;
    let digits = (0..a.len())
        .map(|at| {
            let take = b.get(at).unwrap_or(&0) + borrow;
            borrow = u8::from(a[at] < take);
            a[at] + 10 * borrow - take
        })
        .collect();
    trimmed(digits)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_one_form() {
        for number in [0, 1, -1, 10, 907, i64::MAX, i64::MIN] {
            assert_eq!(integer(&text(number)), Some(number));
        }
        for bad in ["", "-", "+1", "01", "-0", " 1", "1 ", "9223372036854775808", "-9223372036854775809", "1a", "1e3"] {
            assert_eq!(integer(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(integer(b"99999999999999999999"), None);
    }

    #[test]
    fn decimals_add_exactly() {
        for (a, b, told) in [
            ("0.1", "0.2", "0.3"),
            ("10.50", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("3000", "0.1", "3000.1"),
            ("-1", "1", "0"),
            ("-0.5", "0.25", "-0.25"),
            ("1", "-2.5", "-1.5"),
            ("0", "-1e-18", "0"),
            ("0", "5e-18", "0.00000000000000001"),
            ("0", "4e-18", "0"),
            (".5", "1.", "1.5"),
            ("1e20", "1e-17", "100000000000000000000.00000000000000001"),
            ("0.99999999999999999", "0.00000000000000001", "1"),
            ("9", "1", "10"),
            ("-100", "0", "-100"),
        ] {
            let sum = Decimal::parse(a.as_bytes()).unwrap().plus(&Decimal::parse(b.as_bytes()).unwrap()).unwrap();
            assert_eq!(sum.text().unwrap(), told.as_bytes(), "{a} + {b}");
        }
        for bad in ["", ".", "-", "e3", "1e", "1e+", "1 ", " 1", "0x10", "nan", "1.2.3", "abc", "1e5000", "--1"] {
            assert_eq!(Decimal::parse(bad.as_bytes()), None, "{bad}");
        }
        let largest = Decimal::parse(b"9e4931").unwrap();
        assert_eq!(largest.plus(&largest), None);
        assert_eq!(Decimal::parse(b"-Inf").unwrap().plus(&largest), None);
    }
}
