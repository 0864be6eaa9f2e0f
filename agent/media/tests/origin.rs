//! What players may rely on, through the public interface of the origin.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use headframe_media::lint;
use headframe_media::origin::{Origin, OriginError, Publication, Published, Settings, Variant};
use headframe_media::{StreamId, TICKS_PER_SECOND};
use proptest::prelude::*;

const TWO_SECONDS: i64 = 2 * TICKS_PER_SECOND;

fn id() -> StreamId {
    "stage".parse().unwrap()
}

fn variant(name: &str, height: u32, bitrate: u64) -> Variant {
    let width = height * 16 / 9;
    Variant { name: name.into(), width, height, bitrate, codecs: "avc1.64001f,mp4a.40.2".into(), fps: Some(30.0) }
}

fn ladder() -> Vec<Variant> {
    vec![variant("240p", 240, 250_000), variant("720p", 720, 3_000_000)]
}

fn segment(number: u64) -> Publication {
    let data = |size: usize| Bytes::from(vec![number as u8; size]);
    Publication {
        number,
        first_pts: 900_000 + number as i64 * TWO_SECONDS,
        duration: TWO_SECONDS,
        discontinuity: false,
        captured_at: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + 2 * number)),
        files: vec![("240p".into(), data(60_000)), ("720p".into(), data(700_000))],
    }
}

fn settings() -> Settings {
    Settings { gap_wait: Duration::from_secs(3600), ..Settings::default() }
}

fn open(dir: &tempfile::TempDir, settings: Settings) -> Origin {
    let origin = Origin::open(dir.path(), settings).unwrap();
    origin.declare(&id(), ladder()).unwrap();
    origin
}

fn text(origin: &Origin, rendition: &str) -> String {
    origin.media(&id(), rendition).unwrap().text
}

fn listed(origin: &Origin) -> Vec<u64> {
    let Some(playlist) = origin.media(&id(), "240p") else { return Vec::new() };
    playlist.text.lines().filter_map(|line| line.strip_suffix(".ts")?.parse().ok()).collect()
}

fn files(dir: &tempfile::TempDir, rendition: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir.path().join("stage").join(rendition)) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_window_slides_by_the_rules_and_old_segments_stay_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let origin = open(&dir, settings());
    assert!(origin.master(&id()).is_none() && origin.media(&id(), "240p").is_none());
    let mut before: Option<String> = None;
    for number in 0..40 {
        assert_eq!(origin.publish(&id(), segment(number)).unwrap(), Published::Listed { released: 0 });
        for rendition in ["240p", "720p"] {
            assert_eq!(lint::media(&text(&origin, rendition)), []);
        }
        let now = text(&origin, "240p");
        assert_eq!(before.map(|before| lint::evolution(&before, &now)).unwrap_or_default(), []);
        assert_eq!(lint::master(&origin.master(&id()).unwrap().text), []);
        assert!(!now.contains("DISCONTINUITY"), "{now}");
        before = Some(now);
    }
    assert_eq!(listed(&origin), (30..40).collect::<Vec<_>>());
    assert!(text(&origin, "720p").contains("#EXT-X-MEDIA-SEQUENCE:30\n"));
    assert!(origin.segment(&id(), "240p", 20).is_some() && origin.segment(&id(), "240p", 19).is_none());
    assert_eq!((files(&dir, "240p").len(), files(&dir, "720p").len()), (20, 20));
    assert_eq!(origin.disk_bytes(), 20 * 760_000);
}

#[test]
fn program_time_follows_the_media_and_the_target_duration_stays() {
    let dir = tempfile::tempdir().unwrap();
    let origin = open(&dir, settings());
    for number in 0..3 {
        let mut segment = segment(number);
        // The wall clock stumbles; the program time must not.
        segment.captured_at = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + 7 * number));
        origin.publish(&id(), segment).unwrap();
    }
    let mut long = segment(3);
    long.duration = 2 * TWO_SECONDS;
    origin.publish(&id(), long).unwrap();
    let list = text(&origin, "240p");
    for time in ["08:00:00.000Z", "08:00:02.000Z", "08:00:04.000Z", "08:00:06.000Z"] {
        assert!(list.contains(&format!("2027-01-15T{time}")), "{list}");
    }
    assert!(list.contains("#EXT-X-TARGETDURATION:4\n"));
}

#[test]
fn the_delay_counts_from_the_capture() {
    let dir = tempfile::tempdir().unwrap();
    let origin = open(&dir, settings());
    for (number, late) in [(0, 1), (1, 30)] {
        let mut segment = segment(number);
        segment.captured_at = Some(SystemTime::now() - Duration::from_secs(2 + late));
        origin.publish(&id(), segment).unwrap();
        let delay = origin.stream_status(&id()).unwrap().delay_ms;
        assert!((late as i64 * 1000..late as i64 * 1000 + 900).contains(&delay), "{delay}");
    }
}

#[test]
fn segments_out_of_order_wait_and_all_renditions_appear_together() {
    let dir = tempfile::tempdir().unwrap();
    let origin = open(&dir, settings());
    assert_eq!(origin.publish(&id(), segment(1)).unwrap(), Published::Held);
    assert_eq!(origin.publish(&id(), segment(2)).unwrap(), Published::Held);
    assert!(origin.master(&id()).is_none());
    assert!(origin.segment(&id(), "240p", 1).is_none(), "a held segment must not be served");
    assert!(matches!(origin.publish(&id(), segment(2)), Err(OriginError::Duplicate { number: 2, .. })));
    assert_eq!(origin.publish(&id(), segment(0)).unwrap(), Published::Listed { released: 2 });
    assert_eq!(listed(&origin), [0, 1, 2]);
    assert!(matches!(origin.publish(&id(), segment(1)), Err(OriginError::Late { number: 1, expected: 3, .. })));
    let mut half = segment(3);
    half.files.pop();
    assert!(matches!(origin.publish(&id(), half), Err(OriginError::Renditions { .. })));
    assert_eq!(listed(&origin), [0, 1, 2]);
}

#[test]
fn a_segment_that_never_comes_becomes_one_discontinuity() {
    let dir = tempfile::tempdir().unwrap();
    let origin = open(&dir, Settings { max_held: 2, ..settings() });
    for number in [0, 1, 3, 4] {
        origin.publish(&id(), segment(number)).unwrap();
    }
    assert_eq!(listed(&origin), [0, 1]);
    origin.publish(&id(), segment(5)).unwrap();
    assert_eq!(listed(&origin), [0, 1, 3, 4, 5]);
    let list = text(&origin, "240p");
    assert_eq!(list.matches("#EXT-X-DISCONTINUITY\n").count(), 1);
    assert!(
        list.contains(
            "#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2027-01-15T08:00:06.000Z\n#EXTINF:2.000000,\n3.ts"
        ),
        "{list}"
    );
    assert_eq!(lint::media(&list), []);
    // A loss that is announced need not be waited for.
    origin.publish(&id(), segment(7)).unwrap();
    origin.skip(&id(), 6).unwrap();
    assert_eq!(listed(&origin), [0, 1, 3, 4, 5, 7]);
    assert_eq!(origin.status()[0].gaps, 2);
    // When the tags leave the list, the discontinuity sequence counts them.
    let mut before = text(&origin, "240p");
    for number in 8..30 {
        origin.publish(&id(), segment(number)).unwrap();
        let now = text(&origin, "240p");
        assert_eq!(lint::evolution(&before, &now), []);
        before = now;
    }
    assert!(before.contains("#EXT-X-DISCONTINUITY-SEQUENCE:2\n"));
}

#[test]
fn a_gap_is_given_up_after_its_time_even_if_only_players_ask() {
    let dir = tempfile::tempdir().unwrap();
    let origin = open(&dir, Settings { gap_wait: Duration::ZERO, ..settings() });
    for number in [0, 2] {
        origin.publish(&id(), segment(number)).unwrap();
    }
    assert_eq!(listed(&origin), [0, 2]);
}

#[test]
fn a_stream_that_starts_late_waits_for_nothing_it_was_told_not_to_expect() {
    let dir = tempfile::tempdir().unwrap();
    let origin = open(&dir, settings());
    origin.expect(&id(), 41).unwrap();
    assert_eq!(origin.publish(&id(), segment(41)).unwrap(), Published::Listed { released: 0 });
    assert!(!text(&origin, "240p").contains("DISCONTINUITY"));
    assert!(text(&origin, "240p").contains("#EXT-X-MEDIA-SEQUENCE:0\n"));
}

#[test]
fn everything_is_as_it_was_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let origin = open(&dir, settings());
    for number in (0..14).chain([15]) {
        origin.publish(&id(), segment(number)).unwrap();
    }
    let (before, bytes, status) = (text(&origin, "720p"), origin.disk_bytes(), origin.status());
    assert_eq!(origin.resume(&id()).map(|resume| (resume.number, resume.pts)), Some((16, 900_000 + 16 * TWO_SECONDS)));
    drop(origin);
    // What a crash leaves behind: a half-written file and a segment that no index knows.
    std::fs::write(dir.path().join("stage/240p/14.tmp"), b"half").unwrap();
    std::fs::write(dir.path().join("stage/240p/77.ts"), b"stray").unwrap();
    let origin = Origin::open(dir.path(), settings()).unwrap();
    assert_eq!((text(&origin, "720p"), origin.disk_bytes(), origin.status()), (before.clone(), bytes, status));
    assert!(!files(&dir, "240p").iter().any(|name| name == "14.tmp" || name == "77.ts"));
    assert_eq!(origin.publish(&id(), segment(14)).unwrap(), Published::Listed { released: 1 });
    assert_eq!(lint::evolution(&before, &text(&origin, "720p")), []);
    assert!(!text(&origin, "720p").contains("#EXT-X-DISCONTINUITY\n"));
}

#[test]
fn a_segment_damaged_while_we_were_away_is_not_listed() {
    let dir = tempfile::tempdir().unwrap();
    let origin = open(&dir, settings());
    (0..8).for_each(|number| assert!(origin.publish(&id(), segment(number)).is_ok()));
    let before = text(&origin, "240p");
    drop(origin);
    std::fs::write(dir.path().join("stage/720p/4.ts"), b"short").unwrap();
    let origin = Origin::open(dir.path(), settings()).unwrap();
    assert_eq!(listed(&origin), [5, 6, 7]);
    assert!(text(&origin, "240p").contains("#EXT-X-MEDIA-SEQUENCE:5\n"), "{before}");
    assert_eq!(origin.disk_bytes(), 3 * 760_000);
    std::fs::write(dir.path().join("stage/index.json"), b"{ not json").unwrap();
    assert!(Origin::open(dir.path(), settings()).unwrap().status().is_empty());
}

#[test]
fn an_ended_stream_says_so_and_can_be_revived() {
    let dir = tempfile::tempdir().unwrap();
    let origin = open(&dir, settings());
    for number in [0, 1, 2, 5] {
        origin.publish(&id(), segment(number)).unwrap();
    }
    origin.end(&id()).unwrap();
    assert_eq!(listed(&origin), [0, 1, 2, 5], "what was held is listed at the end");
    assert!(text(&origin, "240p").ends_with("#EXT-X-ENDLIST\n"));
    assert!(matches!(origin.publish(&id(), segment(6)), Err(OriginError::Late { .. })));
    origin.declare(&id(), ladder()).unwrap();
    origin.publish(&id(), segment(6)).unwrap();
    let list = text(&origin, "240p");
    assert!(!list.contains("ENDLIST") && list.matches("#EXT-X-DISCONTINUITY\n").count() == 1, "{list}");
}

#[test]
fn other_renditions_start_a_new_list_and_another_codec_is_a_discontinuity() {
    let dir = tempfile::tempdir().unwrap();
    let origin = open(&dir, settings());
    (0..3).for_each(|number| assert!(origin.publish(&id(), segment(number)).is_ok()));
    let mut changed = ladder();
    changed[0].codecs = "avc1.4d401f,mp4a.40.2".into();
    origin.declare(&id(), changed).unwrap();
    origin.publish(&id(), segment(3)).unwrap();
    assert!(text(&origin, "240p").contains("#EXT-X-DISCONTINUITY\n"));
    origin.declare(&id(), vec![variant("480p", 480, 1_000_000)]).unwrap();
    assert!(origin.media(&id(), "240p").is_none() && origin.segment(&id(), "240p", 3).is_none());
    assert_eq!((files(&dir, "240p").len(), origin.disk_bytes()), (0, 0));
    let mut only = segment(4);
    only.files = vec![("480p".into(), Bytes::from_static(b"ts"))];
    origin.publish(&id(), only).unwrap();
    let list = origin.media(&id(), "480p").unwrap().text;
    assert!(list.contains("#EXT-X-MEDIA-SEQUENCE:4\n") && list.contains("#EXT-X-DISCONTINUITY-SEQUENCE:1\n"), "{list}");
}

#[test]
fn the_master_playlist_tells_measured_rates() {
    let dir = tempfile::tempdir().unwrap();
    let origin = open(&dir, settings());
    origin.publish(&id(), segment(0)).unwrap();
    let early = origin.master(&id()).unwrap().text;
    assert!(early.contains("BANDWIDTH=250000,AVERAGE-BANDWIDTH=240000,"), "{early}");
    for number in 1..4 {
        let mut segment = segment(number);
        segment.files[0].1 = Bytes::from(vec![0; 60_000 + 10_000 * number as usize]);
        origin.publish(&id(), segment).unwrap();
    }
    let later = origin.master(&id()).unwrap().text;
    assert!(later.contains("BANDWIDTH=360000,AVERAGE-BANDWIDTH=300000,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=426x240,FRAME-RATE=30.000\n240p/index.m3u8\n"), "{later}");
    assert!(later.contains("BANDWIDTH=2800000,AVERAGE-BANDWIDTH=2800000,"), "{later}");
}

#[test]
fn a_full_disk_gives_an_error_and_no_half_segment() {
    let dir = tempfile::tempdir().unwrap();
    let origin = open(&dir, Settings { max_disk_bytes: 2 * 760_000 + 100_000, ..settings() });
    origin.publish(&id(), segment(0)).unwrap();
    origin.publish(&id(), segment(1)).unwrap();
    assert!(matches!(
        origin.publish(&id(), segment(2)),
        Err(OriginError::Budget { free: 100_000, bytes: 760_000, .. })
    ));
    // The second rendition cannot be written: a file stands where its folder was.
    std::fs::remove_dir_all(dir.path().join("stage/720p")).unwrap();
    std::fs::write(dir.path().join("stage/720p"), b"in the way").unwrap();
    let mut small = segment(2);
    small.files[1].1 = Bytes::from_static(b"x");
    let error = origin.publish(&id(), small.clone()).unwrap_err();
    assert!(matches!(error, OriginError::Disk { .. }) && error.to_string().contains("720p"), "{error}");
    assert_eq!((files(&dir, "240p"), listed(&origin)), (vec!["0.ts".into(), "1.ts".into()], vec![0, 1]));
    assert_eq!(origin.disk_bytes(), 2 * 760_000);
    // Once there is room the same segment goes through.
    std::fs::remove_file(dir.path().join("stage/720p")).unwrap();
    assert_eq!(origin.publish(&id(), small).unwrap(), Published::Listed { released: 0 });
}

#[test]
fn streams_are_bounded_and_the_one_that_ended_first_makes_room() {
    let dir = tempfile::tempdir().unwrap();
    let origin = open(&dir, Settings { max_streams: 2, ..settings() });
    origin.publish(&id(), segment(0)).unwrap();
    let (second, third): (StreamId, StreamId) = ("second".parse().unwrap(), "third".parse().unwrap());
    origin.declare(&second, ladder()).unwrap();
    assert!(matches!(origin.declare(&third, ladder()), Err(OriginError::TooManyStreams(2))));
    origin.end(&id()).unwrap();
    origin.declare(&third, ladder()).unwrap();
    assert!(origin.media(&id(), "240p").is_none() && !dir.path().join("stage").exists());
    assert_eq!(origin.disk_bytes(), 0);
    let mut variants = ladder();
    variants[0].name = "../../etc".into();
    assert!(matches!(origin.declare(&second, variants), Err(OriginError::Name(_))));
    variants = ladder();
    variants[0].name = "720p".into();
    assert!(matches!(origin.declare(&second, variants), Err(OriginError::Variants { .. })));
}

#[test]
fn ten_threads_publish_one_segment_and_one_of_them_wins() {
    let dir = tempfile::tempdir().unwrap();
    let origin = open(&dir, settings());
    let won = std::thread::scope(|scope| {
        let publish = || scope.spawn(|| origin.publish(&id(), segment(0)).is_ok());
        let threads: Vec<_> = (0..10).map(|_| publish()).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).filter(|won| *won).count()
    });
    assert_eq!((won, listed(&origin), origin.disk_bytes()), (1, vec![0], 760_000));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    /// Any order, losses and lengths: each list is right, and so is each step from one to the next.
    #[test]
    fn any_arrival_gives_right_playlists(
        arrivals in prop::collection::vec((0u64..4, 1i64..8, any::<bool>(), any::<bool>()), 1..60)
    ) {
        let dir = tempfile::tempdir().unwrap();
        let origin = open(&dir, Settings { max_held: 3, window: 4, ..settings() });
        let (mut before, mut base): (Option<String>, u64) = (None, 0);
        for (ahead, half_seconds, torn, skip) in arrivals {
            let number = base + ahead;
            base += 1;
            let mut one = segment(number);
            one.files.iter_mut().for_each(|(_, data)| data.truncate(100));
            one.duration = half_seconds * TICKS_PER_SECOND / 2;
            one.discontinuity = torn;
            if skip {
                origin.skip(&id(), number).unwrap();
            } else {
                let _ = origin.publish(&id(), one);
            }
            let Some(now) = origin.media(&id(), "240p").map(|list| list.text) else { continue };
            prop_assert_eq!(lint::media(&now), []);
            prop_assert_eq!(&now, &text(&origin, "720p"));
            if let Some(before) = before.replace(now.clone()) {
                prop_assert_eq!(lint::evolution(&before, &now), []);
            }
            for number in listed(&origin) {
                prop_assert!(origin.segment(&id(), "720p", number).is_some_and(|file| file.path.is_file()));
            }
        }
    }
}
