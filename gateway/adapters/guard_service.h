#pragma once

#include <utility>

#include "base/rpc/unary_host.h"
#include "gateway/guard/rule_book.h"
#include "tidegate/v1/guard.grpc.pb.h"

namespace tidegate::gateway {

/// The built-in rules as a server for gateways: `tidegate guard serve`. Judges on the pool's threads and keeps nothing
/// of a call.
class GuardService final : public v1::Guard::CallbackService {
 public:
  /// `book` and `pool` outlive the server that runs this service.
  GuardService(const RuleBook& book, rpc::WorkPool& pool, rpc::AuthGate gate) : book_(book), host_(pool, std::move(gate)) {}

  grpc::ServerUnaryReactor* Check(grpc::CallbackServerContext* context, const v1::GuardRequest* request,
                                  v1::GuardVerdict* response) override;

 private:
  /// Fails also: failed_precondition/window_too_small, when the gateway's window is smaller than the rules need.
  Result<v1::GuardVerdict> judge(const v1::GuardRequest& request) const;

  const RuleBook& book_;
  rpc::UnaryHost host_;
};

}  // namespace tidegate::gateway
