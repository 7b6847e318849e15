//! The 77 defects of the first generation, and for each the tests that show it impossible here.
//!
//! A test whose name has the defect's number (`w36_…`, `…_w40_w66`) counts by itself; the table names the others.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

const DEFECTS: u8 = 77;

/// Number, file, test. What has no line and no test of its name is told as not shown.
const SHOWN_BY: &str = "
1  crates/domain/src/walks/payments.rs money_that_comes_before_the_wallet_is_not_lost
1  crates/domain/src/wallet.rs money_paid_in_is_never_lost_for_want_of_a_wallet
2  crates/domain/src/walks/payments.rs a_notification_that_comes_five_times_credits_once
2  tests/stories/midtrans/deliveries.rs the_wallet_and_the_payment_are_what_the_gateways_last_status_implies_in_every_order_and_number
3  crates/domain/src/topup/tests.rs a_settlement_credits_once_and_late_news_changes_nothing
3  crates/domain/src/topup/tests.rs an_expiry_after_payment_is_for_a_person_to_look_at
3  crates/domain/src/topup/tests.rs a_payment_after_its_reversal_is_for_a_person_to_look_at
4  crates/store/tests/store/conflicts.rs two_processes_on_one_aggregate_lose_nothing
4  crates/domain/src/wallet.rs a_charge_to_the_last_rupiah_is_covered_and_one_more_is_not
5  crates/domain/src/walks/subscriptions.rs renewing_charges_once_and_makes_one_more_invoice
6  crates/domain/src/walks/subscriptions.rs a_renewal_that_is_not_covered_changes_nothing_and_may_be_tried_again
7  crates/domain/src/walks/subscriptions.rs too_little_money_is_answered_at_once_and_gives_the_slot_back
7  crates/domain/src/walks/subscriptions.rs repeated_without_receipts_and_with_nothing_to_spare_it_is_either_sold_or_given_back
8  crates/domain/src/plan.rs a_plan_sells_as_many_slots_as_it_has_and_no_more
8  crates/api/tests/api/services.rs the_last_slot_is_sold_once_and_the_loser_keeps_nothing
9  crates/api/tests/api/services.rs two_requests_at_once_make_one_subscription_and_one_charge
9  crates/domain/src/walks/subscriptions.rs one_live_subscription_per_customer_and_offering
9  tests/stories/idempotency.rs a_repeated_key_has_one_effect_and_one_answer
10 crates/runtime/tests/runtime/timing.rs a_passed_deadline_gives_money_and_slot_back
10 crates/domain/src/walks/subscriptions.rs cancelling_before_it_was_ready_gives_the_money_back
11 crates/domain/src/instance/tests.rs a_restart_never_starts_what_was_stopped
13 crates/domain/src/plan.rs a_slot_is_taken_once_and_given_back_only_by_who_has_it
13 crates/domain/src/walks/subscriptions.rs cancelling_stops_the_service_keeps_the_data_and_frees_slot_and_name
16 crates/provisioner/src/plan/tests.rs generated_values_stand_in_the_secret_only
16 crates/provisioner/tests/kubernetes/life.rs the_same_effect_again_gives_the_same_reports_and_the_same_secrets
19 projections/tests/projections/billing.rs the_history_adds_up_to_the_balance_through_refunds_reversals_and_adjustments
19 crates/domain/src/wallet.rs only_the_gateway_may_lead_below_zero
20 projections/tests/projections/billing.rs the_history_adds_up_to_the_balance_through_refunds_reversals_and_adjustments
20 tests/stories/chaos.rs nothing_is_lost_doubled_or_reordered_whatever_is_killed
21 crates/kernel/src/money.rs arithmetic_stops_at_what_json_can_carry
21 crates/domain/src/wallet.rs a_balance_that_cannot_be_counted_is_refused
22 crates/domain/src/invoice_book.rs numbers_follow_one_another_from_one
22 crates/domain/src/invoice_book.rs an_invoice_has_one_number_for_ever
23 crates/domain/src/topup/verdict.rs another_amount_currency_or_merchant_never_moves_money
24 crates/billing/tests/billing/midtrans_samples.rs every_genuine_sample_is_verified_and_keeps_its_fields
25 projections/tests/projections/billing.rs an_expired_top_up_shows_as_expired_in_the_history_too
25 crates/domain/src/topup/tests.rs a_denied_cancelled_or_expired_order_may_still_be_paid
26 crates/api/tests/api/money.rs a_gateway_that_is_away_leaves_an_order_that_can_be_paid_later
27 crates/domain/src/walks/payments.rs two_paid_attempts_are_both_credited_with_an_invoice_each
30 crates/kernel/src/time.rs months_keep_their_anchor_day
30 crates/domain/src/subscription/tests.rs a_renewal_in_grace_leaves_no_gap_and_a_later_one_begins_today
32 crates/api/src/routes/admin/users/create.rs nothing_of_a_password_is_left_in_what_a_request_is_known_by
32 crates/api/tests/api/accounts.rs secrets_never_reach_the_log_of_events
33 crates/minispod/src/config/tests.rs production_names_every_missing_or_unsafe_value
33 crates/xtask/src/deploy/secrets.rs the_scripts_table_is_read_and_a_secret_in_the_wrong_hands_is_found
35 crates/minispod/src/config/tests.rs production_names_every_missing_or_unsafe_value
35 crates/billing/src/midtrans/notification.rs the_key_never_shows
35 crates/billing/tests/billing/midtrans_samples.rs every_negative_case_gets_the_verdict_its_file_expects
36 crates/api/tests/api/sessions.rs a_refresh_token_works_once_and_its_second_use_ends_the_whole_session
37 crates/api/tests/api/accounts.rs an_unknown_address_and_a_wrong_password_are_told_the_same
38 crates/api/src/edge/address.rs only_trusted_proxies_may_name_the_client
38 crates/api/tests/api/edge.rs payment_notifications_have_an_allowance_of_their_own
38 crates/minispod/src/config/tests.rs numbers_have_bounds_on_both_sides
39 crates/api/tests/api/edge.rs preflights_pass_without_a_token_and_strangers_get_no_header
41 crates/provisioner/src/plan/tests.rs pods_have_the_sold_limits_and_as_few_rights_as_possible
41 crates/provisioner/tests/kubernetes/guards.rs reviewer_04_a_pod_with_too_many_rights_is_refused_in_the_customers_namespace
41 crates/provisioner/tests/kubernetes/guards.rs pods_over_the_customers_quota_come_back_as_a_reason
42 crates/provisioner/src/credentials.rs drawn_values_have_their_length_their_alphabet_and_no_twin
42 crates/provisioner/src/plan/tests.rs generated_values_stand_in_the_secret_only
44 crates/domain/src/admin_roster.rs the_last_administrator_stays
45 crates/api/src/error.rs the_cause_of_a_failure_is_for_the_log_only
45 crates/api/src/input/body.rs what_is_not_json_is_refused_without_an_echo
46 crates/mailer/src/templates.rs names_are_escaped_in_html_and_plain_in_text
46 crates/xtask/src/deploy/compose.rs a_default_password_an_open_port_and_a_missing_health_check_are_found
47 crates/provisioner/src/plan/tests.rs everything_is_labelled_as_ours_and_volumes_have_no_owner
47 crates/provisioner/tests/kubernetes/objects.rs somebody_elses_object_is_left_alone_and_its_owner_named
48 crates/domain/src/instance/tests.rs a_deleted_instance_cannot_be_run_again
48 crates/provisioner/tests/kubernetes/life.rs a_bought_instance_becomes_ready_stops_starts_and_goes_with_its_data
50 crates/provisioner/src/progress.rs ready_means_this_version_seen_running_and_no_older_copy_left
50 crates/provisioner/src/watch.rs a_short_absence_is_no_illness
51 crates/domain/src/walks/subscriptions.rs ready_after_the_deadline_is_stopped_and_never_active_and_refunded
51 crates/runtime/tests/runtime/timing.rs a_timer_fires_once_though_two_loops_race_for_it_and_never_early
52 crates/store/tests/store/effects.rs many_workers_do_every_effect_exactly_once_in_lane_order
53 crates/api/tests/api/usage.rs w53_use_is_what_was_measured_by_hour_and_day_and_only_its_owner_sees_it
53 crates/store/tests/store/telemetry.rs what_is_older_than_its_time_goes_a_bounded_number_at_once
54 crates/runtime/tests/runtime/reacting.rs intents_and_checkpoint_move_together_and_a_restart_goes_on_from_there
54 tests/stories/chaos.rs nothing_is_lost_doubled_or_reordered_whatever_is_killed
55 crates/runtime/tests/runtime/reacting.rs copies_share_the_work_and_no_effect_is_done_twice
55 crates/runtime/tests/runtime/reacting.rs stopping_finishes_what_has_begun
55 crates/api/tests/api/edge.rs a_request_in_flight_ends_before_the_server_does
56 crates/standins/src/cluster/life.rs an_outage_never_fails_an_instance_that_ran_before
56 crates/provisioner/tests/kubernetes/guards.rs a_cluster_that_does_not_answer_is_a_passing_failure
57 crates/runtime/tests/runtime/lanes.rs a_lasting_failure_parks_its_lane_until_it_is_retried
57 crates/domain/src/walks/subscriptions.rs cancelling_stops_the_service_keeps_the_data_and_frees_slot_and_name
58 crates/provisioner/src/kubernetes/failures.rs each_refusal_goes_to_whoever_can_help
59 crates/provisioner/src/plan/tests.rs wordpress_and_its_database_are_planned_as_committed
59 crates/provisioner/src/catalog.rs every_known_image_is_pinned_by_a_version
59 crates/provisioner/tests/kubernetes/life.rs a_restart_makes_a_new_pod_over_the_same_volume
61 tests/stories/client_flow.rs the_web_client_finds_every_field_that_it_reads
64 crates/mailer/src/templates.rs every_mail_renders_in_both_languages_with_subject_text_and_html
64 crates/domain/src/instance/tests.rs a_restart_never_starts_what_was_stopped
65 crates/api/tests/api/edge.rs every_refusal_has_the_envelope_and_its_real_status
65 crates/api/src/routes/subscriptions.rs all_reasons_come_together_and_money_alone_is_402
67 crates/api/tests/api/services.rs wishes_are_honoured_or_refused_by_name
68 crates/api/tests/api/money.rs other_peoples_money_does_not_exist_and_bad_filters_are_named
72 crates/store/tests/store/guard.rs migrating_twice_at_once_is_harmless
75 crates/api/src/openapi.rs every_route_is_described_and_nothing_else
75 crates/api/tests/api/edge.rs probes_and_status_name_their_parts
75 tests/stories/operators.rs the_apis_metrics_are_at_the_metrics_door_and_with_a_token_at_its_own
77 crates/api/tests/api/money.rs notifications_are_judged_before_anything_is_kept
77 tests/stories/midtrans/refusals.rs forged_tampered_and_foreign_notifications_move_no_money
";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every test of the workspace: file and name.
fn tests() -> BTreeSet<(String, String)> {
    let mut folders: Vec<PathBuf> = ["crates", "events", "projections", "tests"].map(|room| root().join(room)).into();
    let mut found = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|ending| ending == "rs") {
                let source = fs::read_to_string(&entry).expect("a source");
                let path = entry.strip_prefix(root()).expect("inside").display().to_string();
                found.extend(names(&source).into_iter().map(|name| (path.clone(), name.to_owned())));
            }
        }
    }
    found
}

/// The names of the functions behind a test's mark.
fn names(source: &str) -> Vec<&str> {
    let mut lines = source.lines().map(str::trim);
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if is_mark(line) {
            let function = lines.by_ref().find_map(|line| line.split_once("fn "));
            found.extend(function.and_then(|(_, rest)| rest.split('(').next()));
        }
    }
    found
}

/// Whether a line is an attribute that makes a test: `#[test]`, `#[tokio::test(…)]`.
fn is_mark(line: &str) -> bool {
    let path = line.strip_prefix("#[").and_then(|rest| rest.split([']', '(']).next());
    path.is_some_and(|path| path.rsplit("::").next() == Some("test"))
}

/// The defects in a test's name: words of `w` and a number.
fn numbers(name: &str) -> Vec<u8> {
    let words = name.split('_').filter_map(|word| word.strip_prefix('w')?.parse().ok());
    words.filter(|number| (1..=DEFECTS).contains(number)).collect()
}

/// Number, file and test of each line of the table.
fn table() -> Vec<(u8, String, String)> {
    let lines = SHOWN_BY.lines().filter(|line| !line.is_empty());
    let read = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [number, file, test] => (number.parse().expect("a number"), file.to_owned(), test.to_owned()),
        _ => panic!("not a line of the table: {line}"),
    };
    lines.map(read).collect()
}

#[test]
fn every_test_of_the_table_exists_and_what_none_shows_is_told() {
    let tests = tests();
    assert!(tests.len() > 500, "{} tests were found", tests.len());
    let table = table();
    let gone: Vec<_> = table.iter().filter(|(_, file, test)| !tests.contains(&(file.clone(), test.clone()))).collect();
    assert!(gone.is_empty(), "these tests are not there: {gone:#?}");
    let mut shown: BTreeMap<u8, BTreeSet<&str>> = (1..=DEFECTS).map(|number| (number, BTreeSet::new())).collect();
    let named = tests.iter().flat_map(|(_, test)| numbers(test).into_iter().map(move |number| (number, test.as_str())));
    for (number, test) in named.chain(table.iter().map(|(number, _, test)| (*number, test.as_str()))) {
        shown.get_mut(&number).expect("a number of a defect").insert(test);
    }
    // Written to the stream itself: the test harness swallows what the print macros say in a passing test.
    let open = shown.iter().filter(|(_, tests)| tests.is_empty()).map(|(number, _)| format!("W{number}"));
    let _ = writeln!(std::io::stderr(), "NOT SHOWN {}", open.collect::<Vec<_>>().join(" "));
}

#[test]
fn tests_are_found_by_their_mark_and_defects_by_their_number() {
    let source = "    #[test]\n    fn one() {}\n#[tokio::test(flavor = \"multi_thread\")]\n#[cfg(unix)]\nasync fn two_w5() {}\n\
                  #[cfg(test)]\nmod tests {}\nfn three() {}";
    assert_eq!(names(source), ["one", "two_w5"]);
    assert_eq!(numbers("w36_a_token_w7"), [36, 7]);
    assert_eq!(numbers("a_window_w78_w0_wide"), Vec::<u8>::new());
}
