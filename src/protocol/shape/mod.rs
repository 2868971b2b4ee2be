//! What the members of a request may be, and what is said of those that are not.
//!
//! A request goes through two checks. [`convert()`] gives each member the type of its shape, and ends
//! at the first that has another: a `SerializationException`. [`validate()`] holds the values against
//! the constraints of their shapes, and gathers up to ten that are not kept: a
//! `ValidationException`. The texts are those of the contract, 7.6 and 7.7; members are looked at in
//! the order in which their operation lists them.

use regex_lite::Regex;

use crate::sync::OnceLock;

mod convert;
mod input;
mod validate;

pub(crate) use convert::convert;
pub(crate) use input::Input;
pub(crate) use validate::validate;

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
