//! `backup-job snapshot` and `sweep` against a real API server, on which the test plays the snapshot
//! controller and the binder of volumes by writing status.

mod measuring;
mod outages;
mod rotating;
mod support;
mod sweeping;
mod taking;
