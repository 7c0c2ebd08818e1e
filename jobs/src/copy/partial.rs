//! Where a copy begins: in what the try before left, or in an empty folder; and what it links from.

use model::names::Run;

use super::commit::rename_new;
use super::layout::{Partial, Shelf, Tree};
use super::task::TASK;
use crate::outcome::Failure;
use crate::volume::this_boot;

/// The folder to write into, and one of another run whose files can be used again.
#[derive(Debug)]
pub(crate) struct Start {
    /// The partial tree that is written.
    pub(crate) partial: Partial,
    /// What an older run left.
    pub(crate) other: Option<Partial>,
}

/// Finds or makes the partial tree, and removes those of no use.
///
/// A try of the same run goes on where the one before stopped: rsync compares what is there, and gives a
/// file its name only when it is whole. What an older run left may hold other versions of files, and shares
/// inodes with its predecessors, so it is linked from and never written to. Without that, a volume that
/// takes longer than the copy's deadline would be begun anew every day.
pub(crate) fn begin(shelf: &Shelf, run: &Run, attempt: &str, left: Vec<Partial>) -> Result<Start, Failure> {
    let boot = this_boot();
    let (mut same, mut other) = (None, None);
    for partial in left {
        // The latest come first.
        if partial.run == *run && same.is_none() {
            same = Some(partial);
        } else if partial.run != *run && partial.boot == boot && other.is_none() {
            other = Some(partial);
        } else {
            discard(shelf, &partial);
        }
    }
    let partial = match same {
        None => fresh(shelf, run, attempt)?,
        Some(left) => {
            // The start that began it stays in its name.
            let partial = Partial { attempt: attempt.to_owned(), ..left.clone() };
            tracing::info!("continuing the unfinished copy {}", left.name());
            if left != partial {
                let renamed = rename_new(shelf, &left.name(), &partial.name());
                renamed.map_err(|e| TASK.io("renaming the unfinished copy", &e))?;
            }
            partial
        }
    };
    Ok(Start { partial, other })
}

/// Makes an empty partial tree.
pub(crate) fn fresh(shelf: &Shelf, run: &Run, attempt: &str) -> Result<Partial, Failure> {
    let partial = Partial { run: run.clone(), boot: this_boot(), attempt: attempt.to_owned() };
    shelf.make(&partial.name()).map_err(|e| TASK.io("making a folder on the destination", &e))?;
    Ok(partial)
}

/// Removes a partial tree. It is no restore point, so this is allowed even on a full disk.
pub(crate) fn discard(shelf: &Shelf, partial: &Partial) {
    tracing::info!("removing the unfinished copy {}", partial.name());
    if let Err(error) = shelf.remove(partial.name().as_ref(), &mut || Ok(())) {
        tracing::warn!(%error, "cannot remove {}", partial.name());
    }
}

/// How a tree is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Names of folders beside it whose unchanged files are linked, the best first.
    pub(crate) link: Vec<String>,
    /// The newest tree among them.
    pub(crate) linked: Option<Run>,
    /// Whether contents are compared, not only sizes and times.
    pub(crate) checksum: bool,
    /// Trees since contents were last compared, with this one.
    pub(crate) since_checksum: u32,
    /// A12: whether the disk is asked what it keeps.
    pub(crate) probe: bool,
    /// Whether names of one file in what is linked may be names of several in the source.
    pub(crate) may_merge: bool,
}

impl Plan {
    /// L13: what rotted has its size and time still. After a finding nothing is linked without a look at its content.
    pub(crate) fn after_finding(self, found: bool) -> Self {
        Self { checksum: self.checksum || found, ..self }
    }

    /// The plan without links: every byte is copied.
    pub(crate) fn unlinked(self) -> Self {
        Self { link: Vec::new(), linked: None, since_checksum: 0, may_merge: false, ..self }
    }
}

/// Decides what is linked, and whether contents are compared: on every `every`th tree, so that rot is not
/// linked for ever, and when a machine's crash may have left holes in the partial tree. With the first tree, and with
/// each that is due, the disk is asked what it keeps.
pub(crate) fn plan(every: u32, start: &Start, trees: &[Tree]) -> Plan {
    let newest = trees.last();
    // What an incomplete tree lacks, the newest good one may have.
    let good = trees.iter().rev().find(|tree| tree.manifest.is_good());
    let linked = || newest.into_iter().chain(good);
    let mut link: Vec<String> = linked().map(|tree| tree.run.to_string()).collect();
    link.dedup();
    link.extend(start.other.as_ref().map(Partial::name));
    let since = newest.map(|tree| tree.manifest.since_checksum.saturating_add(1));
    let due = since.is_some_and(|since| every > 0 && since >= every);
    // Where something was lost, it is looked again each time: once the disk keeps it, nobody waits for that to be seen.
    let lossless = newest.is_some_and(|tree| tree.manifest.probed && tree.manifest.result.lost.is_empty());
    Plan {
        link,
        linked: newest.map(|tree| tree.run.clone()),
        checksum: due || start.partial.boot != this_boot(),
        since_checksum: since.unwrap_or(0),
        probe: due || !lossless,
        may_merge: start.other.is_some() || linked().any(|tree| tree.manifest.hard_links != Some(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::copy::manifest::tests::manifest;
    use model::record::CopyState;

    fn tree(day: u8, state: CopyState, since_checksum: u32) -> Tree {
        let mut manifest = manifest(&format!("201812{day:02}T0000Z"), state);
        manifest.since_checksum = since_checksum;
        Tree { run: manifest.run.clone(), manifest }
    }

    fn start(boot: &str, other: Option<&str>) -> Start {
        let partial = |day: &str, boot: &str| Partial {
            run: format!("{day}T0000Z").parse().unwrap(),
            boot: boot.into(),
            attempt: "a".into(),
        };
        Start { partial: partial("20181224", boot), other: other.map(|boot| partial("20181223", boot)) }
    }

    #[test]
    fn contents_are_compared_on_every_nth_run() {
        let start = start(&this_boot(), None);
        let mut since = 0;
        let compared: Vec<bool> = (0..6)
            .map(|_| {
                let plan = plan(3, &start, &[tree(1, CopyState::Complete, since)]);
                since = if plan.checksum { 0 } else { plan.since_checksum };
                plan.checksum
            })
            .collect();
        assert_eq!(compared, [false, false, true, false, false, true]);
        assert!(!plan(1, &start, &[]).checksum, "a first tree has nothing to be compared with");
        assert!(!plan(0, &start, &[tree(1, CopyState::Complete, 99)]).checksum, "0 is never");
    }

    /// A12.
    #[test]
    fn the_disk_is_asked_with_the_first_tree_with_each_that_is_compared_and_while_it_loses_something() {
        let start = start(&this_boot(), None);
        let asked = |newest: Tree| plan(30, &start, &[newest]).probe;
        assert!(plan(30, &start, &[]).probe, "the first");
        assert!(!asked(tree(1, CopyState::Complete, 0)) && !asked(tree(1, CopyState::Incomplete, 28)));
        assert!(asked(tree(1, CopyState::Complete, 29)), "the 30th");
        let mut old = tree(1, CopyState::Complete, 0);
        old.manifest.probed = false;
        assert!(asked(old), "nobody asked yet");
        let mut lossy = tree(1, CopyState::Complete, 0);
        lossy.manifest.result.lost = std::iter::once(model::losses::Loss::Acls).collect();
        assert!(asked(lossy), "it may be mended");
    }

    #[test]
    fn what_a_machine_left_when_it_crashed_is_compared_by_content() {
        assert!(plan(0, &start("another", None), &[]).checksum);
        assert!(!plan(0, &start(&this_boot(), None), &[]).checksum);
    }

    #[test]
    fn links_come_from_the_newest_tree_the_newest_good_one_and_what_was_left() {
        let trees =
            [tree(1, CopyState::Complete, 0), tree(2, CopyState::Complete, 0), tree(3, CopyState::Incomplete, 0)];
        let boot = this_boot();
        let plan = plan(0, &start(&boot, Some(&boot)), &trees);
        let left = format!(".partial-20181223T0000Z-{boot}-a");
        assert_eq!(plan.link, ["20181203T0000Z", "20181202T0000Z", &left]);
        assert_eq!(plan.linked.as_ref().unwrap().as_str(), "20181203T0000Z");
        assert!(plan.may_merge, "nobody knows what the old partial has");
        assert_eq!(plan.unlinked().link, Vec::<String>::new());
    }
}
