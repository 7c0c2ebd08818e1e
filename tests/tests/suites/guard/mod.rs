//! The guard that is installed (`templates/install/guard`), on a real API server: each step that our
//! programs take passes with the installed roles, and whatever else their accounts are made to try, or a
//! tenant tries with our labels, is refused in the guard's own words and leaves no trace.
//!
//! The objects are those that the templates make (`templates/fixtures`).

mod administrators;
mod alias;
mod central;
mod controller;
mod job;
mod labels;
mod ledger;
mod pods;
mod restore;
mod stage;
mod templates;
mod threats;
