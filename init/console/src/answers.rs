// SPDX-License-Identifier: Apache-2.0
//! A person's wish as calls to the node, and the node's answers as lines.

use kubermesh_node::control::{NodeView, Request, ServicesView};
use kubermesh_node::service::ServiceName;
use kubermesh_node::time::Span;
use kubermesh_node::varlink::Call;
use serde::Deserialize;
use serde_json::Value;

use crate::asking::call;
use crate::dialogue::Wish;
use crate::page::{self, Paint};

/// What to ask the node for this.
pub(crate) fn calls(wish: &Wish) -> Vec<Call> {
    let requests = match wish {
        Wish::Overview => vec![Request::Status {}, Request::Links {}, Request::Services {}],
        Wish::Services => vec![Request::Services {}, Request::Status {}],
        Wish::Links => vec![Request::Links {}, Request::Status {}],
        Wish::Troubles => vec![Request::Status {}],
        Wish::Choice => vec![Request::Services {}],
        Wish::Identify => vec![Request::Identify { lasts: IDENTIFY }],
        Wish::Restart(service) => vec![Request::Restart { service: service.clone() }],
        Wish::Reboot => vec![Request::Reboot {}],
        Wish::PowerOff => vec![Request::PowerOff {}],
    };
    requests.iter().map(call).collect()
}

/// The answers to [`calls`] of this wish, as lines.
///
/// # Errors
/// The node speaks another version.
pub(crate) fn lines(wish: &Wish, answers: &[Value]) -> Result<Vec<String>, serde_json::Error> {
    let first = answers.first().unwrap_or(&Value::Null);
    let second = answers.get(1).unwrap_or(&Value::Null);
    Ok(match wish {
        Wish::Overview => {
            let services = ServicesView::deserialize(answers.get(2).unwrap_or(&Value::Null))?;
            let network = Deserialize::deserialize(second)?;
            page::overview(&NodeView::deserialize(first)?, &network, &services)
        }
        Wish::Services => {
            let now = NodeView::deserialize(second)?.now;
            page::services(&ServicesView::deserialize(first)?, now, Paint::Plain)
        }
        Wish::Links => {
            let now = NodeView::deserialize(second)?.now;
            page::links(&Deserialize::deserialize(first)?, now, Paint::Plain)
        }
        Wish::Troubles => {
            let node = NodeView::deserialize(first)?;
            page::faults(&node.status.faults, node.now)
        }
        Wish::Choice => Vec::new(),
        Wish::Identify => vec!["The light blinks for 60 s.".to_owned()],
        Wish::Restart(service) => vec![format!("{service} is stopped and started again.")],
        Wish::Reboot => vec!["This node stops its services in order and starts again.".to_owned()],
        Wish::PowerOff => {
            vec!["This node stops its services in order and switches itself off.".to_owned()]
        }
    })
}

/// The names in the answer to [`Wish::Choice`], in the order of the table.
///
/// # Errors
/// The node speaks another version.
pub(crate) fn names(answers: &[Value]) -> Result<Vec<ServiceName>, serde_json::Error> {
    let view = ServicesView::deserialize(answers.first().unwrap_or(&Value::Null))?;
    Ok(view.services.into_iter().map(|service| service.name).collect())
}

/// Time to walk along a rack.
const IDENTIFY: Span = Span::from_secs(60);
