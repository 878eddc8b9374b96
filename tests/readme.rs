//! The README is true: its commands exist, its configuration parses, its Postfix lines are those that are tested.

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::process::{Command, Output};

    use relaywarden::relay::verdict::Reason;

    fn here(path: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
    }

    fn import_page() -> String {
        fs::read_to_string(here("docs/import.md")).expect("the page about importing")
    }

    fn feeds_page() -> String {
        fs::read_to_string(here("docs/feeds.md")).expect("the page about feeds")
    }

    fn readme() -> String {
        fs::read_to_string(here("README.md")).expect("the README")
    }

    /// The fenced blocks of one language; `""` for those that name none. Indented fences (in lists) count too.
    fn blocks(text: &str, language: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut open: Option<(bool, Vec<&str>)> = None;
        for line in text.lines() {
            match (line.trim().strip_prefix("```"), open.as_mut()) {
                (Some(word), None) => open = Some((word == language, Vec::new())),
                (Some(_), Some(_)) => {
                    found
                        .extend(open.take().filter(|(wanted, _)| *wanted).map(|(_, lines)| lines.join("\n")));
                }
                (None, Some((_, lines))) => lines.push(line),
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "a block without an end");
        found
    }

    /// Every command line of ours: from the shell blocks, and from the text.
    fn commands(text: &str) -> Vec<String> {
        let blocks = blocks(text, "sh").join("\n");
        let in_blocks = blocks.lines().map(|line| line.trim().to_owned());
        let in_text = text.split('`').skip(1).step_by(2).map(str::to_owned);
        in_blocks.chain(in_text).filter(|line| line.starts_with("relaywarden ")).collect()
    }

    /// Words as a shell would split them, as far as these examples go: blanks, and double quotes around blanks.
    fn words(line: &str) -> Vec<String> {
        let mut words = Vec::new();
        for (place, part) in line.split('"').enumerate() {
            if place % 2 == 1 {
                words.push(part.to_owned());
            } else {
                words.extend(part.split_whitespace().map(str::to_owned));
            }
        }
        words
    }

    fn run(arguments: &[String]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_relaywarden"))
            .args(arguments)
            // Nobody is there: a command line that is understood ends with 69, one that is not with 2.
            .env("RELAYWARDEN_SOCKET", "/nonexistent/relaywarden/api.sock")
            .output()
            .expect("relaywarden starts")
    }

    /// The lines that mean something to Postfix.
    fn effective(text: &str) -> Vec<&str> {
        text.lines().map(str::trim_end).filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
    }

    #[test]
    fn every_command_is_understood() {
        let mut all = commands(&readme());
        assert!(all.len() >= 8, "the README's commands were not found: {all:?}");
        let of_import = commands(&import_page());
        assert!(of_import.len() >= 4, "{of_import:?}");
        all.extend(of_import);
        for line in all {
            let arguments = &words(&line)[1..];
            let (arguments, expected) = match arguments[0].as_str() {
                // These two would do something; that they know their options is enough.
                "serve" => (vec!["serve".to_owned(), "--help".to_owned()], Some(0)),
                "check-config" => (
                    ["check-config", "--config", "/nonexistent/relaywarden.toml"].map(String::from).to_vec(),
                    Some(78),
                ),
                // They read their files before they speak to anybody.
                "send" | "import" | "complaint" => (arguments.to_vec(), Some(74)),
                _ => (arguments.to_vec(), Some(69)),
            };
            let output = run(&arguments);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), expected, "{line}: {said}");
        }
    }

    #[test]
    fn options_of_serve_exist() {
        let help = run(&["serve".to_owned(), "--help".to_owned()]);
        let help = String::from_utf8_lossy(&help.stdout).into_owned();
        for line in commands(&readme()).iter().filter(|line| line.starts_with("relaywarden serve")) {
            for option in words(line).iter().filter(|word| word.starts_with("--")) {
                assert!(help.contains(option.as_str()), "{line}: no {option} in\n{help}");
            }
        }
    }

    /// A part of a configuration, with what each must say.
    fn whole(text: &str) -> String {
        let retention = "[retention]\nsessions = \"180d\"\nmessages = \"90d\"\nquestions = \"365d\"\n";
        if text.contains("[retention]") { text.to_owned() } else { format!("{text}\n{retention}") }
    }

    #[test]
    fn every_configuration_is_accepted() {
        let of_feeds = blocks(&feeds_page(), "toml");
        assert_eq!(of_feeds.len(), 2);
        let configurations = [blocks(&readme(), "toml"), of_feeds].concat();
        assert!(configurations.len() > 2);
        for text in configurations {
            let home = tempfile::tempdir().expect("a directory");
            let path = home.path().join("relaywarden.toml");
            let secret = home.path().join("secrets/bras1");
            fs::create_dir(home.path().join("secrets")).expect("our own directory");
            fs::write(&secret, "correct horse battery staple\n").expect("our own file");
            fs::write(&path, whole(&text)).expect("our own file");
            for file in [&path, &secret] {
                fs::set_permissions(file, Permissions::from_mode(0o600)).expect("our own file");
            }
            let output = run(&["check-config".into(), "--config".into(), path.display().to_string()]);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{text}\n{said}");
        }
    }

    #[test]
    fn the_list_of_prefixes_on_its_page_is_read() {
        let page = import_page();
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("relaywarden.toml");
        fs::write(&path, whole(&blocks(&page, "toml").concat())).expect("our own file");
        let list = blocks(&page, "").into_iter().find(|block| block.starts_with("subscriber,prefix"));
        fs::write(home.path().join("prefixes.csv"), list.expect("the list")).expect("our own file");
        let output = run(&["check-config".into(), "--config".into(), path.display().to_string()]);
        let said = String::from_utf8_lossy(&output.stdout);
        let line = "prefixes    1 at all times, 1 while their subscriber is online";
        assert!(said.lines().any(|found| found == line), "{said}{}", String::from_utf8_lossy(&output.stderr));
    }

    #[test]
    fn postfix_lines_are_those_of_the_tested_files() {
        let files: Vec<String> = fs::read_dir(here("examples/postfix"))
            .expect("the snippets")
            .map(|entry| fs::read_to_string(entry.expect("an entry").path()).expect("a snippet"))
            .collect();
        let shown = blocks(&readme(), "");
        assert_eq!(shown.len(), 2, "both ways are shown");
        for block in shown {
            let lines = effective(&block);
            let tested =
                files.iter().any(|file| effective(file).windows(lines.len()).any(|part| part == lines));
            assert!(tested, "in none of examples/postfix:\n{block}");
        }
    }

    #[test]
    fn the_reasons_are_all_there_with_their_answers() {
        let text = readme();
        for reason in Reason::ALL {
            let row = format!("| `{}` | {} |", reason.word(), reason.verdict().word());
            assert!(text.contains(&row), "{row}");
        }
        let rows = text.lines().filter(|line| {
            line.starts_with("| `") && {
                let answer = line.split('|').nth(2).unwrap_or_default().trim();
                ["permit", "refuse", "defer"].contains(&answer)
            }
        });
        assert_eq!(rows.count(), Reason::ALL.len(), "a reason that is no longer there");
    }

    /// What a page links to, without other people's pages and places within a page.
    fn targets(text: &str) -> Vec<&str> {
        let all = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        all.map(|target| target.split('#').next().unwrap_or_default())
            .filter(|target| !target.is_empty() && !target.contains("://"))
            .collect()
    }

    #[test]
    fn every_file_it_names_is_there() {
        let text = readme();
        let of_readme = targets(&text);
        assert!(of_readme.len() > 8, "{of_readme:?}");
        for target in of_readme {
            assert!(here(target).exists(), "{target}");
        }
        let text = feeds_page();
        let of_feeds = targets(&text);
        assert!(of_feeds.len() > 8, "{of_feeds:?}");
        for target in of_feeds {
            assert!(here("docs").join(target).exists(), "{target}");
        }
    }

    #[test]
    fn every_place_that_the_page_about_feeds_points_to_is_one_of_its_headings() {
        let page = feeds_page();
        let headings: Vec<String> = page
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .map(|heading| heading.to_lowercase().replace(' ', "-").replace(['\'', ','], ""))
            .collect();
        let places: Vec<&str> = page.split("](#").skip(1).filter_map(|rest| rest.split(')').next()).collect();
        assert!(places.len() >= 5, "{places:?}");
        for place in places {
            assert!(headings.iter().any(|heading| heading == place), "{place} is none of {headings:?}");
        }
    }
}
