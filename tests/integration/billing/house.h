#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <pqxx/connection>
#include <pqxx/transaction>
#include <string>
#include <vector>

#include "base/core/ids.h"
#include "base/crypto/api_key.h"
#include "base/crypto/ed25519.h"
#include "base/crypto/sha256.h"
#include "base/price/price_book.h"
#include "base/rpc/client.h"
#include "billing/wiring.h"
#include "tests/support/log_capture.h"
#include "tests/support/pg/pg_server.h"
#include "tidegate/v1/admin.grpc.pb.h"
#include "tidegate/v1/billing.grpc.pb.h"
#include "tidegate/v1/budget.grpc.pb.h"

namespace tidegate::billing {

using AccountsApi = class v1::Accounts::Stub::async;
using AdminApi = class v1::BillingAdmin::Stub::async;
using BudgetApi = class v1::Budgets::Stub::async;

inline Deadline soon() { return Deadline::after(SystemClock().mono(), std::chrono::seconds(30)); }

/// A fresh database that has the schema: a copy of one that was migrated once, which is sooner made than migrated.
std::string migrated_database();

/// Real billing on a real database of its own, a tenant with money, and a gateway that knows how to make a bill.
class House : public ::testing::Test {
 protected:
  explicit House(const std::string& dsn = migrated_database());
  ~House() override;

  /// Another replica on the same database.
  std::unique_ptr<Billing> start_replica();
  void restart();

  template <typename Request, typename Response>
  Result<Response> accounts(rpc::UnaryMethod<AccountsApi, Request, Response> method, Request request) {
    return accounts_->call_blocking(method, std::move(request), soon());
  }
  template <typename Request, typename Response>
  Result<Response> admin(rpc::UnaryMethod<AdminApi, Request, Response> method, Request request) {
    return admin_->call_blocking(method, std::move(request), soon());
  }

  template <typename Request, typename Response>
  Result<Response> budgets(rpc::UnaryMethod<BudgetApi, Request, Response> method, Request request) {
    return budgets_->call_blocking(method, std::move(request), soon());
  }

  struct Customer {
    v1::Tenant tenant;
    v1::Project project;
    v1::CreateKeyResponse key;
    std::string wallet_raw() const { return std::string(WalletId::parse(tenant.wallet_id())->raw()); }
  };
  Customer make_customer(const std::string& name, const std::string& credit, const std::string& currency = "USD");
  v1::Wallet wallet_of(const Customer& customer);
  Result<v1::LoadPricesResponse> load_prices_file(const std::string& json);

  std::uint64_t open_epoch(const std::string& gateway = "g1");
  /// A new boot id each time unless given.
  v1::OpenEpochRequest epoch_request(const std::string& gateway);
  v1::AcquireLeaseRequest lease_request(const Customer& customer, std::uint64_t epoch, const std::string& want,
                                        const std::string& least = "0", const std::string& gateway = "g1");

  /// A finished request of the price list `kPrices`, rated as a gateway would. Completed at `completed`.
  v1::UsageEvent make_event(const Customer& customer, const v1::Lease& lease, std::uint64_t sequence,
                            std::int64_t prompt = 100, std::int64_t cached = 40, std::int64_t completion = 50);
  /// Rates again after a test changed counts or instants.
  void rate(v1::UsageEvent& event, const std::string& currency = "USD");
  v1::UsageBatch make_batch(std::uint64_t epoch, std::vector<v1::UsageEvent> events, const std::string& gateway = "g1");
  /// Gives every event of the batch the receipt a gateway would, behind `link`, and moves it on.
  void sign(v1::UsageBatch& batch, const Ed25519Key& key, Digest& link);
  Result<v1::UsageAck> submit(v1::UsageBatch batch) {
    return accounts(&AccountsApi::SubmitUsage, std::move(batch));
  }

  v1::ReconcileResponse reconcile_now();
  /// The checks with differences, as "I2 I8".
  std::string broken_checks();
  void expect_reconciled() { EXPECT_EQ(broken_checks(), ""); }
  /// Runs statements on the database, triggers off: for breaking what the schema protects.
  void force(const std::string& sql);
  std::string query(const std::string& sql);

  std::string raw_uuid() { return std::string(ids_.next().raw()); }

  SystemClock clock_;
  SystemEntropy entropy_;
  UuidV7Source ids_{clock_, entropy_};
  Ed25519Key root_key_ = Ed25519Key::mint(entropy_);
  test::LogCapture log_;
  MemoryRegistry registry_;
  Config config_;
  std::unique_ptr<Billing> billing_;
  std::shared_ptr<rpc::Channel> accounts_channel_, admin_channel_;
  std::unique_ptr<rpc::Client<v1::Accounts>> accounts_;
  std::unique_ptr<rpc::Client<v1::BillingAdmin>> admin_;
  std::unique_ptr<rpc::Client<v1::Budgets>> budgets_;

 private:
  void connect();
  std::optional<price::PriceBook> book_;
};

}  // namespace tidegate::billing
