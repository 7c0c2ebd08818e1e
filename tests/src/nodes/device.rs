//! Raw devices: volumes without a file system.

use anyhow::Result;
use serde_json::json;

use super::{App, Comparison, manifest};

impl App {
    /// As [`App::truth`], of a raw device.
    pub fn device_truth(&self, restore_point: &str) -> Result<String> {
        let name = format!("truth-{restore_point}");
        self.apply(&self.truth_manifest(&name, restore_point, "ext4\n  volumeMode: Block", "64Mi")?)?;
        Ok(name)
    }

    /// Makes an empty device with the annotation `restore-from`.
    pub fn device_claim(&self, name: &str, request: &str) -> Result<()> {
        let annotations =
            json!({"backup-controller.io/enabled": "false", "backup-controller.io/restore-from": request});
        let claim = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": self.namespace, "annotations": annotations},
            "spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": "ext4", "volumeMode": "Block",
                "resources": {"requests": {"storage": "64Mi"}},
            },
        });
        self.apply(&claim.to_string())?;
        Ok(())
    }

    /// Compares two devices in a pod.
    pub fn compare_devices(&self, name: &str, left: &str, right: &str) -> Result<Comparison> {
        let words =
            [("NAMESPACE", self.namespace.as_str()), ("NAME", name), ("LEFT_CLAIM", left), ("RIGHT_CLAIM", right)];
        self.run_comparison(name, &manifest("compare-devices.yaml", &words)?)
    }
}
