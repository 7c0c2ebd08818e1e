//! Tests over whole clusters that exist only in memory.

pub(crate) mod fixture;
mod restore;
pub(crate) mod server;
mod states;
mod tables;
