//! What an engine has to do, whichever it is: the test binary that has this module says how a segment is transcoded
//! (`crate::transcode`).

mod carriage;
mod colour;
mod corpora;
mod fragments;
mod ladder;
mod pictures;
mod segments;
mod tracks;
