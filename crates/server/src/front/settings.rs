//! CONFIG: what clients ask before they begin. Nothing can be changed here; the configuration file decides.

use super::connection::Connection;
use super::failure::{error, shown, unknown_subcommand, wrong_arity};
use super::shared::Shared;
use bytes::Bytes;
use quorate_core::limits;
use quorate_core::operation::{Value, Words};

/// `CONFIG GET pattern … | SET name value … | RESETSTAT | REWRITE`.
pub(super) fn config(connection: &mut Connection, words: &Words, shared: &mut Shared) {
    let value = match (&words[1].to_ascii_uppercase()[..], &words[2..]) {
        (b"GET", [_, ..]) => get(&words[2..], shared),
        (b"SET", pairs) if !pairs.is_empty() && pairs.len() % 2 == 0 => set(pairs, shared),
        (b"GET", []) => wrong_arity(b"config|get"),
        (b"SET", _) => wrong_arity(b"config|set"),
        (b"RESETSTAT", []) => Value::error("ERR the counters only ever rise here; take the difference of two INFO"),
        (b"REWRITE", []) => Value::error("ERR The server is running without a config file that it may write"),
        _ => unknown_subcommand("CONFIG", &words[1]),
    };
    connection.reply(value);
}

/// The settings that clients know from Redis, with what holds here.
fn settings(shared: &Shared) -> Vec<(&'static str, String)> {
    vec![
        ("appendfsync", "always".to_string()),
        ("appendonly", "yes".to_string()),
        ("bind", String::new()),
        ("cluster-enabled", "no".to_string()),
        ("databases", shared.databases.to_string()),
        ("io-threads", "1".to_string()),
        ("maxclients", shared.bounds.connections.to_string()),
        ("maxmemory", "0".to_string()),
        ("maxmemory-policy", "noeviction".to_string()),
        ("port", shared.port.to_string()),
        ("proto-max-bulk-len", limits::VALUE_BYTES.to_string()),
        ("save", String::new()),
        ("tcp-keepalive", "0".to_string()),
        ("timeout", "0".to_string()),
    ]
}

fn get(patterns: &[Bytes], shared: &Shared) -> Value {
    let matching = settings(shared)
        .into_iter()
        .filter(|(name, _)| patterns.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), name.as_bytes())));
    let pair = |(name, value): (&'static str, String)| {
        (Value::Bulk(Bytes::from_static(name.as_bytes())), Value::Bulk(Bytes::from(value)))
    };
    Value::Map(matching.map(pair).collect())
}

fn set(pairs: &[Bytes], shared: &Shared) -> Value {
    let known = settings(shared);
    for pair in pairs.chunks(2) {
        let name = shown(&pair[0].to_ascii_lowercase(), 128);
        let Some((_, value)) = known.iter().find(|(known, _)| *known == name) else {
            return error(format!("ERR Unknown option or number of arguments for CONFIG SET - '{name}'"));
        };
        if value.as_bytes() != &pair[1][..] {
            return error(format!(
                "ERR CONFIG SET failed (possibly related to argument '{name}') - can't set immutable config"
            ));
        }
    }
    Value::OK
}

/// A glob of `*`, `?` and literal bytes. Linear in the pattern times the text, whatever the pattern.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && (pattern[p] == b'?' || pattern[p] == text[t]) && pattern[p] != b'*' {
            (p, t) = (p + 1, t + 1);
        } else if p < pattern.len() && pattern[p] == b'*' {
            star = Some((p, t));
            p += 1;
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            (p, t) = (at + 1, from + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("max*", "maxmemory", true),
            ("*mem*", "maxmemory", true),
            ("m?x*y", "maxmemory", true),
            ("save", "saved", false),
            ("*a*b", "aab", true),
            ("*a*b", "aba", false),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }
}
