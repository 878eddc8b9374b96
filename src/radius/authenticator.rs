//! Proves that a request was made by somebody who knows the secret, and makes the answer that proves the
//! same.
//!
//! Knows: MD5 and HMAC-MD5 over exactly the octets that are read. Must not know: what attributes mean, or
//! whose secret it is.

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use smallvec::SmallVec;
use subtle::ConstantTimeEq;

use super::packet::{HEADER_LENGTH, LENGTH_MAX, Packet, code};

/// Proxy-State: returned to whoever put it in.
const PROXY_STATE: u8 = 33;
/// Message-Authenticator (RFC 3579 section 3.2).
pub const MESSAGE_AUTHENTICATOR: u8 = 80;

/// An encoded answer. Without Proxy-State it needs no allocation.
pub type Response = SmallVec<[u8; 32]>;

/// What a packet's Message-Authenticator says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Integrity {
    /// There is none.
    Absent,
    /// There is one, and it is right.
    Valid,
    /// It is wrong, of a wrong length, or there are several.
    Invalid,
}

/// Whether an Accounting-Request's authenticator was made with this secret (RFC 2866 section 3).
#[must_use]
pub fn is_authentic(packet: &Packet<'_>, secret: &[u8]) -> bool {
    let expected = request_authenticator(head(packet.octets()), packet.attribute_octets(), secret);
    expected.ct_eq(packet.authenticator()).into()
}

/// Checks the Message-Authenticator, if there is one.
///
/// RFC 5997 section 3: the authenticator of a Status-Server is random and is signed as it stands. That of an
/// Accounting-Request is computed over the finished packet, so the signature was made while it was still
/// zero; FreeRADIUS does the same.
#[must_use]
pub fn integrity(packet: &Packet<'_>, secret: &[u8]) -> Integrity {
    let mut found = packet.values(MESSAGE_AUTHENTICATOR);
    let Some(value) = found.next() else { return Integrity::Absent };
    // RFC 3579 section 3.2: at most one; with two of them nobody can say which one was signed as zero.
    if found.next().is_some() {
        return Integrity::Invalid;
    }
    let over = if packet.code() == code::STATUS_SERVER { packet.authenticator() } else { &[0; 16] };
    let Some(mac) = signature(head(packet.octets()), over, packet, secret) else { return Integrity::Invalid };
    // `verify_slice` compares in constant time and refuses any other length than sixteen octets.
    if mac.verify_slice(value).is_ok() { Integrity::Valid } else { Integrity::Invalid }
}

/// Whether an answer was made by somebody who knows the secret and the request that had this authenticator (RFC 2865 section 3).
#[must_use]
pub fn answers(packet: &Packet<'_>, request: &[u8; 16], secret: &[u8]) -> bool {
    let expected: [u8; 16] = Md5::new()
        .chain_update(head(packet.octets()))
        .chain_update(request)
        .chain_update(packet.attribute_octets())
        .chain_update(secret)
        .finalize()
        .into();
    expected.ct_eq(packet.authenticator()).into()
}

/// Checks the Message-Authenticator of an answer, if there is one. RFC 5176 section 3.4 signs it over the request's authenticator;
/// FreeRADIUS up to 3.2.8 signs over zeros. Either takes the secret.
#[must_use]
pub fn integrity_of_answer(packet: &Packet<'_>, request: &[u8; 16], secret: &[u8]) -> Integrity {
    let mut found = packet.values(MESSAGE_AUTHENTICATOR);
    let Some(value) = found.next() else { return Integrity::Absent };
    if found.next().is_some() {
        return Integrity::Invalid;
    }
    let is_over = |over: &[u8; 16]| {
        signature(head(packet.octets()), over, packet, secret)
            .is_some_and(|mac| mac.verify_slice(value).is_ok())
    };
    if is_over(request) || is_over(&[0; 16]) { Integrity::Valid } else { Integrity::Invalid }
}

/// The answer to an Accounting-Request: the same identifier, every Proxy-State in order, and nothing else
/// (RFC 2866 sections 2.1 and 5.13). Never a Message-Authenticator: FreeRADIUS up to 3.2.8 computes it in
/// another way than later versions do, and refuses the whole answer over it.
#[must_use]
pub fn accounting_response(request: &Packet<'_>, secret: &[u8]) -> Response {
    let mut attributes: SmallVec<[u8; 32]> = SmallVec::new();
    for value in request.values(PROXY_STATE) {
        // The value came in an attribute, so its length fits the one octet again.
        let Ok(length) = u8::try_from(value.len().saturating_add(2)) else { continue };
        attributes.extend_from_slice(&[PROXY_STATE, length]);
        attributes.extend_from_slice(value);
    }
    response(request, &attributes, secret)
}

/// The answer to a Status-Server on the accounting port: an Accounting-Response without attributes (RFC 5997
/// section 3).
#[must_use]
pub fn status_response(request: &Packet<'_>, secret: &[u8]) -> Response {
    response(request, &[], secret)
}

fn response(request: &Packet<'_>, attributes: &[u8], secret: &[u8]) -> Response {
    // What is echoed was part of a request of at most 4096 octets, so the answer is not longer than that.
    let length = u16::try_from(HEADER_LENGTH.saturating_add(attributes.len())).unwrap_or(u16::MAX);
    let [high, low] = length.to_be_bytes();
    let head = [code::ACCOUNTING_RESPONSE, request.identifier(), high, low];
    let authenticator: [u8; 16] = Md5::new()
        .chain_update(head)
        .chain_update(request.authenticator())
        .chain_update(attributes)
        .chain_update(secret)
        .finalize()
        .into();
    let mut octets = Response::from_slice(&head);
    octets.extend_from_slice(&authenticator);
    octets.extend_from_slice(attributes);
    octets
}

/// The attributes do not fit a packet of 4096 octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

impl std::fmt::Display for TooLong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the attributes do not fit a packet of {LENGTH_MAX} octets")
    }
}

impl std::error::Error for TooLong {}

/// Makes a request out of an encoded attribute list; a Message-Authenticator in the list is filled in.
///
/// `random` is the authenticator of a Status-Server; the other codes compute theirs.
///
/// # Errors
/// When the packet would be too long.
pub fn sign_request(
    code: u8,
    identifier: u8,
    random: &[u8; 16],
    attributes: &[u8],
    secret: &[u8],
) -> Result<Vec<u8>, TooLong> {
    let length = HEADER_LENGTH.saturating_add(attributes.len());
    let length_octets = u16::try_from(length).map_err(|_| TooLong)?.to_be_bytes();
    if length > LENGTH_MAX {
        return Err(TooLong);
    }
    let over = if code == code::STATUS_SERVER { *random } else { [0; 16] };
    let mut octets = Vec::with_capacity(length);
    octets.extend_from_slice(&[code, identifier]);
    octets.extend_from_slice(&length_octets);
    octets.extend_from_slice(&over);
    octets.extend_from_slice(attributes);

    if let Some((at, mac)) = Packet::decode(&octets).ok().and_then(|packet| {
        let mac = signature(head(packet.octets()), &over, &packet, secret)?;
        Some((message_authenticator_position(&packet)?, mac))
    }) && let Some(place) = octets.get_mut(at..at.saturating_add(16))
    {
        place.copy_from_slice(&mac.finalize().into_bytes());
    }
    if code != code::STATUS_SERVER {
        let signed = octets.get(HEADER_LENGTH..).unwrap_or_default();
        let authenticator = request_authenticator(head(&octets), signed, secret);
        if let Some(place) = octets.get_mut(4..HEADER_LENGTH) {
            place.copy_from_slice(&authenticator);
        }
    }
    Ok(octets)
}

/// Where the sixteen octets of the Message-Authenticator begin.
fn message_authenticator_position(packet: &Packet<'_>) -> Option<usize> {
    let mut at = HEADER_LENGTH;
    for attribute in packet.attributes() {
        if attribute.kind == MESSAGE_AUTHENTICATOR && attribute.value.len() == 16 {
            return at.checked_add(2);
        }
        at = at.checked_add(attribute.value.len())?.checked_add(2)?;
    }
    None
}

/// RFC 2866 section 3: sixteen zero octets stand where the authenticator will be.
fn request_authenticator(head: &[u8], attributes: &[u8], secret: &[u8]) -> [u8; 16] {
    Md5::new()
        .chain_update(head)
        .chain_update([0; 16])
        .chain_update(attributes)
        .chain_update(secret)
        .finalize()
        .into()
}

/// HMAC-MD5 over the packet with the given authenticator and sixteen zero octets as Message-Authenticator.
fn signature(head: &[u8], authenticator: &[u8; 16], packet: &Packet<'_>, secret: &[u8]) -> Option<Hmac<Md5>> {
    // HMAC takes keys of any length; the error exists for other algorithms of the same trait.
    let mut mac = Hmac::<Md5>::new_from_slice(secret).ok()?;
    mac.update(head);
    mac.update(authenticator);
    for attribute in packet.attributes() {
        let length = u8::try_from(attribute.value.len().saturating_add(2)).ok()?;
        mac.update(&[attribute.kind, length]);
        mac.update(if attribute.kind == MESSAGE_AUTHENTICATOR { &[0; 16] } else { attribute.value });
    }
    Some(mac)
}

/// Code, identifier and Length.
fn head(octets: &[u8]) -> &[u8] {
    octets.get(..4).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"xyzzy5461";
    const MA: [u8; 18] = [80, 18, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    const RANDOM: [u8; 16] = *b"sixteen random o";

    fn request(attributes: &[u8], secret: &[u8]) -> Vec<u8> {
        sign_request(4, 9, &[0; 16], attributes, secret).unwrap()
    }

    #[test]
    fn the_right_secret_is_accepted_and_another_refused() {
        let octets = request(&[1, 5, b'b', b'o', b'b'], SECRET);
        let packet = Packet::decode(&octets).unwrap();
        assert!(is_authentic(&packet, SECRET));
        assert!(!is_authentic(&packet, b"xyzzy5462"));
    }

    #[test]
    fn every_octet_of_the_packet_is_covered() {
        let octets = request(&[1, 5, b'b', b'o', b'b'], SECRET);
        for at in (0..octets.len()).filter(|at| !(2..4).contains(at)) {
            let mut changed = octets.clone();
            changed[at] ^= 1;
            let authentic = Packet::decode(&changed).is_ok_and(|packet| is_authentic(&packet, SECRET));
            assert!(!authentic, "octet {at}");
        }
    }

    #[test]
    fn an_authenticator_of_zeros_is_refused() {
        let mut octets = request(&[], SECRET);
        octets[4..20].fill(0);
        assert!(!is_authentic(&Packet::decode(&octets).unwrap(), SECRET));
    }

    #[test]
    fn padding_is_not_part_of_what_is_signed() {
        let mut octets = request(&[1, 5, b'b', b'o', b'b'], SECRET);
        octets.extend(b"padding");
        assert!(is_authentic(&Packet::decode(&octets).unwrap(), SECRET));
    }

    // CVE-2001-1376: a digest over a long secret overflowed its buffer.
    #[test]
    fn secrets_of_any_length_up_to_4096_octets_work() {
        for length in [0, 1, 15, 16, 63, 64, 65, 128, 255, 4096] {
            let secret = vec![b's'; length];
            let octets = request(&MA, &secret);
            let packet = Packet::decode(&octets).unwrap();
            assert!(is_authentic(&packet, &secret), "{length}");
            assert_eq!(integrity(&packet, &secret), Integrity::Valid, "{length}");
        }
    }

    #[test]
    fn a_message_authenticator_is_checked_when_present_and_not_required() {
        let plain = request(&[], SECRET);
        assert_eq!(integrity(&Packet::decode(&plain).unwrap(), SECRET), Integrity::Absent);
        let mut signed = request(&MA, SECRET);
        assert_eq!(integrity(&Packet::decode(&signed).unwrap(), SECRET), Integrity::Valid);
        signed[22] ^= 1;
        assert_eq!(integrity(&Packet::decode(&signed).unwrap(), SECRET), Integrity::Invalid);
    }

    #[test]
    fn two_message_authenticators_are_refused_though_the_first_is_right() {
        let octets = request(&[MA, MA].concat(), SECRET);
        assert_eq!(integrity(&Packet::decode(&octets).unwrap(), SECRET), Integrity::Invalid);
    }

    #[test]
    fn a_message_authenticator_of_15_octets_is_refused() {
        let octets = request(&[[80, 17].as_slice(), &[0; 15]].concat(), SECRET);
        assert_eq!(integrity(&Packet::decode(&octets).unwrap(), SECRET), Integrity::Invalid);
    }

    #[test]
    fn a_status_server_is_signed_over_its_own_authenticator() {
        let octets = sign_request(12, 1, &RANDOM, &MA, SECRET).unwrap();
        assert_eq!(octets[4..20], RANDOM);
        assert_eq!(integrity(&Packet::decode(&octets).unwrap(), SECRET), Integrity::Valid);
        let mut other = octets;
        other[4] ^= 1;
        assert_eq!(integrity(&Packet::decode(&other).unwrap(), SECRET), Integrity::Invalid);
    }

    #[test]
    fn proxy_state_is_echoed_in_order_and_nothing_else() {
        let octets = request(&[33, 4, 1, 2, 1, 3, b'x', 33, 2, 33, 3, 9], SECRET);
        let request = Packet::decode(&octets).unwrap();
        let answer = accounting_response(&request, SECRET);
        let response = Packet::decode(&answer).unwrap();
        assert_eq!((response.code(), response.identifier()), (5, 9));
        assert_eq!(response.attribute_octets(), [33, 4, 1, 2, 33, 2, 33, 3, 9]);
    }

    #[test]
    fn a_request_full_of_proxy_state_gets_an_answer_of_its_own_length() {
        let attributes = [[33, 254].as_slice(), &[7; 252]].concat().repeat(16);
        let octets = request(&attributes, SECRET);
        let answer = accounting_response(&Packet::decode(&octets).unwrap(), SECRET);
        assert_eq!(answer.len(), octets.len());
        assert!(Packet::decode(&answer).is_ok());
    }

    #[test]
    fn a_request_of_4096_octets_is_made_and_one_of_4097_refused() {
        assert!(sign_request(4, 0, &[0; 16], &[0; 4076], SECRET).is_ok());
        assert_eq!(sign_request(4, 0, &[0; 16], &[0; 4077], SECRET), Err(TooLong));
    }
}
