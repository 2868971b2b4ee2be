//! Channels: delivery of a stream's records to a store. Their state is kept; nothing is delivered.

use crate::protocol::operations::Call;

/// A channel.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    /// The stream that it is of.
    pub(crate) stream_arn: String,
}

impl Call<'_> {
    /// How many channels a stream has.
    pub(super) fn channel_count(&self, stream_arn: &str) -> usize {
        let channels = self.account.channels.lock();
        let of_stream = channels
            .values()
            .filter(|channel| channel.stream_arn == stream_arn);
        of_stream.count()
    }

    pub(super) fn has_channels(&self, stream_arn: &str) -> bool {
        self.channel_count(stream_arn) > 0
    }
}
