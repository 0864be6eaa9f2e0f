//! The header that Enhanced RTMP v2 puts before the data of audio and video messages ("ExAudioTagHeader" and
//! "ExVideoTagHeader"): codecs by FourCC, modifiers, and several tracks, of which the default one is taken.

use bytes::Bytes;

use super::flv::FlvError;

/// Modifiers come before the packet that they modify, in both kinds of message.
const MODIFIER: u8 = 7;
/// A message of several tracks may hold one of them, many of one codec, or many with a codec each.
const ONE_TRACK: u8 = 0;
const MANY_CODECS: u8 = 2;

/// What the messages of a kind are called, and the packet type that says "several tracks".
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    name: &'static str,
    multitrack: u8,
}

/// Audio messages.
pub(super) const AUDIO: Kind = Kind { name: "audio", multitrack: 5 };
/// Video messages.
pub(super) const VIDEO: Kind = Kind { name: "video", multitrack: 6 };

/// A packet of the default track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packet {
    /// Start of sequence, coded frames and so on; numbers differ between audio and video.
    pub(super) packet_type: u8,
    pub(super) four_cc: [u8; 4],
    pub(super) data: Bytes,
}

/// Reads a message whose first byte says that it has such a header. `None` when it holds nothing of the default track,
/// which is number 0 by the specification's convention: further ones are variants of it.
pub(super) fn default_track(body: &Bytes, kind: Kind) -> Result<Option<Packet>, FlvError> {
    let mut rest = Rest { bytes: body.clone(), name: kind.name };
    let mut packet_type = rest.byte()? & 0x0F;
    while packet_type == MODIFIER {
        // The only one that is defined adds less than a millisecond to the time.
        let length = match usize::from(rest.byte()?) + 1 {
            256 => usize::from(u16::from_be_bytes(rest.array()?)) + 1,
            length => length,
        };
        rest.take(length)?;
        packet_type = rest.byte()? & 0x0F;
    }
    if packet_type != kind.multitrack {
        return Ok(Some(Packet { packet_type, four_cc: rest.array()?, data: rest.bytes }));
    }
    let marks = rest.byte()?;
    let (form, packet_type) = (marks >> 4, marks & 0x0F);
    if form > MANY_CODECS || packet_type == kind.multitrack {
        return Err(FlvError::Unsupported(format!("this form of multitrack {}", kind.name)));
    }
    let common = if form == MANY_CODECS { None } else { Some(rest.array()?) };
    while !rest.bytes.is_empty() {
        let four_cc = common.map_or_else(|| rest.array(), Ok)?;
        let track = rest.byte()?;
        let length = if form == ONE_TRACK { rest.bytes.len() } else { rest.length()? };
        let data = rest.take(length)?;
        if track == 0 {
            return Ok(Some(Packet { packet_type, four_cc, data }));
        }
    }
    Ok(None)
}

/// What has not been read of a message.
struct Rest {
    bytes: Bytes,
    name: &'static str,
}

impl Rest {
    fn take(&mut self, length: usize) -> Result<Bytes, FlvError> {
        if length > self.bytes.len() {
            return Err(FlvError::Short(self.name));
        }
        Ok(self.bytes.split_to(length))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FlvError> {
        self.take(N)?[..].try_into().map_err(|_| FlvError::Short(self.name))
    }

    fn byte(&mut self) -> Result<u8, FlvError> {
        self.array().map(|[byte]| byte)
    }

    /// Of a track among several, 24 bits.
    fn length(&mut self) -> Result<usize, FlvError> {
        self.array().map(|[a, b, c]| usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &[&[u8]], kind: Kind) -> Result<Option<Packet>, FlvError> {
        default_track(&body.concat().into(), kind)
    }

    fn packet(packet_type: u8, four_cc: &[u8; 4], data: &'static [u8]) -> Result<Option<Packet>, FlvError> {
        Ok(Some(Packet { packet_type, four_cc: *four_cc, data: Bytes::from_static(data) }))
    }

    #[test]
    fn modifiers_are_passed_over() {
        let nano: &[u8] = &[0x97, 2, 1, 2, 3, 0x01];
        assert_eq!(read(&[nano, b"avc1abc"], VIDEO), packet(1, b"avc1", b"abc"));
        // Two of them, the second with a length of 16 bits.
        let twice = [&[0x97, 0, 9, 0x07, 255, 0, 255][..], &[7; 256], &[0x03]].concat();
        assert_eq!(read(&[&twice, b"avc1abc"], VIDEO), packet(3, b"avc1", b"abc"));
        assert_eq!(read(&[&[0x97, 2, 1, 2, 3, 0x01], b"mp4aabc"], AUDIO), packet(1, b"mp4a", b"abc"));
    }

    #[test]
    fn of_several_tracks_the_first_is_taken() {
        let (one, same, mixed): (&[u8], &[u8], &[u8]) = (&[0x96, 0x01], &[0x96, 0x11], &[0x96, 0x21]);
        assert_eq!(read(&[one, b"avc1\0abc"], VIDEO), packet(1, b"avc1", b"abc"));
        assert_eq!(read(&[one, b"hvc1\x01abc"], VIDEO), Ok(None));
        assert_eq!(read(&[same, b"avc1\x01\0\0\x02xx\0\0\0\x03abc"], VIDEO), packet(1, b"avc1", b"abc"));
        assert_eq!(read(&[mixed, b"hvc1\x01\0\0\x02xxavc1\0\0\0\x03abc"], VIDEO), packet(1, b"avc1", b"abc"));
        assert_eq!(read(&[&[0x95, 0x00], b"Opus\x01abc"], AUDIO), Ok(None));
        assert_eq!(read(&[&[0x95, 0x00], b"mp4a\0abc"], AUDIO), packet(0, b"mp4a", b"abc"));
    }

    #[test]
    fn what_is_cut_short_or_not_defined_is_said() {
        for body in [&[0x97][..], &[0x97, 255, 0], &[0x97, 9, 1], &[0x96], b"\x96\x11avc1\x01\0\0\x09x", b"\x91avc"] {
            assert_eq!(read(&[body], VIDEO), Err(FlvError::Short("video")), "{body:?}");
        }
        for marks in [0x31, 0x06] {
            let error = read(&[&[0x96, marks], b"avc1\0abc"], VIDEO).map_err(|error| error.to_string());
            assert_eq!(error, Err("this form of multitrack video is not supported".into()));
        }
    }
}
