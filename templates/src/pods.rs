//! What a pod of ours may do at most, whatever its template says.

use model::config::PodSettings;
use serde_json::{Value, json};

use crate::error::Fault;
use crate::field::{not_ours, path};
use crate::program::SECRET_DIR;

// The container that runs our program is the first one in its pod. Others may be beside it.
use model::names::CONTAINER;

/// What a copy may do as root: read and write whatever there is, and keep owners, modes, capabilities
/// and devices. All of it is within Pod Security `baseline`.
pub(crate) const COPY_CAPABILITIES: &[&str] = &["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "MKNOD", "SETFCAP"];

/// What the removal of copies may do as root: remove files and folders, whoever owns them.
pub(crate) const REMOVE_CAPABILITIES: &[&str] = &["DAC_OVERRIDE", "FOWNER"];

/// What one pod template must be.
#[derive(Default)]
pub(crate) struct PodRules {
    /// Where the pod template is in its object.
    pub(crate) pointer: &'static str,
    /// `None` is the namespace's own, `default`.
    pub(crate) service_account: Option<String>,
    /// Whether it may call the API.
    pub(crate) token: bool,
    /// Whether it may run as root.
    pub(crate) root: bool,
    /// What capabilities its containers may add.
    pub(crate) capabilities: &'static [&'static str],
    /// The `SELinux` type that its containers may ask for.
    pub(crate) selinux_type: Option<&'static str>,
    /// A folder of the host, and where it is mounted.
    pub(crate) host_path: Option<(String, &'static str)>,
    /// The PVCs that it mounts: these and no others.
    pub(crate) mounts: Vec<Mount>,
    /// The Secret that it mounts at [`SECRET_DIR`]: this and no other, and never as a variable.
    pub(crate) secret: Option<String>,
    /// A variable of its first container.
    pub(crate) variable: Option<(&'static str, String)>,
    /// The volume that is made for the pod and goes with it: this and no other.
    pub(crate) ephemeral: Option<Value>,
    /// What the configuration adds to it.
    pub(crate) settings: PodSettings,
    /// Its first container: image, program, arguments.
    pub(crate) image: String,
    pub(crate) command: &'static str,
    pub(crate) args: Vec<String>,
}

/// A PVC in a pod.
pub(crate) struct Mount {
    pub(crate) claim: String,
    pub(crate) path: &'static str,
    /// A second path at which a filesystem may be mounted. A device has one path.
    pub(crate) also: Option<&'static str>,
    pub(crate) sub_path: Option<String>,
    pub(crate) read_only: bool,
    /// Whether it is there as a raw block device, and not mounted. It is read-only if its volume is.
    pub(crate) device: bool,
}

impl Mount {
    /// The volume of a pod, and the mount or device of its first container, for templates that write such out one by one.
    pub(crate) fn volume(&self, name: &str) -> (Value, Value) {
        let mut volume = json!({"name": name, "persistentVolumeClaim": {"claimName": self.claim}});
        if self.read_only {
            volume["persistentVolumeClaim"]["readOnly"] = json!(true);
        }
        if self.device {
            return (volume, json!({"name": name, "devicePath": self.path}));
        }
        let mut mount = json!({"name": name, "mountPath": self.path});
        if let Some(sub_path) = &self.sub_path {
            mount["subPath"] = json!(sub_path);
        }
        if self.read_only {
            mount["readOnly"] = json!(true);
        }
        (volume, mount)
    }
}

/// Volumes that hold nothing of anybody else's, and no secret.
const HARMLESS_VOLUMES: &[&str] = &["configMap", "downwardAPI", "emptyDir"];

/// A value with the way to it.
#[derive(Clone)]
struct At<'a> {
    value: &'a Value,
    pointer: String,
}

impl<'a> At<'a> {
    fn get(&self, field: &str) -> Self {
        Self { value: &self.value[field], pointer: format!("{}/{field}", self.pointer) }
    }

    fn items(&self) -> impl Iterator<Item = At<'a>> + use<'a> {
        let pointer = self.pointer.clone();
        self.value
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
            .map(move |(i, value)| At { value, pointer: format!("{pointer}/{i}") })
    }

    fn text(&self) -> Option<&'a str> {
        self.value.as_str()
    }

    fn is_true(&self) -> bool {
        self.value.as_bool() == Some(true)
    }

    fn must(&self, fine: bool, expected: impl Into<String>) -> Result<(), Fault> {
        if fine {
            return Ok(());
        }
        let found = Some(self.value).filter(|v| !v.is_null());
        Err(not_ours(path(&self.pointer), expected.into(), found))
    }

    fn must_be_absent(&self) -> Result<(), Fault> {
        let empty = match self.value {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::String(text) => text.is_empty(),
            _ => false,
        };
        self.must(empty, "left out")
    }
}

/// Checks the pod template of an object.
pub(crate) fn check(rules: &PodRules, object: &Value) -> Result<(), Fault> {
    let pointer = format!("{}/spec", rules.pointer);
    let spec = At { value: object.pointer(&pointer).unwrap_or(&Value::Null), pointer };
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        spec.get(field).must(!spec.get(field).is_true(), "false")?;
    }
    // restic takes a lock for stale when its host name is its own.
    for field in ["hostname", "ephemeralContainers", "nodeName"] {
        spec.get(field).must_be_absent()?;
    }
    identity(rules, &spec)?;
    pod_security(rules, &spec.get("securityContext"))?;
    let volumes = spec.get("volumes").items().map(|v| volume(rules, &v)).collect::<Result<Vec<_>, _>>()?;
    for list in ["initContainers", "containers"] {
        for container in spec.get(list).items() {
            container_security(rules, &spec, &container)?;
            mounts(&volumes, &container)?;
            devices(&volumes, &container)?;
        }
    }
    let first = spec.get("containers");
    let Some(first) = first.items().next() else {
        return first.must(false, "a list that begins with this program's container");
    };
    program(rules, &volumes, &first)
}

fn identity(rules: &PodRules, spec: &At<'_>) -> Result<(), Fault> {
    for field in ["serviceAccountName", "serviceAccount"] {
        let at = spec.get(field);
        match &rules.service_account {
            Some(ours) => at.must(
                at.text() == Some(ours) || (at.value.is_null() && field == "serviceAccount"),
                format!("\"{ours}\""),
            )?,
            None => at.must(matches!(at.text(), None | Some("" | "default")), "\"default\" or left out")?,
        }
    }
    let at = spec.get("automountServiceAccountToken");
    at.must(rules.token || at.value.as_bool() == Some(false), "false")
}

fn pod_security(rules: &PodRules, context: &At<'_>) -> Result<(), Fault> {
    // A group for all files would be written into the data.
    for field in ["fsGroup", "sysctls", "windowsOptions"] {
        context.get(field).must_be_absent()?;
    }
    selinux(rules, &context.get("seLinuxOptions"))
}

fn selinux(rules: &PodRules, options: &At<'_>) -> Result<(), Fault> {
    for field in ["user", "role"] {
        options.get(field).must_be_absent()?;
    }
    let at = options.get("type");
    match (at.text(), rules.selinux_type) {
        (None | Some(""), _) => Ok(()),
        (Some(found), Some(ours)) => at.must(found == ours, format!("\"{ours}\"")),
        (Some(_), None) => at.must_be_absent(),
    }
}

fn container_security(rules: &PodRules, spec: &At<'_>, container: &At<'_>) -> Result<(), Fault> {
    let (pod, own) = (spec.get("securityContext"), container.get("securityContext"));
    // A container's own setting, else the pod's.
    let effective = |field: &str| {
        let at = own.get(field);
        if at.value.is_null() { pod.get(field) } else { at }
    };
    own.get("privileged").must(!own.get("privileged").is_true(), "false")?;
    let escalation = own.get("allowPrivilegeEscalation");
    escalation.must(escalation.value.as_bool() == Some(false), "false")?;
    let drop = own.get("capabilities").get("drop");
    drop.must(drop.items().any(|c| c.text() == Some("ALL")), "[\"ALL\"]")?;
    for added in own.get("capabilities").get("add").items() {
        let fine = added.text().is_some_and(|c| rules.capabilities.contains(&c));
        let allowed = if rules.capabilities.is_empty() {
            "left out".to_owned()
        } else {
            format!("one of {}", rules.capabilities.join(", "))
        };
        added.must(fine, allowed)?;
    }
    let non_root = effective("runAsNonRoot");
    non_root.must(rules.root || non_root.is_true(), "true")?;
    let user = effective("runAsUser");
    user.must(rules.root || user.value.as_u64() != Some(0), "a user other than root")?;
    let seccomp = effective("seccompProfile").get("type");
    seccomp
        .must(matches!(seccomp.text(), Some("RuntimeDefault" | "Localhost")), "\"RuntimeDefault\" or \"Localhost\"")?;
    let apparmor = effective("appArmorProfile").get("type");
    apparmor.must(apparmor.text() != Some("Unconfined"), "\"RuntimeDefault\", \"Localhost\" or left out")?;
    let proc = own.get("procMount");
    proc.must(matches!(proc.text(), None | Some("Default")), "\"Default\" or left out")?;
    own.get("windowsOptions").must_be_absent()?;
    selinux(rules, &own.get("seLinuxOptions"))?;
    for port in container.get("ports").items() {
        let host = port.get("hostPort");
        host.must(host.value.is_null() || host.value.as_u64() == Some(0), "left out")?;
    }
    for source in container.get("envFrom").items() {
        source.get("secretRef").must_be_absent()?;
    }
    for variable in container.get("env").items() {
        variable.get("valueFrom").get("secretKeyRef").must_be_absent()?;
    }
    Ok(())
}

/// What a volume of a pod is.
enum Volume<'a> {
    Harmless,
    Claim(&'a str, &'a Mount),
    Host(&'a str, &'static str),
    Secret(&'a str),
}

fn volume<'a>(rules: &'a PodRules, volume: &At<'a>) -> Result<Volume<'a>, Fault> {
    let name = volume.get("name").text().unwrap_or_default();
    for (kind, _) in volume.value.as_object().into_iter().flatten().filter(|(k, _)| *k != "name") {
        let at = volume.get(kind);
        match kind.as_str() {
            "persistentVolumeClaim" => {
                let claim = at.get("claimName");
                let Some(mount) = rules.mounts.iter().find(|m| Some(m.claim.as_str()) == claim.text()) else {
                    let ours: Vec<&str> = rules.mounts.iter().map(|m| m.claim.as_str()).collect();
                    claim.must(false, if ours.is_empty() { "left out".to_owned() } else { ours.join(" or ") })?;
                    continue;
                };
                let read_only = at.get("readOnly");
                read_only.must(!mount.read_only || read_only.is_true(), "true")?;
                return Ok(Volume::Claim(name, mount));
            }
            "hostPath" => {
                let folder = at.get("path");
                match &rules.host_path {
                    Some((ours, mount)) => {
                        folder.must(folder.text() == Some(ours), format!("\"{ours}\""))?;
                        // Any other type would make the folder where no disk is mounted.
                        at.get("type").must(at.get("type").text() == Some("Directory"), "\"Directory\"")?;
                        return Ok(Volume::Host(name, mount));
                    }
                    None => at.must_be_absent()?,
                }
            }
            "secret" => {
                let Some(ours) = &rules.secret else {
                    at.must_be_absent()?;
                    continue;
                };
                let secret = at.get("secretName");
                secret.must(secret.text() == Some(ours), format!("\"{ours}\""))?;
                // The program says which Secret is missing; the kubelet would wait for it.
                at.get("optional").must(at.get("optional").is_true(), "true")?;
                return Ok(Volume::Secret(name));
            }
            "ephemeral" => match &rules.ephemeral {
                Some(ours) => at.must(at.value == ours, ours.to_string())?,
                None => at.must_be_absent()?,
            },
            harmless if HARMLESS_VOLUMES.contains(&harmless) => {}
            _ => at.must(false, "left out")?,
        }
    }
    Ok(Volume::Harmless)
}

/// Where a container mounts a volume that holds data, it is as it must be.
fn mounts(volumes: &[Volume<'_>], container: &At<'_>) -> Result<(), Fault> {
    for mount in container.get("volumeMounts").items() {
        let name = mount.get("name");
        for volume in volumes {
            match volume {
                // The kubelet would not start the pod, and the copy would only be late.
                Volume::Claim(volume, wanted) if name.text() == Some(volume) && wanted.device => {
                    name.must(false, "left out")?;
                }
                Volume::Claim(volume, wanted) if name.text() == Some(volume) => {
                    let (path, sub, read_only) = (mount.get("mountPath"), mount.get("subPath"), mount.get("readOnly"));
                    let paths = [Some(wanted.path), wanted.also];
                    let expected: Vec<String> = paths.iter().flatten().map(|path| format!("\"{path}\"")).collect();
                    path.must(path.text().is_some() && paths.contains(&path.text()), expected.join(" or "))?;
                    let allowed = wanted.sub_path.as_ref().map_or("left out".to_owned(), |s| format!("\"{s}\""));
                    sub.must(sub.text() == wanted.sub_path.as_deref(), allowed)?;
                    mount.get("subPathExpr").must_be_absent()?;
                    read_only.must(!wanted.read_only || read_only.is_true(), "true")?;
                }
                Volume::Host(volume, wanted) if name.text() == Some(volume) => {
                    let path = mount.get("mountPath");
                    path.must(path.text() == Some(wanted), format!("\"{wanted}\""))?;
                    for field in ["subPath", "subPathExpr"] {
                        mount.get(field).must_be_absent()?;
                    }
                    let propagation = mount.get("mountPropagation");
                    propagation.must(propagation.text() != Some("Bidirectional"), "\"HostToContainer\" or left out")?;
                }
                Volume::Secret(volume) if name.text() == Some(volume) => {
                    let (path, read_only) = (mount.get("mountPath"), mount.get("readOnly"));
                    path.must(path.text() == Some(SECRET_DIR), format!("\"{SECRET_DIR}\""))?;
                    read_only.must(read_only.is_true(), "true")?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// What a container opens as a device is one that our program reads or writes as such, and at its place.
fn devices(volumes: &[Volume<'_>], container: &At<'_>) -> Result<(), Fault> {
    for device in container.get("volumeDevices").items() {
        let name = device.get("name");
        let ours = volumes.iter().find_map(|volume| match volume {
            Volume::Claim(volume, wanted) if wanted.device && name.text() == Some(volume) => Some(wanted.path),
            _ => None,
        });
        let Some(ours) = ours else { return name.must(false, "left out") };
        let path = device.get("devicePath");
        path.must(path.text() == Some(ours), format!("\"{ours}\""))?;
    }
    Ok(())
}

/// The first container is our program, and has all that it needs.
fn program(rules: &PodRules, volumes: &[Volume<'_>], container: &At<'_>) -> Result<(), Fault> {
    let exactly = |field: &str, value: Value| {
        let at = container.get(field);
        at.must(*at.value == value, value.to_string())
    };
    exactly("name", CONTAINER.into())?;
    exactly("image", rules.image.as_str().into())?;
    exactly("command", vec![rules.command].into())?;
    exactly("args", rules.args.clone().into())?;
    for (field, ours) in [("terminationMessagePath", "/dev/termination-log"), ("terminationMessagePolicy", "File")] {
        let at = container.get(field);
        at.must(at.value.is_null() || at.text() == Some(ours), format!("\"{ours}\" or left out"))?;
    }
    if let Some((name, value)) = &rules.variable {
        let list = container.get("env");
        let there = list.items().any(|v| v.get("name").text() == Some(name) && v.get("value").text() == Some(value));
        list.must(there, format!("a list with {name}={value}"))?;
    }
    let root = container.get("securityContext").get("readOnlyRootFilesystem");
    root.must(root.is_true(), "true")?;
    let list = container.get("volumeMounts");
    let names = |list: &At<'_>, volume: &str| list.items().any(|m| m.get("name").text() == Some(volume));
    let mounted = |volume: &str| names(&list, volume);
    for wanted in &rules.mounts {
        let (list, path) = if wanted.device { ("volumeDevices", "devicePath") } else { ("volumeMounts", "mountPath") };
        let list = container.get(list);
        let there = |name: &str| {
            list.items().any(|m| m.get("name").text() == Some(name) && m.get(path).text() == Some(wanted.path))
        };
        let is = |v: &Volume<'_>| matches!(v, Volume::Claim(n, m) if m.path == wanted.path && there(n));
        list.must(volumes.iter().any(is), format!("a list with PVC {} at {}", wanted.claim, wanted.path))?;
    }
    if let Some((folder, at)) = &rules.host_path {
        let there = volumes.iter().any(|v| matches!(v, Volume::Host(n, _) if mounted(n)));
        list.must(there, format!("a list with the host's folder {folder} at {at}"))?;
    }
    if let Some(secret) = &rules.secret {
        let there = volumes.iter().any(|v| matches!(v, Volume::Secret(n) if mounted(n)));
        list.must(there, format!("a list with Secret {secret} at {SECRET_DIR}"))?;
    }
    Ok(())
}
