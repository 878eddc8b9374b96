//! What callgrind wrote about one stretch of a run.
//!
//! Knows: its file format, as far as sums need it. Must not know: what was done meanwhile.

/// The functions by which memory is asked for, of the C library: Rust's allocator and SQLite's come to the same.
const ALLOCATING: [&str; 6] = ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc", "memalign"];

/// What was spent in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spent {
    pub(crate) instructions: u64,
    pub(crate) allocations: u64,
}

impl Spent {
    /// Sums up a file that was written without abbreviations. `None`: it is another, or nothing was counted.
    pub(crate) fn read(text: &str) -> Option<Spent> {
        let (mut instructions, mut allocations, mut called) = (None, 0, "");
        for line in text.lines() {
            if let Some(total) = line.strip_prefix("totals: ") {
                instructions = total.trim().parse().ok();
            } else if let Some(function) = line.strip_prefix("cfn=") {
                called = function;
            } else if let Some(calls) = line.strip_prefix("calls=")
                && ALLOCATING.contains(&called)
            {
                // The number of calls, then where the function begins.
                allocations += calls.split(' ').next()?.parse::<u64>().ok()?;
            }
        }
        instructions.filter(|count| *count > 0).map(|instructions| Spent { instructions, allocations })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "version: 1\nevents: Ir\nfl=a.rs\nfn=fold\n10 5\ncfi=malloc.c\ncfn=malloc\ncalls=3 100\n10 60\n\
                        cfn=memcpy\ncalls=7 200\n12 70\n\nfn=grow\n20 1\ncfn=realloc\ncalls=2 300\n20 9\n\
                        fn=malloc\n100 45\ncfn=malloc_consolidate\ncalls=1 400\n101 15\n\ntotals: 205\n";

    #[test]
    fn allocations_are_the_calls_of_whatever_allocates_and_of_nothing_else() {
        assert_eq!(Spent::read(FILE), Some(Spent { instructions: 205, allocations: 5 }));
    }

    #[test]
    fn a_file_without_a_total_or_in_which_nothing_was_counted_is_none() {
        assert_eq!(Spent::read(&FILE.replace("totals: 205\n", "")), None);
        assert_eq!(Spent::read(&FILE.replace("totals: 205", "totals: 0")), None);
        assert_eq!(Spent::read(""), None);
    }
}
