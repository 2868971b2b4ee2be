//! Tags of streams.

use crate::protocol::exception::Exception;

/// Tags of one resource, at most.
pub(super) const TAGS_MAX: usize = 50;

/// Checks tags that are to be added to so many that have other keys.
pub(super) fn check_tags(tags: &[(&str, &str)], others: usize) -> Result<(), Exception> {
    let texts = tags.iter().flat_map(|(key, value)| [*key, *value]);
    check_characters(texts, "add tags to")?;
    if tags.len() + others > TAGS_MAX {
        // The service's text still has the number of before.
        return Err(Exception::invalid_argument(
            "Failed to add tags to stream because a given stream cannot have more than 10 tags \
             associated with it.",
        ));
    }
    Ok(())
}

/// Checks the characters of keys and values.
pub(super) fn check_characters<'a>(
    texts: impl Iterator<Item = &'a str>,
    _verb: &str,
) -> Result<(), Exception> {
    let is_valid = |c: char| {
        c.is_alphanumeric()
            || c.is_whitespace()
            || matches!(c, '_' | '.' | ':' | '/' | '=' | '+' | '-' | '@')
    };
    for text in texts {
        if !text.chars().all(is_valid) {
            return Err(Exception::invalid_argument(
                "Some tags contain invalid characters. Valid characters: Unicode letters, digits, \
                 white space, _ . / = + - % @.",
            ));
        }
    }
    Ok(())
}
