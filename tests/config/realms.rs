//! Realms, and by which attributes they are named.

use super::*;

#[test]
fn a_realm_is_named_by_the_attributes_of_the_client_else_of_all_else_by_the_usual_ones() {
    let spelled = |text: &str| {
        let config = config(text);
        let attributes = config.radius.clients[0].realm_attributes.iter();
        attributes.map(|attribute| (attribute.path.to_string(), attribute.form.clone())).collect::<Vec<_>>()
    };
    let pair = |key: &str| RealmForm::Pair { key: key.into() };
    let number = |octets| RealmForm::Number { octets };
    let usual = [
        ("26.9.1".to_owned(), pair("vrf-id")),
        ("26.4874.1".to_owned(), RealmForm::Name),
        ("26.2352.4".to_owned(), RealmForm::Name),
        ("26.6527.100".to_owned(), number(4)),
    ];
    assert_eq!(spelled(&client("")), usual);
    let all = "[radius]\nrealm-attributes = ['26.9.1=lcp:vpn=id', 'NAS-Port', '26.26000.7']\n";
    let named = [
        ("26.9.1".to_owned(), pair("lcp:vpn=id")),
        ("5".to_owned(), number(4)),
        ("26.26000.7".to_owned(), RealmForm::Name),
    ];
    assert_eq!(spelled(&format!("{all}{}", client(""))), named);
    let own = format!("{all}{}", client("realm-attributes = ['Class']"));
    assert_eq!(spelled(&own), [("25".to_owned(), RealmForm::Name)]);
    assert_eq!(spelled(&format!("{all}{}", client("realm-attributes = []"))), []);
}

#[test]
fn the_summary_says_by_what_a_realm_is_named_where_that_was_chosen_and_counts() {
    let realm = |more: &str| {
        let summary = relaywarden::cli::check::Summary(&config(&client(more))).to_string();
        summary.lines().find(|line| line.starts_with("  realm ")).map(str::to_owned)
    };
    assert_eq!(realm(""), None);
    assert_eq!(
        realm("realm-attributes = ['Cisco-AVPair=vpn', '26.26000.7']").as_deref(),
        Some("  realm     as named by vpn in Cisco-AVPair (26.9.1), 26.26000.7")
    );
    assert_eq!(
        realm("realm-attributes = []").as_deref(),
        Some("  realm     public, whatever its records name")
    );
    assert_eq!(realm("realm = 'gold'\nrealm-attributes = []"), None);
}

#[test]
fn an_attribute_for_realms_that_is_not_known_is_named_with_its_place() {
    let unknown = "is no attribute known here; write its number, such as \"1\" or \"26.3561.1\" (vendor, type), or name \
                   its dictionary in radius.dictionaries";
    for written in ["Cisco-AVPiar=vrf-id", "Cisco-AVPair=", "=vrf-id", "26.9.256", ""] {
        let all = format!("[radius]\nrealm-attributes = [\"Class\",\n  \"{written}\"]\n");
        assert_eq!(mistake(&all), format!("3:3: radius.realm-attributes: '{written}' {unknown}"));
    }
    assert_eq!(
        mistake(&client("realm-attributes = ['VRF']")),
        format!("5:21: radius.client.realm-attributes: 'VRF' {unknown}")
    );
}
