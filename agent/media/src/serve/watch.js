// The watch page: waits for a stream, plays it, says in words what is wrong, and starts again by itself.
'use strict';
(() => {
  const $ = (id) => document.getElementById(id);
  const video = $('video');
  const id = decodeURIComponent(location.pathname.replace(/\/+$/, '').split('/').pop());
  // Relative to the page, so that it also works under a prefix of a reverse proxy.
  const base = new URL('../hls/' + encodeURIComponent(id) + '/', location.href);
  const apple = 'application/vnd.apple.mpegurl';

  let hls = null;
  let playing = false; // a player is attached
  let seen = false; // a picture was shown since the page was opened
  let status = null;
  let stalledSince = 0;
  let recoveredAt = 0;
  let timer = 0;

  $('title').textContent = id;
  document.title = id + ' · live';

  function say(headline, detail, busy = true) {
    $('headline').textContent = headline;
    $('detail').textContent = detail || '';
    $('spinner').hidden = !busy;
    delete $('cover').dataset.gone;
    video.controls = false; // they would show through, with a spinner of their own
  }
  function hush() {
    $('cover').dataset.gone = '';
    video.controls = true;
  }

  function badge(state, text) {
    $('badge').dataset.state = state;
    $('badge').textContent = text;
  }

  async function readStatus() {
    const response = await fetch(new URL('status.json', base), { cache: 'no-store' });
    if (!response.ok) throw new Error('HTTP ' + response.status);
    return response.json();
  }

  // One loop for the life of the page: it starts the player when there is something to play and notices the end.
  async function watch() {
    clearTimeout(timer);
    let next = 1500;
    try {
      status = await readStatus();
      if (!status.ready) {
        if (!playing) {
          badge('wait', 'WAITING');
          say('Waiting for the stream to start', 'Playback begins by itself as soon as the first pictures arrive.');
        }
      } else if (!playing && status.segments < 2 && !status.ended) {
        badge('wait', 'STARTING');
        say('The stream is starting', 'Collecting the first seconds.'); // with one segment alone the player would stall
        next = 700;
      } else if (!playing && (!status.ended || !seen)) {
        start(); // of a stream that is over, what is still kept, once
      } else if (!playing && status.ended && !video.ended) {
        badge('wait', 'ENDED');
        say('The stream has ended', 'If it starts again, it will play here by itself.', false);
        next = 4000;
      } else {
        next = 4000;
      }
      if (playing && !status.ended) badge(stalledSince ? 'wait' : 'live', stalledSince ? 'NO SIGNAL' : 'LIVE');
    } catch (error) {
      status = null;
      if (!playing) {
        badge('wait', 'OFFLINE');
        say('The server cannot be reached', 'Trying again every few seconds. Check your connection if this lasts.');
      }
    }
    timer = setTimeout(watch, next);
  }

  function stop() {
    playing = false;
    if (hls) hls.destroy();
    hls = null;
    for (const part of ['quality', 'jump', 'latency']) $(part).hidden = true;
    $('facts').textContent = '';
  }

  function fail(headline, detail, retry = 3000) {
    stop();
    badge('wait', 'ERROR');
    say(headline, detail, retry > 0);
    clearTimeout(timer);
    if (retry > 0) timer = setTimeout(watch, retry);
  }

  function start() {
    playing = true;
    say('Loading the stream', '');
    const source = new URL('master.m3u8', base).href;
    if (window.Hls && Hls.isSupported()) {
      startHls(source);
    } else if (video.canPlayType(apple)) {
      video.src = source;
      video.play().catch(() => {});
    } else {
      fail('This browser cannot play the stream', 'Please use a current version of Firefox, Chrome, Edge or Safari.', 0);
    }
  }

  function startHls(source) {
    hls = new Hls({
      liveSyncDuration: 5,
      liveMaxLatencyDuration: 30,
      maxLiveSyncPlaybackRate: 1.08,
      backBufferLength: 60,
    });
    hls.on(Hls.Events.MANIFEST_PARSED, () => {
      fillLevels();
      video.play().catch(() => {});
    });
    hls.on(Hls.Events.LEVEL_LOADED, (_, data) => {
      // The playlist's target duration allows for long segments; what counts is how long they are.
      const segment = data.details.averagetargetduration || data.details.targetduration;
      hls.config.liveSyncDuration = Math.max(5, 2.5 * segment);
      hls.config.liveMaxLatencyDuration = Math.max(30, 10 * segment);
    });
    hls.on(Hls.Events.LEVEL_SWITCHED, markLevel);
    hls.on(Hls.Events.ERROR, (_, data) => {
      if (!data.fatal) return;
      const now = Date.now();
      if (data.type === Hls.ErrorTypes.MEDIA_ERROR && now - recoveredAt > 5000) {
        recoveredAt = now;
        hls.recoverMediaError();
      } else if (data.type === Hls.ErrorTypes.NETWORK_ERROR) {
        fail('The stream was interrupted', 'The server stopped sending it. It will go on by itself when it is back.');
      } else {
        fail('This browser could not decode the stream', 'Trying again. (' + data.details + ')');
      }
    });
    hls.loadSource(source);
    hls.attachMedia(video);
  }

  function fillLevels() {
    const select = $('levels');
    select.replaceChildren(new Option('Auto', -1));
    hls.levels
      .map((level, index) => ({ level, index }))
      .sort((a, b) => b.level.height - a.level.height)
      .forEach(({ level, index }) => {
        const rate = (level.bitrate / 1e6).toFixed(1);
        select.add(new Option(level.height + 'p  ' + rate + ' Mb/s', index));
      });
    select.value = -1;
    $('quality').hidden = false;
  }

  function markLevel() {
    const level = hls && hls.levels[hls.currentLevel];
    $('levels').options[0].textContent = level && hls.autoLevelEnabled ? 'Auto (' + level.height + 'p)' : 'Auto';
  }

  $('levels').addEventListener('change', (event) => {
    if (!hls) return;
    hls.currentLevel = Number(event.target.value);
    markLevel();
  });

  $('jump').addEventListener('click', () => {
    if (hls && hls.liveSyncPosition) video.currentTime = hls.liveSyncPosition;
    else if (video.seekable.length) video.currentTime = video.seekable.end(video.seekable.length - 1) - 5;
    video.play().catch(() => {});
  });

  $('sound').addEventListener('click', () => { video.muted = false; });
  video.addEventListener('volumechange', () => { $('sound').hidden = !playing || !video.muted; });
  video.addEventListener('playing', () => {
    stalledSince = 0;
    seen = true;
    hush();
    if (status && status.ended) badge('wait', 'RECORDING');
    else badge('live', 'LIVE');
    $('sound').hidden = !video.muted;
  });
  video.addEventListener('waiting', () => { stalledSince = stalledSince || Date.now(); });
  video.addEventListener('ended', () => {
    stop();
    badge('wait', 'ENDED');
    say('The stream has ended', 'If it starts again, it will play here by itself.', false);
  });
  video.addEventListener('error', () => {
    if (playing && !hls) fail('This browser could not play the stream', 'Trying again.');
  });

  // How far the picture is behind the camera: behind the newest segment, and that one behind what it shows.
  function latency() {
    let behind = NaN;
    if (hls) behind = hls.latency;
    else if (video.seekable.length) behind = video.seekable.end(video.seekable.length - 1) - video.currentTime;
    return behind + ((status && status.delay_ms) || 0) / 1000;
  }

  setInterval(() => {
    if (!playing) return;
    if (stalledSince && Date.now() - stalledSince > 3000 && !video.paused) {
      badge('wait', 'NO SIGNAL');
      say('The broadcast is interrupted', 'Nothing new arrives at the moment. It goes on by itself when the signal is back.');
    }
    const ended = status && status.ended;
    const seconds = latency();
    const known = Number.isFinite(seconds) && seconds > 0 && !ended && video.readyState > 1;
    $('latency').hidden = !known;
    if (known) $('latency').textContent = seconds.toFixed(1) + ' s behind live';
    $('jump').hidden = !known || seconds < (hls && hls.targetLatency ? hls.targetLatency : 8) + 8;
    const quality = video.getVideoPlaybackQuality ? video.getVideoPlaybackQuality() : null;
    const facts = [];
    if (video.videoWidth) facts.push(video.videoWidth + '×' + video.videoHeight);
    if (video.buffered.length) {
      const ahead = video.buffered.end(video.buffered.length - 1) - video.currentTime;
      facts.push(Math.max(0, ahead).toFixed(1) + ' s buffered');
    }
    if (quality && quality.totalVideoFrames) facts.push(quality.droppedVideoFrames + ' frames dropped');
    $('facts').textContent = facts.join('  ·  ');
  }, 500);

  watch();
})();
