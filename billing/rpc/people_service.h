#pragma once

#include "base/rpc/unary_host.h"
#include "billing/rpc/context.h"
#include "tidegate/v1/people.grpc.pb.h"

namespace tidegate::billing {

/// Tells the cluster's services who calls them; see proto/tidegate/v1/people.proto for the contract.
class PeopleService final : public v1::People::CallbackService {
 public:
  PeopleService(const ServiceContext& context, rpc::WorkPool& workers, rpc::AuthGate gate)
      : context_(context), host_(workers, std::move(gate)) {}

  grpc::ServerUnaryReactor* WhoIs(grpc::CallbackServerContext* call, const v1::WhoIsRequest* request,
                                  v1::Person* response) override;

 private:
  const ServiceContext& context_;
  rpc::UnaryHost host_;
};

}  // namespace tidegate::billing
