//! `rehearse`: scenarios from files, as the program tells what came of them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::fake::{Run, run_with};

const STORY: &str = "scenario: alice is online [1]
client bras1 may-assign=192.0.2.0/24
at 12:00 nas bras1 start session=1 user=alice address=192.0.2.7
lookup 192.0.2.7 -> permit alice
lookup 192.0.2.8
";

/// Runs it with a story in a directory of its own; `more` are further files there.
fn rehearse(story: &str, more: &[(&str, &str)], options: &[&str]) -> Run {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| directory.path().join(name);
    for (name, text) in more.iter().chain(&[("story.txt", story)]) {
        fs::write(path(name), text).expect("a file is written");
        // A configuration and a secret are for nobody else to read.
        fs::set_permissions(path(name), fs::Permissions::from_mode(0o600)).expect("its mode is set");
    }
    let word = |option: &&str| match more.iter().any(|(name, _)| name == option) {
        true => path(option).display().to_string(),
        false => (*option).to_owned(),
    };
    let words: Vec<String> = options.iter().map(word).collect();
    let story = path("story.txt").display().to_string();
    let mut arguments = vec!["rehearse", &story];
    arguments.extend(words.iter().map(String::as_str));
    let mut run = run_with(&arguments, &[]);
    // Without the directory's name, which is another one each time.
    for text in [&mut run.out, &mut run.err] {
        *text = text.replace(&format!("{}/", Path::new(&story).parent().expect("a directory").display()), "");
    }
    run
}

#[test]
fn a_story_that_comes_out_is_0_and_its_open_questions_are_answered() {
    let run = rehearse(STORY, &[], &[]);
    assert_eq!((run.exit, run.err.as_str()), (0, ""), "{run:?}");
    assert_eq!(
        run.out,
        "ok        alice is online\n          12:00:00 lookup 192.0.2.8 -> refuse not-online\n"
    );
}

#[test]
fn one_that_does_not_is_1_with_the_line_and_what_it_is() {
    let run = rehearse(&STORY.replace("permit alice", "permit bob"), &[], &[]);
    assert_eq!(run.exit, 1, "{run:?}");
    assert_eq!(
        run.out,
        "OTHERWISE alice is online\n          story.txt:4: expected permit bob, but it is permit alice\n"
    );
    assert!(run.err.contains("1 of 1 came out otherwise"), "{run:?}");
}

#[test]
fn one_that_is_not_understood_is_2_with_the_line_and_what_is_expected() {
    let run = rehearse(&STORY.replace("nas bras1 start", "nas bras1 begin"), &[], &[]);
    assert_eq!((run.exit, run.out.as_str()), (2, ""), "{run:?}");
    assert!(run.err.contains("story.txt:3: `begin` is not understood; expected start, interim"), "{run:?}");
    let run = rehearse("scenario: x\u{1b}[2J\nlookup 192.0.2.7\nlookup \u{1b}[2J\n", &[], &[]);
    assert!(run.exit == 2 && !run.err.contains('\u{1b}'), "{run:?}");
}

#[test]
fn a_configuration_counts_instead_of_the_storys_own_clients_and_rules() {
    let configuration = "[retention]\nsessions = '180d'\nmessages = '90d'\nquestions = '365d'\n\
        [[radius.client]]\nname = \"bras1\"\naddress = \"198.51.100.1\"\nsecret-file = \"secret\"\n\
                         may-assign = [\"203.0.113.0/24\"]\n";
    let files = [("relaywarden.toml", configuration), ("secret", "sixteen octets at least")];
    let run = rehearse(STORY, &files, &["--config", "relaywarden.toml"]);
    assert_eq!(run.exit, 1, "{run:?}");
    assert!(run.out.contains("story.txt:4: expected permit alice, but it is refuse not-online"), "{run:?}");
    let run =
        rehearse(STORY, &[("relaywarden.toml", "data-dirr = \"x\"\n")], &["--config", "relaywarden.toml"]);
    assert_eq!(run.exit, 78, "{run:?}");
}

#[test]
fn samples_are_beside_the_story_or_where_it_is_said() {
    let sample =
        "Acct-Status-Type = Start\nAcct-Session-Id = 1\nUser-Name = alice\nFramed-IP-Address = 192.0.2.7\n";
    let story = "scenario: x\nnas bras1 sample capture\nlookup 192.0.2.7 -> permit alice\n";
    assert_eq!(rehearse(story, &[("capture.txt", sample)], &[]).exit, 0);
    let run = rehearse(story, &[], &[]);
    assert_eq!(run.exit, 2, "{run:?}");
    assert!(run.err.contains("sample `capture`: "), "{run:?}");
}
