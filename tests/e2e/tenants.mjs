// A customer of a test's own: tenant, project, key and money, known to the gateway before anybody asks.
import { stack, until } from './stack.mjs';
import { exchange } from './wire.mjs';

let count = 0;

/** `credit` as decimal text; without it the wallet is empty. `keyOptions` go to `key create`. */
export async function customer(prefix, { credit, keyOptions = [] } = {}) {
  const name = `${prefix}${Date.now().toString(36)}${(count += 1)}`;
  await stack.cli('tenant', 'create', name);
  await stack.cli('project', 'create', 'main', '--tenant', name);
  const { key, secret } = await stack.cli('key', 'create', '--tenant', name, '--project', 'main', ...keyOptions);
  if (credit) await stack.cli('wallet', 'top-up', name, credit);
  await known(secret);
  return { name, key, secret };
}

/** The key has reached the gateway at `baseUrl`: it answers anything but 401. */
export function known(secret, baseUrl = stack.baseUrl) {
  return until('the new key to be known', 10, async () =>
    (await fetch(`${baseUrl}/models`, { headers: { Authorization: `Bearer ${secret}` } })).status !== 401);
}

/** One request is answered: from here on the gateway at `baseUrl` has a lease, and nobody waits for billing. */
export function leased(secret, body, baseUrl = stack.baseUrl) {
  return until('a first answer', 60, async () =>
    (await exchange(`${baseUrl}/chat/completions`, { key: secret, body })).status === 200);
}
