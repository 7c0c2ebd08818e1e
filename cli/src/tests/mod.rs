//! Tests over whole clusters that exist only in memory.

mod fixture;
mod server;
mod states;
mod tables;
