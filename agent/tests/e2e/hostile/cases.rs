//! What a publisher with a valid key may send to do harm. Every kind of damage makes another case of every seed.

use crate::flv::{AUDIO, Tag, VIDEO};
use crate::packets::{Random, parameter_set};

/// One thing sent.
#[derive(Clone, Debug)]
pub(crate) enum Sent {
    /// A message: kind, time and body.
    Message(u8, u32, Vec<u8>),
    /// Bytes in place of a chunk.
    Bytes(Vec<u8>),
}

/// One case: what kind it is of, and what is sent.
pub(crate) type Case = (&'static str, Vec<Sent>);

/// Makes a case from two good clips.
type Kind = fn(&[Tag], &[Tag], &mut Random) -> Vec<Sent>;

fn whole(tags: impl IntoIterator<Item = Tag>) -> Vec<Sent> {
    tags.into_iter().map(|tag| Sent::Message(tag.kind, tag.ms, tag.body)).collect()
}

/// Changes the units of every picture.
fn pictures(tags: &[Tag], mut change: impl FnMut(&mut Vec<Vec<u8>>)) -> Vec<Sent> {
    whole(tags.iter().map(|tag| {
        let mut units = tag.units();
        if units.is_empty() {
            return tag.clone();
        }
        change(&mut units);
        tag.with_units(&units)
    }))
}

fn noise(random: &mut Random, len: usize) -> Vec<u8> {
    (0..len).map(|_| random.byte()).collect()
}

fn config(tags: &[Tag]) -> Tag {
    tags.iter().find(|tag| tag.is_config()).expect("a clip has a configuration").clone()
}

/// A configuration with this sequence parameter set and the picture parameter set of `like`.
fn configured(like: &Tag, sps: &[u8]) -> Tag {
    let record = &like.body[5..];
    let old = 8 + usize::from(u16::from_be_bytes([record[6], record[7]]));
    let mut body = like.body[..11].to_vec();
    body.extend((sps.len() as u16).to_be_bytes());
    body.extend(sps);
    body.extend(&record[old..]);
    Tag { body, ..like.clone() }
}

/// A chunk header of RTMP section 5.3.1: type 0, the stream, the message's announced length and kind.
fn chunk(stream: u8, length: u32, kind: u8) -> Vec<u8> {
    let [_, a, b, c] = length.to_be_bytes();
    vec![stream, 0, 0, 0, a, b, c, kind, 1, 0, 0, 0]
}

pub(crate) const KINDS: [(&str, Kind); 23] = [
    ("bits flipped", |clip, _, random| {
        whole(clip.iter().cloned().map(|mut tag| {
            for _ in 0..if tag.is_picture() { random.below(4) } else { 0 } {
                let at = random.below(tag.body.len());
                tag.body[at] ^= 1 << random.below(8);
            }
            tag
        }))
    }),
    ("bytes inside NAL units", |clip, _, random| {
        pictures(clip, |units| {
            for unit in units.iter_mut().filter(|unit| unit.len() > 2) {
                for _ in 0..random.below(3) {
                    let at = 1 + random.below(unit.len() - 1);
                    unit[at] = random.byte();
                }
            }
        })
    }),
    ("NAL unit lengths", |clip, _, random| {
        whole(clip.iter().cloned().map(|mut tag| {
            if tag.is_picture() && random.below(3) == 0 {
                let len = u32::from_be_bytes([tag.body[5], tag.body[6], tag.body[7], tag.body[8]]);
                let lie = [0, 1, len - 1, len + 1, len / 2, 0x7fff_ffff, u32::MAX][random.below(7)];
                tag.body[5..9].copy_from_slice(&lie.to_be_bytes());
            }
            tag
        }))
    }),
    ("NAL unit types", |clip, _, random| {
        pictures(clip, |units| units.iter_mut().filter(|_| random.below(4) == 0).for_each(|unit| unit[0] ^= 0x1f))
    }),
    ("slices lost", |clip, _, random| {
        pictures(clip, |units| units.retain(|unit| !matches!(unit[0] & 0x1f, 1..=5) || random.below(3) != 0))
    }),
    ("pictures cut short", |clip, _, random| {
        whole(clip.iter().cloned().map(|mut tag| {
            if tag.is_picture() && random.below(2) == 0 {
                tag.body.truncate(random.below(tag.body.len()));
            }
            tag
        }))
    }),
    ("pictures lost", |clip, _, random| {
        let one_in = 2 + random.below(6);
        whole(clip.iter().filter(|tag| !tag.is_picture() || random.below(one_in) != 0).cloned())
    }),
    ("pictures out of order", |clip, _, random| {
        let mut tags = clip.to_vec();
        let places: Vec<usize> = (0..tags.len()).filter(|at| tags[*at].is_picture()).collect();
        for _ in 0..1 + random.below(12) {
            let (a, b) = (places[random.below(places.len())], places[random.below(places.len())]);
            let (first, second) = (tags[a].body.clone(), tags[b].body.clone());
            (tags[a].body, tags[b].body) = (second, first);
        }
        whole(tags)
    }),
    ("pictures of another stream", |clip, other, random| {
        let others: Vec<&Tag> = other.iter().filter(|tag| tag.is_picture()).collect();
        whole(clip.iter().map(|tag| match tag.is_picture() && random.below(4) == 0 {
            true => Tag { body: others[random.below(others.len())].body.clone(), ..tag.clone() },
            false => tag.clone(),
        }))
    }),
    ("parameter sets changed midway", |clip, other, random| {
        let sets = [config(clip), config(other)];
        whole(clip.iter().flat_map(|tag| match tag.is_picture() && random.below(5) == 0 {
            true => vec![Tag { ms: tag.ms, ..sets[random.below(2)].clone() }, tag.clone()],
            false => vec![tag.clone()],
        }))
    }),
    ("giant pictures", |clip, _, random| {
        let sides = [1, 2, 120, 256, 257, 512, 1000, 1024];
        let sps = parameter_set(sides[random.below(sides.len())], sides[random.below(sides.len())]);
        whole(clip.iter().map(|tag| if tag.is_config() { configured(tag, &sps) } else { tag.clone() }))
    }),
    ("giant parameter sets in the stream", |clip, _, random| {
        let (width, height) = (1 << random.below(25), 1 << random.below(25));
        let sps = if random.below(2) == 0 { parameter_set(width, height) } else { noise(random, 40) };
        pictures(clip, |units| {
            if units.iter().any(|unit| unit[0] & 0x1f == 5) {
                units.insert(0, [&[0x67], &sps[1..]].concat());
            }
        })
    }),
    ("times", |clip, _, random| {
        let some = 2 + random.below(8);
        let mut shift = [0, u32::MAX - 1000, 1 << 31, 0x00ff_fff0][random.below(4)];
        whole(clip.iter().cloned().map(|mut tag| {
            if random.below(some) == 0 {
                let by = [1, 40, 5000, 1 << 20, 1 << 31, u32::MAX - 40][random.below(6)];
                shift = shift.wrapping_add(by);
            }
            tag.ms = tag.ms.wrapping_add(shift);
            tag
        }))
    }),
    ("composition times", |clip, _, random| {
        whole(clip.iter().cloned().map(|mut tag| {
            if tag.is_picture() && random.below(3) == 0 {
                tag.body[2..5].iter_mut().for_each(|byte| *byte = random.byte());
            }
            tag
        }))
    }),
    ("sound", |clip, _, random| {
        whole(clip.iter().cloned().map(|mut tag| {
            if tag.kind == AUDIO && random.below(3) == 0 {
                let len = [0, 1, 2, 5, 300, 6144, 9000][random.below(7)];
                tag.body.truncate(random.below(3));
                tag.body.extend(noise(random, len));
            }
            tag
        }))
    }),
    ("no pictures", |clip, _, random| {
        let empty = random.below(2) == 0;
        let keep = |tag: &&Tag| !tag.is_picture() || empty;
        whole(clip.iter().filter(keep).cloned().map(|mut tag| {
            if tag.is_picture() {
                tag.body.truncate(2 + random.below(4));
            }
            tag
        }))
    }),
    ("many tiny segments", |clip, _, random| {
        let mut sent = whole([config(clip)]);
        let step = [2000, 2500, 9999][random.below(3)];
        for n in 0..12 {
            let slice = [&[0x65], &noise(random, 1 + n as usize)[..]].concat();
            let like = Tag { kind: VIDEO, ms: n * step, body: vec![0x17, 1, 0, 0, 0] };
            sent.extend(whole([like.with_units(&[slice])]));
        }
        sent
    }),
    ("aggregates", |clip, _, random| {
        let mut sent = whole([config(clip)]);
        for group in clip.chunks(8) {
            let mut body = Vec::new();
            for tag in group {
                let lie = if random.below(4) == 0 { random.below(1 << 24) } else { tag.body.len() };
                body.push(tag.kind);
                body.extend(&(lie as u32).to_be_bytes()[1..]);
                body.extend(&tag.ms.to_be_bytes()[1..]);
                body.extend([(tag.ms >> 24) as u8, 0, 0, 0]);
                body.extend(&tag.body);
                body.extend([0; 4]);
            }
            sent.push(Sent::Message(22, group[0].ms, body));
        }
        sent
    }),
    ("messages of every kind", |clip, _, random| {
        let sent = whole(clip.iter().cloned());
        sent.into_iter()
            .flat_map(|message| match random.below(6) {
                0 => {
                    // Not those that set the size of chunks or abort one: what follows would be no message at all.
                    let kinds = [3, 4, 5, 6, 7, 15, 16, 17, 18, 19, 20, 21, 23, 255];
                    let len = random.below(200);
                    vec![Sent::Message(kinds[random.below(kinds.len())], 0, noise(random, len)), message]
                }
                _ => vec![message],
            })
            .collect()
    }),
    ("bytes that are no chunks", |clip, _, random| {
        let mut sent = whole(clip.iter().take(20 + random.below(20)).cloned());
        sent.push(Sent::Bytes(noise(random, 20_000)));
        sent
    }),
    ("giant messages", |clip, _, random| {
        let mut sent = whole(clip.iter().take(30).cloned());
        match random.below(4) {
            // Announced and never sent; the most that can be announced; many at a time.
            0 => sent.push(Sent::Bytes(chunk(6, 8 << 20, VIDEO))),
            1 => sent.push(Sent::Bytes(chunk(6, 0x00ff_ffff, VIDEO))),
            2 => sent.extend((7..40).map(|stream| Sent::Bytes([chunk(stream, 1 << 20, VIDEO), vec![0; 128]].concat()))),
            _ => {
                let slice = [&[0x65], &noise(random, (1 << 20) + random.0 as usize % 1000)[..]].concat();
                let like = clip.iter().rfind(|tag| tag.is_picture()).expect("a clip has pictures");
                sent.extend(whole([like.with_units(&[slice])]));
            }
        }
        sent
    }),
    ("very many NAL units", |clip, _, random| {
        let (count, len) = ([1000, 1025, 30_000][random.below(3)], random.below(3));
        let unit = [&[[0x0c, 0x06, 0x09, 0x61][random.below(4)]], &noise(random, len)[..]].concat();
        pictures(clip, |units| {
            if units[0][0] & 0x1f != 1 {
                units.extend(std::iter::repeat_n(if len == 0 { vec![] } else { unit.clone() }, count));
            }
        })
    }),
    ("cut off within a chunk", |clip, _, random| {
        let mut sent = whole(clip.iter().take(10 + random.below(clip.len() - 10)).cloned());
        let len = random.below(5000);
        sent.push(Sent::Bytes([chunk(6, 6000, VIDEO), vec![0x27; len]].concat()));
        sent
    }),
];
