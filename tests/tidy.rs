//! The house keeps its own rules: pure rooms are pure, files can be read in one go, and what is written about the
//! crate is true of it.

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use relaywarden::access::table::{ENDPOINTS, Needs, Scope};
    use relaywarden::rehearsal;
    use relaywarden::relay::verdict::Reason;

    const PURE: [&str; 12] = [
        "access/",
        "session/",
        "relay/",
        "radius/",
        "mta/",
        "paste/",
        "complaint/",
        "config/",
        "notice/",
        "watch/",
        "views.rs",
        "log/entry.rs",
    ];
    /// What only the rooms with sockets, files and threads may say.
    const IMPURE: [&str; 14] = [
        "UdpSocket",
        "TcpListener",
        "TcpStream",
        "UnixListener",
        "UnixStream",
        "std::fs",
        "File::open",
        "std::thread",
        "tokio::",
        "SystemTime",
        "Instant::now",
        "tracing::",
        "println!",
        "std::env::",
    ];
    const LONGEST: usize = 800;

    fn root() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Every Rust file below a directory of the repository.
    fn rust_files(directory: &str) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut directories = vec![root().join(directory)];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).expect("a directory of ours") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    directories.push(path);
                } else if path.extension().is_some_and(|ending| ending == "rs") {
                    files.push(path);
                }
            }
        }
        files
    }

    /// A file of `src` by its name there.
    fn room(path: &Path) -> String {
        let within = path.strip_prefix(root().join("src")).expect("a file of src");
        within.display().to_string()
    }

    /// Without comments and without the tests at its foot.
    fn code(text: &str) -> String {
        let before_tests = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let lines = before_tests.lines().filter(|line| !line.trim_start().starts_with("//"));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_pure_rooms_have_no_socket_no_file_no_clock_and_no_log() {
        let mut seen = 0;
        for path in rust_files("src") {
            let room = room(&path);
            if !PURE.iter().any(|pure| room.starts_with(pure)) || room.ends_with("tests.rs") {
                continue;
            }
            seen += 1;
            let code = code(&read(&path));
            for word in IMPURE {
                assert!(!code.contains(word), "{room} is pure, but says {word}");
            }
        }
        assert!(seen > 25, "only {seen} files were looked at");
    }

    #[test]
    fn a_pure_room_knows_none_of_the_others() {
        for path in rust_files("src") {
            let room = room(&path);
            if PURE.iter().any(|pure| room.starts_with(pure)) {
                let code = code(&read(&path));
                for other in
                    ["crate::server", "crate::cli", "crate::audit", "crate::clock", "crate::log::sqlite"]
                {
                    assert!(!code.contains(other), "{room} says {other}");
                }
            }
        }
    }

    #[test]
    fn only_the_clock_reads_the_time_of_day() {
        for path in rust_files("src") {
            let room = room(&path);
            let reads = ["SystemTime", "Timestamp::now", "Zoned::now"]
                .iter()
                .any(|word| code(&read(&path)).contains(word));
            // A person's "2h ago" is counted from the person's own clock.
            let may = room == "clock.rs" || room.starts_with("cli/");
            assert!(!reads || may, "{room} reads the time of day");
        }
    }

    #[test]
    fn every_file_can_be_read_in_one_go_and_begins_with_what_it_is() {
        for path in rust_files("src") {
            let text = read(&path);
            let lines = text.lines().count();
            assert!(lines <= LONGEST, "{} has {lines} lines", room(&path));
            assert!(text.starts_with("//! "), "{} does not say what it is", room(&path));
        }
    }

    #[test]
    fn every_reason_is_explained_to_operators() {
        let readme = read(&root().join("README.md"));
        for reason in Reason::ALL {
            assert!(readme.contains(&format!("`{}`", reason.word())), "{}", reason.word());
        }
    }

    #[test]
    fn every_path_of_the_api_stands_in_its_page() {
        let (api, pages) = (read(&root().join("docs/http.md")), read(&root().join("docs/page.md")));
        for endpoint in ENDPOINTS {
            let path = endpoint.path;
            let is_page =
                matches!(endpoint.needs, Needs::Role(_, Scope::Console)) || path.starts_with("/assets/");
            let (page, name) = if is_page { (&pages, "page") } else { (&api, "http") };
            assert!(page.contains(&format!("`{path}`")), "{path} is not in docs/{name}.md");
        }
    }

    /// The keys as the parser names them: fields of its tables, with their `rename`, in kebab case.
    fn keys() -> BTreeSet<String> {
        let table = code(&read(&root().join("src/config/table.rs")));
        let mut keys = BTreeSet::new();
        let mut renamed = None;
        for line in table.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix("#[serde(rename = \"") {
                renamed = name.split('"').next().map(str::to_owned);
            } else if let Some((name, _)) = line
                .strip_prefix("pub ")
                .and_then(|field| field.split_once(": "))
                .filter(|_| line.ends_with(','))
            {
                keys.insert(renamed.take().unwrap_or_else(|| name.replace('_', "-")));
            }
        }
        keys
    }

    #[test]
    fn every_key_of_the_configuration_stands_in_the_sample() {
        let sample = read(&root().join("examples/relaywarden.toml"));
        let keys = keys();
        assert!(keys.len() > 30 && keys.contains("data-dir") && keys.contains("static"), "{keys:?}");
        for key in keys {
            let stands = sample.lines().any(|line| {
                let line = line.trim_start_matches(['#', ' ']);
                let table = line.trim_matches(['[', ']']);
                line.starts_with(&format!("{key} ="))
                    || table.split('.').any(|part| part == key) && line.starts_with('[')
                    || line.contains(&format!("{{ {key} ="))
                    || line.contains(&format!(", {key} ="))
            });
            assert!(stands, "{key} is not in examples/relaywarden.toml");
        }
    }

    #[test]
    fn every_test_that_the_crates_page_names_exists() {
        let page = read(&root().join("src/lib.rs"));
        let texts: Vec<String> =
            ["src", "tests"].into_iter().flat_map(rust_files).map(|path| read(&path)).collect();
        let mut named = 0;
        for row in page.lines().filter(|line| line.starts_with("//! |")) {
            let Some(cell) = row.trim_end_matches('|').rsplit('|').next() else { continue };
            // Names of tests have several words; names of rooms and the like are in other columns.
            for name in cell.split('`').skip(1).step_by(2).filter(|name| name.matches('_').count() > 1) {
                named += 1;
                let there = texts.iter().any(|text| text.contains(&format!("fn {name}(")));
                assert!(there, "no test is called {name}:\n{row}");
            }
        }
        assert!(named > 60, "only {named} names were found");
    }

    #[test]
    fn every_row_about_bad_input_names_its_test() {
        let page = read(&root().join("src/lib.rs"));
        let table = page.split("# Bad input").nth(1).expect("the table");
        let rows = table.lines().filter(|line| {
            line.starts_with("//! | ") && !line.starts_with("//! | input ") && !line.starts_with("//! |---")
        });
        let mut count = 0;
        for row in rows {
            count += 1;
            let cells: Vec<&str> = row.trim_start_matches("//! ").trim_matches('|').split(" | ").collect();
            assert_eq!(cells.len(), 4, "{row}");
            assert!(cells[3].contains('`'), "without a test: {row}");
        }
        assert!(count > 40, "only {count} rows");
    }

    /// The first cells of a table's rows that look like `prefix` and a number.
    fn numbered(document: &str, prefix: &str) -> BTreeSet<String> {
        let text = read(&root().join("docs").join(document));
        let cells = text.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
        let is_number =
            |cell: &&str| cell.strip_prefix(prefix).is_some_and(|rest| rest.parse::<u8>().is_ok());
        cells.filter(is_number).map(str::to_owned).collect()
    }

    #[test]
    fn every_row_every_disorder_and_every_rule_has_a_scenario() {
        let (rows, disorders) = (numbered("sessions.md", ""), numbered("scenarios.md", "D"));
        let rules = numbered("scenarios.md", "R");
        assert_eq!((rows.len(), disorders.len(), rules.len()), (50, 19, 11));
        let all: BTreeSet<String> = rows.into_iter().chain(disorders).chain(rules).collect();
        let (mut told, mut count) = (BTreeSet::new(), 0);
        for entry in fs::read_dir(root().join("tests/scenarios")).expect("a directory of ours") {
            let path = entry.expect("an entry").path();
            let scenarios = rehearsal::scenarios(&read(&path)).expect("scenarios");
            let titles: BTreeSet<_> = scenarios.iter().map(|scenario| &scenario.title).collect();
            assert_eq!(titles.len(), scenarios.len(), "{}: a title is there twice", path.display());
            count += scenarios.len();
            told.extend(scenarios.into_iter().flat_map(|scenario| scenario.tags));
        }
        assert!(count >= 250, "only {count} scenarios");
        assert_eq!(all.difference(&told).collect::<Vec<_>>(), Vec::<&String>::new(), "without a scenario");
        assert_eq!(told.difference(&all).collect::<Vec<_>>(), Vec::<&String>::new(), "about nothing");
    }
}
