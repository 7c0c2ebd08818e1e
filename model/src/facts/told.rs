//! What Events say: about a pod whose volumes do not come, and about a Job that gets no pod.

use k8s_openapi::api::events::v1::Event;
use k8s_openapi::jiff::Timestamp;

/// The reasons of such Events: of the kubelet's, and of who attaches volumes to nodes.
const REASONS: [&str; 3] = ["FailedMount", "FailedMapVolume", "FailedAttachVolume"];

/// How kubelets count up what is missing, after they said why.
const SUMMARY: &str = "Unable to attach or mount volumes";

/// The most bytes of the words that are kept: a copy's result has 512 for its whole message.
const LONGEST: usize = 380;
/// How many of them are its beginning: where and what. Why comes last, after the whole command of the mount.
const BEGINNING: usize = 100;

/// Why a pod does not get its volumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountFailure {
    /// The words of the kubelet, on one line.
    pub words: String,
    /// Whether it is a filesystem whose journal must be replayed, on a device that nobody may write.
    pub unreplayed: bool,
}

impl MountFailure {
    /// What the Events about a pod say: of those that say why, the newest.
    #[must_use]
    pub fn of(events: &[Event]) -> Option<Self> {
        let note = |e: &Event| e.note.clone().unwrap_or_default();
        let about_mounts = |e: &&Event| REASONS.contains(&e.reason.as_deref().unwrap_or_default());
        let event = events.iter().filter(about_mounts).max_by_key(|e| (!note(e).starts_with(SUMMARY), last(e)))?;
        let text = note(event);
        Some(Self { unreplayed: needs_replay(&text), words: squeeze(&text) })
    }
}

/// Why a Job gets no pod: the API server refuses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodRefusal {
    /// The words of who refused it, on one line.
    pub words: String,
    /// Whether it was Pod Security.
    pub pod_security: bool,
}

impl PodRefusal {
    /// What the Events about a Job say: the newest that says why a pod was not created.
    #[must_use]
    pub fn of(events: &[Event]) -> Option<Self> {
        let event = events.iter().filter(|e| e.reason.as_deref() == Some("FailedCreate")).max_by_key(|e| last(e))?;
        let note = event.note.as_deref().unwrap_or_default();
        // `Error creating: pods "copy-x-" is forbidden: why`: the pod never had that name.
        let why = note.split_once("is forbidden: ").map_or(note, |(_, why)| why);
        Some(Self { words: squeeze(why), pod_security: why.starts_with("violates PodSecurity") })
    }
}

fn last(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().map(|s| s.last_observed_time.0);
    series.or(event.deprecated_last_timestamp.as_ref().map(|t| t.0)).or(event.event_time.as_ref().map(|t| t.0))
}

/// The kernel's words, which newer ones hand to mount(8), and those of mount(8) itself.
fn needs_replay(text: &str) -> bool {
    let said = output(text);
    let refused = said.contains("cannot mount") && said.contains("read-only");
    refused || ["noload", "norecovery", "write access unavailable"].iter().any(|word| said.contains(word))
}

/// What the mount said, and not how it was called: the options that it was given prove nothing. A long note is cut off
/// at its end.
fn output(text: &str) -> &str {
    let before = || text.split_once("Mounting ").map_or(text, |(before, _)| before);
    text.rsplit_once("Output:").map_or_else(before, |(_, said)| said)
}

/// On one line; of a long text the beginning and the end.
fn squeeze(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.len() <= LONGEST {
        return line;
    }
    let (mut head, mut tail) = (BEGINNING, line.len() - (LONGEST - BEGINNING));
    while !line.is_char_boundary(head) {
        head -= 1;
    }
    while !line.is_char_boundary(tail) {
        tail += 1;
    }
    format!("{} … {}", &line[..head], &line[tail..])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An Event of a kubelet, as it is read: most of it is in fields of the older API.
    fn event(reason: &str, at: &str, note: &str) -> Event {
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": "x"}, "eventTime": null, "reason": reason, "note": note, "type": "Warning",
            "deprecatedLastTimestamp": at,
        }))
        .unwrap()
    }

    const WHY: &str = "MountVolume.SetUp failed for volume \"pvc-1\" : rpc error: code = Internal desc = \
        mount failed: exit status 32\nMounting arguments: -t ext4 -o ro /dev/rbd0 /var/lib/kubelet/x\n\
        Output: mount: /var/lib/kubelet/x: fsconfig() failed: ext4: write access unavailable, cannot proceed \
        (try mounting with noload).";

    /// F38.
    #[test]
    fn the_newest_event_that_says_why_is_quoted_and_one_that_counts_up_is_not() {
        let events = [
            event("Scheduled", "2018-12-02T00:09:00Z", "Successfully assigned shop/copy to node-1"),
            event("FailedMount", "2018-12-02T00:01:00Z", "MountVolume.SetUp failed for volume \"old\""),
            event("FailedMount", "2018-12-02T00:02:00Z", WHY),
            event(
                "FailedMount",
                "2018-12-02T00:03:00Z",
                "Unable to attach or mount volumes: unmounted volumes=[source]",
            ),
        ];
        let failure = MountFailure::of(&events).unwrap();
        assert!(failure.words.contains("volume \"pvc-1\"") && failure.words.ends_with("with noload)."), "{failure:?}");
        assert!(!failure.words.contains('\n') && failure.unreplayed);
        let last = MountFailure::of(&events[3..]).unwrap();
        assert!(last.words.starts_with("Unable") && !last.unreplayed);
        assert_eq!(MountFailure::of(&events[..1]), None);
    }

    /// A3: as the Job controller of Kubernetes 1.34 writes them.
    #[test]
    fn why_a_job_gets_no_pod_is_said_by_its_newest_event() {
        let limits = "Error creating: pods \"copy-x-\" is forbidden: minimum memory usage per Container is 256Mi, but request is 64Mi";
        let security = "Error creating: pods \"copy-x-\" is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot != true";
        let webhook = "Error creating: admission webhook \"a.example.com\" denied the request: no\nbackups here";
        let of = |notes: &[&str]| {
            let events = notes
                .iter()
                .enumerate()
                .map(|(i, note)| event("FailedCreate", &format!("2018-12-02T00:0{i}:00Z"), note));
            PodRefusal::of(&events.collect::<Vec<_>>()).unwrap()
        };
        assert_eq!(of(&[security, limits]).words, "minimum memory usage per Container is 256Mi, but request is 64Mi");
        assert!(of(&[limits, security]).pod_security && !of(&[limits]).pod_security);
        assert!(of(&[webhook]).words.ends_with("denied the request: no backups here"));
        assert_eq!(PodRefusal::of(&[event("SuccessfulCreate", "2018-12-02T00:00:00Z", "Created pod")]), None);
    }

    #[test]
    fn mount_says_it_in_its_own_words_too_and_other_failures_are_others() {
        let of = |note: &str| MountFailure::of(&[event("FailedMount", "2018-12-02T00:01:00Z", note)]).unwrap();
        for note in [
            "Output: mount: /x: cannot mount /dev/loop4 read-only.\n",
            "mount: cannot mount /dev/rbd0 read-only",
            "XFS: write access unavailable, cannot proceed; try norecovery",
        ] {
            assert!(of(note).unreplayed, "{note}");
        }
        let called =
            "mount failed: exit status 32\nMounting command: mount\nMounting arguments: -t xfs -o noload,ro /x";
        let wrong = format!("{called}\nOutput: mount: /x: wrong fs type, bad option, bad superblock on /dev/rbd0.");
        for note in ["secret \"backup-s3\" not found", "wrong fs type, bad option, bad superblock", called, &wrong] {
            assert!(!of(note).unreplayed, "{note}");
        }
    }

    #[test]
    fn a_long_text_keeps_its_beginning_and_its_end() {
        let long = format!("MountVolume failed {} é{} noload", "/very/long".repeat(40), "é".repeat(130));
        let words = squeeze(&long);
        assert!(words.len() <= LONGEST + 5, "{}", words.len());
        assert!(words.starts_with("MountVolume failed") && words.ends_with("noload"), "{words}");
    }
}
