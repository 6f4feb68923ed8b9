//! What is exported: a checkpoint's model with its values.

use plan::Plan;
use spec::CheckpointManifest;

/// A checkpoint's model with its values.
#[derive(Debug, Clone, Copy)]
pub struct Exported<'a> {
    /// The plan of the checkpoint's model on its data.
    pub plan: &'a Plan,
    /// What the checkpoint says of itself.
    pub manifest: &'a CheckpointManifest,
    /// The flat parameters, as many as the plan counts.
    pub parameters: &'a [f32],
    /// The flat running statistics, as many as the plan counts.
    pub running_statistics: &'a [f32],
}

impl Exported<'_> {
    /// What a file says of where it comes from, and what feeding it takes: text by key, in order of the keys.
    ///
    /// `preprocessing` has the constants that are applied to each value, by channel: `(x - shift) * scale`.
    pub(crate) fn notes(&self) -> Vec<(&'static str, String)> {
        let json = |value: serde_json::Value| value.to_string();
        let manifest = self.manifest;
        vec![
            ("checkpoint", manifest.digest().to_string()),
            ("classes", json(manifest.data.classes.clone().into())),
            ("job", manifest.job.name.clone()),
            ("job_file", spec::job_file::render(&manifest.job)),
            (
                "preprocessing",
                json(serde_json::json!(manifest.preprocessing)),
            ),
            ("step", manifest.step.to_string()),
        ]
    }
}
