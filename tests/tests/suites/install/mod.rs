//! The ways to install: `kubectl apply -k`, the Helm chart, the Ansible role. They install the same.

mod compare;
mod overlay;
mod release;
mod snapshot_controller;
mod ways;
mod wrong_values;
