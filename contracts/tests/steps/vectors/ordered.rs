//! Vectors of `ShapeStep` and `OrderedHeaderStep`.

use super::{File, spoilt};
use crate::headers::rendition;
use crate::ordered::{answer, header_step, profile};
use headframe_contracts::bindings::ShapeStep;
use headframe_market::commit::ByteTree;
use headframe_market::profile::Limits;
use headframe_market::proof::header::Kind;
use headframe_market::proof::ordered::Order;
use headframe_market::proof::{Answer, Rung};

#[test]
fn vectors_of_shape_step() {
    let mut file = File::new("shape", &ShapeStep::BYTECODE);
    let profile = profile(2);
    let honest = answer(&profile, &ByteTree::new(&[1]));
    let look = |answer: &Answer| Order { answer, profile: &profile }.look();
    file.add("as ordered", &look(&honest), "NothingWrong");
    spoilt(&mut file, &look(&honest));
    let mut wrong = |name: &str, outcome: &str, change: fn(&mut Answer)| {
        let mut given = honest.clone();
        change(&mut given);
        file.add(name, &look(&given), outcome);
    };
    wrong("another curve", "wrong curve", |answer| answer.filter = 0);
    wrong("each rung from the source", "wrong cascade", |answer| answer.cascade = false);
    wrong("a rung less", "wrong rungs", |answer| answer.rungs.truncate(1));
    wrong("a rung more", "wrong rungs", |answer| answer.rungs.push(Rung::default()));
    wrong("a narrower rung", "wrong size", |answer| answer.rungs[1].width -= 2);
    wrong("a higher rung", "wrong size", |answer| answer.rungs[0].height += 2);
    wrong("no limits", "wrong limits", |answer| answer.rungs[1].limits = Limits::NONE.hash());
    file.close();
}

#[test]
fn vectors_of_ordered_header_step() {
    let mut file = File::of("ordered_header", header_step());
    let (bytes, mut profile) = (rendition(), profile(2));
    let tree = ByteTree::new(&bytes);
    let answer = answer(&profile, &tree);
    let order = Order { answer: &answer, profile: &profile };
    let honest = order.look_at_headers(0, (&bytes, &tree), Kind::First, 0, (0, 1)).unwrap();
    file.add("the first picture", &honest, "NothingWrong");
    spoilt(&mut file, &honest);
    file.add("a rung of another size", &order.accuse_headers(1, &bytes, &tree).unwrap(), "wrong size");
    profile.rungs[0].level = 10;
    let order = Order { answer: &answer, profile: &profile };
    file.add("a higher level", &order.accuse_headers(0, &bytes, &tree).unwrap(), "wrong level");
    profile.rungs.truncate(1);
    let order = Order { answer: &answer, profile: &profile };
    file.add("an answer of more rungs", &order.accuse_headers(0, &bytes, &tree).unwrap(), "wrong level");
    file.close();
}
