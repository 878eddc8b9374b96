//! Every scenario of `tests/scenarios/*.txt` is a test of its own, by the name of its file and its title.
//!
//! The language is in `docs/scenarios.md`, what plays it in `src/rehearsal/`. Each scenario is played as it is told, and
//! then once more for each thing that it expects, with something else expected there: a story that can't fail tells
//! nothing.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing loudly"
)]

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use relaywarden::rehearsal::{self, Fault, Mistake, Props};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = vec![
        Trial::test("every_sample_has_a_scenario", every_sample_has_a_scenario),
        Trial::test("what_the_documentation_tells_comes_out", documented),
        Trial::test("a_mistake_in_a_scenario_is_named_with_its_line", mistakes_are_named),
    ];
    for path in files("scenarios") {
        let text = fs::read_to_string(&path).unwrap();
        match rehearsal::scenarios(&text) {
            Err(mistake) => {
                let message = at(&path, &mistake);
                trials.push(Trial::test(stem(&path), move || Err(Failed::from(message))));
            }
            Ok(scenarios) => {
                for (number, scenario) in scenarios.iter().enumerate() {
                    let end = scenarios.get(number + 1).map_or(usize::MAX, |next| next.line - 1);
                    let name = format!("{}::{}", stem(&path), slug(&scenario.title));
                    let (path, text) = (path.clone(), excerpt(&text, scenario.line, end));
                    trials.push(Trial::test(name, move || tell(&path, &text)));
                }
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

fn files(name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory(name)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "txt")).collect();
    files.sort();
    files
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_owned()
}

fn at(path: &Path, mistake: &Mistake) -> String {
    format!("{}:{mistake}", path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(path).display())
}

/// A title as the name of a test.
fn slug(title: &str) -> String {
    let plain: String =
        title.to_lowercase().chars().map(|c| if c.is_alphanumeric() { c } else { ' ' }).collect();
    plain.split_whitespace().collect::<Vec<_>>().join("_")
}

/// The lines from one to another, where they stood.
fn excerpt(text: &str, first: usize, last: usize) -> String {
    let lines = (1..).zip(text.lines());
    let kept = lines.map(|(number, line)| if (first..=last).contains(&number) { line } else { "" });
    kept.collect::<Vec<_>>().join("\n")
}

fn sample(name: &str) -> io::Result<String> {
    fs::read_to_string(directory("data/samples").join(name).with_extension("txt"))
}

fn play(text: &str) -> Result<(), Mistake> {
    let props = Props { samples: &sample, config: None };
    let scenarios = rehearsal::scenarios(text)?;
    scenarios.iter().try_for_each(|scenario| scenario.play(&props).map(|_| ()))
}

fn tell(path: &Path, text: &str) -> Result<(), Failed> {
    play(text).map_err(|mistake| at(path, &mistake))?;
    let mut expectations = 0;
    for (number, line) in (1_usize..).zip(text.lines()) {
        for other in otherwise(line) {
            expectations += 1;
            let mut lines: Vec<&str> = text.lines().collect();
            lines[number - 1] = &other;
            let outcome = play(&lines.join("\n"));
            let red = matches!(&outcome, Err(mistake) if mistake.line == number && mistake.is_otherwise());
            if !red {
                return Err(format!(
                    "{}:{number}: passes, or fails elsewhere, with\n    {other}",
                    path.display()
                )
                .into());
            }
        }
    }
    if expectations == 0 { Err("it expects nothing".into()) } else { Ok(()) }
}

/// The same line with other expectations.
fn otherwise(line: &str) -> Vec<String> {
    if line.trim_start().starts_with('#') {
        return Vec::new();
    }
    if let Some((asked, answer)) = line.split_once("->") {
        let others: &[&str] = if asked.contains("past ") {
            &["exact mallory", "unknown mallory", "exact nobody", "ambiguous mallory trudy"]
        } else {
            &["permit mallory", "refuse not-online", "defer just-freed", "defer conflict mallory trudy"]
        };
        let others = others.iter().filter(|other| **other != answer.trim());
        return others.map(|other| format!("{asked}-> {other}")).collect();
    }
    let Some((before, expected)) = line.split_once("expect ") else { return Vec::new() };
    let words: Vec<&str> = expected.split_whitespace().collect();
    let last = words.len() - 1;
    let another = |word: &str| [&words[..last], &[word]].concat().join(" ");
    let other = match words[..] {
        ["no", "alarm"] => "alarm conflict 203.0.113.254".to_owned(),
        ["alarm", ..] => format!("{expected}0"),
        ["refresh"] => "repeated".to_owned(),
        ["repeated" | "absurd"] => "refresh".to_owned(),
        ["ignored", why] => another(if why == "no-status" { "no-session-id" } else { "no-status" }),
        ["dropped", _] => another("99"),
        ["event", when, word] => {
            let others = [
                ("-6d".to_owned(), word),
                (when.to_owned(), if word == "dated" { "undated" } else { "dated" }),
            ];
            return others.map(|(when, word)| format!("{before}expect event {when} {word}")).into();
        }
        ["session", .., state] => another(if state == "pending" { "active" } else { "pending" }),
        ["nas", name, ..] => format!("nas {name} active 99"),
        ["line", address, ..] => format!("line {address} port=elsewhere"),
        ["bound", ..] => "bound 203.0.113.254".to_owned(),
        _ => panic!("no other expectation for: {line}"),
    };
    vec![format!("{before}expect {other}")]
}

fn every_sample_has_a_scenario() -> Result<(), Failed> {
    let told: String = files("scenarios").iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let told: BTreeSet<&str> =
        told.split(" sample ").skip(1).filter_map(|rest| rest.split_whitespace().next()).collect();
    let samples: Vec<String> = files("data/samples").iter().map(|path| stem(path)).collect();
    let without: Vec<_> = samples.iter().filter(|sample| !told.contains(sample.as_str())).collect();
    if samples.len() < 36 || !without.is_empty() {
        return Err(format!("{} samples, without a scenario: {without:?}", samples.len()).into());
    }
    Ok(())
}

/// The example in `docs/scenarios.md`.
fn documented() -> Result<(), Failed> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/scenarios.md");
    let text = fs::read_to_string(&path).unwrap();
    let begin = text.lines().position(|line| line.starts_with("scenario:")).unwrap() + 1;
    let length = text.lines().skip(begin).position(|line| line == "```").unwrap();
    tell(&path, &excerpt(&text, begin, begin + length))
}

/// What an operator may mistype, and what the answer must hold.
fn mistakes_are_named() -> Result<(), Failed> {
    let typos = [
        ("at 12:00 nas bras1 start session=1", "1: a scenario begins with its title"),
        ("scenario: x\n\nat noon", "3: `noon` is not understood; expected a time: 12:00"),
        (
            "scenario: x\nat 12:00 nas bras1 begin session=1",
            "2: `begin` is not understood; expected start, interim",
        ),
        ("scenario: x\nnas bras1 start sesion=1", "2: `sesion=1` is neither an option nor an attribute"),
        ("scenario: x\nnas bras1 start alice", "2: `alice` is neither an option"),
        (
            "scenario: x\nnas bras1 start address=192.0.2.7.1",
            "2: `address=192.0.2.7.1` is not understood; expected an address",
        ),
        (
            "scenario: x\nnas bras1 start prefix=2001:db8::/129",
            "2: `prefix=2001:db8::/129`: the value is not of type",
        ),
        ("scenario: x\nnas bras1 start Class=0x0", "2: `Class=0x0`: the value is not of type"),
        ("scenario: x\nnas bras1 start user=\"alice", "2: a quote is not closed"),
        ("scenario: x\nnas bras2 start session=1", "2: no client is called `bras2`; there is bras1"),
        (
            "scenario: x\nnas bras1 start session=1 from=192.0.2.9",
            "2: 192.0.2.9 is not an address of client `bras1`",
        ),
        ("scenario: x\nnas bras1 start session=1 event=+5m", "2: a NAS without a clock"),
        ("scenario: x\nnas bras1 sample nobody-sent-this", "2: sample `nobody-sent-this`: "),
        (
            "scenario: x\nat 12:00 nas bras1 start session=1\nat 11:59 lookup 192.0.2.7",
            "3: time goes backwards: it is 12:00:00",
        ),
        ("scenario: x\nclient bras1 may-asign=192.0.2.0/24", "2: radius.client.may-asign: unknown field"),
        ("scenario: x\nrule stale-limit=soon", "2: session.stale-limit: 'soon' is no time"),
        ("scenario: x\nlookup 192.0.2.7 permit alice", "2: `permit` is not understood; expected `->`"),
        (
            "scenario: x\nlookup 192.0.2.7 -> refuse warm-up",
            "2: `warm-up` is not understood; expected why: not-online",
        ),
        ("scenario: x\nlookup 192.0.2.7 -> refuse", "2: the line ends too soon; expected why"),
        (
            "scenario: x\nlookup 192.0.2.7 -> refuse not-online now",
            "2: `now` is not understood; expected nothing more",
        ),
        ("scenario: x\nexpect everything", "2: `everything` is not understood; expected alarm"),
        ("scenario: x\nexpect refresh", "2: nothing was sent yet"),
        ("scenario: x\nhost clock slow 5m", "2: `slow` is not understood; expected clock, and forward 61m"),
        ("scenario: x\nhost bras1 back 5m", "2: `bras1` is not understood; expected clock, and forward 61m"),
        ("scenario: x\nhost clock back", "2: the line ends too soon; expected clock, and forward 61m"),
        ("scenario: x\nrestart later", "2: `later` is not understood; expected nothing more"),
        (
            "scenario: x\nlookup 192.0.2.7 -> permit alice",
            "2: expected permit alice, but it is refuse not-online",
        ),
    ];
    for (text, said) in typos {
        let mistake = play(text).err().ok_or_else(|| format!("understood: {text}"))?;
        if !mistake.to_string().starts_with(said) {
            return Err(format!("{text}\nsays: {mistake}\nnot:  {said}").into());
        }
        let otherwise = matches!(mistake.fault, Fault::Otherwise { .. });
        assert_eq!(otherwise, said.contains("but it is"), "{text}");
    }
    Ok(())
}
