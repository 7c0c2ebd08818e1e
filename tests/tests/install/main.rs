//! The ways to install: `kubectl apply -k`, the Helm chart, the Ansible role. They install the same.
#![allow(missing_docs, unreachable_pub)]

mod compare;
mod release;
mod ways;
