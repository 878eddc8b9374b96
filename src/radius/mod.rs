//! Octets to accounting records and back (RFC 2865, 2866, 2869, 3162, 4818, 5176, 5997, 6911, 6929).
//!
//! Knows: packets, attributes and what they mean. Must not know: sockets, the live map, what time it is.

pub mod accounting;
pub mod attribute;
pub mod authenticator;
pub mod claims;
pub mod detail;
pub mod dictionary;
pub mod duplicate;
pub mod dynamic;
pub mod nas_clock;
pub mod packet;
mod ports;
mod realm;
mod reason;
mod service;
pub mod template;
pub mod text;
mod translator;
pub mod value;
pub mod vendor;
