//! The signature over what is sent, as the Standard Webhooks specification has it, for which there are libraries in most languages:
//! HMAC-SHA256 over id, moment and body, so that neither can be changed, and an old one can be told from a new one.
//!
//! Knows: what is signed, and how a secret is written. Must not know: where it is sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::session::Timestamp;

/// How secrets begin that are written in base64.
const ENCODED: &str = "whsec_";

/// The octets of a secret as it is written; `None`: it says that it is base64, and is not.
#[must_use]
pub fn secret(written: &[u8]) -> Option<Vec<u8>> {
    match written.strip_prefix(ENCODED.as_bytes()) {
        Some(encoded) => STANDARD.decode(encoded).ok(),
        None => Some(written.to_vec()),
    }
}

/// The values of `webhook-timestamp` and `webhook-signature`.
#[must_use]
pub fn sign(secret: &[u8], id: &str, at: Timestamp, body: &[u8]) -> (String, String) {
    let moment = at.millis().div_euclid(1000).to_string();
    // A key of any length will do (RFC 2104, 3), so there is no other case.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return (moment, String::new()) };
    for part in [id.as_bytes(), b".", moment.as_bytes(), b".", body] {
        mac.update(part);
    }
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    (moment, format!("v1,{signature}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn the_example_of_the_specification_is_signed_as_it_says() {
        let key = secret(SECRET.as_bytes()).unwrap();
        let at = Timestamp::from_seconds(1_614_265_330);
        let (moment, signature) = sign(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, b"{\"test\": 2432232314}");
        assert_eq!(moment, "1614265330");
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn another_id_moment_body_or_secret_is_another_signature() {
        let at = Timestamp::from_seconds(1);
        let one = sign(b"secret", "1", at, b"body").1;
        for other in [
            sign(b"secret", "2", at, b"body"),
            sign(b"secret", "1", Timestamp::from_seconds(2), b"body"),
            sign(b"secret", "1", at, b"bodY"),
            sign(b"Secret", "1", at, b"body"),
        ] {
            assert_ne!(other.1, one);
        }
    }

    #[test]
    fn a_secret_is_taken_as_it_is_or_as_base64_where_it_says_so() {
        assert_eq!(secret(b"correct horse").unwrap(), b"correct horse");
        assert_eq!(secret(b"whsec_AQID").unwrap(), [1, 2, 3]);
        assert_eq!(secret(b"whsec_not base64"), None);
    }
}
