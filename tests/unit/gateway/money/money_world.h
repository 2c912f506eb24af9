#pragma once

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <memory>
#include <string>

#include "base/net/io_threads.h"
#include "base/net/timer.h"
#include "gateway/money/treasury.h"
#include "tests/support/eventually.h"
#include "tests/support/gateway/fake_billing.h"
#include "tests/support/gateway/memory_disk.h"
#include "tests/support/log_capture.h"
#include "tests/support/sequential_ids.h"

namespace tidegate::gateway::test {

using tidegate::test::eventually;

inline Money money(std::string_view text) { return *Money::parse(text); }
inline RequestId request_id(std::uint64_t n) { return RequestId{tidegate::test::SequentialIds::make(n)}; }

/// 1 USD a million of everything but hits, which cost a tenth; flat, always.
inline v1::PriceVersion flat_price(std::int64_t id = 1, std::int64_t micro = 1'000'000) {
  v1::PriceVersion version;
  version.set_id(id);
  version.set_book("test-book");
  version.set_model("tang-moe");
  version.set_currency("USD");
  version.set_basis(v1::PRICE_BASIS_COMPLETED_AT);
  v1::PriceSchedule* schedule = version.add_schedules();
  schedule->set_name("flat");
  schedule->set_is_default(true);
  schedule->set_tz("UTC");
  const std::pair<const char*, std::int64_t> rates[] = {
      {"input_cache_hit", micro / 10}, {"input_cache_miss", micro}, {"output", micro}};
  for (const auto& [meter, rate] : rates) {
    v1::PriceRate* entry = schedule->add_rates();
    entry->set_meter(meter);
    entry->set_micro_per_million(rate);
  }
  return version;
}

/// One gateway's money half over a billing, a disk and threads of its own: lane 0 is its background, lane 1
/// and 2 carry requests. Real time, short waits.
struct MoneyWorld : testing::Test {
  static constexpr const char* kPepper = "0123456789abcdef0123456789abcdef";

  IoThreads threads{3, "test"};
  SystemClock clock;
  FakeBilling billing{threads.executor(0), clock};
  MemoryDisk disk;
  tidegate::test::SeededEntropy entropy{7};
  std::unique_ptr<MemoryRegistry> registry = std::make_unique<MemoryRegistry>();
  tidegate::test::LogCapture log;
  TreasuryConfig config;
  std::shared_ptr<Treasury> treasury;
  std::atomic<int> failures = 0;
  WalletId wallet;
  std::string key_text;
  std::string key_id = std::string(SequentialBytes(77));
  std::uint64_t next_request = 1;

  static std::string SequentialBytes(std::uint64_t n) {
    return std::string(tidegate::test::SequentialIds::make(n).raw());
  }

  MoneyWorld() {
    config.gateway_id = "gw-1";
    config.pepper = kPepper;
    config.journal_folder = "/journal";
    config.receipts = ReceiptIssuer{"tide-test", Ed25519Key::mint(entropy)};
    config.meter.lease_wait = std::chrono::seconds(5);
    billing.add_price(flat_price());
    wallet = billing.add_wallet(money("100"));
    billing.add_key(key_for(wallet));
  }
  ~MoneyWorld() override {
    if (HasFailure()) {
      for (const auto& line : log.lines()) std::fprintf(stderr, "%s\n", line.json.c_str());
    }
    end();
    threads.stop();
  }

  v1::Principal key_for(WalletId of) {
    const MintedKey minted = mint_api_key(entropy, KeyKind::kTenant);
    key_text = minted.text;
    v1::Principal principal;
    principal.set_key_id(key_id);
    principal.set_public_id(minted.public_id);
    principal.set_key_mac(std::string(as_view(api_key_mac(kPepper, minted.text))));
    principal.set_tenant_id(SequentialBytes(71));
    principal.set_project_id(SequentialBytes(72));
    principal.set_wallet_id(std::string(of.raw()));
    principal.set_currency("USD");
    return principal;
  }

  void begin() { ASSERT_TRUE(try_begin()); }
  /// False when the journal's folder cannot even be opened.
  bool try_begin() {
    TreasuryParts parts{.accounts = billing,
                        .disk = disk,
                        .clock = clock,
                        .entropy = entropy,
                        .metrics = *registry,
                        .log = log,
                        .executor = threads.executor(0),
                        .on_failed = [this] { ++failures; }};
    auto opened = Treasury::open(config, std::move(parts));
    if (!opened) return false;
    treasury = *std::move(opened);
    treasury->start();
    return true;
  }
  void begin_and_wait() {
    begin();
    ASSERT_TRUE(eventually([&] { return treasury->ready().has_value(); })) << treasury->ready().error().to_string();
  }
  bool drain(Duration limit = std::chrono::seconds(10)) {
    auto work = [&]() -> awaitable<bool> { return treasury->drain(Deadline::after(clock.mono(), limit)); };
    const bool is_clean = threads.run_on(0, std::move(work));
    treasury.reset();
    return is_clean;
  }
  /// Ends without asking for a clean end.
  void end() {
    if (treasury) drain(Duration::zero());
  }

  AdmissionRequest request(std::int64_t prompt = 1000, std::int64_t completion = 1000) {
    auto principal = treasury->principals().authenticate(key_text, {});
    EXPECT_TRUE(principal) << principal.error().to_string();
    return {.request = request_id(next_request++),
            .principal = principal ? *principal : nullptr,
            .model = "tang-moe",
            .region = "local",
            .pool = "cpu",
            .prompt_tokens_max = prompt,
            .completion_tokens_max = completion,
            .budget = std::chrono::seconds(60),
            .is_stream = true,
            .surface = "http.chat"};
  }
  Result<std::unique_ptr<Charge>> admit(AdmissionRequest what, std::size_t lane = 1) {
    auto work = [&]() -> awaitable<Result<std::unique_ptr<Charge>>> { return treasury->meter().admit(std::move(what)); };
    return threads.run_on(lane, std::move(work));
  }
  Result<Settlement> settle(Charge& charge, FinalReport report, std::size_t lane = 1) {
    auto work = [&]() -> awaitable<Result<Settlement>> { return charge.settle(std::move(report)); };
    return threads.run_on(lane, std::move(work));
  }
  static FinalReport report(std::int64_t prompt, std::int64_t completion, Outcome outcome = Outcome::kCompleted) {
    FinalReport final;
    final.outcome = outcome;
    final.finish_reason = outcome == Outcome::kCompleted ? "stop" : "cancelled";
    final.usage = {.prompt = prompt, .cached = 0, .completion = completion, .reasoning = 0};
    final.variant = "bf16";
    final.worker_id = "worker-1";
    final.weights_digest = "sha256:00";
    return final;
  }
  double metric(std::string_view name, const Labels& labels = {}) const { return registry->value(name, labels); }
};

}  // namespace tidegate::gateway::test
