// Traffic that never stops while things break, and the proof afterwards: every finished request billed once, to the
// token and the pico, and the books balanced.
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { allUsage, pico, settled, stack, until, wallet } from './stack.mjs';

/** mulberry32: one seed replays a schedule. */
export function random(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export class Load {
  finished = new Map(); // request id -> the usage its client was told
  failed = 0; // answers that ended in an error the client saw
  #running = true;
  #loops = [];

  constructor(tenant, client, next, before) {
    Object.assign(this, { tenant, client, next, before });
  }

  /** A tenant of its own with `credit`, and `clients` that ask by `fetcher`, without pause: a third unary, else streams. */
  static async start({ name, credit, clients, next, fetcher = fetch }) {
    const tenant = `${name}${Date.now().toString(36)}`;
    await stack.cli('tenant', 'create', tenant);
    await stack.cli('project', 'create', 'main', '--tenant', tenant);
    const { secret } = await stack.cli('key', 'create', '--tenant', tenant, '--project', 'main');
    await stack.cli('wallet', 'top-up', tenant, credit);
    const options = { maxRetries: 0, timeout: 60_000, fetch: fetcher };
    const client = new OpenAI({ apiKey: secret, baseURL: stack.baseUrl, ...options });
    await until('the new key', 5, () => client.models.list());
    const load = new Load(tenant, client, next, await wallet(tenant));
    load.#loops = Array.from({ length: clients }, (_, lane) => load.#ask_on(lane, clients));
    return load;
  }

  async #ask_on(lane, stride) {
    for (let index = lane; this.#running; index += stride) {
      try {
        await this.#ask(index);
      } catch {
        this.failed += 1;
        await new Promise((done) => setTimeout(done, 50));
      }
    }
  }

  async #ask(index) {
    const body = {
      model: 'tang-moe', max_tokens: 8 + Math.floor(this.next() * 24), seed: Math.floor(this.next() * 1e6),
      messages: [{ role: 'user', content: `写一首关于雪的五言绝句。${index}` }],
    };
    if (index % 3 === 0) {
      const { data, response } = await this.client.chat.completions.create(body).withResponse();
      this.finished.set(response.headers.get('x-request-id'), data.usage);
      return;
    }
    const { data: stream, response } = await this.client.chat.completions
      .create({ ...body, stream: true, stream_options: { include_usage: true } }).withResponse();
    let usage = null;
    let reason = null;
    for await (const chunk of stream) {
      if (chunk.usage) usage = chunk.usage;
      reason ??= chunk.choices[0]?.finish_reason;
    }
    if (usage && reason) this.finished.set(response.headers.get('x-request-id'), usage);
  }

  /** Waits until `count` more requests have finished. */
  async progress(count, seconds = 90) {
    const goal = this.finished.size + count;
    await until(`${count} more finished requests`, seconds, () => this.finished.size >= goal);
  }

  async stop() {
    this.#running = false;
    await Promise.all(this.#loops);
  }

  /** Asserts that nothing was lost, nothing doubled, and that every invariant holds; returns the figures as text. */
  async prove() {
    // What a gateway that died had begun may be billed after the others.
    const rows = await until('every finished request to be billed and paid', 120, async () => {
      await settled();
      const list = await allUsage('--tenant', this.tenant);
      const billed = new Set(list.map((row) => row.event.request_id));
      const missing = [...this.finished.keys()].filter((id) => !billed.has(id));
      const charged = list.reduce((sum, row) => sum + pico(row.event.amount), 0n);
      const paid = pico(this.before.balance) - pico((await wallet(this.tenant)).balance);
      if (missing.length > 0 || paid !== charged) {
        throw new Error(`not billed: ${missing}; charged ${charged}, paid ${paid} pico`);
      }
      return list;
    });
    const byId = new Map(rows.map((row) => [row.event.request_id, row]));
    assert.equal(byId.size, rows.length, 'a request billed twice');
    for (const [id, usage] of this.finished) {
      const row = byId.get(id);
      assert.ok(row, `finished request ${id} is not billed`);
      assert.equal(row.event.completion_tokens, usage.completion_tokens);
      assert.equal(row.event.amount, usage.cost_details.amount);
    }
    const report = await stack.cli('reconcile');
    assert.equal(report.differences, 0, JSON.stringify(report.checks.filter((check) => check.differences > 0)));
    const names = report.checks.map((check) => check.name).join(' ');
    return `${this.finished.size} finished requests, ${this.failed} failed visibly, ${rows.length} billed, 0 missing, ` +
      `0 doubled, reconcile 0 differences (${names})`;
  }
}
