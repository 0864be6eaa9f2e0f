//! What makes the access units of a session: an encoder, or where time is modelled pictures that were made before.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use headframe_double_ledger::modelled;
use headframe_nv_sys::cuda::CUDA_ERROR_ILLEGAL_ADDRESS;

use crate::LEDGER;
use crate::coder::{self, Coder, Order, Planes};
use crate::session::{Fixed, Resource};

pub(crate) enum Maker {
    /// Each picture is encoded.
    Coder(Coder),
    /// The same two for ever, whatever is to be encoded: one at which decoding can begin, and one that follows it.
    Canned(Arc<[Vec<u8>; 2]>),
}

/// Why there is no access unit.
pub(crate) enum Missing {
    /// What was registered is not there any more.
    Memory,
    /// The card gives nothing.
    Card,
    /// The library makes none.
    Picture,
}

impl Maker {
    pub(crate) fn open(fixed: &Fixed, order: &Order) -> Option<Self> {
        match modelled(&LEDGER) {
            false => Coder::open(fixed, order).map(Self::Coder),
            true => canned(fixed, order).map(Self::Canned),
        }
    }

    /// The access unit of a picture, or of a grey one in its place, and whether decoding can begin there.
    pub(crate) fn make(
        &mut self,
        context: u64,
        from: &Resource,
        key: bool,
        spoil: bool,
    ) -> Result<(Vec<u8>, bool), Missing> {
        match self {
            Self::Canned(units) => Ok((units[usize::from(!key)].clone(), key)),
            Self::Coder(coder) => {
                let mut planes = coder::read(context, from).map_err(|code| match code {
                    CUDA_ERROR_ILLEGAL_ADDRESS => Missing::Memory,
                    _ => Missing::Card,
                })?;
                if spoil {
                    planes.turn_grey();
                }
                coder.encode(&planes, key).ok_or(Missing::Picture)
            }
        }
    }
}

/// Two grey pictures of a codec and a size.
fn canned(fixed: &Fixed, order: &Order) -> Option<Arc<[Vec<u8>; 2]>> {
    type Kind = (u32, (u32, u32), u32);
    static MADE: Mutex<BTreeMap<Kind, Arc<[Vec<u8>; 2]>>> = Mutex::new(BTreeMap::new());
    // GUIDs of codecs differ in their first word.
    let kind = (fixed.codec.Data1, order.size, order.bit_depth);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(units) = made.get(&kind) {
        return Some(Arc::clone(units));
    }
    let mut coder = Coder::open(fixed, order)?;
    let planes = Planes::grey(order);
    let (first, second) = (coder.encode(&planes, true)?.0, coder.encode(&planes, false)?.0);
    let units = Arc::new([first, second]);
    made.insert(kind, Arc::clone(&units));
    Some(units)
}
