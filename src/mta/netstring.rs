//! Netstrings: `5:hello,` (D. J. Bernstein, 1997), the frames of socketmap.
//!
//! Knows: where a frame ends, and as early as possible that it never can. Must not know: what is in it.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use super::ReadError;

/// Longest payload of a request: what Postfix 3.12 sends at most.
pub const REQUEST_LIMIT: usize = 10_000;

/// Digits that a length may have. More is a length nobody means, or an attempt to overflow it.
const DIGITS: usize = 5;

/// What makes octets no netstring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// A length holds something else than digits, or none.
    NotALength {
        /// The octet that is no digit.
        octet: u8,
    },
    /// A length begins with a zero that isn't all of it.
    LeadingZero,
    /// A length has more digits than any frame needs.
    TooManyDigits,
    /// The length is above the limit.
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// The payload isn't followed by a comma.
    NoComma {
        /// What stands in its place.
        octet: u8,
    },
    /// The stream ended within a frame.
    CutShort,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::NotALength { octet } => {
                write!(f, "a netstring begins with its length, not with '{}'", octet.escape_ascii())
            }
            Broken::LeadingZero => f.write_str("a netstring's length has a leading zero"),
            Broken::TooManyDigits => write!(f, "a netstring's length has more than {DIGITS} digits"),
            Broken::TooLong { limit } => write!(f, "a netstring is longer than {limit} octets"),
            Broken::NoComma { octet } => {
                write!(f, "a netstring ends with a comma, not with '{}'", octet.escape_ascii())
            }
            Broken::CutShort => f.write_str("the stream ended within a netstring"),
        }
    }
}

impl std::error::Error for Broken {}

/// A frame at the beginning of some octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What is in it.
    pub payload: &'a [u8],
    /// Octets it takes, length and comma included.
    pub octets: usize,
}

/// The frame that `octets` begin with; `None` as long as it can still become one.
///
/// # Errors
/// As soon as no further octet could make it a frame: whoever sends `99999999999:` is not waited for.
pub fn first_frame(octets: &[u8], limit: usize) -> Result<Option<Frame<'_>>, Broken> {
    let Some((length, digits)) = length(octets, limit)? else { return Ok(None) };
    // The sums stay small: `length` is at most `limit`, the length of something that fits into memory.
    let start = digits.saturating_add(1);
    let end = start.saturating_add(length);
    match (octets.get(start..end), octets.get(end)) {
        (Some(payload), Some(b',')) => Ok(Some(Frame { payload, octets: end.saturating_add(1) })),
        (_, Some(&octet)) => Err(Broken::NoComma { octet }),
        (_, None) => Ok(None),
    }
}

/// The length and how many digits it has; `None` as long as its colon hasn't come.
fn length(octets: &[u8], limit: usize) -> Result<Option<(usize, usize)>, Broken> {
    let mut length = 0usize;
    for (position, &octet) in octets.iter().enumerate() {
        match octet {
            b':' if position > 0 => return Ok(Some((length, position))),
            b'0'..=b'9' if position == DIGITS => return Err(Broken::TooManyDigits),
            b'0'..=b'9' if position > 0 && length == 0 => return Err(Broken::LeadingZero),
            b'0'..=b'9' => {
                length = length.saturating_mul(10).saturating_add(usize::from(octet.wrapping_sub(b'0')));
                if length > limit {
                    return Err(Broken::TooLong { limit });
                }
            }
            _ => return Err(Broken::NotALength { octet }),
        }
    }
    Ok(None)
}

/// A stream of netstrings.
#[derive(Debug, Clone)]
pub struct Netstrings {
    limit: usize,
    broken: Option<Broken>,
}

impl Netstrings {
    /// Payloads up to `limit` octets.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Netstrings { limit, broken: None }
    }

    /// Takes the next whole frame off `stream` and hands its payload to `read`, which need not copy it.
    ///
    /// # Errors
    /// Once the stream is broken, always the same.
    pub fn next<T>(
        &mut self,
        stream: &mut BytesMut,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, Broken> {
        if let Some(broken) = self.broken {
            return Err(broken);
        }
        match first_frame(stream, self.limit) {
            Ok(Some(Frame { payload, octets })) => {
                let item = read(payload);
                stream.advance(octets);
                Ok(Some(item))
            }
            Ok(None) => Ok(None),
            Err(broken) => {
                self.broken = Some(broken);
                Err(broken)
            }
        }
    }

    /// As `next`, knowing that nothing more will come: a frame that isn't whole is broken.
    ///
    /// # Errors
    /// As `next`, and when the stream ends within a frame.
    pub fn last<T>(
        &mut self,
        stream: &mut BytesMut,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, Broken> {
        let item = self.next(stream, read)?;
        if item.is_none() && !stream.is_empty() {
            self.broken = Some(Broken::CutShort);
            return Err(Broken::CutShort);
        }
        Ok(item)
    }
}

impl Decoder for Netstrings {
    type Item = Bytes;
    type Error = ReadError<Broken>;

    fn decode(&mut self, stream: &mut BytesMut) -> Result<Option<Bytes>, Self::Error> {
        self.next(stream, Bytes::copy_from_slice).map_err(ReadError::Broken)
    }

    fn decode_eof(&mut self, stream: &mut BytesMut) -> Result<Option<Bytes>, Self::Error> {
        self.last(stream, Bytes::copy_from_slice).map_err(ReadError::Broken)
    }
}

impl Encoder<&[u8]> for Netstrings {
    type Error = ReadError<Broken>;

    fn encode(&mut self, payload: &[u8], stream: &mut BytesMut) -> Result<(), Self::Error> {
        if payload.len() > self.limit {
            return Err(ReadError::Broken(Broken::TooLong { limit: self.limit }));
        }
        write(stream, &[payload]);
        Ok(())
    }
}

/// Writes one frame whose payload is the parts, one after the other.
pub(super) fn write(stream: &mut BytesMut, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut digits = [0; 20];
    stream.reserve(length.saturating_add(digits.len()));
    stream.put_slice(decimal(length, &mut digits));
    stream.put_u8(b':');
    parts.iter().for_each(|part| stream.put_slice(part));
    stream.put_u8(b',');
}

/// The decimal digits of `number`, without an allocation: every lookup's answer passes here.
fn decimal(mut number: usize, digits: &mut [u8; 20]) -> &[u8] {
    let mut first = digits.len();
    for (position, place) in digits.iter_mut().enumerate().rev() {
        *place = b'0'.saturating_add(u8::try_from(number % 10).unwrap_or_default());
        first = position;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    digits.get(first..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame_of(payload: &[u8]) -> Vec<u8> {
        let mut stream = BytesMut::new();
        write(&mut stream, &[payload]);
        stream.to_vec()
    }

    fn broken(octets: &[u8]) -> Option<Broken> {
        first_frame(octets, REQUEST_LIMIT).err()
    }

    #[test]
    fn a_frame_is_its_length_a_colon_the_payload_and_a_comma() {
        let octets = b"15:relay 192.0.2.7,15:";
        assert_eq!(
            first_frame(octets, REQUEST_LIMIT),
            Ok(Some(Frame { payload: b"relay 192.0.2.7", octets: 19 }))
        );
        assert_eq!(frame_of(b"relay 192.0.2.7"), b"15:relay 192.0.2.7,");
    }

    #[test]
    fn commas_and_colons_within_the_payload_are_payload() {
        assert_eq!(first_frame(b"3:,:,,", 9), Ok(Some(Frame { payload: b",:,", octets: 6 })));
    }

    #[test]
    fn the_empty_frame_is_the_only_one_whose_length_begins_with_zero() {
        assert_eq!(first_frame(b"0:,", 9), Ok(Some(Frame { payload: b"", octets: 3 })));
        assert_eq!(broken(b"00"), Some(Broken::LeadingZero));
        assert_eq!(broken(b"05:hello,"), Some(Broken::LeadingZero));
    }

    #[test]
    fn the_longest_payload_is_taken_and_one_octet_more_refused_at_its_length() {
        let longest = frame_of(&[b'a'; REQUEST_LIMIT]);
        assert!(
            matches!(first_frame(&longest, REQUEST_LIMIT), Ok(Some(frame)) if frame.octets == longest.len())
        );
        assert_eq!(broken(b"10001"), Some(Broken::TooLong { limit: REQUEST_LIMIT }));
        assert_eq!(first_frame(b"10000", REQUEST_LIMIT), Ok(None));
    }

    #[test]
    fn what_can_never_become_a_frame_is_not_waited_for() {
        assert_eq!(broken(b"-"), Some(Broken::NotALength { octet: b'-' }));
        assert_eq!(broken(b":"), Some(Broken::NotALength { octet: b':' }));
        assert_eq!(broken(b"1 "), Some(Broken::NotALength { octet: b' ' }));
        assert_eq!(broken(b"GET / HTTP/1.1\r\n"), Some(Broken::NotALength { octet: b'G' }));
        assert_eq!(broken(b"\0"), Some(Broken::NotALength { octet: 0 }));
        assert_eq!(broken(b"99999"), Some(Broken::TooLong { limit: REQUEST_LIMIT }));
        assert_eq!(broken(b"1:ab"), Some(Broken::NoComma { octet: b'b' }));
    }

    #[test]
    fn a_sixth_digit_is_refused_whatever_the_limit() {
        assert_eq!(first_frame(b"99999", usize::MAX), Ok(None));
        assert_eq!(first_frame(b"999999", usize::MAX), Err(Broken::TooManyDigits));
    }

    #[test]
    fn a_part_of_a_frame_is_waited_for() {
        let whole = b"5:hello,";
        for end in 0..whole.len() {
            assert_eq!(first_frame(&whole[..end], 5), Ok(None), "{end}");
        }
    }

    #[test]
    fn a_broken_stream_stays_broken() {
        let mut netstrings = Netstrings::new(10);
        let mut stream = BytesMut::from("x".as_bytes());
        assert!(netstrings.decode(&mut stream).is_err());
        stream = BytesMut::from("1:a,".as_bytes());
        assert!(netstrings.decode(&mut stream).is_err());
        assert_eq!(&stream[..], b"1:a,");
    }

    #[test]
    fn at_the_end_whole_frames_are_given_and_a_part_is_broken() {
        let mut netstrings = Netstrings::new(10);
        let mut stream = BytesMut::from("1:a,0:,2:b".as_bytes());
        assert_eq!(netstrings.decode_eof(&mut stream).unwrap(), Some(Bytes::from_static(b"a")));
        assert_eq!(netstrings.decode_eof(&mut stream).unwrap(), Some(Bytes::new()));
        assert!(matches!(netstrings.decode_eof(&mut stream), Err(ReadError::Broken(Broken::CutShort))));
        assert_eq!(Netstrings::new(10).decode_eof(&mut BytesMut::new()).unwrap(), None);
    }

    #[test]
    fn the_encoder_refuses_what_the_decoder_would() {
        let mut netstrings = Netstrings::new(2);
        let mut stream = BytesMut::new();
        netstrings.encode(b"ab".as_slice(), &mut stream).unwrap();
        assert!(netstrings.encode(b"abc".as_slice(), &mut stream).is_err());
        assert_eq!(&stream[..], b"2:ab,");
    }

    #[test]
    fn lengths_are_written_in_plain_decimal() {
        for number in [0, 9, 10, 99_999, usize::MAX] {
            assert_eq!(decimal(number, &mut [0; 20]), number.to_string().as_bytes());
        }
    }

    proptest! {
        #[test]
        fn payloads_survive_any_way_of_splitting_the_stream(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8),
            cuts in prop::collection::vec(1usize..9, 1..40),
        ) {
            let whole: Vec<u8> = payloads.iter().flat_map(|payload| frame_of(payload)).collect();
            let mut netstrings = Netstrings::new(40);
            let (mut stream, mut found, mut rest) = (BytesMut::new(), Vec::new(), whole.as_slice());
            for cut in cuts.iter().cycle() {
                let (piece, later) = rest.split_at((*cut).min(rest.len()));
                stream.extend_from_slice(piece);
                while let Some(payload) = netstrings.decode(&mut stream).unwrap() {
                    found.push(payload.to_vec());
                }
                rest = later;
                if rest.is_empty() { break; }
            }
            prop_assert_eq!(netstrings.decode_eof(&mut stream).unwrap(), None);
            prop_assert_eq!(found, payloads);
        }

        #[test]
        fn no_octets_make_it_panic_or_take_more_than_there_is(octets in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(Some(frame)) = first_frame(&octets, REQUEST_LIMIT) {
                prop_assert!(frame.octets <= octets.len());
                prop_assert_eq!(&frame_of(frame.payload), &octets[..frame.octets]);
            }
        }
    }
}
