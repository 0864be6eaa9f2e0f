//! AAC as RTMP carries it (a configuration, then bare frames) and as transport streams want it (ADTS).

/// Sampling frequencies by index, ISO/IEC 14496-3 table 1.18.
const RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// What an ADTS header needs of an `AudioSpecificConfig`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AacConfig {
    /// Audio object type minus one, as ADTS stores it: 1 is low complexity.
    profile: u8,
    rate_index: u8,
    /// Channel configuration, 1 to 7 (7 means eight channels).
    channels: u8,
    /// Samples a frame, at [`AacConfig::rate`].
    samples: u32,
}

/// Why audio cannot be carried as ADTS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AacError {
    /// Fewer bytes than the fields need.
    #[error("the AAC configuration is cut short")]
    Short,
    /// ADTS knows only the object types 1 to 4.
    #[error("AAC object type {0} does not fit into ADTS; send AAC-LC")]
    ObjectType(u8),
    /// An explicit or reserved sampling frequency.
    #[error("AAC sampling frequency index {0} does not fit into ADTS; use a standard rate such as 48000 Hz")]
    Rate(u8),
    /// Channels described by a program config element.
    #[error("AAC channel configuration {0} does not fit into ADTS; use 1 to 8 standard channels")]
    Channels(u8),
}

impl AacConfig {
    /// Reads an `AudioSpecificConfig`, ISO/IEC 14496-3 section 1.6.2.1. For HE-AAC the rate is that of the core.
    pub fn parse(asc: &[u8]) -> Result<Self, AacError> {
        let word = asc.iter().chain([0; 8].iter()).take(8).fold(0u64, |word, &b| word << 8 | u64::from(b));
        if asc.len() < 2 {
            return Err(AacError::Short);
        }
        let bits = |at: u32, count: u32| (word << at >> (64 - count)) as u8;
        let rate_index = bits(5, 4);
        if usize::from(rate_index) >= RATES.len() {
            return Err(AacError::Rate(rate_index));
        }
        let channels = bits(9, 4);
        if !(1..=7).contains(&channels) {
            return Err(AacError::Channels(channels));
        }
        // SBR (5) and PS (29) name their core's type later; in practice that is low complexity.
        let (object, frame_length_flag) = match bits(0, 5) {
            5 | 29 => (2, 0),
            object @ 1..=4 => (object, bits(13, 1)),
            object => return Err(AacError::ObjectType(object)),
        };
        Ok(Self { profile: object - 1, rate_index, channels, samples: if frame_length_flag == 1 { 960 } else { 1024 } })
    }

    /// Samples a second.
    pub fn rate(&self) -> u32 {
        RATES[usize::from(self.rate_index)]
    }

    /// Samples in a frame, for each channel.
    pub fn samples(&self) -> u32 {
        self.samples
    }

    /// Number of channels.
    pub fn channels(&self) -> u8 {
        if self.channels == 7 { 8 } else { self.channels }
    }

    /// RFC 6381 name for a playlist's `CODECS`.
    pub fn codec_string(&self) -> String {
        format!("mp4a.40.{}", self.profile + 1)
    }

    /// The seven bytes before a frame of `payload` bytes; `None` when the 13-bit length cannot say it.
    pub fn adts_header(&self, payload: usize) -> Option<[u8; 7]> {
        let length = u16::try_from(payload + 7).ok().filter(|length| *length < 1 << 13)?;
        Some([
            0xFF,
            0xF1, // MPEG-4, no CRC
            self.profile << 6 | self.rate_index << 2 | self.channels >> 2,
            (self.channels & 3) << 6 | (length >> 11) as u8,
            (length >> 3 & 0xFF) as u8,
            (length << 5 & 0xE0) as u8 | 0x1F, // buffer fullness 0x7FF: variable rate
            0xFC,
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_configurations_encoders_send() {
        let lc = AacConfig::parse(&[0x12, 0x10]).expect("44.1 kHz stereo");
        assert_eq!((lc.rate(), lc.channels(), lc.samples(), lc.codec_string()), (44_100, 2, 1024, "mp4a.40.2".into()));
        let he = AacConfig::parse(&[0x2B, 0x11, 0x88, 0x00]).expect("HE-AAC, 24 kHz core");
        assert_eq!((he.rate(), he.channels()), (24_000, 2));
        assert_eq!(AacConfig::parse(&[0x12]), Err(AacError::Short));
        assert_eq!(AacConfig::parse(&[0x17, 0x90]), Err(AacError::Rate(15)));
        assert_eq!(AacConfig::parse(&[0x12, 0x00]), Err(AacError::Channels(0)));
        assert_eq!(AacConfig::parse(&[0xF9, 0x90]), Err(AacError::ObjectType(31)));
    }

    #[test]
    fn the_header_carries_rate_channels_and_length() {
        let config = AacConfig::parse(&[0x12, 0x10]).expect("valid");
        let h = config.adts_header(300).expect("short enough");
        let length = u32::from(h[3] & 3) << 11 | u32::from(h[4]) << 3 | u32::from(h[5]) >> 5;
        assert_eq!(length, 307);
        assert_eq!((h[2] >> 6, h[2] >> 2 & 15, (h[2] & 1) << 2 | h[3] >> 6), (1, 4, 2));
        assert_eq!(config.adts_header(8185), None);
    }
}
