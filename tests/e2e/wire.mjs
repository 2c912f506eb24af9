// One HTTP exchange as it looked on the wire: when each part came, whether the body had its end, and every byte of it.
// It never throws for what the server did: a refused connection or a cut body is an outcome like any other.
import http from 'node:http';
import { performance } from 'node:perf_hooks';

/** Milliseconds of the clock that `exchange` stamps with. */
export const now = () => performance.now();

/** Connections that are kept, for loads. */
export const keptAgent = () => new http.Agent({ keepAlive: true, maxSockets: Infinity });

/**
 * `agent: false` opens a connection for this exchange alone and says so ("Connection: close").
 * `onPart(bytes, response)` sees each part of the body; it may pause the response.
 * Resolves to { status, headers, rawHeaders, body, sentAt, headAt, firstAt, endAt, isWhole, error }.
 */
export function exchange(url, { method = 'POST', key, headers = {}, body, agent = false, onPart, signal } = {}) {
  const target = new URL(url);
  const bytes = body === undefined ? null : Buffer.from(typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body));
  const fields = {
    ...(key && { Authorization: `Bearer ${key}` }),
    ...(bytes && { 'Content-Type': 'application/json', 'Content-Length': bytes.length }),
    ...headers,
  };
  const seen = { status: 0, headers: {}, rawHeaders: [], body: Buffer.alloc(0), sentAt: now(), headAt: NaN, firstAt: NaN, endAt: NaN, isWhole: false, error: null };
  return new Promise((resolve) => {
    const parts = [];
    const finish = (error) => {
      if (!Number.isNaN(seen.endAt)) return;
      seen.endAt = now();
      seen.error = error ?? null;
      seen.body = Buffer.concat(parts);
      resolve(seen);
    };
    const request = http.request({ host: target.hostname, port: target.port, path: target.pathname + target.search, method, headers: fields, agent, signal });
    request.on('error', finish);
    request.on('response', (response) => {
      Object.assign(seen, { status: response.statusCode, headers: response.headers, rawHeaders: response.rawHeaders, headAt: now() });
      response.on('data', (part) => {
        if (parts.length === 0) seen.firstAt = now();
        parts.push(part);
        onPart?.(part, response);
      });
      response.on('error', finish);
      response.on('end', () => {
        seen.isWhole = response.complete;
        finish(response.complete ? null : new Error('the body has no end'));
      });
      response.on('close', () => finish(new Error('the connection was closed in the body')));
    });
    request.end(bytes ?? undefined);
  });
}

/** The body as JSON, or null. */
export function jsonOf({ body }) {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return null;
  }
}

/** The value below which `share` (0..1) of the numbers lie; NaN of none. */
export function quantile(numbers, share) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted.length === 0 ? NaN : sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)];
}
