//! Every store keeps the same promises: the stories of `mailboxes/stories.rs`, told of each.

mod mailboxes;
#[path = "mailboxes/stories.rs"]
mod stories;

use mailboxes::*;

macro_rules! conformance {
    ($module:ident, $backend:ty, $($story:ident)*) => {
        mod $module {
            $(#[test]
            fn $story() {
                crate::stories::$story::<$backend>();
            })*
        }
    };
}

/// The list stands once; a backend is added below.
macro_rules! stories {
    ($($story:ident)*) => {
        conformance!(memory, crate::Memory, $($story)*);
        conformance!(embedded, crate::Embedded, $($story)*);
    };
}

stories! {
    a_message_is_read_as_it_was_stored
    the_same_message_again_gets_the_first_answer_also_when_it_is_gone
    within_a_batch_each_op_sees_those_before_it
    cursors_rise_and_are_never_used_twice
    pages_give_every_item_once_whatever_the_clock_did
    a_confirmation_deletes_one_item_and_waits_for_its_sender
    case_24_a_false_confirmation_keeps_the_item
    a_confirmation_for_another_relay_waits_for_that_one
    another_relays_confirmation_is_taken_for_those_who_have_a_mailbox
    what_is_discarded_is_gone_without_a_word
    case_24_unknown_mailboxes_and_blocked_senders_are_denied_alike
    case_24_quotas_hold_for_each_sender_for_strangers_together_and_for_the_mailbox
    a_token_lets_a_stranger_in_and_a_one_time_token_once
    a_one_time_prekey_is_given_once_and_one_an_hour_to_each
    case_24_a_flood_of_askers_does_not_empty_the_stock
    what_is_over_goes_and_nothing_else
    an_unused_mailbox_goes_with_all_in_it_and_a_used_one_stays
    beyond_the_bound_there_are_no_new_mailboxes_and_old_ones_open
    the_statistics_count_what_waits
}
