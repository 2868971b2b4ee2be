//! What an ARN of a resource names: a stream, a consumer or a channel, with its tags and its policy.

use std::collections::BTreeMap;
use std::fmt;

use crate::protocol::arn;
use crate::protocol::exception::Exception;
use crate::protocol::operations::Call;
use crate::protocol::operations::consumers::ConsumerKey;
use crate::protocol::shape::Input;

/// The tags of a resource.
pub(super) type Tags = BTreeMap<String, String>;

/// What an ARN names, whether it is there or not.
#[derive(Clone, Copy, Debug)]
pub(super) enum Resource<'a> {
    Stream(&'a str),
    Consumer(ConsumerKey<'a>),
    /// By its id.
    Channel(&'a str),
}

impl fmt::Display for Resource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(name) => write!(f, "stream {name}"),
            Self::Consumer(key) => write!(f, "consumer {key}"),
            Self::Channel(id) => write!(f, "channel {id}"),
        }
    }
}

impl Call<'_> {
    /// The resource that a request is about.
    pub(super) fn resource<'i>(&self, input: &'i Input) -> Result<Resource<'i>, Exception> {
        let arn = input.text("ResourceARN").expect("it is required");
        let resource = arn::Parts::of(arn).map_or("", |parts| parts.resource);
        if resource.starts_with("channel/") {
            return self.channel_of_arn(arn).map(Resource::Channel);
        }
        if resource.starts_with("stream/") && resource.contains("/consumer/") {
            return self.consumer_of_arn(arn).map(Resource::Consumer);
        }
        if resource.starts_with("stream/") {
            return self.stream_of_arn(arn).map(Resource::Stream);
        }
        let account = self.service.account_id();
        Err(Exception::not_found(format!(
            "Resource {arn} under account {account} not found."
        )))
    }

    /// Looks at the tags and the policy of a resource in whichever state. It is locked meanwhile.
    pub(super) fn look<T>(
        &self,
        resource: &Resource<'_>,
        look: impl FnOnce(&Tags, Option<&str>) -> T,
    ) -> Result<T, Exception> {
        match resource {
            Resource::Stream(name) => {
                let stream = self.stream_named(name)?;
                let attributes = self.state(&stream).attributes();
                Ok(look(&attributes.tags, attributes.policy.as_deref()))
            }
            Resource::Consumer(key) => {
                let stream = self.stream_of_consumer(key)?;
                self.with_consumer(&stream, key, |consumer| {
                    Ok(look(&consumer.tags, consumer.policy.as_deref()))
                })
            }
            Resource::Channel(id) => Ok(look(&self.channel(id)?.tags, None)),
        }
    }

    /// Changes the tags or the policy of a resource that is neither being created nor deleted. It is
    /// locked meanwhile. Those of a channel do not change.
    pub(super) fn change<T>(
        &self,
        resource: &Resource<'_>,
        change: impl FnOnce(&mut Tags, &mut Option<String>) -> Result<T, Exception>,
    ) -> Result<T, Exception> {
        match resource {
            Resource::Stream(name) => {
                let stream = self.stream_named(name)?;
                self.check_established(&stream)?;
                let mut attributes = self.state(&stream).attributes();
                let attributes = &mut *attributes;
                change(&mut attributes.tags, &mut attributes.policy)
            }
            Resource::Consumer(key) => {
                let stream = self.stream_of_consumer(key)?;
                self.with_consumer(&stream, key, |consumer| {
                    self.check_consumer_active(key, consumer)?;
                    change(&mut consumer.tags, &mut consumer.policy)
                })
            }
            Resource::Channel(id) => {
                self.channel(id)?;
                Err(Exception::invalid_argument(format!(
                    "Channel {id} under account {} has the tags that it was created with, and no \
                     policy.",
                    self.service.account_id()
                )))
            }
        }
    }
}
