//! Values, words and receipts as JSON.
//!
//! Bytes that are UTF-8 are a string, others `{"base64": "…"}`. An object is always one of ours with its name as the only
//! member, so no data can be mistaken for it: `{"base64": …}`, `{"map": [[key, value], …]}`, `{"error": "…"}`.

use super::base64;
use crate::receipt::{Field, fields};
use bytes::Bytes;
use quorate_core::guarantee::{Receipt, Session};
use quorate_core::operation::Value;
use serde::Deserialize;
use serde::de::{self, MapAccess, Visitor};
use serde_json::{Value as Json, json};

/// Bytes as JSON.
pub fn bytes(bytes: &[u8]) -> Json {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({ "base64": base64::encode(bytes) }),
    }
}

/// A value as JSON.
pub fn value(value: &Value) -> Json {
    match value {
        Value::Nil => Json::Null,
        Value::Int(number) => json!(number),
        Value::Bulk(content) | Value::Status(content) => bytes(content),
        Value::Array(items) | Value::Set(items) => items.iter().map(self::value).collect(),
        Value::Map(pairs) => {
            let pairs = pairs.iter().map(|(key, content)| json!([self::value(key), self::value(content)]));
            json!({ "map": pairs.collect::<Vec<_>>() })
        }
        Value::Error(text) => json!({ "error": String::from_utf8_lossy(text) }),
        Value::Pairs(pairs) => {
            pairs.iter().map(|(first, second)| json!([self::value(first), self::value(second)])).collect()
        }
    }
}

/// A receipt as JSON, all ASCII, so that it can also travel in a header.
pub fn receipt(receipt: &Receipt, session: &Session, cluster: u64, seen: Option<&[u8]>) -> Json {
    let shown = |field| match field {
        Field::Text(text) => json!(text),
        Field::Number(number) => json!(number),
        Field::Flag(flag) => json!(flag),
        Field::Nodes(nodes) => nodes.iter().map(|node| node.0).collect(),
    };
    let fields = fields(receipt, session, cluster, seen);
    Json::Object(fields.into_iter().map(|(name, field)| (name.to_string(), shown(field))).collect())
}

/// A word in a request: a string, `{"base64": "…"}`, or a whole number, which means its decimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word(pub Bytes);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Word, D::Error> {
        deserializer.deserialize_any(WordVisitor)
    }
}

struct WordVisitor;

impl<'de> Visitor<'de> for WordVisitor {
    type Value = Word;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a string, a whole number, or {\"base64\": \"…\"}")
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Word, E> {
        Ok(Word(Bytes::copy_from_slice(text.as_bytes())))
    }
    fn visit_string<E: de::Error>(self, text: String) -> Result<Word, E> {
        Ok(Word(Bytes::from(text)))
    }
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Word, E> {
        Ok(Word(Bytes::from(number.to_string())))
    }
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Word, E> {
        Ok(Word(Bytes::from(number.to_string())))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Word, A::Error> {
        let name: Option<String> = map.next_key()?;
        if name.as_deref() != Some("base64") {
            return Err(de::Error::custom("an object in the place of a word must be {\"base64\": \"…\"}"));
        }
        let text: String = map.next_value()?;
        let bytes = base64::decode(text.as_bytes())
            .ok_or_else(|| de::Error::custom("this is not base64 with padding (RFC 4648, section 4)"))?;
        if map.next_key::<String>()?.is_some() {
            return Err(de::Error::custom("{\"base64\": \"…\"} has no other member"));
        }
        Ok(Word(Bytes::from(bytes)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn words_are_strings_numbers_or_base64() {
        for (text, expected) in [
            (r#""a""#, &b"a"[..]),
            (r#""\u00e4\n\"""#, "ä\n\"".as_bytes()),
            ("12", b"12"),
            ("-9223372036854775808", b"-9223372036854775808"),
            (r#"{"base64":"/wA="}"#, b"\xFF\0"),
        ] {
            assert_eq!(serde_json::from_str::<Word>(text).unwrap().0, expected, "{text}");
        }
        for bad in [
            "1.5",
            "null",
            "true",
            "[]",
            "{}",
            r#"{"base64":1}"#,
            r#"{"base64":"?"}"#,
            r#"{"base64":"","a":1}"#,
            r#"{"hex":""}"#,
        ] {
            assert!(serde_json::from_str::<Word>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_value_looks_like_another() {
        let field = |name: &str| (Value::bulk(name.as_bytes()), Value::bulk(b"Zg=="));
        assert_eq!(value(&Value::Map(vec![field("base64")])), json!({ "map": [["base64", "Zg=="]] }));
        assert_eq!(value(&Value::bulk(b"f\xFF")), json!({ "base64": "Zv8=" }));
        assert_eq!(value(&Value::error("ERR no")), json!({ "error": "ERR no" }));
        let set = Value::Set(vec![Value::Int(1), Value::Nil]);
        assert_eq!(value(&set), json!([1, null]));
    }
}
