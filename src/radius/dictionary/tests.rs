//! Dictionaries by construct: what FreeRADIUS 3 takes, what it refuses, and what an operator can not change.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

use super::fault::Reason;
use super::*;
use crate::config::file::Contents;

/// Files that exist only here.
#[derive(Default)]
struct Disk(HashMap<PathBuf, Contents>);

impl Disk {
    fn and(mut self, path: &str, text: &str) -> Self {
        self.0.insert(path.into(), Contents { octets: text.into(), mode: 0o100_644 });
        self
    }
}

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Contents> {
        self.0.get(path).cloned().ok_or(io::ErrorKind::NotFound.into())
    }
}

/// A dictionary with nothing beside it, and what was remarked.
fn read(text: &str) -> (Dictionary, Vec<(usize, Fault)>) {
    let mut dictionary = Dictionary::default();
    let remarks = dictionary.read_text(text.as_bytes()).unwrap();
    (dictionary, remarks.first.into_iter().map(|remark| (remark.line, remark.fault)).collect())
}

/// One that gives no cause for remarks.
fn good(text: &str) -> Dictionary {
    let (dictionary, remarks) = read(text);
    assert_eq!(remarks, []);
    dictionary
}

/// An operator's, and what was remarked.
fn operators(text: &str) -> (Dictionary, Vec<Fault>) {
    let mut dictionary = Dictionary::beside_builtin();
    let remarks = dictionary.read_text(text.as_bytes()).unwrap();
    (dictionary, remarks.first.into_iter().map(|remark| remark.fault).collect())
}

fn id(dictionary: &Dictionary, name: &str) -> Option<String> {
    dictionary.id(name).map(|path| path.to_string())
}

fn kind(dictionary: &Dictionary, name: &str) -> Option<Type> {
    dictionary.attribute(name).map(|definition| definition.kind)
}

fn from_disk(disk: &Disk, path: &str) -> Result<(Dictionary, Vec<String>), String> {
    let mut dictionary = Dictionary::beside_builtin();
    let remarks = dictionary.read(Path::new(path), disk).map_err(|error| error.to_string())?;
    Ok((dictionary, remarks.first.iter().map(ToString::to_string).collect()))
}

// What is built in.

#[test]
fn the_dictionaries_that_are_compiled_in_are_understood() {
    let mut dictionary = Dictionary::default();
    for text in BUILTIN {
        let remarks = dictionary.read_text(text.as_bytes()).unwrap();
        assert_eq!(remarks, Remarks::default());
    }
    let size = dictionary.size();
    assert!(size.attributes > 250 && size.vendors > 20 && size.values > 100, "{size:?}");
}

#[test]
fn attributes_are_found_by_name_and_number_whatever_their_case() {
    let dictionary = Dictionary::builtin();
    for spelling in ["ADSL-Agent-Circuit-Id", "adsl-agent-circuit-id", "26.3561.1", "Attr-26.3561.1"] {
        assert_eq!(id(dictionary, spelling).as_deref(), Some("26.3561.1"), "{spelling}");
    }
    assert_eq!(dictionary.id("User-Name"), Some(AttributePath::standard(1)));
    assert_eq!(dictionary.id("4"), dictionary.id("NAS-IP-Address"));
    assert_eq!(id(dictionary, "IP-Port-Range-Range-Start").as_deref(), Some("241.6.9"));
    assert_eq!(dictionary.name(&AttributePath::standard(25)), Some("Class"));
}

#[test]
fn numbers_that_name_no_attribute_are_refused() {
    for spelling in
        ["", "0", "256", "x", "26.", "1.2.3.4.5.6", "+1", "26.9.300", "99999999999", "Attr-", "Attr-x"]
    {
        assert_eq!(Dictionary::builtin().id(spelling), None, "{spelling}");
    }
}

#[test]
fn what_only_wraps_others_names_nobody() {
    for spelling in ["26", "Vendor-Specific", "241", "245.26", "Extended-Attribute-5"] {
        assert_eq!(Dictionary::builtin().id(spelling), None, "{spelling}");
        assert!(Dictionary::builtin().find(spelling).is_some(), "{spelling}");
    }
}

#[test]
fn a_vendors_form_is_known_though_none_of_its_attributes_is() {
    let builtin = Dictionary::builtin();
    assert_eq!(id(builtin, "26.429.38979").as_deref(), Some("26.429.38979"));
    assert_eq!(builtin.format(24757), VendorFormat::CONTINUED);
    assert_eq!(builtin.format(99), VendorFormat::USUAL);
    let table = [(429, "4,0"), (637, "2,1"), (4846, "2,1"), (5323, "1,1,c"), (8164, "2,2"), (16445, "2,1")];
    for (vendor, format) in table {
        assert_eq!(builtin.format(vendor).to_string(), format, "{vendor}");
    }
}

#[test]
fn values_have_names() {
    let dictionary = Dictionary::builtin();
    let status = &AttributePath::standard(40);
    assert_eq!(dictionary.value(status, "Interim-Update"), Some(3));
    assert_eq!(dictionary.value(status, "ALIVE"), Some(3));
    assert_eq!(dictionary.value(status, "Sleep"), None);
    // Of several names the last one is shown.
    assert_eq!(dictionary.value_name(status, 3), Some("Interim-Update"));
    assert_eq!(dictionary.value_name(status, 4), None);
}

// What is read.

#[test]
fn a_vendor_block_puts_its_attributes_into_the_vendors_space() {
    let dictionary = good(
        "VENDOR Acme 99\nBEGIN-VENDOR acme\nATTRIBUTE Acme-Zero 0 string\nATTRIBUTE Acme-Tlv 1 tlv\n\
         ATTRIBUTE Acme-Child 1.2 string\nEND-VENDOR Acme\nATTRIBUTE Plain 7 octets\nATTRIBUTE Acme-Old 8 string Acme\n\
         ATTRIBUTE Acme-Long 26.99.9 string",
    );
    for (name, path) in [
        ("Acme-Zero", "26.99.0"),
        ("Acme-Child", "26.99.1.2"),
        ("Plain", "7"),
        ("Acme-Old", "26.99.8"),
        ("Acme-Long", "26.99.9"),
    ] {
        assert_eq!(id(&dictionary, name).as_deref(), Some(path));
    }
}

#[test]
fn a_vendor_may_have_a_space_within_an_extended_attribute() {
    let dictionary = good(
        "ATTRIBUTE Five 245 long-extended\nATTRIBUTE Evs-5 245.26 evs\nVENDOR Acme 99\n\
         BEGIN-VENDOR Acme format=Evs-5\nATTRIBUTE Acme-Far 7 string\nEND-VENDOR Acme\nATTRIBUTE After 8 string",
    );
    assert_eq!(id(&dictionary, "Acme-Far").as_deref(), Some("245.26.99.7"));
    assert_eq!(id(&dictionary, "After").as_deref(), Some("8"));
    let (dictionary, remarks) =
        read("VENDOR Acme 99\nBEGIN-VENDOR Acme parent=Nothing\nATTRIBUTE A 1 string\nEND-VENDOR Acme");
    assert_eq!(remarks, [(2, Fault::UnknownParent("Nothing".into()))]);
    assert_eq!(dictionary.id("A"), None);
}

#[test]
fn blocks_of_tlvs_nest() {
    let dictionary = good(
        "VENDOR Acme 99\nBEGIN-VENDOR Acme\nATTRIBUTE Outer 1 tlv\nBEGIN-TLV Outer\nATTRIBUTE Inner 2 tlv\n\
         BEGIN-TLV Inner\nATTRIBUTE Leaf 3 string\nEND-TLV Inner\nATTRIBUTE Beside 4 string\nEND-TLV Outer\n\
         ATTRIBUTE Last 5 string\nEND-VENDOR Acme",
    );
    for (name, path) in [("Leaf", "26.99.1.2.3"), ("Beside", "26.99.1.4"), ("Last", "26.99.5")] {
        assert_eq!(id(&dictionary, name).as_deref(), Some(path));
    }
}

#[test]
fn tlvs_that_nest_too_deep_are_left_out() {
    let text = |numbers: &str| format!("ATTRIBUTE Deep 241.{numbers} string");
    assert_eq!(id(&good(&text("1.1.1.1.1")), "Deep").as_deref(), Some("241.1.1.1.1.1"));
    let (dictionary, remarks) = read(&text("1.1.1.1.1.1"));
    assert_eq!(remarks, [(1, Fault::BadNumber("241.1.1.1.1.1.1".into()))]);
    assert_eq!(dictionary.id("Deep"), None);
}

#[test]
fn a_vendors_form_decides_how_large_its_numbers_are() {
    let text = |format: &str, number: &str| {
        format!("VENDOR Acme 99 {format}\nBEGIN-VENDOR Acme\nATTRIBUTE A {number} string\nEND-VENDOR Acme")
    };
    for (format, largest, beyond) in [
        ("", "255", "256"),
        ("format=1,1", "0xff", "0x100"),
        ("format=2,1", "65535", "65536"),
        ("format=4,0", "4294967295", "4294967296"),
    ] {
        assert!(good(&text(format, largest)).id("A").is_some(), "{format}");
        assert_eq!(read(&text(format, beyond)).1.len(), 1, "{format}");
    }
    assert_eq!(read("VENDOR Acme 99 format=3,1").1, [(1, Fault::BadFormat("3,1".into()))]);
    assert_eq!(read("VENDOR Acme 99 form=2,1").1, [(1, Fault::BadFormat("form=2,1".into()))]);
}

#[test]
fn a_vendors_form_may_be_declared_after_its_attributes() {
    let dictionary = good(
        "VENDOR Acme 99\nBEGIN-VENDOR Acme\nATTRIBUTE A 1 string\nEND-VENDOR Acme\nVENDOR Acme 99 format=2,2",
    );
    let (envelope, _) =
        dictionary.id("A").as_ref().and_then(AttributePath::envelope).map(|(e, n)| (e, n.len())).unwrap();
    let format = VendorFormat::parse("2,2").unwrap();
    assert_eq!(envelope, crate::config::Envelope::Vendor { vendor: 99, format, kind: 1 });
}

#[test]
fn numbers_above_255_are_names_for_use_within_a_server() {
    let dictionary =
        good("ATTRIBUTE Auth-Kind 1000 integer\nVALUE Auth-Kind Local 1\nATTRIBUTE Last 255 string");
    assert_eq!((dictionary.id("Auth-Kind"), dictionary.id("1000")), (None, None));
    assert!(dictionary.id("Last").is_some());
    assert_eq!(read("ATTRIBUTE Zero 0 string").1, [(1, Fault::BadNumber("0".into()))]);
}

#[test]
fn a_value_may_stand_before_its_attribute_but_not_without_one() {
    let dictionary = good("VALUE Foo One 1\nATTRIBUTE Foo 1 integer");
    assert_eq!(dictionary.value(&AttributePath::standard(1), "one"), Some(1));
    assert_eq!(read("\nVALUE Foo One 1\n").1, [(2, Fault::UnknownAttribute("Foo".into()))]);
}

#[test]
fn a_value_fits_its_type() {
    for (kind, largest, beyond) in
        [("byte", "255", Some("256")), ("short", "65535", Some("65536")), ("integer", "4294967295", None)]
    {
        good(&format!("ATTRIBUTE Foo 1 {kind}\nVALUE Foo Most {largest}"));
        if let Some(beyond) = beyond {
            let remarks = read(&format!("ATTRIBUTE Foo 1 {kind}\nVALUE Foo Most {beyond}")).1;
            assert_eq!(remarks, [(2, Fault::UnsuitableValue("Foo".into()))]);
        }
    }
    for kind in ["string", "date", "signed", "integer64"] {
        assert_eq!(read(&format!("ATTRIBUTE Foo 1 {kind}\nVALUE Foo One 1")).1.len(), 1, "{kind}");
    }
}

#[test]
fn a_value_may_come_twice_but_not_with_two_numbers() {
    let text = "ATTRIBUTE Foo 1 integer\nVALUE Foo One 1\nVALUE Foo one 1\nVALUE Foo Uno 1";
    let dictionary = good(text);
    assert_eq!(dictionary.value_name(&AttributePath::standard(1), 1), Some("Uno"));
    let (dictionary, remarks) = read(&format!("{text}\nVALUE Foo One 2"));
    assert_eq!(remarks, [(5, Fault::Redefined("One".into()))]);
    assert_eq!(dictionary.value(&AttributePath::standard(1), "One"), Some(1));
}

#[test]
fn an_attribute_may_have_the_values_of_another() {
    let dictionary =
        good("VALUE-ALIAS Bar Foo\nATTRIBUTE Foo 1 integer\nATTRIBUTE Bar 2 integer\nVALUE Foo One 1");
    assert_eq!(dictionary.value(&AttributePath::standard(2), "One"), Some(1));
}

#[test]
fn two_names_for_a_number_are_legal_and_two_numbers_for_a_name_are_not() {
    let dictionary = good("ATTRIBUTE Old 9 string\nATTRIBUTE New 9 ipaddr");
    assert_eq!(dictionary.id("Old"), dictionary.id("New"));
    assert_eq!(dictionary.name(&AttributePath::standard(9)), Some("New"));
    let (dictionary, remarks) = read("ATTRIBUTE A 1 string\nATTRIBUTE a 2 string");
    assert_eq!(remarks, [(2, Fault::Redefined("a".into()))]);
    assert_eq!(id(&dictionary, "A").as_deref(), Some("1"));
    good("VENDOR A 99\nVENDOR B 99");
    assert_eq!(read("VENDOR A 1\nVENDOR a 2").1, [(2, Fault::Redefined("a".into()))]);
}

#[test]
fn a_type_or_a_flag_that_nobody_knows_makes_octets() {
    let (dictionary, remarks) = read("ATTRIBUTE Foo 1 quaternion\nATTRIBUTE Bar 2 integer frobbed");
    assert_eq!(
        remarks,
        [(1, Fault::UnknownType("quaternion".into())), (2, Fault::UnknownFlag("frobbed".into()))]
    );
    assert_eq!(
        (kind(&dictionary, "Foo"), kind(&dictionary, "Bar")),
        (Some(Type::Octets), Some(Type::Octets))
    );
}

#[test]
fn a_name_that_looks_like_a_number_is_refused() {
    for name in ["25", "26.9.1", "1.", "Attr-26.9.1", "attr-1"] {
        let (dictionary, remarks) = read(&format!("ATTRIBUTE {name} 1 string"));
        assert_eq!(remarks, [(1, Fault::BadName(name.into()))]);
        assert_eq!(dictionary.size().attributes, 0);
    }
    good("ATTRIBUTE 3GPP-Foo_1/2.x 1 string");
}

#[test]
fn a_block_of_nobody_is_left_out_with_one_remark() {
    let (dictionary, remarks) = read(
        "BEGIN-VENDOR Nobody\nATTRIBUTE A 1 tlv\nBEGIN-TLV A\nATTRIBUTE B 2 string\nEND-TLV A\nEND-VENDOR Nobody\n\
         ATTRIBUTE C 3 string\nBEGIN-TLV C\nATTRIBUTE D 4 string\nEND-TLV C",
    );
    assert_eq!(remarks, [(1, Fault::UnknownVendor("Nobody".into())), (8, Fault::UnknownParent("C".into()))]);
    assert_eq!(dictionary.size().attributes, 1);
}

#[test]
fn blocks_end_as_they_began() {
    for (text, line, keyword) in [
        ("VENDOR A 1\nVENDOR B 2\nBEGIN-VENDOR A\nEND-VENDOR B", 4, "END-VENDOR"),
        ("VENDOR A 1\nBEGIN-VENDOR A\nBEGIN-VENDOR A\nEND-VENDOR A", 3, "BEGIN-VENDOR"),
        ("VENDOR A 1\nBEGIN-VENDOR A\n", 3, "BEGIN-VENDOR"),
        ("ATTRIBUTE A 1 tlv\nBEGIN-TLV A", 2, "BEGIN-TLV"),
        ("ATTRIBUTE A 1 tlv\nEND-TLV A", 2, "END-TLV"),
        ("VENDOR A 1\nEND-VENDOR A", 2, "END-VENDOR"),
    ] {
        assert_eq!(read(text).1, [(line, Fault::Unpaired(keyword.into()))], "{text}");
    }
}

#[test]
fn a_line_that_is_not_understood_is_left_out_and_the_others_count() {
    let (dictionary, remarks) =
        read("HELLO world\nATTRIBUTE Foo 1\nATTRIBUTE Bar 0x1z string\nATTRIBUTE Baz 3 string");
    assert_eq!(
        remarks,
        [
            (1, Fault::UnknownKeyword("HELLO".into())),
            (2, Fault::WrongWordCount("ATTRIBUTE".into())),
            (3, Fault::BadNumber("0x1z".into())),
        ]
    );
    assert!(dictionary.id("Baz").is_some());
}

#[test]
fn twenty_remarks_are_kept_and_the_others_counted() {
    let mut dictionary = Dictionary::default();
    let kept = dictionary.read_text("HELLO\n".repeat(20).as_bytes()).unwrap();
    assert_eq!((kept.first.len(), kept.more), (20, 0));
    let kept = dictionary.read_text("HELLO\n".repeat(23).as_bytes()).unwrap();
    assert_eq!((kept.first.len(), kept.more), (20, 3));
}

#[test]
fn a_remark_shows_nothing_that_could_act() {
    let (_, remarks) = read("\x1b[31mred x y\nVENDOR A\x07 1 format=9,9");
    let shown: Vec<String> = remarks.iter().map(|(_, fault)| fault.to_string()).collect();
    assert_eq!(shown[0], "'0x1b5b33316d726564' is no statement known here; left out");
    assert!(shown.iter().all(|line| !line.chars().any(char::is_control)), "{shown:?}");
}

// Files.

#[test]
fn includes_begin_at_the_directory_of_the_file_that_includes() {
    let disk = Disk::default()
        .and("/etc/d/dictionary", "$INCLUDE sub/one\n$INCLUDE /etc/abs\nATTRIBUTE Root 1 string")
        .and("/etc/d/sub/one", "$include two\nATTRIBUTE One 2 string\n$INCLUDE ../beside")
        .and("/etc/d/sub/two", "ATTRIBUTE Two 3 string")
        .and("/etc/d/sub/../beside", "ATTRIBUTE Beside 5 string")
        .and("/etc/abs", "ATTRIBUTE Abs 4 string");
    let (dictionary, remarks) = from_disk(&disk, "/etc/d/dictionary").unwrap();
    assert_eq!(remarks, Vec::<String>::new());
    let found = ["Root", "One", "Two", "Abs", "Beside"].map(|name| id(&dictionary, name).unwrap());
    assert_eq!(found, ["1", "2", "3", "4", "5"]);
}

#[test]
fn an_include_loop_ends_and_each_file_is_read_once() {
    let disk = Disk::default()
        .and("/d/a", "$INCLUDE b\n$INCLUDE ../d/./b\nATTRIBUTE A 1 string\nHELLO")
        .and("/d/b", "$INCLUDE a\n$INCLUDE b\nATTRIBUTE B 2 string");
    let (mut dictionary, remarks) = from_disk(&disk, "/d/a").unwrap();
    assert_eq!(remarks, ["/d/a:4: 'HELLO' is no statement known here; left out"]);
    assert_eq!(dictionary.size().attributes, 2);
    // Named a second time, it has nothing new to say.
    assert_eq!(dictionary.read(Path::new("/d/../d/a"), &disk).unwrap(), Remarks::default());
}

#[test]
fn a_missing_include_is_named_unless_it_may_be_missing() {
    let disk = |keyword: &str| Disk::default().and("/d/a", &format!("\n{keyword} b\nATTRIBUTE A 1 string"));
    assert_eq!(
        from_disk(&disk("$INCLUDE"), "/d/a").unwrap_err(),
        "/d/a:2: /d/b cannot be read: entity not found; put it there, or write $INCLUDE- where it may be missing"
    );
    for optional in ["$INCLUDE-", "$-INCLUDE"] {
        assert!(from_disk(&disk(optional), "/d/a").is_ok(), "{optional}");
    }
    assert_eq!(
        from_disk(&Disk::default(), "/d/a").unwrap_err(),
        "/d/a cannot be read: entity not found; name a dictionary that is there and may be read"
    );
}

#[test]
fn files_include_files_sixteen_deep_and_no_deeper() {
    let disk = |depth: usize| {
        (0..depth).fold(Disk::default().and(&format!("/{depth}"), "ATTRIBUTE A 1 string"), |disk, level| {
            disk.and(&format!("/{level}"), &format!("$INCLUDE {}", level + 1))
        })
    };
    assert!(from_disk(&disk(16), "/0").is_ok());
    assert_eq!(
        from_disk(&disk(17), "/0").unwrap_err(),
        "/16:1: files include files too deep; name the inner one itself"
    );
}

#[test]
fn blocks_end_with_their_file_and_do_not_reach_into_others() {
    let disk = Disk::default()
        .and("/a", "VENDOR Acme 99\nBEGIN-VENDOR Acme\n$INCLUDE b\nATTRIBUTE A 1 string\nEND-VENDOR Acme")
        .and("/b", "ATTRIBUTE B 2 string\nBEGIN-VENDOR Acme\nATTRIBUTE C 3 string");
    let (dictionary, remarks) = from_disk(&disk, "/a").unwrap();
    assert_eq!(remarks, ["/b:3: BEGIN-VENDOR has no counterpart"]);
    let found = ["A", "B", "C"].map(|name| id(&dictionary, name).unwrap());
    assert_eq!(found, ["26.99.1", "2", "26.99.3"]);
}

#[test]
fn a_dictionary_of_version_4_is_told_apart() {
    for (text, line, word) in [
        ("# x\nBEGIN PROTOCOL RADIUS 1\nATTRIBUTE User-Name 1 string\n", 2, "BEGIN"),
        ("ATTRIBUTE Foo 1 string\nALIAS Foo Bar\n", 2, "ALIAS"),
        ("DEFINE Foo string\n", 1, "DEFINE"),
        ("ATTRIBUTE Foo 1 struct\nMEMBER Bar uint32\n", 2, "MEMBER"),
    ] {
        let disk = Disk::default().and("/d", text);
        assert_eq!(
            from_disk(&disk, "/d").unwrap_err(),
            format!(
                "/d:{line}: '{word}' is of FreeRADIUS 4, whose dictionaries are not read; name those of FreeRADIUS 3, or write \
                 attributes by number, such as \"26.3561.1\""
            )
        );
        let disk = disk.and("/root", "$INCLUDE d");
        assert!(from_disk(&disk, "/root").unwrap_err().starts_with(&format!("/d:{line}: ")));
    }
}

#[test]
fn a_file_that_is_no_dictionary_is_refused_and_an_empty_one_is_not() {
    let refused = |text: &str| from_disk(&Disk::default().and("/d", text), "/d").err();
    let expected = "/d holds no line of a dictionary; name one of FreeRADIUS 3, or remove it";
    assert_eq!(refused("[relay]\nmode = 'observe'\n").as_deref(), Some(expected));
    for text in ["", "# only this\n", "[relay]\nATTRIBUTE Foo 1 string\n"] {
        assert_eq!(refused(text), None, "{text}");
    }
}

#[test]
fn a_file_that_everybody_may_write_is_refused() {
    for (mode, open) in [(0o664, false), (0o666, true), (0o602, true)] {
        let mut disk = Disk::default();
        disk.0.insert("/d".into(), Contents { octets: Vec::new(), mode: 0o100_000 | mode });
        let outcome = Dictionary::default().read(Path::new("/d"), &disk);
        let refused = matches!(outcome, Err(DictionaryError { reason: Reason::OpenToEverybody { .. }, .. }));
        assert_eq!(refused, open, "{mode:o}");
    }
}

#[test]
fn more_than_32_megabytes_are_refused() {
    let half = format!("#{}\n", "x".repeat(1022)).repeat(16 * 1024);
    let disk = Disk::default().and("/a", &half).and("/b", &half).and("/c", "#");
    let mut dictionary = Dictionary::default();
    let mut read = |path: &str| dictionary.read(Path::new(path), &disk).map_err(|error| error.to_string());
    assert!(read("/a").is_ok() && read("/b").is_ok());
    assert_eq!(read("/c").unwrap_err(), "/c: is too much to read; name only what is needed");
}

// An operator's, beside what is built in.

#[test]
fn a_name_that_is_built_in_keeps_its_number() {
    let text = "ATTRIBUTE User-Name 200 string\nATTRIBUTE Their-Own 201 string\nVALUE user-name Root 7";
    let (dictionary, remarks) = operators(text);
    // What belongs to the name in their file belongs to their number.
    assert_eq!(remarks, [Fault::BuiltIn("User-Name".into()), Fault::UnsuitableValue("user-name".into())]);
    assert_eq!(id(&dictionary, "User-Name").as_deref(), Some("1"));
    assert_eq!(id(&dictionary, "Their-Own").as_deref(), Some("201"));
    assert_eq!(dictionary.name(&AttributePath::standard(1)), Some("User-Name"));
}

#[test]
fn a_number_that_is_built_in_keeps_its_name_and_its_type() {
    let (dictionary, remarks) =
        operators("ATTRIBUTE Login-As 1 ipaddr\nATTRIBUTE Framed-IP-Address 8 string");
    assert_eq!(remarks, []);
    // Another name for it is an alias and nothing else.
    assert_eq!(id(&dictionary, "Login-As").as_deref(), Some("1"));
    assert_eq!(dictionary.name(&AttributePath::standard(1)), Some("User-Name"));
    assert_eq!(dictionary.show(&AttributePath::standard(1), b"bob!").to_string(), "bob!");
    assert_eq!(dictionary.show(&AttributePath::standard(8), &[192, 0, 2, 1]).to_string(), "192.0.2.1");
}

#[test]
fn a_value_that_is_built_in_keeps_its_number_and_its_name() {
    let text = "VALUE Acct-Status-Type Stop 1\nVALUE Acct-Status-Type Begin 1\nVALUE Acct-Status-Type Odd 99";
    let (dictionary, remarks) = operators(text);
    let status = &AttributePath::standard(40);
    assert_eq!(remarks, [Fault::Redefined("Stop".into())]);
    assert_eq!(dictionary.value(status, "Stop"), Some(2));
    assert_eq!(
        (dictionary.value(status, "Begin"), dictionary.value_name(status, 1)),
        (Some(1), Some("Start"))
    );
    assert_eq!(dictionary.value_name(status, 99), Some("Odd"));
}

#[test]
fn a_vendor_that_is_known_keeps_its_form() {
    let text = "VENDOR Cisco 9 format=2,2\nVENDOR Starent 8164 format=1,1\nVENDOR USR 429 format=4,0\nVENDOR Acme 99 format=2,1\n\
                VENDOR Also-Acme 99 format=2,2";
    let (dictionary, remarks) = operators(text);
    let kept =
        |name: &str, format: &str| Fault::FormatKept(name.into(), VendorFormat::parse(format).unwrap());
    assert_eq!(remarks, [kept("Cisco", "1,1"), kept("Starent", "2,2"), kept("Also-Acme", "2,1")]);
    for (vendor, format) in [(9, "1,1"), (8164, "2,2"), (429, "4,0"), (99, "2,1"), (98, "1,1")] {
        assert_eq!(dictionary.format(vendor).to_string(), format, "{vendor}");
    }
    assert_eq!(id(&dictionary, "26.99.300").as_deref(), Some("26.99.300"));
    assert_eq!(id(&dictionary, "26.9.300"), None);
}

#[test]
fn a_vendors_name_with_another_number_holds_within_the_file_alone() {
    let text = "VENDOR Cisco 99\nBEGIN-VENDOR Cisco\nATTRIBUTE Odd-One 1 string\nATTRIBUTE Cisco-AVPair 2 string\nEND-VENDOR Cisco";
    let (dictionary, remarks) = operators(text);
    assert_eq!(remarks, [Fault::BuiltIn("Cisco-AVPair".into())]);
    assert_eq!(id(&dictionary, "Odd-One").as_deref(), Some("26.99.1"));
    assert_eq!(id(&dictionary, "Cisco-AVPair").as_deref(), Some("26.9.1"));
}

#[test]
fn a_file_may_use_vendors_and_parents_that_are_built_in() {
    let text = "BEGIN-VENDOR Cisco\nATTRIBUTE Cisco-New 200 string\nEND-VENDOR Cisco\n\
                BEGIN-TLV IP-Port-Range\nATTRIBUTE New-Port 99 integer\nEND-TLV IP-Port-Range\nVALUE Service-Type Odd 99";
    let (dictionary, remarks) = operators(text);
    assert_eq!(remarks, []);
    assert_eq!(id(&dictionary, "Cisco-New").as_deref(), Some("26.9.200"));
    assert_eq!(id(&dictionary, "New-Port").as_deref(), Some("241.6.99"));
}
