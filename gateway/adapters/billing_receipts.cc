#include <utility>

#include "base/rpc/client.h"
#include "gateway/adapters/billing_accounts.h"
#include "gateway/adapters/billing_channel.h"
#include "tidegate/v1/receipt.grpc.pb.h"

namespace tidegate::gateway {
namespace {

using ReceiptsApi = class v1::ReceiptLookup::Stub::async;

class BillingReceipts final : public ReceiptArchive {
 public:
  BillingReceipts(std::shared_ptr<rpc::Channel> channel, const Clock& clock, Duration call_limit)
      : client_(std::move(channel)), clock_(clock), call_limit_(call_limit) {}

  awaitable<Result<std::string>> find(TenantId tenant, std::string request_id) override {
    v1::FindReceiptRequest request;
    request.set_tenant_id(std::string(tenant.raw()));
    request.set_request_id(std::move(request_id));
    auto call = client_.call(&ReceiptsApi::FindReceipt, std::move(request), limit());
    TG_CO_ASSIGN(auto item, co_await std::move(call));
    co_return std::move(*item.mutable_receipt());
  }

  awaitable<Result<std::vector<Key>>> keys() override {
    v1::ListReceiptKeysRequest request;
    auto call = client_.call(&ReceiptsApi::ListKeys, std::move(request), limit());
    TG_CO_ASSIGN(const auto list, co_await std::move(call));
    std::vector<Key> out;
    for (const v1::ReceiptKey& key : list.keys()) {
      out.push_back(
          {key.key_id(), key.signer(), key.deployment(), key.public_key(), key.valid_from_us(), key.valid_to_us()});
    }
    co_return out;
  }

 private:
  Deadline limit() const { return Deadline::after(clock_.mono(), call_limit_); }

  rpc::Client<v1::ReceiptLookup> client_;
  const Clock& clock_;
  const Duration call_limit_;
};

}  // namespace

Result<std::unique_ptr<ReceiptArchive>> connect_receipts(const std::string& address, const std::string& token,
                                                         const Clock& clock, const RpcTlsOptions& tls,
                                                         Duration call_limit) {
  TG_ASSIGN(auto channel, billing_channel(address, token, tls));
  return std::make_unique<BillingReceipts>(std::move(channel), clock, call_limit);
}

}  // namespace tidegate::gateway
