//! The data of a record to be put, in whichever form the caller has it.

use std::borrow::Cow;
use std::fmt;
use std::mem;

use bytes::{Bytes, BytesMut};

/// Data to be put, borrowed or owned.
///
/// Every usual form of bytes or text converts into it. Data of up to 512 bytes is copied into the
/// stream's memory in any case, so borrowed data costs nothing more. Of larger data the stream keeps a
/// handle if it is given [`Bytes`] or a value that turns into them, and copies it once if it is
/// borrowed. As long as key and data have 2,040 bytes together, it is copied unless it is [`Bytes`]: that
/// takes half the time of keeping a `Vec`.
///
/// ```
/// use bytes::Bytes;
/// use brooklet::Stream;
///
/// let producer = Stream::new("orders", 1)?.producer();
/// let line = String::from("two teapots, one cup");
/// producer.put_record("customer-17", &line[..11])?;
/// producer.put_record("customer-17", b"three cups")?;
/// producer.put_record("customer-17", vec![7; 1000])?;
/// producer.put_record("customer-17", Bytes::from_static(b"a tray"))?;
/// # Ok::<(), brooklet::Error>(())
/// ```
#[derive(Clone)]
pub struct Data<'a> {
    form: Form<'a>,
}

#[derive(Clone)]
enum Form<'a> {
    Slice(&'a [u8]),
    /// The bytes, and the handle that they are of: they are found here as in the other forms.
    Shared(&'a [u8], &'a Bytes),
    Bytes(Bytes),
    Vec(Vec<u8>),
}

impl<'d> Data<'d> {
    /// The bytes.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        match &self.form {
            Form::Slice(slice) => slice,
            Form::Shared(slice, _) => slice,
            Form::Bytes(bytes) => bytes,
            Form::Vec(vec) => vec,
        }
    }

    /// Whether it is borrowed, so that there is nothing to drop.
    #[inline]
    pub(crate) const fn is_borrowed(&self) -> bool {
        matches!(self.form, Form::Slice(_) | Form::Shared(..))
    }

    /// How it is to be stored in a record with a key of so many bytes.
    #[inline]
    pub(crate) fn payload(&mut self, key_bytes: usize) -> Payload<'_, 'd> {
        let len = self.as_slice().len();
        if len > INLINE_BYTES_MAX && !self.is_better_copied(key_bytes) {
            return Payload::Handle(len, Handle(&mut self.form));
        }
        Payload::Copy(self.as_slice())
    }

    /// The bytes, if they are to be copied into a record with a key of so many bytes.
    #[inline]
    pub(crate) fn copied(&self, key_bytes: usize) -> Option<&[u8]> {
        let bytes = self.as_slice();
        (bytes.len() <= INLINE_BYTES_MAX || self.is_better_copied(key_bytes)).then_some(bytes)
    }

    /// Whether it is copied, though it is large enough for a handle: a slice would be copied in any
    /// case, and memory that was allocated for it is better given back at once, while it is at hand,
    /// than kept beside the log. Whoever puts [`Bytes`] has them so that they are not copied.
    #[inline]
    fn is_better_copied(&self, key_bytes: usize) -> bool {
        matches!(self.form, Form::Slice(_) | Form::Vec(_))
            && key_bytes + self.as_slice().len() <= COPIED_BODY_BYTES_MAX
    }

    #[cfg(test)]
    fn take(&mut self) -> Bytes {
        Handle(&mut self.form).take()
    }
}

/// Data of up to so many bytes is copied; of larger data the handle is kept.
///
/// Copying 512 bytes costs about as much as counting references twice, and leaves nothing to drop.
/// A model's chunks are too small for that.
pub(crate) const INLINE_BYTES_MAX: usize = if cfg!(all(test, any(loom, shuttle))) {
    16
} else {
    512
};

/// Data that is no [`Bytes`] is copied as long as it has, with its key, so many bytes: as many as every
/// chunk has room for. That takes half the time of keeping memory which was allocated for it, or would
/// have to be. Not in a model, which has no such chunk.
pub(crate) const COPIED_BODY_BYTES_MAX: usize = if cfg!(all(test, any(loom, shuttle))) {
    0
} else {
    2040
};

/// How data is to be stored: looked at once for each put.
pub(crate) enum Payload<'a, 'd> {
    /// It is small: copied.
    Copy(&'a [u8]),
    /// It has so many bytes: a handle is kept.
    Handle(usize, Handle<'a, 'd>),
}

/// Data out of which a handle can be taken.
pub(crate) struct Handle<'a, 'd>(&'a mut Form<'d>);

impl Payload<'_, '_> {
    #[inline]
    pub(crate) const fn len(&self) -> usize {
        match self {
            Self::Copy(bytes) => bytes.len(),
            Self::Handle(len, _) => *len,
        }
    }

    #[inline]
    pub(crate) const fn is_handle(&self) -> bool {
        matches!(self, Self::Handle(..))
    }
}

impl Handle<'_, '_> {
    /// Takes the data out, and leaves none.
    pub(crate) fn take(&mut self) -> Bytes {
        match mem::replace(self.0, Form::Slice(&[])) {
            Form::Slice(slice) => Bytes::copy_from_slice(slice),
            Form::Shared(_, bytes) => bytes.clone(),
            Form::Bytes(bytes) => bytes,
            Form::Vec(vec) => vec.into(),
        }
    }
}

impl fmt::Debug for Data<'_> {
    /// Shows no data: it may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Data")
            .field("len", &self.as_slice().len())
            .finish_non_exhaustive()
    }
}

macro_rules! converts {
    ($($type:ty, $value:ident => $form:expr;)*) => {$(
        impl<'a> From<$type> for Data<'a> {
            #[inline]
            fn from($value: $type) -> Self {
                Self { form: $form }
            }
        }
    )*};
}

converts! {
    &'a [u8], slice => Form::Slice(slice);
    &'a str, text => Form::Slice(text.as_bytes());
    &'a Vec<u8>, vec => Form::Slice(vec);
    &'a String, text => Form::Slice(text.as_bytes());
    &'a Bytes, bytes => Form::Shared(bytes, bytes);
    &'a BytesMut, bytes => Form::Slice(bytes);
    Bytes, bytes => Form::Bytes(bytes);
    BytesMut, bytes => Form::Bytes(bytes.freeze());
    Vec<u8>, vec => Form::Vec(vec);
    String, text => Form::Vec(text.into_bytes());
    Box<[u8]>, bytes => Form::Vec(bytes.into_vec());
    Box<str>, text => Form::Vec(text.into_string().into_bytes());
}

impl<'a, const N: usize> From<&'a [u8; N]> for Data<'a> {
    #[inline]
    fn from(array: &'a [u8; N]) -> Self {
        Self {
            form: Form::Slice(array),
        }
    }
}

impl<const N: usize> From<[u8; N]> for Data<'_> {
    #[inline]
    fn from(array: [u8; N]) -> Self {
        Self {
            form: Form::Vec(array.into()),
        }
    }
}

impl<'a> From<Cow<'a, [u8]>> for Data<'a> {
    fn from(data: Cow<'a, [u8]>) -> Self {
        match data {
            Cow::Borrowed(slice) => slice.into(),
            Cow::Owned(vec) => vec.into(),
        }
    }
}

impl<'a> From<Cow<'a, str>> for Data<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_holds_the_same_bytes_and_gives_them_away_once() {
        let (text, vec, bytes) = (String::from("data"), b"data".to_vec(), Bytes::from("data"));
        let buffer = BytesMut::from("data");
        let forms: [Data<'_>; 17] = [
            b"data"[..].into(),
            b"data".into(),
            (*b"data").into(),
            "data".into(),
            (&vec).into(),
            (&text).into(),
            (&bytes).into(),
            (&buffer).into(),
            bytes.clone().into(),
            BytesMut::from("data").into(),
            vec.clone().into(),
            text.clone().into(),
            vec.clone().into_boxed_slice().into(),
            text.clone().into_boxed_str().into(),
            Cow::Borrowed("data").into(),
            Cow::<str>::Owned(text.clone()).into(),
            Cow::<[u8]>::Owned(vec.clone()).into(),
        ];
        for mut data in forms {
            assert_eq!(data.as_slice(), b"data");
            assert_eq!(data.payload(1).len(), 4);
            assert_eq!(data.take(), bytes);
            assert_eq!(data.as_slice(), b"");
        }
    }

    #[test]
    fn all_but_bytes_is_copied_as_long_as_it_fits_every_chunk() {
        let copied_max = |of: &dyn Fn(usize) -> Data<'static>, key_bytes| {
            let copied = |len: &usize| !of(*len).payload(key_bytes).is_handle();
            (0..3000).filter(copied).max().unwrap()
        };
        for key_bytes in [1, 12, 1024] {
            let most = |of| copied_max(of, key_bytes);
            assert_eq!(most(&|len| vec![7; len].into()), 2040 - key_bytes);
            assert_eq!(most(&|len| Data::from(&[7; 3000][..len])), 2040 - key_bytes);
            assert_eq!(most(&|len| Bytes::from(vec![7; len]).into()), 512);
        }
    }

    #[test]
    fn a_handle_is_taken_without_a_copy() {
        let bytes = Bytes::from(vec![7; 1000]);
        for mut data in [Data::from(&bytes), Data::from(bytes.clone())] {
            assert_eq!(data.take().as_ptr(), bytes.as_ptr());
        }
    }
}
