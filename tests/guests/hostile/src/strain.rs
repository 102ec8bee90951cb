//! Attacks on the sandbox itself: time, memory, stack.

use crate::modes;
use crate::wit;
use std::hint::black_box;

/// Strains the sandbox, where the mode is one that does.
pub fn perhaps(mode: &str, request: &wit::RateRequest) {
    match mode {
        modes::SPIN => spin(),
        modes::STALL => stall(),
        modes::ALLOCATE => allocate(),
        modes::TRAP => core::arch::wasm32::unreachable(),
        modes::RECURSE => {
            black_box(recurse(
                1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
            ));
        }
        modes::TRAP_ON_OWN_KEY if request.facts.caller.key_source == wit::KeySource::Own => {
            core::arch::wasm32::unreachable()
        }
        modes::TRAP_ON_PLAN if request.facts.caller.plan.is_some() => {
            core::arch::wasm32::unreachable()
        }
        modes::TRAP_ON_MANY_POOLS if request.event.pools.len() > 10 => {
            core::arch::wasm32::unreachable()
        }
        modes::TRAP_ON_NO_POOLS if request.event.pools.is_empty() => {
            core::arch::wasm32::unreachable()
        }
        modes::TRAP_ON_MINI if is_mini(request) => core::arch::wasm32::unreachable(),
        modes::SPIN_ON_MINI if is_mini(request) => spin(),
        _ => {}
    }
}

/// Asked for, or served under a dated name.
fn is_mini(request: &wit::RateRequest) -> bool {
    let event = &request.event;
    [&event.model_asked, &event.model_served]
        .into_iter()
        .flatten()
        .any(|model| model.starts_with("gpt-4o-mini"))
}

pub fn spin() -> ! {
    #[expect(clippy::empty_loop, reason = "hostile on purpose")]
    loop {}
}

pub fn allocate() -> ! {
    loop {
        std::mem::forget(black_box(Vec::<u8>::with_capacity(1 << 20)));
    }
}

/// Filling memory is one instruction, however much it fills.
fn stall() -> ! {
    let mut block = vec![0_u8; 16 << 20];
    loop {
        black_box(&mut block).fill(7);
    }
}

/// Keeps twenty numbers alive over each call, all on the wasm stack: it fills before the fuel ends.
#[inline(never)]
#[expect(
    clippy::too_many_arguments,
    clippy::many_single_char_names,
    reason = "wide frames"
)]
fn recurse(
    a: u64,
    b: u64,
    c: u64,
    d: u64,
    e: u64,
    f: u64,
    g: u64,
    h: u64,
    i: u64,
    j: u64,
    k: u64,
    l: u64,
    m: u64,
    n: u64,
    o: u64,
    p: u64,
    q: u64,
    r: u64,
    s: u64,
    t: u64,
) -> u64 {
    if a == u64::MAX {
        return b;
    }
    let below = recurse(
        b,
        c,
        d,
        e,
        f,
        g,
        h,
        i,
        j,
        k,
        l,
        m,
        n,
        o,
        p,
        q,
        r,
        s,
        t,
        a ^ 1,
    );
    below.wrapping_mul(3)
        ^ a.wrapping_mul(b)
        ^ c.wrapping_mul(d)
        ^ e.wrapping_mul(f)
        ^ g.wrapping_mul(h)
        ^ i.wrapping_mul(j)
        ^ k.wrapping_mul(l)
        ^ m.wrapping_mul(n)
        ^ o.wrapping_mul(p)
        ^ q.wrapping_mul(r)
        ^ s.wrapping_mul(t)
}
