#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <mutex>

#include "base/net/io_threads.h"
#include "base/net/timer.h"
#include "gateway/adapters/billing_accounts.h"
#include "gateway/journal/posix_disk.h"
#include "gateway/money/treasury.h"
#include "tests/integration/billing/house.h"
#include "tests/support/eventually.h"
#include "tests/support/temp_dir.h"

/// The gateway's money half on a real disk, against real billing on a real PostgreSQL over gRPC.
namespace tidegate::gateway {

inline Money money(std::string_view text) { return *Money::parse(text); }

/// One gateway: money on lane 0, requests on lane 1.
struct Gateway {
  Gateway(const std::string& id, const std::string& folder, const std::string& address, const billing::Config& config,
          const Clock& clock_in, EntropySource& entropy, Log& log)
      : clock(clock_in), accounts(connect_billing(address, config.cluster_token, clock).value()) {
    TreasuryConfig mine;
    mine.gateway_id = id;
    mine.pepper = config.pepper;
    mine.journal_folder = folder;
    mine.receipts = ReceiptIssuer{"tide-test", Ed25519Key::mint(entropy)};
    TreasuryParts parts{*accounts, disk, clock, entropy, registry, log, threads.executor(0), {}};
    treasury = Treasury::open(std::move(mine), std::move(parts)).value();
    treasury->start();
    EXPECT_TRUE(tidegate::test::eventually([&] { return treasury->ready().has_value(); }, std::chrono::seconds(20)))
        << treasury->ready().error().to_string();
  }
  ~Gateway() {
    if (treasury) end(Duration::zero());
    accounts.reset();
    threads.stop();
  }
  bool end(Duration limit) {
    const auto work = [&] { return treasury->drain(Deadline::after(clock.mono(), limit)); };
    const bool is_clean = threads.run_on(0, work);
    treasury.reset();
    return is_clean;
  }

  const Clock& clock;
  MemoryRegistry registry;
  PosixDisk disk;
  IoThreads threads{2, "gateway"};
  std::unique_ptr<Accounts> accounts;
  std::shared_ptr<Treasury> treasury;
};

struct RealBilling : billing::House {
  tidegate::test::TempDir folder;
  Customer customer = make_customer("acme", "10");
  std::mutex mutex;
  std::map<RequestId, Money> told;

  std::unique_ptr<Gateway> open(const std::string& id) {
    return std::make_unique<Gateway>(id, folder.file(id), billing_->address(), config_, clock_, entropy_, log_);
  }
  Result<std::shared_ptr<const Principal>> who(Gateway& gateway) {
    return gateway.treasury->principals().authenticate(customer.key.secret(), {});
  }
  AdmissionRequest request(Gateway& gateway, std::int64_t prompt_max, std::int64_t completion_max) {
    AdmissionRequest wanted;
    wanted.request = RequestId{ids_.next()};
    wanted.principal = who(gateway).value();
    wanted.model = "m";
    wanted.region = "local";
    wanted.pool = "cpu";
    wanted.prompt_tokens_max = prompt_max;
    wanted.completion_tokens_max = completion_max;
    wanted.budget = std::chrono::seconds(60);
    wanted.is_stream = true;
    wanted.surface = "http.chat";
    return wanted;
  }
  /// One request to its end; the amount it was told, or why it was refused.
  awaitable<Result<Money>> run_one(Gateway& gateway, AdmissionRequest wanted, FinalReport final) {
    const RequestId id = wanted.request;
    TG_CO_ASSIGN(auto charge, co_await gateway.treasury->meter().admit(std::move(wanted)));
    charge->on_accepted(final.usage, "w1");
    TG_CO_ASSIGN(const Settlement settlement, co_await charge->settle(std::move(final)));
    const std::lock_guard lock(mutex);
    told[id] = settlement.amount;
    co_return settlement.amount;
  }
  Result<Money> bill(Gateway& gateway, std::int64_t prompt, std::int64_t cached, std::int64_t completion,
                     Outcome outcome = Outcome::kCompleted) {
    FinalReport final;
    final.outcome = outcome;
    final.finish_reason = "stop";
    final.usage = {.prompt = prompt, .cached = cached, .completion = completion, .reasoning = 0};
    final.variant = "fp8";
    final.worker_id = "w1";
    final.weights_digest = "sha256:0";
    const auto work = [&] { return run_one(gateway, request(gateway, prompt, completion), final); };
    return gateway.threads.run_on(1, work);
  }
  Money total_told() {
    const std::lock_guard lock(mutex);
    Money total;
    for (const auto& [id, amount] : told) total += amount;
    return total;
  }
  void expect_billed() {
    EXPECT_EQ(query("SELECT count(*) FROM usage_events"), std::to_string(told.size()));
    EXPECT_EQ(money(wallet_of(customer).balance()), money("10") - total_told());
    EXPECT_TRUE(money(wallet_of(customer).leased()).is_zero()) << wallet_of(customer).leased();
    expect_reconciled();
  }
};

}  // namespace tidegate::gateway
