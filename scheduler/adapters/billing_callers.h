#pragma once

#include <memory>
#include <string>
#include <utility>

#include "base/core/clock.h"
#include "base/rpc/client.h"
#include "scheduler/core/ports.h"
#include "tidegate/v1/people.grpc.pb.h"

namespace tidegate::scheduler {

/// Asks billing's People service; the channel carries the cluster token.
class BillingCallers final : public CallerDirectory {
 public:
  BillingCallers(std::shared_ptr<rpc::Channel> channel, const Clock& clock)
      : clock_(clock), people_(std::move(channel)) {}

  Result<FleetCaller> who_is(const std::string& token, Deadline deadline) override;

 private:
  const Clock& clock_;
  rpc::Client<v1::People> people_;
};

}  // namespace tidegate::scheduler
