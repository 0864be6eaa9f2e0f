// Plays a stream in a headless Chromium and judges what a viewer would see. Knows nothing of the market: a URL goes in,
// facts come out as one JSON object on standard output; `faults` names what a viewer would complain about.
//
//   node play.mjs URL [--switch] [--wait SECONDS] [--screenshot FILE]
//
// URL is a watch page (http://HOST/watch/ID), used as people use it, or a master playlist (….m3u8), played by a bare page
// with the node's own /player/hls.js. Exit status: 0 no fault, 1 faults, 2 wrong usage.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--no-proxy-server',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
  '--autoplay-policy=no-user-gesture-required',
];
const PROGRAM = process.env.HEADFRAME_CHROMIUM || '/usr/bin/chromium';
const ADVANCE = 1; // seconds of playing time that count as playing
const NEAR_END = 4; // a step that begins closer to the end than this many seconds goes back to the start first

/** Runs in the page before anything else: every player that is made reports here. */
function instrument() {
  const seen = (window.e2e = { player: null, errors: [], switched: [] });
  let hls;
  Object.defineProperty(window, 'Hls', {
    configurable: true,
    get: () => hls,
    set: (original) => {
      hls = new Proxy(original, {
        construct(target, given) {
          const player = new target(...given);
          seen.player = player;
          player.on(target.Events.ERROR, (_, { type, details, fatal }) => seen.errors.push({ type, details, fatal }));
          player.on(target.Events.LEVEL_SWITCHED, (_, { level }) => seen.switched.push(level));
          return player;
        },
      });
    },
  });
}

/** Runs in the page: what the video element shows now. */
function look() {
  const video = document.querySelector('video');
  const player = window.e2e.player;
  if (!video) return null;
  const quality = video.getVideoPlaybackQuality();
  const end = video.seekable.length ? video.seekable.end(video.seekable.length - 1) : 0;
  return {
    time: video.currentTime,
    end,
    width: video.videoWidth,
    height: video.videoHeight,
    frames: quality.totalVideoFrames,
    dropped: quality.droppedVideoFrames,
    ready: video.readyState,
    paused: video.paused,
    level: player ? player.currentLevel : -1,
    switches: window.e2e.switched.length,
    error: video.error ? video.error.message : null,
    says: document.getElementById('headline')?.textContent,
  };
}

/** Runs in the page: statistics of the picture, and a small fingerprint of it. */
function sample() {
  const video = document.querySelector('video');
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [64, 36];
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(video, 0, 0, canvas.width, canvas.height);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  const luma = [];
  const colours = new Set();
  for (let i = 0; i < data.length; i += 4) {
    const [r, g, b] = data.subarray(i, i + 3);
    luma.push(0.2126 * r + 0.7152 * g + 0.0722 * b);
    colours.add(((r >> 4) << 8) | ((g >> 4) << 4) | (b >> 4));
  }
  const mean = luma.reduce((sum, value) => sum + value, 0) / luma.length;
  const deviation = Math.sqrt(luma.reduce((sum, value) => sum + (value - mean) ** 2, 0) / luma.length);
  return { mean, deviation, colours: colours.size, luma: luma.map(Math.round) };
}

class Viewer {
  constructor(page, patience) {
    this.page = page;
    this.deadline = Date.now() + patience * 1000;
  }

  /** Looks until `holds`; the newest look comes back, or null when the time is over. */
  async until(holds) {
    for (;;) {
      const now = await this.page.evaluate(look);
      if (now && holds(now)) return now;
      if (Date.now() > this.deadline) return null;
      await this.page.waitForTimeout(100);
    }
  }

  /** Goes back to the start when little is left to play: a viewer who drags the slider. */
  async rewind() {
    await this.page.evaluate((near) => {
      const video = document.querySelector('video');
      if (!video.seekable.length) return;
      const last = video.seekable.length - 1;
      if (video.seekable.end(last) - video.currentTime < near) video.currentTime = video.seekable.start(0) + 0.1;
      if (video.paused) video.play().catch(() => {});
    }, NEAR_END);
  }

  /** Pictures are decoded and time goes on from here. */
  async plays() {
    const from = await this.until((now) => now.width > 0 && now.ready >= 2 && now.frames > 0);
    if (!from) return null;
    const to = await this.until((now) => now.time >= from.time + ADVANCE && now.frames > from.frames + 5);
    return to && { from, to };
  }
}

async function open(page, url) {
  if (!url.pathname.endsWith('.m3u8')) return page.goto(url.href);
  const bare = new URL('/e2e.html', url).href;
  const body = '<!doctype html><title>e2e</title><video muted playsinline width="640"></video><script src="/player/hls.js"></script>';
  await page.route(bare, (route) => route.fulfill({ contentType: 'text/html', body }));
  await page.goto(bare);
  return page.evaluate((source) => {
    if (!window.Hls || !window.Hls.isSupported()) return;
    const video = document.querySelector('video');
    const player = new window.Hls({ startPosition: 0 });
    player.on(window.Hls.Events.MANIFEST_PARSED, () => video.play());
    player.loadSource(source);
    player.attachMedia(video);
  }, url.href);
}

/** One change of quality. The watch page has a control for it; on the bare page hls.js is told, in both of its ways. */
async function change(viewer, levels, index, way) {
  await viewer.rewind();
  const before = await viewer.page.evaluate(look);
  const began = Date.now();
  if (way === 'control') await viewer.page.selectOption('#levels', String(index));
  else await viewer.page.evaluate(([name, level]) => { window.e2e.player[name] = level; }, [way, index]);
  const { height } = levels[index];
  const expected = (now) => now.height === height && now.level === index;
  const arrived = await viewer.until((now) => {
    if (now.end - now.time < 1) viewer.rewind().catch(() => {});
    return expected(now) && (before.height === height || now.switches > before.switches);
  });
  const played = arrived && (await viewer.plays());
  return { way, from: before.height, to: height, ok: Boolean(played), seconds: (Date.now() - began) / 1000 };
}

async function judge(page, url, options, facts) {
  const viewer = new Viewer(page, options.wait);
  const began = Date.now();
  await open(page, url);
  const played = await viewer.plays();
  facts.started_after_s = (Date.now() - began) / 1000;
  if (!played) {
    facts.faults.push(`nothing plays within ${options.wait} s: ${JSON.stringify(await page.evaluate(look))}`);
    return;
  }
  facts.played = played;
  const first = await page.evaluate(sample);
  const moved = await viewer.plays();
  const second = await page.evaluate(sample);
  const difference = first.luma.reduce((sum, value, i) => sum + Math.abs(value - second.luma[i]), 0) / first.luma.length;
  facts.picture = { mean: first.mean, deviation: first.deviation, colours: first.colours, difference };
  if (first.deviation < 5 || first.colours < 8) facts.faults.push('the picture is black or of one colour');
  if (!moved || difference === 0) facts.faults.push('the picture does not move');
  if (options.screenshot) await page.screenshot({ path: options.screenshot });

  facts.hls_js = await page.evaluate(() => (window.Hls ? window.Hls.version : null));
  facts.levels = await page.evaluate(() => window.e2e.player?.levels.map(({ width, height, bitrate }) => ({ width, height, bitrate })));
  if (!facts.hls_js || !facts.levels) facts.faults.push('the node serves no hls.js: was the build made without its npm package?');
  else if (options.change) await changes(viewer, url, facts);
}

async function changes(viewer, url, facts) {
  const order = facts.levels.map((_, index) => index).sort((a, b) => facts.levels[a].height - facts.levels[b].height);
  const [low, high] = [order[0], order[order.length - 1]];
  const ways = url.pathname.endsWith('.m3u8') ? ['currentLevel', 'nextLevel'] : ['control', 'control'];
  facts.changes = [];
  for (const [step, index] of [high, low, high].entries()) {
    facts.changes.push(await change(viewer, facts.levels, index, ways[step % 2]));
    const last = facts.changes[facts.changes.length - 1];
    if (!last.ok) facts.faults.push(`no change of quality from ${last.from} to ${last.to} lines by ${last.way}`);
  }
}

function parse(given) {
  const options = { wait: 60 };
  let url = null;
  for (let i = 0; i < given.length; i += 1) {
    if (given[i] === '--switch') options.change = true;
    else if (given[i] === '--wait') options.wait = Number(given[(i += 1)]);
    else if (given[i] === '--screenshot') options.screenshot = given[(i += 1)];
    else if (!url && /^https?:/.test(given[i])) url = new URL(given[i]);
    else return null;
  }
  return url && options.wait > 0 ? { url, options } : null;
}

async function main() {
  const parsed = parse(process.argv.slice(2));
  if (!parsed) {
    console.error('usage: play.mjs URL [--switch] [--wait SECONDS] [--screenshot FILE]');
    return 2;
  }
  const { url, options } = parsed;
  const facts = { url: url.href, faults: [] };
  const profile = await mkdtemp(join(tmpdir(), 'headframe-chromium-'));
  const settings = { executablePath: PROGRAM, headless: true, args: FLAGS, viewport: { width: 1280, height: 800 } };
  let browser = null;
  try {
    browser = await chromium.launchPersistentContext(profile, { ...settings, timeout: 60_000 });
    await browser.addInitScript(instrument);
    const page = browser.pages()[0] ?? (await browser.newPage());
    const foreign = new Set();
    page.on('request', (request) => {
      const to = new URL(request.url());
      if (/^(http|ws)/.test(to.protocol) && to.host !== url.host) foreign.add(to.host);
    });
    page.on('pageerror', (error) => facts.faults.push(`the page threw: ${error.message}`));
    await judge(page, url, options, facts);
    facts.errors = await page.evaluate(() => window.e2e.errors);
    for (const error of facts.errors.filter((one) => one.fatal)) facts.faults.push(`fatal: ${error.type} ${error.details}`);
    if (foreign.size > 0) facts.faults.push(`the page asks other hosts: ${[...foreign].join(', ')}`);
  } catch (error) {
    facts.faults.push(String(error.message ?? error).split('\n')[0]);
  } finally {
    await browser?.close();
    await rm(profile, { recursive: true, force: true });
  }
  console.log(JSON.stringify(facts));
  return facts.faults.length === 0 ? 0 : 1;
}

process.exitCode = await main();
