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

macro_rules! with_sequence {
    ($file:literal) => {
        Script::new(concat!(include_str!("clock.lua"), include_str!($file)))
    };
}

macro_rules! with_held {
    ($file:literal) => {
        Script::new(concat!(include_str!("held.lua"), include_str!($file)))
    };
}

pub(crate) static STAMP: Script = with_sequence!("stamp.lua");
pub(crate) static INVALIDATE: Script = with_sequence!("invalidate.lua");
pub(crate) static HOLD: Script = with_sequence!("hold.lua");
pub(crate) static REPAIR: Script = with_sequence!("repair.lua");
pub(crate) static LEASE: Script = with_held!("lease.lua");
pub(crate) static RENEW: Script = with_held!("renew.lua");
pub(crate) static GIVE_UP: Script = with_held!("give_up.lua");
pub(crate) static RELEASE: Script = with_held!("release.lua");
pub(crate) static TOUCH: Script = Script::new(include_str!("touch.lua"));
pub(crate) static STORE: Script = with_held!("store.lua");
