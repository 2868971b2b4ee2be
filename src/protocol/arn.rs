//! The names of resources across accounts.

use crate::protocol::Service;

/// The parts of an ARN of the service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    region: &'a str,
    account_id: &'a str,
    /// What follows the account, as `stream/orders`.
    pub(crate) resource: &'a str,
}

impl<'a> Parts<'a> {
    /// Reads an ARN; `None` if it is none of the service.
    pub(crate) fn of(arn: &'a str) -> Option<Self> {
        let mut parts = arn.splitn(6, ':');
        let (scheme, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
        let (region, account_id, resource) = (parts.next()?, parts.next()?, parts.next()?);
        let is_ours = scheme == "arn" && partition.starts_with("aws") && service == "kinesis";
        is_ours.then_some(Self {
            region,
            account_id,
            resource,
        })
    }

    /// Whether it names something in the account and the region of a service.
    pub(crate) fn is_of(&self, service: &Service) -> bool {
        self.region == service.region() && self.account_id == service.account_id()
    }
}

impl Service {
    /// The ARN of a resource of this account.
    fn arn(&self, resource: &str) -> String {
        let (region, account_id) = (self.region(), self.account_id());
        let partition = match region {
            region if region.starts_with("cn-") => "aws-cn",
            region if region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        };
        format!("arn:{partition}:kinesis:{region}:{account_id}:{resource}")
    }

    /// The ARN of a stream.
    pub(crate) fn stream_arn(&self, name: &str) -> String {
        self.arn(&format!("stream/{name}"))
    }

    /// The ARN of a consumer: with when it was registered, so that one of the same name that is
    /// registered later has another.
    pub(crate) fn consumer_arn(&self, stream: &str, consumer: &str, created_secs: u64) -> String {
        self.arn(&format!(
            "stream/{stream}/consumer/{consumer}:{created_secs}"
        ))
    }

    /// The ARN of a channel.
    pub(crate) fn channel_arn(&self, channel_id: &str) -> String {
        self.arn(&format!("channel/{channel_id}"))
    }
}
