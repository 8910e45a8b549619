//! Percent-encoding in paths and queries: any byte can be said, so any key can be named.

use super::problem::Problem;

/// The bytes of a path segment.
pub fn decode(text: &str) -> Result<Vec<u8>, Problem> {
    bytes(text, false)
}

/// The parameters of a query, in which `+` is a space. Each may stand once.
pub fn query(text: Option<&str>, known: &[&'static str]) -> Result<Vec<(&'static str, Vec<u8>)>, Problem> {
    let mut found: Vec<(&'static str, Vec<u8>)> = Vec::new();
    for pair in text.unwrap_or("").split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = bytes(name, true)?;
        let Some(name) = known.iter().find(|known| known.as_bytes() == name) else {
            let told = if known.is_empty() {
                "none are known here".to_string()
            } else {
                format!("known are {}", known.join(", "))
            };
            return Err(Problem::malformed(format!(
                "unknown query parameter '{}'; {told}",
                String::from_utf8_lossy(&name[..name.len().min(64)]),
            )));
        };
        if found.iter().any(|(other, _)| other == name) {
            return Err(Problem::malformed(format!("the query parameter '{name}' stands twice")));
        }
        found.push((name, bytes(value, true)?));
    }
    Ok(found)
}

fn bytes(text: &str, plus_is_space: bool) -> Result<Vec<u8>, Problem> {
    let text = text.as_bytes();
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'%' => {
                let digit = |at: usize| text.get(at).and_then(|&digit| (digit as char).to_digit(16));
                let (Some(high), Some(low)) = (digit(at + 1), digit(at + 2)) else {
                    return Err(Problem::malformed(format!(
                        "'%' at byte {at} of a path segment or parameter is not followed by two hexadecimal digits; write %25 for a percent sign"
                    )));
                };
                out.push((high << 4 | low) as u8);
                at += 3;
            }
            b'+' if plus_is_space => {
                out.push(b' ');
                at += 1;
            }
            byte => {
                out.push(byte);
                at += 1;
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn any_byte_can_be_said() {
        assert_eq!(decode("a%2Fb%00%ffc+d").unwrap(), b"a/b\0\xFFc+d");
        for bad in ["%", "%1", "%zz", "a%2"] {
            assert!(decode(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn queries_know_their_parameters() {
        let known = &["prefix", "count"];
        assert_eq!(
            query(Some("prefix=a+b%2B&&count=3"), known).unwrap(),
            [("prefix", b"a b+".to_vec()), ("count", b"3".to_vec())]
        );
        assert!(query(None, known).unwrap().is_empty());
        assert!(query(Some("limit=3"), known).is_err());
        assert!(query(Some("count=3&count=4"), known).is_err());
    }
}
