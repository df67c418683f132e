// SPDX-License-Identifier: Apache-2.0
//! The container runtime interface, as far as it is needed here: gRPC over a Unix socket.
//!
//! Calls wait as long as the runtime does: the caller bounds them. A [`Runtime`] that is dropped
//! closes its connection.

#[cfg(test)]
pub(crate) mod fake;
mod messages;

use std::error::Error;
use std::io;

use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use messages::{
    ById, ContainerStatusResponse, Empty, NamespaceMode, PodSandboxStatusResponse, StatusResponse,
    StopContainerRequest,
};
pub(crate) use messages::{
    Container, ContainerState, ListContainersResponse, ListPodSandboxResponse, Metadata,
    PodSandbox, RuntimeCondition, SandboxState,
};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CriError {
    /// No connection.
    #[error("{socket}: {reason}")]
    Connect {
        /// Path of the socket.
        socket: String,
        /// In words.
        reason: String,
    },
    /// It refused, or the connection broke.
    #[error("{socket} answered {call} with {code:?}: {message}")]
    Call {
        /// Path of the socket.
        socket: String,
        /// The call's name in `runtime.v1.RuntimeService`.
        call: &'static str,
        /// gRPC's word for it.
        code: tonic::Code,
        /// The runtime's words.
        message: String,
    },
}

/// A connection to a container runtime. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Runtime {
    grpc: Grpc<Channel>,
    socket: String,
}

impl Runtime {
    pub(crate) async fn connect(socket: &str) -> Result<Self, CriError> {
        let refused = |refusal: tonic::transport::Error| CriError::Connect {
            socket: socket.to_owned(),
            reason: connection_words(&refusal),
        };
        let endpoint = Endpoint::from_shared(format!("unix://{socket}")).map_err(refused)?;
        let channel = endpoint.connect().await.map_err(refused)?;
        Ok(Self { grpc: Grpc::new(channel), socket: socket.to_owned() })
    }

    pub(crate) async fn status(&self) -> Result<Vec<RuntimeCondition>, CriError> {
        let answer: StatusResponse = self.call("Status", Empty {}).await?;
        Ok(answer.status.unwrap_or_default().conditions)
    }

    pub(crate) async fn sandboxes(&self) -> Result<Vec<PodSandbox>, CriError> {
        let answer: ListPodSandboxResponse = self.call("ListPodSandbox", Empty {}).await?;
        Ok(answer.items)
    }

    pub(crate) async fn containers(&self) -> Result<Vec<Container>, CriError> {
        let answer: ListContainersResponse = self.call("ListContainers", Empty {}).await?;
        Ok(answer.containers)
    }

    /// How a container ended; 0 for one that runs.
    pub(crate) async fn exit_code(&self, container: &str) -> Result<i32, CriError> {
        let request = ById { id: container.to_owned() };
        let answer: ContainerStatusResponse = self.call("ContainerStatus", request).await?;
        Ok(answer.status.unwrap_or_default().exit_code)
    }

    /// Whether a pod uses the node's own network.
    pub(crate) async fn has_host_network(&self, sandbox: &str) -> Result<bool, CriError> {
        let request = ById { id: sandbox.to_owned() };
        let answer: PodSandboxStatusResponse = self.call("PodSandboxStatus", request).await?;
        let linux = answer.status.and_then(|status| status.linux);
        let options = linux.and_then(|linux| linux.namespaces).and_then(|spaces| spaces.options);
        Ok(options.is_some_and(|options| options.network == NamespaceMode::Node as i32))
    }

    /// SIGTERM (or what its image says), and SIGKILL after `grace_secs`. Returns when it has ended.
    pub(crate) async fn stop_container(&self, id: &str, grace_secs: i64) -> Result<(), CriError> {
        let request = StopContainerRequest { container_id: id.to_owned(), timeout: grace_secs };
        self.call("StopContainer", request).await.map(|Empty {}| ())
    }

    /// Kills what is left of a pod and takes its network down.
    pub(crate) async fn stop_sandbox(&self, id: &str) -> Result<(), CriError> {
        let request = ById { id: id.to_owned() };
        self.call("StopPodSandbox", request).await.map(|Empty {}| ())
    }

    async fn call<Question, Answer>(
        &self,
        call: &'static str,
        question: Question,
    ) -> Result<Answer, CriError>
    where
        Question: prost::Message + 'static,
        Answer: prost::Message + Default + 'static,
    {
        let mut grpc = self.grpc.clone();
        let failed = |status: tonic::Status| {
            let (code, message) = (status.code(), status_words(&status));
            CriError::Call { socket: self.socket.clone(), call, code, message }
        };
        grpc.ready().await.map_err(|refusal| failed(tonic::Status::from_error(refusal.into())))?;
        let path = PathAndQuery::try_from(format!("/runtime.v1.RuntimeService/{call}"))
            .map_err(|refusal| failed(tonic::Status::from_error(refusal.into())))?;
        let codec = ProstCodec::<Question, Answer>::default();
        let answer = grpc.unary(tonic::Request::new(question), path, codec).await;
        answer.map(tonic::Response::into_inner).map_err(failed)
    }
}

/// What the kernel said, where it is the cause; else the innermost cause.
fn connection_words(refusal: &(dyn Error + 'static)) -> String {
    let mut innermost = refusal;
    loop {
        if let Some(kernel) = innermost.downcast_ref::<io::Error>() {
            return crate::check::words(kernel);
        }
        match innermost.source() {
            Some(cause) => innermost = cause,
            None => return innermost.to_string(),
        }
    }
}

/// The runtime's own words; for a connection that broke, tonic's words end in its cause.
fn status_words(status: &tonic::Status) -> String {
    match status.source() {
        Some(cause) => connection_words(cause),
        None => status.message().to_owned(),
    }
}

#[cfg(test)]
mod tests;
