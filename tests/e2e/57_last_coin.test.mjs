// One wallet worth 1,000 requests, 64 clients, four gateways of which one dies by kill -9 somewhere on the way: never a
// pico too much is spent, and hardly a request too little. TIDEGATE_WALLETS sets how many wallets are spent (2),
// TIDEGATE_SEED replays a run.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { Gateway } from './gateways.mjs';
import { random } from './load.mjs';
import { allUsage, pico, settled, stack, until, wallet } from './stack.mjs';
import { kill } from './victims.mjs';

const kWallets = Number(process.env.TIDEGATE_WALLETS ?? 2);
const kClients = 64;
const kWorth = 1000n;
const seed = Number(process.env.TIDEGATE_SEED ?? Date.now() % 1e6);
const next = random(seed);
const pick = (list) => list[Math.floor(next() * list.length)];
const gateways = [];

before(async () => {
  await stack.cli('deploy', 'apply', 'coins', '--model', 'sim-fast', '--variant', 'sim', '--sequences', '64', '--options',
    'sim.step_ms=1,sim.prefill_tokens_per_s=10000000,sim.reasoning_tokens=0');
  gateways.push(Gateway.first());
  for (let i = 2; i <= 4; ++i) gateways.push(await Gateway.start(`gateway-${i}`));
});
after(async () => {
  for (const gateway of gateways.slice(1)) await gateway.stop();
  await stack.cli('deploy', 'delete', 'coins');
});

/** A customer with one wallet and everything that was said about it. */
class Spender {
  told = new Map(); // request id -> what its client was told it cost
  broken = 0; // answers that ended in an error, or by the gateway's death
  cancelled = 0;
  sawKill = false;

  constructor(name, secret) {
    Object.assign(this, { name, secret });
  }

  static async create(name, credit) {
    await stack.cli('tenant', 'create', name);
    await stack.cli('project', 'create', 'main', '--tenant', name);
    const { secret } = await stack.cli('key', 'create', '--tenant', name, '--project', 'main');
    await stack.cli('wallet', 'top-up', name, credit);
    return new Spender(name, secret);
  }

  async known() {
    for (const gateway of gateways) {
      await until('the new key', 10, async () => (await fetch(`${gateway.baseUrl}/models`, { headers: this.#headers() })).ok);
    }
  }

  #headers() {
    return { authorization: `Bearer ${this.secret}`, 'content-type': 'application/json' };
  }

  /** 'served', 'refused' or 'broken'. */
  async ask(gateway, { leaves = false } = {}) {
    const body = JSON.stringify({ model: 'sim-fast', max_tokens: 50, messages: [{ role: 'user', content: 'x' }] });
    const leaving = new AbortController();
    try {
      const answer = fetch(`${gateway.baseUrl}/chat/completions`,
        { method: 'POST', headers: this.#headers(), body, signal: AbortSignal.any([leaving.signal, AbortSignal.timeout(30_000)]) });
      if (leaves) setTimeout(() => leaving.abort(), next() * 20);
      const response = await answer;
      const said = await response.json();
      if (response.status === 402) return 'refused';
      if (!response.ok) throw new Error(`${response.status} ${said.error?.code}`);
      this.told.set(response.headers.get('x-request-id'), said.usage.cost_details.amount);
      return 'served';
    } catch {
      return 'broken';
    }
  }

  /**
   * One client: asks wherever it likes until it was refused three times in a row. That the wallet is empty is one
   * gateway's view, who does not know yet what another one gives back: before the kill nobody believes it.
   */
  async spend() {
    for (let refused = 0; refused < 3 || !this.sawKill;) {
      const leaves = next() < 1 / 64;
      const gateway = pick(gateways);
      const outcome = await this.ask(gateway, { leaves });
      if (leaves) this.cancelled += 1;
      if (outcome === 'refused') refused += 1;
      if (outcome === 'served') refused = 0;
      if (outcome === 'broken' && !leaves) {
        this.broken += 1;
        await gateway.ready();
      }
    }
  }
}

async function killOne(spender) {
  const goal = Math.floor(next() * 800);
  try {
    await until(`${goal} requests`, 120, () => spender.told.size >= goal);
  } finally {
    spender.sawKill = true;
  }
  const victim = pick(gateways);
  const pid = victim.pid();
  kill(pid);
  await until(`${victim.name} to be another process`, 60, () => {
    const now = victim.pid();
    return now && now !== pid;
  });
  await victim.ready();
}

/** What one request costs. */
async function priceOf() {
  const probe = await Spender.create(`probe${Date.now().toString(36)}`, '1');
  await probe.known();
  await until('sim-fast to answer', 60, async () => (await probe.ask(gateways[0])) === 'served');
  for (const gateway of gateways) await until(`sim-fast at ${gateway.name}`, 30, async () => (await probe.ask(gateway)) === 'served');
  const costs = new Set(probe.told.values());
  assert.equal(costs.size, 1, 'every request costs the same');
  return pico([...costs][0]);
}

const decimal = (amount) => `${amount / 10n ** 12n}.${String(amount % 10n ** 12n).padStart(12, '0')}`;

test(`${kWallets} wallets worth ${kWorth} requests, ${kClients} clients, 4 gateways, kill -9`, async () => {
  console.log(`seed ${seed}`);
  const price = await priceOf();
  const credit = price * kWorth;
  const sums = { served: 0, billed: 0, cancelled: 0, broken: 0, spent: 0n, least: 100 };
  for (let run = 0; run < kWallets; ++run) {
    const spender = await Spender.create(`coin${run}-${Date.now().toString(36)}`, decimal(credit));
    await spender.known();
    await Promise.all([...Array.from({ length: kClients }, () => spender.spend()), killOne(spender)]);
    // What the dead gateway and those who left had held comes back, before its time is over: whoever asks again
    // gets it.
    const ports = gateways.map((gateway) => gateway.adminPort);
    await settled(ports);
    await until('all but a hundredth of the wallet to be spent', 20, async () => {
      for (const gateway of gateways) while ((await spender.ask(gateway)) === 'served');
      await settled(ports);
      const left = pico((await wallet(spender.name)).balance);
      if (left * 100n > credit) throw new Error(`${left} of ${credit} pico are left`);
      return true;
    });

    const rows = await until('every answer to be billed', 60, async () => {
      const list = await allUsage('--tenant', spender.name);
      const ids = new Set(list.map((row) => row.event.request_id));
      return [...spender.told.keys()].every((id) => ids.has(id)) && list;
    });
    const billed = new Map(rows.map((row) => [row.event.request_id, row.event.amount]));
    assert.equal(billed.size, rows.length, 'a request billed twice');
    for (const [id, amount] of spender.told) assert.equal(billed.get(id), amount, `what ${id} was told and what was billed`);
    const spent = rows.reduce((sum, row) => sum + pico(row.event.amount), 0n);
    const { balance } = await wallet(spender.name);
    assert.equal(credit - pico(balance), spent, 'the wallet and its requests');
    assert.ok(spent <= credit, `run ${run}: overspent`);
    const percent = Number(spent * 1_000_000n / credit) / 10_000;
    assert.ok(percent >= 99, `run ${run}: only ${percent} % of the wallet was usable`);
    sums.served += spender.told.size;
    sums.billed += rows.length;
    sums.cancelled += spender.cancelled;
    sums.broken += spender.broken;
    sums.spent += spent;
    sums.least = Math.min(sums.least, percent);
  }
  const report = await stack.cli('reconcile');
  assert.equal(report.differences, 0, JSON.stringify(report.checks.filter((check) => check.differences > 0)));
  const usable = Number(sums.spent * 1_000_000n / (credit * BigInt(kWallets))) / 10_000;
  console.log(`${kWallets} wallets of ${kWorth} requests, ${kClients} clients, 4 gateways, ${kWallets} times kill -9: ` +
    `${sums.served} answered, ${sums.cancelled} left early, ${sums.broken} broken, ${sums.billed} billed; ` +
    `${usable} % spent (least ${sums.least} %), overspent 0, reconcile 0 differences`);
});
