//! The second check: each member is held against the constraints of its shape.

use std::fmt::Write as _;

use crate::protocol::exception::Exception;
use crate::protocol::shape::{Input, Member, Need, Shape, Text};
use crate::protocol::value::Value;

/// How many violations are told at once.
const VIOLATIONS_MAX: usize = 10;

/// Holds the members of a request against the constraints of their shapes.
///
/// A blob may have `blob_bytes_max` bytes, and no more than its shape says.
pub(crate) fn validate(
    members: &[Member],
    input: &Input,
    blob_bytes_max: usize,
) -> Result<(), Exception> {
    let mut violations = Violations {
        told: Vec::new(),
        alternatives_missing: 0,
        blob_bytes_max,
    };
    violations.of_members(members, &input.members, "");
    let told = violations.told;
    if told.len() == violations.alternatives_missing {
        return Ok(());
    }
    let plural = if told.len() == 1 { "" } else { "s" };
    Err(Exception::validation(format!(
        "{} validation error{plural} detected: {}",
        told.len(),
        told.join("; ")
    )))
}

struct Violations {
    told: Vec<String>,
    alternatives_missing: usize,
    blob_bytes_max: usize,
}

impl Violations {
    fn of_members(&mut self, members: &[Member], given: &[(String, Value)], parent: &str) {
        let find = |name: &str| given.iter().find(|(member, _)| member == name);
        for member in members {
            let path = format!("{parent}{}", lower_first(member.name));
            match (find(member.name), member.need) {
                (Some((_, value)), _) => self.of_value(&member.shape, value, &path),
                (None, Need::Optional) => {}
                (None, Need::Required) => self.tell(None, &path, "Member must not be null"),
                (None, Need::Unless(other)) => {
                    if find(other).is_none() {
                        self.alternatives_missing += 1;
                        self.tell(None, &path, "Member must not be null");
                    }
                }
            }
        }
    }

    fn of_value(&mut self, shape: &Shape, value: &Value, path: &str) {
        match (shape, value) {
            (Shape::Integer { min, max }, Value::Integer(number)) => {
                let (below, above) = (number < min, number > max);
                let bound =
                    |word, bound| format!("Member must have value {word} than or equal to {bound}");
                self.tell_if(below, shape, value, path, || bound("greater", *min));
                self.tell_if(above, shape, value, path, || bound("less", *max));
            }
            (Shape::Text(text), Value::Text(given)) => self.of_text(text, given, path),
            (Shape::Blob { bytes_max }, Value::Blob(bytes)) => {
                let max = self.blob_bytes_max.min(*bytes_max);
                self.of_length(shape, value, path, bytes.len(), (0, max));
            }
            (Shape::List { of, min, max }, Value::List(items)) => {
                self.of_length(shape, value, path, items.len(), (*min, *max));
                self.of_items(of, items, value, path);
            }
            (
                Shape::Map {
                    keys,
                    values,
                    min,
                    max,
                },
                Value::Map(members),
            ) => {
                self.of_length(shape, value, path, members.len(), (*min, *max));
                let long_keys = members.iter().any(|(key, _)| !keys.has_length(key));
                for (key, value) in members {
                    self.tell_if_null(value, &format!("{path}.{key}.member"));
                }
                let texts =
                    |value: &Value| matches!(value, Value::Text(text) if !values.has_length(text));
                let long_values = members.iter().any(|(_, value)| texts(value));
                self.tell_if(long_keys, shape, value, path, || {
                    format!("Map keys must satisfy constraint: {}", keys.lengths())
                });
                self.tell_if(long_values, shape, value, path, || {
                    format!("Map value must satisfy constraint: {}", values.lengths())
                });
            }
            (Shape::Structure { members, .. }, Value::Map(given)) => {
                self.of_members(members, given, &format!("{path}."));
            }
            _ => {}
        }
    }

    fn of_text(&mut self, text: &Text, given: &str, path: &str) {
        let shape = Shape::Text(*text);
        let value = Value::Text(given.to_owned());
        if let Some(pattern) = text.pattern {
            self.tell_if(!text.matches(given), &shape, &value, path, || {
                format!(
                    "Member must satisfy regular expression pattern: {}",
                    pattern.text
                )
            });
        }
        self.of_length(
            &shape,
            &value,
            path,
            given.chars().count(),
            (text.min, text.max),
        );
        let unknown = !text.one_of.is_empty() && !text.one_of.contains(&given);
        self.tell_if(unknown, &shape, &value, path, || one_of(text.one_of));
    }

    fn of_items(&mut self, of: &Shape, items: &[Value], list: &Value, path: &str) {
        for (index, item) in items.iter().enumerate() {
            if self.told.len() >= VIOLATIONS_MAX {
                return;
            }
            let path = format!("{path}.{}.member", index + 1);
            self.tell_if_null(item, &path);
            if !matches!(of, Shape::Text(_)) {
                self.of_value(of, item, &path);
            }
        }
        let Shape::Text(text) = of else { return };
        // Texts are told of with their list.
        let mut given = items.iter().filter_map(|item| match item {
            Value::Text(text) => Some(text),
            _ => None,
        });
        let constraint = if text.one_of.is_empty() {
            text.lengths()
        } else {
            format!("[{}]", one_of(text.one_of))
        };
        let wrong = given.any(|given| {
            !text.has_length(given)
                || !text.matches(given)
                || (!text.one_of.is_empty() && !text.one_of.contains(&given.as_str()))
        });
        let shape = Shape::List {
            of: &Shape::Boolean,
            min: 0,
            max: 0,
        };
        self.tell_if(wrong, &shape, list, path, || {
            format!("Member must satisfy constraint: {constraint}")
        });
    }

    fn of_length(
        &mut self,
        shape: &Shape,
        value: &Value,
        path: &str,
        length: usize,
        (min, max): (usize, usize),
    ) {
        let bound =
            |word, bound| format!("Member must have length {word} than or equal to {bound}");
        self.tell_if(length < min, shape, value, path, || bound("greater", min));
        self.tell_if(length > max, shape, value, path, || bound("less", max));
    }

    fn tell_if(
        &mut self,
        violated: bool,
        shape: &Shape,
        value: &Value,
        path: &str,
        constraint: impl FnOnce() -> String,
    ) {
        if violated && self.told.len() < VIOLATIONS_MAX {
            self.tell(Some(printed(shape, value)), path, &constraint());
        }
    }

    /// What is in a list or a map must be something.
    fn tell_if_null(&mut self, value: &Value, path: &str) {
        if *value == Value::Null {
            self.tell(None, path, "Member must not be null");
        }
    }

    fn tell(&mut self, value: Option<String>, path: &str, constraint: &str) {
        if self.told.len() < VIOLATIONS_MAX {
            let value = value.map_or_else(|| "null".to_owned(), |value| format!("'{value}'"));
            self.told.push(format!(
                "Value {value} at '{path}' failed to satisfy constraint: {constraint}"
            ));
        }
    }
}

fn one_of(words: &[&str]) -> String {
    format!("Member must satisfy enum value set: [{}]", words.join(", "))
}

/// A value as the service prints it.
fn printed(shape: &Shape, value: &Value) -> String {
    match (shape, value) {
        (_, Value::Null) => "null".to_owned(),
        (_, Value::Text(text)) => text.clone(),
        (_, Value::Integer(number)) => number.to_string(),
        (_, Value::Blob(bytes)) => {
            let length = bytes.len();
            format!("java.nio.HeapByteBuffer[pos=0 lim={length} cap={length}]")
        }
        (Shape::List { of, .. }, Value::List(items)) => {
            // More than any request has that is nearly right: what is sent is not to come back larger.
            const ITEMS_MAX: usize = 1_000;
            let shown = items.iter().take(ITEMS_MAX);
            let mut shown: Vec<_> = shown.map(|item| printed(of, item)).collect();
            if items.len() > ITEMS_MAX {
                shown.push("...".to_owned());
            }
            format!("[{}]", shown.join(", "))
        }
        // The service's hash of the structure has no meaning; it is the same for all here.
        (Shape::Structure { name, .. }, _) => {
            format!("com.amazonaws.kinesis.v20131202.{name}@c965e310")
        }
        (_, Value::Map(members)) => {
            let mut text = String::from("{");
            for (index, (key, value)) in members.iter().enumerate() {
                let comma = if index == 0 { "" } else { ", " };
                let value = printed(&Shape::Boolean, value);
                let _ = write!(text, "{comma}{key}={value}");
            }
            text + "}"
        }
        (_, Value::Boolean(value)) => value.to_string(),
        (_, Value::Float(_) | Value::Timestamp(_) | Value::List(_)) => String::new(),
    }
}

fn lower_first(name: &str) -> String {
    let mut chars = name.chars();
    let first = chars.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(chars).collect()
}
