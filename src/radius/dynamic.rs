//! Dynamic authorization (RFC 5176): a NAS is asked to change or to end a session, and answers.
//!
//! Knows: the codes, how a request is signed, what makes an answer one, and the words for an Error-Cause. Must not know: which
//! session is meant, retransmissions, sockets.

use super::authenticator::{self, Integrity, MESSAGE_AUTHENTICATOR, TooLong};
use super::packet::Packet;
use super::value;

/// RFC 5176 section 3.5.
const ERROR_CAUSE: u8 = 101;

/// What a NAS is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Asking {
    /// CoA-Request: the session goes on under other attributes.
    Change,
    /// Disconnect-Request: it ends.
    End,
}

impl Asking {
    /// The code of the request.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Asking::End => 40,
            Asking::Change => 43,
        }
    }
}

/// What a NAS says to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Done.
    Ack,
    /// Not done; why, where it says so.
    Nak(Option<u32>),
}

/// Why a datagram is no answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoAnswer {
    /// It is no packet.
    Malformed,
    /// Of a code that does not answer this request.
    OtherCode,
    /// Made by somebody who does not know the secret, or to another request.
    Forged,
    /// Its Message-Authenticator is wrong.
    BadSignature,
}

/// A request out of an attribute list, and its authenticator.
///
/// # Errors
/// The attributes do not fit a packet.
pub fn request(
    asking: Asking,
    identifier: u8,
    attributes: &[u8],
    signed: bool,
    secret: &[u8],
) -> Result<(Vec<u8>, [u8; 16]), TooLong> {
    let mut list = attributes.to_vec();
    if signed {
        list.extend_from_slice(&[MESSAGE_AUTHENTICATOR, 18]);
        list.extend_from_slice(&[0; 16]);
    }
    let octets = authenticator::sign_request(asking.code(), identifier, &[0; 16], &list, secret)?;
    let own = octets.get(4..20).and_then(|own| own.try_into().ok()).unwrap_or_default();
    Ok((octets, own))
}

/// Reads what came as the answer to a request that had this authenticator.
///
/// # Errors
/// Why it is none.
pub fn answer(
    datagram: &[u8],
    asked: Asking,
    authenticator: &[u8; 16],
    secret: &[u8],
) -> Result<Answer, NoAnswer> {
    let packet = Packet::decode(datagram).map_err(|_| NoAnswer::Malformed)?;
    let acknowledged = match packet.code().checked_sub(asked.code()) {
        Some(1) => true,
        Some(2) => false,
        _ => return Err(NoAnswer::OtherCode),
    };
    if !authenticator::answers(&packet, authenticator, secret) {
        return Err(NoAnswer::Forged);
    }
    if authenticator::integrity_of_answer(&packet, authenticator, secret) == Integrity::Invalid {
        return Err(NoAnswer::BadSignature);
    }
    let cause = packet.values(ERROR_CAUSE).next().and_then(value::integer);
    Ok(if acknowledged { Answer::Ack } else { Answer::Nak(cause) })
}

/// The words for an Error-Cause (RFC 5176 section 3.5); `None` for a number that has none there.
#[must_use]
pub fn error_cause(cause: u32) -> Option<&'static str> {
    Some(match cause {
        201 => "Residual Session Context Removed",
        202 => "Invalid EAP Packet",
        401 => "Unsupported Attribute",
        402 => "Missing Attribute",
        403 => "NAS Identification Mismatch",
        404 => "Invalid Request",
        405 => "Unsupported Service",
        406 => "Unsupported Extension",
        407 => "Invalid Attribute Value",
        501 => "Administratively Prohibited",
        502 => "Request Not Routable (Proxy)",
        503 => "Session Context Not Found",
        504 => "Session Context Not Removable",
        505 => "Other Proxy Processing Error",
        506 => "Resources Unavailable",
        507 => "Request Initiated",
        508 => "Multiple Session Selection Unsupported",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use md5::{Digest, Md5};

    use super::*;

    const SECRET: &[u8] = b"a secret of four words";

    fn reply(code: u8, identifier: u8, request: &[u8; 16], attributes: &[u8], secret: &[u8]) -> Vec<u8> {
        let length = u16::try_from(20 + attributes.len()).unwrap().to_be_bytes();
        let head = [code, identifier, length[0], length[1]];
        let own = Md5::new()
            .chain_update(head)
            .chain_update(request)
            .chain_update(attributes)
            .chain_update(secret)
            .finalize();
        [head.as_slice(), &own, attributes].concat()
    }

    #[test]
    fn an_answer_is_believed_when_it_is_to_this_very_request() {
        let (octets, own) = request(Asking::End, 7, &[44, 4, b's', b'1'], true, SECRET).unwrap();
        assert_eq!((octets[0], octets[1], octets.len()), (40, 7, 20 + 4 + 18));
        let read = |octets: &[u8]| answer(octets, Asking::End, &own, SECRET);
        let cause = [101, 6, 0, 0, 1, 247];
        assert_eq!(read(&reply(41, 7, &own, &[], SECRET)), Ok(Answer::Ack));
        assert_eq!(read(&reply(42, 7, &own, &cause, SECRET)), Ok(Answer::Nak(Some(503))));
        assert_eq!(read(&reply(42, 7, &own, &[101, 3, 1], SECRET)), Ok(Answer::Nak(None)));
        assert_eq!(read(&reply(41, 7, &own, &[], b"another secret")), Err(NoAnswer::Forged));
        assert_eq!(read(&reply(41, 7, &[1; 16], &[], SECRET)), Err(NoAnswer::Forged));
        for code in [40, 43, 44, 45, 5] {
            assert_eq!(read(&reply(code, 7, &own, &[], SECRET)), Err(NoAnswer::OtherCode), "{code}");
        }
        assert_eq!(read(&[41, 7, 0, 20]), Err(NoAnswer::Malformed));
        let mut changed = reply(42, 7, &own, &cause, SECRET);
        changed[25] ^= 1;
        assert_eq!(read(&changed), Err(NoAnswer::Forged));
    }

    #[test]
    fn a_change_is_answered_by_its_own_codes() {
        let (_, own) = request(Asking::Change, 0, &[], false, SECRET).unwrap();
        let read = |code| answer(&reply(code, 0, &own, &[], SECRET), Asking::Change, &own, SECRET);
        assert_eq!((read(44), read(45)), (Ok(Answer::Ack), Ok(Answer::Nak(None))));
        assert_eq!(read(41), Err(NoAnswer::OtherCode));
    }

    #[test]
    fn a_wrong_signature_in_a_right_answer_is_refused() {
        let (_, own) = request(Asking::Change, 0, &[], true, SECRET).unwrap();
        let mac = [[80, 18].as_slice(), &[7; 16]].concat();
        let read = answer(&reply(44, 0, &own, &mac, SECRET), Asking::Change, &own, SECRET);
        assert_eq!(read, Err(NoAnswer::BadSignature));
    }
}
