// CPU of the HTTP edge alone: strict reader, connection, answer. No TLS, no routing, no business.
//
//   http_edge_bench [SECONDS_PER_ROW]
//
// The server runs on one lane, whose thread's CPU time is what is printed; 16 client threads keep one connection each.
// Rows: small GET, POST with a 1 KiB JSON body, a stream of 64 chunks per request (CPU per chunk).
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "base/net/http_server.h"

namespace tidegate {
namespace {

constexpr int kClients = 16;
constexpr int kChunks = 64;

class NoLog final : public Log {
 public:
  void write(LogLevel, std::string_view, LogFields) override {}
};

awaitable<void> answer(HttpExchange& exchange) {
  static const std::string kChunk = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"model\":\"tang-moe\","
                                    "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"moon\"},\"finish_reason\":null}]}\n\n";
  if (exchange.request().path != "/stream") {
    HttpResponse response(200, "{\"ok\":true}");
    co_await exchange.respond(std::move(response));
    co_return;
  }
  exchange.begin_stream(200, "text/event-stream");
  for (int i = 0; i < kChunks; ++i) co_await exchange.write(kChunk);
  co_await exchange.end_stream();
}

/// Sends `request` and reads until `end` is seen, over and over. Returns how often.
long drive(std::uint16_t port, const std::string& request, const std::string& end, const std::atomic<bool>& stop) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return 0;
  const int one = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  long rounds = 0;
  std::string got;
  char piece[65536];
  while (!stop) {
    if (::send(fd, request.data(), request.size(), MSG_NOSIGNAL) < 0) break;
    got.clear();
    while (!got.ends_with(end)) {
      const auto n = ::recv(fd, piece, sizeof piece, 0);
      if (n <= 0) {
        ::close(fd);
        return rounds;
      }
      got.append(piece, static_cast<std::size_t>(n));
    }
    ++rounds;
  }
  ::close(fd);
  return rounds;
}

double lane_cpu_seconds(IoThreads& threads) {
  return threads.run_on(0, [] {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
  });
}

void measure(const char* name, IoThreads& threads, std::uint16_t port, const std::string& request,
             const std::string& end, int units, std::chrono::milliseconds span) {
  std::atomic<bool> stop{false};
  std::atomic<long> rounds{0};
  std::vector<std::thread> clients;
  const double before = lane_cpu_seconds(threads);
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back([&] { rounds += drive(port, request, end, stop); });
  }
  std::this_thread::sleep_for(span);
  stop = true;
  for (auto& client : clients) client.join();
  const double cpu = lane_cpu_seconds(threads) - before;
  const double per = rounds == 0 ? 0 : cpu * 1e6 / static_cast<double>(rounds * units);
  fmt::print("{:<28} {:>9} requests {:>7.2f} us CPU each\n", name, rounds.load(), per);
}

int run(std::chrono::milliseconds span) {
  const SystemClock clock;
  NoLog log;
  MemoryRegistry metrics;
  IoThreads threads(1, "bench");
  auto server = HttpServer::start(threads, HttpServerOptions(), answer, clock, log, metrics);
  if (!server) return 1;
  const std::uint16_t port = (*server)->port();
  const std::string host = "Host: 127.0.0.1\r\nUser-Agent: bench/1\r\nAccept: */*\r\nAuthorization: Bearer tgk_00000000\r\n";
  const std::string body(1024, ' ');
  measure("GET", threads, port, "GET /v1/models HTTP/1.1\r\n" + host + "\r\n", "true}", 1, span);
  measure("POST, 1 KiB of JSON", threads, port,
          "POST /v1/chat HTTP/1.1\r\n" + host + "Content-Type: application/json\r\nContent-Length: 1024\r\n\r\n" + body,
          "true}", 1, span);
  measure("stream, per chunk", threads, port, "GET /stream HTTP/1.1\r\n" + host + "\r\n", "0\r\n\r\n", kChunks, span);
  return 0;
}

}  // namespace
}  // namespace tidegate

int main(int argc, char** argv) {
  const int seconds = argc > 1 ? std::atoi(argv[1]) : 3;
  return tidegate::run(std::chrono::seconds(seconds > 0 ? seconds : 3));
}
