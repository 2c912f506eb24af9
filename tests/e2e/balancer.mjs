// A balancer in front of several gateways, as small as one can be: it asks each for its readiness, hands every new
// connection to one that is ready, in turn, and moves a connection whose gateway hung up before its first byte to another one.
// That is safe for a request that was never read: a gateway that stops answers what it has read.
import net from 'node:net';

const kAskEveryMs = 50;
const kReplayedBytesMax = 64 * 1024;
const kWaitsMax = 600; // for a gateway that is ready, kAskEveryMs each

export class Balancer {
  moved = 0; // connections that a gateway hung up on before it answered
  #ready = new Set();
  #turn = 0;
  #sockets = new Set();

  /** Listens on a port of its own; `gateways` are gateways.mjs's. */
  static async start(gateways) {
    const balancer = new Balancer();
    balancer.gateways = gateways;
    balancer.server = net.createServer({ allowHalfOpen: false }, (client) => balancer.#carry(balancer.#hold(client)));
    await new Promise((done) => balancer.server.listen(0, '127.0.0.1', done));
    balancer.baseUrl = `http://127.0.0.1:${balancer.server.address().port}/v1`;
    await balancer.#ask();
    balancer.timer = setInterval(() => void balancer.#ask(), kAskEveryMs);
    return balancer;
  }

  stop() {
    clearInterval(this.timer);
    this.server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  /** It hands connections to this one now. */
  sees(gateway) {
    return this.#ready.has(gateway);
  }

  #hold(socket) {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
    return socket;
  }

  async #ask() {
    await Promise.all(this.gateways.map(async (gateway) => {
      if (await gateway.isReady()) this.#ready.add(gateway);
      else this.#ready.delete(gateway);
    }));
  }

  /** The next one in turn that is ready and not among `tried`; undefined if there is none. */
  #next(tried) {
    const candidates = this.gateways.filter((gateway) => this.#ready.has(gateway) && !tried.has(gateway));
    return candidates[(this.#turn += 1) % candidates.length];
  }

  #carry(client) {
    const sent = []; // what a gateway must hear again if this one hung up
    let bytes = 0;
    let upstream = null;
    let answered = false;
    client.on('data', (part) => {
      bytes += part.length;
      sent.push(part);
      upstream?.write(part);
    });
    client.on('close', () => upstream?.destroy());
    const connect = (tried, waits = 0) => {
      if (client.destroyed) return undefined;
      const gateway = this.#next(tried);
      if (!gateway && waits >= kWaitsMax) return client.destroy();
      if (!gateway) return setTimeout(() => connect(new Set(), waits + 1), kAskEveryMs);
      tried.add(gateway);
      const { hostname, port } = new URL(gateway.baseUrl);
      const socket = this.#hold(net.connect(Number(port), hostname));
      upstream = socket;
      for (const part of sent) socket.write(part);
      socket.on('data', (part) => {
        answered = true;
        if (!client.write(part)) {
          socket.pause();
          client.once('drain', () => socket.resume());
        }
      });
      socket.on('close', () => {
        if (socket !== upstream || client.destroyed) return undefined;
        if (answered || bytes > kReplayedBytesMax) return client.end();
        this.moved += 1;
        this.#ready.delete(gateway); // until it says otherwise
        return connect(tried);
      });
      return undefined;
    };
    connect(new Set());
  }
}
