// The line between a gateway and billing, as something that can be disturbed: an HTTP/2 proxy that forwards every gRPC
// call and can hand a batch in twice, bring an old one again after newer ones, lose an answer, or cut everything.
import fs from 'node:fs';
import http2 from 'node:http2';
import net from 'node:net';

const kBatches = '/tidegate.v1.Accounts/SubmitUsage';
const kKept = 32; // batches that may come again
const { constants: h2 } = http2;

export class Cable {
  happened = { duplicate: 0, stale: 0, lost: 0, cut: 0 };
  #wanted = { duplicate: 0, stale: 0, lost: 0 };
  #sockets = new Set();
  #kept = []; // { headers, body } of batches that were answered, oldest first

  /** Listens on the unix socket `from` and forwards to the unix socket `to`. */
  static async open(from, to) {
    const cable = new Cable();
    fs.rmSync(from, { force: true });
    cable.to = to;
    cable.server = http2.createServer();
    cable.server.on('connection', (socket) => cable.#hold(socket));
    cable.server.on('sessionError', () => {});
    cable.server.on('stream', (stream, headers) => cable.#carry(stream, headers));
    await new Promise((done) => cable.server.listen(from, done));
    return cable;
  }

  close() {
    this.server.close();
    this.cut();
  }

  /** Breaks every connection on both sides. */
  cut() {
    for (const socket of this.#sockets) socket.destroy();
    this.happened.cut += 1;
  }

  /** The next `count` batches meet it; resolves through `happened`. */
  disturb(kind, count) {
    this.#wanted[kind] = count;
  }

  #hold(socket) {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
    return socket;
  }

  #take(kind) {
    if (this.#wanted[kind] === 0) return false;
    this.#wanted[kind] -= 1;
    this.happened[kind] += 1;
    return true;
  }

  #session() {
    if (this.upstream && !this.upstream.closed && !this.upstream.destroyed) return this.upstream;
    this.upstream = http2.connect('http://billing', { createConnection: () => this.#hold(net.connect(this.to)) });
    this.upstream.on('error', () => {});
    this.upstream.setMaxListeners(0);
    return this.upstream;
  }

  #call(headers) {
    const { [h2.HTTP2_HEADER_METHOD]: method, [h2.HTTP2_HEADER_PATH]: path } = headers;
    const plain = Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith(':')));
    const call = this.#session().request({ ...plain, ':method': method, ':path': path });
    call.on('error', () => {});
    return call;
  }

  /** A whole unary call; resolves to whether it was answered. */
  #unary({ headers, body }) {
    return new Promise((done) => {
      const call = this.#call(headers);
      let ok = false;
      call.on('response', (answer) => { ok = answer['grpc-status'] === undefined; });
      call.on('trailers', (trailers) => { ok = trailers['grpc-status'] === '0'; });
      call.on('close', () => done(ok));
      call.resume();
      call.end(body);
    });
  }

  async #carry(stream, headers) {
    stream.on('error', () => {});
    if (headers[h2.HTTP2_HEADER_PATH] !== kBatches) {
      stream.pipe(this.#answer(stream, this.#call(headers)));
      return;
    }
    const parts = [];
    stream.on('data', (part) => parts.push(part));
    await new Promise((done) => stream.on('end', done).on('close', done));
    if (stream.destroyed) return;
    const batch = { headers, body: Buffer.concat(parts) };
    if (this.#take('duplicate')) await this.#unary(batch);
    const old = this.#kept[0];
    if (this.#take('lost')) {
      await this.#unary(batch);
      stream.session?.destroy(); // as a broken connection would
      return;
    }
    if (stream.destroyed) return;
    const call = this.#answer(stream, this.#call(headers));
    call.on('trailers', (trailers) => {
      if (trailers['grpc-status'] !== '0') return;
      this.#kept.push(batch);
      if (this.#kept.length > kKept) this.#kept.shift();
      if (old && this.#take('stale')) void this.#unary(old);
    });
    call.end(batch.body);
  }

  /** Hands what billing answers on `call` to the gateway's `stream`. */
  #answer(stream, call) {
    let trailers = {};
    call.on('response', (answer, flags) => {
      if (stream.destroyed) return call.close(h2.NGHTTP2_CANCEL);
      const only = (flags & h2.NGHTTP2_FLAG_END_STREAM) !== 0; // an error: headers that are trailers
      stream.respond(answer, only ? { endStream: true } : { waitForTrailers: true });
      if (!only) stream.on('wantTrailers', () => stream.sendTrailers(trailers));
    });
    call.on('trailers', (last) => { trailers = last; });
    call.on('data', (part) => { if (!stream.destroyed && !stream.write(part)) call.pause(); });
    stream.on('drain', () => call.resume());
    call.on('end', () => { if (!stream.destroyed && stream.headersSent) stream.end(); });
    call.on('close', () => {
      if (call.rstCode !== h2.NGHTTP2_NO_ERROR || !stream.headersSent) stream.close(h2.NGHTTP2_INTERNAL_ERROR);
    });
    stream.on('close', () => call.close(h2.NGHTTP2_CANCEL));
    return call;
  }
}
