//! The lists: what is shown, what is ordered, how honest encoders are run, and how cheats are made.

use headframe_codec::{Ladder, Preset, Rate, Rendition};

/// Where a source's pictures come from.
pub(crate) enum Origin {
    /// From this second of the clip.
    Clip(f64),
    /// An FFmpeg source, and filters on it.
    Synthetic(&'static str),
}

/// (name, pictures). Two seconds each.
pub(crate) const CONTENTS: &[(&str, Origin)] = &[
    ("traffic", Origin::Clip(4.0)),
    ("traffic-late", Origin::Clip(11.0)),
    ("cut", Origin::Clip(14.3)),
    ("film", Origin::Clip(18.0)),
    ("film-dark", Origin::Clip(25.0)),
    ("film-fast", Origin::Clip(31.0)),
    ("animation", Origin::Clip(37.0)),
    ("animation-late", Origin::Clip(42.0)),
    ("pan", Origin::Clip(48.0)),
    ("pan-late", Origin::Clip(54.5)),
    ("testsrc2", Origin::Synthetic("testsrc2=size=1920x1080:rate=30")),
    ("fractal", Origin::Synthetic("mandelbrot=size=1280x720:rate=30:start_scale=1.5:end_scale=0.02:end_pts=240")),
    (
        "life",
        Origin::Synthetic(
            "life=size=240x135:rate=30:mold=10:ratio=0.1:seed=3:death_color=#203040:life_color=#e0e0a0,scale=1920x1080:flags=neighbor",
        ),
    ),
    ("grain", Origin::Synthetic("testsrc2=size=1280x720:rate=30,noise=alls=45:allf=t")),
    (
        "gradients",
        Origin::Synthetic("gradients=size=1920x1080:rate=30:speed=0.02:seed=5:c0=navy:c1=orange:nb_colors=3"),
    ),
    (
        "screen",
        Origin::Synthetic(
            "color=white:size=1920x1080:rate=30,drawgrid=w=9:h=17:t=1:c=gray@0.5,drawgrid=w=160:h=120:t=3:c=black,scroll=v=0.004,format=yuv420p[page];testsrc=size=400x300:rate=30,format=yuv420p[box];[page][box]overlay=x=200+t*120:y=300",
        ),
    ),
    (
        "window",
        Origin::Synthetic(
            "mandelbrot=size=1920x1080:rate=30:maxiter=200:end_pts=1,trim=end_frame=1,loop=-1:size=1,setpts=N/30/TB,format=yuv420p[page];smptehdbars=size=480x270:rate=30,format=yuv420p[box];[page][box]overlay=x=200+t*240:y=300+t*90",
        ),
    ),
    ("fade", Origin::Synthetic("testsrc=size=1280x720:rate=30,fade=in:0:50")),
    ("zoom", Origin::Synthetic("testsrc=size=1920x1080:rate=30,rotate=a=t/5:c=gray")),
];

/// What is ordered: the ladder's rungs, and rates well above and below them.
pub(crate) const ORDERS: &[(&str, u32, u32, u32)] = &[
    ("240p", 426, 240, 250),
    ("360p", 640, 360, 800),
    ("360p-low", 640, 360, 350),
    ("480p", 854, 480, 1600),
    ("720p", 1280, 720, 3000),
    ("240p-high", 426, 240, 700),
];

pub(crate) fn rendition(order: &(&str, u32, u32, u32)) -> Rendition {
    let (name, width, height, kbps) = *order;
    Rendition {
        name: name.to_owned(),
        width,
        height,
        bitrate_bps: kbps * 1000,
        rate: Rate::Cbr,
        ..Ladder::standard().renditions()[0].clone()
    }
}

/// Which program encodes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// The system's FFmpeg.
    System,
    /// A further one that has libopenh264.
    OpenH264,
    /// A further one, for its newer x264.
    Other,
    /// This crate's engine.
    Engine(Preset, Rate),
}

/// One way of making a rendition. In filters and options `{w}`, `{h}`, `{r}` (bit/s) and `{half}` stand for the order's.
pub(crate) struct Recipe {
    pub(crate) name: &'static str,
    pub(crate) program: Program,
    /// The picture is scaled by this scaler of FFmpeg first; empty: filters do it themselves.
    pub(crate) scaler: &'static str,
    pub(crate) filters: &'static str,
    pub(crate) options: &'static str,
}

/// Cheats that change nothing on these pictures are none: smooth ones cannot be blurred, nor grey ones lose colour.
pub(crate) fn has_no_effect(content: &str, recipe: &str) -> bool {
    let any = |names: &[&str]| names.iter().any(|name| recipe.starts_with(name));
    match content {
        "gradients" => any(&["blur", "upscaled", "third-rate", "half-rate"]),
        // Better than 48 dB at half the rate.
        "fade" => any(&["third-rate", "half-rate"]),
        // Better than 43 dB even so; the one's 720p better than 51 dB at half the rate.
        "window" => any(&["third-rate", "half-rate"]),
        "testsrc2" => any(&["third-rate"]),
        "life" => any(&["hue", "grey"]),
        _ => false,
    }
}

const fn made(name: &'static str, filters: &'static str, options: &'static str) -> Recipe {
    Recipe { name, program: Program::System, scaler: "bicubic", filters, options }
}

const fn by(name: &'static str, program: Program, scaler: &'static str, options: &'static str) -> Recipe {
    Recipe { name, program, scaler, filters: "", options }
}

pub(crate) const RATE: &str = "-b:v {r} -maxrate {r} -bufsize {r}";

use Program::{Engine, OpenH264, Other, System};

/// Honest renditions of every source and order.
pub(crate) const HONEST: &[Recipe] = &[
    by("engine-live", Engine(Preset::Live, Rate::Cbr), "", ""),
    by("engine-density", Engine(Preset::Density, Rate::Cbr), "", ""),
    by("engine-quality", Engine(Preset::Quality, Rate::Cbr), "", ""),
    by("x264-ultrafast", System, "bicubic", "-c:v libx264 -preset ultrafast RATE"),
    by("x264-superfast-zerolatency", System, "bicubic", "-c:v libx264 -preset superfast -tune zerolatency RATE"),
    by("x264-veryfast-lanczos", System, "lanczos", "-c:v libx264 -preset veryfast -threads 4 RATE"),
    by("x264-medium", System, "bicubic", "-c:v libx264 -preset medium -threads 2 RATE"),
    by(
        "x264-slow-2s-buffer",
        System,
        "bicubic+accurate_rnd",
        "-c:v libx264 -preset slow -b:v {r} -maxrate {r} -bufsize {r2}",
    ),
    by("x264-baseline", System, "bicubic", "-c:v libx264 -preset veryfast -profile:v baseline RATE"),
    by("x264-plain", System, "bicubic", "-c:v libx264 -preset veryfast -tune psnr -b:v {r}"),
    by("x264-new-faster", Other, "bicubic", "-c:v libx264 -preset faster RATE"),
    by("openh264", OpenH264, "bicubic", "-c:v libopenh264 -rc_mode bitrate -b:v {r} -maxrate {r}"),
    by("openh264-quality", OpenH264, "lanczos", "-c:v libopenh264 -rc_mode quality -b:v {r}"),
];

const X264: &str = "-c:v libx264 -preset veryfast RATE";

/// Cheats. Each takes the place of an honest rendition of the same order.
pub(crate) const CHEATS: &[Recipe] = &[
    made("black", "lutyuv=y=16:u=128:v=128", X264),
    made("frozen", "HOLD 1 59", X264),
    made("frozen-tail", "HOLD 45 59", X264),
    made("duplicated-half", "shuffleframes=0 0", X264),
    made("duplicated-third", "shuffleframes=0 1 1", X264),
    made("swapped-pictures", "shuffleframes=1 0", X264),
    made("swapped-segment", "SWAP", X264),
    made("crop-10-percent", "crop=iw*0.9:ih*0.9,scale={w}:{h}", X264),
    made("crop-8-samples", "crop=iw-8:ih-8:4:4,scale={w}:{h}", X264),
    made("mirror", "hflip", X264),
    made("flip", "vflip", X264),
    made("shift-right-1", "format=yuv444p,crop=iw-1:ih:0:0:exact=1,pad={w}:ih:1:0,format=yuv420p", X264),
    made("shift-down-1", "format=yuv444p,crop=iw:ih-1:0:0:exact=1,pad=iw:{h}:0:1,format=yuv420p", X264),
    Recipe {
        scaler: "",
        ..made(
            "shift-source-1",
            "format=yuv444p,crop=iw-1:ih:1:0:exact=1,pad=iw+1:ih:0:0,format=yuv420p,scale={w}:{h}",
            X264,
        )
    },
    made("blur-gauss-1", "gblur=sigma=1", X264),
    made("blur-gauss-2", "gblur=sigma=2", X264),
    made("blur-box-1", "boxblur=1:1", X264),
    made("upscaled-half", "scale=trunc({w}/4)*2:trunc({h}/4)*2,scale={w}:{h}:flags=lanczos", X264),
    made("half-rate", "", "-c:v libx264 -preset veryfast -b:v {half} -maxrate {half} -bufsize {half}"),
    made("half-rate-medium", "", "-c:v libx264 -preset medium -b:v {half} -maxrate {half} -bufsize {half}"),
    made(
        "half-rate-stuffed",
        "",
        "-c:v libx264 -preset veryfast -b:v {half} -maxrate {half} -bufsize {half} -muxrate {mux}",
    ),
    made("third-rate-reencoded", "RELAY", X264),
    made("overlay-box", "drawbox=x=iw/20:y=ih/20:w=iw/6:h=ih/8:c=white@0.7:t=fill", X264),
    made("overlay-logo", "drawbox=x=iw*0.85:y=ih*0.05:w=40:h=40:c=red@0.6:t=fill", X264),
    made("overlay-line", "drawbox=x=0:y=ih*0.9:w=iw:h=6:c=yellow@0.8:t=fill", X264),
    made("range-full", "scale=in_range=limited:out_range=full,setparams=range=unknown", X264),
    made("range-squeezed", "scale=in_range=full:out_range=limited,setparams=range=unknown", X264),
    made("range-mark", "setparams=range=pc", "-c:v libx264 -preset veryfast -color_range pc RATE"),
    made("grey", "lutyuv=u=128:v=128", X264),
    made("brighter", "lutyuv=y=val+5", X264),
    made("wrong-rung", "scale={w}*3/4/2*2:{h}*3/4/2*2,crop=trunc(iw/2)*2:trunc(ih/2)*2", X264),
    made("wrong-codec", "", "-c:v libx265 -preset ultrafast -x265-params log-level=none -b:v {r}"),
    made(
        "double-rate",
        "noise=alls=20:allf=t",
        "-c:v libx264 -preset ultrafast -b:v {double} -minrate {double} -maxrate {double} -bufsize {r} -x264-params nal-hrd=cbr",
    ),
    made("long-gop", "", "-c:v libx264 -preset veryfast -g 300 RATE"),
    made("late", "setpts=PTS+0.5/TB", X264),
    made("short", "trim=end_frame=55", X264),
];

/// Neither: softer scalers than the order's, and cheats at the edge of what can be seen at all. They are measured to
/// show where the predicate ends, and count neither way.
pub(crate) const LIMITS: &[Recipe] = &[
    by("scaler-bilinear", System, "bilinear", "-c:v libx264 -preset veryfast RATE"),
    by("engine-capped", Engine(Preset::Live, Rate::Capped), "", ""),
    by("scaler-area", System, "area", "-c:v libx264 -preset veryfast RATE"),
    made("duplicated-one", "HOLD 30 30", X264),
    made("blur-gauss-0.8-ultrafast", "gblur=sigma=0.8", "-c:v libx264 -preset ultrafast RATE"),
    made("upscaled-two-thirds", "scale=trunc({w}/3)*2:trunc({h}/3)*2,scale={w}:{h}:flags=bicubic", X264),
    made("hue", "hue=h=15", X264),
];

/// How a recipe's verdicts are counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Must pass.
    Honest,
    /// Must fail.
    Cheat,
    /// May do either.
    Limit,
}

impl Kind {
    /// By a recipe's name.
    pub(crate) fn of(recipe: &str) -> Self {
        let has = |list: &[Recipe]| list.iter().any(|known| known.name == recipe);
        match () {
            () if has(HONEST) => Self::Honest,
            () if has(CHEATS) => Self::Cheat,
            () => Self::Limit,
        }
    }
}
