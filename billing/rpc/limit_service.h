#pragma once

#include "billing/rpc/admin_host.h"
#include "billing/rpc/context.h"
#include "tidegate/v1/limit.grpc.pb.h"

namespace tidegate::billing {

/// Limits on rates, for people and the command line; see proto/tidegate/v1/limit.proto for the contract.
class LimitService final : public v1::Limits::CallbackService {
 public:
  LimitService(const ServiceContext& context, rpc::WorkPool& workers) : context_(context), host_(context, workers) {}

  using Call = grpc::CallbackServerContext;
  using Reactor = grpc::ServerUnaryReactor;

  Reactor* SetLimit(Call*, const v1::SetLimitRequest*, v1::RateLimit*) override;
  Reactor* RemoveLimit(Call*, const v1::RemoveLimitRequest*, v1::RateLimit*) override;
  Reactor* ListLimits(Call*, const v1::ListLimitsRequest*, v1::ListLimitsResponse*) override;

 private:
  /// One transaction per call: work(tx) -> Result<Response>; it may run more than once.
  template <typename Response, typename Work>
  Reactor* serve(Call* call, Response* response, Work work, const char* method = __builtin_FUNCTION());

  const ServiceContext& context_;
  AdminHost host_;
};

}  // namespace tidegate::billing
