//! Clients, their secrets, and who is behind them.

use super::*;

#[test]
fn the_longest_client_prefix_is_found_first() {
    let text = "[[radius.client]]\nname='wide'\naddress='192.0.2.0/24'\nsecret='sixteen octets!!'\n\
                [[radius.client]]\nname='one'\naddress='192.0.2.1'\nsecret='sixteen octets!!'\n";
    let config = config(text);
    let found =
        |address: &str| config.radius.client(address.parse().unwrap()).map(|client| client.name.clone());
    assert_eq!(found("192.0.2.1"), Some(Name::from("one")));
    assert_eq!(found("192.0.2.2"), Some(Name::from("wide")));
    assert_eq!(found("192.0.3.1"), None);
}

#[test]
fn a_client_says_how_its_nases_are_named() {
    let nas = |more: &str| config(&client(more)).radius.clients[0].nas;
    assert_eq!(nas(""), NasIdentity::Source);
    assert_eq!(nas("nas = 'source'"), NasIdentity::Source);
    assert_eq!(nas("nas = 'client'"), NasIdentity::Client);
    assert_eq!(nas("role = 'proxy'\nmay-assign = ['100.64.0.0/10']"), NasIdentity::Attributes);
}

fn proxy(name: &str, more: &str) -> String {
    let host = name.bytes().next().unwrap();
    format!(
        "[[radius.client]]\nname = '{name}'\naddress = '192.0.2.{host}'\nsecret = 'sixteen octets!!'\nrole = 'proxy'\n{more}\n"
    )
}

#[test]
fn a_nas_stands_behind_the_proxy_it_names_and_else_behind_every_one() {
    let pools = "may-assign = ['100.64.0.0/10']";
    let nases = "[[nas]]\nclient = 'b'\nidentifier = 'bras7'\nname = 'berlin'\nmay-assign = ['100.64.0.0/12']\n\
                 [[nas]]\naddress = '192.0.2.77'\n";
    let config = config(&(client("") + &proxy("b", pools) + &proxy("c", pools) + nases));
    let behind = |name: &str| {
        let client = config.radius.clients.iter().find(|client| client.name == Name::from(name)).unwrap();
        client.nases.iter().map(|nas| (nas.identifier.is_some(), nas.address.is_some())).collect::<Vec<_>>()
    };
    assert_eq!(behind("a"), []);
    assert_eq!(behind("b"), [(true, false), (false, true)]);
    assert_eq!(behind("c"), [(false, true)]);
}

#[test]
fn a_proxy_needs_no_pools_where_its_nases_have_some() {
    let config = config(&proxy("b", "[[nas]]\nidentifier = 'bras7'\nmay-assign = ['100.64.0.0/12']\n"));
    let client = &config.radius.clients[0];
    let bras7 = client.nas_behind(Some(b"bras7"), None);
    assert_eq!(client.may_assign(bras7).map(<[_]>::len), Some(1));
    assert_eq!(client.may_assign(client.nas_behind(Some(b"bras8"), None)), None);
    assert_eq!(client.pools().len(), 1);
}

#[test]
fn a_directory_is_followed_by_the_rules_of_a_client() {
    let detail = "[[radius.detail]]\nclient = 'a'\ndirectory = 'detail'\n";
    let followed = config(&client(detail)).radius.details;
    assert_eq!(followed[0].directory, Path::new("/etc/relaywarden/detail"));
    assert_eq!((followed[0].client.clone(), followed[0].files.as_str()), (Name::from("a"), "detail*"));
    // Nobody listens for a client of which only files are read.
    let unheard = "[radius]\nlisten = []\n";
    assert_eq!(config(&format!("{unheard}{}", client(detail))).radius.listen, []);
    assert!(
        mistake(&format!(
            "{unheard}{}{}",
            client(detail),
            client("").replace("'a'", "'b'").replace(".1'", ".2'")
        ))
        .contains("can be heard")
    );
}

#[test]
fn each_mistake_about_another_way_of_feeding_is_named() {
    let pools = "may-assign = ['100.64.0.0/10']";
    let detail = |more: &str| client(&format!("[[radius.detail]]\n{more}"));
    let behind = |more: &str| proxy("b", &format!("{pools}\n[[nas]]\n{more}"));
    for (text, expected) in [
        (detail("client = 'a'"), "5:1: radius.detail: 'directory' is missing; add it"),
        (detail("directory = '/d'"), "5:1: radius.detail: 'client' is missing; add it"),
        (
            detail("directory = '/d'\nclient = 'b'"),
            "7:10: radius.detail.client: no [[radius.client]] is called 'b'; write the name of one",
        ),
        (
            detail("directory = '/d'\nclient = 'a'\nfiles = 'a/*'"),
            "8:9: radius.detail.files: 'a/*' is no pattern of file names; write one without a slash, such as \"detail*\"",
        ),
        (
            detail("directory = '/d'\nclient = 'a'\n[[radius.detail]]\ndirectory = '/d/e'\nclient = 'a'"),
            "9:13: radius.detail.directory: line 5 follows these files already; change one of them",
        ),
        (
            behind("name = 'x'"),
            "7:1: nas: a NAS behind a proxy is known by its 'identifier' or its 'address'; add one of them",
        ),
        (
            behind("client = 'c'\nidentifier = 'x'"),
            "8:10: nas.client: no [[radius.client]] is called 'c'; write the name of one",
        ),
        (
            behind("identifier = 'x'\n[[nas]]\nidentifier = 'x'"),
            "9:1: nas: line 7 has the same; change one of them",
        ),
        (
            behind("identifier = 'x'\nname = 'n'\n[[nas]]\nidentifier = 'y'\nname = 'n'"),
            "10:1: nas: line 7 has the same; change one of them",
        ),
        (
            behind("address = '192.0.2.0/24'"),
            "8:11: nas.address: '192.0.2.0/24' is no address; write one, such as \"192.0.2.7\"",
        ),
        (
            client("[[nas]]\nidentifier = 'x'"),
            "5:1: nas: only a [[radius.client]] with role = \"proxy\" has NASes behind it; set its role, or remove this table",
        ),
        (
            client("[[nas]]\nclient = 'a'\nidentifier = 'x'"),
            "6:10: nas.client: only a [[radius.client]] with role = \"proxy\" has NASes behind it; set its role, or remove \
             this table",
        ),
        (
            proxy("b", "[[nas]]\nidentifier = 'x'"),
            "6:1: nas: neither this NAS nor its proxy says which prefixes are its own; add 'may-assign' to one of them",
        ),
    ] {
        assert_eq!(mistake(&text), expected);
    }
}

#[test]
fn a_secret_file_loses_one_newline_and_nothing_else() {
    for (octets, secret) in [
        (b"\xff secret 16 o.\n".as_slice(), b"\xff secret 16 o.".as_slice()),
        (b"crlf is a newline\r\n", b"crlf is a newline"),
        (b"two newlines of it\n\n", b"two newlines of it\n"),
        (b"no newline at all ", b"no newline at all "),
    ] {
        let text = "[[radius.client]]\nname='a'\naddress='::1'\nsecret-file='s'\n";
        let disk = Disk::with(text, 0o644).and("/etc/relaywarden/s", octets, 0o600);
        assert_eq!(loaded(&disk).unwrap().config.radius.clients[0].secret.octets(), secret);
    }
}

#[test]
fn each_mistake_in_a_client_is_named() {
    for (more, expected) in [
        (
            "role = 'proxy'",
            "5:8: radius.client.role: a proxy speaks for other NASes; add 'may-assign' to say which prefixes are theirs, here or in a [[nas]]",
        ),
        (
            "role = 'proxy'\nnas = 'source'\nmay-assign = ['::/0']",
            "6:7: radius.client.nas: 'role' says already how NASes are named; remove 'nas'",
        ),
        ("group = ''", "5:9: radius.client.group: is empty; write a value or remove the key"),
        ("realm = ''", "5:9: radius.client.realm: is empty; write a value or remove the key"),
        (
            "secret-file = 's'",
            "5:15: radius.client.secret-file: a client needs one of 'secret' and 'secret-file', not both",
        ),
        (
            "[[radius.client]]\nname = 'a'\naddress = '192.0.2.2'\nsecret = 'sixteen octets!!'",
            "6:8: radius.client.name: line 2 has the same; change one of them",
        ),
        (
            "[[radius.client]]\nname = 'b'\naddress = '192.0.2.1/32'\nsecret = 'sixteen octets!!'",
            "7:11: radius.client.address: line 3 has the same; change one of them",
        ),
        (
            "[[radius.client]]\nname = 'b'\nsecret = 'sixteen octets!!'",
            "5:1: radius.client: 'address' is missing; add it",
        ),
        (
            "[[radius.client]]\nname = 'b'\naddress = '192.0.2.2'",
            "5:1: radius.client: a client needs one of 'secret' and 'secret-file', not both",
        ),
        (
            "[radius]\nlisten = []",
            "6:10: radius.listen: is empty, so that no [[radius.client]] can be heard; add an address or remove the key",
        ),
    ] {
        assert_eq!(mistake(&client(more)), expected);
    }
}

#[test]
fn a_secret_of_eight_octets_is_taken_with_a_warning_and_one_of_seven_refused() {
    let secret = |text: &str| client("").replace("sixteen octets!!", text);
    assert_eq!(
        mistake(&secret("1234567")),
        "4:10: radius.client.secret: the secret has 7 octets and can be guessed; use 16 or more, at least 8"
    );
    assert_eq!(
        warnings(&secret("12345678")),
        ["file:4:10: radius.client.secret: the secret has only 8 octets; 16 random ones withstand guessing"]
    );
    assert_eq!(warnings(&secret("123456789012345")).len(), 1);
    assert_eq!(warnings(&secret("1234567890123456")), Vec::<String>::new());
}

#[test]
fn what_holds_a_secret_is_not_open_to_everybody() {
    for (mode, open) in [(0o640, false), (0o660, false), (0o644, true), (0o642, true)] {
        assert_eq!(loaded(&Disk::with(&client(""), mode)).is_err(), open, "{mode:o}");
        let text = "[[radius.client]]\nname='a'\naddress='::1'\nsecret-file='s'\n";
        let disk = Disk::with(text, 0o644).and("/etc/relaywarden/s", b"sixteen octets!!", mode);
        assert_eq!(loaded(&disk).is_err(), open, "{mode:o}");
    }
    assert_eq!(
        loaded(&Disk::with(&client(""), 0o100_644)).unwrap_err(),
        format!(
            "{FILE}:4:10: radius.client.secret: {FILE} holds a secret and is open to everybody (mode 0644); run: chmod o= {FILE}"
        )
    );
}

#[test]
fn a_secret_file_that_is_not_there_is_named() {
    let mistake = mistake("[[radius.client]]\nname='a'\naddress='::1'\nsecret-file='s'\n");
    assert_eq!(
        mistake,
        "4:13: radius.client.secret-file: /etc/relaywarden/s cannot be read: entity not found; the daemon's user must \
         be able to"
    );
}
