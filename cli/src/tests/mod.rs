//! Tests over whole clusters that exist only in memory.

mod fixture;
mod restore;
mod server;
mod states;
mod tables;
