//! How far backends vouch for what this process keeps: until when it may be used, and what nearer backends are still to be
//! told.

pub(crate) mod deadline;
pub(crate) mod layers;
pub(crate) mod nearer;
pub(crate) mod validity;
