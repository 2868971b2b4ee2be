//! Tags of streams, consumers and channels.

use crate::protocol::exception::Exception;
use crate::protocol::operations::resources::{Resource, Tags};
use crate::protocol::operations::{Call, Operation, Outcome, Output};
use crate::protocol::shape::{Input, Member, Shape};
use crate::protocol::shapes::{
    RESOURCE_ARN, STREAM_ARN_OPTIONAL, STREAM_NAME, TAG_KEY, TAG_KEYS, TAGS,
};
use crate::protocol::value::Value;

const RESOURCE: Member = Member::required("ResourceARN", RESOURCE_ARN);
const TAGS_REQUIRED: Member = Member::required("Tags", TAGS);
const TAG_KEYS_REQUIRED: Member = Member::required("TagKeys", TAG_KEYS);

/// How many tags a page has, at most.
const TAGS_LIMIT: Shape = Shape::Integer { min: 1, max: 50 };

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "AddTagsToStream",
        members: &[TAGS_REQUIRED, STREAM_NAME, STREAM_ARN_OPTIONAL],
        run: add_tags_to_stream,
    },
    Operation {
        name: "RemoveTagsFromStream",
        members: &[TAG_KEYS_REQUIRED, STREAM_NAME, STREAM_ARN_OPTIONAL],
        run: remove_tags_from_stream,
    },
    Operation {
        name: "ListTagsForStream",
        members: &[
            Member::optional("Limit", TAGS_LIMIT),
            Member::optional("ExclusiveStartTagKey", TAG_KEY),
            STREAM_NAME,
            STREAM_ARN_OPTIONAL,
        ],
        run: list_tags_for_stream,
    },
    Operation {
        name: "TagResource",
        members: &[TAGS_REQUIRED, RESOURCE],
        run: tag_resource,
    },
    Operation {
        name: "UntagResource",
        members: &[TAG_KEYS_REQUIRED, RESOURCE],
        run: untag_resource,
    },
    Operation {
        name: "ListTagsForResource",
        members: &[RESOURCE],
        run: list_tags_for_resource,
    },
];

/// Tags of one resource, at most.
const TAGS_MAX: usize = 50;

fn add_tags_to_stream(call: &Call<'_>, input: &Input) -> Outcome {
    add(call, input, &Resource::Stream(call.addressed(input)?))
}

fn tag_resource(call: &Call<'_>, input: &Input) -> Outcome {
    add(call, input, &call.resource(input)?)
}

/// Adds the tags of a request; of equal keys, the new one counts.
fn add(call: &Call<'_>, input: &Input, resource: &Resource<'_>) -> Outcome {
    let added: Vec<_> = input.map("Tags").collect();
    let whose = resource.to_string();
    check_tags(call, &whose, &added)?;
    call.change(resource, |tags, _| {
        let others = tags
            .keys()
            .filter(|key| added.iter().all(|(added, _)| added != key));
        check_count(call, &whose, others.count() + added.len())?;
        tags.extend(owned_tags(&added));
        Ok(Output::Nothing)
    })
}

fn remove_tags_from_stream(call: &Call<'_>, input: &Input) -> Outcome {
    remove(call, input, &Resource::Stream(call.addressed(input)?))
}

fn untag_resource(call: &Call<'_>, input: &Input) -> Outcome {
    remove(call, input, &call.resource(input)?)
}

/// Removes the tags with the keys of a request; those that are not there do not matter.
fn remove(call: &Call<'_>, input: &Input, resource: &Resource<'_>) -> Outcome {
    let whose = resource.to_string();
    check_characters(
        call,
        input.texts("TagKeys"),
        &format!("remove tags from {whose}"),
    )?;
    call.change(resource, |tags, _| {
        for key in input.texts("TagKeys") {
            tags.remove(key);
        }
        Ok(Output::Nothing)
    })
}

fn list_tags_for_stream(call: &Call<'_>, input: &Input) -> Outcome {
    let resource = Resource::Stream(call.addressed(input)?);
    let limit = input.count("Limit").unwrap_or(usize::MAX);
    let after = input.text("ExclusiveStartTagKey");
    call.look(&resource, |tags, _| {
        let mut left = tags
            .iter()
            .filter(|(key, _)| after.is_none_or(|after| key.as_str() > after))
            .peekable();
        let listed: Vec<_> = left.by_ref().take(limit).map(tag_value).collect();
        let has_more = left.peek().is_some();
        Output::Members(
            Value::structure()
                .with("Tags", Value::List(listed))
                .with("HasMoreTags", has_more),
        )
    })
}

fn list_tags_for_resource(call: &Call<'_>, input: &Input) -> Outcome {
    call.look(&call.resource(input)?, |tags, _| {
        let listed = Value::list(tags.iter().map(tag_value));
        Output::Members(Value::structure().with("Tags", listed))
    })
}

fn tag_value((key, value): (&String, &String)) -> Value {
    Value::structure()
        .with("Key", key.as_str())
        .with("Value", value.as_str())
}

/// Tags as they are kept.
pub(super) fn owned_tags(tags: &[(&str, &str)]) -> Tags {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    tags.iter().map(owned).collect()
}

/// Checks tags that are to be added to a resource, as `stream orders`, that has none.
pub(super) fn check_tags(
    call: &Call<'_>,
    whose: &str,
    tags: &[(&str, &str)],
) -> Result<(), Exception> {
    let texts = tags.iter().flat_map(|(key, value)| [*key, *value]);
    check_characters(call, texts, &format!("add tags to {whose}"))?;
    check_count(call, whose, tags.len())
}

fn check_count(call: &Call<'_>, whose: &str, count: usize) -> Result<(), Exception> {
    if count <= TAGS_MAX {
        return Ok(());
    }
    // The service's text still has the number of before.
    Err(Exception::invalid_argument(format!(
        "Failed to add tags to {whose} under account {} because a given stream cannot have more than \
         10 tags associated with it.",
        call.service.account_id()
    )))
}

/// Checks the characters of keys and values, in two steps as the service does: the first lets a `%`
/// pass, and the second does not.
fn check_characters<'a>(
    call: &Call<'_>,
    texts: impl Iterator<Item = &'a str>,
    aim: &str,
) -> Result<(), Exception> {
    let is_valid = |c: char| {
        c.is_alphanumeric()
            // The service does not count tabs and ends of lines as white space.
            || c.is_whitespace() && !c.is_control()
            || matches!(c, '_' | '.' | ':' | '/' | '=' | '+' | '-' | '@' | '%')
    };
    let texts: Vec<_> = texts.collect();
    if !texts.iter().all(|text| text.chars().all(is_valid)) {
        return Err(Exception::invalid_argument(
            "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white \
             space, _ . / = + - % @.",
        ));
    }
    if texts.iter().any(|text| text.contains('%')) {
        return Err(Exception::invalid_argument(format!(
            "Failed to {aim} under account {} because some tags contained illegal characters. The \
             allowed characters are Unicode letters, white-spaces, '_',',','/','=','+','-','@'.",
            call.service.account_id()
        )));
    }
    Ok(())
}
