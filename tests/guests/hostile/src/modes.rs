//! The ways to break the contract. The guest finds its mode in the name of its book; the tests
//! include this file too, so a mode without a test does not compile.

/// Keeps the contract.
#[cfg_attr(
    target_family = "wasm",
    expect(dead_code, reason = "what the guest does in any mode it does not know")
)]
pub const HONEST: &str = "honest";
/// Loops for ever while it loads its book.
pub const SPIN_IN_LOAD: &str = "spin_in_load";
/// Allocates without end while it loads its book.
pub const ALLOCATE_IN_LOAD: &str = "allocate_in_load";
/// Loops for ever.
pub const SPIN: &str = "spin";
/// Spends much time in few instructions.
pub const STALL: &str = "stall";
/// Calls itself for ever.
pub const RECURSE: &str = "recurse";
/// Allocates without end.
pub const ALLOCATE: &str = "allocate";
/// Executes `unreachable`.
pub const TRAP: &str = "trap";
/// Returns lines that refer to 100 MB of text.
pub const FLOOD: &str = "flood";
/// Refuses with a text of 4 MiB.
pub const LONG_REFUSAL: &str = "long_refusal";
/// Answers with a text outside its memory.
pub const POINT_OUTSIDE: &str = "point_outside";
/// A total one nano-dollar above the sum of its lines.
pub const TOTAL_OFF_BY_A_NANO: &str = "total_off_by_a_nano";
/// A line whose amount is one nano-dollar above quantity × unit price.
pub const LINE_OFF_BY_A_NANO: &str = "line_off_by_a_nano";
/// A discount larger than everything else.
pub const NEGATIVE_TOTAL: &str = "negative_total";
/// A negative amount on a line that is no discount.
pub const NEGATIVE_MARKUP: &str = "negative_markup";
/// A discount that leaves less than the provider cost.
pub const UNDER_COST: &str = "under_cost";
/// Says that the provider cost was one nano-dollar, and charges that.
pub const LIE_ABOUT_COST: &str = "lie_about_cost";
/// A fee of 1,000 dollars per call, called a minimum.
pub const GREEDY: &str = "greedy";
/// The same fee where the operator's key serves the call, and no word of it in the quote.
pub const DEARER_THAN_QUOTED: &str = "dearer_than_quoted";
/// More lines than an answer may have.
pub const TOO_MANY_LINES: &str = "too_many_lines";
/// Quotes one nano-dollar for everything.
pub const LOW_QUOTE: &str = "low_quote";
/// A decimal of scale 200.
pub const SCALE_200: &str = "scale_200";
/// Zero with a sign.
pub const MINUS_ZERO: &str = "minus_zero";
/// Attributes in the wrong order.
pub const UNSORTED: &str = "unsorted";
/// A meter whose name is not well formed.
pub const BAD_METER: &str = "bad_meter";
/// Rates of the book, and no word of the model.
pub const NO_MODEL: &str = "no_model";
/// One answer less than it was asked for.
pub const SHORT_BATCH: &str = "short_batch";
/// Executes `unreachable` where more than a hundred events come at once.
pub const TRAP_IN_FULL_BATCH: &str = "trap_in_full_batch";
/// Executes `unreachable` for a page of the rate card.
pub const TRAP_ON_CARD: &str = "trap_on_card";
/// Executes `unreachable` for a call with the customer's own key.
pub const TRAP_ON_OWN_KEY: &str = "trap_on_own_key";
/// Executes `unreachable` for a customer on a plan.
pub const TRAP_ON_PLAN: &str = "trap_on_plan";
/// Executes `unreachable` for an event with more than ten pools.
pub const TRAP_ON_MANY_POOLS: &str = "trap_on_many_pools";
/// Executes `unreachable` for an event without pools.
pub const TRAP_ON_NO_POOLS: &str = "trap_on_no_pools";
/// Prices at most a billion units of a meter.
pub const CLAMP: &str = "clamp";
/// Answers of a batch with the refusals at its end, where there are several.
pub const REFUSED_LAST: &str = "refused_last";
/// One answer to a batch of no events.
pub const ANSWER_NOTHING: &str = "answer_nothing";
/// Pages of the rate card as long as they may be, however few entries were asked for.
pub const LONG_PAGES: &str = "long_pages";
/// Pages of the rate card from the first entry, whatever was the last of the page before.
pub const SAME_PAGE: &str = "same_page";
/// Charges a nano-dollar more where the bits of a NaN are not those of every machine.
pub const NAN: &str = "nan";
/// Charges more with every call: it remembers.
pub const REMEMBER: &str = "remember";
/// Loops without end when it meets the model `gpt-4o-mini`, else honest.
pub const SPIN_ON_MINI: &str = "spin_on_mini";
/// Traps when it meets the model `gpt-4o-mini`, else honest.
pub const TRAP_ON_MINI: &str = "trap_on_mini";
