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
            black_box(recurse([1, 2, 3, 4, 5, 6, 7, 8]));
        }
        modes::TRAP_ON_MINI if request.event.model_asked.as_deref() == Some("gpt-4o-mini") => {
            core::arch::wasm32::unreachable()
        }
        _ => {}
    }
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

/// Keeps eight numbers alive over each call, all on the wasm stack.
#[inline(never)]
fn recurse(n: [u64; 8]) -> u64 {
    let [a, b, c, d, e, f, g, h] = n.map(black_box);
    // Never true, which only the compiler does not know.
    if black_box(false) {
        return a;
    }
    let below = recurse([b, c, d, e, f, g, h, a ^ 1]);
    below ^ a.wrapping_mul(b ^ c.wrapping_mul(d ^ e.wrapping_mul(f ^ g.wrapping_mul(h))))
}
