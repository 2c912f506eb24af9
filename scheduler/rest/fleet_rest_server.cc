#include "scheduler/rest/fleet_rest_server.h"

#include <string_view>
#include <utility>

#include "base/rpc/tls.h"

namespace tidegate::scheduler {

namespace {
constexpr std::size_t kRestConnectionsMax = 256;
constexpr std::uint64_t kRestBodyBytesMax = 256 * 1024;
}  // namespace

std::string own_address(const std::string& listening) {
  constexpr std::string_view kEvery4 = "0.0.0.0:";
  constexpr std::string_view kEvery6 = "[::]:";
  if (listening.starts_with(kEvery4)) return "127.0.0.1:" + listening.substr(kEvery4.size());
  if (listening.starts_with(kEvery6)) return "[::1]:" + listening.substr(kEvery6.size());
  return listening;
}

FleetRestServer::FleetRestServer(std::shared_ptr<rpc::Channel> channel, const Clock& clock)
    : channel_(std::move(channel)), rest_(channel_, clock) {}

FleetRestServer::~FleetRestServer() { stop(std::chrono::milliseconds(0)); }

std::string FleetRestServer::address() const { return server_->address(); }

void FleetRestServer::stop(std::chrono::milliseconds grace) {
  if (server_) server_->drain(grace);
  // Calls that go on end here, while the thread that waits for them is there.
  channel_->shut();
  threads_.stop();
}

Result<std::unique_ptr<FleetRestServer>> FleetRestServer::start(const FleetRestOptions& options, const Clock& clock,
                                                                Log& log, MetricRegistry& metrics) {
  rpc::ChannelOptions to_fleet;
  to_fleet.tls = options.tls;
  to_fleet.peer_role = rpc::kSchedulerRole;
  TG_ASSIGN(auto channel, rpc::make_channel(own_address(options.fleet_address), to_fleet));
  std::unique_ptr<FleetRestServer> made(new FleetRestServer(std::move(channel), clock));
  HttpServerOptions edge;
  edge.listen = options.listen;
  edge.service = "scheduler";
  edge.limits.connections = kRestConnectionsMax;
  edge.limits.body_bytes = kRestBodyBytesMax;
  HttpHandler handler = [rest = &made->rest_](HttpExchange& exchange) { return rest->handle(exchange); };
  TG_ASSIGN(made->server_, HttpServer::start(made->threads_, std::move(edge), std::move(handler), clock, log, metrics));
  return made;
}

}  // namespace tidegate::scheduler
