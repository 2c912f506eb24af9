#pragma once

#include "base/net/http_server.h"
#include "gateway/config.h"
#include "gateway/dispatch/lane_dispatcher.h"
#include "gateway/dispatch/request_driver.h"

/// What of the configuration each part is given, at the start and when it is read again.
namespace tidegate::gateway {

HttpLimits http_limits(const GatewayConfig& config);
ServingLimits serving_limits(const GatewayConfig& config);
FairQueueLimits queue_limits(const GatewayConfig& config);
/// `prefixes` may be null: workers are then chosen by their load alone. So may `demand`: it is told to nobody;
/// and `traffic`: it is never divided.
RoutingOptions routing_options(const GatewayConfig& config, PrefixStore* prefixes, DemandBoard* demand, TrafficBoard* traffic);

}  // namespace tidegate::gateway
