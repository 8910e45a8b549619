//! **Cells of leaderless tables: whatever arrives, in whatever order, equal updates give equal states.**
//!
//! Every replica accepts writes, and replicas tell each other what changed or all that they hold. A cell is a state with a
//! join. Most cells hold data under *dots*, the names of the events that put it there. Beside the cells of a whole range of
//! keys stands one context, the set of dots that the replica knows (as in DottedDB: Gonçalves, Almeida, Baquero and Fonte 2017).
//! A dot that the context knows and no cell holds was removed; so a removal leaves no tombstone, nothing has to be kept for
//! some time, and nothing comes back, however long a replica was away.
//!
//! | word | reads | concurrent |
//! |---|---|---|
//! | `mv-register` | siblings | all stay, until a write that saw them |
//! | `lww-register` | one value, and how many it hides | the greatest stamp is shown |
//! | `flag`, `flag-disable-wins` | on or off | on wins; off wins |
//! | `set` (`or-set`), `set-remove-wins` | members | adds win; removals win |
//! | `counter` | a sum | all count; a reset takes what it observed |
//! | `bounded-counter` | a sum, never below a bound | each replica decreases by rights that it holds |
//! | `text` | a text | all edits count, in the order of Yjs |
//! | `map` | fields, each a cell | field by field; kinds do not clash |
//!
//! An operation changes the cell and gives the [`Delta`] that the others join. What it takes as *seen* is what a read handed out
//! ([`Cell::seen`]) and names dots of that one cell: who acts on what a client saw removes that and nothing else.
//!
//! **Promises**, each on all small executions of three replicas with lost disks, and on longer ones that are drawn:
//!
//! | | promise | test |
//! |---|---|---|
//! | 1 | joins are commutative, associative, idempotent, and only add; equal updates give equal states; deltas in any order, doubled, give the full state | `laws`, and broken: `joins_by_difference_average_and_sum_are_none` |
//! | 2 | siblings are exactly what was written concurrently | `siblings_are_exactly_what_was_written_concurrently`; broken: `a_sibling_is_not_dropped`, `a_vector_that_is_greater_somewhere_is_not_later` |
//! | 3 | of concurrent writes the latest is shown, and a read says how many it does not show | `the_latest_of_concurrent_writes_is_shown_and_the_others_are_counted`; broken: `the_last_writer_does_not_make_the_others_forgotten` |
//! | 4 | a flag said both ways at once goes the way that wins | `a_flag_that_is_turned_both_ways_at_once_goes_the_way_that_wins` |
//! | 5 | a removal removes what was seen, and what it did not see wins or loses as the kind says | `an_add_wins_over_a_removal_that_did_not_see_it`, `a_removal_wins_over_an_add_that_did_not_see_it`; broken: `an_add_that_was_not_seen_is_not_removed` |
//! | 6 | what was removed does not come back, and can be added again | `what_is_removed_leaves_nothing_behind`; broken: `what_was_removed_does_not_come_back`, `what_was_removed_can_be_added_again` |
//! | 7 | a counter is the sum of what no reset observed | `a_counter_is_the_sum_of_what_no_reset_observed`; broken: `an_increment_does_not_bring_back_what_was_reset` |
//! | 8 | a change under a name counts once, whoever repeats it | `what_has_a_name_counts_once_whoever_repeats_it`, `a_name_stands_for_one_amount` |
//! | 9 | a counter refuses to overflow, and does not wrap | `an_overflow_is_refused_and_changes_nothing`, `a_sum_beyond_64_bits_is_told_as_it_is` |
//! | 10 | a bounded counter is never below its bound in any state, and refuses exactly what its rights do not reach | `a_bounded_counter_never_falls_below_its_bound`, `a_decrease_brings_the_rights_behind_it`, `a_life_takes_what_the_earlier_lives_of_its_node_hold`; broken: `rights_that_were_given_are_gone` |
//! | 11 | fields of one name and two kinds stand beside each other, and go one by one | `fields_of_one_name_and_two_kinds_stand_beside_each_other`, `what_cannot_be_removed_or_nested_is_refused` |
//! | 12 | cells share a context and nothing else | `cells_share_a_context_and_nothing_else`; broken: `a_change_does_not_speak_for_the_whole_range` |
//! | 13 | a text is what its updates say, however they were put together; its order is that of Yjs | `a_text_is_what_its_updates_say`, `texts_are_those_of_yrs`, `updates_recorded_from_yjs_are_read_as_yjs_reads_them`; broken: `a_text_that_is_put_together_replaces_only_what_was_seen` |
//! | 14 | the bytes on wire and disk do not change unnoticed | `cells_have_these_bytes`, `arbitrary_bytes_make_no_cell_that_panics` |
//!
//! **Not here.** Who stores and sends what; what a range is; limits on siblings, members and fields; the
//! names of actors. What was seen is trusted: a client that forges it removes what it names, so the store signs or checks
//! what it hands out. That a replica shows no sibling whose replacement it has not heard of: before it hears, it does. A counter
//! keeps an entry for each actor after a reset, a removal that wins keeps its dot, a register that shows one value holds the
//! others until they were seen. Counters have no dots, so that two replicas know the same context does not say that they hold the
//! same counters: whoever compares replicas compares those themselves. When a life may take
//! the rights of an earlier one: who calls [`Bounded::take_back`] knows (decision 0020).
//!
//! **On disk** and on the wire: what serde derives, in postcard. [`AnyCell::is_sound`] is asked of all that was decoded. The one
//! who stores begins with a version byte.
//!
//! **What breaks it.** A count that is used again after a disk was lost (riak_kv #1094, scylla #2169); therefore an
//! [`Actor`](crate::clock::Actor) is a node in one incarnation (`a_lost_disk_does_not_give_its_identity_to_the_next`). A delta
//! that carries the context of the whole range. A context that is joined before the last cell that it covers.
//!
//! **Read next.** `dots.rs`, then `register.rs`, `counter.rs`, `text/mod.rs`, `laws/mod.rs`.

mod any;
mod bounded;
mod counter;
mod dots;
mod flag;
mod latest;
#[cfg(test)]
mod laws;
mod map;
mod register;
mod set;
#[cfg(test)]
mod tests;
pub mod text;

pub use any::{AnyCell, Kind, Leaf, Seen, SeenLeaf};
pub use bounded::Bounded;
pub use counter::{Counter, NAMES, Totals};
pub use dots::{DotFun, DotMap, DotSet, Place};
pub use flag::{DisableWins, EnableWins, Flag};
pub use latest::{Latest, Shown};
pub use map::{Field, Map, SeenFields};
pub use register::Register;
pub use set::{AddWins, RemoveWins, SeenMembers, Set};
pub use text::Text;

use crate::clock::{Context, Dot};
use core::fmt;
use serde::{Deserialize, Serialize};

/// A state whose joins depend on what each side knows.
///
/// The context belongs to whoever holds the cell, and may cover many cells. It knows every dot that the cell holds; a dot that
/// it knows and the cell does not hold was removed. Joins are commutative, associative and idempotent, and only add knowledge.
pub trait Cell: Clone {
    /// What a reader saw: what it hands back names exactly that, in this cell and no other.
    type Seen;
    /// Takes in another state of this cell. `mine` is the context before `theirs` is joined into it, which the caller does
    /// after the last cell that they cover.
    fn join(&mut self, mine: &Context, other: &Self, theirs: &Context);
    /// What a read of this cell hands out.
    fn seen(&self) -> Self::Seen;
    /// Removes what was seen, whether it has arrived here or not. What was not seen stays.
    ///
    /// # Errors
    /// [`Refused::Stays`] if there is a bounded counter in what was seen; then nothing is removed.
    fn remove(&mut self, seen: &Self::Seen) -> Result<Delta<Self>, Refused>;
    /// Does it hold nothing at all, so that it need not be stored?
    fn is_bottom(&self) -> bool;
    /// Does a reader find nothing, though there may be something to remember?
    fn is_absent(&self) -> bool {
        self.is_bottom()
    }
    /// Calls with every dot that it holds.
    fn dots(&self, each: &mut dyn FnMut(Dot));
}

/// What an operation changed: what the other replicas join, in any order and any number of times. The replica that made it
/// joins the context only, for the operation changed its cell.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Delta<C> {
    /// The change.
    pub cell: C,
    /// The new dot, if there is one, and the dots that it replaces or removes: all of this one cell.
    pub context: Context,
}

impl<C> Delta<C> {
    /// The same change of a cell around that cell.
    pub fn map<T>(self, wrap: impl FnOnce(C) -> T) -> Delta<T> {
        Delta { cell: wrap(self.cell), context: self.context }
    }
}

impl<C: Cell> Delta<C> {
    /// Takes in another change of the same cell, so that the two travel as one.
    pub fn join(&mut self, other: &Delta<C>) {
        self.cell.join(&self.context, &other.cell, &other.context);
        self.context.join(&other.context);
    }
}

/// Why an operation changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refused {
    /// The value would leave the range of `i64`, or a total that of `u64`.
    Overflow,
    /// The actor holds too few rights.
    Rights {
        /// So many it holds.
        there: u64,
        /// So many are known, whoever holds them.
        known: u64,
    },
    /// A bounded counter cannot be removed.
    Stays,
    /// A field of a map cannot be a map.
    Nested,
    /// The name of the change stands for another change already.
    OtherUse,
    /// The cell remembers as many names of changes as it can.
    Full,
    /// The text is as long as it can be.
    Long,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Overflow => f.write_str("the counter would leave the range of 64 bits; nothing was applied"),
            Refused::Rights { there, known } => write!(
                f,
                "the replica asked holds {there} of the {known} rights to decrease the counter that it knows of; nothing was \
                 applied; ask for less, or move rights with ESCROW.GIVE"
            ),
            Refused::Stays => f.write_str("a bounded counter cannot be removed; nothing was applied"),
            Refused::OtherUse => {
                f.write_str("this idempotency key was used for another change of the key; nothing was applied")
            }
            Refused::Full => write!(
                f,
                "the counter remembers {} idempotency keys and takes no more; nothing was applied; add without one, or \
                 use another counter",
                counter::NAMES
            ),
            Refused::Long => {
                write!(
                    f,
                    "the updates of one text have at most {} bytes; nothing was applied",
                    crate::limits::TEXT_BYTES
                )
            }
            Refused::Nested => {
                f.write_str("a field of a map cannot be a map; nothing was applied; put the path into its name")
            }
        }
    }
}
