#include "gateway/adapters/billing_accounts.h"

#include <utility>

#include "base/rpc/client.h"
#include "gateway/adapters/billing_channel.h"
#include "tidegate/v1/billing.grpc.pb.h"

namespace tidegate::gateway {
namespace {

using AccountsApi = class v1::Accounts::Stub::async;

class BillingStream final : public AccountsStream {
 public:
  explicit BillingStream(rpc::StreamReader<v1::AccountsUpdate> reader) : reader_(std::move(reader)) {}

  awaitable<Result<std::optional<v1::AccountsUpdate>>> read(Deadline deadline) override {
    return reader_.read(deadline);
  }
  void cancel() override { reader_.cancel(); }

 private:
  rpc::StreamReader<v1::AccountsUpdate> reader_;
};

class BillingAccounts final : public Accounts {
 public:
  BillingAccounts(std::shared_ptr<rpc::Channel> channel, const Clock& clock, Duration call_limit)
      : client_(std::move(channel)), clock_(clock), call_limit_(call_limit) {}

  std::unique_ptr<AccountsStream> watch(v1::WatchAccountsRequest request) override {
    auto reader = client_.read_stream(&AccountsApi::Watch, std::move(request), Deadline::never());
    return std::make_unique<BillingStream>(std::move(reader));
  }
  awaitable<Result<v1::OpenEpochResponse>> open_epoch(v1::OpenEpochRequest request) override {
    return client_.call(&AccountsApi::OpenEpoch, std::move(request), limit());
  }
  awaitable<Result<v1::CloseEpochResponse>> close_epoch(v1::CloseEpochRequest request) override {
    return client_.call(&AccountsApi::CloseEpoch, std::move(request), limit());
  }
  awaitable<Result<v1::Lease>> acquire_lease(v1::AcquireLeaseRequest request) override {
    return client_.call(&AccountsApi::AcquireLease, std::move(request), limit());
  }
  awaitable<Result<v1::Lease>> return_lease(v1::ReturnLeaseRequest request) override {
    return client_.call(&AccountsApi::ReturnLease, std::move(request), limit());
  }
  awaitable<Result<v1::UsageAck>> submit_usage(v1::UsageBatch batch) override {
    return client_.call(&AccountsApi::SubmitUsage, std::move(batch), limit());
  }

 private:
  Deadline limit() const { return Deadline::after(clock_.mono(), call_limit_); }

  rpc::Client<v1::Accounts> client_;
  const Clock& clock_;
  const Duration call_limit_;
};

}  // namespace

Result<std::unique_ptr<Accounts>> connect_billing(const std::string& address, const std::string& token,
                                                  const Clock& clock, const RpcTlsOptions& tls, Duration call_limit) {
  TG_ASSIGN(auto channel, billing_channel(address, token, tls));
  return std::make_unique<BillingAccounts>(std::move(channel), clock, call_limit);
}

}  // namespace tidegate::gateway
