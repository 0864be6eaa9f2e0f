// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Weights of up to 512 leaves, for draws in proportion to them, readable as they were in three epochs.
/// @dev A node is three words, each a version of its eight children's sums (30 bits each, the first child lowest) under
/// the number of the epoch from which it holds (16 bits). A write makes a version for a coming epoch over the oldest of
/// the three, or changes that version when it is there already. So with writes only ever for epoch e + 1 while e is
/// running, the versions of e - 1, e and e + 1 can all be read, and a draw does not move when stake does. Three levels of
/// eight cost fewer cold words than four levels of four. Nothing here can overflow: sums stay within MAX_TOTAL.
library SumTree {
    /// Weights there can be.
    uint256 internal constant LEAVES = 512;
    uint256 internal constant MAX_TOTAL = 2 ** 30 - 1;

    uint256 private constant LEVELS = 3;
    uint256 private constant VERSIONS = 3;
    uint256 private constant BITS = 30;
    uint256 private constant EPOCH_SHIFT = 240;

    struct Tree {
        mapping(uint256 node => uint256[3]) nodes; // 0 is the root, 1..8 its children, 9..72 theirs
    }

    /// @dev `epoch` counts from 1 and must not be below that of an earlier call; the sum of all weights must stay within
    /// MAX_TOTAL.
    function set(Tree storage tree, uint256 leaf, uint256 weight, uint256 epoch) internal {
        uint256 position = leaf; // among the children of its level
        for (uint256 level = LEVELS; level > 0; --level) {
            (uint256 node, uint256 child) = (_firstOf(level - 1) + position / 8, position % 8);
            bool changed;
            (weight, changed) = _write(tree.nodes[node], child, weight, epoch);
            if (!changed) return;
            position /= 8;
        }
    }

    function total(Tree storage tree, uint256 epoch) internal view returns (uint256) {
        return _sum(_read(tree.nodes[0], epoch));
    }

    /// @dev The leaf that covers `point` when the leaves lie in a row, each as long as its weight; `point` below total.
    function find(Tree storage tree, uint256 point, uint256 epoch) internal view returns (uint256 leaf) {
        unchecked {
            for (uint256 level = 0; level < LEVELS; ++level) {
                uint256 word = _read(tree.nodes[_firstOf(level) + leaf], epoch);
                uint256 child = 0;
                // The last child takes what is left, so that a point beyond the total ends there and not never.
                for (uint256 weight = _child(word, 0); point >= weight && child < 7; weight = _child(word, child)) {
                    point -= weight;
                    ++child;
                }
                leaf = leaf * 8 + child;
            }
        }
    }

    function weightOf(Tree storage tree, uint256 leaf, uint256 epoch) internal view returns (uint256) {
        return _child(_read(tree.nodes[_firstOf(LEVELS - 1) + leaf / 8], epoch), leaf % 8);
    }

    /// @return sum Of all children, in the version that holds from `epoch`.
    function _write(uint256[3] storage node, uint256 child, uint256 weight, uint256 epoch)
        private
        returns (uint256 sum, bool changed)
    {
        (uint256 newest, uint256 oldest) = (0, 0);
        uint256 word = node[0];
        uint256 last = word;
        unchecked {
            for (uint256 i = 1; i < VERSIONS; ++i) {
                uint256 other = node[i];
                // The epoch is in the highest bits and differs between versions, so that words compare as epochs do.
                if (other > word) (newest, word) = (i, other);
                if (other < last) (oldest, last) = (i, other);
            }
            uint256 was = _child(word, child);
            if (was == weight) return (0, false);
            if (word >> EPOCH_SHIFT == epoch) oldest = newest;
            uint256 sums = word << 16 >> 16;
            sums = sums - (was << (child * BITS)) + (weight << (child * BITS));
            node[oldest] = sums | (epoch << EPOCH_SHIFT);
            return (_sum(sums), true);
        }
    }

    /// @return word The latest version that holds in `epoch`; 0 when there is none.
    function _read(uint256[3] storage node, uint256 epoch) private view returns (uint256 word) {
        unchecked {
            uint256 end = (epoch + 1) << EPOCH_SHIFT;
            for (uint256 i = 0; i < VERSIONS; ++i) {
                uint256 other = node[i];
                if (other < end && other > word) word = other;
            }
        }
    }

    function _firstOf(uint256 level) private pure returns (uint256) {
        return level == 0 ? 0 : level == 1 ? 1 : 9;
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
