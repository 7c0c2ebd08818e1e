//! A source's CronJob, and the runs that are asked for by annotation.

use super::action::{Action, Todo};
use super::after::{self, Start};
use super::run_now;
use super::subject::Subject;
use crate::facts::{Claim, CronJob};
use crate::names::{self, SourceId};
use crate::select::{Protection, Verdict};

/// Whether the CronJob of a source is known by that mark ([`names::APPLIED`]) as it is rendered now.
pub type IsRendered<'a> = dyn FnMut(&SourceId, &Protection, &str) -> bool + 'a;

pub(super) fn plan(
    subject: &Subject<'_>,
    judged: Option<(&Claim, &Verdict)>,
    is_rendered: &mut IsRendered<'_>,
) -> Todo {
    let mut todo = Todo::none();
    let &Subject { world, uid, .. } = subject;
    let wanted_name = judged.map(|(c, _)| names::cronjob(&c.source()));
    let mut existing = None;
    for (_, name) in world.belongings(uid).into_iter().flat_map(|b| &b.cronjobs) {
        let Some(cronjob) = world.cronjobs.get("", name) else { continue };
        if cronjob.terminating {
            continue;
        }
        // A copy of ours under another name would run everything twice.
        if wanted_name.as_ref() == Some(name) {
            existing = Some(cronjob);
        } else {
            todo.actions.push(Action::DeleteCronJob(cronjob.id.clone()));
        }
    }
    match judged {
        Some((claim, Verdict::Protected(protection, _))) => {
            todo.actions.extend(apply(subject, claim, protection, existing, is_rendered));
            let asked = run_now::start(subject, claim, protection, existing);
            match (asked, after::start(subject, claim, protection, existing)) {
                // One that is asked for is as good.
                (Start::Now(action), Start::Now(_)) => todo.and(Todo::step(action)),
                (asked, due) => todo.and(asked.todo()).and(due.todo()),
            }
        }
        // What somebody chose ends the schedule. What is merely broken leaves it: the reason may pass,
        // and a run that cannot be made says so itself.
        Some((_, Verdict::Unprotected(problem, _))) if problem.reason.is_choice() => {
            todo.and(Todo::step(existing.map(|c| Action::DeleteCronJob(c.id.clone()))))
        }
        _ => todo,
    }
}

fn apply(
    subject: &Subject<'_>,
    claim: &Claim,
    protection: &Protection,
    existing: Option<&CronJob>,
    is_rendered: &mut IsRendered<'_>,
) -> Option<Action> {
    if protection.unreadable && existing.is_some() {
        return None;
    }
    let &Subject { world, uid, .. } = subject;
    // What a run is recorded in is there first.
    world.ledger(uid)?;
    let (source, (schedule, suspended)) = (claim.source(), protection.cron());
    let in_force = existing.is_some_and(|c| {
        c.spec == (schedule.to_owned(), Some(protection.zone.name().to_owned()), suspended)
            && c.after == protection.due.after()
            && c.applied.as_ref().is_some_and(|mark| is_rendered(&source, protection, mark))
    });
    (!in_force).then(|| Action::ApplyCronJob { source, protection: Box::new(protection.clone()) })
}
