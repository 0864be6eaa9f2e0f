//! `headframe status`: asks a running process what it is doing.

use clap::Args;
use serde_json::Value;

#[derive(Args, Debug)]
pub(super) struct StatusArgs {
    /// The admin address of the process (admin.listen)
    #[arg(long, default_value = "http://127.0.0.1:7935", value_name = "URL")]
    admin: String,
    /// Print the whole status as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: StatusArgs) -> anyhow::Result<()> {
    let http = crate::wiring::http_client(std::time::Duration::from_secs(5))?;
    let asked = http.get(format!("{}/status", args.admin.trim_end_matches('/'))).send().await;
    let answer = asked.map_err(|error| {
        anyhow::anyhow!(
            "nothing answers at {}: {}; is it running, and is this its admin.listen?",
            args.admin,
            crate::wiring::chain_of(&error)
        )
    })?;
    let status: Value = answer.error_for_status()?.json().await?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&status)?);
    } else {
        print!("{}", text(&status));
    }
    Ok(())
}

/// The few lines that a person wants first.
fn text(status: &Value) -> String {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut lines = vec![format!("{} {}", word(&status["role"]), word(&status["version"]))];
    let reasons: Vec<String> = status["not_ready"].as_array().into_iter().flatten().map(word).collect();
    lines.push(if reasons.is_empty() { "ready".into() } else { format!("NOT READY: {}", reasons.join("; ")) });
    for name in ["operator", "service_uri", "floor_wei_per_unit", "earned_wei"] {
        if !status[name].is_null() {
            lines.push(format!("{name:<20} {}", word(&status[name])));
        }
    }
    let codecs = [&status["codecs"], &status["transcoding"]["codecs"]].into_iter().find_map(Value::as_array);
    if let Some(codecs) = codecs {
        lines.push(format!("{:<20} {}", "codecs", codecs.iter().map(word).collect::<Vec<_>>().join(" ")));
    }
    let workers = [&status["workers"], &status["transcoding"]["workers"]].into_iter().find(|it| !it.is_null());
    for card in workers.and_then(|workers| workers["cards"].as_array()).into_iter().flatten() {
        let (uuid, name, state) = (word(&card["uuid"]), word(&card["name"]), word(&card["state"]));
        let health = card_health(card);
        lines.push(format!("card {uuid} {name}: {state}, {} segments made{health}", card["segments"]));
    }
    if let Some(device) = workers.map(|workers| &workers["vulkan"]).filter(|device| !device.is_null()) {
        lines.push(scaling(device));
    }
    for ladder in status["ladders"].as_array().into_iter().flatten() {
        let names: Vec<String> = ladder["renditions"].as_array().into_iter().flatten().map(word).collect();
        let state =
            ladder["not_offered"].as_str().map_or_else(|| "offered".into(), |why| format!("NOT OFFERED: {why}"));
        let asks = match (ladder["asks"]["price"].as_str(), ladder["no_price"].as_str()) {
            (Some(price), _) => format!(", asks {price} wei a unit"),
            (None, Some(why)) => format!(", NO PRICE: {why}"),
            (None, None) => String::new(),
        };
        lines.push(format!("ladder {}: {state}{asks}", names.join(" ")));
    }
    for job in status["jobs"].as_array().into_iter().flatten() {
        let view = &job["view"];
        lines.push(format!(
            "job {} {}: {} unclaimed receipts, {} in hand, next claim from segment {}",
            view["id"],
            word(&view["state"]),
            job["unclaimed_receipts"],
            job["in_hand"],
            view["next_seq"]
        ));
    }
    for (claim, state) in status["claims"].as_object().into_iter().flatten() {
        lines.push(format!("claim {claim} {}", word(state)));
    }
    for stream in status["streams"].as_array().into_iter().flatten() {
        lines.push(format!("stream {}: {} segments", word(&stream["id"]), stream["segments"]));
    }
    lines.join("\n") + "\n"
}

/// The line of a card that scales for the processors.
fn scaling(device: &Value) -> String {
    let text = |key: &str| device[key].as_str().unwrap_or("?");
    let pictures = |by: &str| device["pictures"][by].as_u64().unwrap_or(0);
    let (scaled, left) = (pictures("device"), pictures("processors"));
    let each = match (scaled, device["seconds"].as_f64()) {
        (1.., Some(seconds)) => format!(" ({:.1} ms each)", 1000.0 * seconds / scaled as f64),
        _ => String::new(),
    };
    let (id, name, state) = (text("id"), text("name"), text("state"));
    format!("scaling on {id} {name}: {state}, {scaled} pictures{each}, {left} left to the processors")
}

/// How a card is, as far as that is known, to be put behind the rest of its line.
fn card_health(card: &Value) -> String {
    let number = |name: &str, unit: &str| card[name].as_f64().map(|value| format!("{value:.0} {unit}"));
    let slowed: Vec<&str> = card["throttled"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let slowed = (!slowed.is_empty()).then(|| format!("SLOWED DOWN: {}", slowed.join(" ")));
    let known = [number("temperature_celsius", "°C"), number("power_watts", "W"), slowed];
    known.into_iter().flatten().map(|it| format!(", {it}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_reasons_of_an_unready_rig_are_told_first() {
        let status =
            json!({ "role": "node", "version": "1", "not_ready": ["chain: down"], "claims": { "3": "settled" } });
        let told = text(&status);
        assert!(told.contains("NOT READY: chain: down") && told.contains("claim 3 settled"), "{told}");
    }

    #[test]
    fn what_can_be_made_and_what_is_not_offered_is_told() {
        let ladders = json!([{ "renditions": ["240p", "720p"], "not_offered": null, "asks": { "price": "7" } },
                             { "renditions": ["hi"], "not_offered": "rendition hi is hevc" }]);
        let told = text(&json!({ "role": "node", "codecs": ["h264", "av1"], "ladders": ladders }));
        for line in [
            "codecs               h264 av1",
            "ladder 240p 720p: offered, asks 7 wei a unit",
            "ladder hi: NOT OFFERED: rendition hi is",
        ] {
            assert!(told.contains(line), "{told}");
        }
        let cards = json!([{ "uuid": "GPU-1", "name": "RTX", "state": "out", "segments": 3 }]);
        let told = text(&json!({ "role": "node", "workers": { "cards": cards } }));
        assert!(told.contains("card GPU-1 RTX: out, 3 segments made\n"), "{told}");
        let hot = json!([{ "uuid": "GPU-1", "name": "RTX", "state": "up", "segments": 3, "temperature_celsius": 84,
                           "power_watts": 120.4, "throttled": ["thermal", "hardware"] }]);
        let told = text(&json!({ "role": "node", "workers": { "cards": hot } }));
        assert!(told.contains("3 segments made, 84 °C, 120 W, SLOWED DOWN: thermal hardware\n"), "{told}");
        let pictures = json!({ "device": 1000, "processors": 20 });
        let device = json!({ "id": "a0", "name": "RX", "state": "up", "pictures": pictures, "seconds": 2.5 });
        let told = text(&json!({ "role": "gateway", "transcoding": { "workers": { "cards": [], "vulkan": device } } }));
        let line = "scaling on a0 RX: up, 1000 pictures (2.5 ms each), 20 left to the processors\n";
        assert!(told.contains(line), "{told}");
        let none = text(&json!({ "role": "node", "workers": { "cards": [], "vulkan": null } }));
        assert!(!none.contains("scaling on"), "{none}");
        let local = text(&json!({ "role": "gateway", "transcoding": { "codecs": ["h264"] } }));
        assert!(local.contains("codecs               h264\n"), "{local}");
    }
}
