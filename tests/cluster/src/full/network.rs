//! Bridges, addresses and packet filters: made by `up`, removed by `down`, nobody else's touched.
//!
//! One bridge carries the nodes' own addresses, one for each node carries its pods. Nothing is
//! masqueraded and nothing is forwarded to or from other interfaces: pods reach this machine and each
//! other, and nobody outside reaches them.

use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::host::{output, run, set};

/// The bridge of the nodes' addresses. All our interfaces begin with `bcdev`.
const HOSTS: &str = "bcdev0";
const NODES: &str = "10.97.0.0/24";
/// All pods. Node n has 10.244.n.0/24.
pub(crate) const PODS: &str = "10.244.0.0/16";
const CHAINS: [(&str, &str); 2] = [("INPUT", "BCDEV-INPUT"), ("FORWARD", "BCDEV-FORWARD")];
const FILTERS: [&str; 2] = ["iptables", "ip6tables"];

/// A node's address; node 1's is the API server's too.
pub(crate) fn node_address(node: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 97, 0, node)
}

/// The bridge of a node's pods.
pub(crate) fn pod_bridge(node: u8) -> String {
    format!("bcdev{node}")
}

/// Refuses a machine where a Kubernetes or another dev cluster runs, or the addresses are in use.
pub(crate) fn check_free() -> Result<()> {
    if Path::new("/sys/class/net").join(HOSTS).exists() {
        bail!(
            "the interface {HOSTS} is there: another dev cluster runs; end it with `dev-cluster down --dir ITS_FOLDER`"
        );
    }
    if run("iptables-save", &["-t", "nat"])?.contains(":KUBE-SERVICES") {
        bail!("this machine already is a node of a Kubernetes (chain KUBE-SERVICES): no second one can run beside it");
    }
    let routes = run("ip", &["-4", "route", "show", "table", "all"])?;
    for prefix in ["10.244.", "10.96.", "10.97.0."] {
        if let Some(route) = routes.lines().find(|route| route.split(' ').any(|word| word.starts_with(prefix))) {
            bail!("addresses that the dev cluster needs are in use here: {route}");
        }
    }
    Ok(())
}

/// Makes the bridge of the nodes, and the filters.
pub(crate) fn create(nodes: u8) -> Result<()> {
    run("ip", &["link", "add", HOSTS, "type", "bridge"]).context("cannot make a bridge")?;
    run("ip", &["link", "set", HOSTS, "up"])?;
    for node in 1..=nodes {
        run("ip", &["address", "add", &format!("{}/24", node_address(node)), "dev", HOSTS])?;
    }
    set("net/ipv4/ip_forward", "1")?;
    set("net/bridge/bridge-nf-call-iptables", "1")?;
    for (parent, chain) in CHAINS {
        run("iptables", &["-w", "-N", chain])?;
        run("iptables", &["-w", "-I", parent, "1", "-j", chain])?;
    }
    let rule = |text: &str| run("iptables", &[&["-w", "-A"], text.split(' ').collect::<Vec<_>>().as_slice()].concat());
    rule("BCDEV-INPUT -i lo -j RETURN")?;
    rule("BCDEV-INPUT -i bcdev+ -j ACCEPT")?;
    rule(&format!("BCDEV-INPUT -d {NODES} -j DROP"))?;
    // Replies and translated traffic between pods; nothing enters or leaves the machine.
    rule("BCDEV-FORWARD -i bcdev+ -o bcdev+ -j ACCEPT")?;
    rule("BCDEV-FORWARD -i bcdev+ -j DROP")?;
    rule("BCDEV-FORWARD -o bcdev+ -j DROP")?;
    Ok(())
}

/// The CNI configuration of a node.
pub(crate) fn write_cni(dir: &Path, node: u8) -> Result<()> {
    fs::create_dir_all(dir.join("net.d"))?;
    let config = serde_json::json!({
        "cniVersion": "0.4.0",
        "name": format!("dev-cluster-{node}"),
        "plugins": [{
            "type": "bridge",
            "bridge": pod_bridge(node),
            "isGateway": true,
            "ipMasq": false,
            "hairpinMode": true,
            "ipam": {
                "type": "host-local",
                "dataDir": dir.join("addresses"),
                "ranges": [[{"subnet": format!("10.244.{node}.0/24")}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }],
    });
    fs::write(dir.join("net.d/10-dev-cluster.conflist"), format!("{config:#}\n"))?;
    Ok(())
}

/// Removes all of it, kube-proxy's chains too. Nothing is left to do the second time.
pub(crate) fn remove(nodes: u8) -> Result<()> {
    for (parent, chain) in CHAINS {
        while output("iptables", &["-w", "-D", parent, "-j", chain])?.status.success() {}
        if output("iptables", &["-w", "-F", chain])?.status.success() {
            run("iptables", &["-w", "-X", chain])?;
        }
    }
    for filter in FILTERS {
        for table in ["nat", "filter", "mangle", "raw"] {
            remove_kubernetes_chains(filter, table)?;
        }
    }
    for link in (0..=nodes).map(pod_bridge) {
        if Path::new("/sys/class/net").join(&link).exists() {
            run("ip", &["link", "delete", &link])?;
        }
    }
    // What was tracked of connections to addresses that are no more.
    for network in [PODS, NODES] {
        for direction in ["--src", "--dst"] {
            let _ = output("conntrack", &["-D", direction, network]);
        }
    }
    Ok(())
}

fn remove_kubernetes_chains(filter: &str, table: &str) -> Result<()> {
    let saved = run(&format!("{filter}-save"), &["-t", table])?;
    let chains: Vec<&str> = saved
        .lines()
        .filter_map(|line| line.strip_prefix(":KUBE-").map(|_| line[1..].split(' ').next().unwrap_or_default()))
        .collect();
    if chains.is_empty() {
        return Ok(());
    }
    // One transaction: rules elsewhere that lead into the chains, then the chains.
    let mut script = format!("*{table}\n");
    for line in saved
        .lines()
        .filter(|line| line.starts_with("-A ") && !line.starts_with("-A KUBE-") && line.contains("-j KUBE-"))
    {
        script += &line.replacen("-A ", "-D ", 1);
        script.push('\n');
    }
    for chain in &chains {
        writeln!(script, "-F {chain}")?;
    }
    for chain in &chains {
        writeln!(script, "-X {chain}")?;
    }
    script += "COMMIT\n";
    restore(&format!("{filter}-restore"), &script)
        .with_context(|| format!("cannot remove Kubernetes' chains of {filter} {table}"))
}

fn restore(program: &str, script: &str) -> Result<()> {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let mut child = Command::new(program)
        .args(["-w", "--noflush"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(script.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("`{program}` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
