//! Which NVENC API a driver speaks. Every structure of that API begins with a word that names the API and the structure's
//! own version; a driver refuses words that it does not know.

use std::fmt;

/// An NVENC API that this crate knows, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Api {
    /// Linux driver 470.57.02 and later.
    V11_1,
    /// Linux driver 520.56.06 and later; AV1 from here on.
    V12_0,
    /// Linux driver 530.41.03 and later.
    V12_1,
    /// Linux driver 550.54.14 and later; the sample depth is told in another way from here on.
    V12_2,
    /// Linux driver 570.0 and later.
    V13_0,
}

/// The structures whose version moved between APIs, and those that never did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Structure {
    /// `NV_ENC_CONFIG`
    Config,
    /// `NV_ENC_INITIALIZE_PARAMS`
    Initialize,
    /// `NV_ENC_PRESET_CONFIG`
    Preset,
    /// `NV_ENC_PIC_PARAMS`
    Picture,
    /// `NV_ENC_LOCK_BITSTREAM`
    Lock,
    /// `NV_ENC_REGISTER_RESOURCE`
    Register,
    /// `NV_ENC_RECONFIGURE_PARAMS`
    Reconfigure,
    /// `NV_ENC_CREATE_BITSTREAM_BUFFER`
    Bitstream,
    /// `NV_ENC_RC_PARAMS`
    RateControl,
    /// `NV_ENC_CAPS_PARAM`
    Caps,
    /// `NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS`
    Open,
    /// `NV_ENC_MAP_INPUT_RESOURCE`
    Map,
    /// `NV_ENCODE_API_FUNCTION_LIST`
    Functions,
}

/// Set in the words of structures that may still grow in their reserved space.
const GROWS: u32 = 1 << 31;

impl Api {
    /// All of them, oldest first.
    pub const ALL: [Self; 5] = [Self::V11_1, Self::V12_0, Self::V12_1, Self::V12_2, Self::V13_0];

    /// Major and minor number.
    pub const fn numbers(self) -> (u32, u32) {
        match self {
            Self::V11_1 => (11, 1),
            Self::V12_0 => (12, 0),
            Self::V12_1 => (12, 1),
            Self::V12_2 => (12, 2),
            Self::V13_0 => (13, 0),
        }
    }

    /// `NVENCAPI_VERSION`.
    pub const fn word(self) -> u32 {
        let (major, minor) = self.numbers();
        major | minor << 24
    }

    /// The newest API here that a driver understands which answers `NvEncodeAPIGetMaxSupportedVersion` with `supported`
    /// (major in the upper 28 bits, minor in the lower 4). Drivers understand every API up to their own; the fall-back is
    /// the oldest one here. `None`: older than all of them.
    pub fn negotiate(supported: u32) -> Option<Self> {
        let driver = (supported >> 4, supported & 0xf);
        Self::ALL.into_iter().rev().find(|api| api.numbers() <= driver)
    }

    /// The version word of a structure in this API.
    pub const fn of(self, structure: Structure) -> u32 {
        let column = self as usize;
        let version = match structure {
            Structure::Config => [7 | GROWS, 8 | GROWS, 8 | GROWS, 9 | GROWS, 9 | GROWS][column],
            Structure::Initialize => [5 | GROWS, 5 | GROWS, 6 | GROWS, 7 | GROWS, 7 | GROWS][column],
            Structure::Preset => [4 | GROWS, 4 | GROWS, 4 | GROWS, 5 | GROWS, 5 | GROWS][column],
            Structure::Picture => [4 | GROWS, 6 | GROWS, 6 | GROWS, 7 | GROWS, 7 | GROWS][column],
            Structure::Lock => [1, 2, 1 | GROWS, 2 | GROWS, 2 | GROWS][column],
            Structure::Register => [3, 4, 4, 5, 5][column],
            Structure::Reconfigure => [1 | GROWS, 1 | GROWS, 1 | GROWS, 2 | GROWS, 2 | GROWS][column],
            Structure::Bitstream | Structure::RateControl | Structure::Caps | Structure::Open => 1,
            Structure::Functions => 2,
            Structure::Map => 4,
        };
        self.word() | (version & !GROWS) << 16 | 7 << 28 | version & GROWS
    }

    /// Whether the sample depth is a field of its own (`outputBitDepth`) instead of three bits.
    pub const fn has_bit_depth_fields(self) -> bool {
        matches!(self, Self::V12_2 | Self::V13_0)
    }
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = self.numbers();
        write!(f, "{major}.{minor}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_that_both_know_is_spoken() {
        let cases = [
            (8, 1, None),
            (11, 0, None),
            (11, 1, Some(Api::V11_1)),
            (12, 0, Some(Api::V12_0)),
            (12, 1, Some(Api::V12_1)),
            (12, 2, Some(Api::V12_2)),
            (13, 0, Some(Api::V13_0)),
            (13, 1, Some(Api::V13_0)),
            (14, 0, Some(Api::V13_0)),
        ];
        for (major, minor, due) in cases {
            assert_eq!(Api::negotiate(major << 4 | minor), due, "{major}.{minor}");
        }
        assert_eq!(Api::negotiate(0), None);
        assert_eq!(Api::negotiate(u32::MAX), Some(Api::V13_0));
    }
}
