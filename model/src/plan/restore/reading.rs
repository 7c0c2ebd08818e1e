//! What restores read meanwhile.

use super::asked::{asking, is_for_us, job};
use crate::config::Transfer;
use crate::facts::Claim;
use crate::names;
use crate::record::RestoreRecord;
use crate::restore::Request;
use crate::world::World;

/// What reads a disk in a namespace: copies to it wait, because they prune, and may be on another node. A repository is
/// one PVC's own: `of` names it, and what reads another is in nobody's way.
pub(in crate::plan) fn reads(world: &World, namespace: &str, destination: &str, of: Option<&str>) -> Option<String> {
    let reads = |record: &RestoreRecord| record.is_begun() && record.destination() == Some(destination);
    let its = |r: &Request| of.is_none_or(|of| r.pvc == of);
    let pod = world.restorers.within(namespace).find(|r| {
        let request = r.request.as_ref().and_then(|text| text.parse::<Request>().ok());
        // One that cannot be read may read anything.
        !r.terminating && r.status.as_ref().is_some_and(reads) && request.as_ref().is_none_or(its)
    });
    let by_job = || {
        asking(world).find(|claim| {
            let request = restored(world, claim, reads);
            request.is_some_and(|r| r.namespace.as_deref().unwrap_or(&claim.namespace) == namespace && its(&r))
        })
    };
    pod.map(|r| format!("deployment/{}", r.id.name))
        .or_else(|| by_job().map(|c| format!("the restore of {}", c.id.name)))
}

/// What a PVC is restored from, if its record is one that `counts`.
///
/// The record is the tenant's to write. So it counts only where he may read what it names, and where it is either our
/// plan's to set right, which happens at once, or tells of a Job of ours: nobody stops another one's copies by words.
fn restored(world: &World, claim: &Claim, counts: impl Fn(&RestoreRecord) -> bool) -> Option<Request> {
    let text = claim.settings.get(names::RESTORE_FROM)?;
    claim.restored.as_deref().filter(|r| r.request == names::run_now_mark(text) && counts(r))?;
    let request: Request = text.parse().ok()?;
    let granted =
        |from: &str| world.config.restores.grants(&Transfer { from, pvc: &request.pvc, to: &claim.namespace });
    let may = request.namespace.as_deref().is_none_or(|of| of == claim.namespace || granted(of));
    let works = || job(world, &claim.namespace, &names::restore_job(&claim.source(), text)).is_some();
    (may && (is_for_us(world, claim) || works())).then_some(request)
}
