// SPDX-License-Identifier: Apache-2.0
//! The control socket: Varlink calls become events.

use kubermesh_node::control::{DESCRIPTION, INTERFACE, Request};
use kubermesh_node::event::Event;
use kubermesh_node::varlink::{self, Call, Reply};
use kubermesh_sys::epoll::Tells;
use kubermesh_sys::{Errno, socket};
use serde_json::{Value, json};

use crate::held::{Client, Held, Source};

/// Clients at once; a further one waits in the socket's queue until one goes.
const CLIENTS: usize = 32;

/// What came of a call.
pub(crate) enum Heard {
    /// The node shall answer.
    Asked(Event),
    /// PID 1 answers for itself.
    Answer(u64, Reply),
    /// A test asks for a crash.
    Crash(String),
}

/// Takes new clients.
pub(crate) fn accept(held: &mut Held) {
    while held.clients.len() < CLIENTS {
        let Ok(socket) = socket::accept(&held.control) else { return };
        let is_root = socket::is_root(&socket);
        let number =
            u32::try_from(held.last_client & u64::from(u32::MAX)).unwrap_or(0).wrapping_add(1);
        if held.hear(&socket, Source::Client(number), Tells::While).is_ok() {
            held.last_client = u64::from(number);
            held.clients.insert(
                held.last_client,
                Client { socket, is_root, inbox: vec![], outbox: vec![] },
            );
        }
    }
}

/// Reads what a client says. One that hangs up, or says what is no Varlink, is dropped.
pub(crate) fn read_client(number: u32, may_crash: bool, held: &mut Held) -> Vec<Heard> {
    let id = u64::from(number);
    let Some(client) = held.clients.get_mut(&id) else { return vec![] };
    let mut bytes = [0; 4096];
    let alive = match socket::receive(&client.socket, &mut bytes) {
        Ok(0) => false,
        Ok(read) => {
            client.inbox.extend_from_slice(bytes.get(..read).unwrap_or_default());
            true
        }
        Err(Errno::AGAIN | Errno::INTR) => true,
        Err(_) => false,
    };
    let mut heard = Vec::new();
    let fits = loop {
        match varlink::take::<Call>(&mut client.inbox) {
            Ok(Some(call)) => heard.push(understand(id, &call, client.is_root, may_crash)),
            Ok(None) => break true,
            Err(_) => break false,
        }
    };
    if !(alive && fits) {
        held.clients.remove(&id);
        return vec![];
    }
    heard
}

fn understand(client: u64, call: &Call, is_root: bool, may_crash: bool) -> Heard {
    let refusal = |error: &str, parameters| {
        let error = Some(format!("org.varlink.service.{error}"));
        Heard::Answer(client, Reply { parameters, error, continues: false })
    };
    let good = |parameters| Heard::Answer(client, Reply { parameters, ..Reply::default() });
    match call.method.as_str() {
        "org.varlink.service.GetInfo" => {
            return good(json!({
                "vendor": "Kubermesh", "product": "Kubermesh", "version": env!("CARGO_PKG_VERSION"),
                "url": "", "interfaces": ["org.varlink.service", INTERFACE],
            }));
        }
        "org.varlink.service.GetInterfaceDescription" => {
            return good(json!({"description": DESCRIPTION}));
        }
        "org.kubermesh.Node.Crash" if may_crash && is_root => {
            let how = call.parameters.get("how").and_then(Value::as_str).unwrap_or("panic");
            return Heard::Crash(how.to_owned());
        }
        _ => {}
    }
    let Some(method) = call.method.strip_prefix(INTERFACE).and_then(|rest| rest.strip_prefix('.'))
    else {
        return refusal("MethodNotFound", json!({"method": call.method}));
    };
    let parameters = if call.parameters.is_null() { json!({}) } else { call.parameters.clone() };
    match serde_json::from_value::<Request>(json!({"method": method, "parameters": parameters})) {
        Ok(request) => Heard::Asked(Event::Asked { client, request, is_root }),
        Err(refused) if refused.to_string().starts_with("unknown variant") => {
            refusal("MethodNotFound", json!({"method": call.method}))
        }
        Err(refused) => refusal("InvalidParameter", json!({"parameter": refused.to_string()})),
    }
}
