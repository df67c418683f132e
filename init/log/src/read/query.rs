// SPDX-License-Identifier: Apache-2.0
//! What a reader wants.

use serde::{Deserialize, Serialize};

use crate::entry::Entry;

/// The arguments of `org.kubermesh.Log.Read`. Each that is absent asks for no less.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// Of this service alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// So urgent or more: 0 to 7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// The last so many; 1 to 10000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<u16>,
    /// Go on with what comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow: Option<bool>,
    /// An id, `previous` or `all`; this boot's where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
}

impl Query {
    /// The first argument outside its range.
    pub(crate) fn wrong(&self) -> Option<&'static str> {
        let lines = self.lines.is_some_and(|lines| !(1..=LINES_LIMIT).contains(&lines));
        let priority = self.priority.is_some_and(|priority| priority > 7);
        if lines { Some("lines") } else { priority.then_some("priority") }
    }

    /// This entry is asked for, whatever its boot.
    pub(crate) fn wants(&self, entry: &Entry) -> bool {
        self.service.as_ref().is_none_or(|service| *service == entry.service)
            && self.priority.is_none_or(|least| entry.priority.number() <= least)
    }
}

/// A reader keeps a place of eight bytes for each while it is found.
const LINES_LIMIT: u16 = 10_000;
