//! The randomness of a block out of its header: an RLP list of strings whose field 13 is prevrandao (EIP-4399). Strict: one
//! encoding of each length, nothing behind the list. What follows field 13 is not looked at.

use alloy_primitives::B256;

const MIX_HASH: usize = 13;
const SHORT: u64 = 55;

/// `None` for anything but a header.
pub fn prevrandao(header: &[u8]) -> Option<B256> {
    let (content, rest) = item(header, 0xc0)?;
    if !rest.is_empty() {
        return None;
    }
    let mut fields = content;
    for _ in 0..MIX_HASH {
        fields = item(fields, 0x80)?.1;
    }
    B256::try_from(item(fields, 0x80)?.0).ok()
}

/// The content of the item at the front, and what follows it. `kind` is 0x80 for a string, 0xc0 for a list.
fn item(bytes: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (&tag, behind) = bytes.split_first()?;
    if kind == 0x80 && tag < 0x80 {
        return Some(bytes.split_at(1));
    }
    let length = u64::from(tag.checked_sub(kind)?);
    if length > 0x3f {
        return None; // of the other kind
    }
    if length <= SHORT {
        let (content, rest) = behind.split_at_checked(usize::try_from(length).ok()?)?;
        let bare = kind == 0x80 && length == 1 && content[0] < 0x80; // stands for itself
        return if bare { None } else { Some((content, rest)) };
    }
    let (digits, behind) = behind.split_at_checked(usize::try_from(length - SHORT).ok()?)?;
    let long = digits.iter().fold(0u64, |sum, &digit| sum << 8 | u64::from(digit));
    if digits[0] == 0 || long <= SHORT {
        return None;
    }
    behind.split_at_checked(usize::try_from(long).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Thirteen short fields, the random number, and whatever follows.
    fn header(random: &[u8], behind: &[u8]) -> Vec<u8> {
        let mut content = vec![0x80; MIX_HASH];
        content.push(0x80 + random.len() as u8);
        content.extend(random);
        content.extend(behind);
        let mut list = vec![0xc0 + content.len() as u8];
        list.extend(content);
        list
    }

    #[test]
    fn field_13_is_read_whatever_follows() {
        let random = [0xab; 32];
        assert_eq!(prevrandao(&header(&random, &[])), Some(B256::from(random)));
        assert_eq!(prevrandao(&header(&random, &[1, 0xff])), Some(B256::from(random)));
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let good = header(&[0xab; 32], &[]);
        assert_eq!(prevrandao(&[&good[..], &[0]].concat()), None, "more behind the list");
        assert_eq!(prevrandao(&good[..good.len() - 1]), None, "cut");
        assert_eq!(prevrandao(&header(&[0xab; 31], &[])), None, "31 bytes");
        assert_eq!(prevrandao(&[]), None);
        let mut bare = good.clone();
        bare[1] = 0xc0;
        assert_eq!(prevrandao(&bare), None, "a list within");
        assert_eq!(item(&[0x81, 5], 0x80), None, "a small byte stands for itself");
        assert_eq!(item(&[0xb8, 3, 1, 2, 3], 0x80), None, "a long form of a short length");
        assert_eq!(item(&[0xbf], 0x80), None);
    }
}
