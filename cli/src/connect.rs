//! Finding the cluster, as kubectl does: `--kubeconfig`, else the files of `KUBECONFIG`, else
//! `~/.kube/config`, else the service account of the pod.

use std::env;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::flags::Cluster;

/// A connection, and the namespace that is meant.
pub(crate) struct Connection {
    pub(crate) client: Client,
    /// `--namespace`, else that of the context.
    pub(crate) namespace: String,
}

/// Connects; nothing is asked yet.
pub(crate) async fn connect(args: &Cluster) -> anyhow::Result<Connection> {
    let config = match read(args.kubeconfig.as_deref())? {
        Some(file) => configured(file, args.context.clone()).await?,
        None if args.context.is_some() => {
            return Err(anyhow!("--context needs a kubeconfig, and none was found: set --kubeconfig or KUBECONFIG"));
        }
        None => Config::incluster().map_err(|_| {
            anyhow!(
                "no kubeconfig was found, and this is not a pod of a cluster. Set --kubeconfig or KUBECONFIG to a \
                 kubeconfig, or create ~/.kube/config"
            )
        })?,
    };
    let namespace = args.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let client = api::client(config).map_err(|e| anyhow!("{}", api::chain(&e)))?;
    Ok(Connection { client, namespace })
}

/// What a kubeconfig says of a context.
async fn configured(file: Kubeconfig, context: Option<String>) -> anyhow::Result<Config> {
    let proxied = by_kubeconfig(&file, context.as_deref());
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    let mut config = Config::from_custom_kubeconfig(file, &options)
        .await
        .map_err(|e| anyhow!("cannot use the kubeconfig: {}. Check it: kubectl config view", api::chain(&e)))?;
    let host = config.cluster_url.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    if !proxied && no_proxy().is_some_and(|list| is_listed(&list, &host)) {
        config.proxy_url = None;
    }
    Ok(config)
}

/// The kubeconfig; `None` if there is none. Files that `KUBECONFIG` names need not exist.
fn read(given: Option<&Path>) -> anyhow::Result<Option<Kubeconfig>> {
    let read = |path: &Path| Kubeconfig::read_from(path).map_err(|e| anyhow!("{}", api::chain(&e)));
    if let Some(path) = given {
        return read(path).map(Some).context("--kubeconfig");
    }
    let mut whole: Option<Kubeconfig> = None;
    for path in paths(env::var_os("KUBECONFIG"), env::home_dir()) {
        if path.exists() {
            let file = read(&path)?;
            whole = Some(match whole {
                None => file,
                Some(whole) => whole.merge(file).map_err(|e| anyhow!("{}: {e}", path.display()))?,
            });
        }
    }
    Ok(whole)
}

fn paths(variable: Option<std::ffi::OsString>, home: Option<PathBuf>) -> Vec<PathBuf> {
    match variable.filter(|v| !v.is_empty()) {
        Some(list) => env::split_paths(&list).filter(|p| !p.as_os_str().is_empty()).collect(),
        None => home.map(|h| h.join(".kube/config")).into_iter().collect(),
    }
}

/// Whether the kubeconfig itself names the cluster's proxy: then the environment has no say.
fn by_kubeconfig(file: &Kubeconfig, context: Option<&str>) -> bool {
    let context = context.or(file.current_context.as_deref());
    let named = file.contexts.iter().find(|c| Some(c.name.as_str()) == context);
    let cluster = named.and_then(|c| c.context.as_ref()).map(|c| c.cluster.as_str());
    file.clusters
        .iter()
        .filter(|c| Some(c.name.as_str()) == cluster)
        .any(|c| c.cluster.as_ref().and_then(|c| c.proxy_url.as_ref()).is_some_and(|p| !p.is_empty()))
}

fn no_proxy() -> Option<String> {
    env::var("NO_PROXY").or_else(|_| env::var("no_proxy")).ok()
}

/// Whether `NO_PROXY` lists the host: by name, by domain (with or without a dot in front), by address, by
/// network, or by `*`. The client library compares the proxy's own host instead.
fn is_listed(list: &str, host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let address: Option<IpAddr> = host.parse().ok();
    list.split(',').map(|item| item.trim().to_ascii_lowercase()).filter(|item| !item.is_empty()).any(|item| {
        if item == "*" || item == host {
            return true;
        }
        match (address, item.split_once('/')) {
            (Some(address), Some((network, length))) => within(address, network, length).unwrap_or(false),
            (Some(_), None) => false,
            (None, _) => {
                let domain = item.trim_start_matches("*.").trim_start_matches('.');
                host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.') || (rest.is_empty() && domain == item))
            }
        }
    })
}

fn within(address: IpAddr, network: &str, length: &str) -> Option<bool> {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    };
    let network: IpAddr = network.parse().ok()?;
    let length: u32 = length.parse().ok()?;
    let ((a, size), (b, other)) = (bits(address), bits(network));
    if size != other || length > size {
        return None;
    }
    let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
    Some(a & mask == b & mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubeconfig_may_name_several_files() {
        let home = Some(PathBuf::from("/home/me"));
        let found = |v: Option<&str>| paths(v.map(Into::into), home.clone());
        assert_eq!(found(Some("/a:/b::")), [PathBuf::from("/a"), PathBuf::from("/b")]);
        assert_eq!(found(None), [PathBuf::from("/home/me/.kube/config")]);
        assert_eq!(found(Some("")), [PathBuf::from("/home/me/.kube/config")]);
    }

    /// A14: what kubectl takes, the plugin takes.
    #[tokio::test]
    async fn each_form_of_a_kubeconfig_gives_a_client() {
        let folder = env::temp_dir().join(format!("kubeconfig-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("token"), "abc").unwrap();
        let exec = "exec: {apiVersion: client.authentication.k8s.io/v1, command: echo, interactiveMode: Never, \
                    args: ['{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\
                    \"status\":{\"token\":\"abc\"}}']}";
        let plain = "server: 'https://api.example.com:6443'";
        let whole = |cluster: &str, user: &str| {
            format!(
                "apiVersion: v1\nkind: Config\ncurrent-context: here\nclusters: [{{name: c, cluster: {{{cluster}}}}}]\n\
                 contexts: [{{name: here, context: {{cluster: c, user: u, namespace: shop}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
            )
        };
        for (form, cluster, user) in [
            ("a token", plain.to_owned(), "token: abc".to_owned()),
            ("a token in a file beside it", plain.to_owned(), "tokenFile: token".to_owned()),
            ("name and password", plain.to_owned(), "username: a, password: b".to_owned()),
            ("a program", plain.to_owned(), exec.to_owned()),
            ("nobody", plain.to_owned(), String::new()),
            ("no check of certificates", format!("{plain}, insecure-skip-tls-verify: true"), String::new()),
            ("another name of the server", format!("{plain}, tls-server-name: kubernetes"), String::new()),
            ("a proxy", format!("{plain}, proxy-url: 'http://proxy.example.com:3128'"), String::new()),
            ("a proxy over TLS", format!("{plain}, proxy-url: 'https://proxy.example.com:3128'"), String::new()),
            ("a SOCKS proxy", format!("{plain}, proxy-url: 'socks5://proxy.example.com:1080'"), String::new()),
            (
                "a path behind the server",
                "server: 'https://rancher.example.com/k8s/clusters/c-1'".to_owned(),
                String::new(),
            ),
        ] {
            let path = folder.join("config");
            std::fs::write(&path, whole(&cluster, &user)).unwrap();
            let file = read(Some(&path)).unwrap().unwrap();
            let config = configured(file, None).await.unwrap_or_else(|e| panic!("{form}: {e}"));
            assert_eq!(config.default_namespace, "shop", "{form}");
            api::client(config).unwrap_or_else(|e| panic!("{form}: {}", api::chain(&e)));
        }
        let broken = folder.join("broken");
        std::fs::write(&broken, whole(plain, "").replace("current-context: here", "current-context: there")).unwrap();
        let error = configured(read(Some(&broken)).unwrap().unwrap(), None).await.unwrap_err().to_string();
        assert!(error.contains("kubectl config view"), "{error}");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_proxy_is_passed_by_for_hosts_that_no_proxy_lists() {
        for (list, host) in [
            ("*", "api.example.com"),
            ("localhost, api.example.com", "API.example.com"),
            (".example.com", "api.example.com"),
            ("example.com", "api.example.com"),
            ("example.com", "example.com"),
            ("10.0.0.0/8", "10.1.2.3"),
            ("10.1.2.3", "10.1.2.3"),
            ("fd00::/8", "fd12::1"),
            ("0.0.0.0/0", "10.1.2.3"),
        ] {
            assert!(is_listed(list, host), "{list} {host}");
        }
        for (list, host) in [
            ("", "api.example.com"),
            ("ample.com", "api.example.com"),
            (".example.com", "example.com"),
            ("10.0.0.0/8", "11.1.2.3"),
            ("10.0.0.0/33", "10.1.2.3"),
            ("fd00::/8", "10.1.2.3"),
            ("1.2.3", "10.1.2.3"),
        ] {
            assert!(!is_listed(list, host), "{list} {host}");
        }
    }
}
