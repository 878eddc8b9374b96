//! What equipment really sends, sent by a real radclient in the order in which it was sent, and what the daemon then
//! knows: who owns each address, and which sessions there are.
//!
//! The files in `tests/data/samples` go out as they are, with the Event-Timestamps of their own days. Those before 2015 are
//! absurd, and from so few of the others no clock is learned: arrival counts.
//!
//! Knows: the configuration, RADIUS by way of radclient, the questions of mail servers and of staff. Must not know: the
//! crate.

#[cfg(test)]
mod common;

#[cfg(test)]
#[path = "samples/story.rs"]
mod story;

#[cfg(test)]
mod tests {
    use crate::story::{Story, samples, start, stem};

    /// Where radclient sends from, unless it is told otherwise; and where others of the same client are.
    const HERE: &str = "127.0.0.1";
    const THERE: &str = "127.0.0.2";

    #[test]
    fn every_sample_is_sent_by_a_story() {
        let told: Vec<&str> = include_str!("samples.rs")
            .split("Story::of(\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        let samples = samples();
        assert_eq!(samples.len(), 36);
        for sample in &samples {
            assert!(
                told.iter().any(|prefix| stem(sample).starts_with(prefix)),
                "{} is not",
                sample.display()
            );
        }
    }

    #[test]
    fn accel_ppp_tells_of_its_prefixes_after_the_start_and_the_stop_ends_them_all() {
        let Some(mut story) = Story::of("accel-ppp-", "") else { return };
        story.sends("1-start");
        story.owners(&[("10.99.0.2", "permit user1"), ("2001:db8:99:2::1", "refuse not-online")]);
        story.sends("2-interim-pd");
        story.counts(HERE, [1, 0, 0]);
        story.owners(&[
            ("10.99.0.2", "permit user1"),
            ("2001:db8:99:2::1", "permit user1"),
            ("2001:db8:f200:ff::1", "permit user1"),
            ("2001:db8:f200:100::1", "refuse not-online"),
        ]);
        story.sends("3-stop");
        story.counts(HERE, [0, 0, 0]);
        story.sessions(&["stopped 4d469f0130004acd user1 10.99.0.2 2001:db8:99:2::/64 2001:db8:f200::/56"]);
        story.owners(&[
            ("10.99.0.2", "defer just-freed"),
            ("2001:db8:99:2::1", "defer just-freed"),
            ("2001:db8:f200:ff::1", "defer just-freed"),
        ]);
    }

    #[test]
    fn an_ssg_that_begins_anew_leaves_its_sessions_in_doubt() {
        let Some(mut story) = Story::of("cisco-6510-", "") else { return };
        story.tells(&start("00000001", "alice", "198.51.100.7"));
        story.sends("accounting-on");
        story.counts(HERE, [0, 1, 0]);
        story.sessions(&["suspect 00000001 alice 198.51.100.7"]);
        story.owners(&[("198.51.100.7", "defer session-suspect")]);
    }

    #[test]
    fn a_catalyst_is_first_heard_in_an_interim() {
        let Some(mut story) = Story::of("cisco-catalyst-", "") else { return };
        story.sends("dot1x-interim");
        story.sessions(&["active 00018AE4 anon1337 192.168.243.38"]);
        story.counts(HERE, [1, 0, 0]);
        // The switch itself is no subscriber.
        story.owners(&[("192.168.243.38", "permit anon1337"), ("172.23.242.165", "refuse not-online")]);
    }

    #[test]
    fn ios_xr_is_first_heard_in_an_interim() {
        let Some(mut story) = Story::of("cisco-iosxr-", "") else { return };
        story.sends("bng-ipoe-interim");
        story.sessions(&["active 04000004 000c.29c3.a03a 100.1.0.2"]);
        story.counts(HERE, [1, 0, 0]);
        story.owners(&[("100.1.0.2", "permit 000c.29c3.a03a"), ("222.0.0.1", "refuse not-online")]);
    }

    #[test]
    fn an_isgs_session_awaits_its_address_and_the_service_within_it_is_none() {
        let Some(mut story) = Story::of("cisco-isg-", "") else { return };
        let (id, name) = ("0/0/2/110.1954_780000000000F5A4", "0004006e0005:00063408045f3a70");
        story.sends("1-session-start-noip");
        story.counts(HERE, [0, 0, 1]);
        story.sends("2-service-start");
        story.counts(HERE, [0, 0, 1]);
        story.sessions(&[&format!("pending {id} {name}")]);
        story.owners(&[("172.20.125.183", "refuse not-online")]);
        story.sends("3-session-interim-ip");
        story.counts(HERE, [1, 0, 0]);
        story.sessions(&[&format!("active {id} {name} 172.20.125.183")]);
        story.owners(&[("172.20.125.183", &format!("permit {name}"))]);
    }

    #[test]
    fn two_coova_chilli_boxes_of_one_name_are_told_apart_by_where_they_send_from() {
        let Some(mut story) = Story::of("coova-", "") else { return };
        story.sends_from(THERE, "chilli-interim");
        story.tells(
            "Acct-Status-Type = Stop\nAcct-Session-Id = \"52e65dc500000001\"\nUser-Name = randtest\n\
             NAS-IP-Address = 10.1.0.1\nNAS-Identifier = nas01\n",
        );
        // The other box's session, of which nothing but its end was heard, is told beside it.
        story.sessions(&["active 52e65dc500000001 randtest 10.1.0.2", "stopped 52e65dc500000001 randtest"]);
        story.counts(THERE, [1, 0, 0]);
        story.owners(&[("10.1.0.2", "permit randtest"), ("10.1.0.1", "refuse not-online")]);
    }

    #[test]
    fn an_accounting_off_of_nas_0_0_0_0_concerns_its_sender_only() {
        let Some(mut story) = Story::of("generic-accounting-off-", "") else { return };
        let of = |source: &str, name: &str, address: &str| {
            let start = start("1", name, address);
            format!("Packet-Src-IP-Address = {source}\nNAS-IP-Address = 0.0.0.0\n{start}")
        };
        story.tells(&of(HERE, "alice", "198.51.100.7"));
        story.tells(&of(THERE, "bob", "198.51.100.8"));
        story.sends_from(THERE, "zero-nas");
        story.counts(HERE, [1, 0, 0]);
        story.counts(THERE, [0, 1, 0]);
        story.sessions(&["active 1 alice 198.51.100.7", "suspect 1 bob 198.51.100.8"]);
        story.owners(&[("198.51.100.7", "permit alice"), ("198.51.100.8", "defer session-suspect")]);
    }

    #[test]
    fn the_same_accounting_off_by_a_proxy_names_no_nas_and_concerns_nobody() {
        let proxy = "role = \"proxy\"\nmay-assign = [\"198.51.100.0/24\"]";
        let Some(mut story) = Story::of("generic-accounting-off-", proxy) else { return };
        story.tells(&(start("1", "alice", "198.51.100.7") + "NAS-Identifier = bras7\n"));
        story.sends("zero-nas");
        story.counts("bras7", [1, 0, 0]);
        story.sessions(&["active 1 alice 198.51.100.7"]);
        story.owners(&[("198.51.100.7", "permit alice")]);
    }

    #[test]
    fn a_port_range_of_rfc_8045_is_its_subscribers_beside_the_address_inside() {
        let Some(mut story) = Story::of("generic-rfc8045-", "") else { return };
        story.sends("port-range-interim");
        story.sessions(&["active 0000a17f cgn-user@isp.example 100.64.9.9 203.0.113.10:32768-33279"]);
        story.counts(HERE, [1, 0, 0]);
        story.owners(&[
            ("100.64.9.9", "permit cgn-user@isp.example"),
            ("203.0.113.10", "defer port-required"),
            ("203.0.113.10 port=32767", "refuse not-online"),
            ("203.0.113.10 port=32768", "permit cgn-user@isp.example"),
            ("203.0.113.10 port=33279", "permit cgn-user@isp.example"),
            ("203.0.113.10 port=33280", "refuse not-online"),
        ]);
    }

    #[test]
    fn an_address_that_the_nas_is_to_select_is_none() {
        let Some(mut story) = Story::of("generic-start-", "") else { return };
        story.sends("framed-ip-nas-select");
        story.sessions(&["pending 0000b001 user9@isp.example"]);
        story.counts(HERE, [0, 0, 1]);
        story.owners(&[("255.255.255.254", "refuse not-online"), ("192.0.2.99", "refuse not-online")]);
    }

    #[test]
    fn a_dial_in_start_is_a_session() {
        let Some(mut story) = Story::of("gnu-radius-", "") else { return };
        story.sends("1-start");
        story.sessions(&["active 2193976896017 e2 11.10.10.125"]);
        story.counts(HERE, [1, 0, 0]);
        story.owners(&[("11.10.10.125", "permit e2"), ("11.10.10.11", "refuse not-online")]);
    }

    #[test]
    fn hostapd_begins_anew_one_radio_cell_at_a_time() {
        let Some(mut story) = Story::of("hostapd-accounting-", "") else { return };
        let cell = |cell: &str| format!("NAS-Identifier = pae-test-1\nCalled-Station-Id = \"{cell}\"\n");
        story.tells(&(start("a", "alice", "10.5.0.7") + &cell("00-0B-6B-4F-83-4A:aaa-test")));
        story.tells(&(start("b", "bob", "10.5.0.8") + &cell("00-0B-6B-4F-83-4B:guests")));
        story.sends("on");
        story.counts(HERE, [1, 1, 0]);
        story.sessions(&["suspect a alice 10.5.0.7", "active b bob 10.5.0.8"]);
        story.owners(&[("10.5.0.7", "defer session-suspect"), ("10.5.0.8", "permit bob")]);
    }

    #[test]
    fn a_stop_of_hostapds_ends_its_session_without_naming_the_address() {
        let Some(mut story) = Story::of("hostapd-stop-", "") else { return };
        story.tells(&start("5670F442-00000330", "user1", "10.5.0.7"));
        story.tells(&start("5670F442-00000331", "user2", "10.5.0.8"));
        story.sends("no-ip-no-counters");
        story.counts(HERE, [1, 0, 0]);
        story.sessions(&[
            "stopped 5670F442-00000330 user1 10.5.0.7",
            "active 5670F442-00000331 user2 10.5.0.8",
        ]);
        story.owners(&[("10.5.0.7", "defer just-freed"), ("10.5.0.8", "permit user2")]);
    }

    #[test]
    fn a_huawei_gives_and_takes_a_block_and_the_session_keeps_the_other_until_its_stop() {
        let Some(mut story) = Story::of("huawei-me60-nat444-", "") else { return };
        let session =
            "ME60-1000000000001100b3f2c7000042 gpon0042@isp.example 100.72.3.9 203.0.113.77:4096-8191";
        let always = |story: &Story| {
            story.counts(HERE, [1, 0, 0]);
            story.owners(&[
                ("100.72.3.9", "permit gpon0042@isp.example"),
                ("203.0.113.77", "defer port-required"),
                ("203.0.113.77 port=4095", "refuse not-online"),
                ("203.0.113.77 port=4096", "permit gpon0042@isp.example"),
                ("203.0.113.77 port=8191", "permit gpon0042@isp.example"),
                ("203.0.113.77 port=8192", "refuse not-online"),
            ]);
        };
        story.sends("1-start");
        always(&story);
        story.owners(&[("203.0.113.77 port=20480", "refuse not-online")]);
        story.sends("2-interim-add");
        always(&story);
        story.sessions(&[&format!("active {session} 203.0.113.77:20480-21503")]);
        story.owners(&[
            ("203.0.113.77 port=20480", "permit gpon0042@isp.example"),
            ("203.0.113.77 port=21503", "permit gpon0042@isp.example"),
            ("203.0.113.77 port=21504", "refuse not-online"),
        ]);
        story.sends("3-interim-del");
        always(&story);
        story.sessions(&[&format!("active {session}")]);
        story.owners(&[("203.0.113.77 port=20480", "defer just-freed")]);
        story.sends("4-stop");
        story.counts(HERE, [0, 0, 0]);
        story.sessions(&[&format!("stopped {session}")]);
        story.owners(&[
            ("100.72.3.9", "defer just-freed"),
            ("203.0.113.77", "defer just-freed"),
            ("203.0.113.77 port=4096", "defer just-freed"),
        ]);
    }

    #[test]
    fn an_mx_starts_and_stops_a_session_and_a_subnets_mask_gives_no_neighbour_away() {
        let Some(mut story) = Story::of("juniper-mx-dhcp-", "") else { return };
        story.sends("1-start");
        story.owners(&[
            ("203.0.0.4", "refuse not-online"),
            ("203.0.0.5", "permit ac:16:2d:75:9d:0a"),
            ("203.0.0.6", "refuse not-online"),
        ]);
        story.sends("2-stop");
        story.counts(HERE, [0, 0, 0]);
        story.sessions(&["stopped 63 ac:16:2d:75:9d:0a 203.0.0.5"]);
        story.owners(&[("203.0.0.5", "defer just-freed")]);
    }

    #[test]
    fn an_mx_counts_its_sessions_in_small_numbers_and_a_start_older_than_what_was_heard_before_it_is_not_sure()
     {
        let Some(mut story) = Story::of("juniper-mx-", "") else { return };
        story.sends("dhcp-1-start");
        story.sends("dhcp-2-stop");
        // By the same clock almost three minutes before that Stop: somebody else may have the address by now.
        story.sends("pppoe-1-start");
        story.counts(HERE, [1, 0, 0]);
        story.sessions(&["stopped 63 ac:16:2d:75:9d:0a 203.0.0.5", "active 61 juniper 203.0.0.10"]);
        story.owners(&[("203.0.0.10", "defer session-suspect")]);
        story.sends("pppoe-2-stop");
        story.counts(HERE, [0, 0, 0]);
        story.sessions(&["stopped 63 ac:16:2d:75:9d:0a 203.0.0.5", "stopped 61 juniper 203.0.0.10"]);
        story.owners(&[("203.0.0.5", "defer just-freed"), ("203.0.0.10", "defer just-freed")]);
    }

    #[test]
    fn an_mxs_session_over_pppoe_starts_and_stops() {
        let Some(mut story) = Story::of("juniper-mx-pppoe-", "") else { return };
        story.sends("1-start");
        story.counts(HERE, [1, 0, 0]);
        story.sessions(&["active 61 juniper 203.0.0.10"]);
        story.owners(&[("203.0.0.10", "permit juniper")]);
        story.sends("2-stop");
        story.counts(HERE, [0, 0, 0]);
        story.owners(&[("203.0.0.10", "defer just-freed")]);
    }

    #[test]
    fn a_junipers_service_stops_and_its_session_keeps_the_address() {
        let Some(mut story) = Story::of("juniper-service-", "") else { return };
        story.tells(&(start("4", "teste1", "100.64.0.3") + "NAS-IP-Address = 10.0.0.2\n"));
        for rest in ["1-start", "2-stop"] {
            story.sends(rest);
            story.counts(HERE, [1, 0, 0]);
            story.sessions(&["active 4 teste1 100.64.0.3"]);
            story.owners(&[("100.64.0.3", "permit teste1")]);
        }
    }

    #[test]
    fn a_junipers_service_of_a_session_that_was_never_heard_of_is_none() {
        let Some(mut story) = Story::of("juniper-service-", "") else { return };
        for rest in ["1-start", "2-stop"] {
            story.sends(rest);
            story.counts(HERE, [0, 0, 0]);
            story.sessions(&[]);
            story.owners(&[("100.64.0.3", "refuse not-online")]);
        }
    }

    #[test]
    fn a_mikrotiks_hotspot_has_its_user_at_the_framed_address() {
        let Some(mut story) = Story::of("mikrotik-hotspot-", "") else { return };
        story.sends("start");
        story.sessions(&["active 80300083 40:d3:ae:04:32:0c 192.168.2.11"]);
        story.counts(HERE, [1, 0, 0]);
        story.owners(&[("192.168.2.11", "permit 40:d3:ae:04:32:0c"), ("10.231.0.214", "refuse not-online")]);
    }

    #[test]
    fn two_mikrotiks_use_one_session_id_and_each_stop_is_its_own() {
        let Some(mut story) = Story::of("mikrotik-pppoe-", "") else { return };
        story.sends("interim");
        let other = "Packet-Src-IP-Address = 127.0.0.2\nNAS-Identifier = pppoe-2\n";
        let start = start("81a09556", "adsl-user2", "198.51.100.9");
        story.tells(&format!("{other}{start}"));
        story.tells(&format!("{other}{}", start.replace("Start", "Stop")));
        story.counts(HERE, [1, 0, 0]);
        story.counts(THERE, [0, 0, 0]);
        story.sessions(&[
            "active 81a09556 adsl-user1 198.51.100.232",
            "stopped 81a09556 adsl-user2 198.51.100.9",
        ]);
        story.owners(&[
            ("198.51.100.232", "permit adsl-user1"),
            ("198.51.100.137", "refuse not-online"),
            ("198.51.100.9", "defer just-freed"),
        ]);
    }

    const TRANSLATOR: &str = "4ffd48320b21469786284bb2392dbcb2";

    /// A subscriber behind a Nokia's translator, as the router itself reports them: the service is the VRF.
    fn behind_the_translator(session: &str, user: &str, service: u32) -> String {
        let start = start(session, user, "192.168.0.1");
        format!("{start}NAS-IP-Address = 192.0.2.7\nNAS-Identifier = PE1-Antwerp\nAlc-Serv-Id = {service}\n")
    }

    #[test]
    fn a_nokias_translator_gives_and_takes_blocks_and_its_stop_and_restart_leave_the_subscriber_alone() {
        let Some(mut story) = Story::of("nokia-7750-lsn-", "") else { return };
        let always = |story: &Story| {
            story.owners(&[
                ("192.168.0.1 realm=100", "permit alice"),
                // The same address in another VRF is another one.
                ("192.168.0.1", "refuse not-online"),
                ("192.168.0.1 realm=200", "permit bob"),
            ]);
        };
        story.tells(&behind_the_translator("esm", "alice", 100));
        story.tells(&behind_the_translator("esm2", "bob", 200));
        let (alice, bob) = ("active esm alice 192.168.0.1", "active esm2 bob 192.168.0.1");
        always(&story);
        story.sends("1-start");
        story.counts(HERE, [3, 0, 0]);
        always(&story);
        story.owners(&[
            ("180.0.1.248", "defer port-required"),
            ("180.0.1.248 port=37673", "refuse not-online"),
            ("180.0.1.248 port=37674", "permit alice"),
            ("180.0.1.248 port=37723", "permit alice"),
            ("180.0.1.248 port=37724", "refuse not-online"),
        ]);
        story.sends("2-interim-two-ranges");
        always(&story);
        story.sessions(&[
            alice,
            bob,
            &format!("active {TRANSLATOR} - 180.0.1.248:37674-37723 180.0.1.248:38507-38556"),
        ]);
        story.owners(&[
            ("180.0.1.248 port=37674", "permit alice"),
            ("180.0.1.248 port=38507", "permit alice"),
            ("180.0.1.248 port=38556", "permit alice"),
            ("180.0.1.248 port=38557", "refuse not-online"),
        ]);
        story.sends("3-interim-free");
        always(&story);
        story.sessions(&[alice, bob, &format!("active {TRANSLATOR} - 180.0.1.248:37674-37723")]);
        story.owners(&[
            ("180.0.1.248 port=37674", "permit alice"),
            ("180.0.1.248 port=38507", "defer just-freed"),
        ]);
        for rest in ["4-stop", "accounting-on"] {
            story.sends(rest);
            story.counts(HERE, [2, 0, 0]);
            always(&story);
            story.sessions(&[alice, bob, &format!("stopped {TRANSLATOR} - 180.0.1.248:37674-37723")]);
            story.owners(&[("180.0.1.248 port=37674", "defer just-freed")]);
        }
    }

    #[test]
    fn a_nokias_card_that_begins_anew_puts_its_own_block_in_doubt_and_no_subscriber() {
        let Some(mut story) = Story::of("nokia-7750-lsn-", "") else { return };
        story.tells(&behind_the_translator("esm", "alice", 100));
        story.sends("1-start");
        for rest in ["2-interim-two-ranges", "3-interim-free", "4-stop"] {
            story.leaves_out(rest);
        }
        story.sends("accounting-on");
        story.counts(HERE, [1, 1, 0]);
        story.sessions(&[
            "active esm alice 192.168.0.1",
            &format!("suspect {TRANSLATOR} - 180.0.1.248:37674-37723"),
        ]);
        story.owners(&[
            ("192.168.0.1 realm=100", "permit alice"),
            ("180.0.1.248 port=37674", "defer session-suspect"),
        ]);
    }

    #[test]
    fn pfsense_stops_and_starts_every_minute_and_its_user_stays_online() {
        let Some(mut story) = Story::of("pfsense-stopstart-", "stop-start = true") else { return };
        // The first pair, of whose session nothing was heard before, and the next one.
        for pair in [1, 2] {
            story.sends("1-stop");
            story.sends("2-start");
            story.counts(HERE, [1, 0, 0]);
            story.owners(&[("10.0.5.20", "permit user5"), ("192.0.2.80", "refuse not-online")]);
            if pair == 1 {
                story.begins_again();
            }
        }
    }

    #[test]
    fn airos_without_a_clock_uses_ids_again_and_its_stop_frees_what_its_own_nas_had() {
        let Some(mut story) = Story::of("ubiquiti-airos-", "") else { return };
        let id = "00000028-0000013C";
        story.tells(&start(id, "user4", "10.6.0.4"));
        story.tells(&format!("Packet-Src-IP-Address = {THERE}\n{}", start(id, "user3", "10.6.0.3")));
        story.sends_from(THERE, "stop-no-ip");
        story.counts(HERE, [1, 0, 0]);
        story.counts(THERE, [0, 0, 0]);
        story.sessions(&[&format!("active {id} user4 10.6.0.4"), &format!("stopped {id} user3 10.6.0.3")]);
        story.owners(&[("10.6.0.3", "defer just-freed"), ("10.6.0.4", "permit user4")]);
    }
}
