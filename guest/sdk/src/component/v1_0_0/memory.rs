//! The memory of one call: what the host writes into it, what the adapter makes of it, and the
//! answer.
//!
//! All of it is over when the next call begins, so nothing is given back piece by piece: a block is
//! the next bytes of a chunk, and a call begins at the first chunk again. There is no function for
//! the host to call when it has read an answer; that the next call begins says so. Chunks are kept,
//! so a policy that is warm asks for no memory. What is larger than a chunk, such as a book, is a
//! block of its own.
//!
//! It must not know what the bytes mean.

use super::abi;
use std::alloc::{Layout, alloc, dealloc};
use std::ptr;

/// Enough for the questions and the answers of a hundred events or more.
const CHUNK_BYTES: usize = 256 << 10;
const CHUNK: Layout = match Layout::from_size_align(CHUNK_BYTES, 16) {
    Ok(layout) => layout,
    Err(_) => Layout::new::<u128>(),
};

/// See the module's description.
#[derive(Debug)]
pub struct CallMemory {
    /// The first free byte, and the end, of the chunk in use.
    at: *mut u8,
    end: *mut u8,
    chunks: Vec<*mut u8>,
    /// The number of the chunk after the one in use.
    next_chunk: usize,
    large: Vec<(*mut u8, Layout)>,
    /// Whether the call that this is the memory of has its answer.
    is_answered: bool,
}

impl CallMemory {
    /// No memory yet.
    pub const fn new() -> Self {
        Self {
            // Nothing begins here, but it is an address, and aligned.
            at: ptr::without_provenance_mut(CHUNK.align()),
            end: ptr::without_provenance_mut(CHUNK.align()),
            chunks: Vec::new(),
            next_chunk: 0,
            large: Vec::new(),
            is_answered: false,
        }
    }

    /// Forgets the call before, if that has its answer. Whatever happens first in a call begins it.
    #[inline]
    pub fn begin(&mut self) {
        if self.is_answered {
            self.forget();
        }
    }

    /// Says that the answer is written: from now on the host reads it.
    #[inline]
    pub const fn end(&mut self) {
        self.is_answered = true;
    }

    fn forget(&mut self) {
        self.is_answered = false;
        for (block, layout) in self.large.drain(..) {
            // SAFETY: `take_large` allocated it with this layout, and its call is over.
            unsafe { dealloc(block, layout) };
        }
        // The chunk in use is the first as long as no call needs a second.
        self.next_chunk = 0;
        if let Some(first) = self.chunks.first() {
            self.open(*first);
        }
    }

    fn open(&mut self, chunk: *mut u8) {
        self.at = chunk;
        // SAFETY: a chunk has this many bytes.
        self.end = unsafe { chunk.add(CHUNK_BYTES) };
        self.next_chunk = self.next_chunk.wrapping_add(1);
    }

    /// Memory until the end of the call; null when there is none. For no bytes, an address that
    /// nobody reads.
    #[inline]
    pub fn take(&mut self, layout: Layout) -> *mut u8 {
        let aligned = self.at.addr().wrapping_neg() & layout.align().wrapping_sub(1);
        // Both are below half of the address space.
        let ahead = aligned.wrapping_add(layout.size());
        if ahead > self.end.addr().wrapping_sub(self.at.addr()) {
            return self.take_elsewhere(layout);
        }
        // SAFETY: `ahead` bytes are left in the chunk.
        let after = unsafe { self.at.add(ahead) };
        self.at = after;
        // SAFETY: the block ends where the rest begins, and `ahead` is at least its size.
        unsafe { after.sub(layout.size()) }
    }

    #[cold]
    fn take_elsewhere(&mut self, layout: Layout) -> *mut u8 {
        if layout.size() > CHUNK_BYTES / 2 || layout.align() > CHUNK.align() {
            return self.take_large(layout);
        }
        let chunk = match self.chunks.get(self.next_chunk) {
            Some(chunk) => *chunk,
            None => {
                // SAFETY: the layout has a size.
                let chunk = unsafe { alloc(CHUNK) };
                if chunk.is_null() {
                    return chunk;
                }
                self.chunks.push(chunk);
                chunk
            }
        };
        self.open(chunk);
        self.take(layout)
    }

    fn take_large(&mut self, layout: Layout) -> *mut u8 {
        if layout.size() == 0 {
            // Nobody reads it; only its alignment is looked at.
            return ptr::without_provenance_mut(layout.align());
        }
        // SAFETY: the layout has a size.
        let block = unsafe { alloc(layout) };
        if !block.is_null() {
            self.large.push((block, layout));
        }
        block
    }

    /// Bytes that the host wrote, as a block of the program's own: without copying where they are
    /// large.
    ///
    /// # Safety
    /// `len` bytes at `at` came from [`Self::take`] and were written, and nobody else uses them.
    pub unsafe fn keep(&mut self, at: *mut u8, len: usize) -> Vec<u8> {
        let large = self.large.iter().position(|(block, layout)| {
            std::ptr::eq(*block, at) && layout.size() == len && layout.align() == 1
        });
        match large {
            Some(number) => {
                self.large.swap_remove(number);
                // SAFETY: allocated with this size and the alignment of bytes, and now ours alone.
                unsafe { Vec::from_raw_parts(at, len, len) }
            }
            None if len == 0 => Vec::new(),
            // SAFETY: as the caller promises.
            None => unsafe { std::slice::from_raw_parts(at, len) }.to_vec(),
        }
    }

    /// Room for `len` items; null when there is none.
    #[inline]
    pub fn room_for<T>(&mut self, len: usize) -> *mut T {
        match Layout::array::<T>(len) {
            Ok(layout) => self.take(layout).cast(),
            Err(_) => ptr::null_mut(),
        }
    }

    /// A text of the answer: its plain value is dropped before the host reads.
    ///
    /// Without memory for it the module stops: an answer that is cut would be a wrong one.
    #[inline]
    pub fn text(&mut self, text: &str) -> abi::Text {
        let at = self.room_for::<u8>(text.len());
        if at.is_null() {
            std::process::abort();
        }
        // SAFETY: there is room for so many bytes, and it is nobody else's.
        unsafe { at.copy_from_nonoverlapping(text.as_ptr(), text.len()) };
        abi::Text {
            at,
            len: text.len(),
        }
    }
}

impl Default for CallMemory {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "test data: small numbers")]
mod tests {
    use super::*;

    fn layout(bytes: usize, align: usize) -> Layout {
        Layout::from_size_align(bytes, align).unwrap()
    }

    /// Takes blocks of many sizes and fills each with a byte of its own.
    fn fill(memory: &mut CallMemory) -> Vec<(*mut u8, usize)> {
        let blocks = (0..2_000_usize).map(|number| {
            let bytes = match number % 50 {
                0 => 0,
                1 => CHUNK_BYTES / 2 + number,
                2 => CHUNK_BYTES / 2 - number,
                _ => number % 300,
            };
            let align = 1 << (number % 5);
            let block = memory.take(layout(bytes, align));
            assert!(!block.is_null());
            assert_eq!(block.addr() % align, 0);
            // SAFETY: the block has so many bytes.
            unsafe { block.write_bytes(number as u8, bytes) };
            (block, bytes)
        });
        blocks.collect()
    }

    #[test]
    fn blocks_of_a_call_never_share_a_byte_and_the_next_call_uses_them_again() {
        let mut memory = CallMemory::new();
        let mut chunks = None;
        for call in 0..4 {
            memory.begin();
            for (number, (block, bytes)) in fill(&mut memory).into_iter().enumerate() {
                if bytes > 0 {
                    // SAFETY: `fill` wrote them.
                    let written = unsafe { std::slice::from_raw_parts(block, bytes) };
                    assert!(written.iter().all(|byte| *byte == number as u8));
                }
            }
            let count = memory.chunks.len();
            // The first call has no chunk yet where a larger block would fit.
            if call > 0 {
                assert_eq!(*chunks.get_or_insert(count), count);
            }
            memory.end();
        }
        memory.begin();
        assert!(memory.large.is_empty() && memory.next_chunk == 1);
    }

    #[test]
    fn what_is_kept_outlives_the_call() {
        let mut memory = CallMemory::new();
        for bytes in [0, 10, CHUNK_BYTES] {
            memory.begin();
            let block = memory.take(layout(bytes, 1));
            // SAFETY: the block has so many bytes, and is given to nobody else.
            let kept = unsafe {
                block.write_bytes(7, bytes);
                memory.keep(block, bytes)
            };
            memory.end();
            memory.begin();
            fill(&mut memory);
            memory.end();
            assert_eq!(kept, vec![7; bytes]);
        }
    }
}
