//! Policies of streams and consumers: kept and given back, not enforced.

use crate::protocol::exception::Exception;
use crate::protocol::json;
use crate::protocol::operations::{Call, Operation, Outcome, Output};
use crate::protocol::shape::{Input, Member, Shape, Text};
use crate::protocol::shapes::RESOURCE_ARN;
use crate::protocol::value::Value;

const RESOURCE: Member = Member::required("ResourceARN", RESOURCE_ARN);

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "PutResourcePolicy",
        members: &[
            RESOURCE,
            Member::required("Policy", Shape::Text(Text::of(0, usize::MAX))),
        ],
        run: put_resource_policy,
    },
    Operation {
        name: "GetResourcePolicy",
        members: &[RESOURCE],
        run: get_resource_policy,
    },
    Operation {
        name: "DeleteResourcePolicy",
        members: &[RESOURCE],
        run: delete_resource_policy,
    },
];

/// Bytes of a policy, at most.
const POLICY_BYTES_MAX: usize = 20 * 1024;

fn put_resource_policy(call: &Call<'_>, input: &Input) -> Outcome {
    let arn = input.text("ResourceARN").expect("it is required");
    let policy = input.text("Policy").expect("it is required");
    check_policy(policy, arn)?;
    call.change(&call.resource(input)?, |_, kept| {
        if policy.len() > POLICY_BYTES_MAX {
            return Err(Exception::limit_exceeded(format!(
                "Policy of {} bytes is more than {POLICY_BYTES_MAX}.",
                policy.len()
            )));
        }
        *kept = Some(policy.to_owned());
        Ok(Output::Nothing)
    })
}

fn get_resource_policy(call: &Call<'_>, input: &Input) -> Outcome {
    let policy = call.look(&call.resource(input)?, |_, policy| {
        policy.unwrap_or("{}").to_owned()
    })?;
    Ok(Output::Members(Value::structure().with("Policy", policy)))
}

fn delete_resource_policy(call: &Call<'_>, input: &Input) -> Outcome {
    call.change(&call.resource(input)?, |_, kept| match kept.take() {
        Some(_) => Ok(Output::Nothing),
        None => {
            let arn = input.text("ResourceARN").expect("it is required");
            Err(Exception::not_found(format!(
                "No resource policy found for resource ARN {arn}"
            )))
        }
    })
}

/// Checks that a policy is a document whose statements are about one resource.
fn check_policy(policy: &str, arn: &str) -> Result<(), Exception> {
    let Ok(Value::Map(document)) = json::decode(policy.as_bytes()) else {
        return Err(Exception::invalid_argument(
            "Policy is not a valid JSON document.",
        ));
    };
    for statement in all_of(&document, "Statement") {
        let Value::Map(statement) = statement else {
            return Err(Exception::invalid_argument(
                "Policy has a Statement that is no JSON object.",
            ));
        };
        for resource in all_of(statement, "Resource") {
            if !matches!(resource, Value::Text(pattern) if covers(pattern, arn)) {
                return Err(Exception::invalid_argument(format!(
                    "Policy has a Resource other than {arn}."
                )));
            }
        }
    }
    Ok(())
}

/// The values of a member that may be one or a list.
fn all_of<'a>(members: &'a [(String, Value)], name: &str) -> &'a [Value] {
    let mut named = members.iter().rev().filter(|(member, _)| member == name);
    match named.next() {
        Some((_, Value::List(values))) => values,
        Some((_, value)) => std::slice::from_ref(value),
        None => &[],
    }
}

/// Whether a text matches a pattern in which `*` is anything.
fn covers(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut left) = text.strip_prefix(first) else {
        return false;
    };
    let (between, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in between.split('*') {
        // The earliest place leaves the most to what follows.
        let Some((_, behind)) = left.split_once(part) else {
            return false;
        };
        left = behind;
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text, is_covered) in [
            ("stream/a", "stream/a", true),
            ("stream/a", "stream/ab", false),
            ("*", "", true),
            ("*", "stream/a", true),
            ("stream/*", "stream/", true),
            ("stream/*", "strea", false),
            ("*/a", "stream/a", true),
            ("*/a", "stream/ab", false),
            ("s*m/*a", "stream/a", true),
            ("s*m*a", "sma", true),
            ("s*m*a", "sa", false),
            ("a*a", "a", false),
            ("a**b", "ab", true),
            ("*ab*", "aab", true),
        ] {
            assert_eq!(covers(pattern, text), is_covered, "{pattern} {text}");
        }
    }
}
