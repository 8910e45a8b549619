//! Values and keys as histories write them.

use std::fmt;

/// A value, a key or a process name of a history. Histories of many systems come in EDN and JSON; this is what both can say.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Datum {
    /// Nothing: the key is absent, or the value is not known yet.
    Nil,
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction or out of the range of 64 bits, as it was written.
    Number(Box<str>),
    /// A text, or an EDN keyword or symbol without its colon: the two formats write the same name in either way.
    Text(Box<str>),
    /// Some values in order; EDN sets too, sorted.
    List(Vec<Datum>),
    /// Pairs of key and value, sorted by key.
    Map(Vec<(Datum, Datum)>),
}

impl Datum {
    /// A text.
    pub fn text(text: &str) -> Datum {
        Datum::Text(text.into())
    }

    /// The text or name, if it is one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Datum::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, if it is one.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Datum::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// The values of a list, if it is one.
    pub fn list(&self) -> Option<&[Datum]> {
        match self {
            Datum::List(list) => Some(list),
            _ => None,
        }
    }
}

impl From<i64> for Datum {
    fn from(number: i64) -> Datum {
        Datum::Integer(number)
    }
}

impl From<&str> for Datum {
    fn from(text: &str) -> Datum {
        Datum::text(text)
    }
}

/// As short as can be read: texts stand in quotes only where they would be unclear.
impl fmt::Display for Datum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Datum::Nil => write!(f, "nil"),
            Datum::Bool(truth) => write!(f, "{truth}"),
            Datum::Integer(number) => write!(f, "{number}"),
            Datum::Number(text) => write!(f, "{text}"),
            Datum::Text(text) if is_plain(text) => write!(f, "{text}"),
            Datum::Text(text) => write!(f, "{text:?}"),
            Datum::List(list) => {
                write!(f, "[")?;
                for (at, item) in list.iter().enumerate() {
                    write!(f, "{}{item}", if at == 0 { "" } else { " " })?;
                }
                write!(f, "]")
            }
            Datum::Map(pairs) => {
                write!(f, "{{")?;
                for (at, (key, value)) in pairs.iter().enumerate() {
                    write!(f, "{}{key} {value}", if at == 0 { "" } else { ", " })?;
                }
                write!(f, "}}")
            }
        }
    }
}

fn is_plain(text: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || "-_/.:#@+".contains(c);
    text.chars().next().is_some_and(char::is_alphabetic) && text.chars().all(word) && text != "nil"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_short() {
        let map = Datum::Map(vec![(Datum::text("x"), Datum::List(vec![Datum::Nil, 1.into(), "a b".into()]))]);
        assert_eq!(map.to_string(), "{x [nil 1 \"a b\"]}");
        assert_eq!(Datum::text("1").to_string(), "\"1\"");
    }
}
