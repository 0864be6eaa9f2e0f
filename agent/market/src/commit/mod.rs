//! What an operator binds itself to beside its receipts: the pictures of a drawn segment, their errors, and the bytes of a
//! rendition. Formats to the byte are in `docs/fraud-proofs.md`; `contracts/src/steps` opens the same trees.

pub mod bytes;
pub mod errors;
pub mod pictures;
mod tree;

pub use bytes::ByteTree;
pub use errors::{Errors, FrameErrors};
pub use pictures::{Chroma, Picture, PictureError, Pictures};
