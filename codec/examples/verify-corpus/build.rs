//! Runs the recipes and measures what comes out.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use headframe_codec::verify::{How, Profile, examine};
use headframe_codec::{Ladder, Limits, Rate, Rendition};

use crate::Options;
use crate::recipes::{
    CHEATS, CONTENTS, HONEST, Kind, LIMITS, ORDERS, Origin, Program, RATE, Recipe, has_no_effect, rendition,
};
use crate::report::Line;

/// Time spent, to tell what a verdict costs.
#[derive(Default)]
struct Costs {
    verify: Duration,
    one: Duration,
    engine: Duration,
    orders: u32,
}

/// Makes and measures everything; returns the file of findings.
pub(crate) fn build(options: &Options) -> Result<PathBuf, String> {
    let shown = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    fs::create_dir_all(&options.out).map_err(|error| shown(&options.out, error))?;
    let path = options.out.join("findings.jsonl");
    let before = if options.orders.is_empty() { Vec::new() } else { other_orders(&path, &options.orders)? };
    let mut file = File::create(&path).map_err(|error| shown(&path, error))?;
    before.iter().try_for_each(|line| writeln!(file, "{line}")).map_err(|error| shown(&path, error))?;
    let has = |program: &Path, encoder: &str| {
        let output = Command::new(program).args(["-hide_banner", "-encoders"]).output();
        output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(encoder))
    };
    let system = PathBuf::from("ffmpeg");
    let programs = [&system].into_iter().chain(&options.ffmpegs);
    let openh264 = programs.clone().find(|program| has(program, "libopenh264"));
    let other = options.ffmpegs.iter().find(|program| has(program, "libx264"));
    for (what, found) in [("libopenh264", openh264.is_some()), ("a second libx264", other.is_some())] {
        if !found {
            println!("skipped: recipes with {what}; give a program that has it with --ffmpeg");
        }
    }
    let step = if options.quick { 5 } else { 1 };
    let contents: Vec<_> = CONTENTS
        .iter()
        .filter(|(_, origin)| options.later.is_none() || matches!(origin, Origin::Clip(_)))
        .step_by(step)
        .collect();
    let mut sources = Vec::new();
    for (name, origin) in &contents {
        sources.push((*name, source(options, name, origin)?));
    }
    let (mut count, mut costs) = (0, Costs::default());
    let chosen = |name: &str| options.orders.is_empty() || options.orders.iter().any(|order| order == name);
    for order in ORDERS.iter().filter(|order| chosen(order.0)) {
        // Scaled once; most recipes start from here.
        let mut scaled = Vec::new();
        for (name, source) in sources.iter().filter(|_| !options.measure_only) {
            scaled.push(scale(&options.out, name, source, order)?);
        }
        let mut learned = Vec::new();
        for (i, (content, source)) in sources.iter().enumerate() {
            let mut made: Vec<(&str, Vec<u8>)> = Vec::new();
            if options.measure_only
                && !options.out.join(format!("{content}-{}-short.ts", order.0)).exists()
                && !options.out.join(format!("{content}-{}-late.ts", order.0)).exists()
            {
                continue;
            }
            let recipes = HONEST.iter().chain(CHEATS).chain(LIMITS);
            for (number, recipe) in recipes.enumerate() {
                // Every other cheat in turn: the list is long enough.
                let turn = Kind::of(recipe.name) == Kind::Honest || (number + i).is_multiple_of(2);
                if (!turn && !options.measure_only) || has_no_effect(content, recipe.name) {
                    continue;
                }
                let program = match recipe.program {
                    Program::System => Some(&system),
                    Program::OpenH264 => openh264,
                    Program::Other => other,
                    Program::Engine(preset, rate) => {
                        let started = Instant::now();
                        let ladder = Ladder::new(vec![Rendition { preset, rate, ..rendition(order) }]);
                        let ladder = ladder.map_err(|error| error.to_string())?;
                        let bytes = fs::read(source).map_err(|error| shown(source, error))?;
                        let none = Vec::new();
                        let paces = if rate == Rate::Capped { &learned } else { &none };
                        let limits = Limits { wall: Duration::from_secs(600), ..Limits::default() };
                        let out = headframe_codec::engine::transcode(&ladder, &bytes, paces, &limits);
                        let out = out.map_err(|error| format!("{content}: {error}"))?;
                        // As in a stream that cuts from one content to the next.
                        if rate == Rate::Capped {
                            learned.clone_from(&out.paces);
                        }
                        made.extend(out.renditions.into_iter().map(|rendition| (recipe.name, rendition.bytes)));
                        if number == 0 && i == 0 {
                            costs.engine += started.elapsed();
                        }
                        continue;
                    }
                };
                let Some(program) = program else { continue };
                let kept = options.out.join(format!("{content}-{}-{}.ts", order.0, recipe.name));
                let bytes = match fs::read(&kept) {
                    Ok(bytes) => bytes,
                    Err(_) if options.measure_only => continue,
                    Err(_) => {
                        let other = &scaled[(i + 1) % scaled.len()];
                        let bytes = encode(&options.out, program, recipe, order, source, &scaled[i], other)?;
                        fs::write(&kept, &bytes).map_err(|error| shown(&kept, error))?;
                        bytes
                    }
                };
                made.push((recipe.name, bytes));
            }
            if options.encode_only {
                continue;
            }
            let bytes = fs::read(source).map_err(|error| shown(source, error))?;
            let profile = Profile::of(rendition(order)).map_err(|error| error.to_string())?;
            let renditions: Vec<&[u8]> = made.iter().map(|(_, bytes)| &bytes[..]).collect();
            let started = Instant::now();
            let found = examine(&bytes, &renditions, &profile, &Limits::default(), How::default());
            let found = found.map_err(|error| format!("{content} {}: {error}", order.0))?;
            costs.verify += started.elapsed();
            // The first content of each order tells the price.
            if i == 0 {
                let started = Instant::now();
                let how = How { threads: 1, ..How::default() };
                let alone = examine(&bytes, &renditions[..1], &profile, &Limits::default(), how);
                alone.map_err(|error| error.to_string())?;
                costs.one += started.elapsed();
                costs.orders += 1;
            }
            for ((recipe, _), findings) in made.iter().zip(found) {
                count += 1;
                let line = Line {
                    content: (*content).to_owned(),
                    order: order.0.to_owned(),
                    recipe: (*recipe).to_owned(),
                    rendition: rendition(order),
                    findings,
                };
                let text = serde_json::to_string(&line).map_err(|error| error.to_string())?;
                writeln!(file, "{text}").map_err(|error| shown(&path, error))?;
            }
            eprintln!("{count} renditions; {content} at {} done", order.0);
        }
        for file in scaled {
            fs::remove_file(&file).map_err(|error| shown(&file, error))?;
        }
    }
    println!(
        "time: mean of {} orders: one verdict {:.2} s (one thread), one transcode {:.2} s; {count} verdicts in groups {:.1} s",
        costs.orders,
        costs.one.as_secs_f64() / f64::from(costs.orders.max(1)),
        costs.engine.as_secs_f64() / f64::from(costs.orders.max(1)),
        costs.verify.as_secs_f64(),
    );
    Ok(path)
}

/// Lines of an earlier run, other than of these orders.
fn other_orders(findings: &Path, orders: &[String]) -> Result<Vec<String>, String> {
    if let Some(unknown) = orders.iter().find(|name| !ORDERS.iter().any(|order| order.0 == **name)) {
        let known: Vec<_> = ORDERS.iter().map(|order| order.0).collect();
        return Err(format!("no order {unknown}; there are: {}", known.join(" ")));
    }
    let shown = |error: &dyn std::fmt::Display| format!("{}: {error}", findings.display());
    let text = match fs::read_to_string(findings) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(shown(&error)),
    };
    let mut others = Vec::new();
    for text in text.lines() {
        let line: Line = serde_json::from_str(text).map_err(|error| shown(&error))?;
        if !orders.contains(&line.order) {
            others.push(text.to_owned());
        }
    }
    Ok(others)
}

fn ffmpeg(program: &Path, arguments: &str, more: &[&str], out: &Path) -> Result<(), String> {
    let mut command = Command::new(program);
    command.args(["-nostdin", "-y", "-loglevel", "error"]).args(arguments.split_whitespace()).args(more).arg(out);
    let output = command.output().map_err(|error| format!("{}: {error}", program.display()))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}

/// Two seconds as a broadcaster would send them: MPEG-TS that starts ten seconds into the stream.
fn source(options: &Options, name: &str, origin: &Origin) -> Result<PathBuf, String> {
    let path = options.out.join(format!("{name}.ts"));
    if path.exists() {
        return Ok(path);
    }
    let encode = "-t 2 -an -pix_fmt yuv420p -c:v libx264 -preset veryfast -b:v 8M -maxrate 8M -bufsize 8M -g 60 \
                  -output_ts_offset 10 -muxdelay 0 -muxpreload 0 -f mpegts";
    let encode: Vec<&str> = encode.split_whitespace().collect();
    match (origin, &options.clip) {
        (Origin::Clip(second), Some(clip)) => {
            let second = second + options.later.unwrap_or(0.0);
            let clip = clip.to_string_lossy();
            ffmpeg(Path::new("ffmpeg"), &format!("-ss {second} -i"), &[&[&*clip], &encode[..]].concat(), &path)?;
        }
        (Origin::Clip(second), None) => {
            let stand_in = format!("testsrc2=size=1920x1080:rate=30,noise=alls=12:allf=t:all_seed={second}");
            ffmpeg(Path::new("ffmpeg"), "-f lavfi -i", &[&[&*stand_in], &encode[..]].concat(), &path)?;
        }
        (Origin::Synthetic(filters), _) => {
            ffmpeg(Path::new("ffmpeg"), "-f lavfi -i", &[&[*filters], &encode[..]].concat(), &path)?;
        }
    }
    Ok(path)
}

/// The filter that shows the picture before `first last` in place of these.
fn hold(range: &str) -> String {
    let (first, last) = range.split_once(' ').unwrap_or(("1", "59"));
    let (first, last) = (first.parse().unwrap_or(1), last.parse().unwrap_or(59));
    let picture = |i: u32| if (first..=last).contains(&i) { first - 1 } else { i };
    let map: Vec<String> = (0..60).map(|i| picture(i).to_string()).collect();
    format!("shuffleframes={}", map.join(" "))
}

fn scale(out: &Path, name: &str, source: &Path, order: &(&str, u32, u32, u32)) -> Result<PathBuf, String> {
    let path = out.join(format!("{name}-{}.nut", order.0));
    let filter = format!("scale={}:{}:flags=bicubic", order.1, order.2);
    let source = source.to_string_lossy();
    ffmpeg(Path::new("ffmpeg"), "-copyts -i", &[&source, "-vf", &filter, "-c:v", "rawvideo", "-f", "nut"], &path)?;
    Ok(path)
}

fn encode(
    out: &Path,
    program: &Path,
    recipe: &Recipe,
    order: &(&str, u32, u32, u32),
    source: &Path,
    scaled: &Path,
    other: &Path,
) -> Result<Vec<u8>, String> {
    let (_, width, height, kbps) = *order;
    let rate = kbps * 1000;
    let fill = |text: &str| {
        let numbers = [
            ("{w}", width),
            ("{h}", height),
            ("{r}", rate),
            ("{r2}", 2 * rate),
            ("{half}", rate / 2),
            ("{double}", 2 * rate),
            ("{mux}", rate * 5 / 4),
        ];
        numbers.iter().fold(text.replace("RATE", RATE), |text, (key, value)| text.replace(key, &value.to_string()))
    };
    let path = out.join("rendition.ts");
    let relayed = out.join("relayed.nut");
    let mut filters = fill(recipe.filters);
    let input = match (recipe.filters, recipe.scaler) {
        ("SWAP", _) => other,
        ("RELAY", _) => {
            let third = rate / 3;
            let rate = format!("-b:v {third} -maxrate {third} -bufsize {third}");
            let low = out.join("relayed.ts");
            let scaled = scaled.to_string_lossy();
            let options = format!("-an -c:v libx264 -preset veryfast {rate} -f mpegts -muxdelay 0 -muxpreload 0");
            ffmpeg(program, "-copyts -i", &[&[&*scaled], &options.split(' ').collect::<Vec<_>>()[..]].concat(), &low)?;
            let low = low.to_string_lossy();
            ffmpeg(program, "-copyts -i", &[&low, "-c:v", "rawvideo", "-f", "nut"], &relayed)?;
            &relayed
        }
        (_, "bicubic") => scaled,
        _ => source,
    };
    if ["SWAP", "RELAY"].contains(&recipe.filters) {
        filters.clear();
    }
    if !["", "bicubic"].contains(&recipe.scaler) {
        filters = format!("scale={width}:{height}:flags={}", recipe.scaler);
    }
    if let Some(range) = recipe.filters.strip_prefix("HOLD ") {
        filters = hold(range);
    }
    if filters.is_empty() {
        filters.push_str("null");
    }
    let options = fill(recipe.options);
    // B-frames and all: the default of each encoder. Scene cuts may add IDR pictures.
    let gop = if options.contains("-g ") { "" } else { "-g 30" };
    let options = format!("-an -vsync passthrough {options} {gop} -f mpegts -muxdelay 0 -muxpreload 0");
    let options = if program == Path::new("ffmpeg") { options } else { options.replace("-vsync", "-fps_mode") };
    let input = input.to_string_lossy();
    let mut more: Vec<&str> = vec![&input, "-vf", &filters];
    more.extend(options.split_whitespace());
    ffmpeg(program, "-copyts -i", &more, &path)?;
    fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
}
