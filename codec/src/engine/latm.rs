//! AAC out of LATM (ISO/IEC 14496-3 1.7), as DVB carries it, into ADTS frames. The coded sound stays as it is; players of
//! HLS look for ADTS only.

use super::sound::{RATES, adts};
use crate::syntax::Bits;
use crate::ts::{AudioTrack, Unit};

/// Why an element gives no sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// It makes no sense, or cannot be read without an earlier one.
    Damaged,
    /// ADTS has no words for it: several layers, frames of 960 samples, unusual rates, channels or object types.
    Foreign,
}

/// What a multiplex is, as far as frames of ADTS say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Config {
    /// Object type less one.
    profile: u8,
    rate_index: u8,
    channels: u8,
    /// Frames in an element.
    frames: u32,
}

/// The frames of a track with ADTS headers, in units that begin where the track's do and have their times. For HE-AAC the
/// headers are those of the core, as ADTS has it. `None` when nothing can be read or ADTS has no words for it.
pub(super) fn to_adts(track: &AudioTrack) -> Option<Vec<Unit>> {
    let all: Vec<u8> = track.units.iter().flat_map(|unit| &unit.data).copied().collect();
    // A unit's time is that of the first element that begins in it.
    let begins = track.units.iter().scan(0, |at, unit| Some((std::mem::replace(at, *at + unit.data.len()), unit)));
    let mut begins = begins.filter(|(_, unit)| unit.pts.is_some()).peekable();
    let mut config = None;
    let mut units: Vec<Unit> = Vec::new();
    let mut at = 0;
    while let Some((start, element)) = next_element(&all, at) {
        at = start + 3 + element.len();
        let mut told = None;
        while let Some((_, unit)) = begins.next_if(|(from, _)| *from <= start) {
            told = Some(unit);
        }
        let data = match frames(element, &mut config) {
            Ok(data) if !data.is_empty() => data,
            Ok(_) | Err(Trouble::Damaged) => continue,
            Err(Trouble::Foreign) => return None,
        };
        match (told, units.last_mut()) {
            (None, Some(last)) => last.data.extend(data),
            (told, _) => {
                units.push(Unit { pts: told.and_then(|unit| unit.pts), dts: told.and_then(|unit| unit.dts), data })
            }
        }
    }
    (!units.is_empty()).then_some(units)
}

/// The next `AudioSyncStream()` from `from` on: where it starts, and the element in it. Another one, or the end, has to
/// follow, because coded sound may look like the start of one.
fn next_element(bytes: &[u8], from: usize) -> Option<(usize, &[u8])> {
    let is_start = |at: usize| bytes.get(at..at + 2).is_none_or(|w| w[0] == 0x56 && w[1] & 0xe0 == 0xe0);
    (from..bytes.len().saturating_sub(2)).filter(|at| is_start(*at)).find_map(|start| {
        let len = usize::from(bytes[start + 1] & 0x1f) << 8 | usize::from(bytes[start + 2]);
        let element = bytes.get(start + 3..start + 3 + len)?;
        is_start(start + 3 + len).then_some((start, element))
    })
}

/// The frames of one `AudioMuxElement(1)`, each with its header.
fn frames(element: &[u8], config: &mut Option<Config>) -> Result<Vec<u8>, Trouble> {
    let mut bits = Bits::new(element);
    if !flag(&mut bits)? {
        *config = Some(stream_config(&mut bits)?);
    }
    let Config { profile, rate_index, channels, frames } = config.ok_or(Trouble::Damaged)?;
    let mut out = Vec::with_capacity(element.len() + 8);
    for _ in 0..frames {
        let mut len = 0;
        loop {
            let more = take(&mut bits, 8)? as usize;
            len += more;
            if more < 255 {
                break;
            }
        }
        let data = bits.bytes(len).filter(|data| data.len() + 7 < 1 << 13).ok_or(Trouble::Damaged)?;
        if len > 0 {
            out.extend(adts(profile, rate_index, channels, len));
            out.extend(data);
        }
    }
    Ok(out)
}

/// `StreamMuxConfig()` with one programme of one layer. What follows the frames in an element is not looked at.
fn stream_config(bits: &mut Bits<'_>) -> Result<Config, Trouble> {
    let version = flag(bits)?;
    if version && flag(bits)? {
        return Err(Trouble::Foreign);
    }
    if version {
        value(bits)?; // how full the decoder's buffer is
    }
    let same_framing = flag(bits)?;
    let frames = take(bits, 6)? + 1;
    let (programmes, layers) = (take(bits, 4)?, take(bits, 3)?);
    if !same_framing || programmes != 0 || layers != 0 {
        return Err(Trouble::Foreign);
    }
    let (profile, rate_index, channels) = if version {
        // Its length is said, and may hold extensions that a reader of the core passes over.
        let len = value(bits)? as usize;
        let sound = sound_config(&mut bits.clone())?;
        bits.skip(len).ok_or(Trouble::Damaged)?;
        sound
    } else {
        sound_config(bits)?
    };
    if take(bits, 3)? != 0 {
        return Err(Trouble::Foreign); // frames of fixed length, which AAC does not have
    }
    take(bits, 8)?; // the buffer again
    if flag(bits)? {
        // The length of other data behind the frames.
        if version {
            value(bits)?;
        } else {
            while flag(bits)? {
                take(bits, 8)?;
            }
            take(bits, 8)?;
        }
    }
    if flag(bits)? {
        take(bits, 8)?; // a check sum
    }
    Ok(Config { profile, rate_index, channels, frames })
}

/// Profile, index of the rate and channels of the core, of an `AudioSpecificConfig()` by itself; `None` where ADTS has no words
/// for them.
pub(crate) fn core(config: &[u8]) -> Option<(u8, u8, u8)> {
    // An extension may end behind what is read last.
    let padded = [config, &[0; 4]].concat();
    sound_config(&mut Bits::new(&padded)).ok()
}

/// `AudioSpecificConfig()`: profile, rate and channels of the core.
fn sound_config(bits: &mut Bits<'_>) -> Result<(u8, u8, u8), Trouble> {
    let mut object = take(bits, 5)?;
    let (rate_index, channels) = (take(bits, 4)?, take(bits, 4)?);
    if object == 5 || object == 29 {
        // SBR, and parametric stereo: the rate that comes out, then what the core is.
        if take(bits, 4)? == 15 {
            take(bits, 24)?;
        }
        object = take(bits, 5)?;
    }
    let usual = (1..=4).contains(&object) && (rate_index as usize) < RATES.len() && (1..=7).contains(&channels);
    if !usual || flag(bits)? {
        return Err(Trouble::Foreign); // the flag: frames of 960 samples
    }
    if flag(bits)? {
        take(bits, 14)?; // the delay of a core coder
    }
    flag(bits)?; // no extension is defined for these
    Ok((object as u8 - 1, rate_index as u8, channels as u8))
}

/// `LatmGetValue()`.
fn value(bits: &mut Bits<'_>) -> Result<u32, Trouble> {
    let bytes = take(bits, 2)? + 1;
    take(bits, 8 * bytes as usize)
}

fn take(bits: &mut Bits<'_>, count: usize) -> Result<u32, Trouble> {
    bits.take(count).ok_or(Trouble::Damaged)
}

fn flag(bits: &mut Bits<'_>) -> Result<bool, Trouble> {
    take(bits, 1).map(|bit| bit == 1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ts::AAC_LATM;

    /// HE-AAC, its rate said twice, as `tests/corpora/README.md` describes it.
    const EXPLICIT: &[u8] = include_bytes!("../../tests/corpora/he-aac.loas");

    fn track(units: &[(Option<i64>, &[u8])]) -> AudioTrack {
        let unit = |(pts, data): &(Option<i64>, &[u8])| Unit { pts: *pts, dts: None, data: data.to_vec() };
        AudioTrack { stream_type: AAC_LATM, descriptors: vec![], units: units.iter().map(unit).collect() }
    }

    /// Bits as text, the rest of the last byte zeros, behind a start.
    fn element(bits: &str) -> Vec<u8> {
        let bits: String = bits.chars().filter(|bit| !bit.is_whitespace()).collect();
        let bytes = bits.as_bytes().chunks(8).map(|byte| {
            let text = std::str::from_utf8(byte).unwrap();
            u8::from_str_radix(&format!("{text:0<8}"), 2).unwrap()
        });
        let bytes: Vec<u8> = bytes.collect();
        [&[0x56, 0xe0 | (bytes.len() >> 8) as u8, bytes.len() as u8], &bytes[..]].concat()
    }

    /// AAC-LC, 48 kHz, stereo: one frame, nothing else.
    const PLAIN: &str = "0 0 1 000000 0000 000 00010 0011 0010 000 000 11111111 0 0";
    /// Two bytes of sound.
    const SOUND: &str = "00000010 11110000 10101010";

    fn adts_of(bits: &str) -> Option<Vec<u8>> {
        let unit = to_adts(&track(&[(Some(5), &element(bits))]))?;
        Some(unit.into_iter().flat_map(|unit| unit.data).collect())
    }

    fn frame(header: [u8; 7]) -> Option<Vec<u8>> {
        Some([&header[..], &[0xf0, 0xaa]].concat())
    }

    #[test]
    fn every_form_of_a_configuration_is_read() {
        let plain = frame(adts(1, 3, 2, 2));
        assert_eq!(adts_of(&format!("{PLAIN}{SOUND}")), plain);
        // A core coder's delay, other data of 3 bits behind the sound, a check sum.
        let rich = "0 0 1 000000 0000 000 00010 0011 0010 0 1 00000000000000 0 000 11111111 1 0 00000011 1 01010101";
        assert_eq!(adts_of(&format!("{rich}{SOUND} 101")), plain);
        // Version 1 says how long the configuration is: 16 bits and 8 of an extension.
        let newer = "0 1 0 00 00000000 1 000000 0000 000 00 00011000 00010 0011 0010 000 11111111 000 11111111 0 0";
        assert_eq!(adts_of(&format!("{newer}{SOUND}")), plain);
        // SBR with its rate (24 kHz inside, 48 outside), and parametric stereo.
        for (object, channels) in [("00101", "0010"), ("11101", "0001")] {
            let he = format!("0 0 1 000000 0000 000 {object} 0110 {channels} 0011 00010 000 000 11111111 0 0");
            let channels = u8::from_str_radix(channels, 2).unwrap();
            assert_eq!(adts_of(&format!("{he}{SOUND}")), frame(adts(1, 6, channels, 2)));
        }
        // Two frames in an element.
        let two = PLAIN.replace("000000 0000", "000001 0000");
        let both = [plain.clone().unwrap(), plain.unwrap()].concat();
        assert_eq!(adts_of(&format!("{two}{SOUND}{SOUND}")), Some(both));
    }

    #[test]
    fn what_adts_cannot_say_is_left_to_others() {
        for (what, with) in [
            ("00010 0011 0010 000", "00010 0011 0010 100"), // frames of 960
            ("00010 0011 0010 000", "00010 1111 0010 000"), // a rate of its own
            ("00010 0011 0010 000", "00010 0011 0000 000"), // channels of its own
            ("00010 0011 0010 000", "10111 0011 0010 000"), // low delay
            ("0000 000 00010", "0000 001 00010"),           // two layers
            ("0000 000 00010", "0001 000 00010"),           // two programmes
            ("000 11111111", "001 11111111"),               // frames of fixed length
            ("0 0 1 000000", "0 1 1 000000"),               // a later version
        ] {
            assert!(PLAIN.contains(what), "{what}");
            assert_eq!(adts_of(&format!("{}{SOUND}", PLAIN.replacen(what, with, 1))), None, "{with}");
        }
        assert_eq!(adts_of(PLAIN), None, "no sound in it");
        assert_eq!(adts_of(&format!("{PLAIN} 00000000")), None, "none either");
        assert_eq!(adts_of(&format!("1 {SOUND}")), None, "no configuration yet");
    }

    #[test]
    fn elements_cross_packets_and_keep_their_times() {
        let (whole, same) = (element(&format!("{PLAIN}{SOUND}")), element(&format!("1{SOUND}")));
        let all = [&whole[..], &same, &same, &[0x56, 0xe0, 9, 1], &same].concat();
        let cut = whole.len() + same.len() + 2;
        let units = to_adts(&track(&[(Some(7), &all[..cut]), (None, &all[cut..cut + 1]), (Some(9), &all[cut + 1..])]));
        let plain = frame(adts(1, 3, 2, 2)).unwrap();
        // The third element begins in the first packet; what follows it is no element, and the next one has the time.
        let unit = |pts, frames: usize| Unit { pts: Some(pts), dts: None, data: plain.repeat(frames) };
        assert_eq!(units, Some(vec![unit(7, 3), unit(9, 1)]));
    }

    #[test]
    fn a_real_one() {
        let units = to_adts(&track(&[(Some(0), EXPLICIT)])).unwrap();
        let (mut rest, mut frames) = (&units[0].data[..], 0);
        while let [0xff, 0xf1, 0x58, 0x80, high, low, ..] = rest {
            rest = &rest[usize::from(*high) << 3 | usize::from(*low >> 5)..];
            frames += 1;
        }
        assert_eq!((units.len(), frames, rest.len()), (1, 13, 0), "24 kHz, stereo");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_bytes_panic_or_grow(changes in prop::collection::vec(any::<(u16, u8)>(), 0..60), cut in any::<u16>()) {
            let mut bytes = EXPLICIT.to_vec();
            for (at, value) in changes {
                let at = usize::from(at) % bytes.len();
                bytes[at] = value;
            }
            let (head, tail) = bytes.split_at(usize::from(cut) % bytes.len());
            let units = to_adts(&track(&[(Some(1), head), (Some(2), tail)])).unwrap_or_default();
            let total: usize = units.iter().map(|unit| unit.data.len()).sum();
            // A frame of one byte takes another one for its length, and gets seven of header.
            prop_assert!(total <= 4 * bytes.len(), "{total}");
        }
    }
}
