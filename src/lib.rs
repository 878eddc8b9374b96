//! `relaywarden` lets an internet provider's mail servers relay for exactly those addresses whose subscriber is online
//! now, and writes down whose message it was. This page is the map of the house; `README.md` is for its operators.
//!
//! # How things flow
//!
//! Whatever happens becomes an entry in one ordered log, and everything else is a fold over that log.
//!
//! ```text
//!   NAS ── UDP ──► radius ──── record ──┐                               ┌─► live map   what mail servers are told
//!   files ───────► detail ──── record ──┤                               │
//!   MTA ── TCP, ─► mta ────── message ──┼─► inbox ─► engine ─► LOG ─────┼─► standing   who may not send at all
//!          Unix                         │              │  commit  fold  ├─► messages   seen already, so counted once
//!                                       │              │                ├─► trends     what is usual for each sender
//!                                       │              │                ├─► cases      what somebody should look at
//!   staff ─ Unix ► http ── order,       │              │                ├─► index      the past, filled behind it
//!                                       │              │                └─► outbox     what others are told, behind it
//!                   question, complaint ┘              └─► then answer whoever waits
//! ```
//!
//! - An entry holds what happened, resolved by the rules that were in force when it came. Folding it takes the entry and
//!   the state before it, and nothing else: so a replay, a reload or a later version never changes whose message it was.
//! - Nothing is acknowledged before it is durable: not the record of a NAS, not the end of a message, not an order. Only
//!   a refresh (an interim update that says nothing new) is, as expiry allows for its loss.
//! - There is one writer, the engine. Readers never wait for it, nor it for them.
//!
//! # Who knows what, and who must not
//!
//! | room | knows | must not know |
//! |---|---|---|
//! | [`session`] | who owns which address | no clock, no file, no socket: time is an argument |
//! | [`relay`] | may this leave, whose is it, who is suspended or limited, what is usual, what scanners say, what somebody should look at | protocols, how a subscriber is found |
//! | [`radius`] | octets to accounting records and back | sockets, what a record does to a session |
//! | [`mta`] | octets to questions, answers to octets | what the answer is |
//! | [`config`] | text to a value that can't be wrong | it opens nothing; files come through a function |
//! | [`paste`] | a line of somebody's log to address, port and moment | what time it is, whose an address is |
//! | [`watch`] | how block lists and the access side are asked, what they answer, when that is believed | sockets, who is told |
//! | [`notice`] | which entries others are told of, how that is spelled, signed and tried again | who is told, sockets |
//! | [`complaint`] | a report about a message to what it says | what was written down, whose an address is |
//! | [`views`] | which view wants which entry | clocks, configuration, files |
//! | [`log`] | what is durable, and what is damage | what an entry means |
//! | [`access`] | who may do what, which token is good, how questions are tied together | requests, the clock, random numbers |
//! | [`audit`] | the past as rows | the present |
//! | [`server`] | sockets, threads, order of start and stop | how anything is decided |
//! | [`console`] | pages for people: values to HTML | requests, how an answer was found |
//! | [`rehearsal`] | scenarios as text, played through the rooms above | sockets, what time it is |
//! | [`cli`] | commands, formats, exit codes | the daemon, but for its API |
//! | [`clock`] | what time it is; nobody else reads it | who asks |
//!
//! The rooms in the upper half (to [`views`], with [`log::entry`]) are pure: no socket, no file, no clock, no thread, no
//! line in the journal. `tests/tidy.rs` holds them to it. Within [`server`]: `daemon` has the order of start, reload and
//! stop, `recovery` what is read at a start, `engine` the writing, `signals` who is looked at after it, `keeper` what is stored behind it, `radius` and `mta`
//! the sockets, `detail` the files that another server writes for us, `dnsbl` the questions to block lists, `coa` those to the access side, `notices` what others are told, `desk` the words to mail servers, `seats` who has SMTP sessions, `scanning` what scanners find, `staff` the words to people, `http` their way in, with
//! its gate (`auth`) and the questions behind each page (`pages`).
//!
//! # What is always true
//!
//! | | invariant | test |
//! |---|---|---|
//! | I1 | a Stop frees only what its own session still owns | `in_order_the_map_is_what_a_scan_finds` |
//! | I2 | the Stop of a service within a session ends nothing | `a_services_stop_ends_nothing` |
//! | I3 | one session's records end in the same state, in any order and however often each comes | `one_sessions_records_commute` |
//! | I4 | who is found has the newest claim among those who have not stopped; two live claimants of one address are nobody | `out_of_order_only_the_newest_live_claimant_is_found` |
//! | I5 | an address that can't be a subscriber's own, or not this client's, is never bound | `what_is_bound_may_be_had`, `a_special_address_is_no_claim_and_not_counted` |
//! | I6 | yesterday's records, replayed, change none of today's owners | `replaying_yesterday_changes_nothing_today` |
//! | I7 | an Accounting-On or -Off touches its sender's sessions and nobody else's | `a_restart_touches_the_sender_only` |
//! | I8 | without a port an address shared by ports names nobody, now or then | `without_a_port_nobody_of_a_shared_address_is_named`, `without_a_port_a_shared_address_names_nobody`, `without_a_port_everybody_who_held_a_block_is_a_candidate_and_nobody_the_owner` |
//! | | a snapshot and the rest of the log are the whole log | `an_image_and_the_rest_of_the_log_are_the_whole` |
//! | | what was acknowledged is there after `kill -9` | `no_acknowledged_change_is_lost_in_fifty_crashes` |
//! | | what was acknowledged is there after a stop | `whatever_was_acknowledged_until_the_end_is_there_afterwards` |
//! | | a restart changes no answer | `a_clean_restart_changes_no_answer`, `a_crash_changes_no_answer` |
//! | | what may be several people's is a signal of nobody | `what_may_be_several_peoples_counts_for_nobody` |
//! | | no delisting undoes what a human ordered | `what_a_human_orders_stands_whatever_is_delisted` |
//! | | what was let go is in no file any more | `no_file_holds_what_was_let_go` |
//! | | what could not be made durable is not acknowledged | `a_failed_fsync_is_never_acknowledged_and_the_log_goes_on_elsewhere` |
//!
//! I1 to I8 are properties in `tests/properties.rs` and `tests/admission.rs`; the rows of the decision table are told by the
//! scenarios in `tests/scenarios/`.
//!
//! # Bad input
//!
//! Everything from outside is an attacker's until it is proven. Counters are on `/metrics`, without the prefix
//! `relaywarden_`; at most one line per reason and ten seconds (one second for mail servers) goes to the journal.
//!
//! **RADIUS.** Until the authenticator is proven nothing is remembered but a number. What is counted for a NAS or a
//! client is in `nas_unusable{nas,reason}` too.
//!
//! | input | answer | record | test |
//! |---|---|---|---|
//! | shorter than a header, or than its Length | silence | `radius_datagrams{outcome="malformed"}`, line | `a_header_alone_is_a_packet_and_one_octet_less_is_not`, `a_datagram_shorter_than_its_length_is_refused` |
//! | Length below 20 or above 4096 | silence | `malformed`, line | `length_20_is_accepted_and_19_refused`, `length_4096_is_accepted_and_4097_refused` |
//! | an attribute of length 0 or 1, or beyond the end | silence | `malformed`, line | `an_attribute_of_length_0_or_1_discards_the_packet`, `an_attribute_that_ends_one_octet_too_far_discards_the_packet` |
//! | octets beyond Length | as without them | none | `octets_beyond_length_are_padding_and_are_cut_off` |
//! | from nobody's client; of another code | silence | `unknown_client`, `bad_code`, line | `codes_sources_and_octets_that_are_none_of_ours_get_silence` |
//! | another secret, or forged | silence, and the genuine one is still taken | `bad_authenticator`, line | `another_secret_is_counted_and_complained_about_once`, `a_genuine_packet_is_taken_after_a_forged_one_with_the_same_port_and_identifier` |
//! | a wrong or a second Message-Authenticator | silence | `bad_message_authenticator`, line | `a_wrong_message_authenticator_drops_a_record_that_is_otherwise_right`, `two_message_authenticators_are_refused_though_the_first_is_right` |
//! | Status-Server that is not signed | silence | `bad_message_authenticator`, line | `a_status_server_is_answered_only_when_it_is_signed` |
//! | sent again while in hand; after its answer | silence; the same answer | `duplicate_in_flight`; `duplicate_answered` | `a_repetition_in_flight_is_dropped_and_after_the_answer_gets_the_same_one` |
//! | more than the engine can take | silence, and its repetition is taken | `queue_full`, line | `a_record_that_finds_the_queue_full_is_taken_when_it_is_repeated` |
//! | more names of NASes than there is room for | as any other | `nas_unusable{nas=""}` and the like | `names_beyond_the_room_are_counted_in_none_and_known_ones_go_on` |
//! | no session id, or a status that concerns no session | answered, ignored | `ignored_session_id`, `ignored_status`, line | `what_is_authentic_but_ignored_is_answered_at_once_and_repeated_the_same`, `each_packet_of_no_use_is_counted_for_its_nas_with_the_reason` |
//! | a value that does not fit its type | the rest counts | none | `an_attribute_that_does_not_fit_its_type_leaves_the_rest_alone`, `a_block_without_all_its_parts_and_a_value_of_another_size_are_left_out_and_not_counted` |
//! | a vendor's attribute that lies about its length | what came before it counts | none | `a_vendor_length_of_0_or_1_ends_the_walk`, `a_vendor_length_beyond_the_remainder_ends_the_walk`, `a_length_that_lies_ends_the_walk_in_every_form`, `a_vendor_that_lies_about_a_length_is_believed_up_to_there` |
//! | a TLV that lies about its length | what is outside of its parent counts | none | `a_tlv_that_lies_hides_what_follows_within_its_parent_and_nothing_else`, `a_tlv_that_lies_hides_the_name_behind_it_and_none_in_another_attribute` |
//! | a value in parts that is too long, or lacks one | no value; the rest counts | none | `a_concatenation_of_1024_octets_is_a_value_and_one_octet_more_is_none`, `a_value_whose_next_part_is_missing_is_none`, `a_value_in_parts_that_is_too_long_or_lacks_one_names_nobody_and_the_record_counts` |
//! | a moment that can't be true | arrival counts | `absurd_time`, `nas_clock_absurd` | `a_clock_that_says_what_cannot_be_true_is_told`, `a_stamp_before_2015_is_absurd_and_one_of_2015_is_not` |
//! | an address outside of the client's pools | record kept, claim dropped | `claims_dropped{nas}`, `alarms`, line | `a_claim_outside_of_the_pool_is_dropped_counted_and_shown_and_the_record_is_kept` |
//! | a prefix wider than a subscriber's can be | record kept, claim dropped | `claims_dropped{nas}`, `alarms`, line | `a_prefix_of_24_or_44_bits_is_admitted_and_a_shorter_one_refused`, `a_prefix_that_is_too_wide_is_dropped_and_counted_and_the_rest_is_bound` |
//! | a block of ports that is reversed, has port 0, or goes beyond 65535 | record and other blocks kept, block dropped | `claims_dropped{nas}`, `alarms`, line | `a_port_range_that_is_reversed_or_above_65535_is_refused_and_the_others_count`, `a_block_that_cant_be_is_refused_whoever_tells_of_it`, `a_block_that_cant_be_is_dropped_and_counted_and_the_others_are_bound` |
//! | a block of a special address | record kept, block dropped | `claims_dropped{nas}`, `alarms`, line | `a_block_of_a_special_address_is_refused_and_counted`, `a_block_that_cant_be_is_dropped_and_counted_and_the_others_are_bound` |
//! | a block of which a part is missing or has another size | the rest counts | none | `a_block_of_which_a_part_is_missing_or_has_another_size_is_left_out`, `a_text_without_an_address_or_blocks_says_nothing`, `a_block_without_all_its_parts_and_a_value_of_another_size_are_left_out_and_not_counted` |
//! | TLVs within an extended attribute that lie about their length, or nest | the other attributes count | none | `a_tlv_that_lies_about_its_length_ends_its_range_and_no_other`, `tlvs_that_nest_where_none_may_are_not_followed`, `tlvs_that_nest_or_lie_claim_nothing_and_those_beside_them_do` |
//! | any attribute empty, or of one octet | the rest counts | none | `every_attribute_of_no_or_one_octet_is_survived`, `every_vendors_attribute_of_no_or_one_octet_is_survived_and_claims_nothing`, `attributes_that_are_empty_or_of_one_octet_are_left_out_and_the_record_counts`, `an_empty_name_or_address_does_not_hide_the_one_behind_it`, `a_service_without_a_name_is_none` |
//! | a login that spells another one's address, as translators do | a subscriber like any other | none | `nobody_can_log_in_as_another_ones_address`, `whoever_logs_in_as_another_ones_address_is_a_subscriber_like_any_other` |
//! | one of our own addresses (`never`) | record kept, claim dropped | `claims_dropped{nas}`, `alarms`, line | `our_own_addresses_are_never_bound_and_whoever_claims_one_is_told_about` |
//! | a name with control octets, or no text | bound; shown as `0x...` | none | `no_command_prints_what_could_act`, `no_log_line_holds_what_could_act` |
//! | any octets whatever | no panic | as above | `any_octets_are_survived`, `any_attributes_of_an_authentic_packet_are_survived`, `any_packet_and_any_path_are_survived` |
//!
//! **Socketmap and policy delegation.**
//!
//! | input | answer | record | test |
//! |---|---|---|---|
//! | from a host that is no `[[mta]]` | closed | `mta_connections{outcome="foreign"}`, line | `a_host_that_is_no_mta_is_closed_unanswered_and_counted` |
//! | more connections than allowed | closed | `over-limit`, line | `connections_above_the_limit_are_closed_at_once_until_there_is_room` |
//! | socketmap: a length that is none, or too long; no comma | `TEMP`, closed | `broken`, line | `a_frame_that_is_none_ends_its_connection_and_no_other`, `a_sixth_digit_is_refused_whatever_the_limit` |
//! | socketmap: an unknown map | `TEMP` | none | `an_unknown_map_is_not_now_and_a_key_that_is_no_address_is_nobodys` |
//! | socketmap: a key that is no address | `NOTFOUND ` | none | `what_is_not_wholly_an_address_is_none`, `no_mail_server_is_told_what_could_act` |
//! | policy: another protocol, an endless line or request | closed unanswered: the MTA's default action | `broken`, line | `somebody_else_on_the_policy_port_gets_silence_and_an_end`, `the_longest_line_is_read_and_one_octet_more_refused_before_its_end` |
//! | policy: an unknown `policy_context` | `451` | line | `an_unknown_context_is_told_apart_from_an_empty_one`, `no_log_line_holds_what_could_act` |
//! | policy: a client of a trusted host that makes up senders | as any other; beyond 100,000 of them they count for the host alone | none | `a_client_that_makes_up_senders_takes_no_more_memory_than_a_hundred_thousand_of_them` |
//! | policy: a sender rewritten by others (SRS) that is spelled wrongly | as it stands | none | `a_sender_that_was_rewritten_is_whoever_it_was_before` |
//! | policy: numbers that are none | as if not told | none | `numbers_that_are_none_count_as_not_told` |
//! | milter: an endless, empty, unknown or malformed frame; a version before 2 | closed unanswered: the MTA's default action | `broken`, line | `somebody_else_on_the_milter_port_gets_silence_and_an_end`, `a_frame_of_the_greatest_length_is_read_and_one_octet_more_refused_before_it_is_there`, `a_frame_that_is_empty_of_another_kind_or_cut_short_is_broken_and_stays_so`, `a_client_without_family_or_address_is_malformed`, `a_version_before_2_is_not_spoken_with` |
//! | milter: a refused recipient with a status that nobody can read, or of the policy's | not counted, nor asked about | none | `a_recipient_that_the_mail_server_refuses_is_told_and_never_asked_about_nor_counted` |
//! | milter: headers without end | the first and the last count | none | `of_endless_headers_the_first_and_the_last_are_kept` |
//! | milter: several Message-IDs, one that is endless, or meant to act | the first, 998 octets of it; `0x...` | none | `the_first_message_id_counts_whatever_its_case_and_wherever_it_stands`, `a_message_id_that_is_endless_or_meant_to_act_is_cut_and_does_nothing` |
//! | milter: a Message-ID under the queue id of another client's message, or of none | it is of no message | none | `a_message_id_is_of_the_message_with_this_queue_id_and_client_and_counts_once`, `a_message_is_found_by_the_first_message_id_that_a_milter_saw_and_by_no_other_customers` |
//! | milter: a message that is given up, or another client on its connection | nothing of it is left to the next | none | `a_message_that_was_given_up_leaves_nothing_to_the_next_though_no_macro_begins_it`, `another_client_on_the_same_connection_inherits_no_address` |
//! | a header of the customer's that looks like a scanner's | "clean" is nothing; position and `contains` say which is the scanner's | none | `whoever_writes_a_clean_header_of_his_own_is_not_cleared_by_it`, `a_header_without_the_scanners_own_word_is_not_the_scanners` |
//! | milter: any octets whatever | no panic | as above | `any_octets_from_a_milter_client_are_survived` |
//! | a request that dribbles in | dropped after 10 s | `dribbled`, line | `a_request_that_dribbles_in_is_cut_off_however_often_an_octet_comes` |
//! | a peer that never reads | dropped | `unread`, line | `a_peer_that_never_reads_is_dropped_and_nobody_else_waits` |
//! | more addresses in a minute than attempts are told apart by | as without them; a reference all the same | a row without address; `attempts{kept="counted"}` | `what_is_more_than_can_be_told_apart_is_counted_in_one_row_without_address`, `rows_that_are_not_written_take_no_more_memory_than_two_full_minutes` |
//! | a HELO name, sender or login of kilobytes | as with a short one | its first 255 octets in `attempts` | `no_name_is_kept_longer_than_mail_allows` |
//! | a subscriber's name meant to act on the MTA | `0x...`, never a second line | none | `no_control_octet_reaches_the_mta`, `no_text_can_end_the_answer_and_begin_another` |
//!
//! **HTTP** (refusals are RFC 9457 problem documents).
//!
//! | input | answer | record | test |
//! |---|---|---|---|
//! | a parameter that is missing, repeated, unknown or wrong | 400, named | none | `each_wrong_parameter_is_named` |
//! | a port of 0 or above 65535; `realm` without the address it belongs to | 400, named | none | `each_wrong_parameter_is_named`, `a_wrong_command_line_is_2` |
//! | a realm that nothing was ever heard of | 404 `unknown-realm` | none | `a_realm_never_heard_of_is_not_found_and_a_public_address_has_none`, `a_realm_never_heard_of_is_1_and_says_so` |
//! | an order that is no JSON, or lacks something | 400 | none | `each_wrong_order_is_named` |
//! | a hold of a NAS that is no JSON, lacks something, or ends in the past or in more than 7 days | 400 | none | `each_wrong_hold_is_named`, `a_hold_ends_within_seven_days_and_not_in_the_past` |
//! | a hold of a NAS that was never heard; the end of none | 404 | none | `a_nas_that_is_unknown_or_not_held_is_not_found`, `a_hold_survives_a_restart_and_ends_when_it_is_lifted` |
//! | a body above 64 KiB; a head above 16 KiB | 413; 431 | none | `a_body_of_64_kib_is_read_and_a_longer_one_is_not`, `a_head_that_is_too_large_is_refused` |
//! | an unknown path or method | 404, 405 | none | `unknown_paths_and_methods_are_problems_too` |
//! | TCP without a token, or a Unix user in none of the groups | 401 `no-token`; 403 | none | `every_path_lets_in_whom_the_table_says_and_nobody_else`, `where_groups_are_named_the_highest_counts_and_who_is_in_none_may_nothing` |
//! | a token that is none, of another secret, expired or revoked; another scheme | 401 `bad-token` | `http_logins{outcome}`, line | `every_path_lets_in_whom_the_table_says_and_nobody_else`, `wrong_tokens_are_counted_and_said_once_without_what_was_shown` |
//! | more than ten of them at once from one address | 429 with `Retry-After`; a right one comes in | `http_logins{outcome="throttled"}`, line | `ten_wrong_tokens_are_answered_401_and_the_next_429_while_a_right_one_comes_in`, `more_sources_than_there_is_room_for_are_forgotten_from_the_least_on` |
//! | a role or scope that does not suffice | 403 `not-permitted` | an entry, once a minute; `http_refused{reason="role"}` | `a_refused_question_is_written_down_once_a_minute`, `a_token_with_a_scope_may_no_more_than_that` |
//! | a Host that is none of ours | 421 `wrong-host` | `http_refused{reason="host"}` | `a_name_that_is_none_of_ours_is_refused_before_anything_else` |
//! | a form of another site, or without its session's token | 403 `cross-site` | `http_refused{reason="cross-site"}` | `a_form_without_the_sessions_own_token_changes_nothing`, `nobody_is_logged_in_by_somebody_elses_page` |
//! | more sessions of browsers than there is room for | the one that was used least lately ends | none | `beyond_the_room_the_one_that_was_used_least_lately_goes` |
//! | a question without a purpose where one is required; a longer one than 1024 octets | 400 | none | `where_a_purpose_is_required_there_is_no_answer_without_one`, `a_purpose_of_1024_octets_is_kept_and_a_longer_one_refused` |
//! | a cursor that is none, or of another question | 400, named | none | `what_is_no_cursor_is_none`, `a_cursor_of_another_question_is_refused` |
//! | an order about a token that is no JSON or has something wrong; the 1001st token | 400, named; 404; 409 | none | `each_wrong_order_about_a_token_is_named`, `there_are_a_thousand_good_tokens_and_no_more` |
//! | anything whatever in a parameter or a body | a documented answer | none | `whatever_is_asked_no_answer_is_an_error_of_ours_or_undocumented` |
//! | a verdict that is no JSON, above 1 MiB, or without an action | 400; 413 | none | `each_wrong_verdict_is_named_and_a_token_may_stand_as_a_password_there_alone` |
//! | a verdict whose sender is not sure; one that was told before | `nobodys`; `known`: nobody is held to it again | `scanned{outcome}` | `without_a_message_that_was_written_down_the_address_says_whose_it_was_and_one_in_doubt_nobodys`, `the_same_verdict_is_news_once_and_again_when_it_could_not_be_written_down`, `what_was_said_of_a_message_before_a_restart_is_no_news_after_it` |
//! | verdicts without end, and what a scanner says without end | told apart up to a bound; its first 255 octets | none | `verdicts_without_end_take_no_memory_for_ever`, `what_a_scanner_says_has_an_end` |
//! | a chunk of a file above 4 MiB, of more than 1000 rows, or with something else wrong | 413; 400, named | none | `a_chunk_of_4_mib_is_read_and_a_longer_one_is_not`, `each_wrong_chunk_of_a_file_is_named` |
//! | a row in it that is no packet, of nobody's client, or later than its file | `rejected`, with why; the others count | `imported_rows{outcome="rejected"}` | `what_concerns_no_session_is_ignored_and_what_is_no_packet_rejected`, `a_row_is_of_the_client_that_has_its_nas_or_of_the_one_that_is_named`, `five_minutes_after_the_file_is_a_matter_of_clocks_and_a_second_more_of_zones` |
//! | a row that concerns no session | `ignored`, with why | `imported_rows{outcome="ignored"}` | `what_concerns_no_session_is_ignored_and_what_is_no_packet_rejected` |
//! | a row with an address outside of the client's pools | taken, claim dropped, told | none | `pools_and_our_own_addresses_hold_for_files_too` |
//! | a row that is old | `history`: the past only | `imported_rows{outcome="history"}` | `what_was_not_heard_of_for_an_hour_fills_the_past_and_owns_nothing` |
//! | a page's question that is wrong | its status, and a page that names it | none | `wrong_questions_are_told_on_a_page_and_by_what_is_wrong` |
//! | a time on a page that was there twice, or never | 400, with both readings | none | `wrong_questions_are_told_on_a_page_and_by_what_is_wrong` |
//! | a form that is not of its session, or is wrong | 403; 400, named | `cross_site` | `forms_give_orders_as_their_session_and_only_with_its_token` |
//! | a name, a sender or a queue id that would act on a page or in a spreadsheet | shown, inert | none | `hostile_values_stay_inert_wherever_they_stand`, `a_cell_that_a_spreadsheet_would_calculate_is_inert_and_a_number_stays_one` |
//! | a login page that is to lead elsewhere | it leads to the first page | none | `nobody_is_led_elsewhere_from_the_login_page` |
//! | a format of rows that is none | 400, named | none | `the_same_rows_are_there_as_csv_and_hostile_cells_are_inert` |
//! | a chunk of a log of mail with something wrong | 400, named | none | `each_wrong_chunk_of_a_log_is_named` |
//! | a message in it that is still to come, has no queue id, or a name of kilobytes | `rejected`, with why; the others count | `imported_rows{outcome="rejected"}` | `what_is_recorded_already_or_came_twice_or_from_itself_or_is_none_is_not_recorded` |
//! | one that is recorded already, or came from the mail server itself | `ignored`, with why | `imported_rows{outcome="ignored"}` | `what_is_recorded_already_or_came_twice_or_from_itself_or_is_none_is_not_recorded` |
//! | a question that can't be written down | answered, and noted in the journal | line | `a_question_that_cant_be_written_down_is_answered_and_noted_in_the_journal` |
//!
//! **Configuration, environment, places.** Refused at the start, with exit code; at a reload the old one is kept.
//!
//! | input | answer | record | test |
//! |---|---|---|---|
//! | unknown key, value that can't be | 78; file, line, key | standard error | `a_configuration_that_is_bad_ends_with_78_and_names_file_line_and_key`, `each_mistake_is_named_with_place_key_and_remedy` |
//! | a group that does not exist in `[http]` | 69; key | standard error | `a_group_that_is_not_there_ends_a_start_with_69_and_names_its_key` |
//! | a secret that is short, unreadable or open to everybody | 78 | standard error | `a_secret_of_eight_octets_is_taken_with_a_warning_and_one_of_seven_refused`, `what_holds_a_secret_is_not_open_to_everybody`, `a_secret_file_that_is_not_there_is_named` |
//! | a dictionary that is missing, of FreeRADIUS 4, or none | 78; file, line, remedy | standard error | `a_dictionary_that_cannot_be_used_is_named_with_file_line_and_remedy`, `a_dictionary_of_version_4_is_told_apart`, `a_file_that_is_no_dictionary_is_refused_and_an_empty_one_is_not` |
//! | a dictionary whose include is missing | 78; file and line that include it | standard error | `a_missing_include_is_named_unless_it_may_be_missing` |
//! | dictionaries that include each other | each is read once | none | `an_include_loop_ends_and_each_file_is_read_once` |
//! | includes too deep, or too much in them | 78; file | standard error | `files_include_files_sixteen_deep_and_no_deeper`, `more_than_32_megabytes_are_refused` |
//! | a dictionary that everybody may write | 78; file | standard error | `a_file_that_everybody_may_write_is_refused` |
//! | a line of a dictionary that is not understood | left out, or octets | a line for each, 20 of a dictionary | `a_line_that_is_not_understood_is_left_out_and_the_others_count`, `a_type_or_a_flag_that_nobody_knows_makes_octets`, `remarks_about_a_dictionary_are_warnings_with_both_places` |
//! | TLVs nested too deep, in a dictionary or a name | left out; 78 | line; standard error | `tlvs_that_nest_too_deep_are_left_out`, `the_identity_chain_takes_names_and_numbers_of_any_attribute` |
//! | a dictionary that contradicts what is built in | what is built in holds | line | `a_strange_dictionary_changes_nothing_that_is_built_in`, `any_octets_as_a_dictionary_are_survived_and_change_nothing_that_is_built_in` |
//! | a `[[nat]]` that does not suffice, overlaps another, or is not IPv4 | 78; file, line, key | standard error | `a_translation_has_a_block_for_each_inside_address_and_not_one_too_few`, `an_outside_address_is_of_one_translation_only`, `each_mistake_in_a_translation_is_named` |
//! | a line of the list of prefixes that can't be | 78; its file, line, column | standard error | `a_bad_line_in_the_list_of_prefixes_is_named_with_file_and_line`, `each_mistake_has_its_line_its_column_and_its_remedy` |
//! | a list of prefixes that is missing, or that everybody may change | 78 | standard error | `a_list_of_prefixes_that_is_missing_or_open_to_everybody_is_named` |
//! | a header, a value or a profile in `[milter]` and `[scanned]` that can't be | 78; file, line, key | standard error | `each_mistake_about_milters_and_scanners_is_named` |
//! | a block list, an address of ours or a range to sample that can't be, or is there twice | 78; file, line, key | standard error | `each_mistake_about_block_lists_is_named`, `each_mistake_about_ranges_that_are_sampled_is_named` |
//! | the same at `SIGHUP` | the old one holds | line | `a_bad_file_keeps_the_old_and_says_where_it_is_bad`, `a_dictionary_that_cannot_be_used_keeps_the_old_configuration_and_ends_a_start_with_78`, `a_list_of_prefixes_is_read_again_and_a_bad_line_in_it_keeps_the_old` |
//! | an endpoint that somebody else has | 69; endpoint and key | standard error | `a_taken_radius_port_is_named_with_its_key`, `a_unix_socket_in_use_is_named_with_its_key_and_stays` |
//! | a data directory that another daemon uses | 75 | standard error | `a_second_daemon_on_one_data_directory_ends_with_75_and_disturbs_nobody` |
//! | a data directory that can't be used | 74 | standard error | `a_data_directory_that_may_not_be_made_ends_with_74_and_is_named` |
//! | a scenario that is not understood | 2; file, line, what was expected | standard error | `one_that_is_not_understood_is_2_with_the_line_and_what_is_expected` |
//! | a filter in `RELAYWARDEN_LOG` that is none | as `info` | line | `the_environment_says_how_much_is_logged` |
//!
//! **Detail files that are followed.** FreeRADIUS writes them; what is in them was chosen by NASes and subscribers, and the
//! writer may have been interrupted. Counters have the label `directory` too.
//!
//! | input | answer | record | test |
//! |---|---|---|---|
//! | half a record at the end | waited for; given up when a newer file is there | `detail_records{outcome="cut-short"}`, line | `half_a_record_is_waited_for`, `half_a_record_that_nobody_finishes_is_given_up_once_there_is_a_newer_file` |
//! | half a record before a whole one, zeros of a lost write | the whole one counts, nothing of the half | `cut-short`, line | `half_a_record_never_mixes_with_the_next`, `zeros_of_a_lost_write_spoil_no_more_than_their_record` |
//! | a status or a session that is there twice | rejected | `two-in-one`, line | `with_a_header_of_another_form_half_a_record_shows_by_what_is_there_twice` |
//! | more than 64 KiB without an end; attributes of more than 4096 octets | rejected, and kept no longer | `too-long`, `too-many-attributes`, line | `what_is_too_long_takes_no_memory_and_its_end_is_found`, `attributes_of_4076_octets_are_read_and_one_more_is_not` |
//! | another kind of packet | rejected | `not-accounting`, line | `another_kind_of_packet_is_not_accounting` |
//! | a line that can't be read | the rest counts | `detail_lines{reason="unreadable"}`, line | `a_line_that_cannot_be_read_leaves_out_its_attribute_and_is_named` |
//! | the same of its status or session | rejected | `unreadable`, line | `a_record_whose_status_or_session_cannot_be_read_is_rejected` |
//! | a name of an attribute or value that no dictionary has | the rest counts | `detail_lines{reason="unknown"}` | `names_that_no_dictionary_has_are_counted_and_leave_the_rest_alone` |
//! | text that is meant to end its record | stays within its quotes | none | `a_subscriber_cannot_write_the_end_of_a_record` |
//! | a record that changes nothing | passed | `ignored-status`, `ignored-session-id`, `ignored-unnamed-nas`, line | `lines_left_out_and_records_without_effect_are_counted` |
//! | a file that was cut, or written anew in its place | read from its beginning | `detail_files{outcome="begun-anew"}`, line | `a_file_that_was_cut_is_read_from_its_beginning`, `a_file_that_was_written_anew_is_known_by_its_beginning_though_it_is_longer` |
//! | a link, a pipe, a compressed file | left alone | line | `compressed_files_links_and_pipes_are_left_alone`, `a_link_in_the_place_of_a_file_is_not_followed` |
//! | a file or directory that can't be read | tried again | `detail_files_unreadable`, `/readyz`, line | `a_directory_that_is_not_there_yet_is_waited_for`, `a_link_in_the_place_of_a_file_is_not_followed` |
//! | more than the engine can take, or a log that refuses | read later | `detail_seconds_behind`, `/readyz` | `a_full_queue_only_slows_it_down`, `how_far_it_is_behind_is_told` |
//! | gigabytes without a record | a piece at a time | none | `a_file_without_a_record_does_not_hold_a_turn_for_ever` |
//! | any octets whatever | no panic | as above | `any_octets_are_survived` |
//!
//! **Complaints** (`complaint`, `/v1/complaints`). What is refused opens no case.
//!
//! | input | answer | record | test |
//! |---|---|---|---|
//! | no mail and no JSON; a mail without a report; X-ARF of another version | 400 `bad-body`; 65 | none | `what_is_no_report_says_what_it_is_instead`, `a_mail_server_that_pipes_a_complaint_keeps_it_while_the_daemon_is_away` |
//! | more than 10 MiB | 413; 65 | none | `a_report_of_10_mib_is_read_and_a_longer_one_is_not`, `a_mail_server_that_pipes_a_complaint_keeps_it_while_the_daemon_is_away` |
//! | mails within mails, parts within parts, JSON that nests, without end | as far as they are looked at | as any other | `mails_within_mails_and_parts_within_parts_end_where_they_are_no_longer_looked_at` |
//! | endless lists and texts | their first part | as any other | `lists_and_texts_of_a_report_have_an_end` |
//! | an address, a port, a date that is none | missing, and said so | as any other | `a_report_that_says_nothing_says_what_is_missing` |
//! | a Message-ID that was copied from a customer's message | nobody is named by it alone | as any other | `a_complaint_is_led_by_a_message_id_where_address_and_time_are_of_that_message_and_by_itself_to_nobody` |
//! | a forged Received header, token or source address | nobody is named where the ways differ | as any other | `ways_that_agree_name_the_subscriber_and_those_that_do_not_name_nobody`, `a_complaint_leads_to_its_subscriber_by_each_way_and_opens_a_case_that_lasts` |
//! | the same report again and again | joins its case | as any other | `the_same_complaint_again_joins_its_case_and_another_opens_one`, `evidence_and_history_of_one_case_have_an_end_and_what_opened_it_stays` |
//! | more reports than cases are kept | the oldest closed ones go | as any other | `the_oldest_closed_case_goes_first_and_an_open_one_only_when_none_is_closed` |
//! | from whoever may not, or without a purpose where one is required | 403, 400; 75 | `http_refused`; none | `every_path_lets_in_whom_the_table_says_and_nobody_else`, `where_a_purpose_is_required_there_is_no_answer_without_one` |
//! | a program's token beyond its scope | 403 | `http_refused`, the record of questions | `a_program_that_resolves_addresses_may_nothing_else_and_is_written_down` |
//! | a case that is not there, or closed; no reason | 404; 409; 400 | none | `each_wrong_question_about_cases_is_named` |
//! | names and ids meant to act on a terminal | `0x...`, or spelled out | as any other | `what_a_reporter_chose_does_not_act_on_a_terminal` |
//! | any octets whatever | no panic | as above | `any_octets_and_any_report_that_was_changed_are_survived` |
//!
//! **Answers about block lists** (`watch`, `[watch.dnsbl]`). None of these opens a case, and none ends a listing. Counters have the
//! label `list`.
//!
//! | input | answer | record | test |
//! |---|---|---|---|
//! | none, a late one, one to another question or with another number | as none: `timeout` | `dnsbl_failures`, `dnsbl_insane`, line | `a_server_that_is_silent_slow_or_lies_makes_no_case`, `a_server_that_falls_silent_or_begins_to_lie_frees_nobody` |
//! | octets that are no answer; one that was cut, and no TCP | as none: `unreachable` | the same | `a_server_that_is_silent_slow_or_lies_makes_no_case` |
//! | SERVFAIL, REFUSED | as none: `server-failure`, `refused` | the same | `lists_that_are_dead_barred_empty_or_broken_accuse_and_free_nobody` |
//! | 127.255.255.0/24 or 127.0.0.1: whoever asks is refused | no listing: `barred` | `dnsbl_insane`, line | `only_what_lies_in_127_and_says_nothing_else_is_a_listing`, `lists_that_are_dead_barred_empty_or_broken_accuse_and_free_nobody` |
//! | an address outside of 127/8: the zone is somebody else's | no listing: `foreign` | `dnsbl_insane`, line | `only_what_lies_in_127_and_says_nothing_else_is_a_listing`, `lists_that_are_dead_barred_empty_or_broken_accuse_and_free_nobody` |
//! | a list that has what none may have, or lacks what each must have | it is not asked about us: `lists-everything`, `empty` | `dnsbl_insane`, line | `a_list_is_believed_when_it_has_the_one_and_not_the_other`, `a_list_that_is_not_sane_lists_and_frees_nobody`, `lists_that_are_dead_barred_empty_or_broken_accuse_and_free_nobody` |
//! | a listing, or the end of one, that the next round does not repeat | in doubt, then as before | none | `a_change_is_believed_when_two_rounds_say_so` |
//! | a text meant to act on a terminal, or without end | `0x...`; its first 255 octets | none | `what_a_list_says_does_not_act_on_a_terminal_and_has_an_end` |
//! | more addresses than any list has reason to answer | the first 16 | none | `an_answer_without_end_is_looked_at_for_a_while` |
//!
//! **Answers of NASes** (`watch::coa`, `[coa]`). None of these counts as an answer; the request goes on. Counted as
//! `coa_ignored{reason}`, with a line a minute.
//!
//! | input | answer | record | test |
//! |---|---|---|---|
//! | from whom nobody asked, or from another port | as none | `stranger` | `an_answer_of_somebody_else_to_something_else_or_without_the_secret_changes_nothing`, `answers_that_lie_change_nothing_and_the_right_one_counts_once` |
//! | late, repeated, or with another identifier | as none | `unasked` | `answers_that_lie_change_nothing_and_the_right_one_counts_once` |
//! | another secret, or to another request | as none | `bad-authenticator` | `an_answer_is_believed_when_it_is_to_this_very_request`, `answers_that_lie_change_nothing_and_the_right_one_counts_once` |
//! | another code; octets that are no packet | as none | `bad-code`, `malformed` | `an_answer_is_believed_when_it_is_to_this_very_request`, `a_change_is_answered_by_its_own_codes`, `answers_that_lie_change_nothing_and_the_right_one_counts_once` |
//! | a wrong Message-Authenticator | as none | `bad-message-authenticator` | `a_wrong_signature_in_a_right_answer_is_refused` |
//! | none at all | asked again, ever more seldom | `coa{outcome="silence"}`, line | `a_request_is_sent_again_as_it_was_ever_later_and_given_up_after_thirty_seconds`, `freeradius_with_another_secret_is_silent_until_the_secret_is_put_right` |
//! | a subscriber's name too long for its place in a request | nothing is sent | `coa{outcome="unsayable"}`, line | `a_name_that_is_too_long_for_its_place_makes_no_request` |
//!
//! **Lists of the operator's** (`prefixes` of `[subscriber]`, `[logins]`). A bad line stops the start, or keeps what is in force.
//!
//! | input | answer | record | test |
//! |---|---|---|---|
//! | a line with too many fields or too few, too long, or no text | 78; file and line | standard error, line | `each_line_of_logins_that_cant_be_used_is_named`, `a_bad_line_in_the_list_of_prefixes_is_named_with_file_and_line` |
//! | one login of two subscribers | 78; file and line | standard error, line | `each_line_of_logins_that_cant_be_used_is_named`, `a_suspended_subscribers_logins_are_suspended_from_elsewhere_and_their_mail_counts` |
//! | a list that everybody may change, or that is not there | 78 | standard error, line | `a_list_of_logins_that_is_missing_or_open_to_everybody_is_named`, `a_list_of_prefixes_that_is_missing_or_open_to_everybody_is_named` |
//!
//! **Receivers of notices** (`[[notice]]`). None of these holds up anybody else, and none loses a notice unsaid. Counters have the
//! label `notice`.
//!
//! | input | answer | record | test |
//! |---|---|---|---|
//! | nobody listens; no answer in time; 408, 429, 5xx | again, later and later | `notices{outcome="later"}`, `notice_seconds_behind`, line, `/readyz` | `a_receiver_that_was_away_is_told_everything_in_order_though_the_daemon_was_killed_meanwhile`, `an_hour_without_a_receiver_loses_nothing_keeps_the_order_and_asks_it_few_times`, `who_was_not_told_for_long_is_named_to_the_person_on_call_and_answers_go_on`, `what_is_waited_for_doubles_up_to_five_minutes_and_half_of_it_is_chance` |
//! | it asks to be left alone for long, or says when in no way that is one | an hour at most; as without it | as above | `a_receiver_that_asks_for_time_gets_it_up_to_an_hour`, `how_long_it_wants_to_be_left_alone_is_seconds_or_a_date` |
//! | a redirect; any other answer | not followed; again for an hour, then the next one | `notices{outcome="refused"}`, `notices_lost`, line, the event `lost` | `a_receiver_that_is_slow_of_mind_gets_the_same_octets_until_it_takes_them`, `what_is_refused_is_tried_for_an_hour_and_what_is_not_taken_for_four_days`, `a_receiver_that_has_missed_something_is_told_how_much_once_it_listens` |
//! | an answer without end, or that is none | 4 KiB of it, for a second; again | as its head says; `later` | `an_answer_without_end_is_an_answer_and_takes_no_memory`, `a_head_is_an_answer_though_nothing_follows_it_and_no_head_is_none`, `a_receiver_that_is_slow_of_mind_gets_the_same_octets_until_it_takes_them` |
//! | a certificate that is not believed | nothing is sent; again | `later`, line | `over_tls_only_whoever_has_a_certificate_that_is_believed_is_told` |
//! | a program that hangs, fails, or floods its standard error | ended with all it has started; again for an hour | `refused`, line | `a_command_that_hangs_or_fails_is_ended_and_tried_again`, `one_that_hangs_is_ended_with_all_it_has_started`, `one_that_says_much_or_leaves_somebody_behind_is_not_waited_for` |
//! | words meant to act on a terminal | `0x...`; their first 200 octets | none | `what_it_says_is_shown_in_one_line_that_does_nothing` |
//! | names meant to act on whoever reads a notice or a report | `0x...`, quoted, or spelled out | none | `names_that_are_meant_to_act_stay_inert_in_the_document_and_in_its_sentence`, `names_that_are_meant_to_act_stay_inert_on_their_way`, `a_day_fits_a_ticket_and_a_mail_and_names_in_it_do_nothing` |
//! | a receiver in the configuration that can't be, or is there twice | 78; file, line, key | standard error | `each_mistake_about_notices_is_named` |
//!
//! **Lines of logs** (`who -`). A line that is not understood is answered as such, and the others are answered.
//!
//! | input | answer | record | test |
//! |---|---|---|---|
//! | no address; several, none marked as the client's | said so; nothing is asked | none | `each_line_is_answered_in_its_turn_with_what_was_understood_of_it`, `every_line_of_the_table_is_understood_as_it_says` |
//! | a local time that was there twice, or never | both readings; nothing is asked | none | `each_line_is_answered_in_its_turn_with_what_was_understood_of_it` |
//! | a line above 16 KiB, however long | as without the rest | none | `what_stands_behind_the_longest_line_is_not_looked_at`, `lines_are_cut_at_their_longest_and_the_next_one_is_whole` |
//! | more than 10,000 lines | 2 | none | `more_lines_than_are_answered_at_once_are_2` |
//! | any octets whatever | no panic, nothing that could act on a terminal | none | `any_line_is_survived_and_what_is_found_can_be_asked_about`, `one_row_per_line_in_every_format_and_nothing_that_could_act` |
//!
//! **Files of others** (`import`). What can't be read is told with its line, and the rest is read.
//!
//! | input | answer | record | test |
//! |---|---|---|---|
//! | neither a table nor a detail file; columns missing | 65; nothing is sent | standard error | `a_file_that_is_none_is_65_and_one_that_cant_be_had_74`, `a_heading_lacks_nothing_and_says_nothing_twice` |
//! | a line above 64 KiB, however long | rejected; memory as before | `--rejects` | `a_line_of_64_kib_is_read_and_a_longer_one_is_passed_over`, `memory_does_not_grow_with_the_file_nor_with_its_longest_line` |
//! | a quote that is not closed; too many or too few fields | that line is rejected | `--rejects` | `a_quote_that_is_not_closed_refuses_its_line_and_one_that_is_does_not`, `a_moment_that_was_there_twice_or_is_none_is_named_with_its_column` |
//! | a moment, an address, a number that is none; a value no attribute can hold | that row is rejected, with its column | `--rejects` | `a_moment_that_was_there_twice_or_is_none_is_named_with_its_column`, `an_address_that_is_none_is_named_and_one_that_says_nothing_yet_is_told_as_it_is`, `a_name_of_253_octets_fits_and_a_longer_one_is_named` |
//! | a gzip file that is cut | 74; what came before is taken | standard error | `several_gzip_files_in_one_are_read_to_their_end`, `a_file_that_is_none_is_65_and_one_that_cant_be_had_74` |
//! | a detail file that ends in the middle of a record | told, and read again by the next run | `--rejects` | `what_a_file_ends_with_in_its_middle_is_read_again_when_it_is_whole` |
//! | a log of mail without a line of Postfix | 65; nothing is sent | standard error | `a_log_without_a_postfix_is_65_and_a_stamp_that_is_no_moment_is_told_with_its_line` |
//! | a stamp in it that is no moment, or was there twice | that message is rejected | `--rejects` | `a_log_without_a_postfix_is_65_and_a_stamp_that_is_no_moment_is_told_with_its_line`, `a_stamp_without_a_year_is_of_the_latest_that_is_not_after_the_file` |
//! | a login or a sender that is meant to look like the rest of its line | no more than itself | none | `a_login_or_a_sender_that_looks_like_a_log_is_no_more_than_itself` |
//! | messages that never become complete | the oldest are forgotten | none | `messages_that_never_become_complete_take_no_memory_for_ever` |
//! | any line whatever | no panic | none | `any_line_is_survived` |
//! | a state that is none, or of another file | 2; nothing is sent | standard error | `a_state_of_another_file_is_not_gone_on_with` |
//!
//! **Files of ours.**
//!
//! | input | answer | record | test |
//! |---|---|---|---|
//! | a row of the log that was changed or is missing | 65; file and row; nothing is guessed | standard error | `a_damaged_row_in_the_middle_ends_with_65_and_names_file_and_row`, `a_missing_row_ends_with_65_and_names_file_and_row` |
//! | a log file that was cut, or is none | 65; file | standard error | `a_file_cut_short_is_damage`, `a_file_that_is_no_log_file_is_named` |
//! | a later version's log or index | 78 | standard error | `a_log_of_a_later_version_ends_with_78_and_says_so`, `an_index_of_a_later_version_ends_with_78_and_says_so` |
//! | a damaged snapshot | set aside; the older one, or the whole log | line | `a_damaged_snapshot_falls_back_to_the_older_one`, `without_a_good_snapshot_the_whole_log_is_read` |
//! | a question in the index that was changed, removed or inserted | `audit questions --verify` is 65 and names it | none | `whoever_changes_removes_or_inserts_a_question_breaks_the_chain_behind_it` |
//! | a damaged or missing index | begun anew, filled from the log | line | `a_damaged_audit_index_is_begun_anew_and_filled_again_from_the_log`, `a_removed_audit_index_is_filled_again_from_the_log` |
//! | a damaged note of how far detail files were read | set aside; they are read again | line | `a_cursor_that_was_changed_anywhere_is_set_aside_and_says_nothing`, `a_damaged_cursor_costs_only_a_second_reading` |
//! | a damaged file of what others are to be told | set aside; what the log still has is told again | line | `a_damaged_outbox_is_set_aside_and_what_the_log_has_is_told_again`, `what_the_log_still_has_is_told_again_when_what_waits_was_damaged_in_a_crash` |
//! | a key file that is none | 74; file | standard error | `a_file_that_is_no_key_is_refused` |

pub mod access;
#[cfg(feature = "daemon")]
pub mod audit;
#[cfg(feature = "daemon")]
pub mod cli;
#[cfg(feature = "daemon")]
pub mod clock;
pub mod complaint;
pub mod config;
#[cfg(feature = "daemon")]
pub mod console;
pub mod log;
pub mod mta;
pub mod notice;
pub mod paste;
pub mod radius;
#[cfg(feature = "daemon")]
pub mod rehearsal;
pub mod relay;
#[cfg(feature = "daemon")]
pub mod server;
pub mod session;
pub mod views;
pub mod watch;
