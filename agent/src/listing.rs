//! From deliveries to playlists: how renditions become what the origin serves.

use crate::delivery::RenditionHead;
use anyhow::Context;
use bytes::Bytes;
use headframe_codec::ladder::Ladder;
use headframe_codec::segment::RenditionOut;
use headframe_media::StreamId;
use headframe_media::origin::{Origin, OriginError, Publication, Settings, Variant};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Opens the origin under `dir`, with what an earlier process left in it. `window` segments are listed.
pub(crate) fn open(dir: &Path, window: usize) -> anyhow::Result<Arc<Origin>> {
    // Whoever delivers out of order waits here, so the wait is that of a slow retry, not of a player's patience.
    let settings = Settings { window, gap_wait: Duration::from_secs(60), max_held: 64, ..Settings::default() };
    let origin = Origin::open(dir.join("hls"), settings);
    Ok(Arc::new(origin.with_context(|| format!("cannot open the segment store under {}", dir.display()))?))
}

/// A rendition as it is told to gateways.
pub(crate) fn head_of(rendition: &RenditionOut) -> RenditionHead {
    RenditionHead {
        name: rendition.name.clone(),
        width: rendition.width,
        height: rendition.height,
        codecs: rendition.codecs.clone(),
        frames: rendition.frames,
        bytes: rendition.bytes.len() as u64,
    }
}

/// A finished segment on its way into the playlists.
pub(crate) struct Listing<'a> {
    /// Its number.
    pub(crate) number: u64,
    /// First PTS in 90 kHz ticks.
    pub(crate) first_pts: i64,
    /// Playing time in 90 kHz ticks.
    pub(crate) duration: i64,
    /// The source is torn before it.
    pub(crate) discontinuity: bool,
    /// When its last byte arrived, where that is known.
    pub(crate) received: Option<Instant>,
    /// The renditions, described.
    pub(crate) heads: &'a [RenditionHead],
    /// Their bytes, in the same order.
    pub(crate) bytes: Vec<Bytes>,
}

/// Lists a segment. One that is listed already is no error: a restart delivers the last one again.
pub(crate) async fn publish(
    origin: &Arc<Origin>,
    stream: &StreamId,
    ladder: &Ladder,
    listing: Listing<'_>,
) -> anyhow::Result<()> {
    let variants = variants(ladder, &listing);
    let captured_at = captured_at(&listing);
    let files = listing.heads.iter().map(|head| head.name.clone()).zip(listing.bytes).collect();
    let publication = Publication {
        number: listing.number,
        first_pts: listing.first_pts,
        duration: listing.duration,
        discontinuity: listing.discontinuity,
        captured_at,
        files,
    };
    blocking(origin, stream, move |origin, stream| {
        if origin.stream_status(stream).is_none() {
            origin.declare(stream, variants)?;
            origin.expect(stream, publication.number)?;
        }
        match origin.publish(stream, publication) {
            Ok(_) | Err(OriginError::Late { .. } | OriginError::Duplicate { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    })
    .await
}

/// A segment that will never come: players see a gap instead of waiting for it.
pub(crate) async fn skip(origin: &Arc<Origin>, stream: &StreamId, number: u64) -> anyhow::Result<()> {
    blocking(origin, stream, move |origin, stream| match origin.skip(stream, number) {
        Err(OriginError::UnknownStream(_)) => Ok(()), // nothing is listed yet, so nothing is missing
        done => done,
    })
    .await
}

/// The stream is over.
pub(crate) async fn end(origin: &Arc<Origin>, stream: &StreamId) -> anyhow::Result<()> {
    blocking(origin, stream, |origin, stream| match origin.end(stream) {
        Err(OriginError::UnknownStream(_)) => Ok(()),
        done => done,
    })
    .await
}

/// The wall clock at the first picture: when the segment was complete, less its playing time.
fn captured_at(listing: &Listing<'_>) -> Option<SystemTime> {
    let playing = Duration::from_micros(u64::try_from(listing.duration).ok()? * 100 / 9);
    SystemTime::now().checked_sub(listing.received?.elapsed())?.checked_sub(playing)
}

async fn blocking(
    origin: &Arc<Origin>,
    stream: &StreamId,
    work: impl FnOnce(&Origin, &StreamId) -> Result<(), OriginError> + Send + 'static,
) -> anyhow::Result<()> {
    let (origin, stream) = (origin.clone(), stream.clone());
    Ok(tokio::task::spawn_blocking(move || work(&origin, &stream)).await??)
}

fn variants(ladder: &Ladder, listing: &Listing<'_>) -> Vec<Variant> {
    let seconds = listing.duration as f64 / 90_000.0;
    let variant = |head: &RenditionHead| Variant {
        name: head.name.clone(),
        width: head.width,
        height: head.height,
        bitrate: ladder.renditions().iter().find(|r| r.name == head.name).map_or(0, |r| u64::from(r.bitrate_bps)),
        codecs: head.codecs.clone(),
        fps: (seconds > 0.0).then(|| (f64::from(head.frames) / seconds * 1000.0).round() / 1000.0),
    };
    listing.heads.iter().map(variant).collect()
}
