//! What differs between clusters: the class of the application's volume, and where its pods get their images.

use serde_json::{Value, json};

/// The images that `make image` brings to every node of the dev cluster. Other clusters may have them by these names too.
pub const CONTROLLER_IMAGE: &str = "localhost/backup-controller:dev";
/// The image of our copy and restore pods: a Debian with a shell, rsync and restic.
pub const MOVER_IMAGE: &str = "localhost/backup-mover:dev";
/// A Debian with more tools, for the applications of the dev cluster.
const TOOLS_IMAGE: &str = "localhost/dev-tools:dev";

/// Where an application and its comparisons run.
#[derive(Debug, Clone)]
pub struct Place {
    /// The `StorageClass` of volumes that are shared, on the dev cluster, and of all volumes elsewhere.
    pub class: String,
    /// The image of the controller.
    pub controller_image: String,
    /// The image of our pods.
    pub mover_image: String,
    tools_image: String,
    /// Whether a volume of the class gets its storage only when a pod asks for it.
    pub binds_late: bool,
    dev: bool,
}

impl Place {
    /// The dev cluster.
    #[must_use]
    pub fn dev() -> Self {
        Self {
            class: "shared".into(),
            controller_image: CONTROLLER_IMAGE.into(),
            mover_image: MOVER_IMAGE.into(),
            tools_image: TOOLS_IMAGE.into(),
            binds_late: false,
            dev: true,
        }
    }

    /// The dev cluster, with the application's volume of another class.
    #[must_use]
    pub fn of_class(class: &str) -> Self {
        Self { class: class.into(), ..Self::dev() }
    }

    /// Another cluster, whose nodes have the two images or can pull them. Our pods' image serves the application too.
    #[must_use]
    pub fn other(class: &str, binds_late: bool, controller_image: &str, mover_image: &str) -> Self {
        Self {
            class: class.into(),
            controller_image: controller_image.into(),
            mover_image: mover_image.into(),
            tools_image: mover_image.into(),
            binds_late,
            dev: false,
        }
    }

    /// Whether it is the dev cluster.
    #[must_use]
    pub fn is_dev(&self) -> bool {
        self.dev
    }

    /// The playbook's variables for the images.
    #[must_use]
    pub fn images(&self) -> Value {
        json!({"IMAGE": self.controller_image, "MOVER_IMAGE": self.mover_image})
    }

    /// The access mode of a volume that is only read.
    pub(super) fn read_mode(&self) -> &'static str {
        // Few classes elsewhere can make volumes that many may read.
        if self.dev { "ReadOnlyMany" } else { "ReadWriteOnce" }
    }

    /// A manifest of the dev cluster's pods with the images of this cluster.
    pub(super) fn fit(&self, manifest: &str) -> String {
        if self.dev {
            return manifest.to_owned();
        }
        manifest
            .replace(TOOLS_IMAGE, &self.tools_image)
            .replace(MOVER_IMAGE, &self.mover_image)
            .replace("imagePullPolicy: Never", "imagePullPolicy: IfNotPresent")
    }
}
