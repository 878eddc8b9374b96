//! The dictionaries that FreeRADIUS 3 brings along (Debian: freeradius-common), each by itself and all together.

#[cfg(test)]
mod common;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use relaywarden::cli::check::SystemFiles;
    use relaywarden::radius::dictionary::{Dictionary, Size};

    use crate::common::peer;

    const TREE: &str = "/usr/share/freeradius";

    fn present() -> bool {
        peer::present_file(&root(), "freeradius-common")
    }

    fn root() -> PathBuf {
        Path::new(TREE).join("dictionary")
    }

    fn files() -> Vec<PathBuf> {
        let entries = fs::read_dir(TREE).expect("the tree").map(|entry| entry.expect("an entry").path());
        let named = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("dictionary"))
        };
        let mut files: Vec<_> = entries.filter(named).collect();
        files.sort();
        files
    }

    /// Adds a file with its includes; the remarks, with file names only.
    fn add(dictionary: &mut Dictionary, path: &Path) -> Vec<String> {
        let remarks = dictionary.read(path, &SystemFiles).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(remarks.more, 0, "{}", path.display());
        remarks.first.iter().map(|remark| remark.to_string().replace(&format!("{TREE}/"), "")).collect()
    }

    fn tree() -> Dictionary {
        let mut dictionary = Dictionary::beside_builtin();
        assert_eq!(add(&mut dictionary, &root()), Vec::<String>::new());
        dictionary
    }

    #[test]
    fn the_whole_tree_is_read_to_the_last_name_and_without_a_remark() {
        if !present() {
            return;
        }
        let mut alone = Dictionary::default();
        assert_eq!(add(&mut alone, &root()), Vec::<String>::new());
        let size = alone.size();
        // As many as grep counts in what the root includes; names of values may repeat.
        assert_eq!((size.attributes, size.vendors), (7468, 185));
        assert!((7800..=7987).contains(&size.values), "{size:?}");
    }

    #[test]
    fn each_file_stands_alone() {
        if !present() {
            return;
        }
        let files = files();
        assert!(files.len() >= 230, "{} files", files.len());
        let (mut attributes, mut values, mut remarks) = (0, 0, Vec::new());
        for path in files.iter().filter(|path| **path != root()) {
            let mut dictionary = Dictionary::beside_builtin();
            remarks.extend(add(&mut dictionary, path));
            let Size { attributes: named, values: with_values, .. } = dictionary.size();
            (attributes, values) = (attributes + named, values + with_values);
        }
        assert!((8550..=8604).contains(&attributes), "{attributes}");
        assert!((9000..=9480).contains(&values), "{values}");
        // What needs another file says so, and the rest of it is read.
        assert_eq!(
            remarks,
            [
                "dictionary.compat:28: the attribute 'Auth-Type' is not defined; left out",
                "dictionary.freedhcp:238: the attribute 'FreeDHCP-Opcode' is not defined; left out",
                "dictionary.freedhcp:239: the attribute 'FreeDHCP-Opcode' is not defined; left out",
                "dictionary.freeradius.evs5:10: the vendor 'FreeRADIUS' is not declared before; its attributes are left out",
                "dictionary.starent.vsa1:24: the vendor 'Starent' has format=2,2, which is kept",
            ]
        );
    }

    #[test]
    fn what_is_built_in_says_the_same_as_the_tree() {
        if !present() {
            return;
        }
        let mut theirs = Dictionary::default();
        add(&mut theirs, &root());
        let (mut missing, mut differing) = (Vec::new(), Vec::new());
        for ours in Dictionary::builtin().definitions() {
            match theirs.attribute(&ours.name) {
                None => missing.push(ours.name.as_ref()),
                Some(theirs) => {
                    assert_eq!(theirs.path, ours.path, "{}", ours.name);
                    if (theirs.kind, theirs.flags) != (ours.kind, ours.flags) {
                        differing.push(ours.name.as_ref());
                    }
                }
            }
        }
        // JunosE's, which the tree lacks.
        assert_eq!(missing, ["ERX-Ipv4-Release-Control"]);
        // What we do not show to anybody; and what is text, as FreeRADIUS found out later.
        assert_eq!(differing, ["CHAP-Password", "CHAP-Challenge", "Huawei-NAT-Port-Forwarding"]);
        for vendor in [429, 637, 4846, 5323, 8164, 16445, 24757, 54, 9, 3561] {
            assert_eq!(theirs.format(vendor), Dictionary::builtin().format(vendor), "{vendor}");
        }
    }

    #[test]
    fn attributes_of_every_kind_of_place_are_found() {
        if !present() {
            return;
        }
        let tree = tree();
        for (name, path) in [
            ("Login-LAT-Port", "63"),
            ("IPv6-6rd-BR-IPv4-Address", "173.3"),
            ("IP-Port-Map-Int-Port", "241.7.6"),
            ("FreeRADIUS-802.1X-Anonce", "245.26.11344.1"),
            ("Colubris-AVPair", "26.8744.0"),
            ("USR-Chassis-Temperature", "26.429.48945"),
            ("Lucent-Max-Shared-Users", "26.4846.2"),
            ("SN-NAT-IP-Address", "26.8164.297"),
            ("3GPP2-Remote-IPv6-Address-Value", "26.5535.70.1"),
            ("WiMAX-Source-Inverted", "26.24757.28.11.5.6"),
        ] {
            assert_eq!(tree.id(name).map(|path| path.to_string()).as_deref(), Some(path), "{name}");
        }
        // Inside of FreeRADIUS only, and the envelopes.
        for name in ["Auth-Type", "Packet-Type", "Vendor-Specific", "Extended-Vendor-Specific-1"] {
            assert_eq!(tree.id(name), None, "{name}");
        }
        // The only file with blocks of TLVs, which the root does not include.
        let mut alone = Dictionary::beside_builtin();
        let other = Path::new(TREE).join("dictionary.wimax.wichorus");
        assert_eq!(add(&mut alone, &other), Vec::<String>::new());
        assert_eq!(alone.id("WiMAX-Release").map(|path| path.to_string()).as_deref(), Some("26.24757.1.1"));
    }

    #[test]
    fn a_configuration_may_name_any_attribute_of_the_tree() {
        if !present() {
            return;
        }
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("relaywarden.toml");
        let text = format!(
            "[retention]\nsessions = \"180d\"\nmessages = \"90d\"\nquestions = \"365d\"\n\
             [radius]\ndictionaries = [\"{}\"]\n[subscriber]\nidentity = [\"WiMAX-Source-Inverted\", \"User-Name\"]\n",
            root().display()
        );
        fs::write(&path, text).expect("our own directory");
        let check = peer::command(env!("CARGO_BIN_EXE_relaywarden"))
            .arg("check-config")
            .arg("--config")
            .arg(&path)
            .output();
        let check = check.expect("relaywarden starts");
        let (out, err) = (String::from_utf8_lossy(&check.stdout), String::from_utf8_lossy(&check.stderr));
        assert!(
            check.status.success() && out.contains("identity    26.24757.28.11.5.6, User-Name (1)\n"),
            "{out}{err}"
        );
        // The tree gives no cause for remarks; that nobody feeds this daemon does.
        assert_eq!(err.lines().filter(|line| line.contains("dictionar")).count(), 0, "{err}");
    }
}
