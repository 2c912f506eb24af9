// Requests at a fixed pace whatever happens to the ones before: what each of them waited, from the moment it was due. A
// load that waits for its answers would wait with them, and see one slow request where a customer sees a hundred.
import { Load } from './load.mjs';
import { stack, wallet } from './stack.mjs';
import { customer, known, leased } from './tenants.mjs';
import { exchange, jsonOf, keptAgent, now } from './wire.mjs';

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** What the end of a stream says: { usage, isDone, error }. */
export function lastWords(body) {
  const said = { usage: null, isDone: false, error: null };
  for (const frame of body.toString('utf8').split('\n\n').slice(-4)) {
    if (frame === 'data: [DONE]') said.isDone = true;
    if (!frame.startsWith('data: {')) continue;
    try {
      const { usage, error } = JSON.parse(frame.slice('data: '.length));
      said.usage = usage ?? said.usage;
      said.error = error ?? said.error;
    } catch { /* cut in the middle */ }
  }
  return said;
}

export class Pace extends Load {
  samples = []; // { dueAt, wait, took, status, code, retryAfter, id } of requests that ended, times in ms
  #open = new Set();
  #agent = false;
  #isRunning = true;
  #due = now();

  /**
   * A tenant of its own that sends `perSecond` streams a second; `body(index)` is what it asks. `limits` go to `limit set`,
   * `gateways` are base URLs that must know its key; without `isKept` every request has a connection of its own.
   */
  static async start({ name, credit, perSecond, body, limits = [], baseUrl = stack.baseUrl, gateways = [], isKept = true }) {
    const { name: tenant, secret } = await customer(name, { credit });
    for (const each of gateways) await known(secret, each);
    if (limits.length > 0) await stack.cli('limit', 'set', tenant, ...limits);
    const pace = new Pace(tenant, null, null, await wallet(tenant));
    Object.assign(pace, { secret, perSecond, body, url: `${baseUrl}/chat/completions` });
    await leased(secret, body(0), baseUrl); // or the first ones would wait for billing
    if (isKept) pace.#agent = keptAgent();
    pace.#due = now();
    pace.#tick();
    return pace;
  }

  #tick() {
    if (!this.#isRunning) return;
    for (; this.#due <= now(); this.#due += 1000 / this.perSecond) {
      const one = this.#ask(this.#due, this.#open.size + this.samples.length).finally(() => this.#open.delete(one));
      this.#open.add(one);
    }
    setTimeout(() => this.#tick(), Math.max(0, this.#due - now()));
  }

  async #ask(dueAt, index) {
    const body = { ...this.body(index), stream: true, stream_options: { include_usage: true } };
    const seen = await exchange(this.url, { key: this.secret, body, agent: this.#agent, signal: AbortSignal.timeout(60_000) });
    const sample = { dueAt, wait: seen.firstAt - dueAt, took: seen.endAt - dueAt, status: seen.status, code: null, retryAfter: Number(seen.headers['retry-after'] ?? NaN), id: seen.headers['x-request-id'] };
    const { usage, isDone, error } = seen.status === 200 ? lastWords(seen.body) : { error: jsonOf(seen)?.error };
    if (seen.isWhole && isDone && usage) {
      this.finished.set(sample.id, usage);
    } else {
      this.failed += 1;
      sample.code = error?.code ?? String(seen.error);
    }
    this.samples.push(sample);
  }

  /** The samples that fell due in the next `seconds`, once all of them have ended. */
  async window(seconds) {
    const from = now();
    await pause(seconds * 1000);
    return this.since(from);
  }

  /** The samples that fell due since `from`, once all of them have ended. */
  async since(from) {
    const to = now();
    await Promise.all([...this.#open]);
    return this.samples.filter(({ dueAt }) => dueAt >= from && dueAt < to);
  }

  async stop() {
    this.#isRunning = false;
    await Promise.all([...this.#open]);
    if (this.#agent) this.#agent.destroy();
  }
}

export const isServed = ({ status, code }) => status === 200 && code === null;
