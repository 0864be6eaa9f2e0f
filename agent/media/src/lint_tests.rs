//! Seeds faults into playlists that are right and sees each of them found.

use super::*;
use crate::playlist::hls::DateTime;

const MEDIA: &str = "#EXTM3U
#EXT-X-VERSION:3
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:4
#EXT-X-DISCONTINUITY-SEQUENCE:1
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T10:00:00.000Z
#EXTINF:2.000000,
4.ts
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T10:00:02.000Z
#EXTINF:2.000000,
5.ts
#EXT-X-DISCONTINUITY
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T10:00:09.000Z
#EXTINF:2.000000,
7.ts
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T10:00:11.000Z
#EXTINF:2.000000,
8.ts
";

const MASTER: &str = "#EXTM3U
#EXT-X-VERSION:3
#EXT-X-STREAM-INF:BANDWIDTH=900000,AVERAGE-BANDWIDTH=800000,CODECS=\"avc1.64001e,mp4a.40.2\",RESOLUTION=640x360,FRAME-RATE=29.970
360p/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=3000000,CODECS=\"avc1.64001f\",RESOLUTION=1280x720
720p/index.m3u8
";

#[test]
fn right_playlists_pass() {
    assert_eq!(media(MEDIA), []);
    assert_eq!(master(MASTER), []);
    assert_eq!(evolution(MEDIA, MEDIA), []);
}

#[test]
fn each_seeded_fault_of_a_media_playlist_is_found() {
    for (from, to, section) in [
        ("#EXTM3U\n", "", "4.3.1.1"),
        ("#EXT-X-VERSION:3", "#EXT-X-VERSION:2", "7"),
        ("#EXT-X-VERSION:3\n", "#EXT-X-VERSION:3\n#EXT-X-VERSION:3\n", "4.3"),
        ("#EXT-X-TARGETDURATION:2\n", "", "4.3.3.1"),
        ("#EXT-X-TARGETDURATION:2", "#EXT-X-TARGETDURATION:1", "4.3.3.1"),
        ("#EXT-X-TARGETDURATION:2", "#EXT-X-TARGETDURATION:2.0", "4.2"),
        ("#EXTINF:2.000000,\n5.ts", "#EXTINF:2.500000,\n5.ts", "4.3.3.1"),
        ("#EXTINF:2.000000,\n5.ts", "5.ts", "4.3.2.1"),
        ("#EXTINF:2.000000,\n5.ts", "#EXTINF:2.000000\n5.ts", "4.3.2.1"),
        ("#EXTINF:2.000000,\n5.ts", "#EXTINF:-2,\n5.ts", "4.3.2.1"),
        ("#EXTINF:2.000000,\n5.ts", "#EXTINF:2.000000,\n#EXTINF:2.000000,\n5.ts", "4.3.2.1"),
        ("#EXTINF:2.000000,\n8.ts\n", "#EXTINF:2.000000,\n", "4.3.2.1"),
        ("5.ts", "4.ts", "4.3.2"),
        ("5.ts", "a b.ts", "4.1"),
        ("5.ts", " 5.ts", "4.1"),
        ("5.ts\n", "5.ts\n#EXT-X-MEDIA-SEQUENCE:9\n", "4.3"),
        ("#EXT-X-DISCONTINUITY\n", "", "4.3.2.6"),
        ("10:00:11.000Z", "10:00:08.000Z", "4.3.2.6"),
        ("10:00:11.000Z", "10:00:11.000", "4.3.2.6"),
        ("10:00:02.000Z", "10:00:03.000Z", "4.3.2.6"),
        ("#EXT-X-INDEPENDENT-SEGMENTS", "#EXT-X-STREAM-INF:BANDWIDTH=1", "4.1"),
        ("8.ts\n", "8.ts", "4.1"),
    ] {
        let broken = MEDIA.replacen(from, to, 1);
        assert_ne!(broken, MEDIA, "{from:?} is not in the playlist");
        let faults = media(&broken);
        assert!(faults.iter().any(|fault| fault.section == section), "{from:?} to {to:?}: {faults:?}");
    }
}

#[test]
fn each_seeded_fault_of_a_master_playlist_is_found() {
    for (from, to, section) in [
        ("BANDWIDTH=900000,", "", "4.3.4.2"),
        ("BANDWIDTH=900000", "BANDWIDTH=700000", "4.3.4.2"),
        ("BANDWIDTH=900000", "BANDWIDTH=fast", "4.3.4.2"),
        ("\"avc1.64001f\"", "avc1.64001f", "4.3.4.2"),
        (",CODECS=\"avc1.64001f\"", "", "4.3.4.2"),
        ("1280x720", "1280", "4.3.4.2"),
        ("29.970", "29.9700", "4.3.4.2"),
        ("29.970", "0", "4.3.4.2"),
        ("360p/index.m3u8\n", "", "4.3.4.2"),
        ("720p/index.m3u8\n", "", "4.3.4.2"),
        ("RESOLUTION=1280x720", "RESOLUTION=1280x720,RESOLUTION=1280x720", "4.2"),
        (",RESOLUTION=1280x720", ",,RESOLUTION=1280x720", "4.2"),
        ("#EXT-X-VERSION:3\n", "#EXT-X-TARGETDURATION:2\n", "4.1"),
    ] {
        let broken = MASTER.replacen(from, to, 1);
        assert_ne!(broken, MASTER, "{from:?} is not in the playlist");
        let faults = master(&broken);
        assert!(faults.iter().any(|fault| fault.section == section), "{from:?} to {to:?}: {faults:?}");
    }
    assert!(!master("#EXTM3U\n").is_empty());
}

#[test]
fn each_wrong_step_of_a_live_playlist_is_found() {
    let next = "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T10:00:13.000Z\n#EXTINF:2.000000,\n9.ts\n";
    let first = "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T10:00:00.000Z\n#EXTINF:2.000000,\n4.ts\n";
    let after = MEDIA.replace(first, "").replace("SEQUENCE:4", "SEQUENCE:5") + next;
    assert_eq!(evolution(MEDIA, &after), []);
    for (what, broken) in [
        ("target duration", after.replace("DURATION:2", "DURATION:3")),
        ("sequence not counted up", after.replace("-MEDIA-SEQUENCE:5", "-MEDIA-SEQUENCE:4")),
        ("sequence backwards", after.replace("-MEDIA-SEQUENCE:5", "-MEDIA-SEQUENCE:3")),
        ("discontinuity sequence", after.replace("DISCONTINUITY-SEQUENCE:1", "DISCONTINUITY-SEQUENCE:2")),
        ("segment renamed", after.replace("8.ts", "80.ts")),
        ("segment vanished", MEDIA.replace("#EXTINF:2.000000,\n8.ts\n", "")),
    ] {
        assert!(!evolution(MEDIA, &broken).is_empty(), "{what}");
    }
    let ended = MEDIA.to_owned() + "#EXT-X-ENDLIST\n";
    assert!(!evolution(&ended, &(ended.clone() + next)).is_empty());
    let short = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:6\n#EXT-X-DISCONTINUITY-SEQUENCE:1\n\
                 #EXT-X-DISCONTINUITY\n#EXTINF:2.0,\n7.ts\n";
    assert!(evolution(MEDIA, short).iter().any(|fault| fault.what.contains("three target durations")));
}

#[test]
fn dates_are_read_as_the_writer_writes_them() {
    for ms in [0, 951_782_400_123, 1_709_251_199_999, 4_107_542_400_000, 1_795_000_000_001] {
        assert_eq!(date_ms(&DateTime(ms).to_string()), Some(ms));
    }
    assert_eq!(date_ms("2026-11-22T10:00:00+02:00"), date_ms("2026-11-22T08:00:00Z"));
}

#[test]
fn the_largest_numbers_are_read() {
    let list = |sequence: u64, segments: &str| {
        let most = u64::MAX;
        format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:{sequence}\n#EXT-X-DISCONTINUITY-SEQUENCE:{most}\n{segments}"
        )
    };
    let before = list(7, "#EXT-X-DISCONTINUITY\n#EXTINF:2,\n7.ts\n#EXTINF:2,\n8.ts\n");
    let after = list(8, "#EXTINF:2,\n8.ts\n");
    assert!(!evolution(&before, &after).is_empty());
}
