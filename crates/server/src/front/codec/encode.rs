//! Values as bytes, in the second and the third version of the protocol.

use quorate_core::operation::Value;
use quorate_core::state::{DECIMAL_BYTES, decimal};

/// Versions of the Redis protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// RESP2: no maps, no sets, two kinds of nil.
    #[default]
    Two,
    /// RESP3.
    Three,
}

/// Appends a value.
pub fn encode(value: &Value, protocol: Protocol, out: &mut Vec<u8>) {
    match value {
        Value::Nil => out.extend_from_slice(match protocol {
            Protocol::Two => b"$-1\r\n",
            Protocol::Three => b"_\r\n",
        }),
        Value::Int(number) => head(b':', *number, out),
        Value::Bulk(bytes) => {
            head(b'$', bytes.len() as i64, out);
            out.extend_from_slice(bytes);
            out.extend_from_slice(b"\r\n");
        }
        Value::Status(text) => line(b'+', text, out),
        Value::Error(text) => line(b'-', text, out),
        Value::Array(items) => list(b'*', items, protocol, out),
        Value::Set(items) => list(if protocol == Protocol::Three { b'~' } else { b'*' }, items, protocol, out),
        Value::Map(pairs) => {
            match protocol {
                Protocol::Two => head(b'*', pairs.len() as i64 * 2, out),
                Protocol::Three => head(b'%', pairs.len() as i64, out),
            }
            for (key, value) in pairs {
                encode(key, protocol, out);
                encode(value, protocol, out);
            }
        }
        Value::Pairs(pairs) => {
            head(b'*', pairs.len() as i64 * if protocol == Protocol::Three { 1 } else { 2 }, out);
            for (first, second) in pairs {
                if protocol == Protocol::Three {
                    head(b'*', 2, out);
                }
                encode(first, protocol, out);
                encode(second, protocol, out);
            }
        }
    }
}

/// Appends the nil that stands for a list, as EXEC gives it when a watched key has changed.
pub fn null_array(protocol: Protocol, out: &mut Vec<u8>) {
    out.extend_from_slice(match protocol {
        Protocol::Two => b"*-1\r\n",
        Protocol::Three => b"_\r\n",
    });
}

fn list(kind: u8, items: &[Value], protocol: Protocol, out: &mut Vec<u8>) {
    head(kind, items.len() as i64, out);
    items.iter().for_each(|item| encode(item, protocol, out));
}

/// A line of text; line ends inside of it would break the protocol, so they become spaces.
fn line(kind: u8, text: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    let start = out.len();
    out.extend_from_slice(text);
    for byte in &mut out[start..] {
        if matches!(byte, b'\r' | b'\n') {
            *byte = b' ';
        }
    }
    out.extend_from_slice(b"\r\n");
}

fn head(kind: u8, number: i64, out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(decimal(number, &mut [0; DECIMAL_BYTES]));
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(value: &Value) -> [String; 2] {
        [Protocol::Two, Protocol::Three].map(|protocol| {
            let mut out = Vec::new();
            encode(value, protocol, &mut out);
            String::from_utf8_lossy(&out).replace("\r\n", "|")
        })
    }

    #[test]
    fn values_in_both_versions() {
        let pair = (Value::bulk(b"k"), Value::Int(i64::MIN));
        for (value, two, three) in [
            (Value::Nil, "$-1|", "_|"),
            (Value::OK, "+OK|", "+OK|"),
            (Value::Int(-70), ":-70|", ":-70|"),
            (Value::bulk(b""), "$0||", "$0||"),
            (Value::error("ERR a\r\nb"), "-ERR a  b|", "-ERR a  b|"),
            (Value::Array(vec![Value::Int(0), Value::Nil]), "*2|:0|$-1|", "*2|:0|_|"),
            (Value::Set(vec![Value::Int(7)]), "*1|:7|", "~1|:7|"),
            (Value::Map(vec![pair]), "*2|$1|k|:-9223372036854775808|", "%1|$1|k|:-9223372036854775808|"),
            (Value::Pairs(vec![(Value::Int(1), Value::Int(2)); 2]), "*4|:1|:2|:1|:2|", "*2|*2|:1|:2|*2|:1|:2|"),
            (Value::Pairs(vec![]), "*0|", "*0|"),
        ] {
            assert_eq!(both(&value), [two, three], "{value:?}");
        }
    }
}
