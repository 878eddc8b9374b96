//! What became of the datagrams, as numbers for the metrics page.
//!
//! Knows: a closed list of reasons. Must not know: how one of them is decided.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// One number for each thing that can become of a datagram; they only grow.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])+ pub $name: AtomicU64,)+
        }

        impl Counters {
            /// All of them with their names, in a fixed order.
            pub fn readings(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name.load(Ordering::Relaxed)),)+].into_iter()
            }
        }
    };
}

counters! {
    /// Datagrams read from the sockets.
    received,
    /// Records that the engine took.
    accepted,
    /// Answers handed to the kernel, repeated ones included.
    answered,
    /// No client is configured for the source address.
    unknown_client,
    /// Not a packet.
    malformed,
    /// A code that is no business of an accounting server.
    bad_code,
    /// Made with another secret, or forged.
    bad_authenticator,
    /// A wrong or repeated Message-Authenticator, or none where one is required.
    bad_message_authenticator,
    /// Repetitions of what was answered: the same answer again.
    duplicate_answered,
    /// Repetitions of what is still being handled: silence.
    duplicate_in_flight,
    /// Everything remembered is still in flight: silence, the NAS sends it again.
    memory_full,
    /// The engine had no room: silence, the NAS sends it again.
    queue_full,
    /// Status-Server that was answered.
    status_server,
    /// Status-Server while we are not ready: silence, so that the NAS prefers another server.
    status_server_not_ready,
    /// Answered and ignored: an Acct-Status-Type that concerns no session, or none.
    ignored_status,
    /// Answered and ignored: no Acct-Session-Id.
    ignored_session_id,
    /// Answered and ignored: a proxy's Accounting-On or -Off that names no NAS.
    ignored_unnamed_nas,
    /// Records whose Event-Timestamp or Acct-Delay-Time can't be true.
    absurd_time,
    /// Datagrams that the kernel dropped because the socket's buffer was full.
    kernel_dropped,
    /// Answers that the kernel refused to send.
    send_failed,
    /// Errors of receiving other than "nothing there".
    receive_failed,
}

/// One more.
pub(super) fn count(counter: &AtomicU64) {
    add(counter, 1);
}

/// So many more.
pub(super) fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_name_each_counter() {
        let counters = Counters::default();
        add(&counters.queue_full, 3);
        let readings: Vec<_> = counters.readings().collect();
        assert!(readings.contains(&("queue_full", 3)));
        assert!(readings.contains(&("received", 0)));
    }
}
