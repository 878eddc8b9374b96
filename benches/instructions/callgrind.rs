//! What callgrind wrote about one stretch of a run.
//!
//! Knows: its file format, as far as sums need it. Must not know: what was done meanwhile.

use std::collections::BTreeMap;

/// The functions by which memory is asked for, of the C library: Rust's allocator and SQLite's come to the same.
const ALLOCATING: [&str; 6] = ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc", "memalign"];

/// What was spent in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spent {
    pub(crate) instructions: u64,
    pub(crate) allocations: u64,
}

impl Spent {
    /// Sums up a file that has a line for each instruction, and no abbreviations. `None`: it is another, or nothing was
    /// counted.
    pub(crate) fn read(text: &str) -> Option<Spent> {
        let mut instructions = None;
        // For each function that allocates, by its object and name, the first of its instructions and how often it was
        // executed. The calls that are written down beside it are of no use: they count all the time, also before and
        // after the stretch.
        let mut entries: BTreeMap<(&str, &str), (u64, u64)> = BTreeMap::new();
        let (mut object, mut function) = ("", "");
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            match line.split_once(['=', ':']) {
                Some(("ob", name)) => object = name,
                Some(("fn", name)) => function = name,
                Some(("totals", total)) => instructions = total.trim().parse().ok(),
                // What a call took is told on the line behind it, and belongs to the function that was called.
                Some(("calls", _)) => drop(lines.next()),
                None if ALLOCATING.contains(&function) && line.starts_with("0x") => {
                    let mut numbers = line.split(' ');
                    let address = u64::from_str_radix(numbers.next()?.strip_prefix("0x")?, 16).ok()?;
                    let times = numbers.nth(1)?.parse().ok()?;
                    let entry = entries.entry((object, function)).or_insert((address, times));
                    *entry = (*entry).min((address, times));
                }
                _ => {}
            }
        }
        let allocations = entries.values().map(|(_, times)| times).sum();
        instructions.filter(|count| *count > 0).map(|instructions| Spent { instructions, allocations })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "version: 1\npositions: instr line\nevents: Ir\n\nob=ours\nfl=a.rs\nfn=fold\n0x10 1 5\n\
                        cob=libc\ncfi=malloc.c\ncfn=malloc\ncalls=9 0x1000 100\n0x12 2 60\n\
                        \nob=libc\nfl=malloc.c\nfn=malloc\n0x1004 101 3\n0x1000 100 3\nfi=arena.h\n0x1008 7 2\nfe=malloc.c\n\
                        cfn=malloc_consolidate\ncalls=1 0x3000 400\n0x0ff8 101 15\n\
                        \nfn=realloc\n0x2000 300 2\n0x2002 301 9\n\
                        \nob=ld\nfn=malloc\n0x1000 20 1\n\ntotals: 205\n";

    #[test]
    fn an_allocation_is_each_time_that_a_function_which_allocates_is_begun() {
        assert_eq!(Spent::read(FILE), Some(Spent { instructions: 205, allocations: 3 + 2 + 1 }));
    }

    #[test]
    fn a_file_without_a_total_or_in_which_nothing_was_counted_is_none() {
        assert_eq!(Spent::read(&FILE.replace("totals: 205\n", "")), None);
        assert_eq!(Spent::read(&FILE.replace("totals: 205", "totals: 0")), None);
        assert_eq!(Spent::read(""), None);
    }
}
