//! Every store keeps the same promises: the stories of `mailboxes`, told of each.

mod mailboxes;
#[path = "mailboxes/permissions.rs"]
mod permissions;
#[path = "mailboxes/stories.rs"]
mod stories;

use mailboxes::*;

macro_rules! conformance {
    ($module:ident, $backend:ty, $($file:ident::$story:ident)*) => {
        mod $module {
            $(#[test]
            fn $story() {
                crate::$file::$story::<$backend>();
            })*
        }
    };
}

/// The list stands once; a backend is added below.
macro_rules! stories {
    ($($file:ident::$story:ident)*) => {
        conformance!(memory, crate::Memory, $($file::$story)*);
        conformance!(embedded, crate::Embedded, $($file::$story)*);
        conformance!(encrypted, crate::Encrypted, $($file::$story)*);
    };
}

stories! {
    stories::a_message_is_read_as_it_was_stored
    stories::the_same_message_again_gets_the_first_answer_also_when_it_is_gone
    stories::within_a_batch_each_op_sees_those_before_it
    stories::cursors_rise_and_are_never_used_twice
    stories::what_is_stored_after_a_copy_was_put_back_is_given_to_a_reader_who_was_further
    stories::pages_give_every_item_once_whatever_the_clock_did
    stories::a_confirmation_deletes_one_item_and_waits_for_its_sender
    stories::case_24_a_false_confirmation_keeps_the_item
    stories::a_confirmation_for_another_relay_waits_for_that_one
    stories::what_waits_for_another_relay_goes_also_to_the_sender_in_person
    stories::what_another_relay_refuses_is_dropped_if_too_many_wait_for_its_sender
    stories::what_another_relay_refuses_waits_for_its_sender_alone
    stories::another_relays_confirmation_is_taken_for_those_who_have_a_mailbox
    stories::what_is_discarded_is_gone_without_a_word
    stories::what_is_over_goes_and_nothing_else
    stories::an_unused_mailbox_goes_with_all_in_it_and_a_used_one_stays
    stories::beyond_the_bound_there_are_no_new_mailboxes_and_old_ones_open
    stories::the_statistics_count_what_waits
    permissions::case_24_unknown_mailboxes_and_blocked_senders_are_denied_alike
    permissions::case_24_quotas_hold_for_each_sender_for_strangers_together_and_for_the_mailbox
    permissions::a_token_lets_a_stranger_in_and_a_one_time_token_once
    permissions::a_token_stays_burnt_until_its_owner_lists_it_no_more
    permissions::a_one_time_prekey_is_given_once_and_one_an_hour_to_each
    permissions::one_time_prekeys_of_a_state_that_its_owner_has_lost_are_given_to_nobody
    permissions::case_24_a_flood_of_askers_does_not_empty_the_stock
}
