#include "gateway/dispatch/route_watch.h"

#include <utility>

#include "base/rpc/tls.h"
#include "gateway/dispatch/session_codec.h"

namespace tidegate::gateway {

RouteWatch::RouteWatch(RouteWatchOptions options, Sink sink, Executor executor, const Clock& clock, Log& log,
                       GatewayMetrics& metrics)
    : options_(std::move(options)),
      sink_(std::move(sink)),
      clock_(clock),
      log_(log),
      metrics_(metrics),
      backoff_(options_.reconnect_least, options_.reconnect_most, std::hash<std::string>()(options_.gateway_id + options_.scheduler_address)),
      wake_(std::move(executor)) {}

awaitable<Status> RouteWatch::run() {
  rpc::ChannelOptions channel_options;
  channel_options.token = options_.cluster_token;
  channel_options.tls = options_.tls;
  channel_options.peer_role = rpc::kSchedulerRole;
  auto channel = rpc::make_channel(options_.scheduler_address, channel_options);
  if (!channel) co_return fail(std::move(channel).error());
  rpc::Client<v1::Fleet> client(*std::move(channel));
  while (!is_stopped_) {
    v1::WatchRoutesRequest request;
    request.set_gateway_id(options_.gateway_id);
    request.set_region(options_.region);
    stream_.emplace(client.read_stream(&v1::Fleet::Stub::async::WatchRoutes, std::move(request), Deadline::never()));
    const Status ended = co_await follow();
    stream_.reset();
    if (is_stopped_) break;
    metrics_.routes_reconnects.add();
    if (!std::exchange(is_outage_logged_, true)) {
      log_.warn("routes_lost", {kv("scheduler", options_.scheduler_address),
                                kv("error", ended ? "ended" : ended.error().to_string())});
    }
    co_await wake_.wait_until(Deadline::after(clock_.mono(), backoff_.next()));
  }
  co_return Status();
}

awaitable<Status> RouteWatch::follow() {
  bool has_shown = false;
  while (true) {
    auto routes = co_await stream_->read(Deadline::after(clock_.mono(), options_.silence_max));
    if (!routes) {
      const bool is_standby = options_.is_one_of_several && !has_shown && routes.error().reason == "read_timeout";
      if (is_standby && !is_stopped_) continue;
      co_return fail(std::move(routes).error());
    }
    if (!*routes) co_return Status();
    has_shown = true;
    backoff_.reset();
    is_outage_logged_ = false;
    auto snapshot = std::make_shared<const RouteSnapshot>(decode_routes(**routes));
    metrics_.routes_version.set(static_cast<double>(snapshot->version));
    metrics_.routes_workers.set(static_cast<double>(snapshot->routes.size()));
    sink_(std::move(snapshot));
  }
}

void RouteWatch::stop() {
  is_stopped_ = true;
  wake_.notify();
  if (stream_) stream_->cancel();
}

}  // namespace tidegate::gateway
