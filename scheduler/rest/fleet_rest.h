#pragma once

#include <memory>
#include <string>

#include "base/core/clock.h"
#include "base/core/result.h"
#include "base/net/asio.h"
#include "base/net/http_server.h"
#include "base/rpc/client.h"
#include "scheduler/rest/rest_routes.h"
#include "tidegate/v1/fleet.grpc.pb.h"

namespace tidegate::scheduler {

/// HTTP's code for an error of a call: 4xx is the caller's, 5xx ours.
int rest_status(Code code);

/// FleetAdmin over HTTP and JSON. Each request is one call of the service, over gRPC and with the caller's own token:
/// who calls, what their role may, what is counted and logged is decided in one place and cannot differ between the two
/// doors. A call that did not run because this scheduler does not lead is a 503.
class FleetRest {
 public:
  /// `channel` leads to FleetAdmin and has no token of its own. `clock` outlives it.
  FleetRest(std::shared_ptr<rpc::Channel> channel, const Clock& clock) : admin_(std::move(channel)), clock_(clock) {}

  awaitable<void> handle(HttpExchange& exchange);

 private:
  using Admin = class v1::FleetAdmin::Stub::async;
  /// One request, as what outlives the connection's buffers.
  struct Ask {
    RestCall call;
    std::string name;
    std::string body;
    std::string authorization;
  };

  /// The answer's body.
  awaitable<Result<std::string>> answer(Ask ask);
  awaitable<Result<std::string>> apply(Ask ask);
  awaitable<Result<std::string>> change_rollout(Ask ask);
  awaitable<Result<std::string>> find(Ask ask);
  template <typename Request, typename Response>
  awaitable<Result<Response>> call(rpc::UnaryMethod<Admin, Request, Response> method, Request request,
                                   std::string authorization);

  rpc::Client<v1::FleetAdmin> admin_;
  const Clock& clock_;
};

}  // namespace tidegate::scheduler
