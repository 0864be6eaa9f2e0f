//! Headers of blocks as execution clients hash them, and some that are none.

use crate::dice::Dice;
use alloy::primitives::{B256, Bytes, keccak256};

/// The header of a block, or now and then bytes that only hash to what the chain serves.
pub(crate) fn header(dice: &mut Dice, block: u64, time: u64) -> Bytes {
    let random = keccak256(dice.next().to_be_bytes());
    let mut fields: Vec<Vec<u8>> = vec![];
    for tag in [1u8, 2] {
        fields.push(vec![tag; 32]); // parent, uncles
    }
    fields.push(vec![3; 20]); // coinbase
    for tag in [4u8, 5, 6] {
        fields.push(vec![tag; 32]); // state, transactions, receipts
    }
    fields.push(vec![0; 256]); // bloom
    for number in [0, block, 36_000_000, dice.next() % 36_000_000, time] {
        fields.push(number.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect());
    }
    fields.push(b"headframe"[..dice.below(9)].to_vec()); // extra data
    fields.push(random.to_vec());
    fields.push(vec![0; 8]); // nonce
    fields.push(vec![7]); // base fee
    let fault = if dice.one_in(25) { dice.below(6) } else { 6 };
    match fault {
        0 => {
            fields[13].pop();
        }
        1 => fields.truncate(13),
        _ => {}
    }
    let mut content = Vec::new();
    for field in &fields {
        match field[..] {
            [byte] if byte < 0x80 && fault != 2 => content.push(byte),
            _ => push(&mut content, 0x80, field),
        }
    }
    let mut list = Vec::new();
    push(&mut list, if fault == 3 { 0x80 } else { 0xc0 }, &content);
    match fault {
        4 => list.push(0),
        5 => {
            list.pop();
        }
        _ => {}
    }
    list.into()
}

fn push(to: &mut Vec<u8>, kind: u8, content: &[u8]) {
    if content.len() <= 55 {
        to.push(kind + content.len() as u8);
    } else {
        let length: Vec<u8> = content.len().to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
        to.push(kind + 55 + length.len() as u8);
        to.extend(length);
    }
    to.extend(content);
}

pub(crate) fn random_hash(dice: &mut Dice) -> B256 {
    keccak256(dice.next().to_be_bytes())
}
