//! What an operator's dictionaries change in a configuration: the names that may stand in it, and nothing else.

use relaywarden::config::RealmForm;
use relaywarden::config::file::Loaded;

use super::{Disk, FILE, client, loaded, mistake};

/// A configuration that names one dictionary, `dictionary`, which lies beside it.
fn with_dictionary(dictionary: &str, more: &str) -> Disk {
    let text = format!("[radius]\ndictionaries = ['dictionary']\n{}", client(more));
    Disk::with(&text, 0o640).and("/etc/relaywarden/dictionary", dictionary.as_bytes(), 0o644)
}

#[test]
fn an_operators_dictionary_has_names_for_the_identity_chain() {
    let dictionary =
        "VENDOR Acme 99999 format=2,2\nBEGIN-VENDOR Acme\nATTRIBUTE Acme-Line 300 octets\nEND-VENDOR Acme\n";
    let disk =
        with_dictionary(dictionary, "[subscriber]\nidentity = ['acme-line', 'User-Name', '26.99999.301']\n");
    let chain = loaded(&disk).unwrap().config.identity.chain;
    assert_eq!(
        chain.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["26.99999.300", "1", "26.99999.301"]
    );
}

#[test]
fn an_operators_dictionary_says_which_attribute_for_realms_is_a_number() {
    let dictionary = "VENDOR Acme 99999\nBEGIN-VENDOR Acme\nATTRIBUTE Acme-VPN 3 short\n\
                      ATTRIBUTE Acme-Name 4 string\nEND-VENDOR Acme\n";
    let disk = with_dictionary(dictionary, "realm-attributes = ['acme-vpn', 'Acme-Name', '26.99999.5']\n");
    let attributes = loaded(&disk).unwrap().config.radius.clients[0].realm_attributes.clone();
    let forms: Vec<_> = attributes.into_iter().map(|attribute| attribute.form).collect();
    assert_eq!(forms, [RealmForm::Number { octets: 2 }, RealmForm::Name, RealmForm::Name]);
}

/// Whoever can put lines into a dictionary can't change whose mail is relayed.
#[test]
fn a_strange_dictionary_changes_nothing_that_is_built_in() {
    let more = "[subscriber]\nidentity = ['User-Name', '25', 'ADSL-Agent-Circuit-Id', '26.8164.297', 'Cisco-AVPair']\n";
    let strange = "ATTRIBUTE User-Name 200 ipaddr\nATTRIBUTE Class 1 string\nATTRIBUTE Something 25 ipaddr\n\
                   VENDOR ADSL-Forum 9\nBEGIN-VENDOR ADSL-Forum\nATTRIBUTE ADSL-Agent-Circuit-Id 1 string\n\
                   END-VENDOR ADSL-Forum\nVENDOR Starent 8164 format=1,1\nVENDOR Cisco 9 format=2,2\n\
                   VALUE Acct-Status-Type Stop 1\n";
    let strange = loaded(&with_dictionary(strange, more)).unwrap();
    let plain = loaded(&with_dictionary("", more)).unwrap();
    assert_eq!(strange.config, plain.config);
    // The form of a vendor is not compared with it.
    let envelopes = |loaded: &Loaded| {
        let chain = &loaded.config.identity.chain;
        chain.iter().map(|path| format!("{:?}", path.envelope())).collect::<Vec<_>>()
    };
    assert_eq!(envelopes(&strange), envelopes(&plain));
    assert_eq!(strange.warnings.len(), 6, "{:?}", strange.warnings);
}

#[test]
fn remarks_about_a_dictionary_are_warnings_with_both_places() {
    let shown = |dictionary: &str| -> Vec<String> {
        let loaded = loaded(&with_dictionary(dictionary, "")).unwrap();
        loaded.warnings.iter().map(|warning| warning.to_string().replace("/etc/relaywarden/", "")).collect()
    };
    assert_eq!(
        shown("ATTRIBUTE Foo 1 quaternion\nFLAGS internal\n"),
        [
            "relaywarden.toml:2:17: radius.dictionaries: dictionary:1: the type 'quaternion' is unknown; taken as octets",
            "relaywarden.toml:2:17: radius.dictionaries: dictionary:2: 'FLAGS' is no statement known here; left out",
        ]
    );
    let line = "FLAGS internal\n";
    let many = format!("ATTRIBUTE Foo 1 string\n{}", line.repeat(20));
    assert_eq!(shown(&many).len(), 20);
    let shown = shown(&(many + &line.repeat(3)));
    assert_eq!(shown.len(), 21);
    assert_eq!(
        shown[20],
        "relaywarden.toml:2:17: radius.dictionaries: and 3 more remarks about dictionaries"
    );
}

#[test]
fn a_dictionary_that_cannot_be_used_is_named_with_file_line_and_remedy() {
    for (dictionary, expected) in [
        (
            "ATTRIBUTE Foo 1 string\n$INCLUDE gone\n",
            "dictionary:2: /etc/relaywarden/gone cannot be read: entity not found; put it there, or write $INCLUDE- where it \
             may be missing",
        ),
        (
            "# new\nBEGIN PROTOCOL RADIUS 1\n",
            "dictionary:2: 'BEGIN' is of FreeRADIUS 4, whose dictionaries are not read; name those of FreeRADIUS 3, or write \
             attributes by number, such as \"26.3561.1\"",
        ),
        (
            "[radius]\nlisten = []\n",
            "dictionary holds no line of a dictionary; name one of FreeRADIUS 3, or remove it",
        ),
    ] {
        let error = loaded(&with_dictionary(dictionary, "")).unwrap_err();
        assert_eq!(error, format!("{FILE}:2:17: radius.dictionaries: /etc/relaywarden/{expected}"));
    }
    assert_eq!(
        mistake("[radius]\ndictionaries = ['/d', '']\n"),
        "2:17: radius.dictionaries: /d cannot be read: entity not found; name a dictionary that is there and may be read"
    );
    assert_eq!(
        mistake("[radius]\ndictionaries = ['']\n"),
        "2:17: radius.dictionaries: is empty; write a value or remove the key"
    );
}
