// SPDX-License-Identifier: Apache-2.0
//! The table of lights for people: generated, so that README.md cannot tell another story.

use super::Meaning;

/// A Markdown table: light, meaning, what to do. It ends with a newline.
#[must_use]
pub fn table() -> String {
    let rows = Meaning::ALL.iter().map(|meaning| {
        let appearance = meaning.appearance();
        format!("| {} | {} | {} |\n", meaning.words(), meaning.name(), appearance.tells)
    });
    let head = "| the light | says | and that is |\n|---|---|---|\n".to_owned();
    std::iter::once(head).chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/light.md");

    /// What stands between the markers.
    fn marked(text: &str) -> Option<&str> {
        let (_, rest) = text.split_once("<!-- light table -->\n")?;
        Some(rest.split_once("<!-- end of light table -->")?.0)
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test reads the page that it judges")]
    fn the_table_in_the_pages_is_the_table_of_the_code() {
        let page = std::fs::read_to_string(PAGE).unwrap();
        assert_eq!(marked(&page), Some(table().as_str()), "docs/light.md");
        let readme = std::fs::read_to_string(README).unwrap_or_default();
        if let Some(shown) = marked(&readme) {
            assert_eq!(shown, table(), "README.md");
        }
    }

    #[test]
    fn a_row_is_colour_and_rhythm_then_name_then_advice() {
        let rows: Vec<String> = table().lines().map(str::to_owned).collect();
        assert_eq!(rows.len(), 12);
        assert_eq!(
            rows[3],
            "| amber, one short blink every 2 s | no neighbour | No cable leads to a living node. Plug one in. |"
        );
    }
}
