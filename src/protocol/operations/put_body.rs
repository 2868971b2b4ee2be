//! The bodies of puts, read straight into records.
//!
//! Nearly all puts are as they should be, and their data is most of what travels. They are read here
//! without a value for each member, and nothing in them is copied but data that has to be decoded, right
//! when its letters are near. Whatever is not as expected gives `None`: the way of all other operations
//! then finds out whether it is right, and says what is wrong with it.

use std::mem;

use memchr::memchr;
use minicbor::Decoder;
use minicbor::data::Type;

use crate::base64::{base64_len, base64_room, decode_base64, decode_base64_into};
use crate::data::{COPIED_BODY_BYTES_MAX, Data};
use crate::protocol::codec::Encoding;
use crate::protocol::operations::records::{Asked, ENTRIES_MAX};

/// The body of `PutRecords`, or of `PutRecord` as that of one record.
pub(super) struct PutBody<'a, Records> {
    pub(super) stream_name: Option<&'a str>,
    pub(super) stream_arn: Option<&'a str>,
    pub(super) records: Records,
}

/// Letters of the longest data that is copied.
const COPIED_LETTERS_MAX: usize = COPIED_BODY_BYTES_MAX.div_ceil(3) * 4;

/// How much room the data of so many records of a body takes: none, if it is not decoded.
pub(super) fn room_bytes(encoding: Encoding, body: &[u8], records: usize) -> usize {
    if encoding == Encoding::Cbor {
        return 0;
    }
    let of_body = base64_room(body.len()) + records * base64_room(0);
    of_body.min(records * base64_room(COPIED_LETTERS_MAX))
}

impl<'a> PutBody<'a, Vec<Asked<'a>>> {
    /// The body of a `PutRecords` that asks for nothing rare. Data is decoded into [room](room_bytes).
    pub(super) fn of_many(encoding: Encoding, body: &'a [u8], room: &'a mut [u8]) -> Option<Self> {
        match encoding {
            Encoding::Json => Self::read_many(Json::new(body, room)),
            Encoding::Cbor => Self::read_many(Decoder::new(body)),
        }
    }

    fn read_many(mut body: impl Document<'a>) -> Option<Self> {
        let (mut stream_name, mut stream_arn, mut records) = (None, None, None);
        body.each_member(|member, body| match member {
            Member::StreamName => set(&mut stream_name, body.text()?),
            Member::StreamArn => set(&mut stream_arn, body.text()?),
            Member::Records => set(&mut records, few(body)?),
            _ => None,
        })?;
        body.end()?;
        Some(Self {
            stream_name,
            stream_arn,
            records: records?,
        })
    }
}

impl<'a> PutBody<'a, Asked<'a>> {
    /// The body of a `PutRecord` that asks for nothing rare. Data is decoded into [room](room_bytes).
    pub(super) fn of_one(encoding: Encoding, body: &'a [u8], room: &'a mut [u8]) -> Option<Self> {
        match encoding {
            Encoding::Json => Self::read_one(Json::new(body, room)),
            Encoding::Cbor => Self::read_one(Decoder::new(body)),
        }
    }

    fn read_one(mut body: impl Document<'a>) -> Option<Self> {
        let (mut stream_name, mut stream_arn) = (None, None);
        let mut record = Members::default();
        body.each_member(|member, body| match member {
            Member::StreamName => set(&mut stream_name, body.text()?),
            Member::StreamArn => set(&mut stream_arn, body.text()?),
            _ => record.read(member, body),
        })?;
        body.end()?;
        Some(Self {
            stream_name,
            stream_arn,
            records: record.finish()?,
        })
    }
}

/// Reads as many records as a call may have: who sends more is told so on the other way.
fn few<'a>(body: &mut impl Document<'a>) -> Option<Vec<Asked<'a>>> {
    let mut records = Vec::with_capacity(ENTRIES_MAX);
    body.each_item(|body| {
        if records.len() == ENTRIES_MAX {
            return None;
        }
        let mut record = Members::default();
        body.each_member(|member, body| record.read(member, body))?;
        records.push(record.finish()?);
        Some(())
    })?;
    Some(records)
}

/// What was read of a record.
#[derive(Default)]
struct Members<'a> {
    partition_key: Option<&'a str>,
    explicit_hash_key: Option<&'a str>,
    data: Option<Data<'a>>,
}

impl<'a> Members<'a> {
    fn read(&mut self, member: Member, body: &mut impl Document<'a>) -> Option<()> {
        match member {
            Member::PartitionKey => set(&mut self.partition_key, body.text()?),
            Member::ExplicitHashKey => set(&mut self.explicit_hash_key, body.text()?),
            Member::Data => set(&mut self.data, body.data()?),
            _ => None,
        }
    }

    fn finish(self) -> Option<Asked<'a>> {
        Some(Asked {
            partition_key: self.partition_key,
            explicit_hash_key: self.explicit_hash_key,
            data: self.data?,
        })
    }
}

/// Sets what is set once.
fn set<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    if slot.is_some() {
        return None;
    }
    *slot = Some(value);
    Some(())
}

/// A member of a body, or of a record in it.
#[derive(Clone, Copy)]
enum Member {
    Data,
    PartitionKey,
    ExplicitHashKey,
    Records,
    StreamName,
    StreamArn,
}

impl Member {
    /// Each, its name, and how JSON mostly has it.
    const ALL: [(Self, &'static [u8], &'static [u8]); 6] = [
        (Self::Data, b"Data", b"\"Data\":"),
        (Self::PartitionKey, b"PartitionKey", b"\"PartitionKey\":"),
        (Self::StreamName, b"StreamName", b"\"StreamName\":"),
        (Self::Records, b"Records", b"\"Records\":"),
        (Self::StreamArn, b"StreamARN", b"\"StreamARN\":"),
        (
            Self::ExplicitHashKey,
            b"ExplicitHashKey",
            b"\"ExplicitHashKey\":",
        ),
    ];

    fn of_name(name: &[u8]) -> Option<Self> {
        let named = Self::ALL.iter().find(|(_, known, _)| *known == name);
        named.map(|(member, ..)| *member)
    }
}

/// What is read value by value.
trait Document<'a>: Sized {
    /// Goes through the members of a map, all of which are known: `read` reads the value.
    fn each_member(&mut self, read: impl FnMut(Member, &mut Self) -> Option<()>) -> Option<()>;

    /// Goes through the items of a list: `item` reads one.
    fn each_item(&mut self, item: impl FnMut(&mut Self) -> Option<()>) -> Option<()>;

    fn text(&mut self) -> Option<&'a str>;

    fn data(&mut self) -> Option<Data<'a>>;

    /// Makes sure that nothing is left.
    fn end(&mut self) -> Option<()>;
}

/// Where the first byte is that ends a text or is not plain in it: a quote, an escape, or what cannot be seen.
///
/// Eight bytes at a time: one by one, names and keys took as long as the data.
fn first_special(bytes: &[u8]) -> Option<usize> {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    // The high bit of each byte below one of up to 0x80: the lowest is right, others may be carried into.
    let below = |word: u64, end: u8| word.wrapping_sub(EACH * u64::from(end)) & !word & (EACH << 7);
    let is = |word: u64, byte: u8| below(word ^ (EACH * u64::from(byte)), 1);
    let (words, rest) = bytes.as_chunks();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let special = below(word, b' ') | is(word, b'"') | is(word, b'\\');
        if special != 0 {
            return Some(8 * index + special.trailing_zeros() as usize / 8);
        }
    }
    let is_special = |byte: &u8| matches!(byte, ..b' ' | b'"' | b'\\');
    let at = rest.iter().position(is_special)?;
    Some(8 * words.len() + at)
}

/// JSON in which no text has an escape.
struct Json<'a> {
    rest: &'a [u8],
    /// How long the last data was.
    last_letters: usize,
    /// Where data is decoded to.
    room: &'a mut [u8],
}

impl<'a> Json<'a> {
    const fn new(body: &'a [u8], room: &'a mut [u8]) -> Self {
        Self {
            rest: body,
            last_letters: 0,
            room,
        }
    }

    /// Takes what is between two signs, in pieces that commas separate.
    fn each(
        &mut self,
        [open, close]: [u8; 2],
        mut piece: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        self.sign(open)?;
        if self.sign(close).is_some() {
            return Some(());
        }
        loop {
            piece(self)?;
            if self.sign(b',').is_none() {
                return self.sign(close);
            }
        }
    }

    /// Takes a sign, and the blanks before it.
    #[inline(always)]
    fn sign(&mut self, sign: u8) -> Option<()> {
        if let [first, rest @ ..] = self.rest
            && *first == sign
        {
            self.rest = rest;
            return Some(());
        }
        self.skip_blanks();
        self.rest = self.rest.strip_prefix(&[sign])?;
        Some(())
    }

    fn skip_blanks(&mut self) {
        while let [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// The data that base64 stands for, in the room, or in memory of its own that the stream then keeps.
    fn decoded(&mut self, text: &[u8]) -> Option<Data<'a>> {
        if base64_len(text)? > COPIED_BODY_BYTES_MAX {
            return decode_base64(text).map(Data::from);
        }
        let room = base64_room(text.len());
        let len = decode_base64_into(text, self.room.get_mut(..room)?)?;
        let (piece, rest) = mem::take(&mut self.room).split_at_mut(room);
        self.room = rest;
        Some(Data::from(&piece[..len]))
    }

    /// Takes a name, and the colon behind it.
    fn member(&mut self) -> Option<Member> {
        // To compare with what is known takes a few instructions each, to look for the end a hundred.
        for (member, _, quoted) in Member::ALL {
            if let Some(rest) = self.rest.strip_prefix(quoted) {
                self.rest = rest;
                return Some(member);
            }
        }
        let name = self.short()?;
        self.sign(b':')?;
        Member::of_name(name)
    }

    /// Takes a text that is not long.
    fn short(&mut self) -> Option<&'a [u8]> {
        self.sign(b'"')?;
        let end = first_special(self.rest)?;
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest.strip_prefix(b"\"")?;
        Some(text)
    }
}

impl<'a> Document<'a> for Json<'a> {
    fn each_member(&mut self, mut read: impl FnMut(Member, &mut Self) -> Option<()>) -> Option<()> {
        self.each(*b"{}", |json| {
            let member = json.member()?;
            read(member, json)
        })
    }

    fn each_item(&mut self, item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.each(*b"[]", item)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.short()?).ok()
    }

    fn data(&mut self) -> Option<Data<'a>> {
        self.sign(b'"')?;
        // Records of one call are often as long as each other: then nobody has to look for the end. A
        // quote before it is no base64.
        if let Some((text, [b'"', rest @ ..])) = self.rest.split_at_checked(self.last_letters)
            && let Some(data) = self.decoded(text)
        {
            self.rest = rest;
            return Some(data);
        }
        let end = memchr(b'"', self.rest)?;
        let text = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        // Not what takes long to find wrong.
        self.last_letters = end.min(COPIED_LETTERS_MAX);
        self.decoded(text)
    }

    fn end(&mut self) -> Option<()> {
        self.skip_blanks();
        self.rest.is_empty().then_some(())
    }
}

impl<'a> Document<'a> for Decoder<'a> {
    fn each_member(&mut self, mut read: impl FnMut(Member, &mut Self) -> Option<()>) -> Option<()> {
        let mut left = self.map().ok()?;
        while more(self, &mut left)? {
            let name = self.str().ok()?;
            read(Member::of_name(name.as_bytes())?, self)?;
        }
        Some(())
    }

    fn each_item(&mut self, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        let mut left = self.array().ok()?;
        while more(self, &mut left)? {
            item(self)?;
        }
        Some(())
    }

    fn text(&mut self) -> Option<&'a str> {
        self.str().ok()
    }

    fn data(&mut self) -> Option<Data<'a>> {
        self.bytes().ok().map(Data::from)
    }

    fn end(&mut self) -> Option<()> {
        (self.position() == self.input().len()).then_some(())
    }
}

/// Whether another item follows, of a length that is said or up to a break.
fn more(decoder: &mut Decoder<'_>, left: &mut Option<u64>) -> Option<bool> {
    match left {
        Some(0) => Some(false),
        Some(left) => {
            *left -= 1;
            Some(true)
        }
        None if decoder.datatype().ok()? == Type::Break => {
            decoder.skip().ok()?;
            Some(false)
        }
        None => Some(true),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::{self, Index};

    use crate::base64::encode_base64;

    use super::*;

    /// What JSON is made of, and what it is not.
    const SIGNS: &[u8] = b"{}[]:,\"\\ \n\t=/+YQkau1t\0\xc3\xa4\xff";

    /// Key and data of each record, if the body is read.
    fn read(body: &str) -> Option<Vec<(String, Vec<u8>)>> {
        let body = body.as_bytes();
        let mut room = vec![0; room_bytes(Encoding::Json, body, ENTRIES_MAX)];
        let read = PutBody::of_many(Encoding::Json, body, &mut room)?;
        assert_eq!(read.stream_name, Some("tea"));
        let records = read.records.into_iter();
        let records = records.map(|record| {
            let key = record.partition_key.expect("each has a key");
            (key.to_owned(), record.data.as_slice().to_vec())
        });
        Some(records.collect())
    }

    #[test]
    fn records_large_and_small_are_read_in_their_order_whatever_is_between_the_signs() {
        let sizes = [3, 0, 1024, COPIED_BODY_BYTES_MAX, 5000, 1];
        let records = sizes.map(|size| {
            let data = encode_base64(vec![b'x'; size]);
            format!("\n{{ \"Data\" :\t\"{data}\"\r, \"PartitionKey\":\"ä{size}\"}} ")
        });
        let body = format!(
            " {{\"Records\":[{}],\"StreamName\":\"tea\"}}\n",
            records.join(",")
        );
        let read = read(&body).expect("it is as it should be");
        for ((key, data), size) in read.into_iter().zip(sizes) {
            assert_eq!(key, format!("ä{size}"));
            assert_eq!(data, vec![b'x'; size]);
        }
    }

    #[test]
    fn whatever_is_not_as_expected_is_left_to_the_other_way() {
        let record = r#"{"PartitionKey":"k","Data":"YQ=="}"#;
        let whole = format!(r#"{{"StreamName":"tea","Records":[{record}]}}"#);
        assert_eq!(read(&whole), Some(vec![("k".to_owned(), b"a".to_vec())]));
        for (from, to) in [
            ("YQ==", "YQ"),
            ("YQ==", "Y===="),
            ("YQ==", "YR=="),
            ("YQ==", "Y Q="),
            ("YQ==", r"\/Q=="),
            ("YQ==", r"YQ\u003d"),
            ("\"YQ==\"", "null"),
            ("\"k\"", "null"),
            ("\"k\"", r#""\u006b""#),
            ("\"k\"", "\"\n\""),
            ("\"k\"", "\"k\",\"PartitionKey\":\"k\""),
            ("\"k\"", "\"k\",\"Colour\":1"),
            ("}]", "},]"),
            ("}]", "}"),
            ("]}", "]"),
            ("]}", "],}"),
            ("]}", "]}}"),
            ("]}", "],\"DryRun\":true}"),
            ("{\"Str", "[{\"Str"),
            (":", "="),
            ("\"tea\"", "'tea'"),
        ] {
            let other = whole.replacen(from, to, 1);
            assert_ne!(other, whole, "{from}");
            assert_eq!(read(&other), None, "{other}");
        }
        let many = vec![record; ENTRIES_MAX + 1].join(",");
        assert_eq!(read(&whole.replacen(record, &many, 1)), None);
        let most = vec![record; ENTRIES_MAX].join(",");
        let most = whole.replacen(record, &most, 1);
        assert_eq!(read(&most).map(|read| read.len()), Some(ENTRIES_MAX));
    }

    #[test]
    fn there_is_room_for_whatever_a_body_has() {
        let longest = COPIED_BODY_BYTES_MAX;
        for size in [0, 1, 2, 3, 4, 100, longest - 1, longest, longest + 1] {
            let data = encode_base64(vec![b'x'; size]);
            let record = format!(r#"{{"Data":"{data}","PartitionKey":"k"}}"#);
            let records = vec![record; ENTRIES_MAX].join(",");
            let body = format!(r#"{{"Records":[{records}],"StreamName":"tea"}}"#);
            assert_eq!(
                read(&body).map(|read| read.len()),
                Some(ENTRIES_MAX),
                "{size}"
            );
        }
    }

    proptest! {
        #[test]
        fn data_of_any_length_is_read_whatever_came_before(
            records in vec((0..30_usize, "[a-z]{1,9}"), 1..20)
        ) {
            let texts = records.iter().map(|(size, key)| {
                let data = encode_base64(vec![b'x'; *size]);
                format!(r#"{{"Data":"{data}","PartitionKey":"{key}"}}"#)
            });
            let texts: Vec<_> = texts.collect();
            let body = format!(r#"{{"Records":[{}],"StreamName":"tea"}}"#, texts.join(","));
            let expected = records.into_iter().map(|(size, key)| (key, vec![b'x'; size]));
            prop_assert_eq!(read(&body), Some(expected.collect()));
        }

        #[test]
        fn what_is_read_is_what_a_reader_of_any_json_reads(
            edits in vec((any::<Index>(), 0..3_u8, sample::select(SIGNS)), 0..4)
        ) {
            let record = r#"{"PartitionKey":"kä", "Data":"YWJj"}"#;
            let mut body = format!(r#" {{"StreamName":"tea","Records":[{record},{record}]}} "#).into_bytes();
            for (at, edit, sign) in edits {
                let at = at.index(body.len());
                match edit {
                    0 => body[at] = sign,
                    1 => body.insert(at, sign),
                    _ => drop(body.remove(at)),
                }
            }
            let mut room = vec![0; room_bytes(Encoding::Json, &body, ENTRIES_MAX)];
            let Some(read) = PutBody::of_many(Encoding::Json, &body, &mut room) else {
                return Ok(());
            };
            let value: serde_json::Value = serde_json::from_slice(&body).expect("it was read");
            prop_assert_eq!(read.stream_name, value["StreamName"].as_str());
            prop_assert_eq!(read.stream_arn, value["StreamARN"].as_str());
            let records = value["Records"].as_array().expect("a list was read");
            prop_assert_eq!(read.records.len(), records.len());
            for (read, record) in read.records.iter().zip(records) {
                prop_assert_eq!(read.partition_key, record["PartitionKey"].as_str());
                prop_assert_eq!(read.explicit_hash_key, record["ExplicitHashKey"].as_str());
                let data = record["Data"].as_str().and_then(decode_base64);
                prop_assert_eq!(Some(read.data.as_slice()), data.as_deref());
            }
        }
    }
}
