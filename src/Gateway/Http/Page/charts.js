// Line charts over the last minutes, as SVG. Texts go in by textContent alone.

const HEIGHT = 168, LEFT = 56, RIGHT = 6, TOP = 8, BOTTOM = 20;
const MINUTES = 5;

function svg(name, attributes = {}, text) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

function html(name, className, text) {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

/** Round steps from 0 on, up to at least the maximum; base 1024 for bytes. */
function linearTicks(max, base) {
  if (!(max > 0)) return [0, 1];
  const unit = base ** Math.max(0, Math.floor(Math.log(max) / Math.log(base)));
  const rough = max / unit / 3;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = unit * power * [1, 2, 2.5, 5, 10].find(s => s * power >= rough * 0.999);
  const ticks = [];
  for (let i = 0; i <= Math.ceil(max / step - 1e-9); i++) ticks.push(i * step);
  return ticks;
}

/** Powers of ten around the values. */
function logTicks(min, max) {
  if (!(max > 0)) return [1e-4, 1e-3];
  const from = Math.floor(Math.log10(min) + 1e-9);
  const to = Math.max(from + 1, Math.ceil(Math.log10(max) - 1e-9));
  return Array.from({ length: to - from + 1 }, (_, i) => 10 ** (from + i));
}

/**
 * One chart. Options: title; series, one or two of { key, label }; format of a value; scale 'linear' (default), 'bytes', 'log' or 'share'.
 * Pointer and arrow keys move a cursor, whose values stand in the key; else those are the newest.
 */
export class Chart {
  #options; #samples = []; #now = 0; #gap = 3000; #cursor = null; #width = 400;
  #svg; #values = [];

  constructor(parent, options) {
    this.#options = options;
    const figure = html('figure', 'card chart');
    const caption = html('figcaption');
    caption.append(html('h3', '', options.title));
    for (const [index, series] of options.series.entries()) {
      const key = html('span', index ? 'key second' : 'key', series.label + ' ');
      const value = html('b', '', '–');
      key.append(value);
      caption.append(key);
      this.#values.push(value);
    }
    this.#svg = svg('svg', { role: 'img', tabindex: 0 });
    figure.append(caption, this.#svg);
    parent.append(figure);
    this.#svg.addEventListener('pointermove', e => this.#point(e));
    this.#svg.addEventListener('pointerleave', () => this.#moveTo(null));
    this.#svg.addEventListener('blur', () => this.#moveTo(null));
    this.#svg.addEventListener('keydown', e => this.#press(e));
    new ResizeObserver(([entry]) => {
      this.#width = Math.max(200, entry.contentRect.width);
      this.#draw();
    }).observe(this.#svg);
  }

  /** Samples, oldest first, each with its time in ms as `time`; the right edge in ms; what is further apart than `gap` ms is not joined. */
  update(samples, now, gap) {
    [this.#samples, this.#now, this.#gap] = [samples, now, gap];
    this.#draw();
  }

  #x(time) { return this.#width - RIGHT - (this.#now - time) / (MINUTES * 60000) * (this.#width - LEFT - RIGHT); }

  #point(event) {
    const x = event.clientX - this.#svg.getBoundingClientRect().left;
    let nearest = null;
    for (const sample of this.#samples)
      if (!nearest || Math.abs(this.#x(sample.time) - x) < Math.abs(this.#x(nearest.time) - x)) nearest = sample;
    this.#moveTo(nearest);
  }

  #press(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === 'Escape') this.#moveTo(null);
    if (!step || !this.#samples.length) return;
    event.preventDefault();
    const at = this.#cursor ? this.#samples.findIndex(s => s.time >= this.#cursor.time) : this.#samples.length;
    this.#moveTo(this.#samples[Math.min(this.#samples.length - 1, Math.max(0, at + step))]);
  }

  #moveTo(sample) {
    this.#cursor = sample;
    this.#draw();
  }

  #ticks(values) {
    const { scale } = this.#options;
    if (scale === 'share') return [0, 0.5, 1];
    if (scale === 'log') return logTicks(Math.min(...values), Math.max(...values));
    return linearTicks(Math.max(0, ...values), scale === 'bytes' ? 1024 : 1000);
  }

  #draw() {
    const { series, format, scale } = this.#options;
    const from = this.#now - MINUTES * 60000;
    const samples = this.#samples.filter(s => s.time >= from);
    const values = samples.flatMap(s => series.map(one => s[one.key])).filter(v => v !== null && v !== undefined);
    const ticks = this.#ticks(values);
    const [low, high] = [ticks[0], ticks[ticks.length - 1]];
    const part = scale === 'log' ? v => Math.log(Math.max(v, low) / low) / Math.log(high / low) : v => (v - low) / (high - low);
    const y = value => TOP + (1 - part(value)) * (HEIGHT - TOP - BOTTOM);

    const content = [];
    for (const tick of ticks.length > 6 ? ticks.filter((_, i) => i % 2 === 0) : ticks) {
      content.push(svg('line', { class: 'grid', x1: LEFT, x2: this.#width - RIGHT, y1: y(tick), y2: y(tick) }));
      content.push(svg('text', { x: LEFT - 8, y: y(tick) + 4, 'text-anchor': 'end' }, values.length || scale === 'share' ? format(tick) : ''));
    }
    for (let minute = 0; minute < MINUTES; minute += this.#width < 380 ? 2 : 1)
      content.push(svg('text', { x: this.#x(this.#now - minute * 60000), y: HEIGHT - 4, 'text-anchor': minute ? 'middle' : 'end' }, minute ? `−${minute} min` : 'now'));
    for (const [index, one] of series.entries()) content.push(...this.#line(samples, one.key, index, y, y(low)));
    if (!values.length) content.push(svg('text', { x: (LEFT + this.#width) / 2, y: HEIGHT / 2, 'text-anchor': 'middle' }, 'nothing yet'));
    if (this.#cursor && this.#cursor.time >= from) content.push(svg('line', { class: 'cursor', x1: this.#x(this.#cursor.time), x2: this.#x(this.#cursor.time), y1: TOP, y2: HEIGHT - BOTTOM }));

    this.#svg.setAttribute('viewBox', `0 0 ${this.#width} ${HEIGHT}`);
    this.#svg.replaceChildren(...content);
    this.#tell(samples);
  }

  /** One path for all of a series, with gaps where nothing is known; and what is below it, if it is the only one. */
  #line(samples, key, index, y, ground) {
    let path = '', area = '', before = null, start = null;
    const close = () => { if (before !== null) area += `V${ground}H${start}Z`; };
    for (const sample of samples) {
      const value = sample[key];
      if (value === null || value === undefined) continue;
      const [x, height] = [this.#x(sample.time).toFixed(1), y(value).toFixed(1)];
      const joined = before !== null && sample.time - before <= this.#gap;
      if (!joined) {
        close();
        start = x;
        area += `M${x} ${height}`;
        path += `M${x} ${height}h0.01`; // A point that stands alone is seen, too.
      } else {
        path += `L${x} ${height}`;
        area += `L${x} ${height}`;
      }
      before = sample.time;
    }
    close();
    const line = svg('path', { class: index ? 'line second' : 'line', d: path });
    return this.#options.series.length === 1 ? [svg('path', { class: 'area', d: area }), line] : [line];
  }

  #tell(samples) {
    const { title, series, format } = this.#options;
    const sample = this.#cursor ?? samples[samples.length - 1];
    const texts = series.map(one => sample && sample[one.key] !== null && sample[one.key] !== undefined ? format(sample[one.key]) : '–');
    texts.forEach((text, index) => { this.#values[index].textContent = text; });
    const when = this.#cursor ? new Date(this.#cursor.time).toLocaleTimeString([], { hour12: false }) : 'now';
    this.#svg.setAttribute('aria-label', `${title}, ${when}: ${series.map((one, i) => `${one.label} ${texts[i]}`).join(', ')}. Arrow keys go back in time.`);
  }
}
