// SPDX-License-Identifier: Apache-2.0
//! What comes of a call on the control socket: an event for the node, or an answer at once.
//!
//! ```text
//! bytes ─ varlink::take ─► Call ─► Heard ─┬─► Event::Asked ─► node ─► Effect::Answer
//!                                         └─► Reply (no such method, no such argument)
//! ```

use serde_json::{Value, json};

use crate::brief::brief;
use crate::control::{DESCRIPTION, INTERFACE, Request};
use crate::event::Event;
use crate::varlink::{Call, Reply};

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The node shall answer.
    Asked(Event),
    /// PID 1 answers for itself.
    Answer(u64, Reply),
    /// A test asks for a crash.
    Crash(String),
}

impl Heard {
    /// What this call of this client asks for. `may_crash`: on a machine under test root may crash PID 1.
    #[must_use]
    pub fn of(client: u64, call: &Call, is_root: bool, may_crash: bool) -> Self {
        let client = if call.oneway { NOBODY } else { client };
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
            "org.kubermesh.Node.UpgradeInit" => {
                let request = Request::UpgradeInit {};
                return Heard::Asked(Event::Asked { client, request, is_root });
            }
            "org.kubermesh.Node.Crash" if may_crash && is_root => {
                let how = call.parameters.get("how").and_then(Value::as_str).unwrap_or("panic");
                return Heard::Crash(how.to_owned());
            }
            _ => {}
        }
        let Some(method) =
            call.method.strip_prefix(INTERFACE).and_then(|rest| rest.strip_prefix('.'))
        else {
            return refusal("MethodNotFound", json!({"method": brief(&call.method)}));
        };
        let parameters =
            if call.parameters.is_null() { json!({}) } else { call.parameters.clone() };
        match serde_json::from_value::<Request>(json!({"method": method, "parameters": parameters}))
        {
            Ok(request) => Heard::Asked(Event::Asked { client, request, is_root }),
            Err(refused) if refused.to_string().starts_with("unknown variant") => {
                refusal("MethodNotFound", json!({"method": brief(&call.method)}))
            }
            Err(refused) => {
                refusal("InvalidParameter", json!({"parameter": brief(&refused.to_string())}))
            }
        }
    }
}

/// No connection has this number: an answer to it goes nowhere (varlink.org, `oneway`).
const NOBODY: u64 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: &str, parameters: Value) -> Call {
        Call { method: method.to_owned(), parameters, more: false, oneway: false }
    }

    #[test]
    fn a_long_name_does_not_come_back_in_a_long_answer() {
        let long = call(&format!("org.kubermesh.Node.{}", "a".repeat(65_000)), Value::Null);
        let service = json!({"service": "a".repeat(65_000)});
        for call in [long, call("org.kubermesh.Node.Restart", service)] {
            let Heard::Answer(7, reply) = Heard::of(7, &call, true, false) else { unreachable!() };
            assert!(reply.parameters.to_string().len() < 1000, "{reply:?}");
        }
    }

    #[test]
    fn who_wants_no_answer_gets_none_in_the_place_of_the_next_one() {
        let status = Call { oneway: true, ..call("org.kubermesh.Node.Status", Value::Null) };
        let Heard::Asked(Event::Asked { client, .. }) = Heard::of(7, &status, true, false) else {
            unreachable!()
        };
        let unknown = Call { oneway: true, ..call("a.B", Value::Null) };
        assert!(matches!(Heard::of(7, &unknown, true, false), Heard::Answer(0, _)));
        assert_eq!(client, 0);
    }
}
