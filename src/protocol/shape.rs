//! What the members of a request may be, and what is said of those that are not.
//!
//! A request goes through two checks. [`convert`] gives each member the type of its shape, and ends
//! at the first that has another: a `SerializationException`. [`validate`] holds the values against
//! the constraints of their shapes, and gathers up to ten that are not kept: a
//! `ValidationException`. The texts are those of the contract, 7.6 and 7.7; members are looked at in
//! the order in which their operation lists them.

use std::collections::HashSet;
use std::fmt::Write as _;

use bytes::Bytes;
use regex_lite::Regex;

use crate::clock::Timestamp;
use crate::protocol::cbor::millis_of_secs;
use crate::protocol::exception::Exception;
use crate::protocol::value::Value;
use crate::sync::OnceLock;

/// A member of a structure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) need: Need,
}

/// Whether a member must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Optional,
    Required,
    /// Unless another is there, as a stream's name unless its ARN is. The service tells that it is
    /// missing among other violations; if nothing else is wrong, the operation knows what it means.
    Unless(&'static str),
}

/// A type with constraints.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    Boolean,
    Integer {
        min: i64,
        max: i64,
    },
    Timestamp,
    Text(Text),
    Blob {
        bytes_max: usize,
    },
    List {
        of: &'static Self,
        min: usize,
        max: usize,
    },
    /// From texts to texts.
    Map {
        keys: &'static Text,
        values: &'static Text,
        min: usize,
        max: usize,
    },
    Structure {
        /// As the service prints it within a list.
        name: &'static str,
        members: &'static [Member],
    },
}

/// The constraints of a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text {
    pub(crate) pattern: Option<&'static Pattern>,
    /// Unicode characters.
    pub(crate) min: usize,
    pub(crate) max: usize,
    /// What it may be; empty if it may be anything.
    pub(crate) one_of: &'static [&'static str],
}

/// A pattern that a whole text must match.
#[derive(Debug)]
pub(crate) struct Pattern {
    text: &'static str,
    compiled: OnceLock<Regex>,
}

impl Pattern {
    pub(crate) const fn new(text: &'static str) -> Self {
        Self {
            text,
            compiled: OnceLock::new(),
        }
    }

    fn matches(&self, text: &str) -> bool {
        let compiled = self.compiled.get_or_init(|| {
            Regex::new(&format!("^(?:{})$", self.text)).expect("the pattern is a valid one")
        });
        compiled.is_match(text)
    }
}

impl Member {
    pub(crate) const fn required(name: &'static str, shape: Shape) -> Self {
        let need = Need::Required;
        Self { name, shape, need }
    }

    pub(crate) const fn optional(name: &'static str, shape: Shape) -> Self {
        let need = Need::Optional;
        Self { name, shape, need }
    }

    pub(crate) const fn unless(other: &'static str, name: &'static str, shape: Shape) -> Self {
        let need = Need::Unless(other);
        Self { name, shape, need }
    }
}

impl Text {
    /// A text of so many characters.
    pub(crate) const fn of(min: usize, max: usize) -> Self {
        Self {
            pattern: None,
            min,
            max,
            one_of: &[],
        }
    }

    pub(crate) const fn matching(mut self, pattern: &'static Pattern) -> Self {
        self.pattern = Some(pattern);
        self
    }

    /// One of some words.
    pub(crate) const fn one_of(words: &'static [&'static str]) -> Self {
        Self {
            pattern: None,
            min: 0,
            max: usize::MAX,
            one_of: words,
        }
    }

    fn lengths(&self) -> String {
        format!(
            "[Member must have length less than or equal to {}, Member must have length greater than \
             or equal to {}]",
            self.max, self.min
        )
    }

    /// Whether a text matches the pattern. One that is longer than any text may be is not held against
    /// it, which would take long: it is refused for its length or, if only the pattern bounds that, as
    /// one that does not match.
    fn matches(&self, text: &str) -> bool {
        const LOOKED_AT_BYTES_MAX: usize = 4 * 1024;
        match self.pattern {
            Some(_) if text.len() > LOOKED_AT_BYTES_MAX => self.max != usize::MAX,
            Some(pattern) => pattern.matches(text),
            None => true,
        }
    }

    fn has_length(&self, text: &str) -> bool {
        (self.min..=self.max).contains(&text.chars().count())
    }
}

/// The checked members of a request, or of a structure within it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Input {
    members: Vec<(String, Value)>,
}

impl Input {
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.members
            .iter()
            .find(|(member, _)| member == name)
            .map(|(_, value)| value)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn integer(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// A number of things: the constraint of its shape says that it is not negative.
    pub(crate) fn count(&self, name: &str) -> Option<usize> {
        self.integer(name)
            .and_then(|number| usize::try_from(number).ok())
    }

    /// `false` if it is not there.
    pub(crate) fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Value::Boolean(true)))
    }

    /// A time; one before the epoch is the epoch.
    pub(crate) fn timestamp(&self, name: &str) -> Option<Timestamp> {
        match self.get(name)? {
            Value::Timestamp(millis) => {
                Some(Timestamp::from_millis(u64::try_from(*millis).unwrap_or(0)))
            }
            _ => None,
        }
    }

    pub(crate) fn blob(&self, name: &str) -> Option<&Bytes> {
        match self.get(name)? {
            Value::Blob(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Empty if it is not there.
    pub(crate) fn list(&self, name: &str) -> &[Value] {
        match self.get(name) {
            Some(Value::List(items)) => items,
            _ => &[],
        }
    }

    /// The texts of a list; none if it is not there.
    pub(crate) fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        self.list(name).iter().filter_map(|item| match item {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// The structures of a list; none if it is not there.
    pub(crate) fn structures(&self, name: &str) -> impl Iterator<Item = Self> {
        self.list(name).iter().filter_map(|item| match item {
            Value::Map(members) => Some(Self {
                members: members.clone(),
            }),
            _ => None,
        })
    }

    /// A map from texts to texts, the keys in the order given; none if it is not there.
    pub(crate) fn map(&self, name: &str) -> impl Iterator<Item = (&str, &str)> {
        let members = match self.get(name) {
            Some(Value::Map(members)) => members.as_slice(),
            _ => &[],
        };
        members.iter().filter_map(|(key, value)| match value {
            Value::Text(text) => Some((key.as_str(), text.as_str())),
            _ => None,
        })
    }

    pub(crate) fn structure(&self, name: &str) -> Option<Self> {
        match self.get(name)? {
            Value::Map(members) => Some(Self {
                members: members.clone(),
            }),
            _ => None,
        }
    }
}

/// Gives each member of a request its type. What is unknown is left out, what is null, too.
pub(crate) fn convert(members: &[Member], request: Value) -> Result<Input, Exception> {
    let given = match request {
        Value::Map(given) => given,
        // The contract, 7.2: a list passes as a structure without members.
        _ => Vec::new(),
    };
    let members = convert_members(members, given)?;
    Ok(Input { members })
}

fn convert_members(
    members: &[Member],
    mut given: Vec<(String, Value)>,
) -> Result<Vec<(String, Value)>, Exception> {
    let mut converted = Vec::with_capacity(given.len().min(members.len()));
    for member in members {
        let Some(index) = given.iter().rposition(|(name, _)| name == member.name) else {
            continue;
        };
        let (name, value) = given.swap_remove(index);
        // An earlier one of the same name must not be found in its place.
        given.retain(|(other, _)| *other != name);
        if value != Value::Null {
            converted.push((name, convert_value(&member.shape, value)?));
        }
    }
    Ok(converted)
}

fn convert_value(shape: &Shape, value: Value) -> Result<Value, Exception> {
    match (shape, value) {
        (Shape::List { of, .. }, Value::List(items)) => {
            let items = items.into_iter().filter(|item| *item != Value::Null);
            let converted: Result<_, _> = items.map(|item| convert_value(of, item)).collect();
            converted.map(Value::List)
        }
        (Shape::Map { values, .. }, Value::Map(members)) => {
            convert_map(values, members).map(Value::Map)
        }
        (Shape::Structure { members, .. }, Value::Map(given)) => {
            convert_members(members, given).map(Value::Map)
        }
        (Shape::Structure { .. } | Shape::Map { .. }, Value::List(_)) => {
            Err(mistyped("Start of list found where not expected"))
        }
        (Shape::Structure { .. }, _) => Err(mistyped("Expected null")),
        (Shape::Map { .. }, _) => Err(mistyped("Expected map or null")),
        (Shape::List { .. }, Value::Map(_)) | (_, Value::Map(_)) => Err(mistyped(
            "Start of structure or map found where not expected.",
        )),
        (Shape::List { .. }, _) => Err(mistyped("Expected list or null")),
        (_, Value::List(_)) => Err(mistyped("Start of list found where not expected")),
        (scalar, value) => convert_scalar(scalar, value),
    }
}

/// Of keys that are given more than once the last counts, where it stands. One pass: the client says how
/// many keys there are.
fn convert_map(
    values: &Text,
    members: Vec<(String, Value)>,
) -> Result<Vec<(String, Value)>, Exception> {
    let mut converted = Vec::with_capacity(members.len());
    for (name, value) in members {
        if value != Value::Null {
            converted.push((name, convert_value(&Shape::Text(*values), value)?));
        }
    }
    let mut seen = HashSet::with_capacity(converted.len());
    let is_last: Vec<_> = converted
        .iter()
        .rev()
        .map(|(name, _)| seen.insert(name.as_str()))
        .collect();
    let mut is_last = is_last.into_iter().rev();
    converted.retain(|_| is_last.next().unwrap_or(true));
    Ok(converted)
}

fn convert_scalar(shape: &Shape, value: Value) -> Result<Value, Exception> {
    let mistaken =
        |class: &str, aim: &str| Err(mistyped(format!("{class} can not be converted to {aim}")));
    match (shape, value) {
        (Shape::Boolean, Value::Boolean(value)) => Ok(Value::Boolean(value)),
        (Shape::Boolean, Value::Text(text)) => boolean_of(&text),
        (Shape::Boolean, value) => mistaken(class_of(&value), "an Boolean"),

        (Shape::Integer { .. }, Value::Integer(number)) => Ok(integer_of(number)),
        (Shape::Integer { .. }, Value::Float(number)) => Ok(integer_of(floor(number))),
        (Shape::Integer { .. }, value) => mistaken(class_of(&value), "an Integer"),

        (Shape::Timestamp, Value::Timestamp(millis)) => Ok(Value::Timestamp(millis)),
        (Shape::Timestamp, Value::Integer(secs)) => Ok(Value::Timestamp(secs.saturating_mul(1000))),
        (Shape::Timestamp, Value::Float(secs)) => Ok(Value::Timestamp(millis_of_secs(secs))),
        (Shape::Timestamp, value) => mistaken(class_of(&value), "milliseconds since epoch"),

        (Shape::Blob { .. }, Value::Blob(bytes)) => Ok(Value::Blob(bytes)),
        (Shape::Blob { .. }, Value::Text(text)) => blob_of(&text),
        (Shape::Blob { .. }, value) => mistaken(class_of(&value), "a Blob"),

        (_, Value::Text(text)) => Ok(Value::Text(text)),
        (_, value) => mistaken(class_of(&value), "an String"),
    }
}

fn mistyped(message: impl Into<String>) -> Exception {
    Exception::serialization(message)
}

/// What the service takes a scalar for.
const fn class_of(value: &Value) -> &'static str {
    match value {
        Value::Boolean(_) => "class java.lang.Boolean",
        Value::Integer(_) | Value::Float(_) => {
            "class com.amazon.coral.value.json.numbers.TruncatingBigNumber"
        }
        Value::Blob(_) => "class java.nio.HeapByteBuffer",
        Value::Timestamp(_) => "class java.util.Date",
        Value::Null | Value::Text(_) | Value::List(_) | Value::Map(_) => "class java.lang.String",
    }
}

fn boolean_of(text: &str) -> Result<Value, Exception> {
    match text.to_uppercase().as_str() {
        "TRUE" | "1" | "YES" => Ok(Value::Boolean(true)),
        "FALSE" | "0" | "NO" => Ok(Value::Boolean(false)),
        other => Err(mistyped(format!(
            "'{other}' can not be converted to an Boolean"
        ))),
    }
}

fn integer_of(number: i64) -> Value {
    Value::Integer(number.clamp(i32::MIN.into(), i32::MAX.into()))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "such a cast saturates, and makes no number 0"
)]
fn floor(number: f64) -> i64 {
    number.floor() as i64
}

fn blob_of(text: &str) -> Result<Value, Exception> {
    if let Ok(bytes) = base64_simd::STANDARD.decode_to_vec(text) {
        return Ok(Value::Blob(bytes.into()));
    }
    Err(mistyped(format!(
        "'{text}' can not be converted to a Blob: {}",
        why_no_base64(text)
    )))
}

fn why_no_base64(text: &str) -> String {
    let length = text.encode_utf16().count();
    if length % 4 != 0 {
        return format!(
            "Base64 encoded length is expected a multiple of 4 bytes but found: {length}"
        );
    }
    let is_valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    let mut behind = text.chars().skip(1);
    let invalid = text.chars().find(|c| {
        let next = behind.next();
        !is_valid(*c) || (*c == '=' && next.is_some_and(|next| next != '='))
    });
    match invalid {
        Some(invalid) => format!("Invalid Base64 character: '{invalid}'"),
        // The service's own spelling.
        None => "Invalid last non-pad Base64 character dectected".to_owned(),
    }
}

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
        let Shape::Text(text) = of else {
            for (index, item) in items.iter().enumerate() {
                if self.told.len() >= VIOLATIONS_MAX {
                    return;
                }
                self.of_value(of, item, &format!("{path}.{}.member", index + 1));
            }
            return;
        };
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
        (_, Value::Null | Value::Float(_) | Value::Timestamp(_) | Value::List(_)) => String::new(),
    }
}

fn lower_first(name: &str) -> String {
    let mut chars = name.chars();
    let first = chars.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(chars).collect()
}
