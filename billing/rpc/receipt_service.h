#pragma once

#include "base/rpc/unary_host.h"
#include "billing/rpc/admin_host.h"
#include "billing/rpc/context.h"
#include "tidegate/v1/receipt.grpc.pb.h"

namespace tidegate::billing {

/// Receipts for people; see proto/tidegate/v1/receipt.proto for the contract.
class ReceiptService final : public v1::Receipts::CallbackService {
 public:
  ReceiptService(const ServiceContext& context, rpc::WorkPool& workers) : context_(context), host_(context, workers) {}

  using Call = grpc::CallbackServerContext;
  using Reactor = grpc::ServerUnaryReactor;

  Reactor* GetReceipt(Call*, const v1::GetReceiptRequest*, v1::ReceiptItem*) override;
  Reactor* ListReceipts(Call*, const v1::ListReceiptsRequest*, v1::ListReceiptsResponse*) override;
  Reactor* ProveReceipt(Call*, const v1::ProveReceiptRequest*, v1::ReceiptProof*) override;
  Reactor* ListReceiptDays(Call*, const v1::ListReceiptDaysRequest*, v1::ListReceiptDaysResponse*) override;
  Reactor* ListReceiptKeys(Call*, const v1::ListReceiptKeysRequest*, v1::ListReceiptKeysResponse*) override;

 private:
  const ServiceContext& context_;
  AdminHost host_;
};

/// The same for gateways.
class ReceiptLookupService final : public v1::ReceiptLookup::CallbackService {
 public:
  ReceiptLookupService(const ServiceContext& context, rpc::WorkPool& workers, rpc::AuthGate gate)
      : context_(context), host_(workers, std::move(gate)) {}

  grpc::ServerUnaryReactor* FindReceipt(grpc::CallbackServerContext* call, const v1::FindReceiptRequest* request,
                                        v1::ReceiptItem* response) override;
  grpc::ServerUnaryReactor* ListKeys(grpc::CallbackServerContext* call, const v1::ListReceiptKeysRequest* request,
                                     v1::ListReceiptKeysResponse* response) override;

 private:
  const ServiceContext& context_;
  rpc::UnaryHost host_;
};

}  // namespace tidegate::billing
