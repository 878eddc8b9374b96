//! The table of `docs/performance.md`, whose last two columns are the counts that are kept.
//!
//! Knows: how its rows look. Must not know: files, or what counts mean.

use super::counts::Counts;

/// The page with these counts in the row of each piece, or the piece that has no row.
pub(crate) fn renewed(page: &str, counts: &Counts) -> Result<String, String> {
    let mut lines: Vec<String> = page.lines().map(str::to_owned).collect();
    for (name, count) in &counts.pieces {
        let begins = format!("| {name} | ");
        let row = lines.iter_mut().find_map(|line| {
            let what = line.strip_prefix(&begins)?.split(" | ").next()?.to_owned();
            Some((line, what))
        });
        let (line, what) = row.ok_or_else(|| name.clone())?;
        *line = format!("{begins}{what} | {:.0} | {:.2} |", count.instructions, count.allocations);
    }
    Ok(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::super::hot_path::PIECES;
    use super::*;

    const PAGE: &str = include_str!("../../docs/performance.md");

    fn kept() -> Counts {
        Counts::read(include_str!("counts.toml")).expect("counts as they were written")
    }

    #[test]
    fn the_page_shows_the_counts_that_are_kept() {
        assert_eq!(renewed(PAGE, &kept()).as_deref(), Ok(PAGE));
    }

    #[test]
    fn each_piece_is_kept_and_has_its_row() {
        let kept: Vec<String> = kept().pieces.into_iter().map(|(name, _)| name).collect();
        let mut names = PIECES.map(|piece| piece.name);
        names.sort_unstable();
        assert_eq!(kept, names);
    }

    #[test]
    fn a_row_gets_its_counts_and_a_piece_without_one_is_named() {
        let counts =
            Counts::read("compiler = \"\"\npieces.fold = { instructions = 12, allocations = 0.5 }\n");
        let counts = counts.expect("counts");
        let page = renewed("# A\n\n| fold | a record | 7 | 1.00 |\n| other | b | 1 | 2.00 |\n", &counts);
        assert_eq!(page.as_deref(), Ok("# A\n\n| fold | a record | 12 | 0.50 |\n| other | b | 1 | 2.00 |\n"));
        assert_eq!(renewed("# A\n", &counts), Err("fold".to_owned()));
    }
}
