//! Device memory: addresses of this process that nothing can read or write but while a copy or a launch runs. Code of the
//! host that follows a device address dies at once, as it would with a card.
#![allow(unsafe_code, reason = "reserves addresses, and opens and closes what is behind them")]

use std::collections::BTreeMap;
use std::ffi::c_void;

use headframe_double_ledger::modelled;
use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags, madvise, mmap_anonymous, mprotect};
use rustix::process::{Resource, getrlimit};

use crate::LEDGER;

/// Allocations begin at multiples of this, the largest page of any machine that this runs on.
const PAGE: u64 = 1 << 16;
/// What is opened and closed at a time: a huge page, because it took longer than all else to do it for each small one.
const HUGE: u64 = 1 << 21;
/// What memory is full of at first.
const FRESH: u8 = 0xA5;

/// An allocation.
pub(crate) struct Block {
    pub(crate) len: usize,
    /// The context that it was made in.
    pub(crate) context: u64,
}

/// Where allocations lie: behind each other with gaps, so that a step too far is seen. Addresses come again only when all
/// have been used.
#[derive(Default)]
pub(crate) struct Arena {
    /// First address and one behind the last; nothing is reserved before the first allocation.
    range: Option<(u64, u64)>,
    next: u64,
    blocks: BTreeMap<u64, Block>,
}

/// A part of the arena that may be read and written until this is dropped.
pub(crate) struct Opened {
    begin: u64,
    len: usize,
}

fn pointer(address: u64) -> *mut c_void {
    std::ptr::with_exposed_provenance_mut(address as usize)
}

/// How much an allocation takes, with the gap behind it.
fn span(len: usize) -> u64 {
    (len as u64).next_multiple_of(PAGE) + PAGE
}

impl Arena {
    /// Twice `memory`, but no more than a quarter of what a process may have that is short of addresses.
    fn reserve(memory: u64) -> Option<(u64, u64)> {
        let few = getrlimit(Resource::As).current.unwrap_or(u64::MAX) / 4;
        let len = memory.saturating_mul(2).clamp(1 << 24, few.max(1 << 24)) / HUGE * HUGE;
        // SAFETY: new addresses, wherever the system likes, with nothing behind them.
        let begin = unsafe {
            mmap_anonymous(
                std::ptr::null_mut(),
                len as usize + HUGE as usize,
                ProtFlags::empty(),
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )
        };
        let begin = (begin.ok()?.expose_provenance() as u64).next_multiple_of(HUGE);
        // SAFETY: the addresses that were just reserved. Where the system has no huge pages, small ones do, slowly.
        let _ = unsafe { madvise(pointer(begin), len as usize, Advice::LinuxHugepage) };
        Some((begin, begin + len))
    }

    /// The first address from `from` on where `span` bytes are free.
    fn gap(&self, from: u64, end: u64, span: u64) -> Option<u64> {
        let mut at = from;
        for (address, block) in self.blocks.range(from..) {
            if address - at >= span {
                break;
            }
            at = address + self::span(block.len);
        }
        (end.checked_sub(at)? >= span).then_some(at)
    }

    /// Makes an allocation of a context that has `memory` bytes in all; `None` if there is no room.
    pub(crate) fn allocate(&mut self, len: usize, context: u64, memory: u64) -> Option<u64> {
        if self.used(context) + len as u64 > memory {
            return None;
        }
        let (begin, end) = match self.range {
            Some(range) => range,
            None => *self.range.insert(Self::reserve(memory)?),
        };
        let span = span(len);
        let address = self.gap(self.next.max(begin), end, span).or_else(|| self.gap(begin, end, span))?;
        self.next = address + span;
        self.blocks.insert(address, Block { len, context });
        // A modelled machine never looks at it, and would have more of it than this one has.
        if !modelled(&LEDGER) {
            let opened = self.open(address, len);
            // SAFETY: `len` bytes of the arena that were just opened.
            unsafe { pointer(address).cast::<u8>().write_bytes(FRESH, len) };
            drop(opened);
        }
        Some(address)
    }

    /// Gives an allocation back; says whether there was one at this address.
    pub(crate) fn free(&mut self, address: u64) -> bool {
        let Some(block) = self.blocks.remove(&address) else { return false };
        let before = self.blocks.range(..address).next_back().map_or(0, |(at, block)| at + block.len as u64);
        let behind = self.blocks.range(address..).next().map_or(u64::MAX, |(at, _)| *at);
        // Huge pages that other allocations have a part in stay.
        let begin = (address / HUGE * HUGE).max(before.next_multiple_of(HUGE));
        let end = (address + block.len as u64).next_multiple_of(HUGE).min(behind / HUGE * HUGE);
        if begin < end {
            // SAFETY: whole pages of the arena that nothing else is in. If it fails the pages stay, which does no harm.
            let _ = unsafe { madvise(pointer(begin), (end - begin) as usize, Advice::LinuxDontNeed) };
        }
        true
    }

    /// Bytes that a context has allocated.
    pub(crate) fn used(&self, context: u64) -> u64 {
        self.of(context).map(|(_, block)| block.len as u64).sum()
    }

    pub(crate) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Allocations of a context, by address.
    pub(crate) fn of(&self, context: u64) -> impl Iterator<Item = (u64, &Block)> {
        self.blocks.iter().filter(move |(_, block)| block.context == context).map(|(address, block)| (*address, block))
    }

    /// The allocation that all of `len` bytes from `address` lie in.
    pub(crate) fn find(&self, address: u64, len: usize) -> Option<(u64, &Block)> {
        let (base, block) = self.blocks.range(..=address).next_back()?;
        let at = usize::try_from(address - base).ok()?;
        (at.checked_add(len)? <= block.len).then_some((*base, block))
    }

    /// Opens the allocation at `address` that has `len` bytes, and what shares huge pages with it.
    pub(crate) fn open(&self, address: u64, len: usize) -> Opened {
        let begin = address / HUGE * HUGE;
        let end = (address + len as u64).next_multiple_of(HUGE);
        let opened = Opened { begin, len: (end - begin) as usize };
        opened.protect(MprotectFlags::READ | MprotectFlags::WRITE);
        opened
    }

    /// Opens everything from the first to the last allocation of a context.
    pub(crate) fn open_all(&self, context: u64) -> Option<Opened> {
        let (first, _) = self.of(context).next()?;
        let (last, block) = self.of(context).last()?;
        Some(self.open(first, (last - first) as usize + block.len))
    }
}

impl Opened {
    fn protect(&self, flags: MprotectFlags) {
        // SAFETY: whole pages within the arena, to which there are no references anywhere.
        let done = unsafe { mprotect(pointer(self.begin), self.len, flags) };
        // Only where the system is out of memory for its own tables.
        done.expect("device memory can be opened and closed");
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.protect(MprotectFlags::empty());
    }
}
