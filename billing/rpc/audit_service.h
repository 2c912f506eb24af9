#pragma once

#include "billing/rpc/admin_host.h"
#include "billing/rpc/context.h"
#include "tidegate/v1/audit.grpc.pb.h"

namespace tidegate::billing {

/// See proto/tidegate/v1/audit.proto for the contract.
class AuditService final : public v1::AuditLog::CallbackService {
 public:
  AuditService(const ServiceContext& context, rpc::WorkPool& workers) : context_(context), host_(context, workers) {}

  using Call = grpc::CallbackServerContext;
  using Reactor = grpc::ServerUnaryReactor;

  Reactor* ListAudit(Call*, const v1::ListAuditRequest*, v1::ListAuditResponse*) override;
  Reactor* GetAuditCheckpoint(Call*, const v1::GetAuditCheckpointRequest*, v1::AuditCheckpoint*) override;
  Reactor* ProveAudit(Call*, const v1::ProveAuditRequest*, v1::AuditProof*) override;

 private:
  const ServiceContext& context_;
  AdminHost host_;
};

}  // namespace tidegate::billing
