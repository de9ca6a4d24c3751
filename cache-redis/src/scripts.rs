//! The Lua scripts, each an atomic operation. What they do stands at their heads.

use std::sync::OnceLock;

/// A script and, once it was asked for, its SHA-1 in hexadecimal: how the server knows it.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) source: &'static str,
    sha: OnceLock<String>,
}

impl Script {
    const fn new(source: &'static str) -> Self {
        Self { source, sha: OnceLock::new() }
    }

    /// `hash` is only called the first time.
    pub(crate) fn sha(&self, hash: impl FnOnce(&str) -> String) -> &str {
        self.sha.get_or_init(|| hash(self.source))
    }
}

macro_rules! with_clock {
    ($file:literal) => {
        Script::new(concat!(include_str!("scripts/clock.lua"), include_str!($file)))
    };
}

macro_rules! with_held {
    ($file:literal) => {
        Script::new(concat!(include_str!("scripts/held.lua"), include_str!($file)))
    };
}

pub(crate) static STAMP: Script = with_clock!("scripts/stamp.lua");
pub(crate) static INVALIDATE: Script = with_clock!("scripts/invalidate.lua");
pub(crate) static REPAIR: Script = with_clock!("scripts/repair.lua");
pub(crate) static LEASE: Script = with_held!("scripts/lease.lua");
pub(crate) static RENEW: Script = with_held!("scripts/renew.lua");
pub(crate) static GIVE_UP: Script = with_held!("scripts/give_up.lua");
pub(crate) static RELEASE: Script = with_held!("scripts/release.lua");
pub(crate) static STORE: Script = with_held!("scripts/store.lua");
