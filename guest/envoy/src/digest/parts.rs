//! Where the parts of a JSON text stand: each in its own letters, found in one pass and not read.
//!
//! It is for texts that somebody else has read, or will: of one that is not JSON it may find parts
//! all the same, or none. Source: RFC 8259.

use memchr::memchr2;

/// A place in a JSON text.
pub struct Parts<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parts<'a> {
    /// At its beginning.
    pub const fn of(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The next byte that is no space.
    pub fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.pass(1);
        }
    }

    /// Passes this byte, if it is the next.
    pub fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        if is_next {
            self.pass(1);
        }
        is_next
    }

    /// Passes the name of a field and its colon: the name with its quotes.
    pub fn name(&mut self) -> Option<&'a str> {
        if self.peek()? != b'"' {
            return None;
        }
        let name = self.value()?;
        self.take(b':').then_some(name)
    }

    /// Passes a value, whatever is in it.
    pub fn value(&mut self) -> Option<&'a str> {
        let first = self.peek()?;
        let begin = self.at;
        match first {
            b'"' => self.string()?,
            b'{' | b'[' => self.nested()?,
            _ => {
                let is_more = |byte: &u8| !matches!(byte, b',' | b'}' | b']' | 0..=b' ');
                let rest = self.text.as_bytes().get(begin..)?;
                self.pass(rest.iter().take_while(|byte| is_more(byte)).count());
            }
        }
        let value = self.text.get(begin..self.at)?;
        (!value.is_empty()).then_some(value)
    }

    fn pass(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes);
    }

    /// From its first quote to behind its last.
    fn string(&mut self) -> Option<()> {
        self.pass(1);
        loop {
            let rest = self.text.as_bytes().get(self.at..)?;
            let end = memchr2(b'"', b'\\', rest)?;
            let is_end = rest.get(end) == Some(&b'"');
            self.pass(end);
            self.pass(if is_end { 1 } else { 2 });
            if is_end {
                return Some(());
            }
        }
    }

    /// From its first bracket to behind its last.
    fn nested(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match *self.text.as_bytes().get(self.at)? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth = depth.saturating_add(1),
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.pass(1);
            if depth == 0 {
                return Some(());
            }
        }
    }
}

/// The value of a field of an object, where it has one.
pub fn field<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    let mut parts = Parts::of(object);
    let mut opens = b'{';
    while parts.take(opens) {
        let is = parts.name()?;
        let value = parts.value()?;
        if is.trim_matches('"') == name {
            return Some(value);
        }
        opens = b',';
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;
    use serde_json::value::RawValue;

    /// Everything in it, as it stands.
    fn walked(text: &str) -> Option<String> {
        let mut parts = Parts::of(text);
        let mut out = String::new();
        walk(&mut parts, &mut out)?;
        parts.peek().is_none().then_some(out)
    }

    fn walk(parts: &mut Parts<'_>, out: &mut String) -> Option<()> {
        let (opens, closes) = match parts.peek()? {
            b'{' => (b'{', b'}'),
            b'[' => (b'[', b']'),
            _ => {
                out.push_str(parts.value()?);
                return Some(());
            }
        };
        parts.take(opens);
        out.push(opens.into());
        let mut is_first = true;
        while !parts.take(closes) {
            if !std::mem::take(&mut is_first) {
                parts.take(b',').then_some(())?;
                out.push(',');
            }
            if opens == b'{' {
                out.push_str(parts.name()?);
                out.push(':');
            }
            walk(parts, out)?;
        }
        out.push(closes.into());
        Some(())
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[\\x00-\\x7fä\"\\\\{}\\[\\],:]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((".{0,6}", inner), 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_part_of_a_json_text_is_found(value in any_value()) {
            for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                prop_assert_eq!(walked(&text), Some(value.to_string()));
                let mut parts = Parts::of(&text);
                prop_assert_eq!(parts.value(), Some(text.as_str()));
                prop_assert_eq!(parts.peek(), None);
                if let Value::Object(fields) = &value {
                    let read: std::collections::BTreeMap<String, &RawValue> =
                        serde_json::from_str(&text).unwrap();
                    for name in fields.keys().filter(|name| !name.contains(['"', '\\'])) {
                        let is_plain = serde_json::to_string(name).unwrap() == format!("\"{name}\"");
                        if is_plain {
                            prop_assert_eq!(field(&text, name), Some(read[name].get()));
                        }
                    }
                }
            }
        }

        #[test]
        fn what_is_no_json_ends_all_the_same(text in "[\"\\\\{}\\[\\],: a1]{0,24}") {
            let _ = walked(&text);
            let _ = field(&text, "a");
        }
    }
}
