// The page: asks the gateway once a second, and shows the answer. Names, reasons and events come from outside, so they become text and nothing else (textContent).
import { Chart } from '/charts.js';

const PERIOD = 1000, PATIENCE = 5000, EVENTS_KEPT = 200;
const $ = id => document.getElementById(id);

const state = {
  status: null,       // The last answer.
  answeredAt: null,   // When it came, by this clock.
  startedAt: null,    // Which process gave it.
  skew: 0,            // Its clock less ours, in ms.
  shown: '',          // Device of the charts; '': all.
  samples: [],
  events: [],
};

// --- Words and numbers

const NONE = '–';
const digits = value => value >= 100 || value === 0 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
const trim = text => text.includes('.') ? text.replace(/\.?0+$/, '') : text;

function scaled(value, base, units) {
  let unit = 0;
  while (unit < units.length - 1 && value >= base * 0.9995) { value /= base; unit++; }
  return `${trim(digits(value))} ${units[unit]}`.trim();
}

const count = value => value === null || value === undefined ? NONE : value < 10000 ? Math.round(value).toString() : scaled(value, 1000, ['', 'k', 'M', 'G']);
const perSecond = value => value > 0 && value < 1 ? '<1/s' : `${count(value)}/s`;
const bytes = value => value === null || value === undefined ? NONE : scaled(value, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB']);
const rate = value => value === null || value === undefined ? NONE : scaled(value / 1e6, 1000, ['MB/s', 'GB/s']);
const share = value => value === null || value === undefined ? NONE : `${trim((value * 100).toFixed(value > 0.99 && value < 1 ? 1 : 0))} %`;
const time = value => value === null || value === undefined ? NONE : value < 1e-3 ? scaled(value * 1e6, 1000, ['µs']) : value < 1 ? scaled(value * 1e3, 1000, ['ms']) : scaled(value, 1e9, ['s']);
const clock = at => new Date(at).toLocaleTimeString([], { hour12: false });
const plural = (number, word) => `${number} ${word}${number === 1 ? '' : 's'}`;
const most = (...values) => values.reduce((a, b) => b !== null && b !== undefined && (a === null || b > a) ? b : a, null);

function duration(seconds) {
  const parts = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  const first = parts.findIndex(([size]) => seconds >= size);
  if (first < 0) return '0 s';
  const words = [];
  for (const [size, unit] of parts.slice(first, first + 2)) {
    const whole = Math.floor(seconds / size);
    seconds -= whole * size;
    if (whole) words.push(`${whole} ${unit}`);
  }
  return words.join(' ');
}

const HEALTH = { ok: 'healthy', degraded: 'degraded', unready: 'not ready' };
const CONDITION = { serving: 'serving', standby: 'standby', leaseRunOut: 'lease run out', storeAway: 'store away', opening: 'opening', notOpen: 'not open', offline: 'offline', ringLost: 'ring lost', stuck: 'stuck' };
const LEASE = { held: 'held', runOut: 'run out', none: 'none needed', elsewhere: 'elsewhere' };
const BREAKER = { closed: 'ok', open: 'unready', 'half-open': 'degraded', unused: '' };

// --- Elements

function make(name, className, ...content) {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.append(...content.filter(c => c !== null && c !== undefined).map(c => c instanceof Node ? c : document.createTextNode(String(c))));
  return element;
}

const pill = (kind, text) => make('span', `pill ${kind}`, text);

function cell(label, className, ...content) {
  const element = make('td', className, ...content);
  element.dataset.label = label;
  element.setAttribute('role', 'cell');
  return element;
}

/** Replaces the content only where it differs, so that focus and selection stay. */
function fill(parent, children) {
  const template = make('div', '', ...children);
  if (parent.dataset.filled === undefined || !sameNodes(parent, template)) parent.replaceChildren(...template.childNodes);
  parent.dataset.filled = '';
}

const sameNodes = (one, other) => one.childNodes.length === other.childNodes.length && [...one.childNodes].every((node, i) => node.isEqualNode(other.childNodes[i]));

// --- What is shown

function showHealth(status) {
  const health = $('health');
  health.className = `pill ${status.status}`;
  if (health.textContent !== HEALTH[status.status]) health.textContent = HEALTH[status.status] ?? status.status;
  document.title = status.status === 'ok' ? `tcmu-gateway · ${status.host}` : `${HEALTH[status.status]} · tcmu-gateway · ${status.host}`;
  const titles = { degraded: 'Degraded: something outside this gateway needs attention', unready: 'Not ready: this gateway needs attention' };
  notice(status.status === 'ok' ? null : status.status, titles[status.status], status.reasons);
}

function notice(kind, title, reasons) {
  const element = $('notice');
  element.className = `notice ${kind ?? ''}`;
  if (kind) {
    fill($('notice-title'), [title]);
    fill($('notice-reasons'), reasons.map(reason => make('li', '', reason)));
  }
  element.hidden = !kind;
}

function showFacts(status) {
  $('host').textContent = `${status.host} · version ${status.version} · up ${duration(status.uptimeSeconds)}`;
  $('facts').textContent = [
    `Answered at ${clock(state.answeredAt)}`, `process ${status.processId}`, `${bytes(status.residentBytes)} of memory`, plural(status.threads, 'thread'), status.configurationFile,
  ].filter(Boolean).join(' · ');
}

function showTotals(now) {
  const journal = now && now.journalBytes ? `${share(now.dirtyBytes / now.journalBytes)} of ${bytes(now.journalBytes)} journal` : '';
  const texts = {
    iops: now ? perSecond(now.readsPerSecond + now.writesPerSecond) : NONE,
    'iops-beside': now ? `${perSecond(now.readsPerSecond)} read · ${perSecond(now.writesPerSecond)} write` : '',
    rate: now ? rate(now.readBytesPerSecond + now.writtenBytesPerSecond) : NONE,
    'rate-beside': now ? `${rate(now.readBytesPerSecond)} read · ${rate(now.writtenBytesPerSecond)} write` : '',
    latency: now ? time(most(now.readP99, now.writeP99)) : NONE,
    'latency-beside': now ? `${time(now.readP99)} read · ${time(now.writeP99)} write` : '',
    dirty: now ? bytes(now.dirtyBytes) : NONE,
    'dirty-beside': journal,
    hits: now ? share(now.hitRatio) : NONE,
    'hits-beside': now ? `of blocks read · ${now.inFlight} in flight` : '',
  };
  for (const element of document.querySelectorAll('[data-total]')) element.textContent = texts[element.dataset.total];
}

function volumeRows(volume, stores) {
  const { open, now } = volume;
  const name = make('button', 'volume', volume.volume);
  name.type = 'button';
  name.setAttribute('aria-pressed', String(state.shown === volume.device));
  name.title = 'Show its charts';
  name.dataset.device = volume.device;
  const use = open && open.journalBytes ? Math.min(1, open.dirtyBytes / open.journalBytes) : 0;
  const bar = make('span', '');
  bar.style.width = `${(use * 100).toFixed(1)}%`;
  const breaker = stores.get(volume.store)?.breaker ?? 'unused';
  const lease = volume.lease === 'held' && volume.leaseSecondsLeft !== null ? make('span', '', 'held', make('span', 'below', `${duration(volume.leaseSecondsLeft)} left`)) : LEASE[volume.lease] ?? NONE;
  const cells = [
    cell('Volume', '', make('span', '', name, make('span', 'below', open ? ` ${bytes(open.sizeBytes)}` : ''))),
    cell('State', '', pill(volume.status, CONDITION[volume.condition] ?? volume.condition)),
    cell('Reads', 'number', make('span', '', now ? perSecond(now.readsPerSecond) : NONE, make('span', 'below', now ? rate(now.readBytesPerSecond) : ''))),
    cell('Writes', 'number', make('span', '', now ? perSecond(now.writesPerSecond) : NONE, make('span', 'below', now ? rate(now.writtenBytesPerSecond) : ''))),
    cell('Read p99', 'number', now ? time(now.readP99) : NONE),
    cell('Write p99', 'number', now ? time(now.writeP99) : NONE),
    cell('Dirty', 'number', make('span', '', open ? bytes(open.dirtyBytes) : NONE, open ? make('span', 'below', make('span', use > 0.7 ? 'use full' : 'use', bar)) : null)),
    cell('Hits', 'number', now ? share(now.hitRatio) : NONE),
    cell('In flight', 'number', count(volume.inFlight)),
    cell('Lease', '', lease),
    cell('Breaker', '', pill(BREAKER[breaker] ?? '', breaker)),
  ];
  const row = make('tr', volume.reason ? 'with-reason' : '', ...cells);
  row.setAttribute('role', 'row');
  if (!volume.reason) return [row];
  const reason = cell('', '', volume.reason);
  reason.colSpan = cells.length;
  const second = make('tr', 'reason', reason);
  second.setAttribute('role', 'row');
  return [row, second];
}

function showVolumes(status) {
  const stores = new Map(status.stores.map(s => [s.name, s]));
  const body = $('volumes').tBodies[0];
  const focused = body.contains(document.activeElement) ? document.activeElement.dataset.device : null;
  fill(body, status.volumes.flatMap(v => volumeRows(v, stores)));
  if (focused && !body.contains(document.activeElement)) [...body.querySelectorAll('button')].find(b => b.dataset.device === focused)?.focus();
  $('volumes').hidden = status.volumes.length === 0;
  $('no-volumes').hidden = status.volumes.length > 0;

  if (state.shown && !status.volumes.some(v => v.device === state.shown)) show('');
  const options = [['', 'all volumes'], ...status.volumes.map(v => [v.device, v.volume])];
  const select = $('shown');
  fill(select, options.map(([value, text]) => {
    const option = make('option', '', text);
    option.value = value;
    return option;
  }));
  select.value = state.shown;
}

function showStores(status) {
  fill($('stores'), status.stores.map(store => {
    const head = make('div', 'head', make('h3', '', store.name), pill(BREAKER[store.breaker] ?? '', store.breaker === 'unused' ? 'unused' : `breaker ${store.breaker}`));
    const counts = make('dl', 'counts');
    for (const [label, value] of [['requests', store.attempts], ['retries', store.retries], ['timeouts', store.timeouts], ['refused', store.rejected]])
      counts.append(make('div', '', make('dt', '', label), make('dd', '', count(value))));
    const error = store.reason ?? (store.lastError ? null : undefined);
    return make('li', '', head, make('p', 'below', store.description || store.type), counts,
      error ? make('p', 'error', error) : null,
      error === null ? make('p', 'below', `Last failure ${clock(store.lastErrorAt)}: ${store.lastError}`) : null);
  }));
  $('no-stores').hidden = status.stores.length > 0;
}

function showEvents() {
  const all = $('level').value === 'all';
  const shown = state.events.filter(e => all || e.level !== 'information').reverse();
  fill($('events'), shown.map(event => {
    const at = make('time', '', clock(event.at));
    at.dateTime = event.at;
    at.title = new Date(event.at).toLocaleString();
    return make('li', event.level, at, make('span', 'level', event.level === 'information' ? 'info' : event.level), make('span', 'text', make('span', 'name', event.name || event.category), ' ', event.message));
  }));
  $('events').hidden = shown.length === 0;
  $('no-events').textContent = state.events.length ? 'No warnings and no errors.' : 'Nothing has been logged.';
  $('no-events').hidden = shown.length > 0;
}

const charts = [
  { title: 'Commands', series: [{ key: 'readsPerSecond', label: 'reads' }, { key: 'writesPerSecond', label: 'writes' }], format: perSecond },
  { title: 'Throughput', series: [{ key: 'readBytesPerSecond', label: 'read' }, { key: 'writtenBytesPerSecond', label: 'written' }], format: rate },
  { title: 'Read latency', series: [{ key: 'readP50', label: 'p50' }, { key: 'readP99', label: 'p99' }], format: time, scale: 'log' },
  { title: 'Write latency', series: [{ key: 'writeP50', label: 'p50' }, { key: 'writeP99', label: 'p99' }], format: time, scale: 'log' },
  { title: 'Not in the store yet', series: [{ key: 'dirtyBytes', label: 'dirty' }], format: bytes, scale: 'bytes' },
  { title: 'Cache hits', series: [{ key: 'hitRatio', label: 'of blocks read' }], format: share, scale: 'share' },
].map(options => new Chart($('charts'), options));

function showCharts() {
  for (const chart of charts) chart.update(state.samples, Date.now() + state.skew, 3500);
}

/** Has the charts show one device, or all. */
function show(device) {
  [state.shown, state.samples] = [device, []];
  $('shown').value = device;
  showCharts();
}

// --- The gateway

async function ask(path) {
  const answer = await fetch(path, { cache: 'no-store', signal: AbortSignal.timeout(PATIENCE) });
  if (!answer.ok) throw new Error(`it answered ${answer.status}`);
  return answer.json();
}

async function refresh() {
  const status = await ask('/api/status');
  if (status.startedAt !== state.startedAt) Object.assign(state, { startedAt: status.startedAt, samples: [], events: [] });
  const device = state.shown;
  const last = list => list.length ? list[list.length - 1].sequence : 0;
  const [history, events] = await Promise.all([
    ask(`/api/history?after=${last(state.samples)}&device=${encodeURIComponent(device)}`),
    ask(`/api/events?after=${last(state.events)}`),
  ]);
  Object.assign(state, { status, answeredAt: Date.now(), skew: Date.parse(status.at) - Date.now() });
  if (device === state.shown) state.samples = [...state.samples, ...history.samples.map(s => ({ ...s, time: Date.parse(s.at) }))].slice(-history.keptMax);
  state.events = [...state.events, ...events.events].slice(-EVENTS_KEPT);
  document.body.classList.remove('lost');
  showHealth(status);
  showFacts(status);
  showTotals(status.now);
  showVolumes(status);
  showStores(status);
  if (events.events.length || !$('events').dataset.filled) showEvents();
}

function lost(reason) {
  document.body.classList.add('lost');
  document.title = 'no answer · tcmu-gateway';
  $('health').className = 'pill unready';
  $('health').textContent = 'no answer';
  const since = state.answeredAt ? ` since ${clock(state.answeredAt)}` : '';
  notice('unready', `The gateway does not answer${since}`, [
    state.answeredAt ? `What is below is of that time. It is asked again every second (${reason}).` : `It is asked again every second (${reason}).`,
    'Whether its process runs: systemctl status tcmu-gateway. Disks do not depend on this page.',
  ]);
}

async function run() {
  for (;;) {
    if (document.visibilityState === 'hidden') await new Promise(done => document.addEventListener('visibilitychange', done, { once: true }));
    try {
      await refresh();
    } catch (error) {
      lost(error.name === 'TimeoutError' ? 'no answer in time' : error instanceof TypeError ? 'no connection' : error.message);
    }
    showCharts();
    await new Promise(done => setTimeout(done, PERIOD));
  }
}

function applyTheme(theme) {
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

const theme = localStorage.getItem('theme') ?? 'auto';
$('theme').value = theme;
applyTheme(theme);
$('theme').addEventListener('change', event => {
  localStorage.setItem('theme', event.target.value);
  applyTheme(event.target.value);
});
$('shown').addEventListener('change', event => show(event.target.value));
$('level').addEventListener('change', showEvents);
$('volumes').addEventListener('click', event => {
  const button = event.target.closest('button.volume');
  if (!button) return;
  show(state.shown === button.dataset.device ? '' : button.dataset.device);
  if (state.status) showVolumes(state.status);
});
run();
