//! The dev cluster itself: a control plane, and (`nodes`, with `--ignored`) both nodes and their storage.
#![allow(clippy::unwrap_used, clippy::panic)]

mod control_plane;
mod nodes;
