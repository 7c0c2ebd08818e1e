//! By what the CronJobs of sources are known in the settings in force: each is rendered once, and again when its source's
//! settings change.

use std::collections::HashMap;

use model::names::SourceId;
use model::select::Protection;

use crate::settings::Settings;

/// By source (its UID): what its CronJob was rendered from, and the mark of that. No mark: it cannot be rendered.
#[derive(Default)]
pub(crate) struct Rendered(HashMap<String, (Protection, Option<String>)>);

impl Rendered {
    /// Whether the CronJob of a source has that mark as it is rendered. What cannot be rendered has none: so it is tried,
    /// and why it cannot be is told.
    pub(crate) fn is(&mut self, settings: &Settings, source: &SourceId, protection: &Protection, mark: &str) -> bool {
        if let Some((_, known)) = self.0.get(&source.uid).filter(|(from, _)| from == protection) {
            return known.as_deref() == Some(mark);
        }
        let rendered = settings.snapshot_cronjob(source, protection).ok();
        let known = rendered.as_ref().and_then(templates::mark).map(str::to_owned);
        let same = known.as_deref() == Some(mark);
        self.0.insert(source.uid.clone(), (protection.clone(), known));
        same
    }

    /// Nothing is left of a source.
    pub(crate) fn forget(&mut self, uid: &str) {
        self.0.remove(uid);
    }
}
