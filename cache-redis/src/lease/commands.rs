//! The scripts that deal with a lease: their arguments, and what they answer.

use std::time::Duration;

use bytes::Bytes;

use crate::connection::Command;
use crate::health::{Operation, TroubleKind};
use crate::keys::{KeyHash, hash_text};
use crate::scripts::{self, Script};
use crate::shared::Shared;

/// The scripts' answer if a key of another type was in the lease's place.
pub(crate) const OF_ANOTHER_TYPE: i64 = -1;

pub(super) fn release(shared: &Shared, hash: KeyHash, token: &Bytes, unstored: bool) -> Command {
    told(shared, &scripts::RELEASE, hash, token, Some(Bytes::from_static(if unstored { b"1" } else { b"0" })))
}

pub(super) fn give_up(shared: &Shared, hash: KeyHash, token: &Bytes) -> Command {
    told(shared, &scripts::GIVE_UP, hash, token, None)
}

/// A script that may have to wake waiters by a message.
fn told(shared: &Shared, script: &'static Script, hash: KeyHash, token: &Bytes, more: Option<Bytes>) -> Command {
    let args = [token.clone(), shared.names.wake.clone().into(), Bytes::copy_from_slice(&hash_text(hash))];
    Command::script(script, vec![shared.names.lease(hash)], args.into_iter().chain(more))
}

pub(super) fn renew(shared: &Shared, hash: KeyHash, token: &Bytes, duration: Duration) -> Command {
    let args = [token.clone(), milliseconds(duration).to_string().into()];
    Command::script(&scripts::RENEW, vec![shared.names.lease(hash)], args)
}

impl Shared {
    /// Reports that the key of a lease or of its entry held another type. The lease is lost.
    pub(crate) fn lease_was_of_another_type(&self, during: Operation) {
        let message = "another client has written a list, hash or the like to a key of larder's; it was removed";
        self.monitor.trouble(during, TroubleKind::WrongType, message.to_owned());
    }
}

/// The token of a lease's holder, as `held.lua` writes it, and whether the lease is marked for a message at its end. `None` if
/// the lease is free.
pub(crate) fn holder(lease: &[u8]) -> Option<(&[u8], bool)> {
    const LONGEST: usize = 64;
    let token = lease.split(|byte| b" !".contains(byte)).next().unwrap_or_default();
    let token = token.get(..LONGEST).unwrap_or(token);
    (token != b"-").then_some((token, lease.ends_with(b"!")))
}

/// At least one, and no more than Redis can add to its time.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    const LONGEST: u128 = 1 << 42;
    u64::try_from(duration.as_nanos().div_ceil(1_000_000).clamp(1, LONGEST)).unwrap_or(1)
}
