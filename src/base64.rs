//! Base64 as the wire has it (RFC 4648, section 4): padded, and one text for each data.
//!
//! The vectors are those of `base64-turbo`, three times as fast at reading as those of `base64-simd`. It
//! takes a few texts that no encoder writes: with bits in the last letter that stand for nothing, or
//! padding that is too long. Such a text is none here.

use base64_turbo::STANDARD;

/// Letters that are read together.
const LETTERS: usize = 4;
/// The bytes that they stand for.
const BYTES: usize = 3;

/// The text of data.
pub(crate) fn encode_base64(data: impl AsRef<[u8]>) -> String {
    STANDARD.encode(data)
}

/// Appends the text of data.
#[cfg(feature = "protocol")]
pub(crate) fn append_base64(data: &[u8], out: &mut Vec<u8>) {
    let from = out.len();
    out.resize(from + STANDARD.encoded_len(data.len()), 0);
    let written = STANDARD.encode_into(data, &mut out[from..]);
    written.expect("there is as much room as it takes");
}

/// How many bytes a text stands for, if it is one.
pub(crate) fn base64_len(text: &[u8]) -> Option<usize> {
    if !text.len().is_multiple_of(LETTERS) {
        return None;
    }
    let padding = match text {
        [.., b'=', b'='] => 2,
        [.., b'='] => 1,
        _ => 0,
    };
    Some(text.len() / LETTERS * BYTES - padding)
}

/// The room that reading a text of so many letters takes: a little more than is left there.
pub(crate) const fn base64_room(letters: usize) -> usize {
    STANDARD.estimate_decoded_len(letters)
}

/// Reads a text into as much [room](base64_room) as it takes, and says how much of it are data.
pub(crate) fn decode_base64_into(text: &[u8], room: &mut [u8]) -> Option<usize> {
    let len = base64_len(text)?;
    let read = STANDARD.decode_into(text, room).ok()?;
    (read == len && is_last_as_written(text, &room[..len])).then_some(len)
}

/// The data that a text stands for, if it is one.
pub(crate) fn decode_base64(text: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    let text = text.as_ref();
    let mut data = vec![0; base64_room(text.len())];
    let len = decode_base64_into(text, &mut data)?;
    data.truncate(len);
    Some(data)
}

/// Whether the last letters are those that are written for the last bytes.
fn is_last_as_written(text: &[u8], data: &[u8]) -> bool {
    let Some(last) = text.last_chunk::<LETTERS>() else {
        return text.is_empty();
    };
    let whole = text.len() / LETTERS - 1;
    let mut written = [0; LETTERS];
    let count = STANDARD.encode_into(&data[whole * BYTES..], &mut written);
    count == Ok(LETTERS) && written == *last
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]
        #[test]
        fn a_text_is_read_if_it_is_the_one_that_is_written(
            data in vec(any::<u8>(), 0..300),
            edits in vec((any::<Index>(), any::<bool>(), 0..3_u8, select(b"=A/+z_-\n\x80".as_slice())), 0..3),
        ) {
            let text = encode_base64(&data);
            prop_assert_eq!(&text, &data_encoding::BASE64.encode(&data));
            let mut text = text.into_bytes();
            for (at, is_late, edit, letter) in edits {
                if text.is_empty() {
                    break;
                }
                let at = match is_late {
                    true => text.len() - 1 - at.index(text.len().min(5)),
                    false => at.index(text.len()),
                };
                match edit {
                    0 => text[at] = letter,
                    1 => text.insert(at, letter),
                    _ => drop(text.remove(at)),
                }
            }
            let read = decode_base64(&text);
            // That one reads texts which are put together, too.
            let other = data_encoding::BASE64.decode(&text).ok();
            let other = other.filter(|data| data_encoding::BASE64.encode(data).as_bytes() == text);
            prop_assert_eq!(&read, &other);
            let mut room = vec![1; base64_room(text.len())];
            let len = decode_base64_into(&text, &mut room);
            prop_assert_eq!(len.map(|len| room[..len].to_vec()), read);
            prop_assert!(len.is_none() || len == base64_len(&text));
        }
    }

    #[test]
    fn what_stands_for_nothing_is_refused() {
        for text in [
            "A",
            "AA",
            "AA=",
            "AB==",
            "AAB=",
            "A===",
            "====",
            "AA==AA==",
            "AA==A",
            "4jajM/A==",
            "AA\n==",
        ] {
            assert_eq!(decode_base64(text), None, "{text:?}");
        }
        assert_eq!(decode_base64(""), Some(Vec::new()));
    }
}
