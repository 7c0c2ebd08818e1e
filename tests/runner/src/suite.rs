//! Which suites there are, in which order, and what each needs.

/// What a suite does most of its time. One of each kind runs at a time, so that the machine is busy and not crowded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Compiles or computes, on all cores.
    Computes,
    /// Waits for control planes or nodes.
    Waits,
}

impl Lane {
    pub(crate) const ALL: [Self; 2] = [Self::Computes, Self::Waits];
}

/// What is run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    /// A command. It passes with exit code 0.
    Command(&'static [&'static str]),
    /// Looks for circles of imports, and compares the crates with their floors.
    Imports,
    /// Compiles all tests and programs, and finds out where they are.
    Build,
    /// All tests of some packages.
    Packages(&'static [&'static str]),
    /// The unit tests of some packages: all but their `suites`.
    Units(&'static [&'static str]),
    /// Some tests of a package's `suites`.
    Suite {
        package: &'static str,
        /// Arguments: the beginning of the tests' names, and how many run side by side.
        args: &'static [&'static str],
    },
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Suite {
    pub(crate) name: &'static str,
    pub(crate) lane: Lane,
    /// Suites that have to pass first.
    pub(crate) after: &'static [&'static str],
    pub(crate) work: Work,
    /// Where it runs.
    pub(crate) on: On,
}

/// Where a suite runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    /// Anywhere. These are `fast`, the daily loop.
    Machine,
    /// On nodes: of the dev cluster, or of the cluster that `KUBECONFIG` names.
    Nodes,
    /// On the nodes of the dev cluster.
    DevNodes,
}

impl On {
    /// Why it cannot run here: nodes of our own need root, and the tests of these say nothing about others.
    pub(crate) fn impossible(self, cluster_is_named: bool, root: bool) -> Option<&'static str> {
        match (self, cluster_is_named) {
            (Self::Machine, _) | (Self::Nodes, true) => None,
            (Self::DevNodes, true) => Some("KUBECONFIG names another cluster than the dev cluster"),
            (Self::Nodes | Self::DevNodes, false) if root => None,
            (Self::Nodes | Self::DevNodes, false) => {
                Some("it starts nodes, which needs root on Linux; or let KUBECONFIG name a cluster")
            }
        }
    }
}

const fn computes(name: &'static str, after: &'static [&'static str], work: Work) -> Suite {
    Suite { name, lane: Lane::Computes, after, work, on: On::Machine }
}

/// A suite on a real control plane. Its tests wait most of the time, so that more than one for each core run at once.
const fn plane(name: &'static str, package: &'static str, args: &'static [&'static str]) -> Suite {
    let work = Work::Suite { package, args };
    Suite { name, lane: Lane::Waits, after: &["tools", "control-plane", "build"], work, on: On::Machine }
}

/// A suite on nodes.
const fn nodes(on: On, name: &'static str, package: &'static str, args: &'static [&'static str]) -> Suite {
    let work = Work::Suite { package, args };
    Suite { name, lane: Lane::Waits, after: &["tools", "build", "nodes"], work, on }
}

const UNIT: &[&str] = &["tools", "build"];
const SUITES: &str = "backup-controller-tests";
const CLUSTER: &str = "dev-cluster";

/// All suites; those of a lane run in this order.
pub(crate) const ALL: &[Suite] = &[
    computes("format", &[], Work::Command(&["cargo", "fmt", "--all", "--check"])),
    computes("imports", &[], Work::Imports),
    computes("dependencies", &[], Work::Command(&["make", "deny"])),
    computes("tools", &[], Work::Command(&["make", "mover-tools", "ansible-tools"])),
    computes("control-plane", &[], Work::Command(&["make", "control-plane-parts"])),
    computes("build", &[], Work::Build),
    Suite { on: On::Nodes, ..computes("nodes", &["build"], Work::Command(&["make", "nodes"])) },
    computes("lints", &[], Work::Command(&["make", "clippy"])),
    computes("examples", &["build"], Work::Command(&["cargo", "test", "--quiet", "--workspace", "--doc"])),
    computes("model", UNIT, Work::Packages(&["model"])),
    computes("templates", UNIT, Work::Packages(&["templates"])),
    computes("controller", UNIT, Work::Packages(&["api", "backup-controller"])),
    computes("cli", UNIT, Work::Packages(&["kubectl-backup"])),
    computes("documents", &["build"], Work::Suite { package: SUITES, args: &["documents::", "commands::"] }),
    computes("tests", UNIT, Work::Units(&["test-runner", CLUSTER, SUITES])),
    computes("jobs", UNIT, Work::Packages(&["backup-job"])),
    plane("plane-cluster", CLUSTER, &["control_plane::"]),
    plane("plane-controller", SUITES, &["controller::", "--skip=guard::", "--skip=install::", "--test-threads=6"]),
    plane("plane-guard", SUITES, &["guard::", "--test-threads=4"]),
    plane("plane-snapshot-job", SUITES, &["snapshot_job::", "--test-threads=4"]),
    plane("plane-install", SUITES, &["install::", "--test-threads=3"]),
    plane("plane-faults", SUITES, &["faults::", "--test-threads=3"]),
    nodes(On::DevNodes, "nodes-storage", CLUSTER, &["nodes::", "--ignored", "--test-threads=4"]),
    nodes(On::Nodes, "nodes-e2e", SUITES, &["e2e::", "--ignored", "--test-threads=4"]),
    // Alone: it installs, upgrades and removes as a reader does. Last: it leaves no installation.
    nodes(On::DevNodes, "nodes-pages", SUITES, &["commands::", "--ignored", "--test-threads=1"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Else it would wait for something that is left out.
    #[test]
    fn what_a_suite_needs_is_possible_where_the_suite_is() {
        for (named, root) in [(false, false), (false, true), (true, false), (true, true)] {
            let possible = |suite: &Suite| suite.on.impossible(named, root).is_none();
            for suite in ALL.iter().filter(|suite| possible(suite)) {
                let needed = ALL.iter().filter(|other| suite.after.contains(&other.name));
                assert!(needed.into_iter().all(possible), "{} with {named}, {root}", suite.name);
            }
        }
    }

    #[test]
    fn nodes_need_root_or_a_cluster_that_is_named() {
        assert!(On::Machine.impossible(false, false).is_none());
        assert!(On::Nodes.impossible(false, false).is_some_and(|why| why.contains("root")));
        assert!(On::Nodes.impossible(true, false).is_none() && On::Nodes.impossible(false, true).is_none());
        assert!(On::DevNodes.impossible(true, true).is_some() && On::DevNodes.impossible(false, true).is_none());
    }
}
