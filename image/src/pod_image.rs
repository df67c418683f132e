// SPDX-License-Identifier: Apache-2.0
//! A container image of one static program, as an OCI layout in a tar
//! (<https://github.com/opencontainers/image-spec>): what containerd imports at boot.

use anyhow::Result;
use serde_json::{Value, json};

use crate::base::hex;
use crate::tar_file::{self, Epoch};
use crate::tree::{Content, Tree};
use sha2::{Digest, Sha256};

/// What an image is called and runs.
#[derive(Clone, Copy, Debug)]
pub struct PodImage<'a> {
    /// With registry and tag.
    pub name: &'a str,
    /// Program and arguments.
    pub entrypoint: &'a [&'a str],
}

impl PodImage<'_> {
    /// The tar of an image whose root holds `files`.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn layout(&self, files: &Tree, epoch: Epoch) -> Result<Vec<u8>> {
        let mut layer = Vec::new();
        tar_file::write(files, epoch, &mut layer)?;
        let mut layout = Tree::default();
        let layer_digest = digest(&layer);
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "config": { "Entrypoint": self.entrypoint, "WorkingDir": "/" },
            "rootfs": { "type": "layers", "diff_ids": [&layer_digest] },
        });
        let layer = blob(&mut layout, "layer.v1.tar", layer)?;
        let config = blob(&mut layout, "config.v1+json", config.to_string().into_bytes())?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config,
            "layers": [layer],
        });
        let mut manifest =
            blob(&mut layout, "manifest.v1+json", manifest.to_string().into_bytes())?;
        manifest["annotations"] = json!({ "io.containerd.image.name": self.name });
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [manifest],
        });
        let version = json!({ "imageLayoutVersion": "1.0.0" });
        for (name, value) in [("index.json", index), ("oci-layout", version)] {
            layout.add_file(name, Content::Bytes(value.to_string().into_bytes()), false)?;
        }
        let mut tar = Vec::new();
        tar_file::write(&layout, epoch, &mut tar)?;
        Ok(tar)
    }
}

fn blob(layout: &mut Tree, kind: &str, bytes: Vec<u8>) -> Result<Value> {
    let digest = digest(&bytes);
    let descriptor = json!({
        "mediaType": format!("application/vnd.oci.image.{kind}"),
        "digest": digest,
        "size": bytes.len(),
    });
    layout.add_file(format!("blobs/{}", digest.replace(':', "/")), Content::Bytes(bytes), false)?;
    Ok(descriptor)
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn each_descriptor_leads_to_a_blob_of_its_hash_and_size() {
        let mut files = Tree::default();
        files.add_file("beacon", Content::Bytes(b"elf".to_vec()), true).unwrap();
        let image =
            PodImage { name: "localhost/kubermesh/pause:1", entrypoint: &["/beacon", "pause"] };

        let found = entries(&image.layout(&files, Epoch(7)).unwrap());

        let index: Value = serde_json::from_slice(&found["index.json"]).unwrap();
        let first = &index["manifests"][0];
        assert_eq!(first["annotations"]["io.containerd.image.name"], "localhost/kubermesh/pause:1");
        let manifest: Value = serde_json::from_slice(follow(&found, first)).unwrap();
        let config: Value = serde_json::from_slice(follow(&found, &manifest["config"])).unwrap();
        assert_eq!(config["config"]["Entrypoint"], json!(["/beacon", "pause"]));
        assert_eq!(config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"]);
        let layer = entries(follow(&found, &manifest["layers"][0]));
        assert_eq!(layer["beacon"], b"elf");
    }

    fn follow<'a>(
        found: &'a std::collections::BTreeMap<String, Vec<u8>>,
        descriptor: &Value,
    ) -> &'a [u8] {
        let digest = descriptor["digest"].as_str().unwrap();
        let blob = &found[&format!("blobs/sha256/{}", digest.strip_prefix("sha256:").unwrap())];
        assert_eq!(descriptor["size"], blob.len());
        assert_eq!(digest, format!("sha256:{}", hex(&Sha256::digest(blob))));
        blob
    }

    fn entries(tar: &[u8]) -> std::collections::BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(tar);
        let read = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().to_str().unwrap().to_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (name, bytes)
        });
        read.collect()
    }
}
