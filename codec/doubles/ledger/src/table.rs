//! What a double has given out, by handle.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Objects of one kind. Handles are numbers that are no addresses: whoever follows one crashes.
pub struct Table<T> {
    inner: Mutex<(u64, BTreeMap<u64, T>)>,
}

impl<T> Table<T> {
    /// An empty table whose handles begin with `first`.
    pub const fn new(first: u64) -> Self {
        Self { inner: Mutex::new((first, BTreeMap::new())) }
    }

    fn lock(&self) -> MutexGuard<'_, (u64, BTreeMap<u64, T>)> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an object and gives its handle.
    pub fn insert(&self, object: T) -> u64 {
        let mut inner = self.lock();
        inner.0 += 16;
        let handle = inner.0;
        inner.1.insert(handle, object);
        handle
    }

    /// Works on the object of a handle; `None` if there is none. Must not use the table.
    pub fn with<R>(&self, handle: u64, run: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.lock().1.get_mut(&handle).map(run)
    }

    /// Works on all objects.
    pub fn all<R>(&self, run: impl FnOnce(&mut BTreeMap<u64, T>) -> R) -> R {
        run(&mut self.lock().1)
    }

    /// Gives the object back; `None` if there is none.
    pub fn remove(&self, handle: u64) -> Option<T> {
        self.lock().1.remove(&handle)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().1.len()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A handle as C has it.
pub fn pointer(handle: u64) -> Option<NonNull<c_void>> {
    NonNull::new(std::ptr::without_provenance_mut(handle as usize))
}

/// The number of a handle.
pub fn number(handle: Option<NonNull<c_void>>) -> u64 {
    handle.map_or(0, |handle| handle.as_ptr().addr() as u64)
}
