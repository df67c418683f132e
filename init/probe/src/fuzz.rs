// SPDX-License-Identifier: Apache-2.0
//! Ways in for the fuzz targets (`tests/fuzz`), which see no more of a crate than others do. Only
//! a build with `cfg(fuzzing)` has them.

use kubermesh_node::channel::PodsReport;
use prost::Message;
use tokio::io::{AsyncWriteExt, DuplexStream};

use crate::check::{self, sentence};
use crate::cri::{ListContainersResponse, ListPodSandboxResponse};
use crate::pods;

/// Somebody who says this and no more is taken for BIRD: the sentence that comes of it.
///
/// # Errors
/// He is not BIRD.
pub fn bird(said: &[u8]) -> Result<String, String> {
    over(said, async |stream| check::told(check::bird::converse("/run/bird.ctl", stream).await))
}

/// Somebody who says this and no more is asked over HTTP: the status.
///
/// # Errors
/// He does not speak HTTP.
pub fn http(said: &[u8]) -> Result<u16, String> {
    over(said, async |stream| {
        let request = hyper::Request::get("/healthz").body(String::new());
        let request = request.map_err(|refusal| refusal.to_string())?;
        check::http::status(stream, request).await.map_err(|refusal| sentence(&refusal))
    })
}

/// The answers of a container runtime to the two lists, as a report.
#[must_use]
pub fn pods(sandboxes: &[u8], containers: &[u8]) -> Option<PodsReport> {
    let sandboxes = ListPodSandboxResponse::decode(sandboxes).ok()?;
    let containers = ListContainersResponse::decode(containers).ok()?;
    let again = ListPodSandboxResponse::decode(sandboxes.encode_to_vec().as_slice());
    assert_eq!(again.as_ref(), Ok(&sandboxes));
    Some(pods::told(&["beacon", "beacon-two"], &sandboxes.items, &containers.containers))
}

/// The name of the pod in a manifest.
#[must_use]
pub fn manifest(text: &str) -> Option<String> {
    pods::pod_name(text)
}

fn over<T>(
    said: &[u8],
    ask: impl AsyncFnOnce(DuplexStream) -> Result<T, String>,
) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.map_err(|refusal| refusal.to_string())?.block_on(async {
        let (ours, mut theirs) = tokio::io::duplex(said.len().max(1).saturating_add(4096));
        theirs.write_all(said).await.map_err(|refusal| refusal.to_string())?;
        theirs.shutdown().await.map_err(|refusal| refusal.to_string())?;
        ask(ours).await
    })
}
