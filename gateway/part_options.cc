#include "gateway/part_options.h"

namespace tidegate::gateway {

HttpLimits http_limits(const GatewayConfig& config) {
  HttpLimits limits;
  limits.handshake = config.handshake_max;
  limits.header = config.header_max;
  limits.body = config.body_max;
  limits.idle = config.idle_max;
  limits.write_stall = config.write_stall_max;
  limits.body_bytes = static_cast<std::uint64_t>(config.body_bytes_max);
  limits.body_bytes_per_second = config.body_rate_min;
  limits.requests_per_connection = config.requests_per_connection_max;
  limits.connections = static_cast<std::size_t>(config.connections_max);
  limits.connections_per_address = static_cast<std::size_t>(config.connections_per_address_max);
  limits.handshakes = static_cast<std::size_t>(config.handshakes_max);
  return limits;
}

ServingLimits serving_limits(const GatewayConfig& config) {
  ServingLimits limits;
  limits.request_max = config.request_max;
  limits.keep_alive = config.keep_alive;
  limits.completion_default = static_cast<std::int32_t>(config.completion_tokens_default);
  return limits;
}

FairQueueLimits queue_limits(const GatewayConfig& config) {
  FairQueueLimits limits;
  limits.wait_max = config.queue_wait_max;
  limits.length_max = static_cast<std::size_t>(config.queue_length_max);
  limits.wait_target = config.queue_target;
  limits.input_weight = config.queue_input_weight;
  limits.output_weight = config.queue_output_weight;
  return limits;
}

RoutingOptions routing_options(const GatewayConfig& config, PrefixStore* prefixes, DemandBoard* demand, TrafficBoard* traffic) {
  RoutingOptions routing;
  routing.picker.slow_start = config.slow_start;
  routing.health.errors_in_a_row = static_cast<int>(config.eject_after_errors);
  routing.health.eject_least = config.eject_least;
  routing.health.ejected_share_max = static_cast<double>(config.ejected_percent_max) / 100;
  routing.health.stall_after = config.stall_after;
  routing.prefixes = prefixes;
  routing.demand = demand;
  routing.traffic = traffic;
  routing.spill_after = config.spill_after;
  return routing;
}

}  // namespace tidegate::gateway
