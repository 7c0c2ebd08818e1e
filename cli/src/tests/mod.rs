//! Tests over whole clusters that exist only in memory.

pub(crate) mod fixture;
mod restore;
pub(crate) mod server;
mod states;
pub(crate) mod tables;
