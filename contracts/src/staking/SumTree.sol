// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Weights of up to 512 leaves, for draws in proportion to them, readable as they were in three epochs.
/// @dev Eight leaves make a group and eight groups a span; the spans stand in a row. A version of a group or span is one
/// word: its eight sums of 30 bits, the first lowest; above them one bit that is set if the version replaced one of the
/// epoch just before its own, and the epoch from which it holds (15 bits). The newest version has a place of its own, so
/// that a second write within an epoch touches one word of each. What the version of an epoch replaces goes to one of two
/// more places, by whether that epoch is odd: with writes only ever for epoch e + 1 while e is running, the versions of
/// e - 1, e and e + 1 can all be read, and a draw does not move when stake does. The bit says which place to look in, so
/// that no read takes more than two words. Nothing here can overflow: sums stay within MAX_TOTAL. In 89 years the epochs
/// outgrow their bits; from then on reads find the newest version, whatever epoch they ask for.
library SumTree {
    uint256 internal constant LEAVES = 512;
    uint256 internal constant MAX_TOTAL = 2 ** 30 - 1;
    uint256 internal constant SPAN = 64; // leaves of a span

    uint256 private constant BITS = 30;
    uint256 private constant NEXT_SHIFT = 240;
    uint256 private constant EPOCH_SHIFT = 241;

    struct Tree {
        uint256[3][8] spans; // of each: the newest, what an even epoch replaced, what an odd one did
        uint256[3][64] groups;
    }

    /// @dev `epoch` counts from 1 and must not be below that of an earlier call; the sum of all weights must stay within
    /// MAX_TOTAL.
    function set(Tree storage tree, uint256 leaf, uint256 weight, uint256 epoch) internal {
        unchecked {
            uint256[3] storage group = tree.groups[leaf / 8];
            uint256 was = _child(group[0], leaf % 8);
            if (was == weight) return;
            uint256 change = weight - was; // below zero it wraps, and back in the sums
            _add(group, leaf % 8, change, epoch);
            _add(tree.spans[leaf / SPAN], leaf / 8 % 8, change, epoch);
        }
    }

    /// @param spans How many have ever had a weight: each is a word to read.
    function total(Tree storage tree, uint256 spans, uint256 epoch) internal view returns (uint256 sum) {
        unchecked {
            for (uint256 span = 0; span < spans; ++span) {
                sum += _sum(_read(tree.spans[span], epoch));
            }
        }
    }

    /// @dev The leaf that covers `point` when the leaves lie in a row, each as long as its weight; `point` below total.
    function find(Tree storage tree, uint256 point, uint256 epoch) internal view returns (uint256 leaf) {
        uint256 span = 0;
        uint256 word = _read(tree.spans[0], epoch);
        for (uint256 sum = _sum(word); point >= sum; sum = _sum(word)) {
            point -= sum;
            word = _read(tree.spans[++span], epoch);
        }
        (uint256 group, uint256 rest) = _seek(word, point);
        group += span * 8;
        (leaf,) = _seek(_read(tree.groups[group], epoch), rest);
        leaf += group * 8;
    }

    function weightOf(Tree storage tree, uint256 leaf, uint256 epoch) internal view returns (uint256) {
        return _child(_read(tree.groups[leaf / 8], epoch), leaf % 8);
    }

    function _add(uint256[3] storage node, uint256 child, uint256 change, uint256 epoch) private {
        uint256 word = node[0];
        unchecked {
            uint256 since = word >> EPOCH_SHIFT;
            if (since != epoch) {
                if (word != 0) node[1 + epoch % 2] = word;
                word = (word << 16 >> 16) | (epoch << EPOCH_SHIFT);
                if (since + 1 == epoch) word |= 1 << NEXT_SHIFT;
            }
            node[0] = word + (change << (child * BITS));
        }
    }

    /// @return word The version that holds in `epoch`, one of the three that are kept; 0 when there is none.
    function _read(uint256[3] storage node, uint256 epoch) private view returns (uint256 word) {
        word = node[0];
        unchecked {
            uint256 since = word >> EPOCH_SHIFT;
            if (since <= epoch) return word;
            // What the newest replaced, unless that one is of the epoch between the two: then what that one replaced.
            if (epoch + 1 < since) since -= word >> NEXT_SHIFT & 1;
            return node[1 + since % 2];
        }
    }

    /// @return child Which covers `point`.
    /// @return rest How far within it.
    function _seek(uint256 word, uint256 point) private pure returns (uint256 child, uint256 rest) {
        unchecked {
            rest = point;
            // The last child takes what is left, so that a point beyond the sum ends there and not never.
            for (uint256 weight = _child(word, 0); rest >= weight && child < 7; weight = _child(word, child)) {
                rest -= weight;
                ++child;
            }
        }
    }

    function _child(uint256 word, uint256 child) private pure returns (uint256) {
        return (word >> (child * BITS)) & MAX_TOTAL;
    }

    function _sum(uint256 word) private pure returns (uint256 sum) {
        unchecked {
            for (word = word << 16 >> 16; word != 0; word >>= BITS) {
                sum += word & MAX_TOTAL;
            }
        }
    }
}
