//! Which graphics card scales by Vulkan compute, and whether it is worth its while.

use headframe_codec::engine::vulkan::{Chosen, probe};

pub(crate) fn run(device: Option<&str>, json: bool) {
    let report = probe(device);
    if json {
        println!("{:#}", serde_json::json!(report));
        return;
    }
    for device in &report.devices {
        let mib = device.memory_bytes >> 20;
        println!("{} {}: {}, {}, {mib} MiB", device.id, device.name, device.kind, device.driver);
    }
    if let Some(chosen) = &report.chosen {
        tried(chosen);
    }
    if let Some(problem) = &report.problem {
        println!("none was tried: {problem}");
    }
}

fn tried(chosen: &Chosen) {
    if let Some(reason) = &chosen.broken {
        return println!("tried {}: CANNOT BE USED: {reason}", chosen.name);
    }
    println!("tried {}: it computes what the processors do", chosen.name);
    if let (Some(device), Some(host)) = (chosen.device, chosen.host) {
        let ms = |time: std::time::Duration| time.as_secs_f64() * 1e3;
        let (with, without) = (ms(device.processor), ms(host.processor));
        println!("  1080p to the standard ladder, a picture: {with:.2} ms of a processor instead of {without:.2} ms");
        println!("  and it is there after {:.2} ms", ms(device.wall));
    }
    match chosen.worthwhile {
        true => println!("  worth its while: `codec.vulkan = \"auto\"` uses it"),
        false => println!("  not worth its while: `codec.vulkan = \"auto\"` does not use it"),
    }
}
