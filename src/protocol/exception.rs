//! The errors of the service, as they travel (the contract, 2.2 and 7.5).

use std::borrow::Cow;

use crate::protocol::value::Value;

/// An error with the name that the service has for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exception {
    name: Cow<'static, str>,
    message: Option<String>,
}

/// Declares constructors of exceptions by their names.
macro_rules! exceptions {
    ($($(#[$doc:meta])* $constructor:ident: $name:literal,)*) => {$(
        $(#[$doc])*
        pub(crate) fn $constructor(message: impl Into<String>) -> Self {
            Self { name: Cow::Borrowed($name), message: Some(message.into()) }
        }
    )*};
}

impl Exception {
    exceptions! {
        not_found: "ResourceNotFoundException",
        in_use: "ResourceInUseException",
        invalid_argument: "InvalidArgumentException",
        limit_exceeded: "LimitExceededException",
        throughput_exceeded: "ProvisionedThroughputExceededException",
        expired_iterator: "ExpiredIteratorException",
        expired_next_token: "ExpiredNextTokenException",
        validation: "ValidationException",
        serialization: "SerializationException",
        dry_run: "DryRunOperationException",
        missing_authentication: "MissingAuthenticationTokenException",
        incomplete_signature: "IncompleteSignatureException",
        invalid_signature: "InvalidSignatureException",
        unrecognized_client: "UnrecognizedClientException",
    }

    /// An exception whose name is made elsewhere, as that of an error of the engine.
    pub(crate) fn named(name: &'static str, message: impl Into<String>) -> Self {
        Self {
            name: Cow::Borrowed(name),
            message: Some(message.into()),
        }
    }

    /// What breaks the service itself; it has no text.
    pub(crate) const fn internal_failure() -> Self {
        Self {
            name: Cow::Borrowed("InternalFailure"),
            message: None,
        }
    }

    /// A body that cannot be read; it has no text.
    pub(crate) const fn unreadable() -> Self {
        Self {
            name: Cow::Borrowed("SerializationException"),
            message: None,
        }
    }

    /// An operation that is not known; it has no text.
    pub(crate) const fn unknown_operation() -> Self {
        Self {
            name: Cow::Borrowed("UnknownOperationException"),
            message: None,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// The HTTP status.
    pub(crate) fn status(&self) -> u16 {
        match &*self.name {
            "InternalFailure" | "InternalFailureException" => 500,
            _ => 400,
        }
    }

    /// The body of the answer.
    pub(crate) fn body(&self) -> Value {
        // The contract, 7.5: with a capital where a type could not be converted.
        let key = match &*self.name {
            "SerializationException" => "Message",
            _ => "message",
        };
        Value::structure()
            .with("__type", self.name())
            .with_some(key, self.message())
    }
}
