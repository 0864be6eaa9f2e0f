//! HLS playlists as text, RFC 8216. Knows nothing of files, streams or sockets; [`crate::lint`] judges what it writes.

use std::fmt::{self, Display, Formatter};

use crate::clock::{TICKS_PER_SECOND, Ticks};

/// The version that decimal durations need; nothing newer is used, so old players can play too.
const VERSION: u8 = 3;

/// One rendition's playlist.
#[derive(Debug, Clone, PartialEq)]
pub struct MediaPlaylist {
    /// Longest duration of a segment in whole seconds; constant for the life of the stream.
    pub target_duration: u32,
    /// Number of the first segment listed; one more for each that has left the list.
    pub media_sequence: u64,
    /// Discontinuities that have left the list.
    pub discontinuity_sequence: u64,
    /// The segments, oldest first.
    pub segments: Vec<MediaSegment>,
    /// No segment will be added any more.
    pub ended: bool,
}

/// One entry of a [`MediaPlaylist`].
#[derive(Debug, Clone, PartialEq)]
pub struct MediaSegment {
    /// Relative to the playlist.
    pub uri: String,
    /// How long it lasts.
    pub duration: Ticks,
    /// Time does not run on from the segment before.
    pub discontinuity: bool,
    /// Wall clock time of its first picture, in milliseconds since 1970.
    pub program_time_ms: i64,
}

/// The list of renditions.
#[derive(Debug, Clone, PartialEq)]
pub struct MasterPlaylist {
    /// The renditions; players begin with the first one.
    pub variants: Vec<VariantStream>,
}

/// One entry of a [`MasterPlaylist`].
#[derive(Debug, Clone, PartialEq)]
pub struct VariantStream {
    /// Relative to the playlist.
    pub uri: String,
    /// Highest bit rate of any segment, in bits a second.
    pub bandwidth: u64,
    /// Average bit rate, in bits a second.
    pub average_bandwidth: u64,
    /// RFC 6381 names, comma separated.
    pub codecs: String,
    /// Width and height in pixels.
    pub resolution: (u32, u32),
    /// Pictures a second, where known.
    pub frame_rate: Option<f64>,
}

impl Display for MediaPlaylist {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-INDEPENDENT-SEGMENTS")?;
        writeln!(f, "#EXT-X-TARGETDURATION:{}", self.target_duration)?;
        writeln!(f, "#EXT-X-MEDIA-SEQUENCE:{}", self.media_sequence)?;
        if self.discontinuity_sequence > 0 || self.segments.iter().any(|segment| segment.discontinuity) {
            writeln!(f, "#EXT-X-DISCONTINUITY-SEQUENCE:{}", self.discontinuity_sequence)?;
        }
        for segment in &self.segments {
            if segment.discontinuity {
                writeln!(f, "#EXT-X-DISCONTINUITY")?;
            }
            writeln!(f, "#EXT-X-PROGRAM-DATE-TIME:{}", DateTime(segment.program_time_ms))?;
            // Rounded to whole microseconds, never by a floating point sum: players add these up for hours.
            let micros = (i128::from(segment.duration) * 1_000_000 + i128::from(TICKS_PER_SECOND / 2))
                / i128::from(TICKS_PER_SECOND);
            writeln!(f, "#EXTINF:{}.{:06},\n{}", micros / 1_000_000, micros % 1_000_000, segment.uri)?;
        }
        if self.ended {
            writeln!(f, "#EXT-X-ENDLIST")?;
        }
        Ok(())
    }
}

impl Display for MasterPlaylist {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-INDEPENDENT-SEGMENTS")?;
        for variant in &self.variants {
            let (width, height) = variant.resolution;
            write!(
                f,
                "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={}",
                variant.bandwidth, variant.average_bandwidth
            )?;
            write!(f, ",CODECS=\"{}\",RESOLUTION={width}x{height}", variant.codecs)?;
            if let Some(rate) = variant.frame_rate {
                write!(f, ",FRAME-RATE={rate:.3}")?;
            }
            writeln!(f, "\n{}", variant.uri)?;
        }
        Ok(())
    }
}

/// The whole number that RFC 8216 compares with the target duration: the duration rounded to the nearest second.
pub fn rounded_seconds(duration: Ticks) -> u32 {
    u32::try_from((duration + TICKS_PER_SECOND / 2) / TICKS_PER_SECOND).unwrap_or(u32::MAX)
}

/// ISO 8601 in UTC with milliseconds, from milliseconds since 1970.
pub struct DateTime(pub i64);

impl Display for DateTime {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (days, ms) = (self.0.div_euclid(86_400_000), self.0.rem_euclid(86_400_000));
        // Days to a date of the proleptic Gregorian calendar, counting years from March so that leap days come last.
        let days = days + 719_468;
        let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = year + era * 400 + i64::from(month <= 2);
        let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (ms, date) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(DateTime(ms).to_string(), date);
        }
    }

    #[test]
    fn a_media_playlist_reads_as_the_standard_says() {
        let segment = |n: i64, discontinuity| MediaSegment {
            uri: format!("{n}.ts"),
            duration: 180_180,
            discontinuity,
            program_time_ms: n * 2002,
        };
        let list = MediaPlaylist {
            target_duration: 4,
            media_sequence: 7,
            discontinuity_sequence: 0,
            segments: vec![segment(7, false), segment(9, true)],
            ended: true,
        };
        assert_eq!(
            list.to_string(),
            "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:7\n\
             #EXT-X-DISCONTINUITY-SEQUENCE:0\n\
             #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:14.014Z\n#EXTINF:2.002000,\n7.ts\n\
             #EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:18.018Z\n#EXTINF:2.002000,\n9.ts\n\
             #EXT-X-ENDLIST\n"
        );
        assert_eq!((rounded_seconds(224_999), rounded_seconds(225_000)), (2, 3));
    }
}
