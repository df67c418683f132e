// SPDX-License-Identifier: Apache-2.0
//! Columns that stand under each other.

/// Lines of `rows`, the heads first; no blanks at a line's end.
pub(super) fn table<const COLUMNS: usize>(
    heads: [&str; COLUMNS],
    rows: Vec<[String; COLUMNS]>,
) -> Vec<String> {
    let mut widths = heads.map(width);
    for row in &rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = width(cell).max(*widest);
        }
    }
    let line = |cells: &[String; COLUMNS]| {
        let mut text = String::new();
        for (cell, widest) in cells.iter().zip(widths) {
            let gap = widest.saturating_sub(width(cell)).saturating_add(2);
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', gap));
        }
        text.trim_end().to_owned()
    };
    std::iter::once(heads.map(str::to_owned)).chain(rows).map(|cells| line(&cells)).collect()
}

/// Columns of a terminal that a cell takes: its characters, SGR codes not counted.
fn width(cell: &str) -> usize {
    let mut is_code = false;
    let is_seen = |c: &char| {
        let was_code = is_code;
        is_code = *c == '\x1b' || (is_code && *c != 'm');
        !is_code && !was_code
    };
    cell.chars().filter(is_seen).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other_also_with_umlauts_and_colours() {
        let rows = vec![
            ["\x1b[31mno\x1b[0m".to_owned(), "x".to_owned()],
            ["grün".to_owned(), String::new()],
        ];
        assert_eq!(table(["A", "B"], rows), ["A     B", "\x1b[31mno\x1b[0m    x", "grün"]);
    }
}
