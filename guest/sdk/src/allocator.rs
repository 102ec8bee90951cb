//! The allocator of a policy: lists of free blocks by size, carved out of slabs.
//!
//! Rating one event makes and drops dozens of small blocks: the strings and lists of the question
//! and of the answer. Rust says the size of a block again when it is dropped, so a list per size
//! needs no header, no search and no merging: a dozen instructions each way, against a hundred or
//! more in the general allocator. Slabs are never given back, but their blocks are used again, so
//! memory grows with what is alive at once and not with the number of calls. Larger blocks go to
//! the general allocator.
//!
//! It must not know what it is used for.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr;

/// Blocks up to this size are multiples of [`STEP`], those above powers of two.
const FINE_MAX: usize = 1 << 10;
const STEP: usize = 1 << STEP_BITS;
const STEP_BITS: u32 = 4;
/// The largest block that comes out of a slab.
const BLOCK_MAX: usize = 8 << 10;
const CLASSES: usize = (FINE_MAX >> STEP_BITS) + 3;
/// A little below a page of wasm, with the general allocator's own header.
const SLAB: Layout = match Layout::from_size_align((64 << 10) - 64, STEP) {
    Ok(layout) => layout,
    Err(_) => Layout::new::<u128>(),
};

/// A free block begins with the address of the next.
struct Free {
    next: *mut Free,
}

struct Lists {
    free: [*mut Free; CLASSES],
    /// What is left of the slab.
    rest: *mut u8,
    rest_bytes: usize,
}

/// See the module's description. [`crate::export_component!`] installs it.
pub struct Blocks(UnsafeCell<Lists>);

// SAFETY: a policy's module has one thread: the contract's world has no way to start another, and
// without wasm's atomics the compiler takes none into account either.
#[cfg(all(target_family = "wasm", not(target_feature = "atomics")))]
unsafe impl Sync for Blocks {}

impl Blocks {
    /// No memory yet.
    pub const fn new() -> Self {
        Self(UnsafeCell::new(Lists {
            free: [ptr::null_mut(); CLASSES],
            rest: ptr::null_mut(),
            rest_bytes: 0,
        }))
    }
}

impl Default for Blocks {
    fn default() -> Self {
        Self::new()
    }
}

/// The list and the size of the blocks for a layout; `None` for the general allocator's.
#[inline]
const fn class_of(layout: Layout) -> Option<(usize, usize)> {
    if layout.align() > STEP {
        return None;
    }
    class_of_size(layout.size())
}

#[inline]
const fn class_of_size(bytes: usize) -> Option<(usize, usize)> {
    if bytes <= FINE_MAX {
        let class = bytes.saturating_sub(1) >> STEP_BITS;
        Some((class, class.wrapping_add(1) << STEP_BITS))
    } else if bytes <= BLOCK_MAX {
        let size = bytes.next_power_of_two();
        // 2 KiB is the first class after the fine ones.
        let doublings = size.ilog2().wrapping_sub(FINE_MAX.ilog2()) as usize;
        Some((
            (FINE_MAX >> STEP_BITS)
                .wrapping_add(doublings)
                .wrapping_sub(1),
            size,
        ))
    } else {
        None
    }
}

impl Lists {
    #[inline]
    fn take(&mut self, class: usize, size: usize) -> *mut u8 {
        let Some(list) = self.free.get_mut(class) else {
            return ptr::null_mut();
        };
        let block = *list;
        if block.is_null() {
            return self.carve(size);
        }
        // SAFETY: what is in a list was put there by `put`, which wrote its `next`.
        *list = unsafe { (*block).next };
        block.cast()
    }

    #[cold]
    fn carve(&mut self, size: usize) -> *mut u8 {
        if self.rest_bytes < size {
            // SAFETY: the layout has a size.
            let slab = unsafe { System.alloc(SLAB) };
            if slab.is_null() {
                return slab;
            }
            // What was left of the slab before is too small for this and is not used any more.
            (self.rest, self.rest_bytes) = (slab, SLAB.size());
        }
        let block = self.rest;
        // SAFETY: `size` bytes from `rest` on are within the slab.
        self.rest = unsafe { block.add(size) };
        self.rest_bytes = self.rest_bytes.saturating_sub(size);
        block
    }

    /// # Safety
    /// `block` came from `take` of this class, and nothing uses it any more.
    #[inline]
    unsafe fn put(&mut self, class: usize, block: *mut u8) {
        if let Some(list) = self.free.get_mut(class) {
            let block = block.cast::<Free>();
            // SAFETY: every block has at least 16 bytes and is aligned to 16.
            unsafe { block.write(Free { next: *list }) };
            *list = block;
        }
    }
}

// SAFETY: blocks are of the class's size, aligned to 16, disjoint, and stay where they are; the
// class is found again from the layout. The lists are only ever touched by one thread (see `Sync`),
// and no reference to them leaves these functions.
unsafe impl GlobalAlloc for Blocks {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match class_of(layout) {
            // SAFETY: one thread, and `take` calls nothing that allocates here again.
            Some((class, size)) => unsafe { (*self.0.get()).take(class, size) },
            // SAFETY: as the caller promises.
            None => unsafe { System.alloc(layout) },
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match class_of(layout) {
            // SAFETY: the caller promises that the block was allocated with this layout.
            Some((class, _)) => unsafe { (*self.0.get()).put(class, block) },
            // SAFETY: the same.
            None => unsafe { System.dealloc(block, layout) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        let wanted = if layout.align() > STEP {
            None
        } else {
            class_of_size(bytes)
        };
        match (class_of(layout), wanted) {
            (Some(had), Some(wanted)) if had == wanted => block,
            // SAFETY: both sizes are the general allocator's.
            (None, None) => unsafe { System.realloc(block, layout, bytes) },
            _ => {
                // SAFETY: the caller promises that the size fits with this alignment; the new
                // block is another one, and both have the bytes that are copied.
                unsafe {
                    let wanted = Layout::from_size_align_unchecked(bytes, layout.align());
                    let moved = self.alloc(wanted);
                    if !moved.is_null() {
                        ptr::copy_nonoverlapping(block, moved, layout.size().min(bytes));
                        self.dealloc(block, layout);
                    }
                    moved
                }
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "test data: small numbers")]
mod tests {
    use super::*;

    /// A block that is filled with bytes of its own.
    struct Filled {
        block: *mut u8,
        layout: Layout,
        byte: u8,
    }

    impl Filled {
        fn new(blocks: &Blocks, bytes: usize, align: usize, byte: u8) -> Self {
            let layout = Layout::from_size_align(bytes, align).unwrap();
            let block = unsafe { blocks.alloc(layout) };
            assert!(!block.is_null());
            assert_eq!(block.addr() % align, 0, "{layout:?}");
            unsafe { block.write_bytes(byte, bytes) };
            Self {
                block,
                layout,
                byte,
            }
        }

        fn is_whole(&self) -> bool {
            let bytes = unsafe { std::slice::from_raw_parts(self.block, self.layout.size()) };
            bytes.iter().all(|byte| *byte == self.byte)
        }
    }

    #[test]
    fn every_size_has_a_block_that_holds_it() {
        for bytes in 1..=BLOCK_MAX {
            let (class, size) = class_of_size(bytes).unwrap();
            assert!(
                class < CLASSES && size >= bytes && size % STEP == 0,
                "{bytes}"
            );
            assert_eq!(class_of_size(size), Some((class, size)), "{bytes}");
        }
        assert_eq!(class_of_size(BLOCK_MAX + 1), None);
    }

    #[test]
    fn living_blocks_never_share_a_byte() {
        let blocks = Blocks::new();
        let mut alive: Vec<Filled> = Vec::new();
        // A fixed walk through sizes: what is dropped is used again at once.
        let mut seed = 7_usize;
        for step in 0..20_000_usize {
            seed = (seed * 1_103_515_245 + 12_345) % (1 << 31);
            let bytes = match seed % 10 {
                0 => 1 + seed / 10 % 20_000,
                1..4 => 1 + seed / 10 % 2_000,
                _ => 1 + seed / 10 % 100,
            };
            let align = 1 << (seed / 7 % 6);
            alive.push(Filled::new(&blocks, bytes, align, (step % 251) as u8));
            if alive.len() > 64 {
                let at = seed / 3 % alive.len();
                let mut one = alive.swap_remove(at);
                assert!(one.is_whole());
                if step % 3 == 0 {
                    let kept = one.layout.size().min(bytes);
                    one.block = unsafe { blocks.realloc(one.block, one.layout, bytes) };
                    one.layout = Layout::from_size_align(bytes, one.layout.align()).unwrap();
                    let beginning = unsafe { std::slice::from_raw_parts(one.block, kept) };
                    assert!(beginning.iter().all(|byte| *byte == one.byte));
                }
                unsafe { blocks.dealloc(one.block, one.layout) };
            }
        }
        assert!(alive.iter().all(Filled::is_whole));
    }

    #[test]
    fn a_block_that_was_dropped_is_the_next_of_its_size() {
        let blocks = Blocks::new();
        let first = Filled::new(&blocks, 100, 8, 1);
        let _second = Filled::new(&blocks, 100, 8, 2);
        unsafe { blocks.dealloc(first.block, first.layout) };
        assert_eq!(Filled::new(&blocks, 97, 1, 3).block, first.block);
    }
}
