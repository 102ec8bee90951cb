//! The adapter for `farebox:policy@1.0.0`: the canonical ABI on one side, [`crate::Policy`] on the
//! other. It decides nothing.
//!
//! It reads the host's words where they lie ([`ask`]) and writes the answer where the host reads
//! it ([`reply`]), in memory that is over with the next call ([`memory`]). A generated adapter
//! would copy everything into types of its own, twice, and drop it piece by piece; on the path of
//! every event that was most of the work.
//!
//! What the host sends is trusted to be well formed as little as what a policy answers: a number
//! that the plain types cannot hold is refused as out of range before the policy sees it.

#[doc(hidden)]
pub mod abi;
mod ask;
mod memory;
mod reply;

use crate::Policy;
use memory::CallMemory;
use std::alloc::Layout;
use std::cell::UnsafeCell;
use std::marker::PhantomData;

/// `wit/1.0.0` in the form that turns a module into a component, for [`crate::export_component!`].
/// `tests/tests/contract.rs` writes it from the WIT and compares.
pub const COMPONENT_TYPE: &[u8; include_bytes!("component-type.bin").len()] =
    include_bytes!("component-type.bin");

/// What the section `farebox:arguments` of a module says to the host: nothing of what it writes for a
/// call is ever freed ([`memory`]), so it need not ask for each text alone.
pub const ARGUMENTS: &[u8; 11] = b"of the call";

/// The functions that a component of the policy `P` exports; see [`crate::export_component!`],
/// which is the only caller.
///
/// All are unsafe: their arguments are what the contract's canonical ABI says, in memory of
/// [`reallocate`], and there is one thread.
pub struct Exported<P>(PhantomData<P>);

struct OneThread(UnsafeCell<CallMemory>);

// SAFETY: a policy's module has one thread (see `crate::allocator`), and elsewhere nothing calls
// the exported functions.
unsafe impl Sync for OneThread {}

static MEMORY: OneThread = OneThread(UnsafeCell::new(CallMemory::new()));

/// The memory of the call that is going on.
///
/// # Safety
/// The caller is one of the exported functions, and has it until it returns.
unsafe fn call_memory() -> &'static mut CallMemory {
    // SAFETY: one thread, and the host calls no function while it is in another.
    unsafe { &mut *MEMORY.0.get() }
}

/// `cabi_realloc`: where the host writes arguments.
///
/// # Safety
/// See [`Exported`].
#[doc(hidden)]
pub unsafe fn reallocate(old: *mut u8, old_bytes: usize, align: usize, bytes: usize) -> *mut u8 {
    // SAFETY: as the caller promises.
    let memory = unsafe { call_memory() };
    memory.begin();
    let Ok(layout) = Layout::from_size_align(bytes, align) else {
        std::process::abort()
    };
    let new = memory.take(layout);
    if new.is_null() {
        std::process::abort()
    }
    if old_bytes != 0 {
        // SAFETY: the host says that so many bytes are there; the new block is another one.
        unsafe { old.copy_to_nonoverlapping(new, old_bytes.min(bytes)) };
    }
    new
}

/// What the host calls a policy by.
#[doc(hidden)]
pub type Handle = u32;

#[doc(hidden)]
impl<P: Policy> Exported<P> {
    /// `policy.load`; `own` makes a handle of the policy.
    pub unsafe fn load(
        book: *mut u8,
        book_bytes: usize,
        own: unsafe fn(*mut P) -> Handle,
    ) -> *const abi::Outcome<Handle, abi::ConfigError> {
        // SAFETY: as the caller promises.
        unsafe {
            let memory = begun();
            let book = memory.keep(book, book_bytes);
            let answer = match P::load(book) {
                Ok(policy) => abi::Outcome::ok(own(Box::into_raw(Box::new(policy)))),
                Err(error) => abi::Outcome::err(reply::config_error(memory, &error)),
            };
            answered(memory, answer)
        }
    }

    /// What becomes of a policy that the host gives up.
    pub unsafe fn drop(policy: *mut P) {
        // SAFETY: `load` made it, and the host gives it up once.
        drop(unsafe { Box::from_raw(policy) });
    }

    /// `policy.quote`.
    pub unsafe fn quote(
        arguments: *const abi::Arguments<P, abi::QuoteRequest>,
    ) -> *const reply::Answer<abi::Quote> {
        // SAFETY: as the caller promises.
        unsafe {
            let memory = begun();
            let policy = &*(*arguments).policy;
            let answer = ask::quote_request(memory, &(*arguments).request)
                .and_then(|asked| policy.quote(&asked.0, &asked.1));
            let answer = reply::quote(memory, answer);
            answered(memory, answer)
        }
    }

    /// `policy.rate`.
    pub unsafe fn rate(
        arguments: *const abi::Arguments<P, abi::RateRequest>,
    ) -> *const reply::Answer<abi::Rating> {
        // SAFETY: as the caller promises.
        unsafe {
            let memory = begun();
            let (policy, request) = (&*(*arguments).policy, &(*arguments).request);
            let answer = ask::event(memory, &request.event).and_then(|event| {
                let facts = ask::facts(memory, &request.facts)?;
                policy.rate(&event, &facts)
            });
            let answer = reply::rating(memory, answer);
            answered(memory, answer)
        }
    }

    /// `policy.rate-batch`.
    pub unsafe fn rate_batch(
        policy: *const P,
        callers: abi::List<abi::Caller>,
        requests: abi::List<abi::BatchRequest>,
    ) -> *const abi::List<reply::Answer<abi::Rating>> {
        // SAFETY: as the caller promises.
        unsafe {
            let memory = begun();
            let callers = callers.items().iter();
            let callers: Result<Vec<_>, _> =
                callers.map(|caller| ask::caller(memory, caller)).collect();
            let answers = match callers {
                Ok(mut callers) => reply::list(memory, requests.items(), |memory, request| {
                    let answer = ask::event(memory, &request.event).and_then(|event| {
                        let facts = ask::facts_of(request, &mut callers)?;
                        (*policy).rate(&event, facts)
                    });
                    reply::rating(memory, answer)
                }),
                Err(refused) => reply::list(memory, requests.items(), |memory, _| {
                    reply::rating(memory, Err(refused.clone()))
                }),
            };
            answered(memory, answers)
        }
    }

    /// `policy.rate-card`.
    pub unsafe fn rate_card(
        arguments: *const abi::Arguments<P, abi::RateCardRequest>,
    ) -> *const reply::Answer<abi::RateCardPage> {
        // SAFETY: as the caller promises.
        unsafe {
            let memory = begun();
            let policy = &*(*arguments).policy;
            let answer = ask::rate_card_request(memory, &(*arguments).request)
                .and_then(|asked| policy.rate_card(&asked.0, &asked.1));
            let answer = reply::rate_card_page(memory, answer);
            answered(memory, answer)
        }
    }

    /// `policy.describe`.
    pub unsafe fn describe(policy: *const P) -> *const abi::Description {
        // SAFETY: as the caller promises.
        unsafe {
            let memory = begun();
            let answer = reply::description(memory, &(*policy).describe());
            answered(memory, answer)
        }
    }
}

/// # Safety
/// See [`call_memory`].
unsafe fn begun() -> &'static mut CallMemory {
    // SAFETY: as the caller promises.
    let memory = unsafe { call_memory() };
    memory.begin();
    memory
}

/// Puts the answer where the host reads it.
#[inline]
fn answered<A>(memory: &mut CallMemory, answer: A) -> *const A {
    let room = memory.room_for::<A>(1);
    if room.is_null() {
        std::process::abort();
    }
    // SAFETY: there is room for it.
    unsafe { room.write(answer) };
    memory.end();
    room
}
