//! Tests over whole clusters that exist only in memory.

pub(crate) mod fixture;
pub(crate) mod server;
mod states;
pub(crate) mod tables;
