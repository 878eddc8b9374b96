//! Receivers of notices as an operator writes them, and each mistake that can be made with one.

use relaywarden::config::Way;
use relaywarden::notice::Kind;

use super::*;

const CA: &[u8] = include_bytes!("../data/notices/ca.pem");

fn disk(text: &str) -> Disk {
    let secret = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n";
    Disk::with(text, 0o640)
        .and("/etc/relaywarden/secrets/portal", secret, 0o600)
        .and("/etc/relaywarden/open", secret, 0o644)
        .and("/etc/relaywarden/short", b"1234567", 0o600)
        .and("/etc/relaywarden/broken", b"whsec_%%%", 0o600)
        .and("/etc/relaywarden/ca.pem", CA, 0o644)
        .and("/etc/relaywarden/empty.pem", b"nothing here", 0o644)
}

fn wrong(lines: &str) -> String {
    let error = loaded(&disk(&format!("[[notice]]\n{lines}\n"))).unwrap_err();
    error.strip_prefix(&format!("{FILE}:")).unwrap_or(&error).to_owned()
}

#[test]
fn the_page_about_notices_shows_what_is_understood() {
    let page = include_str!("../../docs/notices.md");
    let shown = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let loaded = loaded(&disk(shown)).unwrap();
    let notices = loaded.config.notices;
    let names: Vec<_> = notices.iter().map(|notice| notice.name.to_string()).collect();
    assert_eq!(names, ["portal", "pager", "morning"]);
    let Way::Webhook { address, secret, authorities } = &notices[0].way else { panic!("{:?}", notices[0]) };
    assert_eq!((address.host.as_str(), address.port, address.tls), ("portal.isp.example", 443, true));
    assert_eq!((secret.as_ref().map(|secret| secret.octets().len()), authorities.len()), (Some(24), 0));
    assert_eq!(notices[0].events, [Kind::Suspended, Kind::Limited, Kind::Released, Kind::Ended]);
    assert_eq!((notices[0].timeout.as_secs(), notices[1].timeout.as_secs()), (10, 30));
    let page = include_str!("../../docs/notices.md");
    for word in Kind::ALL.iter().map(|kind| kind.word()) {
        assert!(page.contains(&format!("`{word}`")), "{word} is not explained");
    }
}

#[test]
fn authorities_are_those_of_a_file_and_a_link_leads_to_the_pages() {
    let text = "[http]\nurl = 'https://warden.isp.example/'\n[[notice]]\nname = 'a'\nwebhook = 'https://h'\nevents = ['signal']\n\
                ca-file = 'ca.pem'\nsecret-file = 'secrets/portal'\n";
    let loaded = loaded(&disk(text)).unwrap();
    let Way::Webhook { authorities, .. } = &loaded.config.notices[0].way else { panic!("a webhook") };
    assert_eq!(authorities.len(), 1);
    assert_eq!(loaded.config.http.url.as_deref(), Some("https://warden.isp.example"));
    let summary = relaywarden::cli::check::Summary(&loaded.config).to_string();
    assert!(summary.lines().any(|line| line == "notice      a, https://h: signal"), "{summary}");
}

#[test]
fn what_anybody_can_read_or_forge_is_worth_a_look() {
    let notice = |url: &str| format!("[[notice]]\nname = 'a'\nwebhook = '{url}'\nevents = ['signal']\n");
    let remarks = |url: &str| {
        let all = warnings(&(client("") + &notice(url)));
        all.iter().filter(|remark| remark.contains("notice.webhook")).count()
    };
    assert_eq!((remarks("http://h"), remarks("https://h"), remarks("http://127.0.0.1:8080/")), (2, 1, 1));
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn each_mistake_about_notices_is_named() {
    let good = "name = 'a'\nevents = ['signal']\n";
    for (lines, expected) in [
        ("events = ['signal']\nwebhook = 'https://h'".to_owned(), "1:1: notice: 'name' is missing; add it"),
        ("name = 'a'\nwebhook = 'https://h'".to_owned(), "1:1: notice: 'events' is missing; add it"),
        (
            "name = 'A b'\nevents = ['signal']\nwebhook = 'https://h'".to_owned(),
            "2:8: notice.name: 'A b' is no receiver's name; write at most 64 of a to z, 0 to 9 and '-', such as \"portal\"",
        ),
        (good.to_owned(), "1:1: notice: write either 'webhook' or 'command'"),
        (
            format!("{good}webhook = 'https://h'\ncommand = ['/bin/true']"),
            "5:11: notice.command: write either 'webhook' or 'command'",
        ),
        (
            format!("{good}webhook = 'https://me:word@h/'"),
            "4:11: notice.webhook: is no address of a webhook; write a URL without a user in it, such as \
             \"https://portal.isp.example/hook\"",
        ),
        (
            format!("{good}webhook = 'https://h'\nsecret-file = 'short'"),
            "5:15: notice.secret-file: the secret has 7 octets and can be guessed; use 16 or more, at least 8",
        ),
        (
            format!("{good}webhook = 'https://h'\nsecret-file = 'broken'"),
            "5:15: notice.secret-file: begins with whsec_ and is no base64 behind it; write the secret as it was given",
        ),
        (
            format!("{good}webhook = 'https://h'\nca-file = 'empty.pem'"),
            "5:11: notice.ca-file: /etc/relaywarden/empty.pem has no certificate in it; write those that are believed in PEM",
        ),
        (
            format!("{good}webhook = 'http://127.0.0.1/'\nca-file = 'ca.pem'"),
            "5:11: notice.ca-file: certificates say nothing about http://; write https:// or take this out",
        ),
        (
            format!("{good}command = ['page', 'abuse']"),
            "4:12: notice.command: 'page' is no program; write its whole path and each argument by itself, such as \
             [\"/usr/local/bin/page\", \"abuse\"]",
        ),
        (format!("{good}command = []"), "4:11: notice.command: is empty; write a value or remove the key"),
        (
            format!("{good}command = ['/bin/true']\nsecret-file = 'secrets/portal'"),
            "5:15: notice.secret-file: a command has no 'secret-file'; take it out",
        ),
        (
            format!("{good}command = ['/bin/true']\nreport-at = '07:00'"),
            "5:13: notice.report-at: no report is sent here; add \"report\" to 'events'",
        ),
        (
            "name = 'a'\nevents = ['report']\ncommand = ['/bin/true']\nreport-at = '7 am'".to_owned(),
            "5:13: notice.report-at: '7 am' is no time of day; write such as \"07:00\"",
        ),
        (
            "name = 'a'\nevents = ['signal', 'signal']\ncommand = ['/bin/true']".to_owned(),
            "3:21: notice.events: line 3 has the same; change one of them",
        ),
        (
            format!("{good}command = ['/bin/true']\ntimeout = '6m'"),
            "5:11: notice.timeout: is out of range; write something from \"1s\" to \"5m\"",
        ),
        (
            format!("{good}command = ['/bin/true']\n[[notice]]\n{good}command = ['/bin/true']"),
            "6:8: notice.name: line 2 has the same; change one of them",
        ),
    ] {
        assert_eq!(wrong(&lines), expected, "{lines}");
    }
    // Whatever is wrong with it, it may be a secret, and this goes to the journal.
    for url in [
        "https://h/hooks/s3cret word",
        "https://s3cret@h/",
        "chat.example/hooks/s3cret",
        "https://h:0/#s3cret",
    ] {
        let error = loaded(&disk(&format!("[[notice]]\n{good}webhook = '{url}'\n"))).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
    }
    for word in ["lost", "test", "everything"] {
        let said = wrong(&format!("name = 'a'\nevents = ['{word}']\ncommand = ['/bin/true']"));
        assert!(said.starts_with("3:11: notice.events: ") && said.contains("case-opened"), "{said}");
    }
    let said = wrong(&format!("{good}webhook = 'https://h'\nsecret-file = 'open'"));
    assert!(said.starts_with("5:15: notice.secret-file: "), "{said}");
    let said = wrong(&format!("{good}webhook = 'https://h'\nca-file = 'missing.pem'"));
    assert!(said.starts_with("5:11: notice.ca-file: ") && said.contains("missing.pem"), "{said}");
    let many: String = (0..17)
        .map(|n| format!("[[notice]]\nname = 'n{n}'\nevents = ['signal']\ncommand = ['/bin/true']\n"))
        .collect();
    let said = loaded(&disk(&many)).unwrap_err();
    assert!(said.ends_with("there is room for 16 receivers; take this one out"), "{said}");
    let said = loaded(&disk("[http]\nurl = 'warden'\n")).unwrap_err();
    assert!(said.contains(":2:7: http.url: 'warden' is no address of pages"), "{said}");
}
